//! The embedded store: SQLite in WAL mode with `synchronous=FULL`, one writer thread, group commit.
//!
//! Whatever waits when the thread is free is committed as one transaction, and only then are all who wait answered; so
//! a flush is shared by as many events as came during the one before. The statements are in [`super::jobs`], reading for
//! people in [`super::archive`], what becomes of the log in [`super::fold`].

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::{mpsc, oneshot};

use super::contract::{Accept, Accepted, Doing, Error, Pruned, Pruning, Result, Standing, Store};
use super::fold::Fold;
use super::jobs::{Job, Kept};
use super::tables;
use crate::disk::{flush_folder, takes_writes};
use crate::event::{Event, EventId};
use crate::run::{Answer, Attempt, Intent, Run, RunId, TextHash};

/// The most that is committed together.
const MAX_GROUP: usize = 1_024;
/// The most that waits for the writer; beyond it the sender is told to come back.
const MAX_WAITING: usize = 8_192;
const FILE: &str = "doorbell.db";

fn damaged() -> Error {
    Error::new("the file doorbell.db in the data folder is damaged; put it aside and start from a backup, or with an empty folder", false)
}

fn no_disk() -> Error {
    Error::new("the disk of the data folder does not work as it should", true)
}

/// An error of SQLite in words.
pub(super) fn error(e: rusqlite::Error) -> Error {
    let words = |m: &str, transient| Error::new(m, transient);
    match e.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => words("the disk of the data folder is full; make room on it", true),
        Some(ErrorCode::ReadOnly) => words("the data folder can only be read; look at its owner and rights", true),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => words("the data folder is busy", true),
        Some(ErrorCode::SystemIoFailure) => no_disk(),
        Some(ErrorCode::CannotOpen) => words("the data folder cannot be opened; look at its owner and rights", true),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damaged(),
        _ => Error::new(e.to_string(), false),
    }
}

/// The file of a data folder.
pub(super) fn file(data: &Path) -> PathBuf {
    data.join(FILE)
}

/// Whether the file is shorter than it says itself. While a log lies beside it, what is missing may stand there.
fn is_cut_off(data: &Path) -> bool {
    let log = std::fs::metadata(data.join(format!("{FILE}-wal"))).map_or(0, |m| m.len());
    let (mut head, length) = ([0; 32], std::fs::metadata(file(data)).map_or(0, |m| m.len()));
    let read = File::open(file(data)).and_then(|mut f| std::io::Read::read_exact(&mut f, &mut head));
    // The size of a page and how many there are (the SQLite file format, 1.3).
    let page = u64::from(u16::from_be_bytes([head[16], head[17]]));
    let page = if page == 1 { 1 << 16 } else { page };
    log == 0 && read.is_ok() && length < page * u64::from(u32::from_be_bytes([head[28], head[29], head[30], head[31]]))
}

/// Opens a connection of its own.
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

/// A handle on the writer thread; the thread ends when the last one is dropped.
#[derive(Clone)]
pub struct Sqlite {
    jobs: mpsc::Sender<Waiting>,
}

/// A job and who waits for it.
struct Waiting {
    job: Job,
    done: Option<oneshot::Sender<Result<Kept>>>,
}

/// Who waits for what a commit did. Never more than the jobs that wait, so that the queue of these needs no limit.
type Answers = Vec<(oneshot::Sender<Result<Kept>>, Result<Kept>)>;

impl Sqlite {
    /// Opens the store and starts its writer. Runs that an earlier process had taken are free
    /// again. Has to be called inside a runtime.
    pub fn open(data: &Path) -> Result<Self> {
        std::fs::create_dir_all(data).map_err(|e| Error::new(format!("the data folder cannot be made: {e}"), false))?;
        if is_cut_off(data) {
            return Err(damaged());
        }
        let mut connection = connect(data, true)?;
        tables::migrate(&mut connection)?;
        connection.execute("UPDATE pending SET taken = 0 WHERE taken = 1", []).map_err(error)?;
        // A new database file is there after a power cut only if its folder was flushed.
        flush_folder(data).map_err(|e| Error::new(e.to_string(), true))?;
        let files = Files::of(data).map_err(|e| Error::new(format!("the data folder cannot be read: {e}"), true))?;
        let fold = Fold::new(&mut connection, connect(data, false)?)?;
        let (jobs, receive) = mpsc::channel(MAX_WAITING);
        let (answers, mut to_tell) = mpsc::unbounded_channel::<Answers>();
        // Waking many tasks costs more than a flush; so the writer wakes one, and that one the others.
        tokio::spawn(async move {
            while let Some(all) = to_tell.recv().await {
                for (done, result) in all {
                    let _ = done.send(result);
                }
            }
        });
        thread::Builder::new()
            .name("store".into())
            .spawn(move || write(connection, &files, receive, &answers, fold))
            .map_err(|e| Error::new(e.to_string(), true))?;
        Ok(Self { jobs })
    }

