//! Recording an attempt, if the run still belongs to its owner.

use std::sync::Arc;

use serde_json::json;

use super::database::Database;
use super::samples::{
    accept, at, attempt, begin, done, event, expect_lease_lost, failed, ids, lease, left, postponed, record, run, runs_and_attempts,
    stepped,
};
use crate::model::answer::SealedAnswer;
use crate::model::place::Place;
use crate::model::run::{Run, State};
use crate::model::saved::SavedAt;
use crate::secret::SealedText;
use crate::store::contract::{AnswerState, Heavy, Record, Store};

pub(super) async fn attempts_are_in_the_history_in_their_order(database: &dyn Database) {
    let store = database.open().await;
    let mut one = begin(&store, 0, run("a")).await;
    for _ in 0..12 {
        one = record(&store, stepped(&one)).await;
    }
    record(&store, postponed(&one, at(60))).await;
    let one = lease(&store).await.remove(0);
    // Several may be recorded together.
    let both = vec![attempt(&one, "skipped", "so"), attempt(&one, "done", "so")];
    record(&store, Record { attempts: both.into(), ..done(&one) }).await;
    let mut told: Vec<String> = (0..12).map(|step| format!("{step} done")).collect();
    told.extend(["12 retry".into(), "12 skipped".into(), "12 done".into()]);
    assert_eq!(runs_and_attempts(database, one.event).await, [(State::Done, told)]);
}

pub(super) async fn a_run_continues_where_it_was_recorded(database: &dyn Database) {
    let first = database.open().await;
    let one = begin(&first, 0, run("a")).await;
    let sample = Run {
        place: Place { step: u32::MAX - 1, element: 4_000_000_000 },
        tried: 3,
        due: at(7),
        forgiven: true,
        failed_at: Some(Place { step: 1, element: 2 }),
        ..one
    };
    let sample = record(&first, stepped(&sample)).await;
    let successor = database.successor(&first).await;
    let leased = lease(&successor).await.remove(0);
    assert_eq!(leased, Run { turn: sample.turn + 1, ..sample });
    // And back to a state without a failure.
    let repaired = record(&successor, Record { run: Run { failed_at: None, ..leased.clone() }.into(), ..postponed(&leased, at(8)) }).await;
    assert_eq!(lease(&successor).await, [Run { turn: repaired.turn + 1, ..repaired }]);
}

pub(super) async fn whoever_watches_is_told_of_every_change(database: &dyn Database) {
    let store = database.open().await;
    let mut watching = store.news().watch();
    let told = async |watching: &mut tokio::sync::watch::Receiver<()>| watching.changed().await.unwrap();
    let one = begin(&store, 0, run("a")).await;
    told(&mut watching).await;
    record(&store, done(&one)).await;
    told(&mut watching).await;
}

pub(super) async fn a_run_that_pauses_is_free_when_it_is_due(database: &dyn Database) {
    let owners = database.owners().await;
    let one = begin(&owners[0], 0, run("a")).await;
    record(&owners[0], postponed(&one, at(60))).await;
    let last = owners.last().unwrap();
    assert!(last.lease(at(59), 10, Heavy::ANY).await.unwrap().is_empty());
    let (leased, _) = last.lease(at(60), 10, Heavy::ANY).await.unwrap().remove(0);
    assert_eq!((leased.id, leased.tried, leased.turn), (one.id, 1, 2));
    assert!(owners[0].lease(at(60), 10, Heavy::ANY).await.unwrap().is_empty());
}

/// Everything that a record must not change if it is rejected or repeated.
async fn everything(database: &dyn Database, store: &Arc<dyn Store>, run: &Run) -> (Vec<(State, Vec<String>)>, AnswerState) {
    (runs_and_attempts(database, run.event).await, store.answer(run.event).await.unwrap())
}

/// A record with everything it can contain.
fn with_all(record: Record) -> Record {
    let mut run = (*record.run).clone();
    run.saved.insert("list".into(), json!(["a", "b"]));
    run.unsaved = (0..2).map(|n| SavedAt { name: "list".into(), element: Some(n) }).collect();
    let answer = SealedAnswer { status: 200, headers: Vec::new(), body: SealedText::clear("late") };
    Record { run: run.into(), answer: Some(answer), ..record }
}

