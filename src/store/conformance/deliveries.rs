//! Repeated deliveries of an event, recognised by the sender's ids.

use super::database::Database;
use super::samples::{DAY, accept, again, at, delivered, done, event, failed, guessed, ids, lease, left, much_later, record, run, taken};
use crate::model::answer::SealedAnswer;
use crate::model::event::Event;
use crate::model::place::Place;
use crate::model::run::Run;
use crate::secret::SealedText;
use crate::store::contract::{Accept, Accepted, AnswerState, Delivery, Heavy, Pruning, Record};

pub(super) async fn a_repeated_event_is_recognized_by_any_of_its_deliveries(database: &dyn Database) {
    let store = database.open().await;
    let one = delivered(taken(event(0), vec![run("a")]), &["id", "content"]);
    let first = accept(&store, again(&one)).await.remove(0).0;
    for keys in [&["id"][..], &["content"], &["unknown", "id"], &["content", "also unknown"]] {
        let known = store.accept(delivered(taken(event(1), vec![run("a")]), keys)).await.unwrap();
        let Accepted::Again { first, is_same, restarted, answer_state } = known else {
            panic!("{keys:?} are not recognized");
        };
        assert_eq!((first, is_same, restarted), (one.event.id, true, 0));
        assert_eq!(answer_state, AnswerState { answer: None, is_open: true });
    }
    // Ids that were sent together with a known one were not stored.
    accept(&store, delivered(taken(event(1), vec![run("a")]), &["unknown"])).await;
    let answer = SealedAnswer { status: 201, headers: Vec::new(), body: SealedText::clear("made") };
    record(&store, Record { answer: Some(answer.clone()), ..done(&first) }).await;
    let Accepted::Again { answer_state, .. } = store.accept(delivered(taken(event(1), vec![run("a")]), &["id"])).await.unwrap() else {
        panic!();
    };
    assert_eq!(answer_state, AnswerState { answer: Some(answer), is_open: false });
    assert_eq!(database.queries().await.counts(usize::MAX).await.unwrap().events, 2);
}

pub(super) async fn a_delivery_is_remembered_for_its_time_and_no_longer(database: &dyn Database) {
    let store = database.open().await;
    let day = DAY.as_secs() as i64;
    accept(&store, delivered(taken(event(0), vec![run("a")]), &["key"])).await;
    let last = delivered(taken(event(day - 1), vec![run("a")]), &["key"]);
    assert!(matches!(store.accept(last).await.unwrap(), Accepted::Again { .. }));
    let after = delivered(taken(event(day), vec![run("a")]), &["key"]);
    let id = after.event.id;
    accept(&store, after).await;
    let Accepted::Again { first, .. } = store.accept(delivered(taken(event(day + 1), Vec::new()), &["key"])).await.unwrap() else {
        panic!()
    };
    assert_eq!(first, id, "it is remembered again");
    // Each has its own expiry.
    let brief = Delivery { key: "brief".into(), remembered: std::time::Duration::from_secs(5) };
    accept(&store, Accept { deliveries: vec![brief], ..taken(event(0), vec![run("a")]) }).await;
    accept(&store, delivered(taken(event(5), vec![run("a")]), &["brief"])).await;
}

pub(super) async fn a_repeated_delivery_restarts_failed_runs(database: &dyn Database) {
    let store = database.open().await;
    let runs = accept(&store, delivered(taken(event(0), vec![run("a"), run("b"), run("c")]), &["key"])).await;
    let ran = Run { place: Place { step: 3, element: 1 }, ..runs[0].0.clone() };
    record(&store, failed(&ran)).await;
    record(&store, done(&runs[1].0)).await;
    let again = || delivered(taken(event(60), vec![run("a"), run("b"), run("c")]), &["key"]);
    let Accepted::Again { restarted, answer_state, .. } = store.accept(again()).await.unwrap() else { panic!() };
    assert_eq!((restarted, answer_state.is_open), (1, true));
    let leased = lease(&store).await;
    let expected = Run { turn: leased[0].turn, due: at(60), replays: 1, ..ran };
    assert_eq!(leased, [expected], "it continues where it failed; the others are done or in hand");
    let Accepted::Again { restarted, .. } = store.accept(again()).await.unwrap() else { panic!() };
    assert_eq!(restarted, 0);
}

/// Headers change each time a sender signs its request.
pub(super) async fn a_repeated_delivery_is_recognized_whatever_its_headers_are(database: &dyn Database) {
    let store = database.open().await;
    accept(&store, delivered(taken(event(0), vec![run("a")]), &["key"])).await;
    let signed_anew = Event { headers: vec![("x-signature".into(), "t=2".into())], ip: "192.0.2.2".into(), ..event(1) };
    let Accepted::Again { is_same, .. } = store.accept(delivered(taken(signed_anew, Vec::new()), &["key"])).await.unwrap() else {
        panic!()
    };
    assert!(is_same);
}

