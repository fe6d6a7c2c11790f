//! The embedded store: SQLite in WAL mode with `synchronous=FULL`, one writer thread, group commit.
//!
//! All jobs that wait when the thread is free are committed as one transaction, and all callers are answered after that;
//! so one flush serves all events that arrived during the previous one. The statements are in [`super::jobs`], ownership
//! of runs in [`super::owner`], reading for people in [`super::archive`], checkpoints of the log in
//! [`super::checkpoint`].

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::accept::fresh;
use super::checkpoint::Checkpoint;
use super::contract::{
    Accept, Accepted, Cancelled, Doing, EffectKey, Error, Heavy, Held, NewRun, Pruned, Pruning, Record, Recorded, Result, Standing, Store,
    Waiting as WaitingRuns,
};
use super::failures::{damaged, error, no_disk};
use super::jobs::Job;
use super::owner::Owner;
use super::reply::Reply;
use super::tables;
use crate::disk::{flush_folder, private_file, takes_writes};
use crate::model::event::{EventId, Unread};
use crate::model::run::{Intent, Run, RunId, TextHash};

/// The maximum number of jobs committed together.
const MAX_GROUP: usize = 1_024;
/// The maximum number of jobs that wait for the writer; above that the sender is told to retry later.
const MAX_WAITING: usize = 8_192;
const FILE: &str = "doorbell.db";

/// The database file of a data folder.
pub(super) fn file(data: &Path) -> PathBuf {
    data.join(FILE)
}

/// Whether the file is shorter than its header says. If there is a log next to it, the missing part may be in the log.
fn is_cut_off(data: &Path) -> bool {
    let log = std::fs::metadata(data.join(format!("{FILE}-wal"))).map_or(0, |m| m.len());
    let (mut head, length) = ([0; 32], std::fs::metadata(file(data)).map_or(0, |m| m.len()));
    let read = File::open(file(data)).and_then(|mut f| std::io::Read::read_exact(&mut f, &mut head));
    // The page size and the page count (the SQLite file format, 1.3).
    let page = u64::from(u16::from_be_bytes([head[16], head[17]]));
    let page = if page == 1 { 1 << 16 } else { page };
    log == 0 && read.is_ok() && length < page * u64::from(u32::from_be_bytes([head[28], head[29], head[30], head[31]]))
}

/// Opens a new connection.
pub(super) fn connect(data: &Path, create: bool) -> Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let connection = Connection::open_with_flags(file(data), flags).map_err(error)?;
    connection.busy_timeout(Duration::from_secs(10)).map_err(error)?;
    let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -4000;";
    connection.execute_batch(settings).map_err(error)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// A handle on the writer thread; the thread ends when the last handle is dropped.
#[derive(Clone)]
pub struct Sqlite {
    jobs: mpsc::Sender<Waiting>,
}

/// A job and its caller.
struct Waiting {
    job: Job,
    done: Option<oneshot::Sender<Result<Reply>>>,
}

/// Callers with their results. There are never more of them than waiting jobs, so this queue needs no limit.
type Answers = Vec<(oneshot::Sender<Result<Reply>>, Result<Reply>)>;

impl Sqlite {
    /// Opens the store as its new owner, and starts its writer. Must be called inside a runtime.
    pub fn open(data: &Path) -> Result<Self> {
        std::fs::create_dir_all(data).map_err(|e| Error::new(format!("the data folder cannot be created: {e}"), false))?;
        if is_cut_off(data) {
            return Err(damaged());
        }
        // SQLite gives its log the permissions of the database.
        if !file(data).exists() {
            private_file().create(true).open(file(data)).map_err(|e| Error::new(format!("the data folder cannot be used: {e}"), false))?;
        }
        let mut connection = connect(data, true)?;
        tables::migrate(&mut connection)?;
        let owner = Owner::take_over(&connection).map_err(error)?;
        // A new database file survives a power cut only if its folder was flushed.
        flush_folder(data).map_err(|e| Error::new(e.to_string(), true))?;
        let files = Files::of(data).map_err(|e| Error::new(format!("the data folder cannot be read: {e}"), true))?;
        let checkpoint = Checkpoint::new(&mut connection, connect(data, false)?)?;
        let (jobs, receive) = mpsc::channel(MAX_WAITING);
        let (answers, mut to_tell) = mpsc::unbounded_channel::<Answers>();
        // Waking many tasks costs more than a flush; so the writer wakes one task, and that one wakes the others.
        tokio::spawn(async move {
            while let Some(all) = to_tell.recv().await {
                for (done, result) in all {
                    let _ = done.send(result);
                }
            }
        });
        thread::Builder::new()
            .name("store".into())
            .spawn(move || Writer { connection, files, owner, answers, checkpoint }.run(receive))
            .map_err(|e| Error::new(e.to_string(), true))?;
        Ok(Self { jobs })
    }

