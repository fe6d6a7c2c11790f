//! Runs that crash the program.

use super::database::Database;
use super::samples::{at, begin, done, ids, in_lane, lease, once, queue, record, runs_and_attempts, state};
use crate::model::run::State;

pub(super) async fn a_run_that_crashed_the_program_three_times_is_quarantined(database: &dyn Database) {
    let first = database.open().await;
    let innocent = begin(&first, 0, once("other")).await;
    let one = begin(&first, 0, in_lane("l")).await;
    let next = queue(&first, 0, in_lane("l")).await;
    let mut successor = first;
    for times in 1..=3 {
        successor = database.successor(&successor).await;
        let quarantined = successor.crashed_with(vec![one.id, i64::MAX], at(times)).await.unwrap();
        if times < 3 {
            assert!(quarantined.is_empty());
            assert_eq!(ids(&lease(&successor).await).len(), 2, "it is tried again");
        } else {
            assert_eq!(quarantined, [(one.event, one.rule.to_string())]);
        }
    }
    assert_eq!(state(database, &one).await, State::Failed);
    let (_, told) = &runs_and_attempts(database, one.event).await[0];
    assert_eq!(told, &["0 failed"], "with the reason");
    let mut leased = ids(&lease(&successor).await);
    leased.sort_unstable();
    assert_eq!(leased, [innocent.id, next.id], "it delays no other run");
}

pub(super) async fn after_a_replay_the_crashes_of_a_quarantined_run_are_counted_again(database: &dyn Database) {
    let store = database.open().await;
    let one = begin(&store, 0, once("v")).await;
    for _ in 0..3 {
        store.crashed_with(vec![one.id], at(1)).await.unwrap();
    }
    let second = begin(&store, 2, once("v")).await;
    record(&store, done(&second)).await;
    assert_eq!(store.replay(one.event, None, at(3)).await.unwrap(), 1);
    assert!(store.crashed_with(vec![one.id, one.id], at(4)).await.unwrap().is_empty());
    assert_eq!(ids(&lease(&store).await), [one.id]);
}
