//! One writer for each file: collects what many runs want to write, writes it in one operation, flushes it, and only then
//! reports it as done. Exactly once, even across crashes. Rows are found by the same writer, so that nobody sees a file of which
//! only a part is written.
//!
//! Before a batch is written, its [`Intent`] is saved (through the [`Ledger`]). After a crash, or when a disk fails
//! during a write, exactly that range is checked before anything else is written to the file. The next batch waits until
//! the runs of this one are recorded, so that a file has at most one intent at a time. The work on disk is done in
//! [`super::batch`].

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};

use super::batch::{self, Known, Prepared, Verdict};
use super::content::Content;
use super::download::Download;
use super::folder::{Output, Unwritten, check};
use super::found::Found;
use super::lookup;
use super::row::{NotWritten, Row};
use crate::action::attempt_context::AttemptContext;
use crate::disk::error_sentence;
use crate::model::intent::Intent;
use crate::model::outcome::{Outcome, Receipt, Success};
use crate::model::run::RunId;
use crate::planted::{Point, crash};

/// The maximum number of lines or rows that are written together.
const MAX_BATCH: usize = 1_024;
/// The maximum number of files that are open at a time; further files wait.
const MAX_OPEN: usize = 256;
/// A writer that has been idle for this long closes its file.
const IDLE: Duration = Duration::from_secs(5);

/// Where intents are saved; the store implements this.
pub trait Ledger: Send + Sync {
    /// Returns once the intent is safely on disk.
    fn intend(&self, intent: Intent) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>>;
    /// Saves that these effects were found to be done already. Returns once this is safely on disk.
    fn settle(&self, done: Vec<(RunId, u32, u32)>) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>>;
    /// The runs of the file's intent are recorded.
    fn forget(&self, file: &str);
}

struct Job {
    content: Content,
    context: AttemptContext,
    done: oneshot::Sender<Outcome>,
}

/// A row to be found, and who asks for it.
struct Question {
    row: Row,
    found: oneshot::Sender<Result<Found, Unwritten>>,
}

/// What a writer does.
enum Task {
    Write(Job),
    Find(Question),
    Open(oneshot::Sender<Result<(File, u64), Unwritten>>),
}

/// All writers.
#[derive(Clone)]
pub struct Files(Arc<Inner>);

struct Inner {
    /// The latest intent of each file that has not been discarded yet. A writer that takes over after a crash first finds
    /// out what happened to that intent.
    intended: Mutex<HashMap<PathBuf, Intent>>,
    output: Output,
    ledger: Arc<dyn Ledger>,
    writers: Mutex<Writers>,
    open: Semaphore,
}

/// The active writers.
#[derive(Default)]
struct Writers {
    by_path: HashMap<PathBuf, mpsc::Sender<Task>>,
    by_name: HashMap<String, mpsc::Sender<Task>>,
}

impl Files {
    pub fn new(output: Output, ledger: Arc<dyn Ledger>) -> Self {
        Self(Arc::new(Inner { intended: Mutex::default(), output, ledger, writers: Mutex::default(), open: Semaphore::new(MAX_OPEN) }))
    }

    /// Writes one line or row, and returns once it is safely on disk.
    pub async fn write(&self, name: &str, content: Content, context: AttemptContext) -> Outcome {
        let (done, outcome) = oneshot::channel();
        match self.send(name, Task::Write(Job { content, context, done })).await {
            Ok(()) => outcome.await.unwrap_or_else(|_| Outcome::retry(format!("{name} was not written"))),
            Err(why) => why.outcome(),
        }
    }

    /// Begins to receive a file of this name for a step: what it will be, and where to write it. The error is what becomes of
    /// the step.
    pub async fn download(&self, name: &str, context: &AttemptContext) -> Result<(Download, File), Outcome> {
        check(name).map_err(Outcome::failed)?;
        let (output, (run, step, element)) = (self.0.output.clone(), context.effect());
        let begun = tokio::task::spawn_blocking(move || {
            let download = output.download(&format!("{run}-{step}-{element}"))?;
            let file = download.file().try_clone()?;
            Ok::<_, Unwritten>((download, file))
        });
        begun.await.unwrap_or_else(|panic| Err(Unwritten::Never(panic.to_string()))).map_err(Unwritten::outcome)
    }

