//! How an attempt ended, and what it produced. What this means for a run is decided in `run`.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::model::answer::Answer;
use crate::model::called::RuleCall;
use crate::model::remembered::MemoryChange;
use crate::secret::Vault;
use crate::text::printable::short;

/// The most characters of what a step says when it succeeds, and when it fails.
const MOST_SAID: usize = 10_000;
const MOST_WHY: usize = 1_000;

/// The results of a successful attempt.
#[derive(Debug, Default)]
pub struct Success {
    /// One line for the run's history.
    pub said: String,
    /// The value for `save_as`.
    pub output: Option<Value>,
    /// The answer for the caller, if this was a `respond`.
    pub answer: Option<Answer>,
    /// When what follows may begin.
    pub until: Option<Timestamp>,
    /// What is remembered from now on, if that changes.
    pub memory: Option<Box<MemoryChange>>,
    /// Held until the run is recorded; a file's writer waits for it.
    pub receipt: Option<Receipt>,
}

/// Dropped when the effect that it belongs to has been recorded.
pub type Receipt = tokio::sync::mpsc::Sender<()>;

/// How an attempt ended. The worker handles every case.
#[derive(Debug)]
pub enum Outcome {
    Done(Success),
    /// The step's `if` was not true, or there was no element.
    Skipped(String),
    /// `do:`: continue with the steps inside it.
    Entered,
    /// `stop`: the run ends successfully.
    Stopped(String),
    /// `return`: the run ends successfully, and its caller gets this.
    Returned {
        said: String,
        value: Value,
    },
    /// `run_rule`: another rule is to be run. What this leads to depends on that rule.
    Calls(Box<RuleCall>),
    /// The run waits for the end of this rule, which it has called.
    Awaits(String),
    /// It was not attempted, because it is not its turn yet; it will be after about this time.
    Deferred(Duration),
    /// It was not attempted, because its target is left alone for this time. Unlike a deferral, the history says so.
    Paused {
        why: String,
        wait: Duration,
    },
    Retry {
        why: String,
        /// The delay that the target requested.
        not_before: Option<Duration>,
        /// The target's status, if it responded.
        status: Option<u16>,
        /// As in [`Success`].
        receipt: Option<Receipt>,
    },
    Failed {
        why: String,
        /// The target's status, if it responded.
        status: Option<u16>,
    },
}

impl Outcome {
    /// The outcome as it is recorded, shown, and passed on to later steps: without secrets, its sentence on one line and cut.
    /// Secrets are redacted before anything is cut, because a part of a secret would not be recognized.
    /// The output is kept only if it `is_saved` under a name.
    pub fn for_history(self, vault: &Vault, is_saved: bool) -> Self {
        let said = |text: String| short(&vault.strike(&text), MOST_SAID);
        let cut = |text: String| short(&vault.strike(&text), MOST_WHY);
        match self {
            Outcome::Done(success) => {
                let output = success.output.filter(|_| is_saved).map(|value| vault.strike_value(value));
                Outcome::Done(Success { said: said(success.said), output, ..success })
            }
            Outcome::Skipped(text) => Outcome::Skipped(said(text)),
            Outcome::Stopped(text) => Outcome::Stopped(said(text)),
            Outcome::Returned { said: text, value } => Outcome::Returned { said: said(text), value: vault.strike_value(value) },
            Outcome::Retry { why, not_before, status, receipt } => Outcome::Retry { why: cut(why), not_before, status, receipt },
            Outcome::Failed { why, status } => Outcome::Failed { why: cut(why), status },
            Outcome::Paused { why, wait } => Outcome::Paused { why: cut(why), wait },
            Outcome::Entered | Outcome::Deferred(_) | Outcome::Calls(_) | Outcome::Awaits(_) => self,
        }
    }

    /// The failure of a step that is not tried again, because a caller who waits for an answer would get it too late.
    pub fn given_up_for_caller(self) -> Self {
        const WHY: &str = "because the caller is waiting for an answer and it would be too late";
        match self {
            Outcome::Retry { why, status, .. } => Outcome::Failed { why: format!("{why} (not tried again, {WHY})"), status },
            Outcome::Paused { why, .. } => Outcome::failed(format!("{why} (not waited for, {WHY})")),
            other => other,
        }
    }

    /// The failure of a step whose target was left alone for too long; any other outcome stays as it is.
    pub fn given_up_after_pause(self) -> Self {
        match self {
            Outcome::Paused { why, .. } => Outcome::failed(format!("{why} (given up after 24 hours)")),
            other => other,
        }
    }

    /// A permanent failure without a response from a target.
    pub fn failed(why: impl Into<String>) -> Self {
        Outcome::Failed { why: why.into(), status: None }
    }
    /// A failure that may succeed if retried later.
    pub fn retry(why: impl Into<String>) -> Self {
        Outcome::Retry { why: why.into(), not_before: None, status: None, receipt: None }
    }
}
