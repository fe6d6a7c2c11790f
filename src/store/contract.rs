//! The operations of a store and what each guarantees. Each is one transaction, and each takes the current time as an
//! argument.
//!
//! A handle on a store is an *owner*. Every run in progress belongs to exactly one owner. An owner can die: its runs are
//! then free for others, and once another owner has taken a run, the dead one can no longer record anything for it
//! ([`Recorded::LeaseLost`]). Runs of one lane are executed one at a time, in the order in which the store accepted them,
//! regardless of clocks and ids; only a run that is replayed or restarted may overtake others that wait. Values chosen by
//! senders (`once_per` values, lanes, delivery ids) can be any text. The program uses [`Store`]; [`Queries`] answers
//! people's questions.

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::expr::condition::trace::Decided;
use crate::model::answer::{Answered, SealedAnswer};
use crate::model::called::CallEnd;
use crate::model::event::{Event, EventId, Unread};
use crate::model::hourly::{Hour, Hourly};
use crate::model::intent::Intent;
use crate::model::place::Place;
use crate::model::remembered::MemoryChange;
use crate::model::run::{Attempt, CalledBy, Once, Run, RunId, State, TextHash};
use crate::store::commits::Commits;
pub use crate::store::heavy::Heavy;
use crate::store::news::News;
use crate::store::starts::{Claim, FailureReport, Failures, ScheduleProgress, SilenceProgress};

/// Why the store could not complete an operation.
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
    /// The same error, for an operation that may have been committed anyway.
    pub fn but_maybe_done(self) -> Self {
        Self { unknown: true, ..self }
    }
    /// Whether a retry may succeed a little later (a full disk, a locked file).
    pub fn is_transient(&self) -> bool {
        self.transient
    }
    /// Whether the operation may have been committed anyway, for example when the disk fails right after a commit. Repeating
    /// it is safe.
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
/// A pending store operation.
pub type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// A run to be started by an event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewRun {
    pub rule: Arc<str>,
    pub text: TextHash,
    /// The first step.
    pub step: u32,
    /// The queue the run joins, after every unfinished run of the same lane.
    pub lane: Option<Arc<str>>,
    /// Claimed in the same transaction; if the value was already claimed, the run is not started.
    pub once: Option<Once>,
}

impl NewRun {
    /// The run in its initial state.
    pub(super) fn begin(&self, id: RunId, event: &Event) -> Run {
        let run = Run::begin(id, event.id, self.rule.clone(), self.text.clone(), self.step, event.received);
        Run { lane: self.lane.clone(), ..run }
    }
}

/// What happened to a run that an event should start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartResult {
    /// Started; owned by the handle that accepted the event.
    Begun,
    /// Waiting for another run of its lane, or for an owner to lease it.
    Queued,
    /// Not started: its `once_per` value was already used.
    Repeated,
}

/// Identifies a delivery (for example by the sender's own id), and how long it is remembered.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub key: String,
    pub remembered: Duration,
}

/// An event to be stored, with the runs that it starts.
#[derive(Debug)]
pub struct Accept {
    pub event: Arc<Event>,
    pub runs: Vec<NewRun>,
    /// What the event stands for, if it is no request: claimed in the same transaction.
    pub claim: Option<Claim>,
    /// How to recognise the delivery if it arrives again; one match is enough.
    pub deliveries: Vec<Delivery>,
    /// Whether the sender's identity was verified. Anybody else may only have guessed the delivery's id.
    pub is_vouched: bool,
    /// Which rules were current: a number returned by `remember`.
    pub ruleset: i64,
    /// The HTTP status sent to the sender; where a rule answers, [`by_a_rule`](super::answered::by_a_rule).
    pub status: u32,
    /// How the conditions that depend on secrets and variables were decided: the secrets may be others later.
    pub decided: Vec<Decided>,
    /// Whether the owner takes the runs immediately, so that `lease` does not hand them out.
    pub taken: bool,
}

