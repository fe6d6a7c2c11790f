//! Runs that steps of other runs call: begun together with the step, once; and their callers, which get how they ended.

use std::sync::Arc;

use serde_json::{Value, json};

use super::database::Database;
use super::samples::{
    at, attempt, begin, done, dossier, expect_lease_lost, failed, ids, lease, once, postponed, record, run, state, stepped,
};
use crate::model::called::{self, CallEnd, How, NEVER};
use crate::model::place::Place;
use crate::model::run::{CalledBy, Run, State};
use crate::store::contract::{Also, NewCall, NewRun, Pruning, Record, Store, WaitingRuns};

/// A call by the step that a run is at.
fn call(caller: &Run, new: NewRun, is_awaited: bool) -> NewCall {
    let given = called::given(json!({ "n": "1.50" }), is_awaited, 1, "id".to_owned(), None);
    NewCall { new, place: caller.place, is_awaited, given, at: at(50) }
}

fn with(record: Record, calls: NewCall) -> Record {
    Record { also: Some(Arc::new(Also { calls: Some(calls), ..Also::default() })), ..record }
}

/// The run waits for the end of another one.
fn awaits(run: &Run) -> Run {
    let mut run = Run { due: NEVER, ..run.clone() };
    run.unsaved.push(called::wait_for(&mut run.saved, run.place, "b"));
    run
}

/// The caller calls a rule, and is released.
fn calling(caller: &Run, new: NewRun) -> Record {
    let waits = Record { run: awaits(caller).into(), attempts: Vec::new().into(), goes_on: false, ..done(caller) };
    with(waits, call(caller, new, true))
}

/// A run and the one that it waits for, which is in hand.
async fn both(store: &Arc<dyn Store>, new: NewRun) -> (Run, Run) {
    let caller = begin(store, 0, run("a")).await;
    let caller = record(store, calling(&caller, new)).await;
    let called = lease_due(store, 50).await.remove(0);
    (caller, called)
}

async fn lease_due(store: &Arc<dyn Store>, seconds: i64) -> Vec<Run> {
    let leased = store.lease(at(seconds), 100, crate::store::contract::Heavy::ANY).await.unwrap();
    leased.into_iter().map(|(run, _)| run).collect()
}

fn ending(record: Record, how: How) -> Record {
    let state = if matches!(how, How::Failed(_)) { State::FailedForCaller } else { record.run.state };
    let also = Also { ends: Some(CallEnd { rule: "b".into(), how }), ..Also::default() };
    Record { run: Run { state, ..(*record.run).clone() }.into(), also: Some(Arc::new(also)), ..record }
}

fn end_of(run: &Run) -> Option<How> {
    called::ended_at(&run.saved, Place { step: 0, element: 0 }).map(|end| end.how)
}

fn returned(value: Value) -> How {
    How::Returned(Some(value))
}

pub(super) async fn a_called_run_begins_together_with_its_step_and_once(database: &dyn Database) {
    let owners = database.owners().await;
    let (one, other) = (&owners[0], owners.last().unwrap());
    for is_awaited in [false, true] {
        let caller = begin(one, 0, run("a")).await;
        let step = with(stepped(&caller), call(&caller, run("b"), is_awaited));
        let next = record(one, step.clone()).await;
        record(one, step.clone()).await;
        let leased = lease(other).await;
        let [called] = leased.as_slice() else { panic!("{leased:?}") };
        assert_eq!((&*called.rule, called.event, called.due), ("b", caller.event, at(50)));
        let given = called.given().unwrap();
        assert_eq!((given.input, given.is_awaited, given.depth), (&json!({ "n": "1.50" }), is_awaited, 1));
        assert!(called.id > caller.id);
        record(one, done(&next)).await;
        expect_lease_lost(one, step).await;
        record(other, done(called)).await;
        let runs = dossier(database, caller.event).await.runs;
        let by = CalledBy { run: caller.id, place: caller.place, is_awaited };
        assert_eq!(runs.iter().map(|(page, _)| page.called_by).collect::<Vec<_>>(), [None, Some(by)]);
    }
    assert!(lease(one).await.is_empty());
}

