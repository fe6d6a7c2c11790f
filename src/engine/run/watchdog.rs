//! Marks the runs that are being rendered, so that one that crashes the program can be identified afterwards.
//!
//! A panic is caught where it happens; this is for what cannot be caught: running out of memory, a stack overflow, an
//! endless loop. Each run is marked in a small file while its step is rendered, by a write that outlives the process (but
//! not a power cut; nothing waits for it). A run found marked at the next start was being rendered when the program died;
//! after three such crashes it is quarantined. If a run takes far too long, the program ends, and the run is found in the
//! same way.
//!
//! Two writes for each step are much, and almost no program dies. So only a program that was started after one that died
//! writes marks, for an hour: runs that were in progress begin again at the start, so what crashes Doorbell does so soon.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::disk;
use crate::model::run::RunId;

/// The maximum number of marks at a time; rendering takes a thread, and there are never so many threads.
const SLOTS: usize = 256;
/// How long rendering a step may take: 1,000 times longer than any sensible one.
pub const LONGEST: Duration = Duration::from_secs(120);
const FILE: &str = "at-work";

/// How long after a crash runs are marked.
const SUSPICIOUS: Duration = Duration::from_secs(3600);

/// The marks of this process.
pub struct Watchdog {
    file: File,
    path: PathBuf,
    /// Until when marks are written, in milliseconds since the program began.
    until: u64,
    free: Mutex<Vec<usize>>,
    slots: Vec<Slot>,
    began: Instant,
}

#[derive(Default)]
struct Slot {
    run: AtomicI64,
    /// In milliseconds since the program began; 0 means free.
    since: AtomicU64,
}

/// A mark; removed when dropped.
pub struct InFlightMark<'a> {
    all: &'a Watchdog,
    slot: usize,
    is_written: bool,
}

impl Watchdog {
    /// Opens the file of a data folder, and returns the runs that were marked when the program died. A program that ends as it
    /// should leaves no file.
    pub fn open(data: &Path) -> io::Result<(Self, Vec<RunId>)> {
        let path = data.join(FILE);
        let left = fs::read(&path);
        let until = if left.is_ok() { SUSPICIOUS } else { Duration::ZERO };
        let before = left.unwrap_or_default();
        let ids = before.as_chunks::<8>().0.iter().map(|bytes| RunId::from_le_bytes(*bytes)).filter(|id| *id != 0).collect();
        let file = disk::private_file().create(true).truncate(true).open(&path)?;
        file.write_all_at(&[0; SLOTS * 8], 0)?;
        let slots = (0..SLOTS).map(|_| Slot::default()).collect();
        let free = Mutex::new((0..SLOTS).rev().collect());
        Ok((Self { file, path, until: until.as_millis() as u64, free, slots, began: Instant::now() }, ids))
    }

    /// Marks a run while its step is rendered.
    pub fn mark(&self, run: RunId) -> Option<InFlightMark<'_>> {
        let slot = self.free.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop()?;
        let now = self.now();
        self.slots[slot].run.store(run, Ordering::Relaxed);
        self.slots[slot].since.store(now, Ordering::Relaxed);
        let is_written = now <= self.until;
        if is_written {
            self.write(slot, run);
        }
        Some(InFlightMark { all: self, slot, is_written })
    }

    /// Called when the program ends as it should: the next one has nothing to suspect.
    pub fn close(&self) {
        let _ = fs::remove_file(&self.path);
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64 + 1
    }

    fn write(&self, slot: usize, run: RunId) {
        // Without the mark, a crash is not counted; nothing else is affected.
        let _ = self.file.write_at(&run.to_le_bytes(), slot as u64 * 8);
    }

    /// A run that has been rendering for longer than that, and its slot.
    fn overdue(&self, longest: Duration) -> Option<(usize, RunId)> {
        let now = self.now();
        let is_overdue = |slot: &Slot| {
            let since = slot.since.load(Ordering::Relaxed);
            since != 0 && now.saturating_sub(since) > longest.as_millis() as u64
        };
        let slot = self.slots.iter().position(is_overdue)?;
        Some((slot, self.slots[slot].run.load(Ordering::Relaxed)))
    }

    /// Ends the program when a run hangs: the next start finds the run marked.
    pub fn guard(self: &Arc<Self>) -> io::Result<()> {
        let all = Arc::clone(self);
        let watch = move || {
            loop {
                thread::sleep(LONGEST / 10);
                if let Some((slot, run)) = all.overdue(LONGEST) {
                    all.write(slot, run);
                    tracing::error!(
                        run,
                        "run has been computing for {} seconds without finishing; Doorbell stops, so that it can be restarted",
                        LONGEST.as_secs()
                    );
                    std::process::abort();
                }
            }
        };
        thread::Builder::new().name("guard".into()).spawn(watch).map(drop)
    }
}

impl Drop for InFlightMark<'_> {
    fn drop(&mut self) {
        self.all.slots[self.slot].since.store(0, Ordering::Relaxed);
        if self.is_written {
            self.all.write(self.slot, 0);
        }
        self.all.free.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(self.slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_in_progress_is_found_after_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        // This one dies, so the next one is suspicious.
        let (_, before) = Watchdog::open(folder.path()).unwrap();
        assert!(before.is_empty());
        let (work, before) = Watchdog::open(folder.path()).unwrap();
        assert!(before.is_empty());
        let done = work.mark(7);
        let dying = work.mark(8);
        drop(done);
        assert_eq!(work.overdue(LONGEST), None);
        thread::sleep(Duration::from_millis(5));
        assert_eq!(work.overdue(Duration::from_millis(1)), Some((1, 8)));
        // As after a crash.
        std::mem::forget(dying);
        assert_eq!(Watchdog::open(folder.path()).unwrap().1, [8]);
        assert!(Watchdog::open(folder.path()).unwrap().1.is_empty(), "it is reported once");
    }

    #[test]
    fn runs_are_marked_only_after_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let (first, _) = Watchdog::open(folder.path()).unwrap();
        let _mark = first.mark(7);
        assert_eq!(fs::read(folder.path().join(FILE)).unwrap(), [0; SLOTS * 8]);
        first.close();
        assert!(!folder.path().join(FILE).exists());
        let (_, before) = Watchdog::open(folder.path()).unwrap();
        assert!(before.is_empty());
    }

    #[test]
    fn runs_without_a_free_mark_are_processed_unmarked() {
        let folder = tempfile::tempdir().unwrap();
        let (work, _) = Watchdog::open(folder.path()).unwrap();
        let marks: Vec<_> = (1..=SLOTS as RunId).map(|run| work.mark(run)).collect();
        assert!(marks.iter().all(Option::is_some) && work.mark(1_000).is_none());
        drop(marks);
        assert!(work.mark(1_000).is_some());
    }
}