    /// Runs a job and extracts its result.
    fn ask<T: Send + 'static>(&self, job: Job, take: fn(Reply) -> Option<T>) -> Doing<'_, T> {
        Box::pin(async move {
            let (done, kept) = oneshot::channel();
            self.jobs.send(Waiting { job, done: Some(done) }).await.map_err(|_| stopped())?;
            take(kept.await.map_err(|_| stopped())??).ok_or_else(other)
        })
    }
}

fn stopped() -> Error {
    Error::new("the store has stopped", true).but_maybe_done()
}

/// The database's files as they were when opened. If files were moved away or replaced, whatever is written to the old
/// ones is lost when the process ends, so nothing is stored any more after that.
struct Files {
    numbers: [(PathBuf, u64); 2],
    /// A second handle on the log, never written to. (It holds none of SQLite's locks, which closing a file would release.)
    log: File,
}

impl Files {
    fn of(data: &Path) -> std::io::Result<Self> {
        let number = |name: &str| std::fs::metadata(data.join(name)).map(|m| (data.join(name), m.ino()));
        let log = format!("{FILE}-wal");
        Ok(Self { numbers: [number(FILE)?, number(&log)?], log: File::options().append(true).open(data.join(log))? })
    }

    fn are_there(&self) -> Result<()> {
        let is_same = |(path, number): &(PathBuf, u64)| std::fs::metadata(path).is_ok_and(|m| m.ino() == *number);
        match self.numbers.iter().find(|file| !is_same(file)) {
            None => Ok(()),
            Some((path, _)) => {
                let said = format!(
                    "the file {} was moved, deleted or replaced while Doorbell was using it; put it back, or restart Doorbell",
                    path.display()
                );
                Err(Error::new(said, true))
            }
        }
    }
}

/// The writer thread.
struct Writer {
    connection: Connection,
    files: Files,
    owner: Owner,
    answers: mpsc::UnboundedSender<Answers>,
    checkpoint: Checkpoint,
}

impl Writer {
    /// Runs until the last caller is gone. A panic ends the current group, whose callers learn that it may have been
    /// committed.
    fn run(mut self, mut jobs: mpsc::Receiver<Waiting>) {
        while std::panic::catch_unwind(AssertUnwindSafe(|| self.work(&mut jobs))).is_err() {
            tracing::error!("store thread crashed and continues; please report it");
        }
        self.checkpoint.finish(&self.connection);
    }

    /// Collects, commits, answers.
    fn work(&mut self, jobs: &mut mpsc::Receiver<Waiting>) {
        let mut group = Vec::with_capacity(MAX_GROUP);
        while let Some(first) = jobs.blocking_recv() {
            group.push(first);
            while group.len() < MAX_GROUP
                && let Ok(next) = jobs.try_recv()
            {
                group.push(next);
            }
            let results = match self.keep(&group) {
                Ok(results) => results,
                // One failed job makes the whole group fail: run each job separately, so that only that one fails.
                Err(_) if group.len() > 1 => {
                    group.iter().map(|one| self.keep(std::slice::from_ref(one)).and_then(|mut r| r.remove(0))).collect()
                }
                Err(e) => vec![Err(e)],
            };
            let done = group.drain(..).zip(results).filter_map(|(waiting, result)| waiting.done.map(|done| (done, result)));
            let _ = self.answers.send(done.collect());
            self.checkpoint.after_commit(&self.connection);
        }
    }

    /// Commits a group of jobs, if the disk and files are still those that were opened.
    fn keep(&mut self, group: &[Waiting]) -> Result<Vec<Result<Reply>>> {
        self.files.are_there()?;
        // A panic fails that job only, and must not end the thread that everybody waits for. Its transaction is rolled back.
        let committed = std::panic::catch_unwind(AssertUnwindSafe(|| commit(&mut self.connection, &mut self.owner, group)));
        let results = committed.unwrap_or_else(|_| Err(Error::new("the store crashed during this operation; please report it", false)))?;
        Ok(match takes_writes(&self.files.log) {
            Ok(()) => results,
            // As far as SQLite knows, they are committed.
            Err(_) => group.iter().map(|_| Err(no_disk().but_maybe_done())).collect(),
        })
    }
}

/// Runs a group of jobs in one transaction.
fn commit(connection: &mut Connection, owner: &mut Owner, group: &[Waiting]) -> Result<Vec<Result<Reply>>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(error)?;
    if !owner.is_current(&transaction).map_err(error)? {
        return Ok(group.iter().map(|waiting| waiting.job.refused()).collect());
    }
    let mut results = Vec::with_capacity(group.len());
    for waiting in group {
        results.push(Ok(waiting.job.run(&transaction, owner).map_err(error)?));
    }
    transaction.commit().map_err(error)?;
    owner.committed();
    Ok(results)
}

