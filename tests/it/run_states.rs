//! Random rules and outcomes of attempts: a run always ends, never repeats a finished step, waits as its plan says, and has a
//! different idempotency key for each effect. A replay goes on exactly where it failed: with the elements of a list that failed, and in
//! an `on_error:` with the step that failed. (Lanes and `once_per` are tested by the simulation of the store.)

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use doorbell::model::event::EventId;
use doorbell::model::outcome::{Outcome, Success};
use doorbell::model::place::Place;
use doorbell::model::retry::{LONGEST_RETRY_AFTER, LONGEST_WAIT, Plan};
use doorbell::model::run::{Run, State, StepFacts};
use doorbell::model::second_error;
use doorbell::model::step_graph::{Next, OnError, StepGraph, StepNode};
use jiff::Timestamp;
use proptest::prelude::*;

/// How many elements a `for_each` has, and whether an element stops the others.
type DrawnLoop = (u32, bool);

/// A step: its `for_each`, if it has one, and how its error is handled.
type DrawnStep = (Option<DrawnLoop>, u8);

fn node(next: Next, each: Option<u32>) -> StepNode {
    StepNode { next, each, stop_at_first: false, inside: None, within: None, on_error: OnError::Not, handles: None }
}

/// The graph of these steps, followed by the steps that handle their errors, and the two steps of the rule's `on_error:` at the end,
/// of which the first may have a `for_each`.
fn graph(steps: &[DrawnStep], on_error: Option<Option<DrawnLoop>>) -> StepGraph {
    let count = steps.len() as u32;
    let mut handlers = Vec::new();
    let mut nodes: Vec<StepNode> = Vec::new();
    for (n, (each, on_error)) in (0..count).zip(steps) {
        let stop_at_first = each.is_some_and(|(_, stops)| stops);
        let each = each.map(|_| n);
        let on_error = match on_error {
            0 => OnError::Not,
            1 => OnError::Continue,
            _ => {
                let next = if each.is_some() { Next::Element(n) } else { next(n, count) };
                handlers.push(StepNode { handles: Some(n), ..node(next, each) });
                OnError::Steps(count + handlers.len() as u32 - 1)
            }
        };
        nodes.push(StepNode { stop_at_first, on_error, ..node(next(n, count), each) });
    }
    nodes.extend(handlers);
    let first = nodes.len() as u32;
    if let Some(each) = on_error {
        let stop_at_first = each.is_some_and(|(_, stops)| stops);
        nodes.push(StepNode { stop_at_first, ..node(Next::Step(first + 1), each.map(|_| first)) });
        nodes.push(node(Next::End, None));
    }
    StepGraph { nodes, otherwise: None, on_error: on_error.map(|_| first) }
}

/// The step whose `for_each` a step belongs to.
fn loop_step(graph: &StepGraph, step: u32) -> Option<u32> {
    graph.node(step).and_then(|node| node.each)
}

fn next(n: u32, count: u32) -> Next {
    if n + 1 < count { Next::Step(n + 1) } else { Next::End }
}