pub(super) async fn a_different_request_with_a_known_delivery_learns_nothing_about_it(database: &dyn Database) {
    let store = database.open().await;
    let one = delivered(taken(event(0), vec![run("a")]), &["key"]);
    let run_of_then = accept(&store, again(&one)).await.remove(0).0;
    let guess = |event: Event, is_vouched| {
        let (store, known) = (store.clone(), one.event.id);
        async move {
            let guess = Accept { is_vouched, ..delivered(taken(event, vec![run("a")]), &["key"]) };
            let Accepted::Again { first, is_same, restarted, answer_state } = store.accept(guess).await.unwrap() else { panic!() };
            assert_eq!((first, is_same, restarted), (known, false, 0));
            assert_eq!(answer_state, AnswerState::default());
        }
    };
    let others = || {
        let base = event(1);
        [
            Event { method: "PUT".into(), ..base.clone() },
            Event { address: "orders/2".into(), ..base.clone() },
            Event { query: "n=1".into(), ..base.clone() },
            Event { raw: "{}".into(), ..base },
        ]
    };
    for other in others() {
        guess(other, false).await;
    }
    let answer = SealedAnswer { status: 201, headers: Vec::new(), body: SealedText::clear("made") };
    record(&store, Record { answer: Some(answer.clone()), ..done(&run_of_then) }).await;
    // Neither while it is running nor afterwards, and not as another sender allowed to call here.
    for other in others() {
        guess(other.clone(), true).await;
        guess(other, false).await;
    }
    let Accepted::Again { answer_state, .. } = store.accept(delivered(taken(event(2), vec![run("a")]), &["key"])).await.unwrap() else {
        panic!()
    };
    assert_eq!(
        answer_state,
        AnswerState { answer: Some(answer), is_open: false },
        "the same request gets the answer, whoever has asked before"
    );
}

pub(super) async fn a_different_request_restarts_failed_runs_only_if_it_is_verified(database: &dyn Database) {
    let store = database.open().await;
    let runs = accept(&store, delivered(taken(event(0), vec![run("a")]), &["key"])).await;
    record(&store, failed(&runs[0].0)).await;
    let other = |is_vouched| Accept { is_vouched, ..guessed(delivered(taken(event(60), vec![run("a")]), &["key"])) };
    let Accepted::Again { restarted, .. } = store.accept(other(false)).await.unwrap() else { panic!() };
    assert_eq!((restarted, lease(&store).await.len()), (0, 0), "anybody may have guessed the id");
    let Accepted::Again { is_same, restarted, answer_state, .. } = store.accept(other(true)).await.unwrap() else { panic!() };
    assert_eq!(
        (is_same, restarted, answer_state),
        (false, 1, AnswerState::default()),
        "it is from the sender itself, which may count its attempts in the body"
    );
    assert_eq!(ids(&lease(&store).await), [runs[0].0.id]);
}

pub(super) async fn a_delivery_that_no_rule_wanted_is_accepted_once_a_rule_wants_it(database: &dyn Database) {
    let store = database.open().await;
    let unwanted = delivered(taken(event(0), Vec::new()), &["key"]);
    accept(&store, again(&unwanted)).await;
    let Accepted::Again { first, .. } = store.accept(delivered(taken(event(1), Vec::new()), &["key"])).await.unwrap() else { panic!() };
    assert_eq!(first, unwanted.event.id, "while no rule wants it, it is a repeated delivery");
    let wanted = delivered(left(event(2), vec![run("a")]), &["key"]);
    assert_eq!(accept(&store, again(&wanted)).await.len(), 1);
    let Accepted::Again { first, .. } = store.accept(delivered(taken(event(3), vec![run("a")]), &["key"])).await.unwrap() else { panic!() };
    assert_eq!(first, wanted.event.id);
}

pub(super) async fn a_delivery_whose_event_was_deleted_is_accepted_as_new(database: &dyn Database) {
    let store = database.open().await;
    let runs = accept(&store, delivered(taken(event(0), vec![run("a")]), &["key"])).await;
    record(&store, done(&runs[0].0)).await;
    accept(&store, taken(event(1), Vec::new())).await;
    let pruned = store.prune(Pruning { before: at(1), failed: false, is_dry_run: false }, 0, 10).await.unwrap();
    assert_eq!(pruned.events, 1);
    assert_eq!(accept(&store, delivered(taken(event(2), vec![run("a")]), &["key"])).await.len(), 1);
}

pub(super) async fn simultaneous_copies_of_a_delivery_are_saved_once(database: &dyn Database) {
    let owners = database.owners().await;
    for round in 0..6 {
        let asked: Vec<_> = (0..24)
            .map(|n| {
                let store = owners[n % owners.len()].clone();
                // Each delivery has one key that all share and one shared with a neighbour, in any order.
                let (all, some) = (format!("{round}"), format!("{round} {}", n / 2));
                let keys = if n % 3 == 0 { [all.as_str(), &some] } else { [some.as_str(), &all] };
                let one = delivered(left(event(round), vec![run("a")]), &keys);
                tokio::spawn(async move { matches!(store.accept(one).await.unwrap(), Accepted::New(..)) })
            })
            .collect();
        let mut new = 0;
        for one in asked {
            new += usize::from(one.await.unwrap());
        }
        assert_eq!(new, 1);
        let leased = owners[0].lease(much_later(), 10, Heavy::ANY).await.unwrap();
        assert_eq!(leased.len(), 1);
    }
}
