//! Leasing: handing out runs that are due and have no owner.

use std::sync::Arc;

use super::place::Place;
use super::sample::{
    accept, are_different, at, begin, event, ids, in_lane, lease, left, much_later, postponed, queue, record, run, stepped,
};
use super::saved::save;
use crate::model::event::Event;
use crate::model::run::Run;
use crate::store::contract::{Heavy, Store};

pub(super) async fn runs_are_leased_in_the_order_in_which_they_are_due(place: &dyn Place) {
    let store = place.open().await;
    let mut runs = Vec::new();
    for seconds in [30, 10, 20, 40] {
        runs.push(accept(&store, left(event(seconds), vec![run("a")])).await.remove(0).0);
    }
    let lease = async |seconds: i64| ids(store.lease(at(seconds), 10, Heavy::ANY).await.unwrap().iter().map(|(run, _)| run));
    assert!(lease(9).await.is_empty(), "not before they are due");
    assert_eq!(lease(30).await, [runs[1].id, runs[2].id, runs[0].id]);
    assert!(lease(39).await.is_empty());
    assert_eq!(lease(40).await, [runs[3].id]);
}

pub(super) async fn no_more_are_leased_than_were_asked_for(place: &dyn Place) {
    let store = place.open().await;
    let runs = accept(&store, left(event(0), vec![run("a"); 5])).await;
    let runs = ids(runs.iter().map(|(run, _)| run));
    let mut leased = Vec::new();
    for most in [0, 2, 1, 10, 10] {
        let some = store.lease(much_later(), most, Heavy::ANY).await.unwrap();
        assert!(some.len() <= most);
        assert!(some.iter().all(|(run, event)| run.turn == 1 && run.event == event.event().id));
        leased.extend(some.into_iter().map(|(run, _)| run.id));
    }
    assert_eq!(leased, runs);
}

pub(super) async fn heavy_runs_are_leased_as_many_as_are_wanted_and_hold_up_no_others(place: &dyn Place) {
    let store = place.open().await;
    let of = |seconds, bytes: usize| Event { raw: vec![b' '; bytes].into(), ..event(seconds) };
    let heavy_first = [of(1, 101), of(2, 100), of(3, 5_000), of(4, 1)];
    let mut runs = Vec::new();
    for one in heavy_first {
        runs.push(accept(&store, left(one, vec![run("a")])).await.remove(0).0.id);
    }
    // Saved values have to be read as well.
    let saves = begin(&store, 5, run("a")).await;
    record(&store, postponed(&save(saves.clone(), "x", "y".repeat(200).into(), false), at(6))).await;
    let lease = async |most, above, heavy| {
        let leased = store.lease(much_later(), most, Heavy { above, most: heavy }).await.unwrap();
        ids(leased.iter().map(|(run, _)| run))
    };
    assert_eq!(lease(1, 100, 0).await, [runs[1]], "what is as large as the limit is not heavy");
    assert_eq!(lease(9, 100, 0).await, [runs[3]]);
    assert_eq!(lease(9, 100, 1).await, [runs[0]]);
    assert!(lease(9, 100, 0).await.is_empty() && store.next_due().await.unwrap().is_some(), "they stay due");
    assert_eq!(lease(9, 4_999, 0).await, [saves.id]);
    assert_eq!(lease(9, 100, 9).await, [runs[2]]);
}

pub(super) async fn what_an_owner_has_is_not_leased(place: &dyn Place) {
    let owners = place.owners().await;
    let first = begin(&owners[0], 0, run("a")).await;
    accept(&owners[0], left(event(0), vec![run("b")])).await;
    assert_eq!(lease(&owners[0]).await.len(), 1);
    record(&owners[0], stepped(&first)).await;
    for owner in &owners {
        assert!(lease(owner).await.is_empty());
    }
}

