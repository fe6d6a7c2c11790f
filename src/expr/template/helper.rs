//! The definition of a helper: its name, its description for the docs, and a function from values to a value. What each
//! one does is in `helpers`, and the list of them is in [`super::list`].

use std::ops::RangeInclusive;

use serde_json::Value;

use super::argument::Wants;
use super::length::MAX_RENDERED;
use crate::model::budget::Spent;

/// One helper, as listed in the docs.
pub struct Helper {
    pub name: &'static str,
    /// Its syntax.
    pub usage: &'static str,
    /// What it returns, in one line.
    pub does: &'static str,
    /// A template and its result for [`super::list::EXAMPLE_BODY`].
    pub example: (&'static str, &'static str),
    /// How many arguments it takes.
    pub(super) takes: RangeInclusive<usize>,
    /// What each argument must be; one that is not listed can be anything.
    pub(super) wants: &'static [Wants],
    /// Whether it receives text that identifies this step of this event, before its own arguments.
    pub(super) seeded: bool,
    pub(super) run: fn(&[Option<&Value>]) -> Given,
}

/// Why a helper has no result.
pub(super) enum Wrong {
    /// The argument with this index is missing.
    Missing(usize),
    Said(String),
    Spent(Spent),
}

impl From<Spent> for Wrong {
    fn from(spent: Spent) -> Self {
        Wrong::Spent(spent)
    }
}

/// The result of a helper; `None` if the value is missing.
pub(super) type Given = Result<Option<Value>, Wrong>;

pub(super) fn said(text: impl Into<String>) -> Wrong {
    Wrong::Said(text.into())
}

/// Refuses text that is longer than the limit.
pub(super) fn short_enough(length: usize) -> Result<(), Wrong> {
    match length > MAX_RENDERED {
        true => Err(said(format!("text longer than {} MB cannot be processed; use less of it", MAX_RENDERED >> 20))),
        false => Ok(()),
    }
}

impl Helper {
    /// What the argument with this index must be.
    pub(super) fn wants(&self, n: usize) -> Wants {
        self.wants.get(n).copied().unwrap_or(Wants::Anything)
    }

    /// The number of its arguments, in plain English.
    pub(super) fn wants_count(&self) -> String {
        match (self.takes.start(), self.takes.end()) {
            (0, 0) => "no arguments".to_owned(),
            (1, 1) => "one argument".to_owned(),
            (a, b) if a == b => format!("{a} arguments"),
            (a, b) if b - a == 1 => format!("{a} or {b} arguments"),
            (a, b) => format!("{a} to {b} arguments"),
        }
    }
}
