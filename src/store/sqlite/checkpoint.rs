//! SQLite: checkpoints the write-ahead log (copies it back into the database): often, and mostly in a separate thread.
//!
//! A checkpoint flushes the database file, and while the writer does that itself nobody gets an answer. So the thread
//! copies what the log contains while the writer continues; the writer then copies the few pages that were added in the
//! meantime, because a log can only restart from the beginning once it is fully copied. Neither ever waits for readers:
//! pages they still need are copied next time.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::failures::error;
use crate::store::contract::{Error, Result};

/// How long the log grows before a checkpoint, in pages of 4 KB. Longer logs are a little faster on average but make the
/// slowest answers slower (docs/performance.md).
const LONG: i32 = 300;

pub(super) struct Checkpoint {
    /// The length of the log after the last commit.
    pages: Arc<AtomicI32>,
    begin: SyncSender<()>,
    ended: Receiver<()>,
    is_folding: bool,
    thread: JoinHandle<()>,
}

impl Checkpoint {
    /// Takes over checkpoints for the writer's connection; `second` is the thread's own connection to the same database.
    pub(super) fn new(writer: &mut Connection, second: Connection) -> Result<Self> {
        let pages = Arc::new(AtomicI32::new(0));
        let counted = pages.clone();
        let count = move |_: &mut Wal, pages| {
            counted.store(pages, Ordering::Relaxed);
            Ok(())
        };
        // This also disables SQLite's automatic checkpoints, which are such a hook themselves.
        writer.wal_hook(Some(count)).map_err(error)?;
        let ((begin, wanted), (done, ended)) = (sync_channel(1), sync_channel(1));
        let work = move || {
            for () in wanted {
                // Even if this panics, the writer must learn that the checkpoint has ended.
                let _ = std::panic::catch_unwind(AssertUnwindSafe(|| checkpoint(&second)));
                if done.send(()).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("fold".into()).spawn(work).map_err(|e| Error::new(e.to_string(), true))?;
        Ok(Self { pages, begin, ended, is_folding: false, thread })
    }

    /// Called by the writer after each commit.
    pub(super) fn after_commit(&mut self, writer: &Connection) {
        if !self.is_folding {
            self.is_folding = self.pages.load(Ordering::Relaxed) >= LONG && self.begin.try_send(()).is_ok();
        } else if !matches!(self.ended.try_recv(), Err(TryRecvError::Empty)) {
            self.is_folding = false;
            self.pages.store(0, Ordering::Relaxed);
            checkpoint(writer);
        }
    }

    /// Waits for the thread and copies what is left.
    pub(super) fn finish(self, writer: &Connection) {
        drop((self.begin, self.ended));
        let _ = self.thread.join();
        let _ = writer.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
    }
}

/// Temporary obstacles are retried next time; a disk error shows at the next commit.
fn checkpoint(connection: &Connection) {
    let _ = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
}
