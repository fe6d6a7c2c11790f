//! Rules that start when something failed or stayed away: what an event stands for is claimed once.

use std::sync::Arc;

use super::database::Database;
use super::samples::{accept, again, at, begin, done, expect_lease_lost, failed, record, run, taken};
use crate::model::event::EventId;
use crate::model::run::Run;
use crate::store::contract::{Accept, Accepted, Also, Record, Store};
use crate::store::starts::{Claim, FailedRun, FailureReport, Failures, SilenceProgress};

fn reported(run: &Run, message: &str) -> Record {
    let told = FailedRun { rule: &run.rule, step: "post", message, status: None, tries: 1, event: run.event, address: "/a" };
    Record { also: Some(Arc::new(Also { failure: Some(FailureReport::of(&told)), ..Also::default() })), ..failed(run) }
}

fn claiming(seconds: i64, claim: Claim) -> Accept {
    Accept { claim: Some(claim), ..taken(super::samples::event(seconds), vec![run("told")]) }
}

async fn is_claimed(store: &Arc<dyn Store>, accept: Accept) -> bool {
    matches!(store.accept(accept).await.unwrap(), Accepted::Claimed)
}

/// The only kind of failures.
async fn only(store: &Arc<dyn Store>) -> Failures {
    let all = store.failures().await.unwrap();
    assert_eq!(all.len(), 1);
    all.into_iter().next().unwrap()
}

pub(super) async fn failures_are_counted_until_an_event_stands_for_them(database: &dyn Database) {
    let owners = database.owners().await;
    let (one, other) = (&owners[0], owners.last().unwrap());
    let strange = "né'\"\\ \u{202e}\0".to_owned() + &"x".repeat(9_000);
    assert!(one.failures().await.unwrap().is_empty());
    for n in 0..3 {
        let begun = begin(one, n, run(&strange)).await;
        let report = reported(&begun, "it answered 500");
        one.record(report.clone()).await.unwrap();
        expect_lease_lost(one, report).await;
    }
    record(one, done(&begin(one, 4, run(&strange)).await)).await;
    let known = only(other).await;
    assert_eq!((&known.rule, known.count, known.told), (&strange, 3, None), "a repeated record is not counted twice");
    let claim = |count, told: Option<i64>, now| Claim::Failures { key: known.key.clone(), count, told: told.map(at), now: at(now) };
    let first = claiming(10, claim(3, None, 10));
    let repeated = again(&first);
    assert_eq!(accept(one, first).await.len(), 1);
    assert_eq!(accept(one, repeated).await.len(), 1, "the same accept, whose result was unknown");
    assert!(is_claimed(other, claiming(11, claim(3, None, 11))).await);
    assert!(one.failures().await.unwrap().is_empty());
    one.record(reported(&begin(one, 12, run(&strange)).await, "it answered 502")).await.unwrap();
    let later = only(one).await;
    assert_eq!((later.count, later.told), (1, Some(at(10))));
    assert!(later.body.contains("it answered 502"), "the newest one is told");
    assert!(is_claimed(other, claiming(13, claim(2, Some(10), 13))).await, "more than there are");
    accept(other, claiming(14, claim(1, Some(10), 14))).await;
    one.expire(at(15)).await.unwrap();
    one.record(reported(&begin(one, 16, run(&strange)).await, "it answered 503")).await.unwrap();
    assert_eq!(only(one).await.told, Some(at(14)), "what was told lately is not forgotten");
    other.forget_failures(vec![known.key.clone()]).await.unwrap();
    assert!(one.failures().await.unwrap().is_empty());
}

pub(super) async fn a_record_that_is_rejected_reports_no_failure(database: &dyn Database) {
    let owners = database.owners().await;
    let begun = begin(&owners[0], 1, run("a")).await;
    let late = reported(&begun, "no");
    record(&owners[0], done(&begun)).await;
    expect_lease_lost(&owners[0], late).await;
    assert!(owners[0].failures().await.unwrap().is_empty());
}

pub(super) async fn a_quarantined_run_is_reported(database: &dyn Database) {
    let store = database.open().await;
    let begun = begin(&store, 1, run("a")).await;
    for n in 0..3 {
        store.crashed_with(vec![begun.id], at(n)).await.unwrap();
    }
    let known = only(&store).await;
    assert_eq!((&*known.rule, known.count), ("a", 1));
    let body: serde_json::Value = serde_json::from_str(&known.body).unwrap();
    assert_eq!(body["event"].as_str().and_then(|id| id.parse::<EventId>().ok()), Some(begun.event));
}

fn silence(timing: &str, last: Option<i64>) -> SilenceProgress {
    SilenceProgress { rule: "a".into(), timing: timing.into(), last: last.map(at), told: None }
}

pub(super) async fn a_silence_and_its_end_are_claimed_once(database: &dyn Database) {
    let owners = database.owners().await;
    let (one, other) = (&owners[0], owners.last().unwrap());
    let silent = |last: Option<i64>, now| Claim::Silence { rule: "a".into(), last: last.map(at), now: at(now) };
    let sound = |last| Claim::Sound { rule: "a".into(), last: at(last) };
    assert!(is_claimed(one, claiming(1, silent(None, 1))).await, "a rule that waits for nothing");
    one.set_silences(vec![silence("6 hours", None)], Vec::new()).await.unwrap();
    other.set_silences(vec![silence("6 hours", Some(100))], Vec::new()).await.unwrap();
    one.set_silences(vec![silence("6 hours", Some(90))], Vec::new()).await.unwrap();
    assert_eq!(one.silences().await.unwrap(), [silence("6 hours", Some(100))], "the latest counts");
    assert!(is_claimed(one, claiming(200, silent(Some(90), 200))).await, "another owner has heard something since");
    accept(one, claiming(201, silent(Some(100), 201))).await;
    assert!(is_claimed(other, claiming(202, silent(Some(100), 202))).await);
    one.set_silences(vec![silence("6 hours", Some(100))], Vec::new()).await.unwrap();
    assert_eq!(one.silences().await.unwrap()[0].told, Some(at(201)), "it still goes on");
    accept(other, claiming(300, sound(299))).await;
    assert!(is_claimed(one, claiming(301, sound(299))).await);
    assert_eq!(one.silences().await.unwrap(), [silence("6 hours", Some(299))]);
    accept(one, claiming(400, silent(Some(299), 400))).await;
    one.set_silences(vec![silence("6 hours", Some(500))], Vec::new()).await.unwrap();
    assert_eq!(database.queries().await.silences().await.unwrap(), [silence("6 hours", Some(500))], "something was heard");
    accept(one, claiming(600, silent(Some(500), 600))).await;
    one.set_silences(vec![silence("7 hours", None)], Vec::new()).await.unwrap();
    assert_eq!(one.silences().await.unwrap(), [silence("7 hours", Some(500))], "another silence");
    one.set_silences(Vec::new(), vec!["a".into()]).await.unwrap();
    assert!(one.silences().await.unwrap().is_empty());
}
