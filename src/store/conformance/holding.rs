//! Runs that an owner has but that none of its tasks holds any more: after a panic, or after an accept with unknown outcome.

use std::sync::Arc;

use super::place::Place;
use super::sample::{accept, at, begin, done, event, ids, in_lane, lease, left, postponed, record, refuse, run, stepped, taken};
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

pub(super) async fn a_run_that_was_lost_hold_of_is_given_as_it_is(place: &dyn Place) {
    let store = place.open().await;
    let one = record(&store, stepped(&begin(&store, 0, run("a")).await)).await;
    let taken_up = held(&store, one.id, one.turn).await;
    assert_eq!(taken_up, [Run { turn: one.turn + 1, ..one.clone() }]);
    // A task still using the old turn number is too late.
    for late in [done(&one), stepped(&one), postponed(&one, at(60))] {
        refuse(&store, late).await;
    }
    record(&store, done(&taken_up[0])).await;
    assert!(held(&store, one.id, taken_up[0].turn).await.is_empty(), "it has ended");
}

pub(super) async fn it_is_found_also_when_one_record_was_not_heard_of(place: &dyn Place) {
    let store = place.open().await;
    let one = begin(&store, 0, run("a")).await;
    let recorded = record(&store, stepped(&one)).await;
    assert_eq!(held(&store, one.id, one.turn).await, [Run { turn: recorded.turn + 1, ..recorded.clone() }]);
    // At most one record of its holder can have gone unnoticed.
    let two = begin(&store, 0, run("a")).await;
    record(&store, stepped(&record(&store, stepped(&two)).await)).await;
    assert!(held(&store, two.id, two.turn).await.is_empty());
}

pub(super) async fn it_is_not_found_when_it_was_given_back_and_leased_again(place: &dyn Place) {
    let store = place.open().await;
    let one = begin(&store, 0, run("a")).await;
    // Its holder did not learn that it was released.
    record(&store, postponed(&one, at(60))).await;
    assert!(held(&store, one.id, one.turn).await.is_empty(), "nobody has it");
    let leased = lease(&store).await.remove(0);
    assert!(held(&store, one.id, one.turn).await.is_empty(), "somebody else in the same owner has it");
    record(&store, done(&leased)).await;
}

pub(super) async fn an_event_whose_accept_was_not_heard_of_gives_what_it_began(place: &dyn Place) {
    let store = place.open().await;
    begin(&store, 0, in_lane("l")).await;
    let runs = accept(&store, taken(event(1), vec![run("a"), run("b"), in_lane("l"), run("c")])).await;
    // One of them is held after all.
    record(&store, stepped(&runs[1].0)).await;
    let found = held_of(&store, runs[0].0.event).await;
    assert_eq!(found, [Run { turn: 1, ..runs[0].0.clone() }, Run { turn: 1, ..runs[3].0.clone() }]);
    assert!(held_of(&store, runs[0].0.event).await.is_empty(), "they are held now");
    let left = accept(&store, left(event(2), vec![run("a")])).await;
    assert!(held_of(&store, left[0].0.event).await.is_empty());
    assert!(held_of(&store, event(3).id).await.is_empty(), "it was not kept");
}

pub(super) async fn what_another_owner_has_is_not_given(place: &dyn Place) {
    let first = place.open().await;
    let one = begin(&first, 0, run("a")).await;
    if place.allows_several_owners() {
        let other = place.open().await;
        assert!(held(&other, one.id, one.turn).await.is_empty());
        assert!(held_of(&other, one.event).await.is_empty());
    }
    let heir = place.heir(&first).await;
    assert!(held(&heir, one.id, one.turn).await.is_empty(), "what a dead owner had is leased, not held");
    assert!(held_of(&heir, one.event).await.is_empty());
    assert_eq!(lease(&heir).await.len(), 1);
}

/// For an owner that has leased runs but does not know which.
pub(super) async fn an_owner_is_told_all_that_it_has(place: &dyn Place) {
    let first = place.open().await;
    assert!(first.owned().await.unwrap().is_empty());
    let begun = begin(&first, 0, run("a")).await;
    assert!(first.owned().await.unwrap().is_empty(), "what it has accepted it is told by its event");
    let stepped_run = record(&first, stepped(&begun)).await;
    accept(&first, left(event(0), vec![run("b"), run("c")])).await;
    let leased = lease(&first).await;
    record(&first, postponed(&leased[1], at(60))).await;
    let mut owned = first.owned().await.unwrap();
    owned.sort_unstable();
    assert_eq!(owned, [(stepped_run.id, stepped_run.turn), (leased[0].id, leased[0].turn)]);
    let heir = place.heir(&first).await;
    assert!(heir.owned().await.unwrap().is_empty());
    let mut taken = lease(&heir).await;
    taken.sort_by_key(|run| run.id);
    assert_eq!(ids(&taken).len(), 3);
    let mut owned = heir.owned().await.unwrap();
    owned.sort_unstable();
    assert_eq!(owned, taken.iter().map(|run| (run.id, run.turn)).collect::<Vec<_>>());
}
