//! Which runs wait for a server whose calls are paused, and since when: the history says it once, and a run does not wait
//! without end. Forgotten by a restart, after which the time begins again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::model::outcome::Outcome;
use crate::model::place::Place;
use crate::model::run::{Run, RunId};

/// The maximum number of steps to remember; above that, some say it once more.
const MOST: usize = 100_000;

/// How long a run waits at one try, if no call of its own is made in the meantime.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);

/// A step that waits: at which try, and since when.
type Pause = (u32, Timestamp);

/// For each run and place, because several elements of a `for_each` can wait at the same time.
#[derive(Default)]
pub struct ToldPauses(Mutex<BTreeMap<(RunId, Place), Pause>>);

/// Every place of a run.
fn all_of(run: RunId) -> std::ops::RangeInclusive<(RunId, Place)> {
    (run, Place::default())..=(run, Place { step: u32::MAX, element: u32::MAX })
}

impl ToldPauses {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(RunId, Place), Pause>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the history says how this attempt ended: everything but a pause that it knows already.
    pub fn tells(&self, run: &Run, outcome: &Outcome, now: Timestamp) -> bool {
        match outcome {
            Outcome::Paused { .. } => self.is_new(run, now),
            _ => {
                self.lock().remove(&(run.id, run.place));
                true
            }
        }
    }

    /// Whether the history does not say it yet for this try; from now on it does. If several elements of a run wait, it says
    /// so for the first one.
    fn is_new(&self, run: &Run, now: Timestamp) -> bool {
        let mut told = self.lock();
        if told.len() >= MOST {
            told.clear();
        }
        let at = (run.id, run.place);
        if told.get(&at).is_some_and(|(tried, _)| *tried == run.tried) {
            return false;
        }
        let is_first = told.range(all_of(run.id)).all(|(other, _)| *other == at);
        told.insert(at, (run.tried, now));
        is_first
    }

    /// Whether the run has waited long enough at this try.
    pub fn is_over(&self, run: &Run, now: Timestamp) -> bool {
        let is_over = |(tried, since): &Pause| *tried == run.tried && now.duration_since(*since) >= LONGEST;
        self.lock().get(&(run.id, run.place)).is_some_and(is_over)
    }

    /// The run has ended.
    pub fn forget(&self, run: RunId) {
        let mut told = self.lock();
        let places: Vec<_> = told.range(all_of(run)).map(|(at, _)| *at).collect();
        for at in places {
            told.remove(&at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Event;

    #[test]
    fn a_pause_is_told_once_for_each_try_and_ends_after_a_day() {
        let (told, begin) = (ToldPauses::default(), Timestamp::UNIX_EPOCH);
        let mut run = Run::begin(1, Event::nobody().id, "A".into(), "".into(), 0, begin);
        assert!(!told.is_over(&run, begin));
        assert!(told.is_new(&run, begin) && !told.is_new(&run, begin + SignedDuration::from_hours(23)));
        assert!(!told.is_over(&run, begin + SignedDuration::from_secs(24 * 3600 - 1)));
        assert!(told.is_over(&run, begin + LONGEST));
        run.tried = 1;
        assert!(!told.is_over(&run, begin + LONGEST), "a call of its own was made");
        assert!(told.is_new(&run, begin + LONGEST));
        run.place.element = 1;
        assert!(!told.is_new(&run, begin), "another element of the same run");
        assert!(told.tells(&run, &Outcome::retry("no"), begin));
        run.place.element = 0;
        told.forget(run.id);
        assert!(told.is_new(&run, begin + LONGEST));
    }
}