pub(super) async fn many_who_lease_at_a_time_never_get_the_same_run(place: &dyn Place) {
    let owners = place.owners().await;
    for n in 0..20 {
        accept(&owners[0], left(event(n), vec![run("a"); 10])).await;
    }
    let asked: Vec<_> = (0..16)
        .map(|n| {
            let store = owners[n % owners.len()].clone();
            tokio::spawn(async move {
                let mut mine = Vec::new();
                loop {
                    let some = store.lease(much_later(), 7, Heavy::ANY).await.unwrap();
                    if some.is_empty() {
                        return mine;
                    }
                    mine.extend(some.into_iter().map(|(run, _)| run.id));
                }
            })
        })
        .collect();
    let mut all = Vec::new();
    for one in asked {
        all.extend(one.await.unwrap());
    }
    // A lease may skip what another owner is just taking, but not permanently.
    all.extend(ids(&lease(&owners[0]).await));
    all.extend(ids(&lease(&owners[0]).await));
    assert!(are_different(all.iter()));
    assert_eq!(all.len(), 200);
}

async fn lease_at(store: &Arc<dyn Store>, seconds: i64) -> Vec<Run> {
    let mut runs: Vec<Run> = store.lease(at(seconds), 100, Heavy::ANY).await.unwrap().into_iter().map(|(run, _)| run).collect();
    runs.sort_by_key(|run| run.id);
    runs
}

pub(super) async fn what_a_dead_owner_had_is_free_whatever_the_clock_says(place: &dyn Place) {
    let first = place.open().await;
    let begun = record(&first, stepped(&begin(&first, 100, run("a")).await)).await;
    let postponed_run = begin(&first, 100, run("b")).await;
    record(&first, postponed(&postponed_run, at(500))).await;
    accept(&first, left(event(100), vec![run("c")])).await;
    let leased = lease_at(&first, 100).await.remove(0);
    let heir = place.heir(&first).await;
    // They were due when they were taken, so they are due now, even by a clock that is behind.
    assert!(heir.next_due().await.unwrap().is_some_and(|due| due <= at(0)));
    let free = lease_at(&heir, 0).await;
    assert_eq!(free, [Run { turn: begun.turn + 1, ..begun }, Run { turn: leased.turn + 1, ..leased }]);
    // Waiting runs keep waiting.
    assert_eq!(heir.next_due().await.unwrap(), Some(at(500)));
    assert!(lease_at(&heir, 499).await.is_empty());
    assert_eq!(ids(&lease_at(&heir, 500).await), [postponed_run.id]);
}

pub(super) async fn the_death_of_one_owner_frees_nothing_of_another_one(place: &dyn Place) {
    let owners = place.owners().await;
    let [dies, .., lives] = &owners[..] else { return };
    let (lost, kept) = (begin(dies, 0, run("a")).await, begin(lives, 0, run("b")).await);
    place.kill(dies).await;
    assert_eq!(ids(&lease(lives).await), [lost.id]);
    let late = place.open().await;
    assert!(lease(&late).await.is_empty());
    record(lives, stepped(&kept)).await;
}

pub(super) async fn the_next_due_is_that_of_runs_that_nobody_has(place: &dyn Place) {
    let store = place.open().await;
    assert_eq!(store.next_due().await.unwrap(), None);
    let first = begin(&store, 0, in_lane("l")).await;
    queue(&store, 1, in_lane("l")).await;
    assert_eq!(store.next_due().await.unwrap(), None, "one is in hand, the other one waits for it");
    accept(&store, left(event(70), vec![run("a")])).await;
    assert_eq!(store.next_due().await.unwrap(), Some(at(70)));
    record(&store, postponed(&first, at(60))).await;
    assert_eq!(store.next_due().await.unwrap(), Some(at(60)));
    lease_at(&store, 60).await;
    assert_eq!(store.next_due().await.unwrap(), Some(at(70)));
    lease_at(&store, 70).await;
    assert_eq!(store.next_due().await.unwrap(), None);
}