pub(super) async fn a_rejected_step_calls_nothing(database: &dyn Database) {
    let store = database.open().await;
    let caller = begin(&store, 0, run("a")).await;
    record(&store, done(&caller)).await;
    expect_lease_lost(&store, calling(&caller, run("b"))).await;
    expect_lease_lost(&store, with(done(&caller), call(&caller, run("b"), false))).await;
    assert!(lease(&store).await.is_empty());
    assert_eq!(dossier(database, caller.event).await.runs.len(), 1);
}

pub(super) async fn the_last_step_of_a_run_can_call_another_one(database: &dyn Database) {
    let store = database.open().await;
    let caller = begin(&store, 0, run("a")).await;
    record(&store, with(done(&caller), call(&caller, run("b"), false))).await;
    assert_eq!(lease(&store).await.iter().map(|run| &*run.rule).collect::<Vec<_>>(), ["b"]);
}

pub(super) async fn the_end_of_a_called_run_opens_its_caller(database: &dyn Database) {
    let owners = database.owners().await;
    let (one, other) = (&owners[0], owners.last().unwrap());
    for how in [returned(json!({ "n": [1.5, null] })), How::Returned(None), returned(Value::Null)] {
        let (caller, called) = both(one, run("b")).await;
        assert!(lease_due(other, 900_000).await.is_empty(), "the caller waits, however long");
        record(one, ending(done(&called), how.clone())).await;
        let opened = lease_due(other, 50).await.remove(0);
        assert_eq!((opened.id, end_of(&opened)), (caller.id, Some(how)));
        // What is forgotten is gone.
        let mut next = opened.clone();
        next.unsaved.extend(called::forget_end(&mut next.saved, next.place));
        next.unsaved.extend(called::forget_wait(&mut next.saved, next.place));
        record(other, postponed(&next, at(50))).await;
        let again = lease_due(other, 50).await.remove(0);
        assert_eq!(again.saved, next.saved);
        assert!(again.saved.is_empty());
        record(other, done(&again)).await;
    }
}

pub(super) async fn a_caller_that_is_released_after_the_end_is_due_at_once(database: &dyn Database) {
    let store = database.open().await;
    let caller = begin(&store, 0, run("a")).await;
    let waits = Record { run: awaits(&caller).into(), goes_on: true, ..stepped(&caller) };
    let caller = record(&store, with(waits, call(&caller, run("b"), true))).await;
    let called = lease(&store).await.remove(0);
    record(&store, ending(done(&called), returned(1.into()))).await;
    assert!(lease(&store).await.is_empty(), "the caller is in hand");
    record(&store, Record { attempts: Vec::new().into(), goes_on: false, run: caller.clone().into(), ..done(&caller) }).await;
    let opened = lease_due(&store, 50).await.remove(0);
    assert_eq!(end_of(&opened), Some(returned(1.into())));
    // Released by one that knows, it waits as long as it says.
    record(&store, postponed(&opened, at(70))).await;
    assert!(lease_due(&store, 60).await.is_empty());
    assert_eq!(ids(&lease_due(&store, 70).await), [caller.id]);
}

pub(super) async fn a_run_that_does_not_start_is_the_end_for_its_caller(database: &dyn Database) {
    let store = database.open().await;
    let first = begin(&store, 0, once("v")).await;
    record(&store, done(&first)).await;
    let caller = begin(&store, 1, run("a")).await;
    record(&store, calling(&caller, once("v"))).await;
    let opened = lease_due(&store, 50).await.remove(0);
    assert_eq!(opened.id, caller.id);
    assert_eq!(end_of(&opened), Some(How::DidNotRun("its `once_per` value was already used".into())));
}

