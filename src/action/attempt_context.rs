//! What an effect knows about the attempt that it belongs to. Each kind of action decides how to use this.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::event::EventId;
use crate::model::place::Place;
use crate::model::run::RunId;

/// The context in which an effect is performed.
#[derive(Debug, Clone)]
pub struct AttemptContext {
    pub event: EventId,
    pub run: RunId,
    pub place: Place,
    /// The same for every attempt of one step and element.
    pub idempotency_key: String,
    /// How many events have led to this one, including itself.
    pub hops: u32,
    /// Whether a failure led to it, so that its calls say so.
    pub is_after_failure: bool,
    /// The headers by which a call passes a trace on.
    pub trace: Vec<(&'static str, String)>,
    /// When it began.
    pub at: Timestamp,
    /// The timeout of one attempt.
    pub timeout: Duration,
}

impl AttemptContext {
    /// The key of this effect, as used in intents.
    pub(super) fn effect(&self) -> (RunId, u32, u32) {
        (self.run, self.place.step, self.place.element)
    }
}
