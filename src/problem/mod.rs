//! A problem in a rule file: where it is, what is wrong, and what to write instead.
//!
//! Problems are collected, sorted and rendered in this one place, for people and as JSON for programs. No code depends on a
//! problem's text; whether a set of rules may run depends only on [`Severity`]. How to correct the file is in
//! [`correction`].

pub mod correction;
pub mod proof;

use std::fmt::Write as _;

use std::ops::Range;

use correction::{Correction, Edit, Proposal};

use crate::text::printable::{cut, one_line, short};

/// The most characters of a message, of what to write instead, and of each note: each may repeat text of a file, which can be
/// of any length.
const MOST_MESSAGE: usize = 500;
const MOST_LABEL: usize = 1_000;
const MOST_NOTE: usize = 2_000;

/// How serious it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The rules cannot be used.
    Error,
    /// The rules can be used, but somebody should check this.
    Warning,
    /// For information, such as a secret that a disabled rule will need.
    Note,
}

impl Severity {
    fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// One problem in a rule file, ready to be shown.
#[derive(Clone, Debug)]
pub struct Problem {
    pub severity: Severity,
    /// The file as the user named it, with `/`.
    pub file: String,
    /// Counted from 1; 0 for the whole file.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// How many characters the caret underlines.
    pub length: usize,
    /// One sentence, in the words of the rule language.
    pub message: String,
    /// What to do about it; shown next to the caret, unless there is a correction.
    pub label: String,
    /// More lines, such as the words that are valid here.
    pub notes: Vec<String>,
    /// The line of the file that is shown.
    pub text: String,
    /// Whether it points at a name, whose value may then not have been read.
    pub is_key: bool,
    /// Whether nothing else in the file could be read because of it.
    pub unread: bool,
    /// Whether it concerns several rules or addresses, which are compared only if all of them can be read.
    pub together: bool,
    /// The name of the secret or variable that is not set, if that is all that is wrong.
    pub not_set: Option<String>,
    /// What could be written instead, until it is tried.
    pub proposals: Vec<Proposal>,
    /// What to write instead.
    pub correction: Option<Correction>,
}

impl Problem {
    /// A problem of a whole file (it cannot be read, is not UTF-8, …).
    pub fn of_file(file: &str, message: impl Into<String>, label: impl Into<String>) -> Self {
        let notes = vec![label.into()].into_iter().filter(|n| !n.is_empty()).collect();
        Self {
            severity: Severity::Error,
            file: file.to_owned(),
            line: 0,
            column: 0,
            length: 0,
            message: message.into(),
            label: String::new(),
            notes,
            text: String::new(),
            is_key: false,
            unread: true,
            together: false,
            not_set: None,
            proposals: Vec::new(),
            correction: None,
        }
    }

    /// Proposes to write something else; `says` is shown if that solves the problem.
    pub fn propose(mut self, says: impl Into<String>, span: Option<Range<usize>>, text: impl Into<String>) -> Self {
        if let Some(span) = span {
            self.proposals.push(Proposal::new(Edit { file: self.file.clone(), span, text: text.into() }, says.into()));
        }
        self
    }

    /// The same for a change that is made in many lines alike.
    pub fn propose_everywhere(mut self, says: impl Into<String>, span: Range<usize>, text: impl Into<String>) -> Self {
        self.proposals.push(Proposal::everywhere(Edit { file: self.file.clone(), span, text: text.into() }, says.into()));
        self
    }

    /// What to do about it: the correction, if there is one.
    pub fn help(&self) -> &str {
        self.correction.as_ref().map_or(&self.label, |correction| correction.says())
    }

    /// The problem as shown to people, with the line and a caret below the place.
    pub fn draw(&self) -> String {
        // A message may repeat text with line breaks.
        let message = short(&self.message, MOST_MESSAGE);
        let label = cut(self.help(), MOST_LABEL);
        let notes = self.notes.iter().map(|n| cut(n, MOST_NOTE));
        if self.severity == Severity::Note {
            let more = notes.map(|n| format!("; {n}")).collect::<String>();
            return format!("note: {}:{}:{}: {message}{more}\n", self.file, self.line, self.column);
        }
        let mut out = format!("{}: {message}\n", self.severity.word());
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len() + 1);
        if self.line == 0 {
            let _ = writeln!(out, "  --> {}", self.file);
        } else {
            let _ = writeln!(out, "{gutter}--> {}:{}:{}", self.file, self.line, self.column);
            // A very long line is cut around the place.
            let from = self.column.saturating_sub(80);
            let window: String = self.text.chars().skip(from).take(160).collect();
            // A tab is shown as one space, so that the caret stays below its character.
            let window = one_line(&window);
            let _ = writeln!(out, "{gutter} |");
            let _ = writeln!(out, " {number} | {}", window.trim_end());
            let left = (window.chars().count() + 1).saturating_sub(self.column - from).max(1);
            let caret = "^".repeat(self.length.clamp(1, left));
            let line = format!("{gutter} | {}{caret} {label}", " ".repeat(self.column.saturating_sub(1 + from)));
            let _ = writeln!(out, "{}", line.trim_end());
        }
        // A problem of a whole file has its help among the notes.
        let help = self.correction.as_ref().filter(|_| self.line == 0).map(|c| cut(c.says(), MOST_LABEL));
        let skipped = usize::from(help.is_some());
        for note in help.into_iter().chain(notes.skip(skipped)) {
            let _ = writeln!(out, "{gutter} = {note}");
        }
        out
    }

    /// The problem as one JSON object: the stable format of `check --format json`.
    pub fn json(&self) -> serde_json::Value {
        let edit = self.correction.as_ref().map(Correction::edit);
        serde_json::json!({
            "severity": self.severity.word(),
            "file": self.file, "line": self.line, "column": self.column, "length": self.length,
            "message": short(&self.message, MOST_MESSAGE), "help": cut(self.help(), MOST_LABEL),
            "notes": self.notes.iter().map(|n| cut(n, MOST_NOTE)).collect::<Vec<_>>(),
            "correction": edit.map(|e| serde_json::json!({ "start": e.span.start, "end": e.span.end, "text": e.text })),
        })
    }
}

/// Sorts in reading order: by file, line and column; errors before warnings at the same place.
pub fn sort(problems: &mut Vec<Problem>) {
    problems.sort_by(|a, b| (&a.file, a.line, a.column, a.severity, &a.message).cmp(&(&b.file, b.line, b.column, b.severity, &b.message)));
    problems.dedup_by(|a, b| a.file == b.file && a.line == b.line && a.column == b.column && a.message == b.message);
}

/// Whether any of them prevents the rules from being used.
pub fn any_error(problems: &[Problem]) -> bool {
    problems.iter().any(|p| p.severity == Severity::Error)
}

/// All problems, one below the other; notes come last, one line each, or are only counted if there are errors.
pub fn draw_all(problems: &[Problem]) -> String {
    let is_note = |p: &&Problem| p.severity == Severity::Note;
    let mut out: String = problems.iter().filter(|p| !is_note(p)).map(|p| p.draw() + "\n").collect();
    let notes: String = match problems.iter().filter(is_note).count() {
        n @ 2.. if any_error(problems) => format!("note: {n} notes are not shown; they follow when the errors are fixed\n"),
        _ => problems.iter().filter(is_note).map(Problem::draw).collect(),
    };
    if !notes.is_empty() {
        out.push_str(&notes);
        out.push('\n');
    }
    out
}
