//! The store's verbs, and what each promises. Each is one transaction; the moment is always handed in.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::event::{Event, EventId};
use crate::run::{Answer, Attempt, Intent, Once, Run, RunId, State, TextHash};

/// Why the store could not do it.
#[derive(Debug)]
pub struct Error {
    message: String,
    transient: bool,
}

impl Error {
    pub fn new(message: impl Into<String>, transient: bool) -> Self {
        Self { message: message.into(), transient }
    }
    /// Whether it may work a little later (a full disk, a locked file).
    pub fn is_transient(&self) -> bool {
        self.transient
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.message)
    }
}
impl std::error::Error for Error {}

pub type Result<T> = std::result::Result<T, Error>;
/// A verb on its way.
pub type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// A run that an event starts.
#[derive(Debug, Clone)]
pub struct NewRun {
    pub rule: Arc<str>,
    pub text: TextHash,
    /// The step it begins with.
    pub step: u32,
    /// The queue it stands in: behind every run of the same lane that is not yet done.
    pub lane: Option<Arc<str>>,
    /// Claimed in the same transaction; if it was claimed before, the run is not begun.
    pub once: Option<Once>,
}

/// What became of a run that an event starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Begun,
    /// It waits for another run of its lane.
    Queued,
    /// Its `once_per` value had been used.
    Repeated,
}

/// What a delivery is known by, such as the sender's own id of it, and how long that is remembered.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub key: String,
    pub remembered: Duration,
}

/// An event to be kept, with the runs that it starts.
#[derive(Debug)]
pub struct Accept {
    pub event: Event,
    pub runs: Vec<NewRun>,
    /// What it is known by if it comes again; any of these suffices.
    pub deliveries: Vec<Delivery>,
    /// Which rules were in force: a number from `remember`.
    pub ruleset: i64,
    /// The status the sender is answered.
    pub status: u16,
    /// Whether the caller of `accept` takes the runs at once, so that `lease` leaves them alone.
    pub taken: bool,
}

/// What became of an event that was handed in.
#[derive(Debug)]
pub enum Accepted {
    /// It is kept; these are its runs, in the order they were handed in.
    New(Event, Vec<(Run, Fate)>),
    /// It came before under this id. Runs of then that had failed were started again; they are to be leased.
    Again { first: EventId, restarted: usize, standing: Standing },
}

/// How it stands with the answer that an event's caller gets from a rule.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    /// What a run has answered.
    pub answer: Option<Answer>,
    /// Whether runs of the event are still to be done, so that one may answer yet.
    pub is_open: bool,
}

/// What is known of a run that ended or waits, for lists and explanations.
#[derive(Debug, Clone)]
pub struct RunPage {
    pub run: Run,
    /// Why it stands as it does.
    pub said: String,
    pub received: Timestamp,
    pub ended: Option<Timestamp>,
}

/// An event in a list.
#[derive(Debug, Clone)]
pub struct EventPage {
    pub id: EventId,
    pub received: Timestamp,
    pub method: String,
    pub address: String,
    pub status: u16,
    /// How many runs stand in each state.
    pub runs: Vec<(State, usize)>,
}

/// Everything about one event.
#[derive(Debug)]
pub struct Dossier {
    pub event: Event,
    pub status: u16,
    pub runs: Vec<(RunPage, Vec<Attempt>)>,
    /// The rule files that were in force: names and texts.
    pub texts: Vec<(String, String)>,
}

/// Which events are to be forgotten.
#[derive(Debug, Clone, Copy)]
pub struct Pruning {
    /// Those that came before.
    pub before: Timestamp,
    /// Also those with failed runs.
    pub failed: bool,
    /// Only count them.
    pub rehearse: bool,
}

/// What was forgotten, of those that were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    pub events: usize,
    /// Where to go on.
    pub after: i64,
    /// Whether there are no more.
    pub is_all: bool,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub events: u64,
    pub waiting: u64,
    pub failed: u64,
}

/// What `serve` does with a store. It may be called from many tasks at a time; what is committed together is its matter.
pub trait Store: Send + Sync {
    /// Keeps an event and its runs. Returns once both are safely on disk.
    fn accept(&self, accept: Accept) -> Doing<'_, Accepted>;
    /// The answer to an event, whoever gave it.
    fn answer(&self, event: EventId) -> Doing<'_, Standing>;
    /// Keeps an attempt and the run after it. Returns once both are safely on disk.
    fn record(&self, run: Arc<Run>, attempts: Arc<Vec<Attempt>>, answer: Option<Answer>) -> Doing<'_, ()>;
    /// Hands out up to `most` runs that are due and that nobody has.
    fn lease(&self, now: Timestamp, most: usize) -> Doing<'_, Vec<(Run, Event)>>;
    /// When the next run that nobody has is due.
    fn next_due(&self) -> Doing<'_, Option<Timestamp>>;
    /// Keeps what a file's writer is about to do. Returns once it is safely on disk.
    fn intend(&self, intent: Intent) -> Doing<'_, ()>;
    /// The runs of a file's intent are recorded.
    fn forget(&self, file: &str);
    /// The intents that a crash left behind.
    fn intents(&self) -> Doing<'_, Vec<Intent>>;
    /// These effects were found to be done already.
    fn settle(&self, done: Vec<(RunId, u32, u32)>) -> Doing<'_, ()>;
    /// Which of these still stand at the same place, so that it matters whether they were done.
    fn still_at(&self, places: Vec<(RunId, u32, u32)>) -> Doing<'_, bool>;
    /// Keeps rule files by their hash, and gives the number of this set of them.
    fn remember(&self, texts: Vec<(TextHash, String, String)>) -> Doing<'_, i64>;
    /// The program died while it worked out these runs: counts it, and sets aside those for which it was the third time.
    /// Gives the events and rules of these.
    fn stumbled(&self, runs: Vec<RunId>, now: Timestamp) -> Doing<'_, Vec<(EventId, String)>>;
    /// Forgets events that are done with, at most so many, behind the number `after`.
    fn prune(&self, what: Pruning, after: i64, most: usize) -> Doing<'_, Pruned>;
    /// Forgets ids and values whose time is over; says whether there may be more.
    fn expire(&self, now: Timestamp) -> Doing<'_, bool>;
    /// How many bytes are in use.
    fn size(&self) -> Doing<'_, u64>;
    /// A kept rule file: its name and text.
    fn text(&self, hash: TextHash) -> Doing<'_, Option<(String, String)>>;
}
