//! Which runs this process has in hand, and what it has lost hold of.
//!
//! A run in hand is held by an [`InHand`], an accept on its way by a [`Doubt`]. Whoever drops one before it is settled (a panic,
//! a task that ends) has lost hold of its runs, which the store still holds for this owner; they wait here until the worker
//! takes them up again.

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
pub struct Hands {
    held: Mutex<HashSet<RunId>>,
    lost: Mutex<VecDeque<Lost>>,
    was_lost: Notify,
    /// Set when Doorbell stops: what is dropped then is for the next owner.
    is_closed: AtomicBool,
}

/// Runs that this process owns and that nobody in it holds.
pub struct Lost {
    pub which: Held,
    /// Whether a panic has lost it; that is the failure of the step it was at.
    pub crashed: bool,
    pub room: Option<OwnedSemaphorePermit>,
}

/// A run in hand, with its part of the room.
pub struct InHand {
    hands: Arc<Hands>,
    run: RunId,
    /// Its count when it was leased or recorded last.
    pub turn: i64,
    room: Option<OwnedSemaphorePermit>,
    /// Room for what is heavy in it; runs of one event share that of the event.
    pub memory: Vec<Arc<Taken>>,
    /// How many bytes its steps have saved that have no room of their own yet.
    pub uncounted: usize,
    is_settled: bool,
}

/// Whether runs of an event were begun is not known.
pub struct Doubt {
    hands: Arc<Hands>,
    event: EventId,
    is_resolved: bool,
}

impl Hands {
    fn held(&self) -> MutexGuard<'_, HashSet<RunId>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self) -> MutexGuard<'_, VecDeque<Lost>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a run in hand.
    pub fn take(self: &Arc<Self>, run: &Run, room: Option<OwnedSemaphorePermit>) -> InHand {
        self.held().insert(run.id);
        InHand { hands: self.clone(), run: run.id, turn: run.turn, room, memory: Vec::new(), uncounted: 0, is_settled: false }
    }

    /// For one who is about to accept an event.
    pub fn doubt(self: &Arc<Self>, event: EventId) -> Doubt {
        Doubt { hands: self.clone(), event, is_resolved: false }
    }

    /// Of the runs that the store holds for this owner, those that nobody has in hand are lost.
    pub fn compare(&self, owned: Vec<(RunId, i64)>) {
        let held = self.held();
        let mut lost = self.lost();
        for (run, turn) in owned.into_iter().filter(|(run, _)| !held.contains(run)) {
            match lost.iter_mut().find(|lost| matches!(lost.which, Held::Run(known, _) if known == run)) {
                Some(lost) => lost.which = Held::Run(run, turn),
                None => lost.push_back(Lost { which: Held::Run(run, turn), crashed: false, room: None }),
            }
        }
    }

    /// What was lost first. It stays in the list until it is in hand again, in case that this is where the next panic is.
    pub fn first_lost(&self) -> Option<Held> {
        self.lost().front().map(|lost| lost.which)
    }

    /// Takes what was lost first out of the list.
    pub fn take_lost(&self) -> Option<Lost> {
        self.lost().pop_front()
    }

    /// Returns when something was lost.
    pub async fn was_lost(&self) {
        self.was_lost.notified().await;
    }

    /// From now on nothing is taken up again.
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
    /// The run has ended, was given back, or is somebody else's.
    pub fn settled(mut self) {
        self.is_settled = true;
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.hands.held().remove(&self.run);
        if !self.is_settled {
            self.hands.lose(Lost { which: Held::Run(self.run, self.turn), crashed: std::thread::panicking(), room: self.room.take() });
        }
    }
}

impl Doubt {
    /// Its runs are in hand, or it has begun none.
    pub fn resolved(mut self) {
        self.is_resolved = true;
    }
}

impl Drop for Doubt {
    fn drop(&mut self) {
        if !self.is_resolved {
            self.hands.lose(Lost { which: Held::Event(self.event), crashed: false, room: None });
        }
    }
}