/// A job returned the reply of another kind of job: a broken invariant.
fn other() -> Error {
    Error::new("the store returned an unexpected result", false)
}

impl Store for Sqlite {
    fn accept(&self, accept: Accept) -> Doing<'_, Accepted> {
        Box::pin(async move {
            let (done, kept) = oneshot::channel();
            let accept = Arc::new(accept);
            let job = Job::accept(accept.clone());
            // A full queue means overload, and the sender is told immediately.
            self.jobs
                .try_send(Waiting { job, done: Some(done) })
                .map_err(|_| Error::new("too many events are waiting to be saved", true))?;
            match kept.await.map_err(|_| stopped())?? {
                Reply::New(first, results) => {
                    let run = |(id, (new, result))| (fresh(id, &accept.event, new), result);
                    let runs = (first..).zip(accept.runs.iter().zip(results)).map(run).collect();
                    Ok(Accepted::New(accept.event.clone(), runs))
                }
                Reply::Again { first, is_same, restarted, standing } => Ok(Accepted::Again { first, is_same, restarted, standing }),
                _ => Err(other()),
            }
        })
    }

    fn answer(&self, event: EventId) -> Doing<'_, Standing> {
        self.ask(Job::Answer(event), |kept| if let Reply::Standing(standing) = kept { Some(standing) } else { None })
    }

    fn record(&self, record: Record) -> Doing<'_, Recorded> {
        self.ask(Job::Record(record), |kept| if let Reply::Recorded(recorded) = kept { Some(recorded) } else { None })
    }

    fn lease(&self, now: Timestamp, most: usize, heavy: Heavy) -> Doing<'_, Vec<(Run, Unread)>> {
        self.ask(Job::Lease { now, most, heavy }, runs)
    }

    fn held(&self, which: Held) -> Doing<'_, Vec<(Run, Unread)>> {
        self.ask(Job::Held(which), runs)
    }

    fn owned(&self) -> Doing<'_, Vec<(RunId, i64)>> {
        self.ask(Job::Owned, |kept| if let Reply::Owned(runs) = kept { Some(runs) } else { None })
    }

    fn next_due(&self) -> Doing<'_, Option<Timestamp>> {
        self.ask(Job::NextDue, |kept| if let Reply::Due(due) = kept { Some(due) } else { None })
    }

    fn intend(&self, folder: &str, intent: Intent) -> Doing<'_, ()> {
        self.ask(Job::Intend { folder: folder.to_owned(), intent }, |_| Some(()))
    }

    fn forget(&self, folder: &str, file: &str) {
        // If this fails, the intent stays, and is recognised as done after a restart.
        let job = Job::Forget { folder: folder.to_owned(), file: file.to_owned() };
        let _ = self.jobs.try_send(Waiting { job, done: None });
    }

    fn intents(&self, folder: &str) -> Doing<'_, Vec<Intent>> {
        let job = Job::Intents { folder: folder.to_owned() };
        self.ask(job, |kept| if let Reply::Intents(intents) = kept { Some(intents) } else { None })
    }

    fn settle(&self, done: Vec<EffectKey>) -> Doing<'_, ()> {
        self.ask(Job::Settle(done), |_| Some(()))
    }

    fn still_at(&self, places: Vec<EffectKey>) -> Doing<'_, bool> {
        self.ask(Job::StillAt(places), yes)
    }

    fn remember(&self, texts: Vec<(TextHash, String, String)>) -> Doing<'_, i64> {
        self.ask(Job::Remember(texts), |kept| if let Reply::Ruleset(number) = kept { Some(number) } else { None })
    }

    fn text(&self, hash: TextHash) -> Doing<'_, Option<(String, String)>> {
        self.ask(Job::Text(hash), |kept| if let Reply::Text(text) = kept { Some(text) } else { None })
    }

    fn crashed_with(&self, runs: Vec<RunId>, now: Timestamp) -> Doing<'_, Vec<(EventId, String)>> {
        self.ask(Job::CrashedWith(runs, now), |kept| if let Reply::SetAside(runs) = kept { Some(runs) } else { None })
    }

    fn replay(&self, event: EventId, rule: Option<String>, now: Timestamp) -> Doing<'_, usize> {
        self.ask(Job::Replay { event, rule, now }, number)
    }

    fn start_anew(&self, event: EventId, runs: Vec<NewRun>, texts: Vec<(TextHash, String, String)>, now: Timestamp) -> Doing<'_, usize> {
        self.ask(Job::StartAnew { event, runs, texts, now }, number)
    }

    fn cancel(&self, which: WaitingRuns, now: Timestamp) -> Doing<'_, Cancelled> {
        self.ask(Job::Cancel(which, now), |kept| if let Reply::Cancelled(cancelled) = kept { Some(cancelled) } else { None })
    }

    fn prune(&self, what: Pruning, after: i64, most: usize) -> Doing<'_, Pruned> {
        self.ask(Job::Prune { what, after, most }, |kept| if let Reply::Pruned(pruned) = kept { Some(pruned) } else { None })
    }

    fn expire(&self, now: Timestamp) -> Doing<'_, bool> {
        self.ask(Job::Expire(now), yes)
    }

    fn size(&self) -> Doing<'_, u64> {
        self.ask(Job::Size, |kept| if let Reply::Size(bytes) = kept { Some(bytes) } else { None })
    }
}

