//! Rules that start by themselves: each moment is claimed once.

use std::sync::Arc;

use super::database::Database;
use super::samples::{accept, again, at, event, queue, run, taken};
use crate::store::contract::{Accept, Accepted, Moment, ScheduleProgress, Store, WaitingRuns};

fn progress(rule: &str, timing: &str, since: i64) -> ScheduleProgress {
    ScheduleProgress { rule: rule.to_owned(), timing: timing.to_owned(), since: at(since), last: None }
}

fn moment(seconds: i64, rule: &str, planned: i64) -> Accept {
    Accept { moment: Some(Moment { rule: rule.into(), planned: at(planned) }), ..taken(event(seconds), vec![run(rule)]) }
}

async fn is_claimed(store: &Arc<dyn Store>, accept: Accept) -> bool {
    matches!(store.accept(accept).await.unwrap(), Accepted::Claimed)
}

pub(super) async fn a_moment_of_a_rule_is_claimed_once(database: &dyn Database) {
    let owners = database.owners().await;
    let (one, other) = (&owners[0], owners.last().unwrap());
    let strange = "né'\"\\ \u{202e}\0".to_owned() + &"x".repeat(9_000);
    for (n, rule) in ["a", &strange].into_iter().enumerate() {
        one.set_schedules(vec![progress(rule, "hourly", 100)], Vec::new()).await.unwrap();
        assert!(is_claimed(other, moment(1, rule, 100)).await, "what is settled does not count");
        let first = moment(2, rule, 160);
        let repeated = again(&first);
        assert_eq!(accept(one, first).await.len(), 1);
        assert_eq!(accept(one, repeated).await.len(), 1, "the same accept, whose result was unknown");
        assert!(is_claimed(other, moment(3, rule, 160)).await);
        assert!(is_claimed(one, moment(4, rule, 130)).await, "an earlier one");
        accept(other, moment(5, rule, 220)).await;
        let all = one.schedules().await.unwrap();
        let known = all.iter().find(|known| known.rule == rule).unwrap();
        assert_eq!((known.since, known.last), (at(220), Some(at(220))));
        one.set_schedules(Vec::new(), vec![rule.to_owned()]).await.unwrap();
        assert!(is_claimed(one, moment(6, rule, 300)).await, "the rule no longer starts by itself");
        let queries = database.queries().await;
        assert_eq!(queries.counts(100).await.unwrap().events, 2 * (n as u64 + 1), "what is not claimed is not stored");
        assert!(queries.schedules().await.unwrap().is_empty());
    }
}

pub(super) async fn a_rule_with_another_schedule_goes_on_from_there(database: &dyn Database) {
    let store = database.open().await;
    store.set_schedules(vec![progress("a", "hourly", 100)], Vec::new()).await.unwrap();
    accept(&store, moment(1, "a", 500)).await;
    // The clock was ahead, and is right again.
    store.set_schedules(vec![progress("a", "daily", 200)], Vec::new()).await.unwrap();
    let known = store.schedules().await.unwrap();
    assert_eq!(known, [ScheduleProgress { last: Some(at(500)), ..progress("a", "daily", 200) }]);
    assert!(is_claimed(&store, moment(2, "a", 500)).await, "what was started last is never started again");
    accept(&store, moment(3, "a", 300)).await;
}

pub(super) async fn of_the_runs_of_a_moment_only_those_in_a_queue_are_cancelled(database: &dyn Database) {
    let store = database.open().await;
    let lane = |rule: &str| crate::store::contract::NewRun { lane: Some("lane".into()), ..run(rule) };
    let first = accept(&store, taken(event(1), vec![lane("a")])).await.remove(0).0;
    let second = queue(&store, 2, lane("a")).await;
    let only_queued = |event| WaitingRuns { event: Some(event), rule: Some("a".to_owned()), queued: true };
    assert_eq!(store.cancel(only_queued(first.event), at(3)).await.unwrap().runs, 0);
    assert_eq!(store.cancel(only_queued(second.event), at(3)).await.unwrap().runs, 1);
}