    async fn ask(&self, job: Job) -> Result<Kept> {
        let (done, kept) = oneshot::channel();
        let gone = || Error::new("the store has stopped", true);
        self.jobs.send(Waiting { job, done: Some(done) }).await.map_err(|_| gone())?;
        kept.await.map_err(|_| gone())?
    }
}

/// The database's files as they were when they were opened. What is written into files that somebody has moved away or
/// replaced is lost with the process, so nothing is kept any more then.
struct Files {
    numbers: [(PathBuf, u64); 2],
    /// The log once more, never written to. (SQLite's locks, which closing a file would give up, are not on this one.)
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
                    "the file {} was moved, deleted or replaced while Doorbell uses it; put it back, or restart Doorbell",
                    path.display()
                );
                Err(Error::new(said, true))
            }
        }
    }
}

/// The writer thread: gathers, commits, answers.
fn write(
    mut connection: Connection,
    files: &Files,
    mut jobs: mpsc::Receiver<Waiting>,
    answers: &mpsc::UnboundedSender<Answers>,
    mut fold: Fold,
) {
    let mut group = Vec::with_capacity(MAX_GROUP);
    while let Some(first) = jobs.blocking_recv() {
        group.push(first);
        while group.len() < MAX_GROUP
            && let Ok(next) = jobs.try_recv()
        {
            group.push(next);
        }
        let results = match keep(&mut connection, files, &group) {
            Ok(results) => results,
            // One of them spoils it for all: each for itself, so that only that one fails.
            Err(_) if group.len() > 1 => {
                group.iter().map(|one| keep(&mut connection, files, std::slice::from_ref(one)).and_then(|mut r| r.remove(0))).collect()
            }
            Err(e) => vec![Err(e)],
        };
        let done = group.drain(..).zip(results).filter_map(|(waiting, result)| waiting.done.map(|done| (done, result)));
        let _ = answers.send(done.collect());
        fold.after_commit(&connection);
    }
    fold.finish(&connection);
}

/// Commits a group of jobs, where the disk still is what it was when the store was opened.
fn keep(connection: &mut Connection, files: &Files, group: &[Waiting]) -> Result<Vec<Result<Kept>>> {
    files.are_there()?;
    let results = commit(connection, group)?;
    Ok(match takes_writes(&files.log) {
        Ok(()) => results,
        // They are committed as far as SQLite knows, and must not be done again.
        Err(_) => group.iter().map(|_| Err(no_disk())).collect(),
    })
}

/// Does a group of jobs in one transaction.
fn commit(connection: &mut Connection, group: &[Waiting]) -> Result<Vec<Result<Kept>>> {
    let transaction = connection.transaction().map_err(error)?;
    let mut results = Vec::with_capacity(group.len());
    for waiting in group {
        results.push(Ok(waiting.job.run(&transaction).map_err(error)?));
    }
    transaction.commit().map_err(error)?;
    Ok(results)
}

/// A job gave something that belongs to another one: a broken invariant.
fn other() -> Error {
    Error::new("the store gave something else than what was asked for", false)
}

