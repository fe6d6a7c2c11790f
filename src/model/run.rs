//! A run: one rule processing one event. Its position, when it is due, and how it ended.
//!
//! [`Run::after`] is the only transition between states, and it is pure: the time and the random number are passed in.
//! `action` does what an attempt does, `store` saves runs, and `worker` coordinates all of it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::model::event::EventId;
use crate::model::outcome::Outcome;
use crate::model::place::Place;
use crate::model::retry::Plan;
use crate::model::second_error::{self, ON_ERROR};
use crate::model::step_graph::{OnError, StepGraph};

/// The name under which `on_error:` steps see what went wrong; nothing else may be saved under it.
pub const ERROR: &str = "error";

/// The name under which a run saves, next to a list of answers, which `for_each` and element each of them belongs to. No
/// name of a rule contains this character.
fn elements_of(name: &str) -> String {
    format!("{name}@")
}

/// The value saved under a name, as it is at one place: inside the `for_each` that saves it (its step, and the current
/// element) it is the answer of this element, and there is none if its step failed or was skipped; anywhere else it is the
/// whole list.
pub fn saved_at<'s>(saved: &'s Map<String, Value>, name: &str, inside: Option<(u32, u32)>) -> Option<&'s Value> {
    let value = saved.get(name)?;
    let (Some((each, element)), Value::Array(answers)) = (inside, value) else { return Some(value) };
    let Some(last) = saved.get(&elements_of(name)).and_then(|of| of.as_array()?.last()) else { return Some(value) };
    let is = |index: usize, number: u32| last.get(index).and_then(Value::as_u64) == Some(u64::from(number));
    match is(0, each) {
        true => answers.last().filter(|_| is(1, element)),
        false => Some(value),
    }
}

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
            State::Cancelled => "cancelled",
            State::Repeated => "not run again",
        }
    }

    /// Every state, in the order used in lists.
    pub const ALL: [State; 6] = [State::Done, State::Handled, State::Waiting, State::Failed, State::Cancelled, State::Repeated];

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

/// A value saved by `save_as`: its name, and its index if it is an element of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedAt {
    pub name: String,
    pub element: Option<usize>,
}

