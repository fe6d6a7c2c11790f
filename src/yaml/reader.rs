//! Collects the problems of one file while it is read: each is reported at its place, and gets its line number when all are
//! shown.
//!
//! [`super::fields`] walks through the values.

use std::cell::{Cell, RefCell};

use super::locate::{Path, PathStep};
use super::source::Source;
use crate::problem::{Problem, Severity};
use crate::text::span;

/// How many problems of one file are shown.
const MOST_SHOWN: usize = 100;

/// How much may still be spent on finding the lines of problems, in bytes: each costs another walk through its file.
pub struct Effort(Cell<usize>);

impl Default for Effort {
    fn default() -> Self {
        Self(Cell::new(32 << 20))
    }
}

/// Collects the problems of one file.
pub struct Reader<'a> {
    pub source: &'a Source,
    effort: &'a Effort,
    /// The first ones of each severity; the others would not be shown.
    drafts: RefCell<Vec<Draft>>,
    /// How many there are of each severity.
    counts: [Cell<usize>; 3],
}

/// A problem whose line is not known yet.
#[derive(Clone)]
struct Draft {
    severity: Severity,
    path: Path,
    within: Option<String>,
    message: String,
    label: String,
    notes: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Readers of several files share an effort.
    pub fn new(source: &'a Source, effort: &'a Effort) -> Self {
        Self { source, effort, drafts: RefCell::default(), counts: Default::default() }
    }

    /// How many errors have been reported so far.
    pub(super) fn errors(&self) -> usize {
        self.counts[Severity::Error as usize].get()
    }

    /// Whether an error that is reported now would be shown; if not, it needs no details.
    pub(super) fn shows_more_errors(&self) -> bool {
        self.errors() < MOST_SHOWN
    }

    /// Line and column of a place, unless that takes too much effort.
    pub(super) fn locate(&self, path: &Path) -> Option<(usize, usize)> {
        let left = self.effort.0.get().checked_sub(self.source.text.len())?;
        self.effort.0.set(left);
        self.source.locate(path).or(Some((1, 1)))
    }

    fn add(&self, draft: Draft) {
        let count = &self.counts[draft.severity as usize];
        if count.replace(count.get() + 1) < MOST_SHOWN {
            self.drafts.borrow_mut().push(draft);
        }
    }

    /// Begins to report a problem at a place.
    pub(super) fn draft(&'a self, severity: Severity, path: Path, message: String) -> ProblemDraft<'a> {
        ProblemDraft { reader: self, draft: Draft { severity, path, within: None, message, label: String::new(), notes: Vec::new() } }
    }

    /// Finds the line of every reported problem. Those not shown are summed up in one, with the severity of the first of
    /// them.
    pub fn problems(self) -> Vec<Problem> {
        let mut drafts = self.drafts.take();
        drafts.sort_by_key(|d| d.severity);
        let mut out: Vec<Problem> = Vec::new();
        for draft in drafts.into_iter().take(MOST_SHOWN) {
            let Some(place) = self.locate(&draft.path) else { break };
            out.push(draft.settle(self.source, place));
        }
        let all = [Severity::Error, Severity::Warning, Severity::Note].into_iter().zip(self.counts.iter().map(Cell::get));
        let mut before = 0;
        let first_hidden = all.clone().find(|(_, n)| {
            before += n;
            before > out.len()
        });
        if let Some((severity, _)) = first_hidden {
            let hidden = all.map(|(_, n)| n).sum::<usize>() - out.len();
            let said = format!("{hidden} more problems in this file are not shown");
            let rest = Problem::of_file(&self.source.name, said, "fix the problems above, then check again");
            out.push(Problem { severity, ..rest });
        }
        out
    }
}

impl Draft {
    fn settle(self, source: &Source, (mut line, mut column): (usize, usize)) -> Problem {
        let is_key = matches!(self.path.last(), Some(PathStep::Key(_)));
        let mut length = None;
        if let Some(needle) = &self.within
            && let Some((l, c)) = find_from(&source.text, line, column, needle)
        {
            (line, column, length) = (l, c, Some(needle.chars().count()));
        }
        let text = source.line(line).to_owned();
        let length = length.unwrap_or_else(|| width_at(&text, column, is_key));
        Problem {
            severity: self.severity,
            file: source.name.clone(),
            line,
            column,
            length,
            message: self.message,
            label: self.label,
            notes: self.notes,
            text,
        }
    }
}

/// Where `needle` next occurs at or after a place, at most 200 lines on.
fn find_from(text: &str, line: usize, column: usize, needle: &str) -> Option<(usize, usize)> {
    let first = needle.lines().next().unwrap_or("");
    for (n, l) in text.lines().enumerate().skip(line - 1).take(200) {
        let skip = if n + 1 == line { l.char_indices().nth(column - 1).map_or(l.len(), |(i, _)| i) } else { 0 };
        if let Some(at) = span::from(l, skip).find(first) {
            return Some((n + 1, span::before(l, skip + at).chars().count() + 1));
        }
    }
    None
}

/// How many characters the key or value at this column takes on its line.
fn width_at(line: &str, column: usize, is_key: bool) -> usize {
    let rest: String = line.chars().skip(column - 1).collect();
    let rest = rest.trim_end();
    let chars = |s: &str| s.chars().count().max(1);
    for quote in ['"', '\''] {
        if let Some(inner) = rest.strip_prefix(quote) {
            return inner.split_once(quote).map_or(chars(rest), |(text, _)| text.chars().count() + 2);
        }
    }
    if is_key {
        return rest.find(": ").or_else(|| rest.strip_suffix(':').map(str::len)).map_or(1, |end| chars(span::before(rest, end)));
    }
    let value = rest.split(" #").next().unwrap_or(rest);
    if value.starts_with(['{', '[']) && !value.starts_with("{{") || value.starts_with(['|', '>']) {
        return 1;
    }
    if line.chars().take(column - 1).any(|c| c == '{' || c == '[') && !value.starts_with("{{") {
        return chars(value.split([',', '}', ']']).next().unwrap_or(value).trim_end());
    }
    chars(value.trim_end())
}

/// A problem while it is being described.
#[must_use = "call `add`"]
pub struct ProblemDraft<'a> {
    reader: &'a Reader<'a>,
    draft: Draft,
}