    /// Opens a file to read it: its content up to this length stays as it is, whatever is written meanwhile.
    pub async fn open(&self, name: &str) -> Result<(File, u64), Outcome> {
        if !self.0.output.has(name).map_err(Unwritten::outcome)? {
            return Err(Outcome::failed(format!("{name} does not exist in the output folder")));
        }
        let (opened, answer) = oneshot::channel();
        self.send(name, Task::Open(opened)).await.map_err(Unwritten::outcome)?;
        match answer.await {
            Ok(answer) => answer.map_err(Unwritten::outcome),
            Err(_) => Err(Outcome::retry(format!("{name} was not read"))),
        }
    }

    /// The rows that are like this one; the error is what becomes of the step.
    pub(super) async fn find(&self, name: &str, row: Row) -> Result<Found, Outcome> {
        // A file is not made to find nothing in it.
        if self.0.output.has(name).map_err(Unwritten::outcome)? {
            let (found, answer) = oneshot::channel();
            self.send(name, Task::Find(Question { row, found })).await.map_err(Unwritten::outcome)?;
            return match answer.await {
                Ok(answer) => answer.map_err(Unwritten::outcome),
                Err(_) => Err(Outcome::retry(format!("{name} was not read"))),
            };
        }
        Ok(Found::default())
    }

    async fn send(&self, name: &str, mut task: Task) -> Result<(), Unwritten> {
        loop {
            match self.writer(name)?.send(task).await {
                Ok(()) => return Ok(()),
                // The writer closed at this very moment: a new one takes the task.
                Err(mpsc::error::SendError(back)) => task = back,
            }
        }
    }

    /// The writer of a file. The path is resolved when a writer starts, so that the disk is not queried for every line; two
    /// names of one file share its writer.
    fn writer(&self, name: &str) -> Result<mpsc::Sender<Task>, Unwritten> {
        let lock = || self.0.writers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(writer) = lock().by_name.get(name).filter(|w| !w.is_closed()) {
            return Ok(writer.clone());
        }
        let path = self.0.output.place(name)?;
        let mut writers = lock();
        writers.by_name.retain(|_, w| !w.is_closed());
        let writer = match writers.by_path.get(&path).filter(|w| !w.is_closed()) {
            Some(writer) => writer.clone(),
            None => {
                let (send, receive) = mpsc::channel(MAX_BATCH);
                writers.by_path.insert(path.clone(), send.clone());
                let doubt = self.0.intended().get(&path).cloned();
                let writer = Writer { inner: self.0.clone(), path, name: name.to_owned(), known: None, doubt, standing: HashSet::new() };
                tokio::spawn(writer.run(receive));
                send
            }
        };
        writers.by_name.insert(name.to_owned(), writer.clone());
        Ok(writer)
    }

    /// Finds out what happened to an intent left by a crash, and acts on it: complete data is settled, partial data is removed.
    pub async fn resolve(&self, intent: &Intent) -> Result<Verdict, String> {
        match self.0.output.place(&intent.file) {
            Ok(path) => self.0.resolve(path, intent).await,
            Err(Unwritten::Again(why)) => Err(why),
            // The folder is a different one now.
            Err(Unwritten::Never(_)) => Ok(Verdict::Absent),
        }
    }
}

impl Inner {
    fn intended(&self) -> MutexGuard<'_, HashMap<PathBuf, Intent>> {
        self.intended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds out what happened to an intent: complete data is flushed and its runs are settled, partial data is removed.
    async fn resolve(&self, path: PathBuf, intent: &Intent) -> Result<Verdict, String> {
        let verdict = self.repair(path, intent).await?;
        if verdict == Verdict::Whole {
            self.ledger.settle(intent.runs.clone()).await?;
        }
        Ok(verdict)
    }

