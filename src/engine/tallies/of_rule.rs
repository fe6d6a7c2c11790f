//! What is counted of one rule: its runs, their attempts, and for every address that starts it what the hourly counts need.

use std::sync::Arc;

use crate::model::run::{Attempt, State};
use crate::route::{Route, normal};
use crate::tally::Tally;

/// The outcomes of attempts, in the words of the history.
pub const OUTCOMES: [&str; 6] = ["done", "retry", "failed", "paused", "skipped", "stopped"];

/// How a run ended, in metrics; the states that a worker does not see are left out.
pub const ENDS: [(State, &str); 4] =
    [(State::Done, "done"), (State::Handled, "handled"), (State::Failed, "failed"), (State::Repeated, "not_run_again")];

/// What was counted of a rule since the start.
#[derive(Debug, Default)]
pub struct Totals {
    ends: [Tally; ENDS.len()],
    attempts: [Tally; OUTCOMES.len()],
    /// The attempts at a step that had been tried before.
    pub retries: Tally,
}

impl Totals {
    /// A run ended, or did not begin.
    pub fn ended(&self, state: State) {
        if let Some(n) = ENDS.iter().position(|(end, _)| *end == state) {
            self.ends[n].one();
        }
    }

    pub fn attempted(&self, attempt: &Attempt) {
        if let Some(n) = OUTCOMES.iter().position(|outcome| *outcome == attempt.outcome) {
            self.attempts[n].one();
        }
        if attempt.number > 1 {
            self.retries.one();
        }
    }

    pub fn ends(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ENDS.into_iter().map(|(_, word)| word).zip(self.ends.iter().map(Tally::now))
    }

    pub fn attempts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        OUTCOMES.into_iter().zip(self.attempts.iter().map(Tally::now))
    }
}

/// What happened to a rule at one address since the hourly counts were gathered.
#[derive(Debug, Default)]
pub struct AtAddress {
    pub(super) started: Tally,
    pub(super) ran: Tally,
    pub(super) failed: Tally,
}

/// One rule of the rule files, or all others together.
#[derive(Debug, Default)]
pub struct OfRule {
    pub totals: Arc<Totals>,
    /// By the addresses that start it. Nothing for a rule that is not enabled.
    pub(super) at: Vec<(Route, Arc<AtAddress>)>,
    /// At its own moments, and how many there were.
    pub(super) by_itself: Arc<(Tally, AtAddress)>,
}

impl OfRule {
    /// An event at this address started the rule.
    pub(super) fn started(&self, address: &str) {
        if let Some((_, at)) = self.at.iter().find(|(route, _)| route.text() == address) {
            at.started.one();
        }
    }

    /// A run ended, of an event that called this path; `None` for a moment of the rule.
    pub(super) fn ended(&self, path: Option<&str>, state: State) {
        self.totals.ended(state);
        let at = match (path, self.at.as_slice()) {
            (None, _) => Some(&self.by_itself.1),
            (Some(_), [(_, only)]) => Some(&**only),
            (Some(path), several) => several.iter().find(|(route, _)| route.fit(normal(path)).is_some()).map(|(_, at)| &**at),
        };
        let Some(at) = at else { return };
        match state {
            State::Done | State::Handled => at.ran.one(),
            State::Failed => at.failed.one(),
            State::Waiting | State::FailedForCaller | State::Cancelled | State::Repeated => {}
        }
    }
}
