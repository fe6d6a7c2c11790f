//! What made an event: a request, or Doorbell itself. The methods here are no methods of HTTP, and no address accepts them; the
//! address of such an event is the name of a rule.

use super::event::Event;

/// It is time for a rule.
pub const SCHEDULE: &str = "SCHEDULE";
/// A run of a rule has failed for good.
pub const FAILED: &str = "FAILED";
/// Nothing came for so long that a rule starts, or something came again.
pub const SILENT: &str = "SILENT";

/// Marks Doorbell's own calls in runs that an event of a failure led to, so that their failures start no rule again.
pub const AFTER_FAILURE: &str = "doorbell-after-failure";

/// What made an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin<'e> {
    Request,
    /// A moment of this rule.
    Moment(&'e str),
    /// The silence that this rule waits for, or its end.
    Silence(&'e str),
    /// A failure of a run of this rule.
    Failure(&'e str),
}

/// Whether events with this method are requests.
pub fn is_request(method: &str) -> bool {
    !matches!(method, SCHEDULE | FAILED | SILENT)
}

impl Event {
    pub fn origin(&self) -> Origin<'_> {
        match &*self.method {
            SCHEDULE => Origin::Moment(&self.address),
            SILENT => Origin::Silence(&self.address),
            FAILED => Origin::Failure(&self.address),
            _ => Origin::Request,
        }
    }

    pub fn is_request(&self) -> bool {
        self.origin() == Origin::Request
    }

    /// Whether a failure led to it: directly, or by a call of a rule that a failure started.
    pub fn is_after_failure(&self) -> bool {
        matches!(self.origin(), Origin::Failure(_)) || self.headers.iter().any(|(name, _)| name == AFTER_FAILURE)
    }
}
