//! The store's verbs, and what each promises. Each is one transaction; the moment is always handed in.
//!
//! A handle on a store is an *owner*: whoever opened it. Every run that is being done is owned by exactly one of them, and
//! an owner can die: its runs are then free for others, and as soon as another one has a run, what the dead one may still
//! want to record of it is refused ([`Recorded::LeaseLost`]). Runs of one lane are done one at a time, in the order in which
//! the store accepted them, which is neither that of clocks nor that of ids; only a run that is replayed or started anew may
//! come before others that wait. Whatever senders choose (values, lanes, ids of deliveries) may be any text. [`Store`] is what the program does; [`Records`] is what people ask.

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::answer::SealedAnswer;
use crate::model::event::{Event, EventId, Unread};
use crate::model::run::{Attempt, Intent, Once, Run, RunId, State, TextHash};

/// Why the store could not do it.
#[derive(Debug)]
pub struct Error {
    message: String,
    transient: bool,
    unknown: bool,
}

impl Error {
    pub fn new(message: impl Into<String>, transient: bool) -> Self {
        Self { message: message.into(), transient, unknown: false }
    }
    /// The same, where it may have been done all the same.
    pub fn but_maybe_done(self) -> Self {
        Self { unknown: true, ..self }
    }
    /// Whether it may work a little later (a full disk, a locked file).
    pub fn is_transient(&self) -> bool {
        self.transient
    }
    /// Whether it may have been done all the same, as when a disk goes away behind a commit. Who repeats it does no harm.
    pub fn is_unknown(&self) -> bool {
        self.unknown
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
#[derive(Debug, Clone, Serialize, Deserialize)]
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
pub enum StartResult {
    /// It is in the hands of who accepted it.
    Begun,
    /// It waits: for another run of its lane, or for whoever leases it.
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
    pub event: Arc<Event>,
    pub runs: Vec<NewRun>,
    /// What it is known by if it comes again; any of these suffices.
    pub deliveries: Vec<Delivery>,
    /// Whether its sender has proven who it is. Anybody else may only have guessed what a delivery is known by.
    pub is_vouched: bool,
    /// Which rules were in force: a number from `remember`.
    pub ruleset: i64,
    /// The status the sender is answered.
    pub status: u16,
    /// Whether the owner takes the runs at once, so that `lease` leaves them alone.
    pub taken: bool,
}

/// What became of an event that was handed in.
#[derive(Debug)]
pub enum Accepted {
    /// It is kept; these are its runs, in the order they were handed in. The same where an event of this id was kept
    /// before: so an `accept` whose outcome is unknown can be repeated.
    New(Arc<Event>, Vec<(Run, StartResult)>),
    /// An event came before under this delivery. Runs of then that had failed were started again; they are to be leased.
    ///
    /// Who only guesses what a delivery is known by learns nothing of it and starts nothing: where this is not the same request
    /// ([`Event::request_hash`]), the standing is empty, and failed runs are started again only for one who is vouched for. The
    /// same is true of events that were kept before their requests were told apart.
    Again { first: EventId, is_same: bool, restarted: usize, standing: Standing },
}

/// A step that was tried, and the run after it.
#[derive(Debug, Clone)]
pub struct Record {
    pub run: Arc<Run>,
    pub attempts: Arc<Vec<Attempt>>,
    pub answer: Option<SealedAnswer>,
    /// Whether the owner goes on with the run at once. A run that waits is free otherwise, and due at `run.due`.
    pub goes_on: bool,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    Recorded,
    /// The run is somebody else's by now, or has ended. Nothing was recorded, and whoever has it does what is left.
    LeaseLost,
}

/// How it stands with the answer that an event's caller gets from a rule.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    /// What a run has answered.
    pub answer: Option<SealedAnswer>,
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
    /// Whether it waits for another run of its lane.
    pub is_queued: bool,
    /// Whether the owner of the store has it in hand; or had, where the owner is dead and nobody has taken over yet.
    pub is_in_hand: bool,
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
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Pruning {
    /// Those that came before.
    pub before: Timestamp,
    /// Also those with failed runs.
    pub failed: bool,
    /// Only count them.
    pub is_dry_run: bool,
}

/// What was forgotten, of those that were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    pub events: usize,
    /// Where to go on.
    pub after: i64,
    /// Whether there are no more.
    pub is_all: bool,
}

/// Which waiting runs a person means: those of an event, of a rule, or both; all if neither is named.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    pub event: Option<EventId>,
    pub rule: Option<String>,
}

/// What came of cancelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    pub runs: usize,
    /// How many are being done this very moment, and were left alone.
    pub busy: usize,
}

/// Which ended runs a person means.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Runs that stand so.
    pub state: State,
    /// Runs of this rule.
    pub rule: Option<String>,
    /// Events that came at this moment or later, and before that one.
    pub since: Timestamp,
    pub until: Timestamp,
}

/// Names one effect: a run, and the step and element it is at.
pub type EffectKey = (RunId, u32, u32);

/// How much is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub events: u64,
    pub waiting: u64,
    pub failed: u64,
}

