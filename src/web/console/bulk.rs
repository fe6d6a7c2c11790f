//! How far somebody is who goes on with many failed runs. One does so at a time; the progress is shown to everybody, and for a
//! short time after its end.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long the end of one is shown.
pub const SHOWN: Duration = Duration::from_secs(10);

/// The progress of one of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    pub rule: String,
    pub total: usize,
    pub done: usize,
    /// How many runs go on.
    pub runs: usize,
    /// Why it ended early.
    pub failed: Option<String>,
    pub is_stopped: bool,
    /// When it ended.
    ended: Option<Instant>,
}

impl Progress {
    pub fn is_over(&self) -> bool {
        self.done == self.total || self.failed.is_some() || self.is_stopped
    }
}

/// The latest of them.
#[derive(Default)]
pub struct Bulk(Mutex<Option<Progress>>);

impl Bulk {
    /// What is to be shown. One that failed is shown until another one begins: somebody has to know of it.
    pub fn progress(&self, now: Instant) -> Option<Progress> {
        let latest = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()?;
        let is_old = latest.failed.is_none() && latest.ended.is_some_and(|ended| now.saturating_duration_since(ended) >= SHOWN);
        (!is_old).then_some(latest)
    }

    pub fn stop(&self) {
        self.change(|progress| progress.is_stopped = true);
    }

    /// Changes the progress; returns whether there is more to do.
    pub fn change(&self, change: impl FnOnce(&mut Progress)) -> bool {
        let mut now = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(progress) = now.as_mut() else { return false };
        if !progress.is_over() {
            change(progress);
            progress.ended = progress.is_over().then(Instant::now);
        }
        !progress.is_over()
    }

    /// Begins, unless another one is still going on.
    pub fn begin(&self, rule: &str, total: usize) -> bool {
        let mut now = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if now.as_ref().is_some_and(|progress| !progress.is_over()) {
            return false;
        }
        *now = Some(Progress { rule: rule.to_owned(), total, done: 0, runs: 0, failed: None, is_stopped: false, ended: None });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_on_at_a_time_and_can_be_stopped() {
        let bulk = Bulk::default();
        assert!(bulk.progress(Instant::now()).is_none() && bulk.begin("a", 3) && !bulk.begin("b", 1));
        assert!(bulk.change(|progress| progress.done += 1));
        bulk.stop();
        assert!(!bulk.change(|progress| progress.done += 1));
        let stopped = bulk.progress(Instant::now()).unwrap();
        assert!(stopped.is_over() && stopped.done == 1);
        assert!(bulk.begin("b", 1) && !bulk.change(|progress| progress.done += 1), "the last one ends it");
    }

    #[test]
    fn the_end_is_shown_for_a_short_time_and_a_failure_until_the_next_one() {
        let (bulk, start) = (Bulk::default(), Instant::now());
        assert!(bulk.begin("a", 1));
        assert!(bulk.progress(start + SHOWN * 9).is_some_and(|progress| !progress.is_over()), "one that takes long is shown to its end");
        bulk.change(|progress| progress.done += 1);
        assert!(bulk.progress(Instant::now()).is_some_and(|progress| progress.is_over()));
        assert!(bulk.progress(Instant::now() + SHOWN).is_none());
        assert!(bulk.begin("b", 1));
        bulk.change(|progress| progress.failed = Some("the disk is full".into()));
        assert!(bulk.progress(Instant::now() + SHOWN).is_some());
    }
}
