//! How a store's commits go: how many, how long they take, how many operations each of them serves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::tally::{Durations, Tally};

/// Counted by a store since it was opened.
#[derive(Debug, Default)]
pub struct Commits {
    /// How long each commit took that succeeded.
    pub took: Durations,
    /// The operations that were committed; several share a commit.
    pub operations: Tally,
    /// The operations that failed.
    pub failed: Tally,
    /// Whether nothing of the latest commit succeeded: the disk is full, or the database is away.
    is_failing: AtomicBool,
}

impl Commits {
    /// Counts a commit, with how many of its operations succeeded and failed.
    pub(super) fn count(&self, took: Duration, succeeded: usize, failed: usize) {
        if succeeded > 0 {
            self.took.add(took);
            self.operations.add(succeeded as u64);
        }
        if failed > 0 {
            self.failed.add(failed as u64);
        }
        if succeeded + failed > 0 {
            self.is_failing.store(succeeded == 0, Ordering::Relaxed);
        }
    }

    /// Whether what is to be stored cannot be stored at this moment, as far as is known.
    pub fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }
}
