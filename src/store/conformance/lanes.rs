//! Lanes: runs that are executed one at a time, in the order in which the store accepted them.

use std::sync::Arc;

use super::database::Database;
use super::samples::{
    accept, at, begin, done, event, expect_lease_lost, failed, ids, in_lane, lease, left, much_later, postponed, queue, record, run, state,
    taken,
};
use crate::model::event::EventId;
use crate::model::run::{Run, RunId, State};
use crate::store::contract::{Cancelled, Heavy, NewRun, Record, StartResult, Store, WaitingRuns};

/// Ends a run, and returns the runs that can then be leased.
async fn end(store: &Arc<dyn Store>, ended: Record) -> Vec<Run> {
    record(store, ended).await;
    lease(store).await
}

async fn cancel(store: &Arc<dyn Store>, run: &Run) {
    let cancelled = store.cancel(WaitingRuns { event: Some(run.event), rule: None }, much_later()).await.unwrap();
    assert_eq!(cancelled, Cancelled { runs: 1, busy: 0 });
}

pub(super) async fn runs_of_one_lane_start_one_at_a_time(database: &dyn Database) {
    let store = database.open().await;
    // Runs of one event are in the order in which it starts them.
    let runs = accept(&store, taken(event(0), vec![in_lane("l"), in_lane("l")])).await;
    assert_eq!((runs[0].1, runs[1].1), (StartResult::Begun, StartResult::Queued));
    let later = accept(&store, left(event(1), vec![in_lane("l"), in_lane("l")])).await;
    assert!(lease(&store).await.is_empty(), "while one is running, all others wait");
    let [second] = &end(&store, done(&runs[0].0)).await[..] else { panic!() };
    assert_eq!(second.id, runs[1].0.id);
    assert!(lease(&store).await.is_empty());
    let [third] = &end(&store, failed(second)).await[..] else { panic!("one that has failed holds up nobody") };
    assert_eq!(third.id, later[0].0.id);
    let [fourth] = &end(&store, done(third)).await[..] else { panic!() };
    assert_eq!(fourth.id, later[1].0.id);
    assert!(end(&store, done(fourth)).await.is_empty());
    begin(&store, 2, in_lane("l")).await;
}

pub(super) async fn a_lane_keeps_the_order_of_acceptance_whatever_ids_and_clocks_say(database: &dyn Database) {
    let owners = database.owners().await;
    let mut head = begin(&owners[0], 500, in_lane("l")).await;
    let mut accepted = Vec::new();
    // Each is earlier than the one before, by its own clock and by its id, and arrives at another owner.
    for n in 0..10 {
        accepted.push(queue(&owners[n % owners.len()], 400 - 10 * n as i64, in_lane("l")).await);
    }
    assert!(accepted.windows(2).all(|two| two[0].event > two[1].event && two[0].due > two[1].due));
    for expected in accepted {
        record(&owners[0], done(&head)).await;
        let mut leased = lease(&owners[0]).await;
        assert_eq!(ids(&leased), [expected.id]);
        head = leased.remove(0);
    }
}

pub(super) async fn a_run_that_waits_for_another_try_keeps_its_lane(database: &dyn Database) {
    let store = database.open().await;
    let first = begin(&store, 0, in_lane("l")).await;
    let second = queue(&store, 1, in_lane("l")).await;
    record(&store, postponed(&first, at(100))).await;
    assert!(store.lease(at(99), 10, Heavy::ANY).await.unwrap().is_empty());
    assert_eq!(store.next_due().await.unwrap(), Some(at(100)));
    let [again] = &lease(&store).await[..] else { panic!() };
    assert_eq!(again.id, first.id);
    assert_eq!(ids(&end(&store, done(again)).await), [second.id]);
}

pub(super) async fn lanes_do_not_wait_for_each_other(database: &dyn Database) {
    let store = database.open().await;
    begin(&store, 0, in_lane("a")).await;
    begin(&store, 0, in_lane("b")).await;
    begin(&store, 0, run("in no lane")).await;
    queue(&store, 0, in_lane("a")).await;
    begin(&store, 0, run("in no lane")).await;
}

pub(super) async fn cancelling_the_first_run_of_a_lane_lets_the_next_one_start(database: &dyn Database) {
    let store = database.open().await;
    let head = accept(&store, left(event(0), vec![in_lane("l")])).await.remove(0).0;
    let (second, third) = (queue(&store, 1, in_lane("l")).await, queue(&store, 2, in_lane("l")).await);
    cancel(&store, &head).await;
    let [leased] = &lease(&store).await[..] else { panic!() };
    assert_eq!(leased.id, second.id);
    assert_eq!(ids(&end(&store, done(leased)).await), [third.id]);
}

pub(super) async fn cancelling_a_later_run_of_a_lane_starts_no_other(database: &dyn Database) {
    let store = database.open().await;
    let head = begin(&store, 0, in_lane("l")).await;
    let (second, third) = (queue(&store, 1, in_lane("l")).await, queue(&store, 2, in_lane("l")).await);
    cancel(&store, &second).await;
    assert!(lease(&store).await.is_empty());
    assert_eq!(ids(&end(&store, done(&head)).await), [third.id]);
}