    async fn repair(&self, path: PathBuf, intent: &Intent) -> Result<Verdict, String> {
        let (output, intent) = (self.output.clone(), intent.clone());
        let repaired = tokio::task::spawn_blocking(move || {
            output.is_there()?;
            let verdict = batch::repair(&path, &intent)?;
            output.is_there().map(|()| verdict)
        });
        match repaired.await {
            Ok(Ok(verdict)) => Ok(verdict),
            Ok(Err(Unwritten::Again(why) | Unwritten::Never(why))) => Err(why),
            Err(panic) => Err(panic.to_string()),
        }
    }
}

struct Writer {
    inner: Arc<Inner>,
    path: PathBuf,
    name: String,
    /// The header of a `.csv`, and the file that it was read from.
    known: Option<Known>,
    /// A batch that failed, and of which it is not yet known how much was written.
    doubt: Option<Intent>,
    /// Retried effects that were found to be complete; the store has recorded this as well.
    standing: HashSet<(RunId, u32, u32)>,
}

impl Writer {
    async fn run(mut self, mut jobs: mpsc::Receiver<Task>) {
        loop {
            let mut batch = Vec::new();
            match tokio::time::timeout(IDLE, jobs.recv_many(&mut batch, MAX_BATCH)).await {
                Ok(0) => return,
                Ok(_) => self.tasks(batch).await,
                Err(_) if self.doubt.is_some() => drop(self.clear_doubt().await),
                Err(_) => {
                    let mut writers = self.inner.writers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    if jobs.is_empty() {
                        jobs.close();
                        writers.by_path.remove(&self.path);
                        return;
                    }
                }
            }
        }
    }

