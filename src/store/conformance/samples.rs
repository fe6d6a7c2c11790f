//! Events, runs and records to test with, and what a worker does with them, in one line each.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::database::Database;
use crate::model::event::{Event, EventId};
use crate::model::place::Place;
use crate::model::run::{Attempt, Once, Run, RunId, State};
use crate::model::unfinished::Element;
use crate::store::contract::{Accept, Accepted, Delivery, Dossier, Heavy, NewRun, Record, Recorded, StartResult, Store};

pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// This many seconds after a fixed moment in the past.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

/// Later than any moment in any test.
pub(super) fn much_later() -> Timestamp {
    at(1_000_000)
}

/// An event received this many seconds after that moment, with a unique id of that time.
pub(super) fn event(seconds: i64) -> Event {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let mut random = [0; 10];
    random[2..].copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Event {
        id: EventId::new(at(seconds), random),
        received: at(seconds),
        method: "POST".into(),
        address: "orders".into(),
        headers: vec![("content-type".into(), "application/json".into())],
        raw: Bytes::from_static(b"{\"n\": 1}"),
        ..Event::nobody()
    }
}

pub(super) fn run(rule: &str) -> NewRun {
    NewRun { rule: rule.into(), text: "text".into(), step: 0, lane: None, once: None }
}

pub(super) fn in_lane(lane: &str) -> NewRun {
    NewRun { lane: Some(lane.into()), ..run("in a lane") }
}

pub(super) fn once(value: &str) -> NewRun {
    NewRun { once: Some(Once { value: value.into(), within: DAY }), ..run("once") }
}

/// An event whose runs the owner takes immediately.
pub(super) fn taken(event: Event, runs: Vec<NewRun>) -> Accept {
    Accept {
        claim: None,
        event: Arc::new(event),
        runs,
        deliveries: Vec::new(),
        is_vouched: false,
        ruleset: 1,
        status: 200,
        decided: Vec::new(),
        taken: true,
    }
}

/// An event whose runs are left for any owner to lease.
pub(super) fn left(event: Event, runs: Vec<NewRun>) -> Accept {
    Accept { taken: false, ..taken(event, runs) }
}

pub(super) fn delivered(accept: Accept, keys: &[&str]) -> Accept {
    let deliveries = keys.iter().map(|key| Delivery { key: (*key).to_owned(), remembered: DAY }).collect();
    Accept { deliveries, ..accept }
}

/// A different request, as sent by somebody who guesses a delivery's id.
pub(super) fn guessed(accept: Accept) -> Accept {
    let event = Event { raw: Bytes::from_static(b"{\"n\": 2}"), ..(*accept.event).clone() };
    Accept { event: Arc::new(event), ..accept }
}

/// The same accept again, as after an unknown result.
pub(super) fn again(accept: &Accept) -> Accept {
    Accept {
        event: accept.event.clone(),
        runs: accept.runs.clone(),
        claim: accept.claim.clone(),
        deliveries: accept.deliveries.clone(),
        decided: accept.decided.clone(),
        ..*accept
    }
}

/// Accepts a new event; returns its runs.
pub(super) async fn accept(store: &Arc<dyn Store>, accept: Accept) -> Vec<(Run, StartResult)> {
    match store.accept(accept).await.unwrap() {
        Accepted::New(_, runs) => runs,
        Accepted::Again { first, .. } => panic!("it was mistaken for the event {first}"),
        Accepted::Claimed => panic!("its moment was claimed before"),
    }
}

/// Accepts an event with one run, which starts immediately.
pub(super) async fn begin(store: &Arc<dyn Store>, seconds: i64, new: NewRun) -> Run {
    let (run, result) = accept(store, taken(event(seconds), vec![new])).await.remove(0);
    assert_eq!(result, StartResult::Begun);
    run
}

/// Accepts an event with one run, which waits.
pub(super) async fn queue(store: &Arc<dyn Store>, seconds: i64, new: NewRun) -> Run {
    let (run, result) = accept(store, taken(event(seconds), vec![new])).await.remove(0);
    assert_eq!(result, StartResult::Queued);
    run
}

