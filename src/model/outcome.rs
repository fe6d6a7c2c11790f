//! How an attempt ended, and what it leaves behind. What a run makes of it is left to `run`.

use std::time::Duration;

use serde_json::Value;

use crate::model::answer::Answer;

/// What is left behind by an attempt that is done.
#[derive(Debug, Default)]
pub struct Success {
    /// One line for the run's history.
    pub said: String,
    /// What `save_as` keeps.
    pub output: Option<Value>,
    /// The answer for the caller, if this was a `respond`.
    pub answer: Option<Answer>,
    /// Held until the run is recorded; a file's writer waits for it.
    pub receipt: Option<Receipt>,
}

/// Dropped when what it stands for has been recorded.
pub type Receipt = tokio::sync::mpsc::Sender<()>;

/// How an attempt ended. The worker looks at every case.
#[derive(Debug)]
pub enum Outcome {
    Done(Success),
    /// The step's `if` did not hold, or there was no element.
    Skipped(String),
    /// `do:`: the steps inside follow.
    Entered,
    /// `stop`: the run ends, well.
    Stopped(String),
    /// It was not tried, because its turn has not come; it will about after this time.
    Deferred(Duration),
    Retry {
        why: String,
        /// The target's own wish.
        not_before: Option<Duration>,
        /// What the target answered, if it did.
        status: Option<u16>,
        /// As in [`Success`].
        receipt: Option<Receipt>,
    },
    Failed {
        why: String,
        /// What the target answered, if it did.
        status: Option<u16>,
    },
}

impl Outcome {
    /// A failure for good that no target answered.
    pub fn failed(why: impl Into<String>) -> Self {
        Outcome::Failed { why: why.into(), status: None }
    }
    /// Something that may work a little later.
    pub fn retry(why: impl Into<String>) -> Self {
        Outcome::Retry { why: why.into(), not_before: None, status: None, receipt: None }
    }
}
