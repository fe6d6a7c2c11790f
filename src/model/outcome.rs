//! How an attempt ended, and what it produced. What this means for a run is decided in `run`.

use std::time::Duration;

use serde_json::Value;

use crate::model::answer::Answer;

/// The results of a successful attempt.
#[derive(Debug, Default)]
pub struct Success {
    /// One line for the run's history.
    pub said: String,
    /// The value for `save_as`.
    pub output: Option<Value>,
    /// The answer for the caller, if this was a `respond`.
    pub answer: Option<Answer>,
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
    /// It was not attempted, because it is not its turn yet; it will be after about this time.
    Deferred(Duration),
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
    /// A permanent failure without a response from a target.
    pub fn failed(why: impl Into<String>) -> Self {
        Outcome::Failed { why: why.into(), status: None }
    }
    /// A failure that may succeed if retried later.
    pub fn retry(why: impl Into<String>) -> Self {
        Outcome::Retry { why: why.into(), not_before: None, status: None, receipt: None }
    }
}
