//! A rule file's text, under the name that the user knows, and positions in it. [`super`] reads values from it.

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
        Ok(Self { name: name.to_owned(), text })
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
        let mut starts = std::iter::once(0).chain(self.text.match_indices('\n').map(|(at, _)| at + 1));
        starts.nth(number.checked_sub(1)?)
    }

    /// One line of the file, counted from 1.
    pub fn line(&self, number: usize) -> &str {
        self.text.lines().nth(number.saturating_sub(1)).unwrap_or("")
    }
}
