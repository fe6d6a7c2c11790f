//! Which status a sender was sent. Where a rule answers, this is known only after the event was stored, so it is worked out
//! when somebody asks: an answer costs no write of its own.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::answer::{Answered, LATE, said, said_too_late};
use crate::model::run::{Attempt, State};
use crate::store::contract::RunPage;

/// An event whose sender waits for a rule is stored with the milliseconds that it waits, in thousands, above the status of
/// its address.
const UNIT: u32 = 1_000;
/// What is stored as the status of an event that nobody sent.
pub const NOBODY: u32 = 0;

/// What is stored as the status of an event whose sender waits this long for a rule, and gets `status` if none answers it.
pub fn by_a_rule(patience: Duration, status: u16) -> u32 {
    // The longest patience is ten minutes, and any store can keep that.
    let milliseconds = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX).clamp(1, 1_000_000);
    milliseconds * UNIT + u32::from(status)
}

/// Whether a rule answers an event that was stored with this status.
pub(super) fn is_by_a_rule(stored: u32) -> bool {
    stored >= UNIT
}

/// What the sender of an event was sent. `kept` is the status of the answer that is stored for the same delivery.
pub(super) fn answered(stored: u32, received: Timestamp, kept: Option<u16>, runs: &[(RunPage, Vec<Attempt>)]) -> Answered {
    let own = (stored % UNIT) as u16;
    // Runs that others called answer nobody.
    let runs = || runs.iter().filter(|(page, _)| page.called_by.is_none());
    if stored == NOBODY {
        return Answered::Nobody;
    }
    if !is_by_a_rule(stored) {
        // An earlier version stored the status of the address although a rule answered.
        return Answered::With(kept.unwrap_or(own));
    }
    let attempts = || runs().flat_map(|(_, attempts)| attempts);
    let is_late = |status| attempts().any(|a| a.said == said_too_late(status));
    match kept {
        Some(status) if !is_late(status) => return Answered::With(status),
        Some(_) => {}
        // An answer is not kept if it contains a secret that cannot be referred to by name.
        None => {
            let status = |a: &Attempt| a.said.strip_prefix("answered ")?.parse().ok().filter(|status| a.said == said(*status));
            if let Some(status) = attempts().filter(|a| a.outcome == "done").find_map(status) {
                return Answered::With(status);
            }
        }
    }
    let until = received.checked_add(Duration::from_millis(u64::from(stored / UNIT))).unwrap_or(received);
    let failed = |a: &Attempt| a.outcome == "failed" && a.at <= until;
    let is_over = |(page, attempts): &(RunPage, Vec<Attempt>)| {
        page.ended.is_some_and(|at| at <= until) || (page.run.replays > 0 && attempts.iter().any(failed))
    };
    let has = |state| runs().any(|(page, _)| page.run.state == state);
    match () {
        // Nobody waits for a rule that does not run because of `once_per`.
        () if has(State::Repeated) && !has(State::Failed) && !has(State::Waiting) => Answered::With(own),
        () if runs().all(is_over) => Answered::With(500),
        () if has(State::Waiting) => Answered::Until(until),
        () => Answered::With(LATE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Event;
    use crate::model::place::Place;
    use crate::model::run::Run;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn run(state: State, ended: Option<i64>, replays: u32, told: &[(i64, &'static str, String)]) -> (RunPage, Vec<Attempt>) {
        let run = Run { state, replays, ..Run::begin(1, Event::nobody().id, "r".into(), "".into(), 0, at(0)) };
        let attempt = |(second, outcome, said): &(i64, &'static str, String)| Attempt {
            place: Place::default(),
            number: 1,
            at: at(*second),
            took: Duration::ZERO,
            outcome: (*outcome).into(),
            said: said.clone(),
            bodies: None,
        };
        let page = RunPage {
            run,
            said: String::new(),
            received: at(0),
            ended: ended.map(at),
            is_queued: false,
            is_in_hand: false,
            called_by: None,
        };
        (page, told.iter().map(attempt).collect())
    }

    #[test]
    fn the_status_is_what_the_sender_got() {
        let three_seconds = by_a_rule(Duration::from_secs(3), 202);
        let answered = |kept, runs: &[_]| answered(three_seconds, at(0), kept, runs);
        let done = |second, said| run(State::Done, Some(second), 0, &[(second, "done", said)]);
        assert_eq!(answered(Some(422), &[done(1, said(422))]), Answered::With(422));
        assert_eq!(answered(None, &[done(1, said(201))]), Answered::With(201), "it was not kept");
        assert_eq!(answered(Some(201), &[done(9, said_too_late(201))]), Answered::With(504));
        assert_eq!(answered(None, &[run(State::Waiting, None, 0, &[])]), Answered::Until(at(3)));
        let no = (1, "failed", "no".to_owned());
        assert_eq!(answered(None, &[run(State::Failed, Some(1), 0, std::slice::from_ref(&no))]), Answered::With(500));
        let replayed = run(State::Done, Some(99), 1, &[no, (99, "done", said_too_late(201))]);
        assert_eq!(answered(Some(201), &[replayed]), Answered::With(500), "a replay answers nobody");
        assert_eq!(answered(None, &[run(State::Repeated, Some(0), 0, &[])]), Answered::With(202));
        assert_eq!(super::answered(202, at(0), None, &[]), Answered::With(202));
        assert_eq!(super::answered(NOBODY, at(0), None, &[]), Answered::Nobody);
    }
}
