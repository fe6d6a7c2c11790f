//! Room in memory, counted in bytes, for what a webhook makes large: bodies that are being read, runs in hand, what was
//! worked out for them and waits to go out.
//!
//! As values, a body may take fifty times the memory that it takes as text, so what is counted is the weight of the values
//! (see [`crate::model::budget`]). Whatever weighs more than all the room there is takes all of it, and is alone then. What does
//! not fit waits, or stays in the store, which is for whoever asks.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most bytes of bodies that are being read and that the store has not got yet.
pub const MOST_READ: usize = 128 << 20;
/// The most bytes of runs in hand: their events, and what their steps saved.
pub const MOST_IN_HAND: usize = 256 << 20;
/// The most bytes of what was worked out for runs in hand: lists that are gone through, and what goes out.
pub const MOST_MADE: usize = 128 << 20;
/// What weighs less is not counted: it comes to little for all runs that may be in hand.
pub const LIGHT: usize = 64 << 10;
/// A body that is shorter is not counted either: whatever it holds, it weighs a few hundred KB at most.
pub const SHORT: usize = 4 << 10;

/// Room is counted in KB.
const UNIT: usize = 1 << 10;

/// Room for so many bytes.
pub struct Memory {
    free: Arc<Semaphore>,
    all: usize,
}

/// Room that was taken; given back when it is dropped.
pub struct Taken(OwnedSemaphorePermit);

impl Memory {
    pub fn new(bytes: usize) -> Self {
        let all = bytes / UNIT;
        Self { free: Arc::new(Semaphore::new(all)), all }
    }

    fn units(&self, bytes: usize) -> u32 {
        bytes.div_ceil(UNIT).min(self.all) as u32
    }

    /// Takes room, if there is any.
    pub fn try_take(&self, bytes: usize) -> Option<Taken> {
        self.free.clone().try_acquire_many_owned(self.units(bytes)).ok().map(Taken)
    }

    /// Waits for room; who came first gets it first. (Nothing would come if somebody closed it, which nobody does.)
    pub async fn take(&self, bytes: usize) -> Option<Taken> {
        self.free.clone().acquire_many_owned(self.units(bytes)).await.ok().map(Taken)
    }
}

impl Taken {
    /// Gives back what is not needed after all.
    pub fn shrink_to(&mut self, bytes: usize) {
        let surplus = self.0.num_permits().saturating_sub(bytes.div_ceil(UNIT));
        drop(self.0.split(surplus));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_byte_of_the_room_is_given_and_no_more() {
        let memory = Memory::new(10 * UNIT);
        let first = memory.try_take(9 * UNIT).unwrap();
        assert!(memory.try_take(UNIT + 1).is_none());
        let last = memory.try_take(UNIT);
        assert!(last.is_some() && memory.try_take(1).is_none());
        drop(first);
        assert!(memory.try_take(9 * UNIT).is_some());
    }

    #[test]
    fn what_is_larger_than_the_room_takes_all_of_it_and_gives_back_what_it_does_not_need() {
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
