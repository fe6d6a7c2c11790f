//! One writer for each file: gathers what many runs want written, writes it in one go, flushes it, and only then says
//! that it is done. Exactly once, across crashes.
//!
//! Before a batch is written its [`Intent`] is kept (through the [`Ledger`]); after a crash exactly that range is looked
//! at. The next batch waits until the runs of this one are recorded, so that at most one intent stands for a file. How
//! rows become bytes is left to [`super::csv`] and [`super::xlsx`].

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};

use super::contract::Ticket;
use super::folder::Output;
use super::{csv, xlsx};
use crate::disk::{flush_folder, words};
use crate::run::{Intent, Note, Outcome, Receipt, RunId, hash};

/// The most lines or rows that are written together.
const MAX_BATCH: usize = 1_024;
/// The most files that are open at a time; more wait for their turn.
const MAX_OPEN: usize = 256;
/// A writer that had nothing to do for so long closes its file.
const IDLE: Duration = Duration::from_secs(5);

/// Where intents are kept: the store, seen from here.
pub trait Ledger: Send + Sync {
    /// Returns once the intent is safely on disk.
    fn intend(&self, intent: Intent) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>>;
    /// The runs of the file's intent are recorded.
    fn forget(&self, file: &str);
}

/// What one run wants written.
#[derive(Debug, Clone)]
pub enum Content {
    /// A line, without its end.
    Line(String),
    Row(Row),
}

/// A row: values by the header of their column.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub cells: Vec<(String, Cell)>,
    /// The sheet of a workbook; its first one if nothing is said.
    pub sheet: Option<String>,
    /// Whether text that a spreadsheet would take for a formula is kept from being one, in `.csv`.
    pub guard: bool,
    pub mode: Mode,
    /// The titles of the columns that a row is found by.
    pub matching: Vec<String>,
    /// Whether capital and small letters are the same when a row is looked for.
    pub ignore_case: bool,
    /// Whether columns that are not there are added.
    pub new_columns: bool,
}

/// What is done with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Add,
    /// Fails where the row is not there.
    Update,
    AddOrUpdate,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Empty,
    Text(String),
    /// Letter for letter.
    Number(String),
    Bool(bool),
}

struct Job {
    content: Content,
    ticket: Ticket,
    done: oneshot::Sender<Outcome>,
}

/// All writers.
#[derive(Clone)]
pub struct Files(Arc<Inner>);

struct Inner {
    output: Output,
    ledger: Arc<dyn Ledger>,
    writers: Mutex<Writers>,
    open: Semaphore,
}

/// The writers that are at work.
#[derive(Default)]
struct Writers {
    by_path: HashMap<PathBuf, mpsc::Sender<Job>>,
    by_name: HashMap<String, mpsc::Sender<Job>>,
}

/// What became of an intent, as the file shows it after a crash.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All of it was written.
    Whole,
    /// A part of it stands at the end of the file, which was `offset` bytes long before.
    Torn,
    Absent,
}

impl Files {
    pub fn new(output: Output, ledger: Arc<dyn Ledger>) -> Self {
        Self(Arc::new(Inner { output, ledger, writers: Mutex::default(), open: Semaphore::new(MAX_OPEN) }))
    }

    /// Writes one line or row, and returns once it is safely on disk.
    pub async fn write(&self, name: &str, content: Content, ticket: Ticket) -> Outcome {
        let (done, outcome) = oneshot::channel();
        let mut job = Job { content, ticket, done };
        loop {
            let writer = match self.writer(name) {
                Ok(writer) => writer,
                Err(why) => return Outcome::failed(why),
            };
            match writer.send(job).await {
                Ok(()) => break,
                // The writer closed in this very moment: a new one takes it.
                Err(mpsc::error::SendError(back)) => job = back,
            }
        }
        outcome.await.unwrap_or_else(|_| Outcome::retry(format!("{name} was not written")))
    }