/// The lower number of a replayed run must not let it start while another one is running.
pub(super) async fn a_replayed_run_never_runs_together_with_another_one_of_its_lane(database: &dyn Database) {
    let store = database.open().await;
    let replayed = begin(&store, 0, in_lane("l")).await;
    let (working, third, fourth) =
        (queue(&store, 1, in_lane("l")).await, queue(&store, 2, in_lane("l")).await, queue(&store, 3, in_lane("l")).await);
    let [leased] = &end(&store, failed(&replayed)).await[..] else { panic!() };
    assert_eq!(leased.id, working.id);
    assert_eq!(store.replay(replayed.event, None, at(4)).await.unwrap(), 1);
    assert!(lease(&store).await.is_empty(), "another run of the lane is in progress");
    cancel(&store, &third).await;
    assert!(lease(&store).await.is_empty(), "cancelling a third run does not change that");
    // Which of the two is next is up to the store, but only one at a time.
    let mut seen = Vec::new();
    let mut next = end(&store, done(leased)).await;
    while let [one] = &next[..] {
        seen.push(one.id);
        next = end(&store, done(one)).await;
    }
    assert!(next.is_empty());
    seen.sort_unstable();
    assert_eq!(seen, [replayed.id, fourth.id]);
    // In an empty lane it starts immediately.
    let failing = begin(&store, 5, in_lane("l")).await;
    record(&store, failed(&failing)).await;
    assert_eq!(store.replay(failing.event, None, at(6)).await.unwrap(), 1);
    assert_eq!(ids(&lease(&store).await), [failing.id]);
}

pub(super) async fn a_rule_that_is_started_again_waits_in_its_lane(database: &dyn Database) {
    let store = database.open().await;
    let working = begin(&store, 0, in_lane("l")).await;
    let kept = accept(&store, taken(event(1), Vec::new())).await;
    assert!(kept.is_empty());
    assert_eq!(store.start_anew(working.event, vec![in_lane("l"), in_lane("l")], Vec::new(), at(2)).await.unwrap(), 2);
    assert!(lease(&store).await.is_empty());
    let [second] = &end(&store, done(&working)).await[..] else { panic!() };
    assert!(second.id != working.id);
    assert_eq!(end(&store, done(second)).await.len(), 1);
}

pub(super) async fn the_successor_of_a_dead_owner_gets_only_the_first_run_of_a_lane(database: &dyn Database) {
    let first = database.open().await;
    let head = begin(&first, 0, in_lane("l")).await;
    let second = queue(&first, 1, in_lane("l")).await;
    let successor = database.successor(&first).await;
    let [leased] = &lease(&successor).await[..] else { panic!() };
    assert_eq!(leased.id, head.id);
    expect_lease_lost(&first, done(&head)).await;
    assert!(lease(&successor).await.is_empty(), "a record by a dead owner opens no lane");
    assert_eq!(ids(&end(&successor, done(leased)).await), [second.id]);
    assert_eq!((state(database, &head).await, state(database, &second).await), (State::Done, State::Waiting));
}

pub(super) async fn events_with_lanes_in_opposite_orders_never_deadlock(database: &dyn Database) {
    let owners = database.owners().await;
    let lanes = ["a", "b", "c", "d"];
    let asked: Vec<_> = (0..80)
        .map(|n: usize| {
            let store = owners[n % owners.len()].clone();
            let mut new: Vec<NewRun> = lanes.iter().map(|lane| in_lane(lane)).collect();
            new.rotate_left(n / 2 % 4);
            if n % 4 < 2 {
                new.reverse();
            }
            tokio::spawn(async move { accept(&store, left(event(0), new)).await })
        })
        .collect();
    let mut all: Vec<Run> = Vec::new();
    for one in asked {
        all.extend(one.await.unwrap().into_iter().map(|(run, _)| run));
    }
    // Then all of it is executed, by any owner, and each lane has one run at a time, in its order.
    let mut order = vec![Vec::new(); lanes.len()];
    for round in 0.. {
        let leased = lease(&owners[round % owners.len()]).await;
        let mut busy: Vec<_> = leased.iter().map(|run| run.lane.clone()).collect();
        busy.sort();
        busy.dedup();
        assert_eq!(busy.len(), leased.len(), "two runs of one lane at a time");
        if leased.is_empty() {
            break;
        }
        for run in leased {
            order[lanes.iter().position(|l| run.lane.as_deref() == Some(l)).unwrap()].push((run.id, run.event));
            record(&owners[round % owners.len()], done(&run)).await;
        }
    }
    assert_eq!(order.iter().map(Vec::len).sum::<usize>(), all.len());
    // Events are one transaction each, so no two lanes see two of them in different orders.
    let events = |lane: &Vec<(RunId, EventId)>| lane.iter().map(|(_, event)| *event).collect::<Vec<_>>();
    assert!(order.iter().all(|lane| events(lane) == events(&order[0])));
}

/// It must not wait for a run that is just ending and does not see it.
pub(super) async fn a_run_that_arrives_while_the_last_one_ends_does_not_wait_for_it(database: &dyn Database) {
    let owners = database.owners().await;
    let (one, other) = (owners[0].clone(), owners.last().unwrap().clone());
    let mut last = begin(&one, 0, in_lane("l")).await;
    for round in 0..100 {
        let (ending, coming) = (one.clone(), other.clone());
        let ended = last.clone();
        let ending = tokio::spawn(async move { record(&ending, if round % 2 == 0 { done(&ended) } else { failed(&ended) }).await });
        let coming = tokio::spawn(async move { accept(&coming, left(event(0), vec![in_lane("l")])).await.remove(0).0 });
        ending.await.unwrap();
        let came = coming.await.unwrap();
        let mut leased = lease(&one).await;
        assert_eq!(ids(&leased), [came.id], "it does not wait for another run, in round {round}");
        last = leased.remove(0);
    }
}
