//! How runs go through the elements of a `for_each`, by example. Random ones are in `tests/it/run_states.rs`.

use std::time::Duration;

use jiff::Timestamp;

use super::event::EventId;
use super::outcome::{Outcome, Success};
use super::place::Place;
use super::retry::Plan;
use super::run::{Run, State, StepFacts};
use super::saved::ERROR;
use super::step_graph::{Next, OnError, StepGraph, StepNode};
use super::unfinished::Unfinished;

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

/// Does what the elements say, in the order in which the run takes them; returns that order.
fn taken(mut r: Run, graph: &StepGraph, of: u32, outcomes: Vec<Outcome>, now: Timestamp) -> (Vec<u32>, Run) {
    let plan = Plan { tries: 2, first_wait: Duration::from_secs(5) };
    let mut order = Vec::new();
    for mut outcome in outcomes {
        assert_eq!((r.state, r.place.step), (State::Waiting, 0));
        order.push(r.place.element);
        let at = now.max(r.due);
        r = r.after(&mut outcome, &facts(&plan, graph, Some(of)), at, 0.0);
    }
    (order, r)
}

#[test]
fn an_element_that_waits_or_fails_does_not_stop_the_others_and_a_replay_tries_only_those_that_failed() {
    let (now, graph) = (Timestamp::UNIX_EPOCH, two(true, OnError::Not));
    let outcomes = vec![done(), retry(), Outcome::failed("no"), done(), retry(), done(), done(), retry()];
    let (order, r) = taken(run(), &graph, 6, outcomes, now);
    assert_eq!(order, [0, 1, 2, 3, 4, 5, 1, 4]);
    assert_eq!((r.state, r.place), (State::Failed, Place { step: 0, element: 2 }));
    let why = "2 of 6 elements failed: element 3: no; element 5: it answered 500 (given up after 2 tries)";
    assert_eq!(r.unfinished.why_failed_at(r.place, 0).as_deref(), Some(why));
    let r = r.replayed(now);
    assert_eq!(r.unfinished.why_failed_at(r.place, r.replays), None);
    let (order, r) = taken(r, &graph, 6, vec![retry(), Outcome::failed("still not"), done()], now);
    assert_eq!((order, r.state, r.place.element), (vec![2, 4, 2], State::Failed, 4));
    let (order, r) = taken(r.replayed(now), &graph, 6, vec![done()], now);
    assert_eq!((order, r.state, r.place), (vec![4], State::Waiting, Place { step: 1, element: 0 }));
    assert_eq!(r.unfinished, Unfinished::default());
}

#[test]
fn an_element_that_waits_for_a_moment_goes_on_then_and_the_others_do_not_wait_for_it() {
    // `for_each` with `do: [wait, post]`, and a step after it.
    let inside = |next| StepNode { each: Some(0), within: Some(0), ..node(next) };
    let around = StepNode { each: Some(0), inside: Some(1), ..node(Next::Step(3)) };
    let graph = StepGraph { nodes: vec![around, inside(Next::Step(2)), inside(Next::Element(0)), node(Next::End)], ..StepGraph::default() };
    let plan = Plan { tries: 3, first_wait: Duration::from_secs(5) };
    let at = |second: i64| Timestamp::from_second(second).unwrap();
    let waits = |until: i64| Outcome::Done(Success { until: Some(at(until)), ..Success::default() });
    let (mut r, mut taken) = (run(), Vec::new());
    for (second, mut outcome) in [(0, Outcome::Entered), (1, waits(50)), (2, Outcome::Entered), (3, waits(30)), (30, done()), (50, done())]
    {
        taken.push((r.place.step, r.place.element));
        r = r.after(&mut outcome, &facts(&plan, &graph, Some(2)), at(second), 0.0);
    }
    assert_eq!(taken, [(0, 0), (1, 0), (0, 1), (1, 1), (2, 1), (2, 0)]);
    assert_eq!((r.state, r.place, r.due), (State::Waiting, Place { step: 3, element: 0 }, at(50)));
    // Outside of a list, the run waits; what is past is no wait.
    let r = r.after(&mut waits(60), &facts(&plan, &two(false, OnError::Not), None), at(50), 0.0);
    assert_eq!(r.state, State::Done, "nothing follows that could be later");
    let second = |until| run().after(&mut waits(until), &facts(&plan, &two(false, OnError::Not), None), at(50), 0.0);
    assert_eq!((second(70).due, second(70).place.step), (at(70), 1));
    assert_eq!(second(20).due, at(50));
}

