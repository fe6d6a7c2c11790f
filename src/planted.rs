//! Crashes for tests: in debug builds, `DOORBELL_PLANTED=step:2,watch` makes the first two steps and the first check of
//! the rules folder panic. In release builds this does nothing.

/// Where the program can be made to panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// In a worker, before a step is tried.
    Step,
    /// In a worker, before a record is stored, and after that.
    Record,
    Recorded,
    /// Between storing an event and handing its runs over.
    HandOver,
    /// In the loop that leases runs.
    Lease,
    /// In the writer of a file, after the batch was written.
    File,
    /// In the watcher of the rules folder.
    Watch,
    /// In the task that deletes old events.
    Retention,
}

/// Panics if requested for this point.
#[cfg(debug_assertions)]
pub fn crash(point: Point) {
    use std::collections::HashMap;
    use std::sync::{LazyLock, Mutex};
    static LEFT: LazyLock<Mutex<HashMap<String, u32>>> = LazyLock::new(|| {
        let asked = std::env::var("DOORBELL_PLANTED").unwrap_or_default();
        let read = |one: &str| {
            let (name, times) = one.split_once(':').unwrap_or((one, "1"));
            (name.to_owned(), times.parse().unwrap_or(1))
        };
        Mutex::new(asked.split(',').filter(|one| !one.is_empty()).map(read).collect())
    });
    let is_asked = {
        let mut left = LEFT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        left.get_mut(&format!("{point:?}").to_lowercase()).is_some_and(|times| std::mem::replace(times, times.saturating_sub(1)) > 0)
    };
    assert!(!is_asked, "planted: {point:?}");
}

/// Does nothing.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn crash(_: Point) {}
