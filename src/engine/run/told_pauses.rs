//! Which runs wait for a server whose calls are paused, and since when: the history says it once, and a run does not wait
//! without end. Forgotten by a restart, after which the time begins again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::model::place::Place;
use crate::model::run::{Run, RunId};

/// The maximum number of runs to remember; above that, some say it once more.
const MOST: usize = 100_000;

/// How long a run waits at one try, if no call of its own is made in the meantime.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);

/// A run that waits: at which try, and since when.
type Pause = (Place, u32, Timestamp);

#[derive(Default)]
pub struct ToldPauses(Mutex<HashMap<RunId, Pause>>);

impl ToldPauses {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, Pause>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the history does not say it yet for this try; from now on it does.
    pub fn is_new(&self, run: &Run, now: Timestamp) -> bool {
        let mut told = self.lock();
        if told.len() >= MOST {
            told.clear();
        }
        let is_known = told.get(&run.id).is_some_and(|(place, tried, _)| (*place, *tried) == (run.place, run.tried));
        if !is_known {
            told.insert(run.id, (run.place, run.tried, now));
        }
        !is_known
    }

    /// Whether the run has waited long enough at this try.
    pub fn is_over(&self, run: &Run, now: Timestamp) -> bool {
        let is_over = |(place, tried, since): &Pause| (*place, *tried) == (run.place, run.tried) && now.duration_since(*since) >= LONGEST;
        self.lock().get(&run.id).is_some_and(is_over)
    }

    /// The run has ended.
    pub fn forget(&self, run: RunId) {
        self.lock().remove(&run);
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
        told.forget(run.id);
        assert!(told.is_new(&run, begin + LONGEST));
    }
}
