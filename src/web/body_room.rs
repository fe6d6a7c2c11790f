//! Limits the memory for bodies while they arrive: reserved as the bytes arrive, so that an announced length reserves
//! nothing; with a part that only small bodies use, and a share that no caller may exceed. Released when the event is
//! stored.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

/// The maximum memory for bodies, in KB, over all connections: for the beginnings of all bodies, and for the rest of
/// large ones.
const BEGINNINGS: usize = 48 << 10;
const LARGE: usize = 208 << 10;
/// How much of a body is its beginning, in KB. Most bodies are not larger.
const BEGINNING: usize = 64;
/// The maximum memory for one caller's arriving bodies, in KB: more than the largest body that any address allows.
const SHARE: usize = 128 << 10;

/// The memory for all bodies.
pub struct BodyRoom {
    beginnings: Semaphore,
    large: Semaphore,
    /// How much each caller has reserved for bodies that do not arrive in one piece, in KB.
    shares: Mutex<HashMap<String, usize>>,
}

/// The memory reserved for one body; released when dropped.
pub struct Taken<'r> {
    room: &'r BodyRoom,
    caller: &'r str,
    beginning: Option<SemaphorePermit<'r>>,
    large: Option<SemaphorePermit<'r>>,
    /// How much is reserved, and how much of that counts toward the caller's share, in KB.
    size: usize,
    shared: usize,
}

/// There is no memory left; the sender is asked to retry later.
#[derive(Debug, PartialEq)]
pub struct Full;

impl Default for BodyRoom {
    fn default() -> Self {
        Self { beginnings: Semaphore::new(BEGINNINGS), large: Semaphore::new(LARGE), shares: Mutex::default() }
    }
}

impl BodyRoom {
    /// The reservation for a body that a caller begins to send; empty at first.
    pub fn body<'r>(&'r self, caller: &'r str) -> Taken<'r> {
        Taken { room: self, caller, beginning: None, large: None, size: 0, shared: 0 }
    }

    /// How many bytes are reserved.
    pub fn bytes(&self) -> u64 {
        let free = self.beginnings.available_permits() + self.large.available_permits();
        ((BEGINNINGS + LARGE).saturating_sub(free) as u64) << 10
    }

    fn shares(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken<'_> {
    /// Reserves memory for a body that has grown to this many bytes; some of it may be reserved already. A body that has
    /// not arrived completely counts toward its caller's share.
    pub fn grow(&mut self, bytes: usize, is_whole: bool) -> Result<(), Full> {
        let wanted = bytes.div_ceil(1 << 10);
        if !is_whole && wanted > self.shared {
            let mut shares = self.room.shares();
            let share = shares.entry(self.caller.to_owned()).or_default();
            if *share + wanted - self.shared > SHARE {
                return Err(Full);
            }
            *share += wanted - self.shared;
            self.shared = wanted;
        }
        while self.size < wanted {
            let is_beginning = self.size < BEGINNING;
            let until = if is_beginning { wanted.min(BEGINNING) } else { wanted };
            let more = (until - self.size) as u32;
            let of_its_own = if is_beginning { self.room.beginnings.try_acquire_many(more).ok() } else { None };
            match of_its_own {
                Some(permit) => merge(&mut self.beginning, permit),
                None => merge(&mut self.large, self.room.large.try_acquire_many(more).map_err(|_| Full)?),
            }
            self.size = until;
        }
        Ok(())
    }
}

fn merge<'r>(all: &mut Option<SemaphorePermit<'r>>, more: SemaphorePermit<'r>) {
    match all {
        Some(all) => all.merge(more),
        None => *all = Some(more),
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if self.shared > 0 {
            let mut shares = self.room.shares();
            if let Some(share) = shares.get_mut(self.caller) {
                *share = share.saturating_sub(self.shared);
                if *share == 0 {
                    shares.remove(self.caller);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: usize = 1 << 20;

    #[test]
    fn room_is_taken_as_bytes_arrive_and_given_back() {
        let room = BodyRoom::default();
        let callers: Vec<String> = (0..4).map(|n| format!("10.0.0.{n}")).collect();
        let mut all: Vec<Taken> = callers.iter().map(|caller| room.body(caller)).collect();
        for taken in &mut all {
            assert_eq!(taken.grow(0, false), Ok(()), "an announced body takes no room yet");
            assert_eq!(taken.grow(10, false), Ok(()));
        }
        assert_eq!((room.large.available_permits(), room.beginnings.available_permits()), (LARGE, BEGINNINGS - 4));
        // Two callers take all the room for large bodies; small bodies are still accepted.
        for taken in &mut all[..2] {
            assert_eq!(taken.grow(104 * MB, false), Ok(()));
        }
        assert_eq!(room.large.available_permits(), 2 * BEGINNING);
        assert_eq!(all[3].grow(2 * MB, true), Err(Full));
        let mut small = room.body("10.0.0.9");
        assert_eq!(small.grow(BEGINNING << 10, true), Ok(()));
        drop((all, small));
        assert_eq!((room.large.available_permits(), room.beginnings.available_permits()), (LARGE, BEGINNINGS));
        assert!(room.shares().is_empty());
    }

    #[test]
    fn no_caller_takes_more_than_its_share() {
        let room = BodyRoom::default();
        let (mut one, mut two, mut other) = (room.body("10.0.0.1"), room.body("10.0.0.1"), room.body("10.0.0.2"));
        assert_eq!(one.grow(127 * MB, false), Ok(()));
        assert_eq!((two.grow(MB, false), two.grow(MB + 1, false)), (Ok(()), Err(Full)), "exactly the limit is allowed");
        assert_eq!(other.grow(64 * MB, false), Ok(()));
        drop(one);
        assert_eq!(two.grow(MB + 1, false), Ok(()));
        // Bodies that arrive in one piece are complete at once and do not count towards a share.
        let whole: Vec<Taken> = (0..100).map(|_| room.body("10.0.0.3")).collect();
        for mut taken in whole {
            assert_eq!(taken.grow(MB, true), Ok(()));
        }
    }
}
