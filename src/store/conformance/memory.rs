//! What rules remember: changed together with the step that does it, once.

use std::sync::Arc;

use super::database::Database;
use super::samples::{at, begin, done, expect_lease_lost, record, run, stepped};
use crate::model::remembered::MemoryChange;
use crate::model::run::Run;
use crate::store::contract::{Also, Record, Recorded, Store};

fn change(key: &str, before: Option<&str>, value: Option<&str>) -> MemoryChange {
    MemoryChange { key: key.into(), before: before.map(str::to_owned), value: value.map(str::to_owned), until: None, at: at(0) }
}

fn with(record: Record, memory: MemoryChange) -> Record {
    Record { also: Some(Arc::new(Also { memory: Some(memory), ..Also::default() })), ..record }
}

async fn recalled(store: &Arc<dyn Store>, key: &str) -> Option<String> {
    store.recall(key.to_owned(), at(100)).await.unwrap()
}

pub(super) async fn a_value_is_remembered_together_with_its_step_and_once(database: &dyn Database) {
    let owners = database.owners().await;
    let (one, other) = (&owners[0], owners.last().unwrap());
    let strange = "né'\"\\ \u{202e}\0".to_owned() + &"x".repeat(9_000);
    for key in ["a", &strange] {
        let begun = begin(one, 1, run("a")).await;
        assert_eq!(recalled(one, key).await, None);
        let first = with(stepped(&begun), change(key, None, Some("1")));
        let next = record(one, first.clone()).await;
        assert_eq!(one.record(first.clone()).await.unwrap(), Recorded::Recorded, "whose result was unknown");
        assert_eq!(recalled(other, key).await.as_deref(), Some("1"));
        let next = record(one, with(stepped(&next), change(key, Some("1"), Some("{\"n\":2.50}")))).await;
        assert_eq!(one.record(first).await.unwrap(), Recorded::LeaseLost, "an old one changes nothing");
        assert_eq!(recalled(other, key).await.as_deref(), Some("{\"n\":2.50}"), "letter for letter");
        record(one, with(done(&next), change(key, Some("{\"n\":2.50}"), None))).await;
        assert_eq!(recalled(one, key).await, None, "it was forgotten");
        assert_eq!(recalled(one, "b").await, None);
    }
}

pub(super) async fn nothing_is_recorded_if_somebody_else_changed_what_the_step_found(database: &dyn Database) {
    let owners = database.owners().await;
    let (one, other) = (&owners[0], owners.last().unwrap());
    let (first, second) = (begin(one, 1, run("a")).await, begin(other, 2, run("b")).await);
    record(one, with(stepped(&first), change("k", None, Some("1")))).await;
    for late in [change("k", None, Some("9")), change("k", Some("2"), Some("9")), change("k", Some("2"), None)] {
        assert_eq!(other.record(with(stepped(&second), late)).await.unwrap(), Recorded::Changed);
    }
    assert_eq!(recalled(one, "k").await.as_deref(), Some("1"));
    // The run is where it was, and tries again with what is there now.
    record(other, with(stepped(&second), change("k", Some("1"), Some("2")))).await;
    assert_eq!(recalled(one, "k").await.as_deref(), Some("2"));
}

pub(super) async fn a_record_that_is_rejected_remembers_nothing(database: &dyn Database) {
    let owners = database.owners().await;
    let one = &owners[0];
    let begun = begin(one, 1, run("a")).await;
    record(one, done(&begun)).await;
    expect_lease_lost(one, with(stepped(&begun), change("k", None, Some("1")))).await;
    expect_lease_lost(one, with(stepped(&begun), change("k", Some("7"), Some("1")))).await;
    assert_eq!(recalled(one, "k").await, None);
}

pub(super) async fn a_value_is_remembered_for_its_time_and_no_longer(database: &dyn Database) {
    let store = database.open().await;
    let kept = |key: &str, until| MemoryChange { until: Some(at(until)), ..change(key, None, Some("1")) };
    let begun = begin(&store, 1, run("a")).await;
    let next = record(&store, with(stepped(&begun), kept("short", 100))).await;
    let next = record(&store, with(stepped(&next), kept("long", 101))).await;
    assert_eq!((recalled(&store, "short").await, recalled(&store, "long").await.as_deref()), (None, Some("1")));
    store.expire(at(100)).await.unwrap();
    assert_eq!(recalled(&store, "long").await.as_deref(), Some("1"));
    // What is over counts as nothing.
    let again = MemoryChange { at: at(100), ..change("short", None, Some("2")) };
    record(&store, with(done(&next), again)).await;
    assert_eq!(recalled(&store, "short").await.as_deref(), Some("2"));
    store.expire(at(1_000)).await.unwrap();
    assert_eq!(recalled(&store, "short").await.as_deref(), Some("2"), "for ever now");
}

pub(super) async fn simultaneous_changes_of_a_key_lose_none(database: &dyn Database) {
    let owners = database.owners().await;
    let mut runs: Vec<(Arc<dyn Store>, Run)> = Vec::new();
    for n in 0..12 {
        let store = owners[n % owners.len()].clone();
        let begun = begin(&store, n as i64, run("a")).await;
        runs.push((store, begun));
    }
    let tasks: Vec<_> = runs
        .into_iter()
        .map(|(store, run)| {
            tokio::spawn(async move {
                loop {
                    let before = recalled(&store, "count").await;
                    let number: i64 = before.as_deref().map_or(0, |json| json.parse().unwrap());
                    let value = (number + 1).to_string();
                    let one = with(done(&run), change("count", before.as_deref(), Some(&value)));
                    match store.record(one).await.unwrap() {
                        Recorded::Recorded => break,
                        Recorded::Changed => {}
                        Recorded::LeaseLost | Recorded::Full => panic!("the run was lost"),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(recalled(&owners[0], "count").await.as_deref(), Some("12"));
}