/// The result of accepting an event.
#[derive(Debug)]
pub enum Accepted {
    /// The event is stored; these are its runs, in the order they were given. An event id that was already stored gives the
    /// same result, so an `accept` whose outcome is unknown can be repeated.
    New(Arc<Event>, Vec<(Run, StartResult)>),
    /// The delivery was already received as an earlier event. Failed runs of that event were restarted, and wait to be
    /// leased.
    ///
    /// A caller who only guesses the delivery's id learns nothing and starts nothing: if this is not the same request
    /// ([`Event::request_hash`]), the state of the answer (`answer_state`) is empty, and failed runs are restarted only for a
    /// verified sender. The same applies to events stored before request hashes existed.
    Again { first: EventId, is_same: bool, restarted: usize, answer_state: AnswerState },
    /// What the event stands for was claimed before, by this owner or another, or no longer counts. Nothing was stored.
    Claimed,
}

/// An attempt at a step, and the run's state after it.
#[derive(Debug, Clone)]
pub struct Record {
    pub run: Arc<Run>,
    pub attempts: Arc<Vec<Attempt>>,
    pub answer: Option<SealedAnswer>,
    /// What else belongs to this step, if anything does.
    pub also: Option<Arc<Also>>,
    /// Whether the owner continues with the run immediately. Otherwise a waiting run is released and is due at `run.due`.
    pub goes_on: bool,
}

/// What is stored together with an attempt.
#[derive(Debug, Default)]
pub struct Also {
    /// The run has failed, and rules start then.
    pub failure: Option<FailureReport>,
    /// What is remembered from now on.
    pub memory: Option<MemoryChange>,
    /// A run that the step begins.
    pub calls: Option<NewCall>,
    /// The run was called by another one, and has ended like this. If that one waits for it, it is told, and is due.
    pub ends: Option<CallEnd>,
}

/// A run of the same event that a step begins. It has no owner yet.
#[derive(Debug, Clone)]
pub struct NewCall {
    pub new: NewRun,
    /// The step that calls it.
    pub place: Place,
    /// Whether the caller waits for its end. If the run does not start ([`StartResult::Repeated`]), that is its end.
    pub is_awaited: bool,
    /// A name and a value that it saves before it begins.
    pub given: (String, Value),
    /// When it is due.
    pub at: Timestamp,
}

/// The result of recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    Recorded,
    /// The run now belongs to another owner, or has ended. Nothing was recorded; the new owner does the rest.
    LeaseLost,
    /// What is remembered is not what the step found ([`MemoryChange::before`]). Nothing was recorded; the run is where it was.
    Changed,
    /// The event has so many runs that the store cannot number another one. Nothing was recorded; the run is where it was.
    Full,
}

/// The state of the answer that a rule gives to an event's caller.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AnswerState {
    /// What a run has answered.
    pub answer: Option<SealedAnswer>,
    /// Whether unfinished runs of the event remain, so that one may still answer.
    pub is_open: bool,
}

/// What is known about a run that has ended or is waiting, for lists and explanations.
#[derive(Debug, Clone)]
pub struct RunPage {
    pub run: Run,
    /// Why it is in this state.
    pub said: String,
    pub received: Timestamp,
    pub ended: Option<Timestamp>,
    /// Whether it waits for another run of its lane.
    pub is_queued: bool,
    /// Whether the store's owner is working on it. Also true if that owner has died and nobody has taken over yet.
    pub is_in_hand: bool,
    /// The step that called it; only known for all runs of an event.
    pub called_by: Option<CalledBy>,
}

/// An event in a list.
#[derive(Debug, Clone)]
pub struct EventPage {
    pub id: EventId,
    pub received: Timestamp,
    pub method: String,
    pub address: String,
    /// Who sent it; `None` if the address was open.
    pub sender: Option<Arc<str>>,
    pub answered: Answered,
    /// How many runs are in each state.
    pub runs: Vec<(State, usize)>,
}

