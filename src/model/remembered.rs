//! What rules remember: a change of one value, as it is recorded together with the step that makes it.

use jiff::Timestamp;

/// A change of what is remembered under a key. Values are JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryChange {
    pub key: String,
    /// What the step found there: if there is something else by now, nothing may be recorded.
    pub before: Option<String>,
    /// What is there from now on; nothing forgets it.
    pub value: Option<String>,
    /// Until when it is remembered; for ever if there is no such moment.
    pub until: Option<Timestamp>,
    /// When the step was tried.
    pub at: Timestamp,
}
