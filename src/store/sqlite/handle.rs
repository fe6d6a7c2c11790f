//! SQLite: the embedded store, in WAL mode with `synchronous=FULL`. Every operation is a job for the writer thread.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::checkpoint::Checkpoint;
use super::connection::{FILE, Files, connect, file, is_cut_off};
use super::failures::{damaged, error};
use super::jobs::Job;
use super::owner::Owner;
use super::reply::Reply;
use super::sealing;
use super::tables;
use super::writer::{Answers, QueuedJob, Writer};
use crate::disk::{close_file, flush_folder, private_file};
use crate::model::event::{EventId, Unread};
use crate::model::hourly::{Hour, Hourly};
use crate::model::intent::Intent;
use crate::model::run::{Run, RunId, TextHash};
use crate::secret::Key;
use crate::store::commits::Commits;
use crate::store::contract::{
    Accept, Accepted, AnswerState, Cancelled, Doing, EffectKey, Error, Heavy, Held, NewRun, Pruned, Pruning, Record, Recorded, Result,
    StartResult, Store, WaitingRuns,
};
use crate::store::news::News;
use crate::store::starts::{Failures, ScheduleProgress, SilenceProgress};

/// The maximum number of jobs that wait for the writer; above that the sender is told to retry later.
const MAX_WAITING: usize = 8_192;
/// A handle on the writer thread; the thread ends when the last handle is dropped.
#[derive(Clone)]
pub struct Sqlite {
    jobs: mpsc::Sender<QueuedJob>,
    key: Key,
    news: News,
    commits: Arc<Commits>,
}

impl Sqlite {
    /// Opens the store as its new owner, and starts its writer. Must be called inside a runtime.
    pub fn open(data: &Path, key: &Key) -> Result<Self> {
        std::fs::create_dir_all(data).map_err(|e| Error::new(format!("the data folder cannot be created: {e}"), false))?;
        if is_cut_off(data) {
            return Err(damaged());
        }
        for name in [FILE.to_owned(), format!("{FILE}-wal"), format!("{FILE}-shm")] {
            // As an earlier version left it. Where this is not allowed, the folder protects it, or `serve` says so.
            let _ = close_file(&data.join(name));
        }
        // SQLite gives its log the permissions of the database.
        if !file(data).exists() {
            private_file().create(true).open(file(data)).map_err(|e| Error::new(format!("the data folder cannot be used: {e}"), false))?;
        }
        let mut connection = connect(data, true, key)?;
        tables::migrate(&mut connection)?;
        sealing::check(&connection, key, data, true)?;
        let owner = Owner::take_over(&connection).map_err(error)?;
        // A new database file survives a power cut only if its folder was flushed.
        flush_folder(data).map_err(|e| Error::new(e.to_string(), true))?;
        let files = Files::of(data).map_err(|e| Error::new(format!("the data folder cannot be read: {e}"), true))?;
        let checkpoint = Checkpoint::new(&mut connection, connect(data, false, key)?)?;
        let (jobs, receive) = mpsc::channel(MAX_WAITING);
        let (news, commits) = (News::default(), Arc::new(Commits::default()));
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
            .spawn({
                let (news, commits) = (news.clone(), commits.clone());
                move || Writer { files, owner, answers, checkpoint, news, commits }.run(connection, receive)
            })
            .map_err(|e| Error::new(e.to_string(), true))?;
        Ok(Self { jobs, key: key.clone(), news, commits })
    }

    /// Runs a job and extracts its result.
    fn ask<T: Send + 'static>(&self, job: Job, take: fn(Reply) -> Option<T>) -> Doing<'_, T> {
        Box::pin(async move {
            let (done, kept) = oneshot::channel();
            self.jobs.send(QueuedJob { job, done: Some(done) }).await.map_err(|_| stopped())?;
            take(kept.await.map_err(|_| stopped())??).ok_or_else(other)
        })
    }
}

