//! Lines that are valid YAML and probably not what they look like: text that is cut by a `#`, and characters that cannot be
//! seen.

use super::layout::{indent, is_blank};
use super::pasted::is_invisible;
use super::place::scalar;
use super::source::Source;
use crate::problem::{Problem, Severity};
use crate::text::span;

/// How many such lines of a file are reported.
const MOST: usize = 20;

impl Source {
    /// Warns of such lines.
    pub fn doubtful_lines(&self) -> Vec<Problem> {
        let mut out = Vec::new();
        let mut block: Option<usize> = None;
        for (n, line) in self.text.lines().enumerate() {
            let number = n + 1;
            if out.len() == MOST {
                break;
            }
            if !line.trim_start().starts_with('#') {
                out.extend(invisible(self, number, line));
            }
            if let Some(parent) = block {
                if line.trim().is_empty() || indent(line) > parent {
                    continue;
                }
                block = None;
            }
            let plain = line.split(" #").next().unwrap_or(line).trim_end();
            if [": |", ": >", ": |-", ": >-", ": |+", ": >+", "- |", "- >"].iter().any(|end| plain.ends_with(end)) {
                block = Some(indent(line));
            }
            if !is_blank(line) {
                out.extend(cut(self, number, line));
            }
        }
        out
    }
}

fn warning(source: &Source, number: usize, at: usize, length: usize, message: &str, label: &str) -> Problem {
    let line = source.line(number);
    Problem {
        severity: Severity::Warning,
        line: number,
        column: span::before(line, at).chars().count() + 1,
        length,
        label: label.to_owned(),
        notes: Vec::new(),
        text: line.to_owned(),
        unread: false,
        ..Problem::of_file(&source.name, message, "")
    }
}

/// A character that cannot be seen, in a name or in text.
fn invisible(source: &Source, number: usize, line: &str) -> Option<Problem> {
    let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '{' | '}' | ' ' | ':'));
    let joins = |c: char| matches!(c, '\u{200c}' | '\u{200d}' | '\u{ad}');
    // In some languages and emoji these join letters; between plain letters they do nothing.
    let alone = |at: usize, c: char| {
        joins(c) && is_letter(span::before(line, at).chars().last()) && is_letter(span::from(line, at + c.len_utf8()).chars().next())
    };
    let (at, c) = line.char_indices().find(|(at, c)| is_invisible(*c) || alone(*at, *c))?;
    let start = source.line_start(number)?;
    let draft = warning(
        source,
        number,
        at,
        1,
        "this line contains an invisible character, as in text pasted from a document",
        "type the line again by hand",
    );
    let plain: String = line.chars().filter(|other| *other != c).collect();
    Some(draft.propose("remove the invisible character", Some(start..start + line.len()), plain))
}

/// A plain value with ` #` in it: everything after it is a comment.
fn cut(source: &Source, number: usize, line: &str) -> Option<Problem> {
    let (before, comment) = line.split_once(" #")?;
    let is_comment = comment.is_empty() || comment.starts_with([' ', '#', '!', '-', '=']);
    // Set apart from the text, as only comments are.
    if before.ends_with("  ") && comment.starts_with(' ') {
        return None;
    }
    if is_comment && !comment.contains("{{") {
        return None;
    }
    let value_at =
        before.find(": ").map(|at| at + 2).or_else(|| before.trim_start().strip_prefix("- ").map(|rest| before.len() - rest.len()))?;
    let value_at = value_at + (span::from(before, value_at).len() - span::from(before, value_at).trim_start().len());
    let value = span::from(before, value_at);
    if value.is_empty()
        || value.starts_with(['"', '\'', '{', '[', '|', '>', '&', '*', '!', '#'])
        || is_comment && !value.contains("{{") && !value.contains(char::is_alphabetic)
    {
        return None;
    }
    let start = source.line_start(number)?;
    let whole = span::from(line, value_at).trim_end();
    let quoted = if whole.contains('"') { scalar(whole) } else { format!("\"{whole}\"") };
    let draft = warning(
        source,
        number,
        before.len() + 1,
        comment.chars().count() + 1,
        "everything after ` #` is a comment and does not belong to the text",
        "put the whole text in quotes, or write a space after the #",
    );
    Some(draft.propose(format!("write {quoted}"), Some(start + value_at..start + value_at + whole.len()), quoted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubtful(line: &str) -> usize {
        Source::new("t", line.as_bytes().to_vec()).unwrap().doubtful_lines().len()
    }

    #[test]
    fn a_comment_is_told_from_text_that_is_cut() {
        for line in ["- log: Order #{{ body.id }} came", "channel: orders #urgent", "- log: Order # {{ body.id }}"] {
            assert_eq!(doubtful(line), 1, "{line}");
        }
        for line in ["a: b # a comment", "a: \"b #c\"", "# a #b", "a: { b: c } #d", "a: b ## c", "a: |\n  b #c", "a: b#c", "a: #c"] {
            assert_eq!(doubtful(line), 0, "{line}");
        }
    }

    #[test]
    fn invisible_characters_are_found_where_they_do_nothing() {
        assert_eq!(doubtful("a: \"{{ body.\u{200b}id }}\""), 1);
        assert_eq!(doubtful("a: so\u{ad}ft"), 1);
        assert_eq!(doubtful("a: 👩\u{200d}🔧"), 0);
        assert_eq!(doubtful("# \u{200b}"), 0);
    }
}