/// Everything about one event.
#[derive(Debug)]
pub struct Dossier {
    pub event: Event,
    pub answered: Answered,
    pub runs: Vec<(RunPage, Vec<Attempt>)>,
    /// How the conditions that depend on secrets and variables were decided.
    pub decided: Vec<Decided>,
    /// The rule files that were current: names and contents.
    pub texts: Vec<(String, String)>,
    /// Other rule files that its runs began with: it was run again when these were current.
    pub later_texts: Vec<(String, String)>,
}

/// Which events to delete.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Pruning {
    /// Events received before this moment.
    pub before: Timestamp,
    /// Also delete events with failed runs.
    pub failed: bool,
    /// Only count them.
    pub is_dry_run: bool,
}

/// What was deleted in one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    pub events: usize,
    /// Where the next batch starts.
    pub after: i64,
    /// Whether there is nothing left to examine.
    pub is_all: bool,
}

/// Selects waiting runs: those of an event, of a rule, or both; all if neither is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaitingRuns {
    pub event: Option<EventId>,
    pub rule: Option<String>,
}

/// The result of cancelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    pub runs: usize,
    /// How many were running at that moment and were not cancelled.
    pub busy: usize,
}

/// Selects ended runs.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Runs in this state.
    pub state: State,
    /// Runs of this rule.
    pub rule: Option<String>,
    /// Events received at or after this moment, and before `until`.
    pub since: Timestamp,
    pub until: Timestamp,
}

/// What became of an event, for a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhatBecame {
    /// No rule ran.
    Nothing,
    /// At least one run is in this state.
    Runs(State),
}

/// Selects events for a list; what is not given does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// The path that was called.
    pub address: Option<String>,
    /// A rule that ran. Together with `became`, one of its runs.
    pub rule: Option<String>,
    pub became: Option<WhatBecame>,
    /// Text in the body as it was received; upper and lower case are the same.
    pub text: Option<String>,
    /// Events received before this moment.
    pub before: Option<Timestamp>,
}

/// Where a search stopped, for the next one. What it means is up to the store.
pub type Cursor = i64;

/// What one search found.
#[derive(Debug, Default)]
pub struct Searched {
    /// Newest first.
    pub events: Vec<EventPage>,
    /// Where to go on; nothing if there are no older events.
    pub next: Option<Cursor>,
    /// How many events were looked at, and when the oldest of them was received.
    pub looked: usize,
    pub back_to: Option<Timestamp>,
}

/// A set of rule files that was in use.
#[derive(Debug, Clone, PartialEq)]
pub struct RulesVersion {
    /// Since when.
    pub at: Timestamp,
    /// Who brought it; nothing if that was not stored yet.
    pub by: Option<String>,
    /// The name and hash of each file.
    pub files: Vec<(String, TextHash)>,
}

impl RulesVersion {
    /// The hash of a file, by its name.
    pub fn hash_of(&self, name: &str) -> Option<&TextHash> {
        self.files.iter().find(|(file, _)| file == name).map(|(_, hash)| hash)
    }
}

/// Identifies one effect: a run, and the step and element it is at.
pub type EffectKey = (RunId, u32, u32);

/// How much is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub events: u64,
    pub waiting: u64,
    pub failed: u64,
}