pub(super) async fn a_replay_of_the_caller_goes_on_in_the_run_that_failed(database: &dyn Database) {
    let store = database.open().await;
    let (caller, middle) = both(&store, run("b")).await;
    record(&store, calling(&middle, run("c"))).await;
    let inner = lease_due(&store, 50).await.remove(0);
    assert_eq!(&*inner.rule, "c");
    let inner = record(&store, stepped(&inner)).await;
    for replay in 1..3 {
        let (mut inner_now, mut middle_now) = (inner.clone(), middle.clone());
        if replay > 1 {
            let leased = lease(&store).await;
            inner_now = leased.iter().find(|run| &*run.rule == "c").unwrap().clone();
            for waiting in leased.iter().filter(|run| &*run.rule != "c") {
                record(&store, Record { attempts: Vec::new().into(), goes_on: false, run: awaits(waiting).into(), ..done(waiting) }).await;
            }
        }
        assert_eq!(inner_now.place.step, 1, "it goes on where it was");
        record(&store, ending(failed(&inner_now), How::Failed("no".into()))).await;
        let opened = lease_due(&store, 50).await.remove(0);
        assert_eq!((&*opened.rule, end_of(&opened)), ("b", Some(How::Failed("no".into()))));
        middle_now.turn = opened.turn;
        let mut gives_up = opened.clone();
        gives_up.unsaved.extend(called::forget_end(&mut gives_up.saved, gives_up.place));
        record(&store, ending(failed(&gives_up), How::Failed("`c`: no".into()))).await;
        let opened = lease_due(&store, 50).await.remove(0);
        assert_eq!((opened.id, end_of(&opened)), (caller.id, Some(How::Failed("`c`: no".into()))));
        let mut gives_up = opened.clone();
        gives_up.unsaved.extend(called::forget_end(&mut gives_up.saved, gives_up.place));
        record(&store, failed(&gives_up)).await;
        let queries = database.queries().await;
        assert_eq!(ids(queries.failed(10).await.unwrap().iter().map(|page| &page.run)), [caller.id], "the others are not listed");
        assert_eq!(queries.counts(10).await.unwrap().failed, 1);
        assert_eq!((state(database, &middle).await, state(database, &inner).await), (State::FailedForCaller, State::FailedForCaller));
        assert_eq!(store.replay(caller.event, Some("c".into()), at(50)).await.unwrap(), 0, "not by itself");
        assert_eq!(store.replay(caller.event, None, at(50)).await.unwrap(), 1);
    }
    // All three go on, and none of them sees the old end.
    let mut leased = lease(&store).await;
    leased.sort_by_key(|run| run.id);
    assert_eq!(
        leased.iter().map(|run| (&*run.rule, run.replays, end_of(run))).collect::<Vec<_>>(),
        [("a", 2, None), ("b", 2, None), ("c", 2, None)]
    );
}

pub(super) async fn cancelling_a_caller_cancels_the_runs_that_it_waits_for(database: &dyn Database) {
    let store = database.open().await;
    let (caller, called) = both(&store, run("b")).await;
    record(&store, postponed(&called, at(500))).await;
    let which = WaitingRuns { event: Some(caller.event), rule: Some("a".into()) };
    assert_eq!(store.cancel(which, at(60)).await.unwrap().runs, 2);
    assert_eq!((state(database, &caller).await, state(database, &called).await), (State::Cancelled, State::Cancelled));
    assert!(lease(&store).await.is_empty());
    // If only the called run is cancelled, its caller is told.
    let (caller, called) = both(&store, run("b")).await;
    record(&store, postponed(&called, at(500))).await;
    let which = WaitingRuns { event: Some(caller.event), rule: Some("b".into()) };
    assert_eq!(store.cancel(which, at(60)).await.unwrap().runs, 1);
    let opened = lease_due(&store, 60).await.remove(0);
    assert_eq!((opened.id, end_of(&opened)), (caller.id, Some(How::Failed("it was cancelled".into()))));
    // A caller that was replayed after that calls the rule anew.
    let mut gives_up = opened.clone();
    gives_up.unsaved.extend(called::forget_end(&mut gives_up.saved, gives_up.place));
    record(&store, failed(&gives_up)).await;
    store.replay(caller.event, None, at(60)).await.unwrap();
    let replayed = lease(&store).await.remove(0);
    assert_eq!((replayed.id, called::is_waiting(&replayed.saved)), (caller.id, false));
}

