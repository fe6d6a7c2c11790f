//! Lines and their indentation: where a block of YAML ends, and the same lines further left or right. Whether that is what
//! the author meant is found out by trying it.

use std::ops::Range;

use super::source::Source;
use crate::text::span;

/// Some lines of a file, and what could be written in their place.
pub type Rewritten = Option<(Range<usize>, String)>;

/// How many spaces a line begins with.
pub fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// Whether a line has no value: it is blank or a comment.
pub fn is_blank(line: &str) -> bool {
    line.trim().is_empty() || line.trim_start().starts_with('#')
}

impl Source {
    /// The last line of the block that begins on this line: those below it that are indented more.
    pub fn block_end(&self, first: usize) -> usize {
        let own = indent(self.line(first));
        let is_item = self.line(first).trim_start().starts_with("- ");
        let belongs = |line: &str| indent(line) > own || !is_item && indent(line) == own && line.trim_start().starts_with("- ");
        let below = (first + 1..=self.lines()).take_while(|n| is_blank(self.line(*n)) || belongs(self.line(*n)));
        below.filter(|n| !is_blank(self.line(*n))).last().unwrap_or(first)
    }

    /// The bytes of some lines, without the last line break.
    pub fn span_of(&self, first: usize, last: usize) -> Option<Range<usize>> {
        let start = self.line_start(first)?;
        Some(start..self.line_start(last)? + self.line(last).len())
    }

    /// The bytes of some lines with their line breaks, to remove them.
    pub fn whole_lines(&self, first: usize, last: usize) -> Option<Range<usize>> {
        Some(self.line_start(first)?..self.line_start(last + 1)?)
    }

    /// These lines, each changed.
    pub fn rewritten(&self, first: usize, last: usize, change: impl Fn(usize, &str) -> String) -> Rewritten {
        let lines: Vec<String> = (first..=last).map(|n| change(n, self.line(n))).collect();
        Some((self.span_of(first, last)?, lines.join("\n")))
    }

    /// These lines, further to the right, or to the left if `by` is negative.
    pub fn moved(&self, first: usize, last: usize, by: isize) -> Rewritten {
        let room = (first..=last).map(|n| self.line(n)).filter(|l| !l.trim().is_empty()).map(indent).min()?;
        if by == 0 || by.unsigned_abs() > room && by < 0 {
            return None;
        }
        self.rewritten(first, last, |_, line| match by {
            _ if line.trim().is_empty() => line.to_owned(),
            1.. => " ".repeat(by.unsigned_abs()) + line,
            _ => span::from(line, by.unsigned_abs().min(indent(line))).to_owned(),
        })
    }

    /// The key on this line with everything below it, aligned with the key that it is under: for a key that was written one
    /// level too deep. What follows it in the same block comes before it then.
    pub fn one_level_out(&self, line: usize) -> Rewritten {
        let own = indent(self.line(line));
        let parent = (1..line).rev().find(|n| !is_blank(self.line(*n)) && indent(self.line(*n)) < own)?;
        let text = self.line(parent).trim_start();
        let aligned = indent(self.line(parent)) + if text.starts_with("- ") { 2 } else { 0 };
        let (end, after) = (self.block_end(line), self.block_end(parent));
        let (_, out) = self.moved(line, end, aligned as isize - own as isize)?;
        if after <= end {
            return Some((self.span_of(line, end)?, out));
        }
        let rest = span::between(&self.text, self.line_start(end + 1)?, self.span_of(after, after)?.end);
        Some((self.span_of(line, after)?, format!("{rest}\n{out}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_moved_with_everything_below_it() {
        let source = Source::new("t", b"a:\n  b:\n    c: 1\n\n    d:\n    - e\n  f: 2\n".to_vec()).unwrap();
        assert_eq!((source.block_end(2), source.block_end(5), source.block_end(1)), (6, 6, 7));
        let (span, text) = source.moved(2, 6, 2).unwrap();
        assert_eq!(
            (source.text.get(span).unwrap(), text.as_str()),
            ("  b:\n    c: 1\n\n    d:\n    - e", "    b:\n      c: 1\n\n      d:\n      - e")
        );
        assert_eq!(source.moved(1, 2, -1), None);
        let (span, text) = source.one_level_out(2).unwrap();
        assert_eq!(
            (source.text.get(span).unwrap(), text.as_str()),
            ("  b:\n    c: 1\n\n    d:\n    - e\n  f: 2", "  f: 2\nb:\n  c: 1\n\n  d:\n  - e")
        );
    }
}
