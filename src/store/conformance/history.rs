//! Reading events and runs: lists, searches, and everything about one event.

use super::database::Database;
use super::samples::{accept, at, attempt, begin, done, dossier, event, failed, ids, once, postponed, record, run, taken};
use crate::model::answer::Answered;
use crate::model::event::{Event, EventId};
use crate::model::run::{Run, State};
use crate::store::contract::{Choice, Counts, EventFilter, Record, WhatBecame};

pub(super) async fn events_and_failed_runs_are_listed_newest_first(database: &dyn Database) {
    let store = database.open().await;
    let queries = database.queries().await;
    assert_eq!(queries.counts(usize::MAX).await.unwrap(), Counts::default());
    let mut all = Vec::new();
    for n in 0..4 {
        let sent = Event { address: format!("address {n}"), ..event(n) };
        let runs = accept(&store, taken(sent, vec![run("a"), run("b"), once("v"), run("d")])).await;
        record(&store, done(&runs[0].0)).await;
        record(&store, failed(&runs[1].0)).await;
        all.push(runs);
    }
    let events = queries.search(EventFilter::default(), None, 3, 100).await.unwrap().events;
    assert_eq!(events.iter().map(|e| e.address.as_str()).collect::<Vec<_>>(), ["address 3", "address 2", "address 1"]);
    assert_eq!(
        (events[0].id, events[0].received, events[0].answered, events[0].method.as_str()),
        (all[3][0].0.event, at(3), Answered::With(200), "POST")
    );
    let states = |state: State| events[0].runs.iter().find(|(s, _)| *s == state).map(|(_, n)| *n);
    assert_eq!(
        (states(State::Done), states(State::Failed), states(State::Repeated), states(State::Waiting)),
        (Some(1), Some(1), Some(1), Some(1))
    );
    let list = queries.failed(2).await.unwrap();
    assert_eq!(ids(list.iter().map(|page| &page.run)), [all[3][1].0.id, all[2][1].0.id]);
    assert_eq!((list[0].said.as_str(), list[0].received, list[0].run.event), ("no", at(3), all[3][0].0.event));
    assert_eq!(queries.counts(usize::MAX).await.unwrap(), Counts { events: 4, waiting: 5, failed: 4 });
}

pub(super) async fn events_are_searched_newest_first_and_a_search_goes_on_where_it_stopped(database: &dyn Database) {
    let store = database.open().await;
    let mut ids: Vec<EventId> = Vec::new();
    for n in 0..6 {
        let body: &'static [u8] = if n % 2 == 0 { br#"{"city":"Berlin"}"# } else { br#"{"city":"Paris"}"# };
        let sent = Event { address: format!("/shop/{}", n % 3), raw: body.into(), ..event(n) };
        ids.push(sent.id);
        let runs = if n == 5 { Vec::new() } else { vec![run("a"), run("b")] };
        let runs = accept(&store, taken(sent, runs)).await;
        if n < 2 {
            record(&store, done(&runs[0].0)).await;
            record(&store, failed(&runs[1].0)).await;
        }
    }
    let queries = database.queries().await;
    let found = async |filter: EventFilter, from, most, look| {
        let found = queries.search(filter, from, most, look).await.unwrap();
        (found.events.iter().map(|e| ids.iter().position(|id| *id == e.id).unwrap()).collect::<Vec<_>>(), found.next, found.looked)
    };
    let all = async |filter: EventFilter| found(filter, None, 10, 100).await.0;
    let none = EventFilter::default;
    assert_eq!(all(none()).await, [5, 4, 3, 2, 1, 0]);
    assert_eq!(all(EventFilter { address: Some("/shop/1".into()), ..none() }).await, [4, 1]);
    assert_eq!(all(EventFilter { text: Some("Berlin".into()), ..none() }).await, [4, 2, 0]);
    assert_eq!(all(EventFilter { text: Some("\"CITY\":\"berLIN\"".into()), ..none() }).await, [4, 2, 0]);
    assert!(all(EventFilter { text: Some("b.rlin".into()), ..none() }).await.is_empty());
    assert_eq!(all(EventFilter { rule: Some("a".into()), ..none() }).await, [4, 3, 2, 1, 0]);
    assert!(all(EventFilter { rule: Some("c".into()), ..none() }).await.is_empty());
    assert_eq!(all(EventFilter { became: Some(WhatBecame::Nothing), ..none() }).await, [5]);
    let became = |state| EventFilter { became: Some(WhatBecame::Runs(state)), ..none() };
    assert_eq!(all(became(State::Waiting)).await, [4, 3, 2]);
    assert_eq!(all(became(State::Failed)).await, [1, 0]);
    assert!(all(EventFilter { rule: Some("a".into()), ..became(State::Failed) }).await.is_empty());
    assert_eq!(all(EventFilter { rule: Some("b".into()), ..became(State::Failed) }).await, [1, 0]);
    // Both limits end a search, and the next one goes on behind what was looked at.
    let (first, next, _) = found(none(), None, 2, 100).await;
    assert_eq!(first, [5, 4]);
    assert_eq!(found(none(), next, 10, 3).await.0, [3, 2, 1]);
    let failed = became(State::Failed);
    let (first, next, looked) = found(failed.clone(), None, 10, 3).await;
    assert_eq!((first, looked, next.is_some()), (vec![], 3, true));
    assert_eq!(found(failed, next, 10, 3).await, (vec![1, 0], None, 3));
    let waiting = queries.waiting(3).await.unwrap();
    assert_eq!(waiting.iter().map(|(p, _)| (p.run.event, &*p.run.rule)).collect::<Vec<_>>(), [(ids[2], "a"), (ids[2], "b"), (ids[3], "a")]);
}

