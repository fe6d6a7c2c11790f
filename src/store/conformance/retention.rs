//! Deleting finished events.

use super::database::Database;
use super::samples::{DAY, accept, at, begin, delivered, done, dossier, event, failed, once, postponed, record, run, taken};
use crate::model::answer::SealedAnswer;
use crate::model::run::Run;
use crate::secret::SealedText;
use crate::store::contract::{Accepted, AnswerState, Pruned, Pruning, Record};

fn before(seconds: i64) -> Pruning {
    Pruning { before: at(seconds), failed: false, is_dry_run: false }
}

pub(super) async fn an_event_is_deleted_with_everything_that_belongs_to_it(database: &dyn Database) {
    let store = database.open().await;
    let (one, kept) = (begin(&store, 0, run("a")).await, begin(&store, 1, run("a")).await);
    let answer = SealedAnswer { status: 200, headers: Vec::new(), body: SealedText::clear("ok") };
    for run in [&one, &kept] {
        record(&store, Record { answer: Some(answer.clone()), ..done(run) }).await;
    }
    let counted = store.prune(Pruning { is_dry_run: true, ..before(1) }, 0, 10).await.unwrap();
    assert_eq!((counted.events, counted.is_all), (1, true));
    assert!(database.queries().await.dossier(one.event).await.is_ok(), "it was only counted");
    let pruned = store.prune(before(1), 0, 10).await.unwrap();
    assert_eq!((pruned.events, pruned.is_all), (1, true));
    assert!(database.queries().await.dossier(one.event).await.is_err());
    assert_eq!(store.answer(one.event).await.unwrap(), AnswerState::default());
    assert_eq!(store.replay(one.event, None, at(2)).await.unwrap(), 0);
    // The event received at exactly that moment stays, with everything known about it.
    assert_eq!(dossier(database, kept.event).await.runs[0].1.len(), 1);
    assert_eq!(store.answer(kept.event).await.unwrap(), AnswerState { answer: Some(answer), is_open: false });
    assert_eq!(database.queries().await.counts(usize::MAX).await.unwrap().events, 1);
    assert!(store.size().await.unwrap() > 0 && database.queries().await.size().await.unwrap() > 0);
}

pub(super) async fn events_with_waiting_or_failed_runs_are_not_deleted(database: &dyn Database) {
    let store = database.open().await;
    let in_hand = begin(&store, 0, run("a")).await;
    let waits = begin(&store, 0, run("a")).await;
    record(&store, postponed(&waits, at(500))).await;
    let failing = accept(&store, taken(event(0), vec![run("a"), run("b")])).await;
    record(&store, done(&failing[0].0)).await;
    record(&store, failed(&failing[1].0)).await;
    let cancelled = begin(&store, 0, once("v")).await;
    record(&store, done(&cancelled)).await;
    let repeated = accept(&store, taken(event(0), vec![once("v")])).await;
    accept(&store, taken(event(9), Vec::new())).await;
    assert_eq!(store.prune(before(5), 0, 10).await.unwrap().events, 2);
    for kept in [&in_hand, &waits, &failing[0].0] {
        dossier(database, kept.event).await;
    }
    assert!(database.queries().await.dossier(repeated[0].0.event).await.is_err());
    assert_eq!(store.prune(Pruning { failed: true, ..before(5) }, 0, 10).await.unwrap().events, 1);
    assert!(database.queries().await.dossier(failing[0].0.event).await.is_err());
    record(&store, done(&in_hand)).await;
    assert_eq!(store.prune(Pruning { failed: true, ..before(5) }, 0, 10).await.unwrap().events, 1);
}

pub(super) async fn deleting_continues_where_it_stopped(database: &dyn Database) {
    let store = database.open().await;
    let mut runs: Vec<Run> = Vec::new();
    for n in 0..10 {
        runs.push(begin(&store, n, run("a")).await);
    }
    accept(&store, taken(event(99), Vec::new())).await;
    for (n, run) in runs.iter().enumerate() {
        if n % 3 != 0 {
            record(&store, done(run)).await;
        }
    }
    let (mut after, mut events) = (0, 0);
    for asked in 0.. {
        let Pruned { events: some, after: next, is_all } = store.prune(before(50), after, 3).await.unwrap();
        assert!(some <= 3 && asked < 6);
        events += some;
        after = next;
        if is_all {
            break;
        }
    }
    assert_eq!(events, 6);
    assert_eq!(database.queries().await.counts(usize::MAX).await.unwrap().events, 5);
}

pub(super) async fn expired_deliveries_are_deleted(database: &dyn Database) {
    let store = database.open().await;
    let day = DAY.as_secs() as i64;
    accept(&store, delivered(taken(event(0), vec![run("a")]), &["old"])).await;
    accept(&store, delivered(taken(event(10), vec![run("a")]), &["young"])).await;
    assert!(!store.expire(at(day)).await.unwrap());
    // A clock that was set back shows what is still stored.
    accept(&store, delivered(taken(event(20), vec![run("a")]), &["old"])).await;
    let young = delivered(taken(event(20), vec![run("a")]), &["young"]);
    assert!(matches!(store.accept(young).await.unwrap(), Accepted::Again { .. }));
    // It is done in small batches, and reports when there may be more.
    for n in 0..30 {
        let keys: Vec<String> = (0..100).map(|key| format!("{n} {key}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        accept(&store, delivered(taken(event(30), Vec::new()), &keys)).await;
    }
    let mut times = 1;
    while store.expire(at(2 * day)).await.unwrap() {
        times += 1;
        assert!(times < 1_000);
    }
    accept(&store, delivered(taken(event(30), Vec::new()), &["29 99"])).await;
}