fn runs(kept: Reply) -> Option<Vec<(Run, Unread)>> {
    if let Reply::Runs(runs) = kept { Some(runs) } else { None }
}

fn yes(kept: Reply) -> Option<bool> {
    if let Reply::Yes(yes) = kept { Some(yes) } else { None }
}

fn number(kept: Reply) -> Option<usize> {
    if let Reply::Number(number) = kept { Some(number) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Event;
    use crate::store::contract::NewRun;

    fn accept() -> Job {
        let id = EventId(uuid::Uuid::now_v7());
        let run = NewRun { rule: "r".into(), text: "t".into(), step: 0, lane: None, once: None };
        let event = Arc::new(Event { id, ..Event::nobody() });
        let accept = Accept { event, runs: vec![run], deliveries: Vec::new(), is_vouched: false, ruleset: 1, status: 200, taken: true };
        Job::accept(Arc::new(accept))
    }

    /// A job that fails or panics is the only one of its group to fail, and the thread continues.
    #[tokio::test]
    async fn a_job_that_fails_or_panics_fails_no_other_job_of_its_group() {
        let folder = tempfile::tempdir().unwrap();
        let store = Sqlite::open(folder.path()).unwrap();
        for panics in [false, true] {
            // While another connection blocks the database, all of them are put into one group.
            let other = connect(folder.path(), false).unwrap();
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            let mut results = Vec::new();
            for job in [accept(), accept(), Job::Failing { panics }, accept()] {
                let (done, result) = oneshot::channel();
                store.jobs.send(Waiting { job, done: Some(done) }).await.unwrap();
                results.push(result);
            }
            drop(other);
            let mut succeeded = Vec::new();
            for result in results {
                succeeded.push(matches!(result.await.unwrap(), Ok(Reply::New(..))));
            }
            assert_eq!(succeeded, [true, true, false, true]);
        }
        assert_eq!(connect(folder.path(), false).unwrap().query_row("SELECT count(*) FROM event", [], |r| r.get(0)), Ok(6));
    }

    /// Opening the store makes a new owner; the previous one can change nothing any more.
    #[tokio::test]
    async fn an_owner_that_was_replaced_can_change_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let before = Sqlite::open(folder.path()).unwrap();
        let run = NewRun { rule: "r".into(), text: "t".into(), step: 0, lane: None, once: None };
        let event = || Arc::new(Event { id: EventId(uuid::Uuid::now_v7()), ..Event::nobody() });
        let accept = |taken| Accept {
            event: event(),
            runs: vec![run.clone(), run.clone()],
            deliveries: Vec::new(),
            is_vouched: false,
            ruleset: 1,
            status: 200,
            taken,
        };
        let Ok(Accepted::New(_, runs)) = before.accept(accept(true)).await else { panic!() };
        let after = Sqlite::open(folder.path()).unwrap();
        let done = |run: &Run| {
            let run = Run { state: crate::model::run::State::Done, ..run.clone() };
            Record { run: run.into(), attempts: Vec::new().into(), answer: None, goes_on: false }
        };
        assert_eq!(before.record(done(&runs[0].0)).await.unwrap(), Recorded::LeaseLost);
        let said = "another Doorbell has taken over this data folder; stop one of the two";
        assert_eq!(before.accept(accept(false)).await.unwrap_err().to_string(), said);
        assert_eq!(before.lease(Timestamp::now(), 9, Heavy::ANY).await.unwrap_err().to_string(), said);
        // Its runs are free for the new owner, once.
        assert!(after.next_due().await.unwrap().is_some());
        let leased = after.lease(Timestamp::UNIX_EPOCH, 9, Heavy::ANY).await.unwrap();
        assert_eq!(leased.len(), 2);
        assert!(after.lease(Timestamp::now(), 9, Heavy::ANY).await.unwrap().is_empty() && after.next_due().await.unwrap().is_none());
        assert_eq!(after.record(done(&leased[0].0)).await.unwrap(), Recorded::Recorded);
        assert_eq!(after.record(done(&leased[0].0)).await.unwrap(), Recorded::LeaseLost, "it has ended");
    }
}