/// What `serve` needs from a store. It may be called from many tasks at the same time; which operations are committed
/// together is up to the store.
///
/// If an operation takes several keys (lanes, deliveries, `once_per` values), a store that locks them always does so in the
/// same order, so that transactions cannot deadlock.
pub trait Store: Send + Sync {
    /// Stores an event and its runs. Returns once both are safely on disk. May be repeated.
    fn accept(&self, accept: Accept) -> Doing<'_, Accepted>;
    /// The answer to an event, whichever run gave it.
    fn answer(&self, event: EventId) -> Doing<'_, AnswerState>;
    /// Stores attempts and the run's new state, if the run belongs to this owner and `run.turn` is still its turn number,
    /// which then grows by one. Returns once both are safely on disk. May be repeated: the second time changes nothing and
    /// returns [`Recorded::Recorded`] if the run continues, [`Recorded::LeaseLost`] if it was released or has ended.
    ///
    /// A run that is released while a run that it waits for has ended, and it does not know that yet, is due at once.
    fn record(&self, record: Record) -> Doing<'_, Recorded>;
    /// Leases up to `most` runs that are due and have no owner, or whose owner is dead. They then belong to this owner, and
    /// their turn number grows by one. Heavy runs that must not be leased now stay as they are, and do not delay the due runs
    /// after them.
    fn lease(&self, now: Timestamp, most: usize, heavy: Heavy) -> Doing<'_, Vec<(Run, Unread)>>;
    /// Reads this owner's runs again from the store after it lost track of them. Their turn number grows by one.
    fn held(&self, which: Held) -> Doing<'_, Vec<(Run, Unread)>>;
    /// The runs that this owner has leased or recorded, with their turn numbers, for an owner that may have missed some.
    fn owned(&self) -> Doing<'_, Vec<(RunId, i64)>>;
    /// When the next run without an owner is due.
    fn next_due(&self) -> Doing<'_, Option<Timestamp>>;
    /// Stores what a file writer is about to do in the output folder of this name. Returns once it is safely on disk.
    fn intend(&self, folder: &str, intent: Intent) -> Doing<'_, ()>;
    /// Deletes a file's intent, because its runs are recorded. Not waited for, but takes effect before any later call about
    /// intents.
    fn forget(&self, folder: &str, file: &str);
    /// The intents that a crash left behind in an output folder.
    fn intents(&self, folder: &str) -> Doing<'_, Vec<Intent>>;
    /// Marks these effects as already done.
    fn settle(&self, done: Vec<EffectKey>) -> Doing<'_, ()>;
    /// Whether any of these runs is still at the same place, so that it matters whether its effect was done.
    fn still_at(&self, places: Vec<EffectKey>) -> Doing<'_, bool>;
    /// Stores rule files by their hash, as those that are in use from now on, with who brought them, and returns the number of
    /// this set of files.
    fn remember(&self, texts: Vec<(TextHash, String, String)>, by: String, now: Timestamp) -> Doing<'_, i64>;
    /// A stored rule file: its name and content.
    fn text(&self, hash: TextHash) -> Doing<'_, Option<(String, String)>>;
    /// Counts a crash of the program while it worked on these runs, and quarantines those that reach three crashes: they end
    /// as failed. Returns the events and rules of the quarantined runs.
    fn crashed_with(&self, runs: Vec<RunId>, now: Timestamp) -> Doing<'_, Vec<(EventId, String)>>;
    /// Continues the failed runs of an event at the step that failed (only those of one rule, if one is given). They wait
    /// to be leased. Returns how many. A run that failed because one failed that it waited for goes on in that one.
    fn replay(&self, event: EventId, rule: Option<String>, now: Timestamp) -> Doing<'_, usize>;
    /// Starts rules for a stored event, with the given rule files: hash, name and content. The runs wait to be leased.
    fn start_anew(&self, event: EventId, runs: Vec<NewRun>, texts: Vec<(TextHash, String, String)>, now: Timestamp) -> Doing<'_, usize>;
    /// Ends waiting runs, so that they are never executed, and those that they wait for. Runs that a living owner is working on
    /// are not changed. A run that waits for one of them is told.
    fn cancel(&self, which: WaitingRuns, now: Timestamp) -> Doing<'_, Cancelled>;
    /// Deletes up to `most` finished events after the number `after`. How events are numbered is up to the store; the next
    /// batch starts at [`Pruned::after`].
    fn prune(&self, what: Pruning, after: i64, most: usize) -> Doing<'_, Pruned>;
    /// Deletes expired delivery ids and `once_per` values; returns whether there may be more.
    fn expire(&self, now: Timestamp) -> Doing<'_, bool>;
    /// How many bytes are in use; fewer once events are deleted.
    fn size(&self) -> Doing<'_, u64>;
    /// Adds to the hourly counts, and deletes those of hours before `first`. Counts are approximate: unlike everything else,
    /// they may be repeated if the outcome is unknown.
    fn add_hourly(&self, counts: Vec<Hourly>, first: Hour) -> Doing<'_, ()>;
    /// How far each rule that starts by itself has come.
    fn schedules(&self) -> Doing<'_, Vec<ScheduleProgress>>;
    /// Goes on with these rules from the given moments (what they started last stays), and forgets those that are `gone`.
    fn set_schedules(&self, from: Vec<ScheduleProgress>, gone: Vec<String>) -> Doing<'_, ()>;
    /// The failures that rules are to be told of. Those are counted by `record`, and by whatever else ends a run as failed.
    fn failures(&self) -> Doing<'_, Vec<Failures>>;
    /// Forgets kinds of failures, by their keys, because no rule wants to be told.
    fn forget_failures(&self, keys: Vec<String>) -> Doing<'_, ()>;
    /// The silences that rules wait for.
    fn silences(&self) -> Doing<'_, Vec<SilenceProgress>>;
    /// Notes when something was last heard (`told` does not matter), and forgets the rules that are `gone`. A silence that a rule
    /// was told of has ended if something was heard after that, or if the rule now waits for another one.
    fn set_silences(&self, noted: Vec<SilenceProgress>, gone: Vec<String>) -> Doing<'_, ()>;
    /// What is remembered under a key, as JSON. `record` changes it.
    fn recall(&self, key: String, now: Timestamp) -> Doing<'_, Option<String>>;
    /// Writes something that changes nothing. Returns once it is safely on disk, so it shows whether anything can be saved.
    fn touch(&self) -> Doing<'_, ()>;
    /// How the commits of this owner go.
    fn commits(&self) -> Arc<Commits>;
    /// Tells whenever this owner has changed something.
    fn news(&self) -> News;
}

