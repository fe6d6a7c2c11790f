//! What a run does after an attempt: [`Run::after`] is the only transition between its states, and it is pure: the time and the
//! random number are passed in.
//!
//! The elements of a `for_each` do not wait for each other, unless the rule says so: one that is tried again later or fails is
//! set aside ([`super::unfinished`]), and the next one is taken. When all of them are done, the run goes on; if some have failed
//! and nothing handles it, the run fails, and a replay tries only these.
//!
//! A step of an `on_error:` that fails stays where it is, because what the steps before it did is done: a replay goes on there,
//! with the error that it was to handle ([`super::second_error`]).

use jiff::Timestamp;
use serde_json::Value;

use crate::model::called::{self, NEVER};
use crate::model::outcome::Outcome;
use crate::model::place::Place;
use crate::model::retry::Plan;
use crate::model::run::{Run, State, StepFacts};
use crate::model::saved::{ERROR, put_in_order, save, save_answer};
use crate::model::second_error::{self, ON_ERROR};
use crate::model::step_graph::{Next, OnError, StepGraph};
use crate::model::unfinished::{Element, Failure};

impl Run {
    /// The run after the attempt at its place ended.
    pub fn after(mut self, outcome: &mut Outcome, step: &StepFacts, now: Timestamp, dice: f64) -> Run {
        self.settled = false;
        let due = self.retry_at(outcome, step.plan, now, dice);
        if !matches!(outcome, Outcome::Awaits(_)) {
            self.call_has_ended(matches!(outcome, Outcome::Failed { .. }));
        }
        match outcome {
            Outcome::Done(success) => {
                if let Some(name) = step.save_as {
                    let output = success.output.take().unwrap_or(Value::Null);
                    match step.graph.each(self.place.step) {
                        Some(each) => self.unsaved.extend(save_answer(&mut self.saved, name, output, each, self.place.element)),
                        None => self.save(name, output),
                    }
                }
                let (until, from) = (success.until.filter(|until| *until > now), self.place);
                let run = self.forward(step, now);
                match until {
                    Some(until) => run.resume_at(until, from, step, now),
                    None => run,
                }
            }
            Outcome::Skipped(_) => self.forward(step, now),
            Outcome::Entered => match step.graph.node(self.place.step).and_then(|f| f.inside) {
                Some(inside) => {
                    let to = step.graph.to(self.place, inside);
                    self.go(Some(to), now)
                }
                None => self.forward(step, now),
            },
            Outcome::Stopped(_) => self.stop(step, now),
            Outcome::Returned { value, .. } => {
                let saved = called::save_returned(&mut self.saved, value.take());
                self.unsaved.extend(saved);
                self.stop(step, now)
            }
            Outcome::Awaits(rule) => {
                let waits = called::wait_for(&mut self.saved, self.place, rule);
                self.unsaved.push(waits);
                self.wait_until(NEVER, step, now)
            }
            // Nothing was tried, so nothing counts.
            Outcome::Deferred(_) | Outcome::Calls(_) => {
                self.due = due.unwrap_or(now);
                self
            }
            Outcome::Paused { .. } => self.wait_until(due.unwrap_or(now), step, now),
            Outcome::Retry { why, status, .. } => {
                self.tried += 1;
                match due {
                    Some(due) => self.wait_until(due, step, now),
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

    /// The run ends well, or the elements of its list.
    fn stop(mut self, step: &StepFacts, now: Timestamp) -> Run {
        match step.free_loop(self.place.step) {
            // What was begun is brought to its end.
            Some((each, of)) => {
                let stopped = self.unfinished.stop(each);
                self.unsaved.push(stopped);
                self.next_element(each, of, step, now)
            }
            None => self.end(now),
        }
    }

    /// The error that this step was to handle.
    fn handled(&self, graph: &StepGraph) -> Option<&Value> {
        self.saved.get(ERROR).filter(|_| self.failed_at.is_some() || self.is_fixing(graph))
    }

    /// Whether the step is one under `on_error:` of another step.
    fn is_fixing(&self, graph: &StepGraph) -> bool {
        graph.node(self.place.step).is_some_and(|node| node.handles.is_some())
    }

    /// The step waits for another try: the whole run, or only the current element.
    fn wait_until(mut self, due: Timestamp, step: &StepFacts, now: Timestamp) -> Run {
        let Some((each, of)) = step.free_loop(self.place.step) else {
            self.due = due;
            return self;
        };
        let aside = Element { due, ..self.unfinished_element(step.graph) };
        self.set_aside(each, aside, of, step, now)
    }

    /// What follows begins later: in the run, or only for the current element.
    fn resume_at(mut self, until: Timestamp, from: Place, step: &StepFacts, now: Timestamp) -> Run {
        if self.state != State::Waiting {
            return self;
        }
        let is_same_element = self.place.element == from.element && step.graph.each(from.step) == step.graph.each(self.place.step);
        match step.free_loop(self.place.step) {
            Some((each, of)) if is_same_element => {
                let aside = Element { due: until, ..self.unfinished_element(step.graph) };
                self.set_aside(each, aside, of, step, now)
            }
            // The element has ended with its wait.
            Some(_) if step.graph.each(from.step).is_some() => self,
            _ => {
                self.due = until;
                self
            }
        }
    }

    /// The current element, to be set aside where it is.
    fn unfinished_element(&self, graph: &StepGraph) -> Element {
        let error = self.saved.get(ERROR).filter(|_| self.is_fixing(graph)).cloned();
        Element { step: self.place.step, tried: self.tried, due: self.due, replays: self.replays, settled: false, error, failure: None }
    }

    /// Sets the current element aside, and takes the next one.
    fn set_aside(mut self, each: u32, aside: Element, of: u32, step: &StepFacts, now: Timestamp) -> Run {
        let element = self.place.element;
        let next = self.unfinished.next(each, element);
        self.unsaved.push(self.unfinished.set(each, element, aside));
        self.take_element(each, next, of, step, now)
    }

    /// A step has failed permanently: its error is handled, or its element fails, or the run.
    fn given_up(mut self, why: &str, status: Option<u16>, step: &StepFacts, now: Timestamp) -> Run {
        let graph = step.graph;
        let failure = Failure { why: why.to_owned(), status, tries: self.tried, title: step.title.to_owned() };
        let free_loop = step.free_loop(self.place.step);
        // While the rule's own `on_error:` is running, the run is in the failed list anyway.
        let is_last_resort = self.failed_at.is_some();
        let handler = graph.handler(self.place.step).filter(|_| !is_last_resort);
        // What is around a loop handles the failure of the loop, not that of an element.
        let handler = handler.filter(|(handler, _)| free_loop.is_none_or(|(each, _)| graph.each(*handler) == Some(each)));
        match (handler, free_loop) {
            (Some((handler, on_error)), _) => {
                self.forgiven = true;
                self.unsaved.extend(called::forget_wait(&mut self.saved, self.place));
                self.place = graph.to(self.place, handler);
                match on_error {
                    OnError::Steps(first) => {
                        self.save(ERROR, failure.as_error(None));
                        let to = graph.to(self.place, first);
                        self.go(Some(to), now)
                    }
                    _ => self.forward(step, now),
                }
            }
            (None, Some((each, of))) => {
                let aside = Element { tried: 0, due: now, failure: Some(failure), ..self.unfinished_element(graph) };
                self.set_aside(each, aside, of, step, now)
            }
            (None, None) => {
                let (at, error) = (self.place, failure.as_error(self.handled(graph)));
                self.failed(at, error, graph, now)
            }
        }
    }

    /// The run has failed at a place: the rule's own `on_error:` begins, or goes on where it failed the last time.
    fn failed(mut self, at: Place, error: Value, graph: &StepGraph, now: Timestamp) -> Run {
        match graph.on_error {
            _ if self.failed_at.is_some() => {
                // The rule's own `on_error:` failed too; the run is in the failed list anyway.
                self.save(ON_ERROR, second_error::saved(at));
                self.go(None, now)
            }
            Some(first) => {
                self.save(ERROR, error);
                self.failed_at = Some(at);
                let place = second_error::failed_at(&self.saved).unwrap_or(Place { step: first, element: 0 });
                self.go(Some(place), now)
            }
            None => self.stay_failed(at),
        }
    }

    /// The run is in the failed list, at the place where a replay goes on.
    fn stay_failed(mut self, at: Place) -> Run {
        self.place = at;
        self.state = State::Failed;
        // A step of an `on_error:` that failed still has to handle the error that it began with.
        let of_element = self.unfinished.at(at).and_then(|element| element.error.as_ref());
        let handled = of_element.or(self.saved.get(ERROR).and_then(second_error::handled_first));
        if let Some(error) = handled.cloned() {
            self.save(ERROR, error);
        }
        self
    }

    fn forward(self, step: &StepFacts, now: Timestamp) -> Run {
        match step.graph.after(self.place) {
            Some(Next::Step(next)) => {
                let to = step.graph.to(self.place, next);
                self.go(Some(to), now)
            }
            Some(Next::Element(each)) => {
                let of = step.elements.unwrap_or(0);
                self.next_element(each, of, step, now)
            }
            Some(Next::End) | None => self.end(now),
        }
    }

    /// Ends after its last step: of the rule, or of the rule's `on_error:`, which then starts anew if it is needed again.
    fn end(mut self, now: Timestamp) -> Run {
        if self.failed_at.is_some() && second_error::failed_at(&self.saved).is_some() {
            self.save(ON_ERROR, Value::Null);
        }
        self.go(None, now)
    }

    /// The current element is finished.
    fn next_element(mut self, each: u32, of: u32, step: &StepFacts, now: Timestamp) -> Run {
        let next = self.unfinished.next(each, self.place.element);
        self.unsaved.extend(self.unfinished.remove(each, self.place.element));
        self.take_element(each, next, of, step, now)
    }

    /// Takes an element that waited and is due, else the next one that was not begun, else the one that is due first.
    fn take_element(mut self, each: u32, next: u32, of: u32, step: &StepFacts, now: Timestamp) -> Run {
        let replays = self.replays;
        let is_open = next < of && !self.unfinished.is_stopped(each);
        let waiting = self.unfinished.first_due(each, replays).filter(|(_, waits)| !is_open || waits.due_in(replays) <= now);
        let waiting = waiting.map(|(element, waits)| (element, waits.clone(), waits.due_in(replays).max(now)));
        let waiting = self.ended_element(each).map(|(element, waits)| (element, waits, now)).or(waiting);
        match waiting {
            Some((element, waits, due)) => {
                self.unsaved.push(self.unfinished.begun(each, next, of));
                let run = self.go(Some(Place { step: waits.step, element }), now);
                let mut run = Run { tried: if waits.replays == replays { waits.tried } else { 0 }, due, ..run };
                if let Some(error) = waits.error {
                    run.save(ERROR, error);
                }
                run
            }
            None if is_open => self.go(Some(Place { step: each, element: next }), now),
            None => self.end_loop(each, next, of, step, now),
        }
    }

    /// No element is left to try: what follows the loop, or its failure.
    fn end_loop(mut self, each: u32, next: u32, of: u32, step: &StepFacts, now: Timestamp) -> Run {
        let graph = step.graph;
        self.unsaved.extend(put_in_order(&mut self.saved, each));
        let stopped = self.unfinished.is_stopped(each);
        let failed = self.unfinished.failed(each, self.replays);
        let Some((element, first, failure)) = failed.first().map(|(n, first, failure)| (*n, first.step, Failure::clone(failure))) else {
            self.unsaved.extend(self.unfinished.clear(each));
            return self.follow(each, stopped, graph, now);
        };
        let tries = failed.iter().map(|(.., failure)| failure.tries).max().unwrap_or_default();
        self.unsaved.push(self.unfinished.begun(each, next, of));
        let why = self.unfinished.why_failed_of(each, self.replays).unwrap_or_default();
        let error = Failure { why, tries, ..failure }.as_error(None);
        // While the rule's own `on_error:` is running, nothing handles errors.
        let around = graph.node(each).and_then(|node| node.within).filter(|_| self.failed_at.is_none());
        match around.and_then(|around| graph.handler(around)) {
            Some((handler, on_error)) => {
                self.unsaved.extend(self.unfinished.clear(each));
                self.unsaved.extend(called::forget_waits(&mut self.saved, |step| graph.each(step) == Some(each)));
                self.forgiven = true;
                self.place = Place { step: handler, element: 0 };
                match on_error {
                    OnError::Steps(first) => {
                        self.save(ERROR, error);
                        self.go(Some(Place { step: first, element: 0 }), now)
                    }
                    _ => self.follow(handler, false, graph, now),
                }
            }
            None => self.failed(Place { step: first, element }, error, graph, now),
        }
    }

    /// Goes to what follows a step as a whole, or ends.
    fn follow(self, step: u32, stopped: bool, graph: &StepGraph, now: Timestamp) -> Run {
        let next = graph.node(step).map(|node| node.next).filter(|_| !stopped);
        match next {
            Some(Next::Step(step)) => self.go(Some(Place { step, element: 0 }), now),
            _ => self.end(now),
        }
    }

    /// Moves to a place, or to the end.
    fn go(mut self, to: Option<Place>, now: Timestamp) -> Run {
        self.tried = 0;
        self.due = now;
        match (to, self.failed_at) {
            (Some(place), _) => self.place = place,
            (None, Some(at)) => {
                self.failed_at = None;
                return self.stay_failed(at);
            }
            (None, None) => {
                self.state = if self.forgiven { State::Handled } else { State::Done };
            }
        }
        self
    }

    fn save(&mut self, name: &str, output: Value) {
        self.unsaved.push(save(&mut self.saved, name, output, false));
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
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::event::EventId;
    use crate::model::outcome::Success;
    use crate::model::retry::Plan;
    use crate::model::saved::saved_at;
    use crate::model::step_graph::StepNode;

    fn run() -> Run {
        Run::begin(1, EventId::new(Timestamp::UNIX_EPOCH, [0; 10]), "r".into(), "".into(), 0, Timestamp::UNIX_EPOCH)
    }

    fn node(next: Next) -> StepNode {
        StepNode { next, each: None, stop_at_first: false, inside: None, within: None, on_error: OnError::Not, handles: None }
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