    /// What comes together has no order, so rows are found first: what is in the file then is recorded.
    async fn tasks(&mut self, tasks: Vec<Task>) {
        let (mut questions, mut jobs, mut opened) = (Vec::new(), Vec::new(), Vec::new());
        for task in tasks {
            match task {
                Task::Write(job) => jobs.push(job),
                Task::Find(question) => questions.push(question),
                Task::Open(one) => opened.push(one),
            }
        }
        for one in opened {
            let file = self.open().await;
            let _ = one.send(file.map_err(|why| why.because(&self.name)));
        }
        if !questions.is_empty() {
            self.find(questions).await;
        }
        let (wholes, parts): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| matches!(job.content, Content::Whole(_)));
        for jobs in [parts, wholes].into_iter().filter(|jobs| !jobs.is_empty()) {
            self.batch(jobs).await;
        }
    }

    async fn open(&mut self) -> Result<(File, u64), Unwritten> {
        self.clear_doubt().await.map_err(Unwritten::Again)?;
        let (path, output) = (self.path.clone(), self.inner.output.clone());
        let opened = tokio::task::spawn_blocking(move || {
            output.is_there()?;
            let file = File::open(path)?;
            let meta = file.metadata()?;
            if meta.is_file() { Ok((file, meta.len())) } else { Err(Unwritten::Never("it is a folder".to_owned())) }
        });
        opened.await.unwrap_or_else(|panic| Err(Unwritten::Never(panic.to_string())))
    }

    async fn find(&mut self, questions: Vec<Question>) {
        let inner = self.inner.clone();
        let Ok(_turn) = inner.open.acquire().await else { return };
        let cleared = self.clear_doubt().await;
        let (rows, asking): (Vec<Row>, Vec<_>) = questions.into_iter().map(|question| (question.row, question.found)).unzip();
        let (path, name, output) = (self.path.clone(), self.name.clone(), inner.output.clone());
        let looked_up = match cleared {
            Ok(()) => tokio::task::spawn_blocking(move || output.is_there().map(|()| lookup::find(&path, &name, &rows))).await,
            Err(why) => Ok(Err(Unwritten::Again(format!("{}: {why}", self.name)))),
        };
        match looked_up {
            Ok(Ok(found)) => asking.into_iter().zip(found).for_each(|(one, found)| drop(one.send(found))),
            Ok(Err(why)) => asking.into_iter().for_each(|one| drop(one.send(Err(why.clone())))),
            Err(panic) => asking.into_iter().for_each(|one| drop(one.send(Err(Unwritten::Never(panic.to_string()))))),
        }
    }

    async fn batch(&mut self, jobs: Vec<Job>) {
        let inner = self.inner.clone();
        let Ok(_turn) = inner.open.acquire().await else { return };
        let cleared = self.clear_doubt().await;
        let (receipt, mut recorded): (Receipt, _) = mpsc::channel(1);
        let said = format!("wrote to {}", self.name);
        let done = |receipt: &Receipt| Outcome::Done(Success { said: said.clone(), receipt: Some(receipt.clone()), ..Success::default() });
        let (mut contents, mut contexts, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        for Job { content, context, done: outcome } in jobs {
            if self.standing.remove(&context.effect()) {
                let _ = outcome.send(done(&receipt));
                continue;
            }
            contents.push(content);
            contexts.push(context);
            waiting.push(outcome);
        }
        let written = match cleared {
            Ok(()) if contents.is_empty() => Ok(Vec::new()),
            Ok(()) => self.write(contents, contexts).await,
            Err(why) => Err(Unwritten::Again(why)),
        };
        for (n, outcome) in waiting.into_iter().enumerate() {
            let _ = outcome.send(match &written {
                Ok(refused) => match &refused[n] {
                    None => done(&receipt),
                    Some(NotWritten::Refused(why)) => Outcome::failed(why.clone()),
                    Some(NotWritten::NotNeeded(why)) => Outcome::Done(Success { said: why.clone(), ..Success::default() }),
                },
                Err(Unwritten::Again(why)) => {
                    Outcome::Retry { why: format!("{}: {why}", self.name), not_before: None, status: None, receipt: Some(receipt.clone()) }
                }
                Err(Unwritten::Never(why)) => Outcome::failed(format!("{}: {why}", self.name)),
            });
        }
        drop(receipt);
        // Nothing is ever sent on it: it closes when every run of the batch has been recorded.
        let _: Option<()> = recorded.recv().await;
        if self.doubt.is_none() {
            self.forget();
        }
    }

    /// Called when the runs of these lines or rows are recorded.
    fn forget(&self) {
        if let Some(intent) = self.inner.intended().remove(&self.path) {
            self.inner.ledger.forget(&intent.file);
        }
    }

    /// Writes a batch. Returns for each of its jobs why it is not part of the batch.
    async fn write(&mut self, contents: Vec<Content>, contexts: Vec<AttemptContext>) -> Result<Vec<Option<NotWritten>>, Unwritten> {
        let (path, name, known) = (self.path.clone(), self.name.clone(), self.known.take());
        let output = self.inner.output.clone();
        let prepared = tokio::task::spawn_blocking(move || {
            output.is_there()?;
            batch::prepare(&path, &name, &contents, &contexts, known)
        });
        let Prepared { intent, what, refused, known } = prepared.await.map_err(|panic| Unwritten::Never(panic.to_string()))??;
        let Some(what) = what else { return Ok(refused) };
        if let Some(intent) = &intent {
            self.inner.ledger.intend(intent.clone()).await.map_err(Unwritten::Again)?;
            self.inner.intended().insert(self.path.clone(), intent.clone());
        }
        let path = self.path.clone();
        let why = match tokio::task::spawn_blocking(move || batch::write(&path, what)).await {
            Ok(Ok(())) => {
                crash(Point::File);
                self.known = known;
                return Ok(refused);
            }
            Ok(Err(e)) => error_sentence(&e),
            Err(panic) => panic.to_string(),
        };
        let Some(intent) = intent else { return Err(Unwritten::Again(why)) };
        match self.inner.repair(self.path.clone(), &intent).await {
            Ok(Verdict::Whole) => Ok(refused),
            Ok(Verdict::Torn | Verdict::Absent) => Err(Unwritten::Again(why)),
            Err(_) => {
                self.doubt = Some(intent);
                Err(Unwritten::Again(why))
            }
        }
    }

    /// Until it is known how much of a batch was written, nothing else may be written.
    async fn clear_doubt(&mut self) -> Result<(), String> {
        let Some(intent) = &self.doubt else { return Ok(()) };
        if self.inner.resolve(self.path.clone(), intent).await? == Verdict::Whole {
            self.standing.extend(&intent.runs);
        }
        self.forget();
        self.doubt = None;
        Ok(())
    }
}
