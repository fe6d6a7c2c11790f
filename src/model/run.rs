//! A run: one rule processing one event. Its position, when it is due, and how it ended.
//!
//! What it does next is decided in [`super::transition`]. `action` does what an attempt does, `store` saves runs, and `worker`
//! coordinates all of it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::model::bodies::Bodies;
use crate::model::called::{self, Given};
use crate::model::event::EventId;
use crate::model::place::Place;
use crate::model::retry::Plan;
use crate::model::saved::SavedAt;
use crate::model::step_graph::StepGraph;
use crate::model::unfinished::Unfinished;

/// The id of a run in one store.
pub type RunId = i64;
/// Identifies a rule file's text by its content: SHA-256, in hex.
pub type TextHash = Arc<str>;

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It still has work to do, at `due`.
    Waiting,
    /// All steps succeeded.
    Done,
    /// All steps succeeded, or their errors were handled by `on_error`.
    Handled,
    /// A step failed permanently; people see the run and can replay it.
    Failed,
    /// The same in a run that another one waited for: that one knows, and goes on in this run if it is replayed.
    FailedForCaller,
    /// A person cancelled it before it ended.
    Cancelled,
    /// It never started: its `once_per` value had already been used.
    Repeated,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Done => "done",
            State::Handled => "handled",
            State::Failed => "failed",
            State::FailedForCaller => "failed for its caller",
            State::Cancelled => "cancelled",
            State::Repeated => "not run again",
        }
    }

    /// Every state, in the order used in lists.
    pub const ALL: [State; 7] =
        [State::Done, State::Handled, State::Waiting, State::Failed, State::FailedForCaller, State::Cancelled, State::Repeated];

    /// Whether a step failed permanently.
    pub fn has_failed(self) -> bool {
        matches!(self, State::Failed | State::FailedForCaller)
    }

    pub fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.word() == word)
    }
}

/// One rule processing one event.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub id: RunId,
    pub event: EventId,
    /// The rule's name, and the text of its file when the event was received.
    pub rule: Arc<str>,
    pub text: TextHash,
    pub state: State,
    pub place: Place,
    /// Attempts so far at this place.
    pub tried: u32,
    pub due: Timestamp,
    /// The values saved by `save_as`.
    pub saved: Map<String, Value>,
    /// The ones that are not recorded yet, so that a record does not have to repeat what earlier ones contain.
    pub unsaved: Vec<SavedAt>,
    /// The elements of a `for_each` that wait for another try or have failed, while others go on.
    pub unfinished: Unfinished,
    /// After a crash, the effect at `place` was found to be done already.
    pub settled: bool,
    /// An error was handled by `on_error` along the way.
    pub forgiven: bool,
    /// How many times this run was replayed from the failed list.
    pub replays: u32,
    /// The queue that it belongs to: runs of one lane are processed one at a time, in order.
    pub lane: Option<Arc<str>>,
    /// Where it failed, while the rule's own `on_error:` is running.
    pub failed_at: Option<Place>,
    /// Increases with each lease, record and replay, so that a holder with an older value is known to be late.
    pub turn: i64,
}

/// Which step of which run called a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CalledBy {
    pub run: RunId,
    pub place: Place,
    /// Whether it waits, or waited, for the end.
    pub is_awaited: bool,
}

/// A `once_per` value, claimed for a run.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Once {
    pub value: String,
    pub within: Duration,
}

/// One attempt, for the history.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Attempt {
    pub place: Place,
    /// From 1.
    pub number: u32,
    #[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub at: Timestamp,
    pub took: Duration,
    /// `done`, `skipped`, `stopped`, `paused`, `retry`, `failed`.
    pub outcome: Cow<'static, str>,
    pub said: String,
    /// What was sent and what came back, if the step keeps that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bodies: Option<Box<Bodies>>,
}

/// What a run has to know about the step that was attempted.
#[derive(Debug, Clone)]
pub struct StepFacts<'a> {
    pub plan: &'a Plan,
    /// The step's display name.
    pub title: &'a str,
    pub save_as: Option<&'a str>,
    /// The number of elements of the `for_each` that it belongs to; `None` if there is none.
    pub elements: Option<u32>,
    pub graph: &'a StepGraph,
}

impl StepFacts<'_> {
    /// The `for_each` that a step belongs to, if its elements do not wait for each other, and the number of its elements.
    pub(super) fn free_loop(&self, step: u32) -> Option<(u32, u32)> {
        let each = self.graph.each(step)?;
        let of = self.elements.filter(|of| *of > 0)?;
        self.graph.node(each).is_some_and(|node| !node.stop_at_first).then_some((each, of))
    }
}

impl Run {
    /// A new run, at a step of its rule.
    pub fn begin(id: RunId, event: EventId, rule: Arc<str>, text: TextHash, step: u32, due: Timestamp) -> Run {
        Run {
            id,
            event,
            rule,
            text,
            state: State::Waiting,
            place: Place { step, element: 0 },
            tried: 0,
            due,
            saved: Map::new(),
            unsaved: Vec::new(),
            unfinished: Unfinished::default(),
            settled: false,
            forgiven: false,
            replays: 0,
            lane: None,
            failed_at: None,
            turn: 0,
        }
    }

    /// Whether the effect at its place was found to be done already.
    pub fn is_settled(&self) -> bool {
        self.settled || self.unfinished.at(self.place).is_some_and(|element| element.settled)
    }

    /// What it was given, if another run called it.
    pub fn given(&self) -> Option<Given<'_>> {
        called::given_to(&self.saved)
    }

    /// Whether another run waits for its end.
    pub fn is_awaited(&self) -> bool {
        self.given().is_some_and(|given| given.is_awaited)
    }

    /// Whether it waits before its next attempt.
    pub fn rests(&self, now: Timestamp) -> bool {
        self.state == State::Waiting && self.due > now
    }

    /// Whether it takes up an element that was set aside.
    pub fn takes_up(&self) -> bool {
        self.state == State::Waiting && self.unfinished.at(self.place).is_some()
    }

    /// A failed run, ready to continue at the step that failed.
    pub fn replayed(mut self, now: Timestamp) -> Run {
        self.state = State::Waiting;
        self.tried = 0;
        self.due = now;
        self.replays += 1;
        self
    }

    /// Sent with every attempt of one step and element, so that a receiver can detect duplicates.
    pub fn idempotency_key(&self) -> String {
        idempotency_key(self.event, self.id, self.place, self.replays)
    }
}

/// The key of a run that was replayed this often, at a place.
pub fn idempotency_key(event: EventId, run: RunId, place: Place, replays: u32) -> String {
    let Place { step, element } = place;
    let replay = if replays > 0 { format!("-r{replays}") } else { String::new() };
    format!("{event}-{run}-{step}-{element}{replay}")
}
