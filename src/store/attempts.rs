//! The history entries (attempts) that a store writes itself, and the reason for a state that it reads from them.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::event::EventId;
use crate::model::place::Place;
use crate::model::run::{Attempt, Run};
use crate::model::second_error;
use crate::store::starts::{FailedRun, FailureReport};
use crate::text::printable::short;

/// How often a run may crash the program.
pub(super) const MOST_CRASHES: u32 = 3;

/// What the caller of a run is told whose `once_per` value was used before.
pub(super) const ALREADY_USED: &str = "its `once_per` value was already used";

/// Why a run is in its state: for a failed run the original failure, not what its `on_error:` did afterwards; if that failed, too,
/// both. Of what the run saved, this needs only its unfinished elements and [`ON_ERROR`](second_error::ON_ERROR).
pub fn why(run: &Run, attempts: &[Attempt]) -> String {
    if !run.state.has_failed() {
        return attempts.last().map(|a| a.said.clone()).unwrap_or_default();
    }
    let on_error = second_error::failed_at(&run.saved);
    let last = attempts.iter().rfind(|a| a.outcome == "failed" && (a.place == run.place || Some(a.place) == on_error));
    let of_elements = || run.unfinished.why_failed_at(run.place, run.replays);
    match last {
        Some(failed) if Some(failed.place) == on_error => failed.said.clone(),
        last => of_elements().or(last.or(attempts.last()).map(|a| a.said.clone())).unwrap_or_default(),
    }
}

/// The history entry of a run that is not started because its `once_per` value was used by an event that may since be
/// deleted.
pub(super) fn used_already(value: &str, first: Option<EventId>, now: Timestamp) -> Attempt {
    let by = first.map_or_else(String::new, |id| format!(", by event {id}"));
    Attempt {
        place: Place::default(),
        number: 1,
        at: now,
        took: Duration::ZERO,
        outcome: "skipped".into(),
        bodies: None,
        said: format!("its `once_per` value {} was already used{by}", short(value, 60)),
    }
}

/// The last history entry of a run that waited for its turn until a newer moment of its rule came.
pub(super) fn superseded(place: Place, now: Timestamp) -> Attempt {
    let said = "a newer moment took its place while it waited for its turn".to_owned();
    Attempt { place, number: 1, at: now, took: Duration::ZERO, outcome: "skipped".into(), said, bodies: None }
}

/// The reason shown for a quarantined run.
pub(super) fn too_often() -> String {
    format!(
        "Doorbell crashed or hung {MOST_CRASHES} times while it was computing this step, so the run is quarantined: it does not run again by itself; please report it. To try it again, use `doorbell replay`"
    )
}

/// What rules are told of a run that the store itself ended as failed, with this entry.
pub(super) fn failure_of(last: &Attempt, rule: &str, event: EventId, address: &str) -> FailureReport {
    let step = format!("step {}", last.place.step.saturating_add(1));
    let (rule, tries, message) = (&rule.into(), last.number, &last.said);
    FailureReport::of(&FailedRun { rule, step: &step, message, status: None, tries, event, address })
}

/// The last history entry of a quarantined run.
pub(super) fn quarantined(place: Place, tried: u32, now: Timestamp, said: String) -> Attempt {
    Attempt { place, number: tried + 1, at: now, took: Duration::ZERO, outcome: "failed".into(), said, bodies: None }
}