impl ProblemDraft<'_> {
    /// What to write instead; shown next to the caret.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.draft.label = label.into();
        self
    }
    /// Another line, such as the words that are valid here.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.draft.notes.push(note.into());
        self
    }
    /// Points at these characters inside the value rather than at its beginning.
    pub fn within(mut self, letters: &str) -> Self {
        self.draft.within = Some(letters.to_owned());
        self
    }
    /// Points at the key instead of the value.
    pub fn at_key(mut self) -> Self {
        if let Some(PathStep::Value(n)) = self.draft.path.last().copied() {
            self.draft.path.pop();
            self.draft.path.push(PathStep::Key(n));
        }
        self
    }
    pub fn add(self) {
        self.reader.add(self.draft);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Node;

    /// Reports this many problems of a severity in a file of this size; returns how many are shown, and the last one.
    fn shown(size: usize, all: &[(Severity, usize)]) -> (usize, Problem) {
        let source = Source { name: "a.yaml".into(), text: format!("a: 1\n#{}\n", " ".repeat(size)) };
        let effort = Effort::default();
        let reader = Reader::new(&source, &effort);
        for (severity, count) in all {
            (0..*count).for_each(|n| reader.top(&Node::Null).tell(*severity, format!("{n}")).add());
        }
        let mut problems = reader.problems();
        let last = problems.pop().unwrap();
        (problems.len(), last)
    }

    #[test]
    fn a_hundred_problems_are_shown_and_fewer_of_a_large_file() {
        let (count, last) = shown(0, &[(Severity::Warning, 2), (Severity::Error, 98)]);
        assert_eq!((count, last.severity, last.message.as_str()), (99, Severity::Warning, "1"));
        let (count, last) = shown(0, &[(Severity::Warning, 3), (Severity::Error, 99)]);
        assert_eq!((count, last.severity, last.message.as_str()), (100, Severity::Warning, "2 more problems in this file are not shown"));
        let (count, last) = shown(0, &[(Severity::Error, 20_000), (Severity::Note, 1)]);
        assert_eq!((count, last.severity, last.message.as_str()), (100, Severity::Error, "19901 more problems in this file are not shown"));
        let (count, last) = shown(4 << 20, &[(Severity::Error, 100)]);
        assert_eq!((count, last.message.as_str()), (7, "93 more problems in this file are not shown"));
    }
}
