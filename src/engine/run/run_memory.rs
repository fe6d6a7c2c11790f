//! Memory for runs in progress: how much each takes, which ones wait for it, and what may be leased in the meantime.
//!
//! A new event's run that finds no memory stays in the store. A leased run waits here. While any run waits, only runs
//! with small events are leased, so that heavy runs for a slow app do not block light ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::body::{read_event, weight_at_most};
use crate::engine::run::runs_in_process::InHand;
use crate::engine::task::memory::{LIGHT, MOST_IN_HAND, MOST_MADE, Memory, SHORT, Taken};
use crate::engine::task::off_thread::off_thread;
use crate::model::budget::weight;
use crate::model::event::{Event, Unread};
use crate::model::run::{Run, State};
use crate::store::contract::Heavy;

/// A larger event is read in a thread where it does not delay others, and only one such event at a time is taken out of
/// the store.
const LARGE: usize = 64 << 10;

/// The memory of all runs in progress.
pub struct RunMemory {
    /// For events and saved values.
    memory: Memory,
    /// For what is rendered for steps.
    pub made: Memory,
    /// How many leased runs wait for memory.
    waiting: AtomicUsize,
    /// Notified when one of these gets it.
    wake: Arc<Notify>,
}

/// A leased run on its way into memory.
pub struct Entry {
    bytes: usize,
    taken: Option<Taken>,
    waits: Option<Waits>,
}

/// A run that waits.
struct Waits(Arc<RunMemory>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.wake.notify_one();
    }
}

impl RunMemory {
    pub fn new(wake: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self { memory: Memory::new(MOST_IN_HAND), made: Memory::new(MOST_MADE), waiting: AtomicUsize::new(0), wake })
    }

    /// Memory for an event that is already parsed; an error if there is none. All its runs share it.
    pub fn room_for(&self, event: &Event) -> Result<Option<Arc<Taken>>, ()> {
        match event.raw.len() {
            ..=SHORT => Ok(None),
            bytes => self.memory.try_take(bytes + weight(&event.body)).map(|taken| Some(Arc::new(taken))).ok_or(()),
        }
    }

    /// Whether any runs wait. If so, runs that are due but were not leased may be those for which there is no memory.
    pub fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// What may be leased.
    pub fn heavy(&self) -> Heavy {
        match self.is_full() {
            true => Heavy { above: SHORT as u64, most: 0 },
            false => Heavy { above: LARGE as u64, most: 1 },
        }
    }

    /// Takes memory for a leased run, or a place in the queue for it.
    pub fn enter(self: &Arc<Self>, run: &Run, event: &Unread) -> Entry {
        let raw = &event.event().raw;
        let saved = saved_weight(run);
        let bytes = if raw.len() > SHORT { weight_at_most(raw) } else { 0 } + if saved > LIGHT { saved } else { 0 };
        let taken = if bytes > 0 { self.memory.try_take(bytes) } else { None };
        let waits = (bytes > 0 && taken.is_none()).then(|| {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            Waits(self.clone())
        });
        Entry { bytes, taken, waits }
    }

    /// Reads the event of a run in progress once there is memory for it. The error is a message for people.
    pub async fn read(&self, entry: Entry, hand: &mut InHand, run: &Run, event: Unread) -> Result<Event, String> {
        let taken = match entry.waits {
            Some(_) => self.memory.take(entry.bytes).await,
            None => entry.taken,
        };
        drop(entry.waits);
        let event = match event.event().raw.len() {
            ..=LARGE => read_event(event),
            _ => {
                off_thread(move || read_event(event)).await.map_err(|_| "Doorbell crashed while reading it; please report it".to_owned())?
            }
        };
        let event = event.map_err(|malformed| malformed.why)?;
        if let Some(mut taken) = taken {
            taken.shrink_to(event.raw.len() + weight(&event.body) + saved_weight(run));
            hand.memory.push(Arc::new(taken));
        }
        Ok(event)
    }

    /// Whether there is memory for what the run's steps have saved since it was last counted; if not, the run must wait in
    /// the store.
    pub fn holds_saved(&self, hand: &mut InHand, run: &Run) -> bool {
        if run.unsaved.is_empty() || run.state != State::Waiting {
            return true;
        }
        hand.uncounted += run.unsaved.iter().filter_map(|at| at.of(&run.saved)).map(weight).sum::<usize>();
        if hand.uncounted <= LIGHT {
            return true;
        }
        let taken = self.memory.try_take(std::mem::take(&mut hand.uncounted));
        let is_held = taken.is_some();
        hand.memory.extend(taken.map(Arc::new));
        is_held
    }
}

fn saved_weight(run: &Run) -> usize {
    run.saved.values().map(weight).sum()
}