#[test]
fn an_element_that_is_due_is_taken_before_those_that_were_not_begun() {
    let graph = two(true, OnError::Not);
    let plan = Plan { tries: 3, first_wait: Duration::from_secs(5) };
    let (mut r, mut order) = (run(), Vec::new());
    for (second, mut outcome) in [(0, retry()), (1, done()), (6, done()), (7, done()), (8, done())] {
        order.push((r.place.element, r.tried));
        let now = Timestamp::from_second(second).unwrap();
        r = r.after(&mut outcome, &facts(&plan, &graph, Some(4)), now, 0.0);
    }
    assert_eq!(order, [(0, 0), (1, 0), (2, 0), (0, 1), (3, 0)]);
    assert_eq!((r.state, r.place.step), (State::Waiting, 1));
}

#[test]
fn with_stop_at_first_an_element_that_waits_or_fails_stops_the_others() {
    let (now, mut graph) = (Timestamp::UNIX_EPOCH, two(true, OnError::Not));
    graph.nodes[0].stop_at_first = true;
    let (order, r) = taken(run(), &graph, 3, vec![done(), retry(), Outcome::failed("no")], now);
    assert_eq!((order, r.state, r.place.element), (vec![0, 1, 1], State::Failed, 1));
    let (order, r) = taken(r.replayed(now), &graph, 3, vec![done(), done()], now);
    assert_eq!((order, r.place.step), (vec![1, 2], 1));
}

#[test]
fn a_stop_in_a_loop_begins_no_other_element_and_ends_the_run_when_those_that_were_begun_are_done() {
    let (now, graph) = (Timestamp::UNIX_EPOCH, two(true, OnError::Not));
    let (order, r) = taken(run(), &graph, 9, vec![retry(), Outcome::Stopped("so".into()), done()], now);
    assert_eq!((order, r.state), (vec![0, 1, 0], State::Done));
}

#[test]
fn what_is_around_a_loop_handles_the_failure_of_the_whole_loop() {
    // 0: do with on_error [2]; 1: for_each inside; 3: the next step.
    let graph = StepGraph {
        nodes: vec![
            StepNode { inside: Some(1), on_error: OnError::Steps(2), ..node(Next::Step(3)) },
            StepNode { each: Some(1), within: Some(0), ..node(Next::Step(3)) },
            StepNode { handles: Some(0), ..node(Next::Step(3)) },
            node(Next::End),
        ],
        ..StepGraph::default()
    };
    let (plan, now) = (Plan { tries: 1, first_wait: Duration::from_secs(5) }, Timestamp::UNIX_EPOCH);
    let mut r = run();
    for (elements, mut outcome) in [(None, Outcome::Entered), (Some(3), retry()), (Some(3), done()), (Some(3), Outcome::failed("no"))] {
        r = r.after(&mut outcome, &facts(&plan, &graph, elements), now, 0.0);
    }
    assert_eq!((r.place.step, r.saved[ERROR]["status"].as_u64()), (2, Some(500)));
    let message = "2 of 3 elements failed: element 1: it answered 500 (given up after 1 try); element 3: no";
    assert_eq!(r.saved[ERROR]["message"], message);
    r = r.after(&mut done(), &facts(&plan, &graph, None), now, 0.0);
    assert_eq!((r.place.step, r.forgiven), (3, true));
}

#[test]
fn each_element_that_waits_in_its_on_error_keeps_its_own_error() {
    // 0: for_each with on_error [1].
    let graph = StepGraph {
        nodes: vec![
            StepNode { each: Some(0), on_error: OnError::Steps(1), ..node(Next::End) },
            StepNode { each: Some(0), handles: Some(0), ..node(Next::Element(0)) },
        ],
        ..StepGraph::default()
    };
    let (plan, now) = (Plan { tries: 2, first_wait: Duration::from_secs(5) }, Timestamp::UNIX_EPOCH);
    let mut r = run();
    for mut outcome in [Outcome::failed("first"), retry(), Outcome::failed("second"), retry()] {
        r = r.after(&mut outcome, &facts(&plan, &graph, Some(2)), now, 0.0);
    }
    for message in ["first", "second"] {
        assert_eq!((r.place.step, r.saved[ERROR]["message"].as_str()), (1, Some(message)));
        let at = now.max(r.due);
        r = r.after(&mut done(), &facts(&plan, &graph, Some(2)), at, 0.0);
    }
    assert_eq!(r.state, State::Handled);
}

