//! SQLite: the writer thread, with group commit.
//!
//! All jobs that wait when the thread is free are committed as one transaction, and all callers are answered after that;
//! so one flush serves all events that arrived during the previous one.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::checkpoint::Checkpoint;
use super::connection::Files;
use super::failures::{error, no_disk};
use super::jobs::Job;
use super::owner::Owner;
use super::reply::Reply;
use super::statements::Statements;
use crate::disk::takes_writes;
use crate::store::commits::Commits;
use crate::store::contract::{Error, Result};
use crate::store::news::News;

/// The maximum number of jobs committed together.
const MAX_GROUP: usize = 1_024;
/// A job and its caller.
pub(super) struct QueuedJob {
    pub(super) job: Job,
    pub(super) done: Option<oneshot::Sender<Result<Reply>>>,
}

/// Callers with their results. There are never more of them than waiting jobs, so this queue needs no limit.
pub(super) type Answers = Vec<(oneshot::Sender<Result<Reply>>, Result<Reply>)>;

/// The writer thread.
pub(super) struct Writer {
    pub(super) files: Files,
    pub(super) owner: Owner,
    pub(super) answers: mpsc::UnboundedSender<Answers>,
    pub(super) checkpoint: Checkpoint,
    pub(super) news: News,
    pub(super) commits: Arc<Commits>,
}

/// The writer's connection, and the statements that it keeps.
struct Session<'c> {
    connection: &'c Connection,
    hot: Statements<'c>,
}

impl Writer {
    /// Runs until the last caller is gone. A panic ends the current group, whose callers learn that it may have been
    /// committed.
    pub(super) fn run(mut self, connection: Connection, mut jobs: mpsc::Receiver<QueuedJob>) {
        let mut session = Session { connection: &connection, hot: Statements::of(&connection) };
        while std::panic::catch_unwind(AssertUnwindSafe(|| self.work(&mut session, &mut jobs))).is_err() {
            tracing::error!("store thread crashed and continues; please report it");
        }
        self.checkpoint.finish(&connection);
    }

    /// Collects, commits, answers.
    fn work(&mut self, session: &mut Session, jobs: &mut mpsc::Receiver<QueuedJob>) {
        let mut group = Vec::with_capacity(MAX_GROUP);
        while let Some(first) = jobs.blocking_recv() {
            group.push(first);
            while group.len() < MAX_GROUP
                && let Ok(next) = jobs.try_recv()
            {
                group.push(next);
            }
            let before = session.connection.total_changes();
            let results = match self.keep(session, &group) {
                Ok(results) => results,
                // One failed job makes the whole group fail: run each job separately, so that only that one fails.
                Err(_) if group.len() > 1 => {
                    group.iter().map(|one| self.keep(session, std::slice::from_ref(one)).and_then(|mut r| r.remove(0))).collect()
                }
                Err(e) => vec![Err(e)],
            };
            let done = group.drain(..).zip(results).filter_map(|(waiting, result)| waiting.done.map(|done| (done, result)));
            let _ = self.answers.send(done.collect());
            self.checkpoint.after_commit(session.connection);
            if session.connection.total_changes() != before {
                self.news.tell();
            }
        }
    }

    /// Commits a group of jobs, if the disk and files are still those that were opened.
    fn keep(&mut self, session: &mut Session, group: &[QueuedJob]) -> Result<Vec<Result<Reply>>> {
        let began = Instant::now();
        let results = self.commit(session, group);
        let succeeded = results.as_ref().map_or(0, |all| all.iter().filter(|result| result.is_ok()).count());
        // If a whole group fails, its operations are committed one by one, and counted then.
        let is_repeated = results.is_err() && group.len() > 1;
        let failed = if is_repeated { 0 } else { group.len() - succeeded };
        self.commits.count(began.elapsed(), succeeded, failed);
        results
    }

    fn commit(&mut self, session: &mut Session, group: &[QueuedJob]) -> Result<Vec<Result<Reply>>> {
        self.files.are_there()?;
        // A panic fails that job only, and must not end the thread that everybody waits for. Its transaction is rolled back.
        let committed = std::panic::catch_unwind(AssertUnwindSafe(|| commit(session, &mut self.owner, group)));
        let results = committed.unwrap_or_else(|_| Err(Error::new("the store crashed during this operation; please report it", false)))?;
        Ok(match takes_writes(&self.files.log) {
            Ok(()) => results,
            // As far as SQLite knows, they are committed.
            Err(_) => group.iter().map(|_| Err(no_disk().but_maybe_done())).collect(),
        })
    }
}

/// Runs a group of jobs in one transaction.
fn commit(session: &mut Session, owner: &mut Owner, group: &[QueuedJob]) -> Result<Vec<Result<Reply>>> {
    // The statements borrow the connection, too. Nothing else begins a transaction on it.
    let transaction = Transaction::new_unchecked(session.connection, TransactionBehavior::Immediate).map_err(error)?;
    if !owner.is_current(&transaction).map_err(error)? {
        return Ok(group.iter().map(|waiting| waiting.job.refused()).collect());
    }
    let mut results = Vec::with_capacity(group.len());
    for waiting in group {
        results.push(Ok(waiting.job.run(&transaction, &mut session.hot, owner).map_err(error)?));
    }
    transaction.commit().map_err(error)?;
    owner.committed();
    Ok(results)
}
