//! A run: one rule at work on one event. Where it is, when it is due, how it ended.
//!
//! [`Run::after`] is the only way from state to state, and it is pure: the moment and the dice are handed in. What an
//! attempt does is left to `action`, keeping runs to `store`, and doing all of it in order to `worker`.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::event::EventId;
use crate::retry::Plan;

/// Names a run inside one store.
pub type RunId = i64;
/// Names a rule file's text by its content: SHA-256, in hex.
pub type TextHash = Arc<str>;

/// The name of a content: SHA-256, in hex.
pub fn hash(content: &[u8]) -> String {
    ring::digest::digest(&ring::digest::SHA256, content).as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

/// Which step of the rule, and which element of its `for_each`; both from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize)]
pub struct Place {
    pub step: u32,
    pub element: u32,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Something is left to do, at `due`.
    Waiting,
    /// All steps were done.
    Done,
    /// All steps were done or forgiven by `on_error`.
    Handled,
    /// A step failed for good; people see it and can replay it.
    Failed,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Done => "done",
            State::Handled => "handled",
            State::Failed => "failed",
        }
    }

    pub fn read(word: &str) -> Option<Self> {
        [State::Waiting, State::Done, State::Handled, State::Failed].into_iter().find(|s| s.word() == word)
    }
}

/// One rule at work on one event.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub id: RunId,
    pub event: EventId,
    /// The rule's name, and the text it stood in when the event came.
    pub rule: Arc<str>,
    pub text: TextHash,
    pub state: State,
    pub place: Place,
    /// Tries so far at this place.
    pub tried: u32,
    pub due: Timestamp,
    /// What `save_as` kept.
    pub saved: Map<String, Value>,
    /// The effect at `place` was found to be done already, after a crash.
    pub settled: bool,
    /// Something was forgiven on the way.
    pub forgiven: bool,
    /// How often this run was replayed from the failed list.
    pub replays: u32,
}

/// What is left behind by an attempt that is done.
#[derive(Debug, Default)]
pub struct Note {
    /// One line for the run's history.
    pub said: String,
    /// What `save_as` keeps.
    pub output: Option<Value>,
    /// The answer for the caller, if this was a `respond`.
    pub answer: Option<Answer>,
    /// Held until the run is recorded; a file's writer waits for it.
    pub receipt: Option<Receipt>,
}

/// Dropped when what it stands for has been recorded.
pub type Receipt = tokio::sync::mpsc::Sender<()>;

/// What a caller gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: bytes::Bytes,
}

impl Answer {
    /// An answer of Doorbell's own.
    pub fn json(status: u16, word: &str, said: &str) -> Self {
        let body = serde_json::json!({ "status": word, "message": said }).to_string();
        Self { status, headers: vec![("content-type".into(), "application/json".into())], body: body.into() }
    }
}

/// How an attempt ended. The worker looks at every case.
#[derive(Debug)]
pub enum Outcome {
    Done(Note),
    /// The step's `if` did not hold, or there was no element.
    Skipped(String),
    /// `stop`: the run ends, well.
    Stopped(String),
    Retry {
        why: String,
        /// The target's own wish.
        not_before: Option<Duration>,
    },
    Failed(String),
}

/// One try, for the history.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Attempt {
    pub place: Place,
    /// From 1.
    pub number: u32,
    #[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub at: Timestamp,
    pub took: Duration,
    /// `done`, `skipped`, `stopped`, `retry`, `failed`.
    pub outcome: Cow<'static, str>,
    pub said: String,
}

/// What a run has to know of the step that was tried.
#[derive(Debug, Clone)]
pub struct StepFacts<'a> {
    pub plan: &'a Plan,
    /// `on_error: continue`.
    pub forgiving: bool,
    pub save_as: Option<&'a str>,
    /// The elements of its `for_each`; nothing for a step without one.
    pub elements: Option<u32>,
    /// How many steps the rule has.
    pub steps: u32,
}

impl Run {
    /// The run after an attempt at its place ended.
    pub fn after(mut self, outcome: &mut Outcome, step: &StepFacts, now: Timestamp, dice: f64) -> Run {
        self.settled = false;
        match outcome {
            Outcome::Done(note) => {
                if let Some(name) = step.save_as {
                    let output = note.output.take().unwrap_or(Value::Null);
                    self.save(name, output, step.elements.is_some());
                }
                self.forward(step, now)
            }
            Outcome::Skipped(_) => self.forward(step, now),
            Outcome::Stopped(_) => {
                self.state = self.ended();
                self
            }
            Outcome::Retry { not_before, why } => {
                self.tried += 1;
                match step.plan.wait(self.tried, *not_before, dice) {
                    Some(wait) => {
                        self.due = now.checked_add(wait).unwrap_or(now);
                        self
                    }
                    None => {
                        let tries = if self.tried == 1 { "1 try".to_owned() } else { format!("{} tries", self.tried) };
                        *outcome = Outcome::Failed(format!("{why} (given up after {tries})"));
                        self.given_up(step, now)
                    }
                }
            }
            Outcome::Failed(_) => {
                self.tried += 1;
                self.given_up(step, now)
            }
        }
    }

