//! `once_per`: values that are claimed in the transaction that stores the event.

use std::sync::Arc;

use super::database::Database;
use super::samples::{DAY, accept, begin, done, dossier, event, failed, lease, left, much_later, once, record, state, taken};
use crate::model::run::{Once, State};
use crate::store::contract::{NewRun, StartResult, Store, WaitingRuns};

async fn start_result(store: &Arc<dyn Store>, seconds: i64, new: NewRun) -> StartResult {
    accept(store, taken(event(seconds), vec![new])).await[0].1
}

pub(super) async fn a_value_is_used_once_for_each_rule(database: &dyn Database) {
    let store = database.open().await;
    let first = begin(&store, 0, once("v")).await;
    let second = accept(&store, taken(event(1), vec![once("v")])).await.remove(0);
    assert_eq!(second.1, StartResult::Repeated);
    let told = dossier(database, second.0.event).await;
    let (page, attempts) = &told.runs[0];
    assert_eq!(page.run.state, State::Repeated);
    assert!(attempts[0].said.contains(&first.event.to_string()), "the message names the event that used the value: {}", attempts[0].said);
    assert!(lease(&store).await.is_empty(), "it never starts");
    assert_eq!(start_result(&store, 2, once("another")).await, StartResult::Begun);
    assert_eq!(start_result(&store, 2, NewRun { rule: "another".into(), ..once("v") }).await, StartResult::Begun);
    record(&store, done(&first)).await;
    assert_eq!(start_result(&store, 3, once("v")).await, StartResult::Repeated, "even when the run is done");
}

pub(super) async fn a_value_is_remembered_for_its_time_and_no_longer(database: &dyn Database) {
    let store = database.open().await;
    let brief = || NewRun { once: Some(Once { value: "v".into(), within: std::time::Duration::from_secs(10) }), ..once("") };
    assert_eq!(start_result(&store, 0, brief()).await, StartResult::Begun);
    assert_eq!(start_result(&store, 9, brief()).await, StartResult::Repeated);
    assert_eq!(start_result(&store, 10, brief()).await, StartResult::Begun);
    assert_eq!(start_result(&store, 19, brief()).await, StartResult::Repeated, "it is remembered again");
}

pub(super) async fn of_two_runs_of_an_event_with_the_same_value_only_one_starts(database: &dyn Database) {
    let store = database.open().await;
    let runs = accept(&store, taken(event(0), vec![once("v"), once("w"), once("v")])).await;
    assert_eq!(runs.iter().map(|(_, result)| *result).collect::<Vec<_>>(), [StartResult::Begun, StartResult::Begun, StartResult::Repeated]);
}

pub(super) async fn a_run_that_fails_or_is_cancelled_releases_its_value(database: &dyn Database) {
    let store = database.open().await;
    let first = begin(&store, 0, once("v")).await;
    record(&store, failed(&first)).await;
    let second = accept(&store, left(event(1), vec![once("v")])).await.remove(0).0;
    let cancelled = store.cancel(WaitingRuns { event: Some(second.event), rule: None }, much_later()).await.unwrap();
    assert_eq!(cancelled.runs, 1);
    let third = begin(&store, 2, once("v")).await;
    assert_eq!(start_result(&store, 3, once("v")).await, StartResult::Repeated);
    record(&store, done(&third)).await;
    assert_eq!(start_result(&store, DAY.as_secs() as i64, once("v")).await, StartResult::Repeated, "a run that is done keeps its value");
}

pub(super) async fn a_replayed_run_claims_its_value_again(database: &dyn Database) {
    let store = database.open().await;
    let first = begin(&store, 0, once("v")).await;
    record(&store, failed(&first)).await;
    assert_eq!(store.replay(first.event, None, much_later()).await.unwrap(), 1);
    assert_eq!(start_result(&store, 1, once("v")).await, StartResult::Repeated);
    let leased = lease(&store).await.remove(0);
    record(&store, failed(&leased)).await;
    assert_eq!(start_result(&store, 2, once("v")).await, StartResult::Begun, "it releases the value a second time");
}

pub(super) async fn a_run_releases_only_a_value_that_is_still_its_own(database: &dyn Database) {
    let store = database.open().await;
    let first = begin(&store, 0, once("v")).await;
    record(&store, failed(&first)).await;
    let second = begin(&store, 1, once("v")).await;
    // The first run has the value again, so the second has nothing to release.
    assert_eq!(store.replay(first.event, None, much_later()).await.unwrap(), 1);
    record(&store, failed(&second)).await;
    assert_eq!(start_result(&store, 2, once("v")).await, StartResult::Repeated);
    assert_eq!((state(database, &first).await, state(database, &second).await), (State::Waiting, State::Failed));
}

pub(super) async fn simultaneous_claims_of_a_value_succeed_once(database: &dyn Database) {
    let owners = database.owners().await;
    let asked: Vec<_> = (0..40)
        .map(|n| {
            let store = owners[n % owners.len()].clone();
            // In opposite orders, so that they would deadlock if claims were not sorted.
            let mut new: Vec<NewRun> = (0..5).map(|v| once(&format!("value {v}"))).collect();
            if n % 4 < 2 {
                new.reverse();
            }
            tokio::spawn(async move { accept(&store, left(event(0), new)).await })
        })
        .collect();
    let mut begun = 0;
    for one in asked {
        begun += one.await.unwrap().iter().filter(|(_, result)| *result != StartResult::Repeated).count();
    }
    assert_eq!(begun, 5);
    assert_eq!(lease(&owners[0]).await.len(), 5);
}
