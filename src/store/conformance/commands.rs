//! What commands change: failed runs continue, rules are started again, waiting runs are cancelled.

use super::database::Database;
use super::samples::{
    accept, are_different, at, begin, done, dossier, event, expect_lease_lost, failed, ids, in_lane, lease, left, much_later, once,
    postponed, queue, record, run, runs_and_attempts, state, stepped, taken,
};
use crate::model::run::{Run, State};
use crate::store::contract::{Cancelled, Heavy, NewRun, StartResult, WaitingRuns};

fn of_rule(rule: &str) -> WaitingRuns {
    WaitingRuns { event: None, rule: Some(rule.to_owned()) }
}

pub(super) async fn failed_runs_continue_at_the_step_that_failed(database: &dyn Database) {
    let store = database.open().await;
    let one = record(&store, stepped(&begin(&store, 0, run("a")).await)).await;
    let one = Run { forgiven: true, tried: 4, ..one };
    record(&store, failed(&one)).await;
    for replays in 1..=2 {
        assert_eq!(store.replay(one.event, None, at(60)).await.unwrap(), 1);
        assert!(store.lease(at(59), 9, Heavy::ANY).await.unwrap().is_empty());
        let leased = lease(&store).await;
        assert_eq!(leased, [Run { replays, tried: 0, due: at(60), turn: leased[0].turn, ..one.clone() }]);
        record(&store, failed(&leased[0])).await;
    }
    let told = ["0 done", "1 failed", "1 failed", "1 failed"].map(str::to_owned).to_vec();
    assert_eq!(runs_and_attempts(database, one.event).await, [(State::Failed, told)], "its history continues as well");
}

pub(super) async fn only_the_failed_runs_of_the_named_rule_are_replayed(database: &dyn Database) {
    let store = database.open().await;
    let runs = accept(&store, taken(event(0), ["a", "a", "b", "b", "c"].map(run).to_vec())).await;
    let other = begin(&store, 0, run("a")).await;
    record(&store, failed(&other)).await;
    record(&store, failed(&runs[0].0)).await;
    record(&store, done(&runs[1].0)).await;
    record(&store, failed(&runs[2].0)).await;
    record(&store, failed(&runs[3].0)).await;
    let id = runs[0].0.event;
    assert_eq!(store.replay(id, Some("c".into()), at(1)).await.unwrap(), 0, "it has not failed");
    assert_eq!(store.replay(id, Some("a".into()), at(1)).await.unwrap(), 1);
    assert_eq!(ids(&lease(&store).await), [runs[0].0.id]);
    assert_eq!(store.replay(id, None, at(1)).await.unwrap(), 2);
    assert_eq!(ids(&lease(&store).await), [runs[2].0.id, runs[3].0.id]);
    assert_eq!(state(database, &other).await, State::Failed);
}

pub(super) async fn simultaneous_replays_replay_once(database: &dyn Database) {
    let owners = database.owners().await;
    let runs = accept(&owners[0], taken(event(0), vec![in_lane("l"), run("a"), once("v")])).await;
    for (one, _) in &runs {
        record(&owners[0], failed(one)).await;
    }
    let asked: Vec<_> = (0..16)
        .map(|n| {
            let (store, event) = (owners[n % owners.len()].clone(), runs[0].0.event);
            tokio::spawn(async move { store.replay(event, None, at(1)).await.unwrap() })
        })
        .collect();
    let mut replayed = 0;
    for one in asked {
        replayed += one.await.unwrap();
    }
    assert_eq!(replayed, 3);
    assert!(lease(&owners[0]).await.iter().all(|run| run.replays == 1));
}

pub(super) async fn a_rule_that_is_started_again_gets_a_new_run(database: &dyn Database) {
    let store = database.open().await;
    let first = begin(&store, 0, run("a")).await;
    record(&store, done(&first)).await;
    let texts = vec![("new text".into(), "new.yaml".to_owned(), "rules:".to_owned())];
    let new = NewRun { text: "new text".into(), step: 2, ..run("b") };
    assert_eq!(store.start_anew(first.event, vec![new.clone(), new], texts, at(60)).await.unwrap(), 2);
    assert!(store.lease(at(59), 9, Heavy::ANY).await.unwrap().is_empty());
    let leased = lease(&store).await;
    assert_eq!(leased.len(), 2);
    for one in &leased {
        assert_eq!((one.event, &*one.rule, &*one.text, one.place.step, one.due), (first.event, "b", "new text", 2, at(60)));
    }
    assert!(are_different(ids(&leased).into_iter().chain([first.id])));
    assert_eq!(store.text("new text".into()).await.unwrap(), Some(("new.yaml".into(), "rules:".into())));
    assert_eq!(state(database, &first).await, State::Done, "the earlier run is unchanged");
    // A rule may be started again any number of times, even after all earlier runs have ended.
    record(&store, done(&leased[0])).await;
    record(&store, failed(&leased[1])).await;
    assert_eq!(store.start_anew(first.event, vec![run("c")], Vec::new(), at(61)).await.unwrap(), 1);
    assert_eq!(runs_and_attempts(database, first.event).await.len(), 4);
}

