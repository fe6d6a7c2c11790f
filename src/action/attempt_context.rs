//! What an effect knows of the attempt that it is performed in. What it does with that is left to its kind.

use std::time::Duration;

use crate::model::event::EventId;
use crate::model::place::Place;
use crate::model::run::RunId;

/// On whose behalf an effect is performed.
#[derive(Debug, Clone)]
pub struct AttemptContext {
    pub event: EventId,
    pub run: RunId,
    pub place: Place,
    /// The same for every try of one step and element.
    pub idempotency_key: String,
    /// How many events have led to this one, itself included.
    pub hops: u32,
    /// How long one try may take.
    pub timeout: Duration,
}

impl AttemptContext {
    /// What the attempt stands for, as intents name it.
    pub(super) fn effect(&self) -> (RunId, u32, u32) {
        (self.run, self.place.step, self.place.element)
    }
}
