//! The answers that callers get from rules.

use super::database::Database;
use super::samples::{accept, begin, done, event, failed, in_lane, much_later, postponed, record, run, stepped, taken};
use crate::model::answer::SealedAnswer;
use crate::secret::SealedText;
use crate::store::contract::{AnswerState, Record, WaitingRuns};

fn answer(status: u16) -> SealedAnswer {
    let header = ("x-made".to_owned(), SealedText::clear("ä \u{0}\r"));
    SealedAnswer { status, headers: vec![header.clone(), header], body: SealedText::clear(format!("{{\"status\": {status}}}")) }
}

pub(super) async fn the_first_answer_stays(database: &dyn Database) {
    let store = database.open().await;
    let runs = accept(&store, taken(event(0), vec![run("a"), run("b")])).await;
    let id = runs[0].0.event;
    assert_eq!(store.answer(id).await.unwrap(), AnswerState { answer: None, is_open: true });
    let next = record(&store, Record { answer: Some(answer(201)), ..stepped(&runs[0].0) }).await;
    assert_eq!(store.answer(id).await.unwrap(), AnswerState { answer: Some(answer(201)), is_open: true });
    record(&store, Record { answer: Some(answer(202)), ..done(&next) }).await;
    record(&store, Record { answer: Some(answer(203)), ..failed(&runs[1].0) }).await;
    assert_eq!(store.answer(id).await.unwrap(), AnswerState { answer: Some(answer(201)), is_open: false });
}

pub(super) async fn an_event_is_open_while_one_of_its_runs_has_not_ended(database: &dyn Database) {
    let store = database.open().await;
    begin(&store, 0, in_lane("l")).await;
    let runs = accept(&store, taken(event(0), vec![run("a"), run("b"), in_lane("l")])).await;
    let id = runs[0].0.event;
    let is_open = async || store.answer(id).await.unwrap().is_open;
    record(&store, done(&runs[0].0)).await;
    assert!(is_open().await);
    record(&store, postponed(&runs[1].0, much_later())).await;
    assert!(is_open().await, "one run waits for another try, one for its lane");
    let cancelled = store.cancel(WaitingRuns { event: Some(id), rule: None }, much_later()).await.unwrap();
    assert_eq!(cancelled.runs, 2);
    assert!(!is_open().await);
    let failing = begin(&store, 0, run("a")).await;
    record(&store, failed(&failing)).await;
    assert!(!store.answer(failing.event).await.unwrap().is_open);
    store.replay(failing.event, None, much_later()).await.unwrap();
    assert!(store.answer(failing.event).await.unwrap().is_open);
}

pub(super) async fn an_answer_belongs_to_its_event_and_every_owner_can_read_it(database: &dyn Database) {
    let owners = database.owners().await;
    let (one, other) = (begin(&owners[0], 0, run("a")).await, begin(&owners[0], 0, run("a")).await);
    record(&owners[0], Record { answer: Some(answer(200)), ..done(&one) }).await;
    for owner in &owners {
        assert_eq!(owner.answer(one.event).await.unwrap(), AnswerState { answer: Some(answer(200)), is_open: false });
        assert_eq!(owner.answer(other.event).await.unwrap(), AnswerState { answer: None, is_open: true });
        assert_eq!(owner.answer(event(0).id).await.unwrap(), AnswerState::default(), "there is no such event");
    }
    let successor = database.successor(&owners[0]).await;
    assert_eq!(successor.answer(one.event).await.unwrap().answer, Some(answer(200)));
}
