//! How deep the brackets of a file are nested, found before the parser sees it: its time grows with the number of values times
//! their depth.
//!
//! This only follows what decides whether a bracket is one (quotes, comments, plain text, blocks of text); whether the file is
//! valid is up to the parser.

/// How deep `[ ]` and `{ }` may be nested.
const MOST: usize = 100;

/// Line and column, from 1, of the first bracket that is nested too deeply.
pub(super) fn too_deep(text: &str) -> Option<(usize, usize)> {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0, line_start: 0, depth: 0, at_start: true, parent: 0, column: None };
    let found = scan.first_too_deep()?;
    let before = text.get(..found)?;
    let line = before.rsplit('\n').next().unwrap_or("");
    Some((before.matches('\n').count() + 1, line.chars().count() + 1))
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    line_start: usize,
    depth: usize,
    /// Whether a value could begin here; otherwise, quotes and brackets are part of plain text.
    at_start: bool,
    /// Lines of text that belong to the value here are indented more than this.
    parent: usize,
    /// The column at which the first name or value of this line begins.
    column: Option<usize>,
}

impl Scan<'_> {
    fn first_too_deep(&mut self) -> Option<usize> {
        while let Some(byte) = self.byte(0) {
            let column = self.at - self.line_start;
            match byte {
                b'\n' => self.end_line(),
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'#' if self.is_after_space() => self.skip_line(),
                b'[' | b'{' if self.at_start || self.depth > 0 => {
                    self.depth += 1;
                    if self.depth > MOST {
                        return Some(self.at);
                    }
                    (self.at, self.at_start) = (self.at + 1, true);
                }
                b']' | b'}' if self.depth > 0 => (self.at, self.depth, self.at_start) = (self.at + 1, self.depth - 1, false),
                b',' if self.depth > 0 => (self.at, self.at_start) = (self.at + 1, true),
                b':' if self.is_space(1) || self.depth > 0 && self.byte(1).is_some_and(|b| b",[]{}\"'".contains(&b)) => {
                    self.parent = self.column.unwrap_or(column);
                    (self.at, self.at_start) = (self.at + 1, true);
                }
                b'-' | b'?' if self.at_start && self.depth == 0 && self.is_space(1) => (self.at, self.parent) = (self.at + 1, column),
                b'"' | b'\'' if self.at_start => {
                    self.begin(column);
                    self.skip_quoted(byte);
                }
                b'|' | b'>' if self.at_start && self.depth == 0 => self.skip_block(),
                b'&' | b'!' if self.at_start => self.skip_word(),
                _ => {
                    self.begin(column);
                    self.at += 1;
                }
            }
        }
        None
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn is_space(&self, ahead: usize) -> bool {
        self.byte(ahead).is_none_or(|b| b" \t\r\n".contains(&b))
    }

    fn is_after_space(&self) -> bool {
        self.at == 0 || self.bytes.get(self.at - 1).is_some_and(|b| b" \t\n".contains(b))
    }

    /// A name or a value begins here, unless it began before.
    fn begin(&mut self, column: usize) {
        self.column.get_or_insert(column);
        self.at_start = false;
    }

    /// Plain text goes on in the next line if that is indented further than what the text belongs to.
    fn end_line(&mut self) {
        let goes_on = !self.at_start && self.indent_of_next() > self.parent;
        (self.at, self.line_start, self.column) = (self.at + 1, self.at + 1, None);
        if self.depth == 0 {
            self.at_start = !goes_on;
        }
    }

    /// How far the next line that is not blank is indented.
    fn indent_of_next(&self) -> usize {
        let rest = self.bytes.get(self.at + 1..).unwrap_or_default();
        let spaces = rest.iter().take_while(|b| b" \r\n".contains(b)).count();
        rest.get(..spaces).unwrap_or_default().iter().rev().take_while(|b| **b == b' ').count()
    }

    fn skip_line(&mut self) {
        self.at += self.bytes.get(self.at..).unwrap_or_default().iter().take_while(|b| **b != b'\n').count();
    }

    fn skip_word(&mut self) {
        while !(self.is_space(0) || self.depth > 0 && self.byte(0).is_some_and(|b| b",[]{}".contains(&b))) {
            self.at += 1;
        }
    }

    fn skip_quoted(&mut self, quote: u8) {
        self.at += 1;
        while let Some(byte) = self.byte(0) {
            match byte {
                b'\\' if quote == b'"' => self.at += 1,
                b'\'' if quote == b'\'' && self.byte(1) == Some(b'\'') => self.at += 1,
                b'\n' => self.line_start = self.at + 1,
                byte if byte == quote => {
                    self.at += 1;
                    return;
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    /// Skips `|` or `>`, and the lines below it that are indented further than what the text belongs to.
    fn skip_block(&mut self) {
        self.skip_line();
        while self.byte(0).is_some() && self.indent_of_next() > self.parent {
            self.at += 1;
            self.skip_line();
        }
        self.at_start = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_brackets_that_are_nested_too_deeply_are_found() {
        let deep = |before: &str, n: usize| too_deep(&format!("{before}{}", "[".repeat(n)));
        assert_eq!(deep("a: ", MOST), None);
        assert_eq!(deep("a: ", MOST + 1), Some((1, MOST + 4)));
        assert_eq!(deep("é: x\nb:\n  - {", MOST), Some((3, MOST + 5)));
        assert_eq!(too_deep(&"{ a: ".repeat(MOST + 1)), Some((1, MOST * 5 + 1)));
        for before in [
            "a: 'x'\nb: ",
            "a: \"x\\\"\"\nb: ",
            "a: it's\nb: ",
            "# it's\nb: ",
            "a: |\n  '\n  \"\nb: ",
            "a: {b: 'x'}\nc: ",
            "- - |\n    '\n  - ",
        ] {
            assert!(deep(before, MOST + 1).is_some(), "{before}");
        }
        let brackets = "[".repeat(MOST + 1);
        for text in
            ["'§'", "\"\\\"§\"", "x§", "# §", "|\n  §\n", ">-\n  x\n\n  §", "\n  - x\n  - \"§\"", "it is\n  \"§", "[ 'it''s', '§' ]"]
        {
            assert_eq!(too_deep(&format!("a: {}\n", text.replace('§', &brackets))), None, "{text}");
        }
        let rule = "  R:\n    when: { webhook: \"/[{\" }\n    if: { body.x: { matches: '\\[' } }\n    then: [ { log: \"{{ body.x }} it's {\" } ]\n";
        assert_eq!(too_deep(&format!("rules:\n{}", rule.repeat(MOST * 2))), None);
    }
}