    fn given_up(mut self, step: &StepFacts, now: Timestamp) -> Run {
        if step.forgiving {
            self.forgiven = true;
            return self.forward(step, now);
        }
        self.state = State::Failed;
        self
    }

    fn forward(mut self, step: &StepFacts, now: Timestamp) -> Run {
        self.tried = 0;
        self.due = now;
        match step.elements {
            Some(elements) if self.place.element + 1 < elements => self.place.element += 1,
            _ => self.place = Place { step: self.place.step + 1, element: 0 },
        }
        if self.place.step >= step.steps {
            self.state = self.ended();
        }
        self
    }

    fn ended(&self) -> State {
        if self.forgiven { State::Handled } else { State::Done }
    }

    fn save(&mut self, name: &str, output: Value, many: bool) {
        match self.saved.get_mut(name) {
            Some(Value::Array(list)) if many => list.push(output),
            _ if many => {
                self.saved.insert(name.to_owned(), Value::Array(vec![output]));
            }
            _ => {
                self.saved.insert(name.to_owned(), output);
            }
        }
    }

    /// A failed run, ready to go on at the step that failed.
    pub fn replayed(mut self, now: Timestamp) -> Run {
        self.state = State::Waiting;
        self.tried = 0;
        self.due = now;
        self.replays += 1;
        self
    }

    /// Sent with every try of one step and element, so that a receiver knows a repetition.
    pub fn idempotency_key(&self) -> String {
        let Place { step, element } = self.place;
        let replay = if self.replays > 0 { format!("-r{}", self.replays) } else { String::new() };
        format!("{}-{}-{step}-{element}{replay}", self.event, self.id)
    }
}

/// What a file's writer is about to do, kept before it does it, so that a crash leaves no doubt.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Intent {
    /// Below the output folder, with `/`.
    pub file: String,
    /// Which file it was (its inode), so that another one of the same name is not taken for it.
    pub identity: u64,
    /// Where the writing begins, and how many bytes.
    pub offset: u64,
    pub length: u64,
    /// SHA-256 of the bytes, in hex; for a workbook the batch id that it will carry.
    pub digest: String,
    /// Whose lines or rows these are.
    pub runs: Vec<(RunId, u32, u32)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        Run {
            id: 1,
            event: EventId::new(Timestamp::UNIX_EPOCH, [0; 10]),
            rule: "r".into(),
            text: "".into(),
            state: State::Waiting,
            place: Place::default(),
            tried: 0,
            due: Timestamp::UNIX_EPOCH,
            saved: Map::new(),
            settled: false,
            forgiven: false,
            replays: 0,
        }
    }

    fn facts(plan: &Plan, elements: Option<u32>, forgiving: bool) -> StepFacts<'_> {
        StepFacts { plan, forgiving, save_as: None, elements, steps: 2 }
    }

    fn retry() -> Outcome {
        Outcome::Retry { why: "it answered 500".into(), not_before: None }
    }

    #[test]
    fn steps_and_elements_are_walked_in_order() {
        let plan = Plan::default();
        let now = Timestamp::UNIX_EPOCH;
        let mut r = run();
        for (elements, step, element) in [(Some(2), 0, 1), (Some(2), 1, 0)] {
            r = r.after(&mut Outcome::Done(Note::default()), &facts(&plan, elements, false), now, 0.0);
            assert_eq!(r.place, Place { step, element });
        }
        r = r.after(&mut Outcome::Done(Note::default()), &facts(&plan, None, false), now, 0.0);
        assert_eq!(r.state, State::Done);
    }

    #[test]
    fn a_step_is_tried_as_often_as_its_plan_says_and_then_failed() {
        let plan = Plan { tries: 2, first_wait: Duration::from_secs(5) };
        let now = Timestamp::UNIX_EPOCH;
        let r = run().after(&mut retry(), &facts(&plan, None, false), now, 0.0);
        assert_eq!((r.state, r.tried, r.due.as_second()), (State::Waiting, 1, 5));
        let mut last = retry();
        let r = r.after(&mut last, &facts(&plan, None, false), now, 0.0);
        assert_eq!((r.state, r.tried), (State::Failed, 2));
        assert!(matches!(last, Outcome::Failed(why) if why == "it answered 500 (given up after 2 tries)"));
        assert!(r.clone().replayed(now).idempotency_key().ends_with("-0-0-r1"));
    }

    #[test]
    fn what_is_forgiven_ends_as_handled() {
        let plan = Plan { tries: 1, first_wait: Duration::from_secs(5) };
        let now = Timestamp::UNIX_EPOCH;
        let r = run().after(&mut retry(), &facts(&plan, None, true), now, 0.0);
        assert_eq!(r.place.step, 1);
        let r = r.after(&mut Outcome::Done(Note::default()), &facts(&plan, None, true), now, 0.0);
        assert_eq!(r.state, State::Handled);
    }
}