pub(super) async fn the_caller_of_a_quarantined_run_is_told(database: &dyn Database) {
    let store = database.open().await;
    let (caller, called) = both(&store, run("b")).await;
    for _ in 0..3 {
        store.crashed_with(vec![called.id], at(60)).await.unwrap();
    }
    assert_eq!(state(database, &called).await, State::FailedForCaller);
    assert!(store.failures().await.unwrap().is_empty(), "its caller will be reported");
    let opened = lease_due(&store, 60).await.remove(0);
    assert_eq!(opened.id, caller.id);
    assert!(matches!(end_of(&opened), Some(How::Failed(why)) if why.contains("quarantined")));
}

pub(super) async fn what_ended_while_its_caller_was_quarantined_is_found_by_a_replay(database: &dyn Database) {
    let store = database.open().await;
    let (caller, called) = both(&store, run("b")).await;
    for _ in 0..3 {
        store.crashed_with(vec![caller.id], at(60)).await.unwrap();
    }
    record(&store, ending(done(&called), returned(7.into()))).await;
    assert_eq!(store.replay(caller.event, None, at(61)).await.unwrap(), 1);
    let opened = lease(&store).await.remove(0);
    assert_eq!((opened.id, end_of(&opened)), (caller.id, Some(returned(7.into()))), "it is not called again");
}

pub(super) async fn a_caller_keeps_its_lane_while_it_waits(database: &dyn Database) {
    let store = database.open().await;
    let caller = begin(&store, 0, NewRun { lane: Some("l".into()), ..run("a") }).await;
    let next = super::samples::queue(&store, 1, NewRun { lane: Some("l".into()), ..run("a") }).await;
    record(&store, calling(&caller, NewRun { lane: Some("m".into()), ..run("b") })).await;
    let called = lease(&store).await;
    assert_eq!(called.iter().map(|run| &*run.rule).collect::<Vec<_>>(), ["b"]);
    record(&store, ending(done(&called[0]), How::Returned(None))).await;
    let opened = lease(&store).await.remove(0);
    assert_eq!(opened.id, caller.id);
    record(&store, Record { attempts: vec![attempt(&opened, "done", "so")].into(), ..done(&opened) }).await;
    assert_eq!(ids(&lease(&store).await), [next.id]);
}

pub(super) async fn called_runs_are_deleted_with_their_event(database: &dyn Database) {
    let store = database.open().await;
    let (_, called) = both(&store, run("b")).await;
    let what = Pruning { before: at(900_000), failed: false, is_dry_run: false };
    begin(&store, 950_000, run("a")).await;
    assert_eq!(store.prune(what, 0, 100).await.unwrap().events, 0, "they wait");
    record(&store, ending(done(&called), How::Returned(None))).await;
    let opened = lease(&store).await.remove(0);
    record(&store, done(&opened)).await;
    assert_eq!(store.prune(what, 0, 100).await.unwrap().events, 1);
    assert!(database.queries().await.dossier(called.event).await.is_err());
}

/// Callers and the runs that they wait for end at the same time, in every order: nothing is lost, and nothing deadlocks.
pub(super) async fn ends_and_releases_at_the_same_time_lose_nothing(database: &dyn Database) {
    let owners = database.owners().await;
    let (one, other) = (owners[0].clone(), owners.last().unwrap().clone());
    for _ in 0..40 {
        let caller = begin(&one, 0, run("a")).await;
        let waits = Record { run: awaits(&caller).into(), goes_on: true, ..stepped(&caller) };
        let caller = record(&one, with(waits, call(&caller, run("b"), true))).await;
        let called = lease_due(&other, 50).await.remove(0);
        let release = Record { attempts: Vec::new().into(), goes_on: false, run: caller.clone().into(), ..done(&caller) };
        let (one, other) = (one.clone(), other.clone());
        let ends = tokio::spawn({
            let other = other.clone();
            async move { record(&other, ending(done(&called), returned(1.into()))).await }
        });
        let released = tokio::spawn({
            let one = one.clone();
            async move { record(&one, release).await }
        });
        ends.await.unwrap();
        released.await.unwrap();
        let opened = lease_due(&other, 50).await.remove(0);
        assert_eq!((opened.id, end_of(&opened)), (caller.id, Some(returned(1.into()))));
        record(&other, done(&opened)).await;
    }
}
