//! Which runs have already said in their history that they wait for a server whose calls are paused. A pause is checked
//! again and again, and may last for days.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::model::place::Place;
use crate::model::run::{Run, RunId};

/// The maximum number of runs to remember; above that, some say it once more.
const MOST: usize = 100_000;

/// The runs that wait, and at which try.
#[derive(Default)]
pub struct ToldPauses(Mutex<HashMap<RunId, (Place, u32)>>);

impl ToldPauses {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, (Place, u32)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the history does not say it yet for this try; from now on it does.
    pub fn is_new(&self, run: &Run) -> bool {
        let mut told = self.lock();
        if told.len() >= MOST {
            told.clear();
        }
        let at = (run.place, run.tried);
        told.insert(run.id, at) != Some(at)
    }

    /// The run has ended.
    pub fn forget(&self, run: RunId) {
        self.lock().remove(&run);
    }
}