#[test]
fn an_element_that_fails_in_its_on_error_shows_both_errors_and_a_replay_goes_on_there_with_its_own() {
    // 0: for_each with on_error [1, 2]; 3: on_error of the rule.
    let graph = StepGraph {
        nodes: vec![
            StepNode { each: Some(0), on_error: OnError::Steps(1), ..node(Next::End) },
            StepNode { each: Some(0), handles: Some(0), ..node(Next::Step(2)) },
            StepNode { each: Some(0), handles: Some(0), ..node(Next::Element(0)) },
            node(Next::End),
        ],
        on_error: Some(3),
        ..StepGraph::default()
    };
    let (plan, now) = (Plan { tries: 2, first_wait: Duration::from_secs(5) }, Timestamp::UNIX_EPOCH);
    let loops = facts(&plan, &graph, Some(3));
    let mut r = run();
    let both = "first; its `on_error` failed, too: busy";
    let mut second = Outcome::failed("busy");
    for outcome in [&mut Outcome::failed("first"), &mut done(), &mut second, &mut done(), &mut Outcome::failed("third")] {
        r = r.after(outcome, &loops, now, 0.0);
    }
    assert!(matches!(&second, Outcome::Failed { why, .. } if why == both), "{second:?}");
    r = r.after(&mut done(), &loops, now, 0.0).after(&mut done(), &loops, now, 0.0);
    let message = format!("1 of 3 elements failed: element 1: {both}");
    assert_eq!((r.place.step, r.saved[ERROR]["message"].as_str()), (3, Some(message.as_str())));
    r = r.after(&mut done(), &facts(&plan, &graph, None), now, 0.0);
    assert_eq!((r.state, r.place), (State::Failed, Place { step: 2, element: 0 }));
    let mut r = r.replayed(now);
    assert_eq!(r.saved[ERROR]["message"], "first", "what it was to handle");
    r = r.after(&mut done(), &loops, now, 0.0);
    assert_eq!(r.state, State::Handled, "the first step of its `on_error` is not repeated, and neither are the other elements");
}

#[test]
fn a_loop_in_the_on_error_of_a_rule_goes_on_with_the_elements_that_failed_if_it_is_needed_again() {
    // 0: the step; 1: on_error of the rule, with for_each; 2: its second step.
    let graph = StepGraph {
        nodes: vec![node(Next::End), StepNode { each: Some(1), ..node(Next::Step(2)) }, node(Next::End)],
        on_error: Some(1),
        ..StepGraph::default()
    };
    let (plan, now) = (Plan { tries: 1, first_wait: Duration::from_secs(5) }, Timestamp::UNIX_EPOCH);
    let taken = |mut r: Run, outcomes: Vec<Outcome>| {
        let mut visited = Vec::new();
        for mut outcome in outcomes {
            visited.push((r.place.step, r.place.element));
            let elements = (r.place.step == 1).then_some(3);
            r = r.after(&mut outcome, &facts(&plan, &graph, elements), now, 0.0);
        }
        assert_eq!((r.state, r.place), (State::Failed, Place { step: 0, element: 0 }));
        (visited, r)
    };
    let no = || Outcome::failed("no");
    let (visited, r) = taken(run(), vec![no(), done(), no(), done()]);
    assert_eq!(visited, [(0, 0), (1, 0), (1, 1), (1, 2)]);
    let (visited, r) = taken(r.replayed(now), vec![no(), done(), done()]);
    assert_eq!(visited, [(0, 0), (1, 1), (2, 0)]);
    // Then all of it is done, so the next failure is reported anew.
    let (visited, _) = taken(r.replayed(now), vec![no(), done(), done(), done(), done()]);
    assert_eq!(visited, [(0, 0), (1, 0), (1, 1), (1, 2), (2, 0)]);
}