pub(super) async fn the_records_show_which_runs_are_in_hand_and_which_wait_for_their_turn(database: &dyn Database) {
    let store = database.open().await;
    let begun = begin(&store, 0, in_lane("l")).await;
    let queued = queue(&store, 0, in_lane("l")).await;
    let postponed_run = begin(&store, 0, run("a")).await;
    record(&store, postponed(&postponed_run, at(500))).await;
    let ended = begin(&store, 0, run("a")).await;
    record(&store, done(&ended)).await;
    for (one, is_in_hand, is_queued) in
        [(&begun, true, false), (&queued, false, true), (&postponed_run, false, false), (&ended, false, false)]
    {
        let (page, _) = &dossier(database, one.event).await.runs[0];
        assert_eq!((page.is_in_hand, page.is_queued), (is_in_hand, is_queued), "{}", page.run.rule);
    }
}

pub(super) async fn cancelling_ends_waiting_runs_and_leaves_those_in_hand(database: &dyn Database) {
    let owners = database.owners().await;
    let store = &owners[0];
    let busy = begin(owners.last().unwrap(), 0, NewRun { rule: "a".into(), ..in_lane("l") }).await;
    let queued = queue(store, 0, NewRun { rule: "a".into(), ..in_lane("l") }).await;
    let waits = begin(store, 0, run("a")).await;
    record(store, postponed(&waits, at(500))).await;
    let fresh = accept(store, left(event(0), vec![run("a"), run("b")])).await;
    let failing = begin(store, 0, run("a")).await;
    record(store, failed(&failing)).await;
    assert_eq!(store.cancel(of_rule("a"), at(1)).await.unwrap(), Cancelled { runs: 3, busy: 1 });
    for ended in [&queued, &waits, &fresh[0].0] {
        assert_eq!(state(database, ended).await, State::Cancelled);
    }
    assert_eq!((state(database, &busy).await, state(database, &failing).await), (State::Waiting, State::Failed));
    assert_eq!(ids(&lease(store).await), [fresh[1].0.id], "the run of the other rule is unchanged");
    record(owners.last().unwrap(), done(&busy)).await;
    // An event's runs, and those of one rule of it; all runs.
    let both = accept(store, left(event(0), vec![run("a"), run("b")])).await;
    let of = |rule: Option<&str>| WaitingRuns { event: Some(both[0].0.event), rule: rule.map(str::to_owned) };
    accept(store, left(event(0), vec![run("a"), run("b")])).await;
    assert_eq!(store.cancel(of(Some("c")), at(1)).await.unwrap(), Cancelled { runs: 0, busy: 0 });
    assert_eq!(store.cancel(of(Some("b")), at(1)).await.unwrap(), Cancelled { runs: 1, busy: 0 });
    assert_eq!(store.cancel(of(None), at(1)).await.unwrap(), Cancelled { runs: 1, busy: 0 });
    assert_eq!(store.cancel(WaitingRuns { event: None, rule: None }, at(1)).await.unwrap(), Cancelled { runs: 2, busy: 1 });
    assert!(lease(store).await.is_empty());
    // It cannot be replayed, and nobody can record it.
    assert_eq!(store.replay(queued.event, None, at(2)).await.unwrap(), 0);
    expect_lease_lost(store, done(&queued)).await;
}

pub(super) async fn cancelling_ends_the_runs_of_a_dead_owner(database: &dyn Database) {
    let first = database.open().await;
    let one = begin(&first, 0, NewRun { lane: Some("l".into()), ..once("v") }).await;
    let next = queue(&first, 0, in_lane("l")).await;
    let successor = database.successor(&first).await;
    assert_eq!(successor.cancel(of_rule("once"), much_later()).await.unwrap(), Cancelled { runs: 1, busy: 0 });
    expect_lease_lost(&first, done(&one)).await;
    assert_eq!(state(database, &one).await, State::Cancelled);
    assert_eq!(ids(&lease(&successor).await), [next.id], "its lane is open");
    assert_eq!(accept(&successor, taken(event(1), vec![once("v")])).await[0].1, StartResult::Begun, "its value was released");
}

pub(super) async fn commands_do_nothing_to_unknown_events(database: &dyn Database) {
    let store = database.open().await;
    begin(&store, 0, run("a")).await;
    let unknown = event(1).id;
    assert_eq!(store.replay(unknown, None, at(1)).await.unwrap(), 0);
    assert_eq!(store.start_anew(unknown, vec![run("a")], Vec::new(), at(1)).await.unwrap(), 0);
    let none = WaitingRuns { event: Some(unknown), rule: None };
    assert_eq!(store.cancel(none, at(1)).await.unwrap(), Cancelled { runs: 0, busy: 0 });
    assert!(lease(&store).await.is_empty());
}
