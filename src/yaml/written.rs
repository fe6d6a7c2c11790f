//! How a value is written in its file: its text, its bytes and its lines, to write something else in their place.

use std::ops::Range;

use super::fields::Item;
use super::layout::{self, Rewritten};
use super::locate::{Path, PathStep};
use super::{Node, below, place};
use crate::text::span;

impl<'a> Item<'a> {
    /// The value as it is written, if it ends on the line where it begins.
    pub fn raw(&self) -> Option<&'a str> {
        let (line, column) = self.look(&self.path)?;
        let start = self.source().offset(line, column)?;
        let length = place::span_at(self.source().line(line), column, matches!(self.path.last(), Some(PathStep::Key(_))))?;
        Some(span::between(&self.source().text, start, start + length))
    }

    /// From where the value begins to the end of the line.
    pub(super) fn span_after(&self) -> Option<Range<usize>> {
        let (line, column) = self.look(&self.path)?;
        let start = self.source().offset(line, column)?;
        Some(start..self.source().line_start(line)? + self.source().line(line).trim_end().len())
    }

    pub(super) fn line_after(&self) -> Option<&'a str> {
        self.span_after().map(|s| span::between(&self.source().text, s.start, s.end))
    }

    /// The bytes from the beginning of this entry's key to the end of its value; of the key and its colon if this is a key.
    pub fn entry_span(&self) -> Option<Range<usize>> {
        let key = self.at(&self.at_its_key());
        let (line, column) = self.look(&key.path)?;
        let start = self.source().offset(line, column)?;
        let (line, column) = self.look(&self.path)?;
        let at = self.source().offset(line, column)?;
        Some(start..at + place::span_at(self.source().line(line), column, matches!(self.path.last(), Some(PathStep::Key(_))))?)
    }

    /// The bytes of the key.
    pub fn key_span(&self) -> Option<Range<usize>> {
        let key = self.at(&self.at_its_key());
        let (line, column) = self.look(&key.path)?;
        let start = self.source().offset(line, column)?;
        Some(start..start + place::span_at(self.source().line(line), column, true)?)
    }

    /// The value of the only entry of this map, as it is written.
    pub fn only_value_raw(&self) -> Option<&'a str> {
        let Node::Map(entries) = self.node else { return None };
        let [_] = entries.as_slice() else { return None };
        self.at(&below(&self.path, PathStep::Value(0))).raw()
    }

    /// The lines of this map, if each entry has one: with their indentation, changed.
    pub fn each_line(&self, change: impl Fn(&str) -> String) -> Rewritten {
        let Node::Map(entries) = self.node else { return None };
        let first = self.line()?;
        let last = first + entries.len() - 1;
        let depth = layout::indent(self.source().line(first));
        let is_one_each =
            (first..=last).all(|n| layout::indent(self.source().line(n)) == depth && !layout::is_blank(self.source().line(n)));
        let changed = |_: usize, line: &str| " ".repeat(depth) + &change(line.trim_start());
        if is_one_each { self.source().rewritten(first, last, changed) } else { None }
    }

    /// The bytes of some text in this value, as it is written.
    pub fn span_within(&self, text: &str) -> Option<Range<usize>> {
        let start = self.span_after()?.start;
        let at = start + span::from(&self.source().text, start).find(text)?;
        Some(at..at + text.len())
    }

    /// The bytes of the value, to the end of its last line.
    pub fn whole_span(&self) -> Option<Range<usize>> {
        let start = self.span_after()?.start;
        let key = self.at(&self.at_its_key()).line()?;
        Some(start..self.source().span_of(key, self.source().block_end(key))?.end)
    }

    /// Whether the entry is inside of `{ }`.
    pub(super) fn is_in_braces(&self) -> bool {
        let key = self.at(&self.at_its_key());
        let place = self.look(&key.path);
        place.is_some_and(|(line, column)| self.source().line(line).chars().take(column - 1).any(|c| c == '{'))
    }

    /// The line on which the value begins.
    pub fn line(&self) -> Option<usize> {
        self.look(&self.path).map(|(line, _)| line)
    }

    /// Whether the value is in quotes, so that it is certainly meant as text.
    pub fn is_quoted(&self) -> bool {
        let first = |(line, column): (usize, usize)| self.source().line(line).chars().nth(column - 1);
        self.look(&self.path).is_none_or(|place| matches!(first(place), Some('"' | '\'' | '|' | '>')))
    }

    /// The place of its key.
    pub(super) fn at_its_key(&self) -> Path {
        let mut path = self.path.clone();
        if let Some(PathStep::Value(n)) = path.last().copied() {
            path.pop();
            path.push(PathStep::Key(n));
        }
        path
    }
}
