//! Storing an event with the runs that it starts.

use std::sync::Arc;

use bytes::Bytes;

use super::database::Database;
use super::samples::{
    accept, again, are_different, at, begin, delivered, done, dossier, event, ids, in_lane, lease, left, once, queue, record, run, state,
    taken,
};
use crate::expr::condition::trace::{Decided, Outcome, TraceLine};
use crate::model::event::Event;
use crate::model::place::Place;
use crate::model::run::{Run, State};
use crate::model::sealed_part::{PartOf, SealedPart};
use crate::secret::SealedText;
use crate::store::contract::{Accept, Accepted, EventFilter, Heavy, NewRun, StartResult, Store};

pub(super) async fn an_event_is_saved_exactly_as_it_arrived(database: &dyn Database) {
    let store = database.open().await;
    let sent = Event {
        method: "PUT".into(),
        // A decoded path can contain anything.
        address: "orders/ä \u{0}\"'".into(),
        query: "a=1&a=%00".into(),
        headers: vec![
            ("content-type".into(), "application/octet-stream".into()),
            ("x".into(), "1".into()),
            ("x".into(), "2\u{fffd}".into()),
        ],
        ip: "2001:db8::1".into(),
        sender: Some("a shop \u{0}\"'ä".into()),
        sealed: vec![SealedPart { of: PartOf::Query(1), text: SealedText::clear("x") }],
        raw: Bytes::from_static(b"\x00\xff\r\n"),
        ..event(5)
    };
    accept(&store, left(sent.clone(), vec![run("r")])).await;
    let (_, leased) = store.lease(at(5), 1, Heavy::ANY).await.unwrap().remove(0);
    let leased = crate::body::read_event(leased).unwrap();
    for read in [leased, dossier(database, sent.id).await.event] {
        assert_eq!((read.id, read.received, &read.method), (sent.id, sent.received, &sent.method));
        assert_eq!((&read.address, &read.query, &read.ip), (&sent.address, &sent.query, &sent.ip));
        assert_eq!((&read.headers, &read.raw), (&sent.headers, &sent.raw));
        assert_eq!((&read.sender, &read.sealed), (&sent.sender, &sent.sealed));
    }
    let listed = database.queries().await.search(EventFilter::default(), None, 1, 10).await.unwrap().events.remove(0);
    assert_eq!((listed.id, listed.sender), (sent.id, sent.sender));
}

pub(super) async fn what_was_decided_is_saved_with_the_event(database: &dyn Database) {
    let store = database.open().await;
    let line = |outcome| TraceLine { depth: 1, text: "body.a is {{ secret.A }}".into(), outcome };
    let outcomes = [Outcome::Yes, Outcome::No("it was \u{0}".into()), Outcome::NotLookedAt, Outcome::NotKnown("A".into())];
    let decided = vec![Decided { rule: "r ä".into(), lines: outcomes.map(line).into() }];
    let (first, second) = (event(0), event(1));
    let (with, without) = (first.id, second.id);
    accept(&store, Accept { decided: decided.clone(), ..taken(first, vec![run("r")]) }).await;
    accept(&store, taken(second, vec![run("r")])).await;
    assert_eq!(dossier(database, with).await.decided, decided);
    assert_eq!(dossier(database, without).await.decided, []);
}

pub(super) async fn runs_are_returned_in_the_order_in_which_they_were_passed(database: &dyn Database) {
    let store = database.open().await;
    let mut all = Vec::new();
    for n in 0..3 {
        let (sent, names) = (event(n), ["c", "a", "b"]);
        let id = sent.id;
        let new = names.map(|name| NewRun { step: 7, ..run(name) });
        let Accepted::New(given, runs) = store.accept(taken(sent, new.to_vec())).await.unwrap() else { panic!() };
        assert_eq!((given.id, runs.len()), (id, 3));
        for ((begun, result), name) in runs.iter().zip(names) {
            let expected = Run::begin(begun.id, id, name.into(), "text".into(), 7, at(n));
            assert_eq!((begun, *result), (&expected, StartResult::Begun));
        }
        all.extend(runs);
    }
    assert!(are_different(ids(all.iter().map(|(run, _)| run))));
    assert!(accept(&store, taken(event(9), Vec::new())).await.is_empty());
    assert_eq!(database.queries().await.counts(usize::MAX).await.unwrap().events, 4, "an event that no rule wants is saved as well");
}

pub(super) async fn runs_that_the_owner_does_not_take_can_be_leased_by_any_owner(database: &dyn Database) {
    let store = database.open().await;
    let runs = accept(&store, left(event(0), vec![run("a"), NewRun { step: 2, ..run("b") }])).await;
    assert!(runs.iter().all(|(_, result)| *result == StartResult::Queued));
    let leased = lease(&store).await;
    assert_eq!(ids(&leased), ids(runs.iter().map(|(run, _)| run)));
    assert_eq!((leased[1].place, leased[1].turn, leased[1].due), (Place { step: 2, element: 0 }, 1, at(0)));
}

/// Everything that an accept returns and changes, except the time of a claim.
type Given = (Vec<(Run, StartResult)>, u64);

