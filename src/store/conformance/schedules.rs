//! Rules that start by themselves: each moment is claimed once.

use std::sync::Arc;

use super::database::Database;
use super::samples::{accept, again, at, dossier, event, queue, run, taken};
use crate::model::event::Event;
use crate::model::origin::SCHEDULE;
use crate::model::run::State;
use crate::store::contract::{Accept, Accepted, Dossier, NewRun, Store};
use crate::store::starts::{Claim, Moment, ScheduleProgress};

fn progress(rule: &str, timing: &str, since: i64) -> ScheduleProgress {
    ScheduleProgress { rule: rule.to_owned(), timing: timing.to_owned(), since: at(since), last: None }
}

fn moment(seconds: i64, rule: &str, planned: i64) -> Accept {
    Accept { claim: Some(Claim::Moment(Moment { rule: rule.into(), planned: at(planned) })), ..taken(event(seconds), vec![run(rule)]) }
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

pub(super) async fn a_moment_takes_the_place_of_an_earlier_one_that_waits_for_its_turn(database: &dyn Database) {
    let owners = database.owners().await;
    let (one, other) = (&owners[0], owners.last().unwrap());
    let lane = |rule: &str| NewRun { lane: Some("lane".into()), ..run(rule) };
    let planned = |seconds: i64| {
        let sent = Event { method: SCHEDULE.into(), address: "a".into(), ..event(seconds) };
        Accept { claim: Some(Claim::Moment(Moment { rule: "a".into(), planned: at(seconds) })), ..taken(sent, vec![lane("a")]) }
    };
    one.set_schedules(vec![progress("a", "hourly", 0)], Vec::new()).await.unwrap();
    let works = accept(one, planned(10)).await.remove(0).0;
    let asked = queue(one, 15, lane("a")).await;
    let of_another = queue(one, 16, lane("b")).await;
    let older = accept(one, planned(20)).await.remove(0).0;
    let newer = accept(other, planned(30)).await.remove(0).0;
    let state = |dossier: &Dossier| (dossier.runs[0].0.run.state, dossier.runs[0].0.said.clone());
    let mut states = Vec::new();
    for id in [works.event, asked.event, of_another.event, older.event, newer.event] {
        states.push(state(&dossier(database, id).await));
    }
    let waits = || (State::Waiting, String::new());
    let gone = (State::Cancelled, "a newer moment took its place while it waited for its turn".to_owned());
    assert_eq!(states, [waits(), waits(), waits(), gone, waits()], "neither what works, nor what somebody sent");
}
