//! The runs that this process is working on, and those that it has lost track of.
//!
//! A run in progress is held by an [`InHand`], a pending accept by a [`Doubt`]. If one is dropped before it is settled (a
//! panic, an aborted task), its runs are lost: the store still assigns them to this owner, and they wait here until the
//! worker resumes them.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit};

use crate::engine::task::memory::Taken;
use crate::model::event::EventId;
use crate::model::run::{Run, RunId};
use crate::store::contract::Held;

/// The runs of this process.
#[derive(Default)]
pub struct RunsInProcess {
    held: Mutex<HashSet<RunId>>,
    lost: Mutex<VecDeque<Lost>>,
    was_lost: Notify,
    /// Set at shutdown: the next owner resumes what is dropped after that.
    is_closed: AtomicBool,
}

/// Runs that this process owns but no task holds.
pub struct Lost {
    pub which: Held,
    /// Whether a panic lost it; that counts as a failure of the step it was at.
    pub crashed: bool,
    pub permit: Option<OwnedSemaphorePermit>,
}

/// A run in progress, with its share of the limits.
pub struct InHand {
    in_process: Arc<RunsInProcess>,
    run: RunId,
    /// Its turn number when it was last leased or recorded.
    pub turn: i64,
    permit: Option<OwnedSemaphorePermit>,
    /// Memory for its large parts; runs of one event share the event's.
    pub memory: Vec<Arc<Taken>>,
    /// How many saved bytes have no memory reserved yet.
    pub uncounted: usize,
    is_settled: bool,
}

/// An accept whose outcome is not known yet: runs of the event may have been started.
pub struct Doubt {
    in_process: Arc<RunsInProcess>,
    event: EventId,
    is_resolved: bool,
}

impl RunsInProcess {
    fn held(&self) -> MutexGuard<'_, HashSet<RunId>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self) -> MutexGuard<'_, VecDeque<Lost>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts to hold a run.
    pub fn take(self: &Arc<Self>, run: &Run, permit: Option<OwnedSemaphorePermit>) -> InHand {
        self.held().insert(run.id);
        InHand { in_process: self.clone(), run: run.id, turn: run.turn, permit, memory: Vec::new(), uncounted: 0, is_settled: false }
    }

    /// Called before accepting an event.
    pub fn doubt(self: &Arc<Self>, event: EventId) -> Doubt {
        Doubt { in_process: self.clone(), event, is_resolved: false }
    }

    /// Of the runs that the store assigns to this owner, those that no task holds are lost.
    pub fn compare(&self, owned: Vec<(RunId, i64)>) {
        let held = self.held();
        let mut lost = self.lost();
        for (run, turn) in owned.into_iter().filter(|(run, _)| !held.contains(run)) {
            match lost.iter_mut().find(|lost| matches!(lost.which, Held::Run(known, _) if known == run)) {
                Some(lost) => lost.which = Held::Run(run, turn),
                None => lost.push_back(Lost { which: Held::Run(run, turn), crashed: false, permit: None }),
            }
        }
    }

    /// The run that was lost first. It stays in the list until it is held again, in case the next panic happens before
    /// that.
    pub fn first_lost(&self) -> Option<Held> {
        self.lost().front().map(|lost| lost.which)
    }

    /// Removes the first lost run from the list.
    pub fn take_lost(&self) -> Option<Lost> {
        self.lost().pop_front()
    }

    /// Returns when something was lost.
    pub async fn was_lost(&self) {
        self.was_lost.notified().await;
    }

    /// From now on nothing is resumed.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    fn lose(&self, lost: Lost) {
        if !self.is_closed.load(Ordering::Relaxed) {
            self.lost().push_back(lost);
            self.was_lost.notify_one();
        }
    }
}

impl InHand {
    /// The run has ended, was released, or belongs to another owner.
    pub fn settled(mut self) {
        self.is_settled = true;
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.in_process.held().remove(&self.run);
        if !self.is_settled {
            self.in_process.lose(Lost {
                which: Held::Run(self.run, self.turn),
                crashed: std::thread::panicking(),
                permit: self.permit.take(),
            });
        }
    }
}

impl Doubt {
    /// Its runs are held, or none was started.
    pub fn resolved(mut self) {
        self.is_resolved = true;
    }
}

impl Drop for Doubt {
    fn drop(&mut self) {
        if !self.is_resolved {
            self.in_process.lose(Lost { which: Held::Event(self.event), crashed: false, permit: None });
        }
    }
}
