//! A rule file's text, under the name that the user knows, and positions in it. [`super`] reads values from it.

use std::sync::OnceLock;

use super::locate::{self, Path};
use crate::problem::Problem;
use crate::text::span;

/// The maximum size of a rule file, in bytes.
pub const MAX_FILE: usize = 4 << 20;

/// A rule file's name, as shown to the user, and its text.
#[derive(Debug, Clone)]
pub struct Source {
    pub name: String,
    pub text: String,
    /// Where each line begins, found when somebody asks: help looks at many lines, one after the other.
    starts: OnceLock<Vec<usize>>,
}

impl Source {
    /// Makes a source from a file's bytes: no BOM, and a newline at the end.
    pub fn new(name: &str, bytes: Vec<u8>) -> Result<Self, Box<Problem>> {
        if bytes.len() > MAX_FILE {
            let said = format!("this file is larger than {} MB", MAX_FILE >> 20);
            return Err(Box::new(Problem::of_file(name, said, "split it into several files; all files in the folder are read")));
        }
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return Err(Box::new(Problem::of_file(name, "this file is not UTF-8 text; it is UTF-16", "save it as UTF-8 in your editor")));
        }
        let mut text = String::from_utf8(bytes).map_err(|e| {
            let line = e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
            let help = format!("line {line} is not UTF-8; save the file as UTF-8 in your editor");
            Box::new(Problem::of_file(name, "this file is not UTF-8 text", help))
        })?;
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Ok(Self::stored(name, text))
    }

    /// The same of text that was a source before.
    pub fn stored(name: impl Into<String>, text: String) -> Self {
        Self { name: name.into(), text, starts: OnceLock::new() }
    }

    /// Line and column, from 1, of the value or key that `path` leads to.
    pub fn locate(&self, path: &Path) -> Option<(usize, usize)> {
        locate::locate(&self.text, path)
    }

    /// The position in the text of a line and column, in bytes.
    pub fn offset(&self, line: usize, column: usize) -> Option<usize> {
        let start = self.line_start(line)?;
        let rest = span::from(&self.text, start);
        let on_line = rest.split_once('\n').map_or(rest, |(l, _)| l);
        Some(start + on_line.char_indices().nth(column.saturating_sub(1)).map_or(on_line.len(), |(i, _)| i))
    }

    /// Where a line begins in the text, in bytes; the end of the text for the line after the last.
    pub fn line_start(&self, number: usize) -> Option<usize> {
        self.starts().get(number.checked_sub(1)?).copied()
    }

    fn starts(&self) -> &[usize] {
        self.starts.get_or_init(|| std::iter::once(0).chain(self.text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// How many lines the file has.
    pub fn lines(&self) -> usize {
        let starts = self.starts();
        // After the last line break there is usually nothing.
        starts.len() - usize::from(starts.last() == Some(&self.text.len()))
    }

    /// One line of the file, counted from 1.
    pub fn line(&self, number: usize) -> &str {
        let number = number.max(1);
        let Some(start) = self.line_start(number) else { return "" };
        let end = self.line_start(number + 1).unwrap_or(self.text.len());
        let line = span::between(&self.text, start, end);
        line.strip_suffix('\n').map_or(line, |line| line.strip_suffix('\r').unwrap_or(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_the_text() {
        for text in ["", "a", "a\n", "a\n\n", "\na\r\n b\n", "é\n\r\nx", "a\rb\r"] {
            let source = Source::stored("a.yaml", text.to_owned());
            let lines: Vec<&str> = (1..=source.lines()).map(|n| source.line(n)).collect();
            assert_eq!(lines, text.lines().collect::<Vec<_>>(), "{text:?}");
            assert_eq!(source.line(source.lines() + 1), "", "{text:?}");
        }
    }
}