impl Store for Sqlite {
    fn accept(&self, accept: Accept) -> Doing<'_, Accepted> {
        Box::pin(async move {
            let (done, kept) = oneshot::channel();
            let job = Job::accept(&accept);
            // A full queue is an overload, and the sender hears so at once.
            self.jobs.try_send(Waiting { job, done: Some(done) }).map_err(|_| Error::new("too much is waiting to be kept", true))?;
            match kept.await.map_err(|_| Error::new("the store has stopped", true))?? {
                Kept::New(first, fates) => {
                    let fresh = |(id, (new, fate))| (super::jobs::fresh(id, &accept.event, new), fate);
                    let runs = (first..).zip(accept.runs.iter().zip(fates)).map(fresh).collect();
                    Ok(Accepted::New(accept.event, runs))
                }
                Kept::Again { first, restarted, standing } => Ok(Accepted::Again { first, restarted, standing }),
                _ => Err(other()),
            }
        })
    }

    fn answer(&self, event: EventId) -> Doing<'_, Standing> {
        Box::pin(async move {
            match self.ask(Job::Answer(event)).await? {
                Kept::Standing(standing) => Ok(standing),
                _ => Err(other()),
            }
        })
    }

    fn record(&self, run: Arc<Run>, attempts: Arc<Vec<Attempt>>, answer: Option<Answer>) -> Doing<'_, ()> {
        Box::pin(async move { self.ask(Job::Record { run, attempts, answer }).await.map(drop) })
    }

    fn lease(&self, now: Timestamp, most: usize) -> Doing<'_, Vec<(Run, Event)>> {
        Box::pin(async move {
            match self.ask(Job::Lease { now, most }).await? {
                Kept::Leased(runs) => Ok(runs),
                _ => Err(other()),
            }
        })
    }

    fn next_due(&self) -> Doing<'_, Option<Timestamp>> {
        Box::pin(async move {
            match self.ask(Job::NextDue).await? {
                Kept::Due(due) => Ok(due),
                _ => Err(other()),
            }
        })
    }

    fn intend(&self, intent: Intent) -> Doing<'_, ()> {
        Box::pin(async move { self.ask(Job::Intend(intent)).await.map(drop) })
    }

    fn forget(&self, file: &str) {
        // If it cannot be told, the intent stays, and is found to be done with after a restart.
        let _ = self.jobs.try_send(Waiting { job: Job::Forget(file.to_owned()), done: None });
    }

    fn intents(&self) -> Doing<'_, Vec<Intent>> {
        Box::pin(async move {
            match self.ask(Job::Intents).await? {
                Kept::Intents(intents) => Ok(intents),
                _ => Err(other()),
            }
        })
    }

    fn settle(&self, done: Vec<(RunId, u32, u32)>) -> Doing<'_, ()> {
        Box::pin(async move { self.ask(Job::Settle(done)).await.map(drop) })
    }

    fn still_at(&self, places: Vec<(RunId, u32, u32)>) -> Doing<'_, bool> {
        Box::pin(async move {
            match self.ask(Job::StillAt(places)).await? {
                Kept::Yes(yes) => Ok(yes),
                _ => Err(other()),
            }
        })
    }

    fn remember(&self, texts: Vec<(TextHash, String, String)>) -> Doing<'_, i64> {
        Box::pin(async move {
            match self.ask(Job::Remember(texts)).await? {
                Kept::Ruleset(id) => Ok(id),
                _ => Err(other()),
            }
        })
    }

    fn text(&self, hash: TextHash) -> Doing<'_, Option<(String, String)>> {
        Box::pin(async move {
            match self.ask(Job::Text(hash)).await? {
                Kept::Text(text) => Ok(text),
                _ => Err(other()),
            }
        })
    }

    fn stumbled(&self, runs: Vec<RunId>, now: Timestamp) -> Doing<'_, Vec<(EventId, String)>> {
        Box::pin(async move {
            match self.ask(Job::Stumbled(runs, now)).await? {
                Kept::SetAside(runs) => Ok(runs),
                _ => Err(other()),
            }
        })
    }

    fn prune(&self, what: Pruning, after: i64, most: usize) -> Doing<'_, Pruned> {
        Box::pin(async move {
            match self.ask(Job::Prune { what, after, most }).await? {
                Kept::Pruned(pruned) => Ok(pruned),
                _ => Err(other()),
            }
        })
    }

    fn expire(&self, now: Timestamp) -> Doing<'_, bool> {
        Box::pin(async move {
            match self.ask(Job::Expire(now)).await? {
                Kept::Yes(more) => Ok(more),
                _ => Err(other()),
            }
        })
    }

    fn size(&self) -> Doing<'_, u64> {
        Box::pin(async move {
            match self.ask(Job::Size).await? {
                Kept::Size(bytes) => Ok(bytes),
                _ => Err(other()),
            }
        })
    }
}