    /// The writer of a file. Where the name leads is looked at when a writer begins, so that it is not asked of the
    /// disk for every line; two names of one file share its writer.
    fn writer(&self, name: &str) -> Result<mpsc::Sender<Job>, String> {
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
                let writer = Writer { inner: self.0.clone(), path, name: name.to_owned(), header: None };
                tokio::spawn(writer.run(receive));
                send
            }
        };
        writers.by_name.insert(name.to_owned(), writer.clone());
        Ok(writer)
    }

    /// What became of an intent.
    pub fn verdict(&self, intent: &Intent) -> io::Result<Verdict> {
        let Ok(path) = self.0.output.place(&intent.file) else { return Ok(Verdict::Absent) };
        if !path.exists() {
            return Ok(Verdict::Absent);
        }
        if is_workbook(&intent.file) {
            return Ok(if xlsx::batch_of(&path)?.as_deref() == Some(&intent.digest) { Verdict::Whole } else { Verdict::Absent });
        }
        let mut file = File::open(&path)?;
        let meta = file.metadata()?;
        if intent.replaced {
            return Ok(if meta.ino() == intent.identity { Verdict::Whole } else { Verdict::Absent });
        }
        let end = intent.offset + intent.length;
        if meta.ino() != intent.identity || meta.len() <= intent.offset {
            return Ok(Verdict::Absent);
        }
        if meta.len() < end {
            return Ok(Verdict::Torn);
        }
        let mut bytes = vec![0; intent.length as usize];
        file.seek(SeekFrom::Start(intent.offset))?;
        file.read_exact(&mut bytes)?;
        Ok(match (hash(&bytes) == intent.digest, meta.len() == end) {
            (true, _) => Verdict::Whole,
            (false, true) => Verdict::Torn,
            // Somebody wrote behind it: nothing of that is touched.
            (false, false) => Verdict::Absent,
        })
    }

    /// Cuts what was torn off by a crash.
    pub fn cut(&self, intent: &Intent) -> io::Result<()> {
        let path = self.0.output.place(&intent.file).map_err(io::Error::other)?;
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(intent.offset)?;
        file.sync_all()
    }
}

fn is_workbook(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".xlsx")
}

struct Writer {
    inner: Arc<Inner>,
    path: PathBuf,
    name: String,
    /// The header of a `.csv`, and the file that it was read from.
    header: Option<Known>,
}

/// A file as this writer left it; any difference means that somebody else was there.
struct Known {
    identity: u64,
    length: u64,
    header: csv::Header,
}

/// A batch that is ready to be written.
struct Prepared {
    intent: Intent,
    what: What,
    /// For each job, why it cannot be part of the batch.
    refused: Vec<Option<String>>,
    header: Option<csv::Header>,
}

enum What {
    Append { file: File, bytes: Vec<u8> },
    Replace { temporary: PathBuf },
}