pub(super) async fn a_repeated_record_changes_nothing(database: &dyn Database) {
    let store = database.open().await;
    let one = begin(&store, 0, run("a")).await;
    let step = with_all(stepped(&one));
    let next = record(&store, step.clone()).await;
    let before = everything(database, &store, &one).await;
    for _ in 0..2 {
        record(&store, step.clone()).await;
        assert_eq!(everything(database, &store, &one).await, before);
    }
    assert_eq!(before.0, [(State::Waiting, vec!["0 done".to_owned()])]);
    // It still belongs to its owner, with the turn number that the first one gave.
    let second = record(&store, stepped(&next)).await;
    // By now the first one is too late.
    expect_lease_lost(&store, step).await;
    // Repeating that the run has ended, or waits, reports that the run is no longer held.
    let end = with_all(failed(&second));
    record(&store, end.clone()).await;
    let before = everything(database, &store, &one).await;
    expect_lease_lost(&store, end).await;
    assert_eq!(everything(database, &store, &one).await, before);
    assert_eq!(before.0, [(State::Failed, vec!["0 done".to_owned(), "1 done".to_owned(), "2 failed".to_owned()])]);
    assert_eq!(store.replay(one.event, None, at(1)).await.unwrap(), 1);
    assert_eq!(lease(&store).await[0].saved["list"], json!(["a", "b"]));
}

/// Asserts that every kind of record for this run is rejected and changes nothing.
async fn rejects_all(database: &dyn Database, store: &Arc<dyn Store>, asks: &Arc<dyn Store>, run: &Run) {
    let before = everything(database, asks, run).await;
    for late in [done(run), failed(run), stepped(run), postponed(run, at(9_999))] {
        expect_lease_lost(store, with_all(late)).await;
        assert_eq!(everything(database, asks, run).await, before);
    }
}

pub(super) async fn a_record_by_an_owner_without_the_run_is_rejected_and_changes_nothing(database: &dyn Database) {
    let owners = database.owners().await;
    let waiting = accept(&owners[0], left(event(0), vec![run("a")])).await.remove(0).0;
    rejects_all(database, &owners[0], &owners[0], &waiting).await;
    if let [first, other] = &owners[..] {
        let one = begin(first, 0, run("b")).await;
        rejects_all(database, other, first, &one).await;
        record(first, done(&one)).await;
    }
    // A released run no longer belongs to the owner that released it.
    let leased = lease(&owners[0]).await.remove(0);
    let given_back = record(&owners[0], postponed(&leased, at(60))).await;
    rejects_all(database, &owners[0], &owners[0], &given_back).await;
    assert_eq!(lease(&owners[0]).await, [Run { turn: given_back.turn + 1, ..given_back }]);
}

pub(super) async fn a_record_with_an_earlier_turn_is_rejected_and_changes_nothing(database: &dyn Database) {
    let store = database.open().await;
    let one = begin(&store, 0, run("a")).await;
    let next = record(&store, stepped(&one)).await;
    for late in [done(&one), failed(&one), postponed(&one, at(9_999))] {
        expect_lease_lost(&store, with_all(late)).await;
    }
    let given_back = record(&store, postponed(&next, at(60))).await;
    let leased = lease(&store).await.remove(0);
    assert_eq!(leased.turn, given_back.turn + 1);
    // It belongs to the same owner again, but not to the task that held it before.
    for turn in 0..leased.turn {
        rejects_all(database, &store, &store, &Run { turn, ..leased.clone() }).await;
    }
    record(&store, done(&leased)).await;
}

/// A replayed run must not get a turn number that it had before it failed.
pub(super) async fn a_record_from_before_a_replay_is_rejected_and_changes_nothing(database: &dyn Database) {
    let store = database.open().await;
    let mut late = Vec::new();
    let mut one = begin(&store, 0, run("a")).await;
    for _ in 0..3 {
        late.push(one.clone());
        one = record(&store, stepped(&one)).await;
        late.push(one.clone());
        record(&store, failed(&one)).await;
        assert_eq!(store.replay(one.event, None, at(1)).await.unwrap(), 1);
        one = lease(&store).await.remove(0);
        for late in &late {
            rejects_all(database, &store, &store, late).await;
        }
    }
    record(&store, done(&one)).await;
}

pub(super) async fn a_record_of_a_run_that_has_ended_is_rejected_and_changes_nothing(database: &dyn Database) {
    let store = database.open().await;
    for end in [done, failed] {
        let one = begin(&store, 0, run("a")).await;
        let ended = record(&store, end(&one)).await;
        rejects_all(database, &store, &store, &one).await;
        rejects_all(database, &store, &store, &ended).await;
    }
    assert!(lease(&store).await.is_empty());
}

pub(super) async fn a_record_by_a_dead_owner_is_rejected_and_changes_nothing(database: &dyn Database) {
    let first = database.open().await;
    let one = begin(&first, 0, run("a")).await;
    let successor = database.successor(&first).await;
    let leased = lease(&successor).await;
    assert_eq!(ids(&leased), [one.id]);
    rejects_all(database, &first, &successor, &one).await;
    // Not even the run's current turn number makes it the dead owner's.
    rejects_all(database, &first, &successor, &leased[0]).await;
    record(&successor, done(&leased[0])).await;
    rejects_all(database, &first, &successor, &one).await;
}