pub(super) async fn events_are_chosen_by_rule_state_and_time(database: &dyn Database) {
    let store = database.open().await;
    let mut events: Vec<EventId> = Vec::new();
    for n in 0..5 {
        let runs = accept(&store, taken(event(n), vec![run("a"), run("a"), run("b")])).await;
        events.push(runs[0].0.event);
        for (one, _) in &runs {
            record(&store, if n % 2 == 0 { failed(one) } else { done(one) }).await;
        }
    }
    let queries = database.queries().await;
    let chosen = async |state, rule: Option<&str>, since, until| {
        let choice = Choice { state, rule: rule.map(str::to_owned), since: at(since), until: at(until) };
        queries.chosen(choice).await.unwrap()
    };
    assert_eq!(chosen(State::Failed, None, 0, 9).await, [(events[0], 3), (events[2], 3), (events[4], 3)]);
    assert_eq!(chosen(State::Failed, Some("a"), 1, 4).await, [(events[2], 2)]);
    assert_eq!(chosen(State::Done, Some("b"), 1, 3).await, [(events[1], 1)]);
    assert!(chosen(State::Cancelled, None, 0, 9).await.is_empty());
}

pub(super) async fn an_event_is_found_by_the_beginning_of_its_id(database: &dyn Database) {
    let store = database.open().await;
    let (one, _, other) = (begin(&store, 0, run("a")).await, begin(&store, 0, run("a")).await, begin(&store, 900_000_000, run("a")).await);
    let queries = database.queries().await;
    let text = one.event.to_string();
    for beginning in [&text[..], &text.replace('-', ""), &text.to_uppercase()] {
        assert_eq!(queries.find(beginning).await.unwrap(), one.event);
    }
    assert_eq!(queries.find(&other.event.to_string()[..8]).await.unwrap(), other.event);
    assert!(queries.find(&text[..13]).await.unwrap_err().to_string().contains("several"));
    for nothing in ["", "1234567", "01234567", "not an id", &format!("{text}0"), "%%%%%%%%"] {
        assert!(!queries.find(nothing).await.unwrap_err().to_string().is_empty(), "{nothing:?}");
    }
}

pub(super) async fn the_records_contain_everything_about_an_event(database: &dyn Database) {
    let store = database.open().await;
    let runs = accept(&store, taken(event(0), vec![run("a"), run("b"), run("c")])).await;
    // A failed run shows its original failure, not what was done because of it.
    let after = Run { place: crate::model::place::Place { step: 5, element: 0 }, ..runs[0].0.clone() };
    let both = vec![attempt(&runs[0].0, "failed", "why"), attempt(&after, "done", "told somebody")];
    record(&store, Record { attempts: both.clone().into(), ..failed(&runs[0].0) }).await;
    record(&store, postponed(&runs[1].0, at(60))).await;
    let told = dossier(database, runs[0].0.event).await;
    assert_eq!((told.answered, told.runs.len()), (Answered::With(200), 3));
    assert_eq!(ids(told.runs.iter().map(|(page, _)| &page.run)), ids(runs.iter().map(|(run, _)| run)));
    let (page, attempts) = &told.runs[0];
    assert_eq!((page.said.as_str(), page.received, attempts), ("why", at(0), &both));
    assert!(page.ended.is_some());
    let (page, _) = &told.runs[1];
    assert_eq!((page.run.state, page.run.due, page.said.as_str(), page.ended), (State::Waiting, at(60), "later", None));
    assert!(database.queries().await.dossier(event(1).id).await.is_err(), "there is no such event");
}