impl Writer {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        loop {
            let mut batch = Vec::new();
            match tokio::time::timeout(IDLE, jobs.recv_many(&mut batch, MAX_BATCH)).await {
                Ok(0) => return,
                Ok(_) => self.batch(batch).await,
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

    async fn batch(&mut self, jobs: Vec<Job>) {
        let inner = self.inner.clone();
        let Ok(_turn) = inner.open.acquire().await else { return };
        let (contents, rest): (Vec<_>, Vec<_>) = jobs.into_iter().map(|j| (j.content, (j.ticket, j.done))).unzip();
        let tickets: Vec<Ticket> = rest.iter().map(|(t, _)| t.clone()).collect();
        let (path, name, known) = (self.path.clone(), self.name.clone(), self.header.take());
        let prepared = tokio::task::spawn_blocking(move || prepare(&path, &name, &contents, &tickets, known)).await;
        let retry = |why: String| Outcome::retry(format!("{}: {why}", self.name));
        let all = |rest: Vec<(Ticket, oneshot::Sender<Outcome>)>, outcome: &dyn Fn() -> Outcome| {
            for (_, done) in rest {
                let _ = done.send(outcome());
            }
        };
        let prepared = match prepared {
            Ok(Ok(prepared)) => prepared,
            Ok(Err(Unwritten::Again(why))) => return all(rest, &|| retry(why.clone())),
            Ok(Err(Unwritten::Never(why))) => return all(rest, &|| Outcome::failed(format!("{}: {why}", self.name))),
            Err(panic) => return all(rest, &|| Outcome::failed(format!("{}: {panic}", self.name))),
        };
        let Prepared { intent, what, refused, header } = prepared;
        let (identity, length) = (intent.identity, intent.offset + intent.length);
        if refused.iter().any(Option::is_none) {
            let file = intent.file.clone();
            if let Err(why) = inner.ledger.intend(intent).await {
                return all(rest, &|| retry(why.clone()));
            }
            let path = self.path.clone();
            let offset = length;
            match tokio::task::spawn_blocking(move || write(&path, what, offset)).await {
                Ok(Ok(())) => {}
                Ok(Err(e)) => {
                    inner.ledger.forget(&file);
                    return all(rest, &|| retry(words(&e)));
                }
                Err(panic) => return all(rest, &|| retry(panic.to_string())),
            }
            self.header = header.map(|header| Known { identity, length, header });
            let (receipt, mut recorded): (Receipt, _) = mpsc::channel(1);
            for ((_, done), refused) in rest.into_iter().zip(refused) {
                let _ = done.send(match refused {
                    None => {
                        let said = format!("wrote to {}", self.name);
                        Outcome::Done(Note { said, receipt: Some(receipt.clone()), ..Note::default() })
                    }
                    Some(why) => Outcome::failed(why),
                });
            }
            drop(receipt);
            // Nobody sends on it: it ends when every run of the batch has been recorded.
            let _: Option<()> = recorded.recv().await;
            inner.ledger.forget(&file);
        } else {
            for ((_, done), why) in rest.into_iter().zip(refused) {
                let _ = done.send(Outcome::failed(why.unwrap_or_default()));
            }
        }
    }
}

/// Why a batch cannot be written.
pub(super) enum Unwritten {
    Again(String),
    Never(String),
}

impl From<io::Error> for Unwritten {
    fn from(e: io::Error) -> Self {
        Unwritten::Again(words(&e))
    }
}

fn prepare(path: &Path, name: &str, contents: &[Content], tickets: &[Ticket], known: Option<Known>) -> Result<Prepared, Unwritten> {
    let runs = |refused: &[Option<String>]| {
        let good = tickets.iter().zip(refused).filter(|(_, r)| r.is_none());
        good.map(|(t, _)| (t.run, t.place.step, t.place.element)).collect::<Vec<_>>()
    };
    if is_workbook(name) {
        let rows: Vec<Option<&Row>> = contents.iter().map(|c| if let Content::Row(row) = c { Some(row) } else { None }).collect();
        let xlsx::Laid { temporary, batch, refused } = xlsx::append(path, name, &rows, &batch_id(&tickets[0]))?;
        let intent =
            Intent { file: name.to_owned(), identity: 0, offset: 0, length: 0, digest: batch, replaced: true, runs: runs(&refused) };
        return Ok(Prepared { intent, what: What::Replace { temporary }, refused, header: None });
    }
    let is_new = !path.exists();
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    if is_new && let Some(folder) = path.parent() {
        flush_folder(folder)?;
    }
    let meta = file.metadata()?;
    let (identity, offset) = (meta.ino(), meta.len());
    let mut bytes = Vec::new();
    if offset > 0 {
        let mut last = [0];
        file.seek(SeekFrom::Start(offset - 1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            bytes.push(b'\n');
        }
    }
    let mut refused = vec![None; contents.len()];
    let mut header = None;
    if contents.iter().any(|c| matches!(c, Content::Row(_))) {
        let kept = known.filter(|k| k.identity == identity && k.length == offset).map(|k| k.header);
        header = match kept {
            Some(header) => Some(header),
            None if offset > 0 => Some(csv::Header::read(&file, name)?),
            None => None,
        };
    }
    let anew = |row: &Row| row.mode != Mode::Add || header.as_ref().is_some_and(|h| h.grows(row));
    if contents.iter().any(|c| matches!(c, Content::Row(row) if anew(row))) {
        let prepared = rewrite(path, name, &file, contents, runs)?;
        if is_new && prepared.intent.runs.is_empty() {
            // Nothing was found in a file that was not there.
            fs::remove_file(path)?;
        }
        return Ok(prepared);
    }
    for (content, refused) in contents.iter().zip(&mut refused) {
        match content {
            Content::Line(line) => {
                bytes.extend_from_slice(line.as_bytes());
                bytes.push(b'\n');
            }
            Content::Row(row) => {
                let header = header.get_or_insert_with(|| {
                    let header = csv::Header::new(row, name);
                    header.write(&mut bytes);
                    header
                });
                *refused = header.lay(row, name, &mut bytes).err();
            }
        }
    }
    let intent = Intent {
        file: name.to_owned(),
        identity,
        offset,
        length: bytes.len() as u64,
        digest: hash(&bytes),
        replaced: false,
        runs: runs(&refused),
    };
    Ok(Prepared { intent, what: What::Append { file, bytes }, refused, header })
}

/// A `.csv` in which rows change is written anew beside the old one, which it then replaces. Its number (inode) tells
/// after a crash whether that was done.
fn rewrite(
    path: &Path,
    name: &str,
    file: &File,
    contents: &[Content],
    runs: impl Fn(&[Option<String>]) -> Vec<(RunId, u32, u32)>,
) -> Result<Prepared, Unwritten> {
    let rows: Vec<&Row> = contents.iter().filter_map(|c| if let Content::Row(row) = c { Some(row) } else { None }).collect();
    let (mut bytes, of_rows) = csv::change(file, name, &rows)?;
    let mut of_rows = of_rows.into_iter();
    let mut refused = Vec::with_capacity(contents.len());
    for content in contents {
        refused.push(match content {
            Content::Row(_) => of_rows.next().flatten(),
            Content::Line(line) => {
                bytes.extend_from_slice(line.as_bytes());
                bytes.push(b'\n');
                None
            }
        });
    }
    let temporary = path.with_file_name(format!(".{}.doorbell", path.file_name().unwrap_or_default().to_string_lossy()));
    let mut out = File::create(&temporary)?;
    fs::set_permissions(&temporary, file.metadata()?.permissions())?;
    let written = out.write_all(&bytes).and_then(|()| out.sync_all());
    if let Err(e) = written {
        let _ = fs::remove_file(&temporary);
        return Err(e.into());
    }
    let (identity, length) = (out.metadata()?.ino(), bytes.len() as u64);
    let intent = Intent { file: name.to_owned(), identity, offset: 0, length, digest: hash(&bytes), replaced: true, runs: runs(&refused) };
    if intent.runs.is_empty() {
        let _ = fs::remove_file(&temporary);
    }
    Ok(Prepared { intent, what: What::Replace { temporary }, refused, header: None })
}

/// A name that no other batch has, also not one of the same runs that was tried before.
fn batch_id(first: &Ticket) -> String {
    let salt = RandomState::new().hash_one(&first.idempotency_key);
    format!("{}.{salt:016x}", first.idempotency_key)
}

fn write(path: &Path, what: What, end: u64) -> io::Result<()> {
    match what {
        What::Append { mut file, bytes } => {
            let written = file.write_all(&bytes).and_then(|()| file.sync_data());
            if written.is_err() && file.metadata().is_ok_and(|m| m.len() <= end) {
                // A half-written line is taken back, so that the next try begins where this one did; but nothing that
                // somebody else wrote behind it.
                let _ = file.set_len(end - bytes.len() as u64);
            }
            written
        }
        What::Replace { temporary } => {
            fs::rename(&temporary, path)?;
            path.parent().map_or(Ok(()), flush_folder)
        }
    }
}
