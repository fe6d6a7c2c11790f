//! Collects the problems of one file while it is read: each is reported at its place, and gets its line number when all are
//! shown.
//!
//! [`super::fields`] walks through the values.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use super::locate::{Path, PathStep};
use super::place::{find_from, span_at, width_at};
use super::source::Source;
use crate::problem::correction::{Edit, Proposal};
use crate::problem::{Problem, Severity};

/// How many problems of one file are shown.
const MOST_SHOWN: usize = 100;
/// How often places are looked up while a file is read, and how many bytes are walked through for it.
const MOST_LOOKS: usize = 500;
const MOST_WALKED: usize = 64 << 20;

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
    looks: Cell<usize>,
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
    changes: Vec<Change>,
    region: Region,
    together: bool,
    not_set: Option<String>,
}

/// What could be written instead.
#[derive(Clone)]
struct Change {
    /// What is shown to people if it is right.
    says: String,
    /// The bytes to replace; `None` for the place that the problem points at.
    span: Option<Range<usize>>,
    text: String,
}

/// What a problem says about the map that it is in, so that one mistake is reported once.
#[derive(Clone, Default, PartialEq)]
enum Region {
    #[default]
    Other,
    /// This map has a key that is not known.
    Unknown(Path),
    /// This map lacks a key; where one is not known, that is probably the same mistake.
    Missing(Path),
}

impl<'a> Reader<'a> {
    /// Readers of several files share an effort.
    pub fn new(source: &'a Source, effort: &'a Effort) -> Self {
        Self { source, effort, drafts: RefCell::default(), counts: Default::default(), looks: Cell::new(0) }
    }

    /// Line and column of a place. In a file with very many mistakes, not all of them are worth this.
    pub(super) fn look(&self, path: &Path) -> Option<(usize, usize)> {
        let looks = self.looks.get();
        if looks >= MOST_LOOKS || looks.saturating_mul(self.source.text.len()) > MOST_WALKED {
            return None;
        }
        self.looks.set(looks + 1);
        self.source.locate(path)
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
        ProblemDraft {
            reader: self,
            draft: Draft {
                severity,
                path,
                within: None,
                message,
                label: String::new(),
                notes: Vec::new(),
                changes: Vec::new(),
                region: Region::Other,
                together: false,
                not_set: None,
            },
        }
    }

    /// Finds the line of every reported problem. Those not shown are summed up in one, with the severity of the first of
    /// them.
    pub fn problems(self) -> Vec<Problem> {
        let mut drafts = self.drafts.take();
        let unknown: Vec<Region> = drafts.iter().map(|d| d.region.clone()).filter(|r| matches!(r, Region::Unknown(_))).collect();
        drafts.retain(|draft| {
            let is_explained = matches!(&draft.region, Region::Missing(map) if unknown.contains(&Region::Unknown(map.clone())));
            if is_explained {
                let count = &self.counts[draft.severity as usize];
                count.set(count.get().saturating_sub(1));
            }
            !is_explained
        });
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
        let here = source.offset(line, column).and_then(|start| match length {
            Some(_) => self.within.as_ref().map(|needle| start..start + needle.lines().next().unwrap_or("").len()),
            None => span_at(&text, column, is_key).map(|width| start..start + width),
        });
        let length = length.unwrap_or_else(|| width_at(&text, column, is_key));
        let proposal = |change: Change| {
            let edit = Edit { file: source.name.clone(), span: change.span.or(here.clone())?, text: change.text };
            Some(Proposal::new(edit, change.says))
        };
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
            is_key,
            unread: false,
            together: self.together,
            not_set: self.not_set,
            proposals: self.changes.into_iter().filter_map(proposal).collect(),
            correction: None,
        }
    }
}

/// A problem while it is being described.
#[must_use = "call `add`"]
pub struct ProblemDraft<'a> {
    reader: &'a Reader<'a>,
    draft: Draft,
}

impl ProblemDraft<'_> {
    /// What to do, next to the caret. It never contains a text to write in place of the author's own: that is a proposal.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.draft.label = label.into();
        self
    }
    /// It concerns several rules or addresses.
    pub fn together(mut self) -> Self {
        self.draft.together = true;
        self
    }
    /// Nothing is wrong but that this secret or variable is not set.
    pub fn not_set(mut self, name: &str) -> Self {
        self.draft.not_set = Some(name.to_owned());
        self
    }
    /// It is only a warning.
    pub fn warn(mut self) -> Self {
        self.draft.severity = Severity::Warning;
        self
    }
    /// Proposes another word for what the problem points at.
    pub fn meant(self, word: &str) -> Self {
        self.propose(format!("did you mean `{word}`?"), word)
    }
    /// The same, where the word is a part of what the problem points at, which becomes `whole`.
    pub fn meant_as(self, word: &str, whole: &str) -> Self {
        self.propose(format!("did you mean `{word}`?"), whole)
    }
    /// Proposes another text for what the problem points at, as it is written in the file.
    pub fn write(self, text: &str) -> Self {
        self.propose(format!("write {text}"), text)
    }
    /// Proposes another text for what the problem points at; `says` is shown if it is right.
    pub fn propose(mut self, says: impl Into<String>, text: &str) -> Self {
        self.draft.changes.push(Change { says: says.into(), span: None, text: text.to_owned() });
        self
    }
    /// Proposes another text for some bytes of the file.
    pub fn change(mut self, says: impl Into<String>, span: Option<Range<usize>>, text: impl Into<String>) -> Self {
        if span.is_some() {
            self.draft.changes.push(Change { says: says.into(), span, text: text.into() });
        }
        self
    }
    /// Proposes to align the key that this points at, with what is below it, with the key that it is under.
    pub fn one_level_out(self) -> Self {
        let source = self.reader.source;
        let begins = |(line, column): &(usize, usize)| super::layout::indent(source.line(*line)) + 1 == *column;
        match self.reader.look(&self.draft.path).filter(begins).and_then(|(line, _)| source.one_level_out(line)) {
            Some((span, text)) => self.change("align it with the line that it is under, further to the left", Some(span), text),
            None => self,
        }
    }
    /// The map that this is about has a key that is not known.
    pub(super) fn unknown_in(mut self, map: &Path) -> Self {
        self.draft.region = Region::Unknown(map.clone());
        self
    }
    /// The map that this is about lacks a key.
    pub(super) fn missing_in(mut self, map: &Path) -> Self {
        self.draft.region = Region::Missing(map.clone());
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
        let source = Source::stored("a.yaml", format!("a: 1\n#{}\n", " ".repeat(size)));
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
