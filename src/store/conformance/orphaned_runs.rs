//! Runs that an owner has but that none of its tasks holds any more: after a panic, or after an accept with unknown outcome.

use std::sync::Arc;

use super::database::Database;
use super::samples::{
    accept, at, begin, done, event, expect_lease_lost, ids, in_lane, lease, left, postponed, record, run, stepped, taken,
};
use crate::model::event::EventId;
use crate::model::run::{Run, RunId};
use crate::store::contract::{Held, Store};

async fn held(store: &Arc<dyn Store>, run: RunId, turn: i64) -> Vec<Run> {
    store.held(Held::Run(run, turn)).await.unwrap().into_iter().map(|(run, _)| run).collect()
}

async fn held_of(store: &Arc<dyn Store>, event: EventId) -> Vec<Run> {
    let mut runs: Vec<Run> = store.held(Held::Event(event)).await.unwrap().into_iter().map(|(run, _)| run).collect();
    runs.sort_by_key(|run| run.id);
    runs
}

pub(super) async fn an_orphaned_run_is_returned_as_it_is(database: &dyn Database) {
    let store = database.open().await;
    let one = record(&store, stepped(&begin(&store, 0, run("a")).await)).await;
    let taken_up = held(&store, one.id, one.turn).await;
    assert_eq!(taken_up, [Run { turn: one.turn + 1, ..one.clone() }]);
    // A task still using the old turn number is too late.
    for late in [done(&one), stepped(&one), postponed(&one, at(60))] {
        expect_lease_lost(&store, late).await;
    }
    record(&store, done(&taken_up[0])).await;
    assert!(held(&store, one.id, taken_up[0].turn).await.is_empty(), "it has ended");
}

pub(super) async fn an_orphaned_run_is_found_even_if_the_result_of_one_record_is_unknown(database: &dyn Database) {
    let store = database.open().await;
    let one = begin(&store, 0, run("a")).await;
    let recorded = record(&store, stepped(&one)).await;
    assert_eq!(held(&store, one.id, one.turn).await, [Run { turn: recorded.turn + 1, ..recorded.clone() }]);
    // At most one record of its holder can have gone unnoticed.
    let two = begin(&store, 0, run("a")).await;
    record(&store, stepped(&record(&store, stepped(&two)).await)).await;
    assert!(held(&store, two.id, two.turn).await.is_empty());
}

pub(super) async fn a_run_that_was_released_and_leased_again_is_not_orphaned(database: &dyn Database) {
    let store = database.open().await;
    let one = begin(&store, 0, run("a")).await;
    // Its holder did not learn that it was released.
    record(&store, postponed(&one, at(60))).await;
    assert!(held(&store, one.id, one.turn).await.is_empty(), "nobody has it");
    let leased = lease(&store).await.remove(0);
    assert!(held(&store, one.id, one.turn).await.is_empty(), "another task of the same owner has it");
    record(&store, done(&leased)).await;
}

pub(super) async fn the_runs_of_an_accept_with_an_unknown_result_are_found(database: &dyn Database) {
    let store = database.open().await;
    begin(&store, 0, in_lane("l")).await;
    let runs = accept(&store, taken(event(1), vec![run("a"), run("b"), in_lane("l"), run("c")])).await;
    // One of them is held after all.
    record(&store, stepped(&runs[1].0)).await;
    let found = held_of(&store, runs[0].0.event).await;
    assert_eq!(found, [Run { turn: 1, ..runs[0].0.clone() }, Run { turn: 1, ..runs[3].0.clone() }]);
    assert!(held_of(&store, runs[0].0.event).await.is_empty(), "their tasks hold them now");
    let left = accept(&store, left(event(2), vec![run("a")])).await;
    assert!(held_of(&store, left[0].0.event).await.is_empty());
    assert!(held_of(&store, event(3).id).await.is_empty(), "it was not saved");
}

pub(super) async fn the_runs_of_another_owner_are_not_returned(database: &dyn Database) {
    let first = database.open().await;
    let one = begin(&first, 0, run("a")).await;
    if database.allows_several_owners() {
        let other = database.open().await;
        assert!(held(&other, one.id, one.turn).await.is_empty());
        assert!(held_of(&other, one.event).await.is_empty());
    }
    let successor = database.successor(&first).await;
    assert!(held(&successor, one.id, one.turn).await.is_empty(), "the runs of a dead owner are leased, not returned here");
    assert!(held_of(&successor, one.event).await.is_empty());
    assert_eq!(lease(&successor).await.len(), 1);
}

/// For an owner that has leased runs without learning which.
pub(super) async fn an_owner_can_list_all_its_runs(database: &dyn Database) {
    let first = database.open().await;
    assert!(first.owned().await.unwrap().is_empty());
    let begun = begin(&first, 0, run("a")).await;
    assert!(first.owned().await.unwrap().is_empty(), "accepted runs are found by their event");
    let stepped_run = record(&first, stepped(&begun)).await;
    accept(&first, left(event(0), vec![run("b"), run("c")])).await;
    let leased = lease(&first).await;
    record(&first, postponed(&leased[1], at(60))).await;
    let mut owned = first.owned().await.unwrap();
    owned.sort_unstable();
    assert_eq!(owned, [(stepped_run.id, stepped_run.turn), (leased[0].id, leased[0].turn)]);
    let successor = database.successor(&first).await;
    assert!(successor.owned().await.unwrap().is_empty());
    let mut taken = lease(&successor).await;
    taken.sort_by_key(|run| run.id);
    assert_eq!(ids(&taken).len(), 3);
    let mut owned = successor.owned().await.unwrap();
    owned.sort_unstable();
    assert_eq!(owned, taken.iter().map(|run| (run.id, run.turn)).collect::<Vec<_>>());
}