fn stopped() -> Error {
    Error::new("the store has stopped", true).but_maybe_done()
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
            let job = Job::accept(accept.clone(), &self.key);
            // A full queue means overload, and the sender is told immediately.
            self.jobs
                .try_send(QueuedJob { job, done: Some(done) })
                .map_err(|_| Error::new("too many events are waiting to be saved", true))?;
            match kept.await.map_err(|_| stopped())?? {
                Reply::New(first, results) => {
                    let run = |(id, (new, result)): (RunId, (&NewRun, StartResult))| (new.begin(id, &accept.event), result);
                    let runs = (first..).zip(accept.runs.iter().zip(results)).map(run).collect();
                    Ok(Accepted::New(accept.event.clone(), runs))
                }
                Reply::Again { first, is_same, restarted, answer_state } => Ok(Accepted::Again { first, is_same, restarted, answer_state }),
                Reply::Claimed => Ok(Accepted::Claimed),
                _ => Err(other()),
            }
        })
    }

    fn answer(&self, event: EventId) -> Doing<'_, AnswerState> {
        self.ask(Job::Answer(event), |kept| if let Reply::AnswerState(answer_state) = kept { Some(answer_state) } else { None })
    }

    fn record(&self, record: Record) -> Doing<'_, Recorded> {
        self.ask(Job::record(record, &self.key), |kept| if let Reply::Recorded(recorded) = kept { Some(recorded) } else { None })
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
        let _ = self.jobs.try_send(QueuedJob { job, done: None });
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

    fn remember(&self, texts: Vec<(TextHash, String, String)>, by: String, now: Timestamp) -> Doing<'_, i64> {
        self.ask(Job::Remember(texts, by, now), |kept| if let Reply::Ruleset(number) = kept { Some(number) } else { None })
    }

    fn text(&self, hash: TextHash) -> Doing<'_, Option<(String, String)>> {
        self.ask(Job::Text(hash), |kept| if let Reply::Text(text) = kept { Some(text) } else { None })
    }

    fn crashed_with(&self, runs: Vec<RunId>, now: Timestamp) -> Doing<'_, Vec<(EventId, String)>> {
        self.ask(Job::CrashedWith(runs, now), |kept| if let Reply::Quarantined(runs) = kept { Some(runs) } else { None })
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

    fn schedules(&self) -> Doing<'_, Vec<ScheduleProgress>> {
        self.ask(Job::Schedules, |kept| if let Reply::Schedules(all) = kept { Some(all) } else { None })
    }

    fn set_schedules(&self, from: Vec<ScheduleProgress>, gone: Vec<String>) -> Doing<'_, ()> {
        self.ask(Job::SetSchedules { from, gone }, |_| Some(()))
    }

    fn add_hourly(&self, counts: Vec<Hourly>, first: Hour) -> Doing<'_, ()> {
        self.ask(Job::AddHourly(counts, first), |_| Some(()))
    }

    fn recall(&self, key: String, now: Timestamp) -> Doing<'_, Option<String>> {
        self.ask(Job::Recall(key, now), |kept| if let Reply::Recalled(found) = kept { Some(found) } else { None })
    }

    fn touch(&self) -> Doing<'_, ()> {
        self.ask(Job::Touch, |_| Some(()))
    }

    fn failures(&self) -> Doing<'_, Vec<Failures>> {
        self.ask(Job::Failures, |kept| if let Reply::Failures(all) = kept { Some(all) } else { None })
    }

    fn forget_failures(&self, keys: Vec<String>) -> Doing<'_, ()> {
        self.ask(Job::ForgetFailures(keys), |_| Some(()))
    }

    fn silences(&self) -> Doing<'_, Vec<SilenceProgress>> {
        self.ask(Job::Silences, |kept| if let Reply::Silences(all) = kept { Some(all) } else { None })
    }

    fn set_silences(&self, noted: Vec<SilenceProgress>, gone: Vec<String>) -> Doing<'_, ()> {
        self.ask(Job::SetSilences { noted, gone }, |_| Some(()))
    }

    fn commits(&self) -> Arc<Commits> {
        self.commits.clone()
    }

    fn news(&self) -> News {
        self.news.clone()
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
        let accept = Accept {
            claim: None,
            event,
            runs: vec![run],
            deliveries: Vec::new(),
            is_vouched: false,
            ruleset: 1,
            status: 200,
            decided: Vec::new(),
            taken: true,
        };
        Job::accept(Arc::new(accept), &None)
    }

    /// A job that fails or panics is the only one of its group to fail, and the thread continues.
    #[tokio::test]
    async fn a_job_that_fails_or_panics_fails_no_other_job_of_its_group() {
        let folder = tempfile::tempdir().unwrap();
        let store = Sqlite::open(folder.path(), &None).unwrap();
        for panics in [false, true] {
            // While another connection blocks the database, all of them are put into one group.
            let other = connect(folder.path(), false, &None).unwrap();
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            let mut results = Vec::new();
            for job in [accept(), accept(), Job::Failing { panics }, accept()] {
                let (done, result) = oneshot::channel();
                store.jobs.send(QueuedJob { job, done: Some(done) }).await.unwrap();
                results.push(result);
            }
            drop(other);
            let mut succeeded = Vec::new();
            for result in results {
                succeeded.push(matches!(result.await.unwrap(), Ok(Reply::New(..))));
            }
            assert_eq!(succeeded, [true, true, false, true]);
        }
        assert_eq!(connect(folder.path(), false, &None).unwrap().query_row("SELECT count(*) FROM event", [], |r| r.get(0)), Ok(6));
    }

    /// Opening the store makes a new owner; the previous one can change nothing any more.
    #[tokio::test]
    async fn an_owner_that_was_replaced_can_change_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let before = Sqlite::open(folder.path(), &None).unwrap();
        let run = NewRun { rule: "r".into(), text: "t".into(), step: 0, lane: None, once: None };
        let event = || Arc::new(Event { id: EventId(uuid::Uuid::now_v7()), ..Event::nobody() });
        let accept = |taken| Accept {
            claim: None,
            event: event(),
            runs: vec![run.clone(), run.clone()],
            deliveries: Vec::new(),
            is_vouched: false,
            ruleset: 1,
            status: 200,
            decided: Vec::new(),
            taken,
        };
        let Ok(Accepted::New(_, runs)) = before.accept(accept(true)).await else { panic!() };
        let after = Sqlite::open(folder.path(), &None).unwrap();
        let done = |run: &Run| {
            let run = Run { state: crate::model::run::State::Done, ..run.clone() };
            Record { run: run.into(), attempts: Vec::new().into(), answer: None, also: None, goes_on: false }
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