impl SavedAt {
    /// The value itself.
    pub fn of<'s>(&self, saved: &'s Map<String, Value>) -> Option<&'s Value> {
        let value = saved.get(&self.name)?;
        self.element.map_or(Some(value), |n| value.get(n))
    }
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
            settled: false,
            forgiven: false,
            replays: 0,
            lane: None,
            failed_at: None,
            turn: 0,
        }
    }

    /// The run after the attempt at its place ended.
    pub fn after(mut self, outcome: &mut Outcome, step: &StepFacts, now: Timestamp, dice: f64) -> Run {
        self.settled = false;
        let due = self.retry_at(outcome, step.plan, now, dice);
        match outcome {
            Outcome::Done(success) => {
                if let Some(name) = step.save_as {
                    let output = success.output.take().unwrap_or(Value::Null);
                    self.save(name, output, step.elements.is_some());
                    if let Some(each) = step.graph.node(self.place.step).and_then(|node| node.each) {
                        self.save(&elements_of(name), serde_json::json!([each, self.place.element]), true);
                    }
                }
                self.forward(step, now)
            }
            Outcome::Skipped(_) => self.forward(step, now),
            Outcome::Entered => match step.graph.node(self.place.step).and_then(|f| f.inside) {
                Some(inside) => {
                    let to = step.graph.to(self.place, inside);
                    self.go(Some(to), now)
                }
                None => self.forward(step, now),
            },
            Outcome::Stopped(_) => self.end(now),
            // Nothing was tried, so nothing counts.
            Outcome::Deferred(_) | Outcome::Paused { .. } => {
                self.due = due.unwrap_or(now);
                self
            }
            Outcome::Retry { why, status, .. } => {
                self.tried += 1;
                match due {
                    Some(due) => {
                        self.due = due;
                        self
                    }
                    None => {
                        let tries = if self.tried == 1 { "1 try".to_owned() } else { format!("{} tries", self.tried) };
                        let (why, status) =
                            (second_error::both(self.handled(step.graph), format!("{why} (given up after {tries})")), *status);
                        *outcome = Outcome::Failed { why: why.clone(), status };
                        self.given_up(&why, status, step, now)
                    }
                }
            }
            Outcome::Failed { why, status } => {
                self.tried += 1;
                *why = second_error::both(self.handled(step.graph), std::mem::take(why));
                self.given_up(why, *status, step, now)
            }
        }
    }

    /// The error that this step was to handle.
    fn handled(&self, graph: &StepGraph) -> Option<&Value> {
        let handles = self.failed_at.is_some() || graph.node(self.place.step).is_some_and(|node| node.handles.is_some());
        self.saved.get(ERROR).filter(|_| handles)
    }

    /// A step has failed permanently: its error is handled, or the run fails.
    fn given_up(mut self, why: &str, status: Option<u16>, step: &StepFacts, now: Timestamp) -> Run {
        let graph = step.graph;
        let error = second_error::value(why, status, self.tried, step.title, self.handled(graph));
        if self.failed_at.is_some() {
            // The rule's own `on_error:` failed too; the run is in the failed list anyway.
            self.save(ON_ERROR, second_error::saved(self.place), false);
            return self.go(None, now);
        }
        match graph.handler(self.place.step) {
            Some((handler, on_error)) => {
                self.forgiven = true;
                self.place = graph.to(self.place, handler);
                match on_error {
                    OnError::Steps(first) => {
                        self.save(ERROR, error, false);
                        let to = graph.to(self.place, first);
                        self.go(Some(to), now)
                    }
                    _ => self.forward(step, now),
                }
            }
            None => {
                // A failed step of an `on_error:` stays where it is: what its first steps did is done.
                match graph.on_error {
                    Some(first) => {
                        self.save(ERROR, error, false);
                        self.failed_at = Some(self.place);
                        let place = second_error::failed_at(&self.saved).unwrap_or(Place { step: first, element: 0 });
                        self.go(Some(place), now)
                    }
                    None => {
                        self.state = State::Failed;
                        self
                    }
                }
            }
        }
    }

    fn forward(self, step: &StepFacts, now: Timestamp) -> Run {
        match step.graph.after(self.place, step.elements) {
            Some(to) => self.go(Some(to), now),
            None => self.end(now),
        }
    }

    /// Ends after its last step: of the rule, or of the rule's `on_error:`, which then starts anew if it is needed again.
    fn end(mut self, now: Timestamp) -> Run {
        if self.failed_at.is_some() && second_error::failed_at(&self.saved).is_some() {
            self.save(ON_ERROR, Value::Null, false);
        }
        self.go(None, now)
    }

    /// Moves to a place, or to the end.
    fn go(mut self, to: Option<Place>, now: Timestamp) -> Run {
        self.tried = 0;
        self.due = now;
        match (to, self.failed_at) {
            (Some(place), _) => self.place = place,
            (None, Some(at)) => {
                self.place = at;
                self.failed_at = None;
                self.state = State::Failed;
            }
            (None, None) => {
                self.state = if self.forgiven { State::Handled } else { State::Done };
            }
        }
        self
    }

    fn save(&mut self, name: &str, output: Value, many: bool) {
        let element = match self.saved.get_mut(name) {
            Some(Value::Array(list)) if many => {
                list.push(output);
                Some(list.len() - 1)
            }
            _ => {
                self.saved.insert(name.to_owned(), if many { Value::Array(vec![output]) } else { output });
                many.then_some(0)
            }
        };
        self.unsaved.push(SavedAt { name: name.to_owned(), element });
    }

    /// When the step is tried next after this outcome; `None` if it is not.
    pub fn retry_at(&self, outcome: &Outcome, plan: &Plan, now: Timestamp, dice: f64) -> Option<Timestamp> {
        let wait = match outcome {
            Outcome::Retry { not_before, .. } => plan.wait(self.tried + 1, *not_before, dice)?,
            Outcome::Deferred(wait) | Outcome::Paused { wait, .. } => *wait,
            _ => return None,
        };
        Some(now.checked_add(wait).unwrap_or(now))
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
        let Place { step, element } = self.place;
        let replay = if self.replays > 0 { format!("-r{}", self.replays) } else { String::new() };
        format!("{}-{}-{step}-{element}{replay}", self.event, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::outcome::Success;
    use crate::model::step_graph::{Next, StepNode};

    fn run() -> Run {
        Run::begin(1, EventId::new(Timestamp::UNIX_EPOCH, [0; 10]), "r".into(), "".into(), 0, Timestamp::UNIX_EPOCH)
    }

    fn node(next: Next) -> StepNode {
        StepNode { next, each: None, inside: None, within: None, on_error: OnError::Not, handles: None }
    }

    /// Two steps, the first with `for_each` if `each`.
    fn two(each: bool, on_error: OnError) -> StepGraph {
        let first = StepNode { each: each.then_some(0), on_error, ..node(Next::Step(1)) };
        StepGraph { nodes: vec![first, node(Next::End)], ..StepGraph::default() }
    }

    fn facts<'a>(plan: &'a Plan, graph: &'a StepGraph, elements: Option<u32>) -> StepFacts<'a> {
        StepFacts { plan, title: "post", save_as: None, elements, graph }
    }

    fn retry() -> Outcome {
        Outcome::Retry { why: "it answered 500".into(), not_before: None, status: Some(500), receipt: None }
    }

    fn done() -> Outcome {
        Outcome::Done(Success::default())
    }

    #[test]
    fn steps_and_elements_are_processed_in_order() {
        let (plan, now, graph) = (Plan::default(), Timestamp::UNIX_EPOCH, two(true, OnError::Not));
        let mut r = run();
        for (step, element) in [(0, 1), (1, 0)] {
            r = r.after(&mut done(), &facts(&plan, &graph, Some(2)), now, 0.0);
            assert_eq!(r.place, Place { step, element });
        }
        r = r.after(&mut done(), &facts(&plan, &graph, None), now, 0.0);
        assert_eq!(r.state, State::Done);
    }

    #[test]
    fn a_step_fails_after_all_tries_of_its_plan() {
        let plan = Plan { tries: 2, first_wait: Duration::from_secs(5) };
        let (now, graph) = (Timestamp::UNIX_EPOCH, two(false, OnError::Not));
        let r = run().after(&mut retry(), &facts(&plan, &graph, None), now, 0.0);
        assert_eq!((r.state, r.tried, r.due.as_second()), (State::Waiting, 1, 5));
        let mut last = retry();
        let r = r.after(&mut last, &facts(&plan, &graph, None), now, 0.0);
        assert_eq!((r.state, r.tried), (State::Failed, 2));
        assert!(matches!(last, Outcome::Failed { why, status: Some(500) } if why == "it answered 500 (given up after 2 tries)"));
        assert!(r.clone().replayed(now).idempotency_key().ends_with("-0-0-r1"));
    }

    #[test]
    fn a_pause_is_not_a_try() {
        let (plan, now, graph) = (Plan { tries: 1, ..Plan::default() }, Timestamp::UNIX_EPOCH, two(false, OnError::Not));
        let mut pause = Outcome::Paused { why: "it does not answer".into(), wait: Duration::from_secs(300) };
        let mut r = run();
        for _ in 0..20 {
            r = r.after(&mut pause, &facts(&plan, &graph, None), now, 0.0);
            assert_eq!((r.state, r.tried, r.due.as_second()), (State::Waiting, 0, 300));
        }
    }

    #[test]
    fn inside_its_loop_a_saved_value_is_that_of_the_element() {
        let (plan, now, graph) = (Plan { tries: 1, ..Plan::default() }, Timestamp::UNIX_EPOCH, two(true, OnError::Continue));
        let facts = StepFacts { save_as: Some("made"), ..facts(&plan, &graph, Some(3)) };
        let made = |n: u32| Outcome::Done(Success { output: Some(n.into()), ..Success::default() });
        let mut r = run();
        for (n, mut outcome) in [made(1), retry(), made(3)].into_iter().enumerate() {
            r = r.after(&mut outcome, &facts, now, 0.0);
            let inside = saved_at(&r.saved, "made", Some((0, n as u32)));
            assert_eq!(inside, [Some(&1.into()), None, Some(&3.into())][n]);
        }
        let list = serde_json::json!([1, 3]);
        assert_eq!(saved_at(&r.saved, "made", None), Some(&list));
        assert_eq!(saved_at(&r.saved, "made", Some((1, 2))), Some(&list), "in another loop it is the list");
    }

    #[test]
    fn a_run_that_continues_after_an_error_ends_as_handled() {
        let (plan, now, graph) =
            (Plan { tries: 1, first_wait: Duration::from_secs(5) }, Timestamp::UNIX_EPOCH, two(false, OnError::Continue));
        let r = run().after(&mut retry(), &facts(&plan, &graph, None), now, 0.0);
        assert_eq!(r.place.step, 1);
        let r = r.after(&mut done(), &facts(&plan, &graph, None), now, 0.0);
        assert_eq!(r.state, State::Handled);
    }

    #[test]
    fn each_element_of_do_goes_through_all_steps_and_has_its_own_on_error() {
        // 0: do with for_each and on_error [3]; 1 and 2 inside; 4: the next step.
        let inside = |next| StepNode { each: Some(0), within: Some(0), ..node(next) };
        let graph = StepGraph {
            nodes: vec![
                StepNode { each: Some(0), inside: Some(1), on_error: OnError::Steps(3), ..node(Next::Step(4)) },
                inside(Next::Step(2)),
                inside(Next::Element(0)),
                StepNode { each: Some(0), handles: Some(0), ..node(Next::Element(0)) },
                node(Next::End),
            ],
            ..StepGraph::default()
        };
        let (plan, now) = (Plan { tries: 1, first_wait: Duration::from_secs(5) }, Timestamp::UNIX_EPOCH);
        let two = facts(&plan, &graph, Some(2));
        let mut visited = Vec::new();
        let mut r = run();
        let outcomes = [Outcome::Entered, done(), done(), Outcome::Entered, retry(), done(), done()];
        for (n, mut outcome) in outcomes.into_iter().enumerate() {
            visited.push((r.place.step, r.place.element));
            let step = if n == 6 { facts(&plan, &graph, None) } else { two.clone() };
            r = r.after(&mut outcome, &step, now, 0.0);
        }
        assert_eq!(visited, [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (3, 1), (4, 0)]);
        assert_eq!(r.state, State::Handled);
        assert_eq!(r.saved[ERROR]["message"], "it answered 500 (given up after 1 try)");
        assert_eq!(r.saved[ERROR]["status"], 500);
    }

    #[test]
    fn after_on_error_of_a_rule_the_run_stays_failed_at_the_step_that_failed() {
        let mut graph = two(false, OnError::Not);
        graph.nodes.push(node(Next::End));
        graph.on_error = Some(2);
        let (plan, now) = (Plan { tries: 1, first_wait: Duration::from_secs(5) }, Timestamp::UNIX_EPOCH);
        let r = run().after(&mut retry(), &facts(&plan, &graph, None), now, 0.0);
        assert_eq!((r.state, r.place.step, r.failed_at), (State::Waiting, 2, Some(Place { step: 0, element: 0 })));
        for mut end in [done(), retry()] {
            let r = r.clone().after(&mut end, &facts(&plan, &graph, None), now, 0.0);
            assert_eq!((r.state, r.place.step, r.failed_at), (State::Failed, 0, None));
        }
    }
}
