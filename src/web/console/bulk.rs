//! How far somebody is who goes on with many failed runs. One does so at a time; the progress is shown to everybody.

use std::sync::Mutex;

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
    pub fn progress(&self) -> Option<Progress> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
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
        }
        !progress.is_over()
    }

    /// Begins, unless another one is still going on.
    pub fn begin(&self, rule: &str, total: usize) -> bool {
        let mut now = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if now.as_ref().is_some_and(|progress| !progress.is_over()) {
            return false;
        }
        *now = Some(Progress { rule: rule.to_owned(), total, done: 0, runs: 0, failed: None, is_stopped: false });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_on_at_a_time_and_can_be_stopped() {
        let bulk = Bulk::default();
        assert!(bulk.progress().is_none() && bulk.begin("a", 3) && !bulk.begin("b", 1));
        assert!(bulk.change(|progress| progress.done += 1));
        bulk.stop();
        assert!(!bulk.change(|progress| progress.done += 1));
        let stopped = bulk.progress().unwrap();
        assert!(stopped.is_over() && stopped.done == 1);
        assert!(bulk.begin("b", 1) && !bulk.change(|progress| progress.done += 1), "the last one ends it");
    }
}