/// Runs that this process lost track of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// A run held with this turn number ([`Run::turn`]); it may have been recorded once more without this process learning of
    /// it.
    Run(RunId, i64),
    /// The runs of an event whose `accept` had an unknown outcome.
    Event(EventId),
}

/// What people ask a store. It changes nothing, and works with or without a running `serve`.
pub trait Queries: Send + Sync {
    /// The events that a filter selects, newest first. Looks at no more than `look` events and returns no more than `most`;
    /// begins where an earlier search stopped, or with the latest event.
    fn search(&self, filter: EventFilter, from: Option<Cursor>, most: usize, look: usize) -> Doing<'_, Searched>;
    /// The unfinished runs, oldest first, with every attempt.
    fn waiting(&self, most: usize) -> Doing<'_, Vec<(RunPage, Vec<Attempt>)>>;
    /// The failed runs, newest first.
    fn failed(&self, most: usize) -> Doing<'_, Vec<RunPage>>;
    /// How much is stored; each number is counted only up to `most`.
    fn counts(&self, most: usize) -> Doing<'_, Counts>;
    /// The events with matching runs, oldest first, each with the number of those runs.
    fn chosen(&self, choice: Choice) -> Doing<'_, Vec<(EventId, usize)>>;
    /// The one event whose id begins with this text. The error is a message for the user.
    fn find(&self, beginning: &str) -> Doing<'_, EventId>;
    /// Everything about one event.
    fn dossier(&self, id: EventId) -> Doing<'_, Dossier>;
    /// The sets of rule files that were in use, the latest first.
    fn versions(&self, most: usize) -> Doing<'_, Vec<RulesVersion>>;
    /// A stored rule file.
    fn text(&self, hash: TextHash) -> Doing<'_, Option<String>>;
    /// Copies a consistent snapshot into a file that must not exist yet. A store that is backed up by other means returns an
    /// error saying so.
    fn copy_to(&self, file: &Path) -> Doing<'_, ()>;
    /// The hourly counts from an hour on, of all rules or of one, in no particular order.
    fn hourly(&self, since: Hour, rule: Option<String>) -> Doing<'_, Vec<Hourly>>;
    /// How far each rule that starts by itself has come.
    fn schedules(&self) -> Doing<'_, Vec<ScheduleProgress>>;
    /// The silences that rules wait for.
    fn silences(&self) -> Doing<'_, Vec<SilenceProgress>>;
    /// How many bytes are in use.
    fn size(&self) -> Doing<'_, u64>;
}