/// Everything without an owner, whenever it is due.
pub(super) async fn lease(store: &Arc<dyn Store>) -> Vec<Run> {
    store.lease(much_later(), 100, Heavy::ANY).await.unwrap().into_iter().map(|(run, _)| run).collect()
}

pub(super) fn ids<'a>(runs: impl IntoIterator<Item = &'a Run>) -> Vec<RunId> {
    runs.into_iter().map(|run| run.id).collect()
}

pub(super) fn attempt(run: &Run, outcome: &'static str, said: &str) -> Attempt {
    Attempt {
        place: run.place,
        number: run.tried + 1,
        at: run.due,
        took: Duration::from_millis(3),
        outcome: outcome.into(),
        said: said.into(),
        bodies: None,
    }
}

fn record_of(run: Run, attempt: Attempt, goes_on: bool) -> Record {
    Record { run: run.into(), attempts: vec![attempt].into(), answer: None, also: None, goes_on }
}

/// The step was done, and it was the last one.
pub(super) fn done(run: &Run) -> Record {
    record_of(Run { state: State::Done, ..run.clone() }, attempt(run, "done", "so"), false)
}

/// The step has failed finally.
pub(super) fn failed(run: &Run) -> Record {
    record_of(Run { state: State::Failed, tried: run.tried + 1, ..run.clone() }, attempt(run, "failed", "no"), false)
}

/// The step was done, and the next one follows immediately.
pub(super) fn stepped(run: &Run) -> Record {
    let place = Place { step: run.place.step + 1, element: 0 };
    record_of(Run { place, ..run.clone() }, attempt(run, "done", "so"), true)
}

/// The step is to be tried again at `due`, by any owner.
pub(super) fn postponed(run: &Run, due: Timestamp) -> Record {
    record_of(Run { due, tried: run.tried + 1, ..run.clone() }, attempt(run, "retry", "later"), false)
}

/// Queries, and returns the run as its owner then has it.
pub(super) async fn record(store: &Arc<dyn Store>, record: Record) -> Run {
    let run = (*record.run).clone();
    assert_eq!(store.record(record).await.unwrap(), Recorded::Recorded);
    Run { unsaved: Vec::new(), turn: run.turn + 1, ..run }
}

pub(super) async fn expect_lease_lost(store: &Arc<dyn Store>, record: Record) {
    assert_eq!(store.record(record).await.unwrap(), Recorded::LeaseLost);
}

pub(super) async fn dossier(database: &dyn Database, event: EventId) -> Dossier {
    database.queries().await.dossier(event).await.unwrap()
}

/// The state of an event's runs, and the attempts of each.
pub(super) async fn runs_and_attempts(database: &dyn Database, event: EventId) -> Vec<(State, Vec<String>)> {
    let told = |attempts: Vec<Attempt>| attempts.into_iter().map(|a| format!("{} {}", a.place.step, a.outcome)).collect();
    dossier(database, event).await.runs.into_iter().map(|(page, attempts)| (page.run.state, told(attempts))).collect()
}

pub(super) async fn state(database: &dyn Database, run: &Run) -> State {
    let runs = dossier(database, run.event).await.runs;
    runs.iter().find(|(page, _)| page.run.id == run.id).map(|(page, _)| page.run.state).unwrap()
}

/// Whether all of these are different.
pub(super) fn are_different<T: Ord>(all: impl IntoIterator<Item = T>) -> bool {
    let mut seen = BTreeSet::new();
    all.into_iter().all(|one| seen.insert(one))
}

/// An element that waits at a step.
pub(super) fn waits(step: u32) -> Element {
    Element { step, tried: 2, due: much_later(), replays: 0, settled: false, error: None, failure: None }
}

/// The run after an element of its step 2 was set aside.
pub(super) fn set_aside(mut run: Run, element: u32, state: Element) -> Run {
    run.unsaved.push(run.unfinished.set(2, element, state));
    run
}