fn outcome(drawn: u8) -> Outcome {
    match drawn {
        0..=3 => Outcome::Done(Success::default()),
        4 => Outcome::Skipped("so".into()),
        5 => Outcome::failed("no"),
        6 => Outcome::Deferred(Duration::from_secs(3)),
        7 => Outcome::Retry { why: "later".into(), not_before: Some(Duration::from_secs(90)), status: Some(503), receipt: None },
        _ => Outcome::retry("later"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_run_ends_and_never_repeats_a_finished_step(
        steps in prop::collection::vec((prop::option::of((1u32..4, any::<bool>())), 0u8..3), 1..5),
        on_error in prop::option::of(prop::option::of((1u32..4, any::<bool>()))),
        tries in 1u32..5,
        drawn in prop::collection::vec(0u8..10, 600),
    ) {
        let graph = graph(&steps, on_error);
        let first_on_error = graph.on_error.unwrap_or(u32::MAX);
        let plan = Plan { tries, first_wait: Duration::from_secs(5) };
        let loop_of = |step: u32| {
            let each = graph.node(step).and_then(|f| f.each);
            each.and_then(|n| if n == first_on_error { on_error.flatten() } else { steps[n as usize].0 })
        };
        let is_free = |step: u32| loop_of(step).is_some_and(|(_, stops)| !stops);
        let facts = |step: u32| {
            StepFacts { plan: &plan, title: "x", save_as: None, elements: loop_of(step).map(|(of, _)| of), graph: &graph }
        };
        let mut now = Timestamp::UNIX_EPOCH;
        let mut run = Run::begin(1, EventId::new(now, [0; 10]), "r".into(), "".into(), 0, now);
        let (mut done, mut keys, mut failures) = (HashSet::new(), HashMap::new(), 0);
        // When a place may be tried again, and how often it was tried.
        let mut dues: HashMap<Place, (Timestamp, u32)> = HashMap::new();
        // The places that have failed and that a replay has to try.
        let mut failed: BTreeSet<Place> = BTreeSet::new();
        for drawn in drawn {
            if run.state == State::Failed && run.replays < 3 {
                // It stays where it failed, so a replay continues there, under a new key.
                prop_assert!(failures > 0 && run.place.step < first_on_error, "{:?}", run.place);
                prop_assert!(!done.contains(&run.place) && run.failed_at.is_none());
                let again = run.clone().replayed(now);
                prop_assert_eq!((again.state, again.place, again.tried), (State::Waiting, run.place, 0));
                prop_assert_ne!(again.idempotency_key(), run.idempotency_key());
                // It tries exactly the elements that failed, each where it failed.
                if is_free(run.place.step) {
                    let in_loop = failed.iter().filter(|place| loop_step(&graph, place.step) == loop_step(&graph, run.place.step));
                    let elements: Vec<u32> = in_loop.map(|place| place.element + 1).collect::<BTreeSet<_>>().into_iter().collect();
                    let known = run.unfinished.summary_at(run.place, run.replays).expect("its elements are known");
                    prop_assert_eq!((known.failed, known.waiting), (elements, 0));
                }
                run = again;
                // Every plan begins anew.
                dues.clear();
            }
            if run.state != State::Waiting {
                break;
            }
            now = now.max(run.due);
            let (place, tried) = (run.place, run.tried);
            prop_assert!(!done.contains(&place), "{place:?} was already done");
            let (due, before) = dues.get(&place).copied().unwrap_or((Timestamp::UNIX_EPOCH, 0));
            prop_assert!(due <= now && before == tried, "{place:?} at {now} for try {tried}, not {due} for {before}");
            prop_assert_eq!(keys.entry((place, run.replays)).or_insert_with(|| run.idempotency_key()), &run.idempotency_key(), "one key for all tries");
            let mut outcome = outcome(drawn);
            let was_in_on_error = run.failed_at.is_some();
            run = run.after(&mut outcome, &facts(place.step), now, 0.5);
            failed.remove(&place);
            match &outcome {
                Outcome::Done(_) => prop_assert!(done.insert(place)),
                Outcome::Retry { not_before, .. } => {
                    let wait = plan.wait(tried + 1, *not_before, 0.5).expect("there is another try");
                    let due = now.checked_add(wait).unwrap();
                    dues.insert(place, (due, tried + 1));
                    // Without a loop the run waits; in a loop another element may be next.
                    if !is_free(place.step) || run.place == place {
                        prop_assert_eq!((run.place, run.tried, run.due), (place, tried + 1, due));
                    }
                    prop_assert!(tried + 1 < plan.tries);
                }
                Outcome::Deferred(_) => prop_assert_eq!((run.place, run.tried), (place, tried), "it was not tried"),
                Outcome::Failed { why, .. } => {
                    failures += 1;
                    let handles = was_in_on_error || graph.node(place.step).is_some_and(|node| node.handles.is_some());
                    prop_assert_eq!(why.contains("its `on_error` failed, too: "), handles, "{}", why);
                    if graph.handler(place.step).is_none() {
                        failed.insert(place);
                    }
                }
                _ => {}
            }
            if was_in_on_error && run.state == State::Failed {
                match second_error::failed_at(&run.saved) {
                    // What it has done is not done again, and a replay goes on there if it fails again.
                    Some(at) => prop_assert!(at.step >= first_on_error && failed.contains(&at), "{at:?}"),
                    // Once it is complete, it runs again for the next failure.
                    None => done.retain(|place| place.step < first_on_error),
                }
            }
            prop_assert!(run.due >= now || run.state != State::Waiting);
        }
        prop_assert_ne!(run.state, State::Waiting, "six steps cannot need 600 attempts");
        prop_assert!(run.failed_at.is_none());
        match run.state {
            State::Done => prop_assert!(failures == 0 || run.replays > 0),
            State::Handled => prop_assert!(failures > 0 && run.forgiven),
            State::Failed => {
                prop_assert!(failures > 0 && run.place.step < first_on_error && !done.contains(&run.place), "{:?}", run.place);
                // If all goes well, a replay tries exactly what failed, and what was not begun.
                let summary = run.unfinished.summary_at(run.place, run.replays);
                let (each, mut again, mut tried) = (loop_step(&graph, run.place.step), run.clone().replayed(now), 0);
                while again.state == State::Waiting && each.is_some() && loop_step(&graph, again.place.step) == each {
                    prop_assert!(done.insert(again.place), "{:?} was already done", again.place);
                    tried += 1;
                    let facts = facts(again.place.step);
                    again = again.after(&mut Outcome::Done(Success::default()), &facts, now, 0.5);
                }
                if let Some(summary) = summary {
                    prop_assert_eq!(tried, summary.failed.len());
                }
                prop_assert!(again.unfinished.summary_at(run.place, again.replays).is_none());
            }
            other => prop_assert!(false, "{:?}", other),
        }
        let distinct: HashSet<&String> = keys.values().collect();
        prop_assert_eq!(distinct.len(), keys.len(), "two places have the same key");
    }

    #[test]
    fn retry_pauses_grow_stay_within_their_limits_and_end_with_the_last_try(
        tries in 1u32..=100,
        first in 1u64..100_000_000,
        not_before in prop::option::of(0u64..1_000_000_000_000),
        dice in -1.0f64..2.0,
    ) {
        let plan = Plan { tries, first_wait: Duration::from_millis(first) };
        let not_before = not_before.map(Duration::from_millis);
        let waits: Vec<Duration> = (1..=tries + 1).map_while(|n| plan.wait(n, not_before, dice)).collect();
        prop_assert_eq!(waits.len() as u32, tries - 1);
        let most = (LONGEST_WAIT.max(plan.first_wait)).mul_f64(1.11).max(LONGEST_RETRY_AFTER);
        let least = not_before.unwrap_or_default().min(LONGEST_RETRY_AFTER).max(plan.first_wait.min(LONGEST_WAIT));
        for pair in waits.windows(2) {
            prop_assert!(pair[0] <= pair[1]);
        }
        prop_assert!(waits.iter().all(|w| *w >= least && *w <= most), "{waits:?}");
    }
}