/// What `serve` does with a store. It may be called from many tasks at a time; what is committed together is its matter.
///
/// Where a verb takes several keys (lanes, deliveries, `once_per` values), a store that locks them does so in one order for
/// all, so that no two transactions wait for each other.
pub trait Store: Send + Sync {
    /// Keeps an event and its runs. Returns once both are safely on disk. May be repeated.
    fn accept(&self, accept: Accept) -> Doing<'_, Accepted>;
    /// The answer to an event, whoever gave it.
    fn answer(&self, event: EventId) -> Doing<'_, Standing>;
    /// Keeps attempts and the run after them, if the run is this owner's and `run.turn` is still its count; it is one more
    /// afterwards. Returns once both are safely on disk. May be repeated: the second time changes nothing, and says
    /// [`Recorded::Recorded`] where the run goes on, [`Recorded::LeaseLost`] where it was given back or has ended.
    fn record(&self, record: Record) -> Doing<'_, Recorded>;
    /// Hands out up to `most` runs that are due and that nobody has, or whose owner is dead. They are this owner's then, and
    /// their count is one more. Heavy ones that it may not hand out stay as they are, and hold up none of those that are due
    /// after them.
    fn lease(&self, now: Timestamp, most: usize, heavy: Heavy) -> Doing<'_, Vec<(Run, Unread)>>;
    /// Runs that this owner has, as they stand in the store, for one who has lost hold of them. Their count is one more then.
    fn held(&self, which: Held) -> Doing<'_, Vec<(Run, Unread)>>;
    /// The runs that this owner has leased or recorded, with their counts, for one who may not have heard of all.
    fn owned(&self) -> Doing<'_, Vec<(RunId, i64)>>;
    /// When the next run that nobody has is due.
    fn next_due(&self) -> Doing<'_, Option<Timestamp>>;
    /// Keeps what a file's writer is about to do in the output folder of this name. Returns once it is safely on disk.
    fn intend(&self, folder: &str, intent: Intent) -> Doing<'_, ()>;
    /// The runs of a file's intent are recorded. Not waited for, but done before whatever is asked about intents later.
    fn forget(&self, folder: &str, file: &str);
    /// The intents that a crash left behind in an output folder.
    fn intents(&self, folder: &str) -> Doing<'_, Vec<Intent>>;
    /// These effects were found to be done already.
    fn settle(&self, done: Vec<EffectKey>) -> Doing<'_, ()>;
    /// Which of these still stand at the same place, so that it matters whether they were done.
    fn still_at(&self, places: Vec<EffectKey>) -> Doing<'_, bool>;
    /// Keeps rule files by their hash, and gives the number of this set of them.
    fn remember(&self, texts: Vec<(TextHash, String, String)>) -> Doing<'_, i64>;
    /// A kept rule file: its name and text.
    fn text(&self, hash: TextHash) -> Doing<'_, Option<(String, String)>>;
    /// The program died while it worked out these runs: counts it, and sets aside those for which it was the third time.
    /// Gives the events and rules of these.
    fn crashed_with(&self, runs: Vec<RunId>, now: Timestamp) -> Doing<'_, Vec<(EventId, String)>>;
    /// Lets the failed runs of an event go on at the step that failed; only those of one rule, if one is named. They are to
    /// be leased. Says how many.
    fn replay(&self, event: EventId, rule: Option<String>, now: Timestamp) -> Doing<'_, usize>;
    /// Starts rules on an event that is kept, with the rule files given: hash, name and text. The runs are to be leased.
    fn start_anew(&self, event: EventId, runs: Vec<NewRun>, texts: Vec<(TextHash, String, String)>, now: Timestamp) -> Doing<'_, usize>;
    /// Ends runs that wait, so that they are never done. What a living owner has in hand is left alone.
    fn cancel(&self, which: Waiting, now: Timestamp) -> Doing<'_, Cancelled>;
    /// Forgets events that are done with, at most so many, behind the number `after`. What numbers they have is the store's
    /// matter; it goes on at [`Pruned::after`].
    fn prune(&self, what: Pruning, after: i64, most: usize) -> Doing<'_, Pruned>;
    /// Forgets ids and values whose time is over; says whether there may be more.
    fn expire(&self, now: Timestamp) -> Doing<'_, bool>;
    /// How many bytes are in use: fewer when events are forgotten.
    fn size(&self) -> Doing<'_, u64>;
}

/// How many runs a lease may hand out that are heavy: whose event's body and saved values have more bytes than `above`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heavy {
    pub above: u64,
    pub most: usize,
}

impl Heavy {
    /// However heavy they are.
    pub const ANY: Self = Self { above: u64::MAX, most: usize::MAX };

    /// Whether a run of so many bytes may be handed out; then one heavy one less may be.
    pub fn takes(&mut self, bytes: u64) -> bool {
        if bytes <= self.above {
            return true;
        }
        let left = self.most.checked_sub(1);
        self.most = left.unwrap_or(0);
        left.is_some()
    }
}

/// Runs that somebody has lost hold of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// One that was held by this count ([`Run::turn`]); it may have been recorded once more without anybody hearing of it.
    Run(RunId, i64),
    /// Those of an event whose `accept` nobody heard of.
    Event(EventId),
}

/// What people ask of a store. It changes nothing, and works beside a `serve` and without one.
pub trait Records: Send + Sync {
    /// The latest events, newest first.
    fn events(&self, most: usize) -> Doing<'_, Vec<EventPage>>;
    /// The runs that failed, newest first.
    fn failed(&self, most: usize) -> Doing<'_, Vec<RunPage>>;
    /// How much is kept.
    fn counts(&self) -> Doing<'_, Counts>;
    /// The events with runs that fit, oldest first, each with how many of its runs do.
    fn chosen(&self, choice: Choice) -> Doing<'_, Vec<(EventId, usize)>>;
    /// The one event whose id begins like this. The error is a sentence for the person who asked.
    fn find(&self, beginning: &str) -> Doing<'_, EventId>;
    /// Everything about one event.
    fn dossier(&self, id: EventId) -> Doing<'_, Dossier>;
    /// Copies everything, as it is at one moment, into a file that is not there yet. A store that is backed up by other
    /// means says so instead.
    fn copy_to(&self, file: &Path) -> Doing<'_, ()>;
    /// How many bytes are in use.
    fn size(&self) -> Doing<'_, u64>;
}
