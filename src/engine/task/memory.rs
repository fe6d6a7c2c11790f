//! A budget of memory, in bytes, for everything whose size depends on webhooks: bodies being read, runs in progress,
//! rendered output waiting to be sent.
//!
//! A parsed body may take 50 times as much memory as its text, so what is counted is the weight of the values (see
//! [`crate::model::budget`]). Anything heavier than the whole budget takes all of it, so that nothing else fits at the
//! same time. What does not fit waits, or stays in the store; the caller decides.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The maximum number of bytes of bodies being read that are not in the store yet.
pub const MOST_READ: usize = 128 << 20;
/// The maximum number of bytes of runs in progress: their events, and their saved values.
pub const MOST_IN_HAND: usize = 256 << 20;
/// The maximum number of bytes rendered for runs in progress: lists of `for_each`, and outgoing data.
pub const MOST_MADE: usize = 128 << 20;
/// Lighter values are not counted: they add up to little for all runs that may be in progress.
pub const LIGHT: usize = 64 << 10;
/// Shorter bodies are not counted either: no matter what they contain, their weight is a few hundred KB at most.
pub const SHORT: usize = 4 << 10;

/// The budget is counted in KB.
const UNIT: usize = 1 << 10;

/// A memory budget of this many bytes.
pub struct Memory {
    free: Arc<Semaphore>,
    all: usize,
}

/// A reservation; returned when dropped.
pub struct Taken(OwnedSemaphorePermit);

impl Memory {
    pub fn new(bytes: usize) -> Self {
        let all = bytes / UNIT;
        Self { free: Arc::new(Semaphore::new(all)), all }
    }

    fn units(&self, bytes: usize) -> u32 {
        bytes.div_ceil(UNIT).min(self.all) as u32
    }

    /// Reserves memory, if there is enough.
    pub fn try_take(&self, bytes: usize) -> Option<Taken> {
        self.free.clone().try_acquire_many_owned(self.units(bytes)).ok().map(Taken)
    }

    /// Waits for memory, first come, first served. (`None` would mean that the budget was closed, which never happens.)
    pub async fn take(&self, bytes: usize) -> Option<Taken> {
        self.free.clone().acquire_many_owned(self.units(bytes)).await.ok().map(Taken)
    }
}

impl Taken {
    /// Returns what is not needed after all.
    pub fn shrink_to(&mut self, bytes: usize) {
        let surplus = self.0.num_permits().saturating_sub(bytes.div_ceil(UNIT));
        drop(self.0.split(surplus));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_out_to_the_last_byte_and_no_more() {
        let memory = Memory::new(10 * UNIT);
        let first = memory.try_take(9 * UNIT).unwrap();
        assert!(memory.try_take(UNIT + 1).is_none());
        let last = memory.try_take(UNIT);
        assert!(last.is_some() && memory.try_take(1).is_none());
        drop(first);
        assert!(memory.try_take(9 * UNIT).is_some());
    }

    #[test]
    fn a_claim_above_the_limit_takes_everything_and_gives_back_what_it_does_not_need() {
        let memory = Memory::new(10 * UNIT);
        let mut all = memory.try_take(usize::MAX).unwrap();
        assert!(memory.try_take(1).is_none());
        all.shrink_to(4 * UNIT);
        all.shrink_to(8 * UNIT);
        assert!(memory.try_take(6 * UNIT).is_some() && memory.try_take(6 * UNIT + 1).is_none());
        drop(all);
        assert!(memory.try_take(10 * UNIT).is_some());
    }
}