async fn given(database: &dyn Database, store: &Arc<dyn Store>, one: &Accept) -> Given {
    let runs = accept(store, again(one)).await;
    (runs, database.queries().await.counts(usize::MAX).await.unwrap().events)
}

pub(super) async fn a_repeated_accept_returns_the_same_and_changes_nothing(database: &dyn Database) {
    let store = database.open().await;
    begin(&store, 0, once("used")).await;
    begin(&store, 0, in_lane("lane")).await;
    let new = vec![run("plain"), once("used"), in_lane("lane"), once("fresh"), run("plain")];
    for (one, results) in [
        (
            taken(event(1), new.clone()),
            [StartResult::Begun, StartResult::Repeated, StartResult::Queued, StartResult::Begun, StartResult::Begun],
        ),
        // Its own delivery does not make it a repetition of another event.
        (
            delivered(taken(event(1), new.clone()), &["by sender", "by content"]),
            [StartResult::Begun, StartResult::Repeated, StartResult::Queued, StartResult::Repeated, StartResult::Begun],
        ),
        (
            left(event(1), new.clone()),
            [StartResult::Queued, StartResult::Repeated, StartResult::Queued, StartResult::Repeated, StartResult::Queued],
        ),
    ] {
        let first = given(database, &store, &one).await;
        assert_eq!(first.0.iter().map(|(_, result)| *result).collect::<Vec<_>>(), results);
        assert_eq!(given(database, &store, &one).await, first);
        assert_eq!(given(database, &store, &one).await, first);
        assert_eq!(dossier(database, one.event.id).await.runs.len(), 5);
    }
    assert_eq!(lease(&store).await.len(), 2, "only the runs that were left can be leased");
}

pub(super) async fn an_accept_can_be_repeated_after_its_runs_have_ended(database: &dyn Database) {
    let store = database.open().await;
    let one = delivered(taken(event(0), vec![run("a"), run("b")]), &["key"]);
    let runs = accept(&store, again(&one)).await;
    record(&store, done(&runs[0].0)).await;
    let repeated = accept(&store, again(&one)).await;
    assert_eq!(ids(repeated.iter().map(|(run, _)| run)), ids(runs.iter().map(|(run, _)| run)));
    assert_ne!(repeated[0].1, StartResult::Begun, "it has ended and is not started again");
    assert_eq!(repeated[1].1, StartResult::Begun);
    assert_eq!((state(database, &runs[0].0).await, state(database, &runs[1].0).await), (State::Done, State::Waiting));
    assert!(lease(&store).await.is_empty());
}

pub(super) async fn an_accept_can_be_repeated_by_many_at_the_same_time(database: &dyn Database) {
    let (owners, one) = (database.owners().await, delivered(taken(event(0), vec![run("a"), in_lane("lane")]), &["key"]));
    let asked: Vec<_> = (0..24)
        .map(|n| {
            let (store, one) = (owners[n % owners.len()].clone(), again(&one));
            tokio::spawn(async move { accept(&store, one).await })
        })
        .collect();
    let mut given = Vec::new();
    for one in asked {
        given.push(ids(one.await.unwrap().iter().map(|(run, _)| run)));
    }
    given.dedup();
    assert_eq!(given.len(), 1, "all accepts return the same runs");
    assert_eq!(dossier(database, one.event.id).await.runs.len(), 2);
}

pub(super) async fn repeating_the_accept_of_another_owner_starts_none_of_its_runs(database: &dyn Database) {
    let first = database.open().await;
    let one = taken(event(0), vec![run("a")]);
    accept(&first, again(&one)).await;
    if database.allows_several_owners() {
        let other = database.open().await;
        assert_eq!(accept(&other, again(&one)).await[0].1, StartResult::Queued);
    }
    let successor = database.successor(&first).await;
    assert_eq!(accept(&successor, again(&one)).await[0].1, StartResult::Queued);
    assert_eq!(lease(&successor).await.len(), 1, "like all runs of a dead owner, it must be leased");
}

/// Senders choose the keys: any character, any length.
pub(super) async fn any_text_can_be_a_key(database: &dyn Database) {
    let store = database.open().await;
    let long = "ä".repeat(100_000);
    let texts = ["", "\u{0}", "a\u{0}b", "a", "it's \"this\" %_\\", "😀\r\n", &long, &format!("{long}!")];
    for text in texts {
        let new = NewRun { rule: text.into(), lane: Some(text.into()), ..once(text) };
        let one = delivered(taken(event(0), vec![new.clone()]), &[text]);
        let first = accept(&store, again(&one)).await.remove(0);
        assert_eq!((first.1, first.0.lane.as_deref(), &*first.0.rule), (StartResult::Begun, Some(text), text));
        assert!(matches!(store.accept(delivered(taken(event(0), vec![new.clone()]), &[text])).await.unwrap(), Accepted::Again { .. }));
        assert_eq!(accept(&store, taken(event(0), vec![new.clone()])).await[0].1, StartResult::Repeated);
        let next = queue(&store, 0, NewRun { once: None, ..new }).await;
        record(&store, done(&first.0)).await;
        assert_eq!(ids(&lease(&store).await), [next.id]);
        record(&store, done(&Run { turn: 1, ..next })).await;
    }
}
