//! What an effect knows about the attempt that it belongs to. Each kind of action decides how to use this.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::bodies::BodiesSlot;
use crate::model::event::EventId;
use crate::model::place::Place;
use crate::model::run::{RunId, idempotency_key};

/// The context in which an effect is performed.
#[derive(Debug, Clone)]
pub struct AttemptContext {
    pub event: EventId,
    pub run: RunId,
    pub place: Place,
    /// How often the run was replayed before.
    pub replays: u32,
    /// How many events have led to this one, including itself.
    pub hops: u32,
    /// Whether another rule called this one, so that there is nobody to answer.
    pub is_called: bool,
    /// Whether a failure led to it, so that its calls say so.
    pub is_after_failure: bool,
    /// The headers by which a call passes a trace on.
    pub trace: Vec<(&'static str, String)>,
    /// When it began.
    pub at: Timestamp,
    /// The timeout of one attempt.
    pub timeout: Duration,
    /// Where what was sent and what came back is kept, if the step says so.
    pub bodies: Option<BodiesSlot>,
}

impl AttemptContext {
    /// The same for every attempt of one step and element. Made on demand, because writing to a file needs none.
    pub(super) fn idempotency_key(&self) -> String {
        idempotency_key(self.event, self.run, self.place, self.replays)
    }

    /// The key of this effect, as used in intents.
    pub(super) fn effect(&self) -> (RunId, u32, u32) {
        (self.run, self.place.step, self.place.element)
    }
}
