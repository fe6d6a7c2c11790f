//! What `save_as` stores: recorded value by value, read back whole.

use serde_json::{Value, json};

use super::database::Database;
use super::samples::{begin, done, dossier, failed, lease, much_later, postponed, record, run, set_aside, stepped, waits};
use crate::body::number_text;
use crate::model::run::Run;
use crate::model::saved::SavedAt;
use crate::model::unfinished::{Element, Failure, Unfinished};
use crate::store::contract::Record;

/// The run after it saved a value under a name, or as the next element of a list.
pub(super) fn save(mut run: Run, name: &str, value: Value, in_list: bool) -> Run {
    let element = match run.saved.get_mut(name) {
        Some(Value::Array(list)) if in_list => {
            list.push(value);
            Some(list.len() - 1)
        }
        _ => {
            run.saved.insert(name.into(), if in_list { Value::Array(vec![value]) } else { value });
            in_list.then_some(0)
        }
    };
    run.unsaved.push(SavedAt { name: name.into(), element });
    run
}

pub(super) async fn a_saved_value_is_read_back(database: &dyn Database) {
    let first = database.open().await;
    // As it was written, to the last digit and in its order.
    let text = r#"{"z":1.10,"a":[1,[],{},null,true],"big":123456789012345678901234567890,"e":1E400,"":"\u0000 ä \ud83d\ude00"}"#;
    let value = number_text::parse(text).unwrap();
    let one = save(begin(&first, 0, run("a")).await, "x", value, false);
    let one = save(one, "nothing", Value::Null, false);
    let one = save(one, "list of its own", json!([]), false);
    let one = record(&first, stepped(&one)).await;
    let successor = database.successor(&first).await;
    let leased = lease(&successor).await.remove(0);
    assert_eq!(leased.saved["x"].to_string(), text.replace("\\ud83d\\ude00", "😀"));
    assert_eq!((leased.saved.clone(), leased.unsaved.len()), (one.saved, 0));
    // A finished run needs its values no more.
    record(&successor, done(&leased)).await;
    assert!(dossier(database, one.event).await.runs[0].0.run.saved.is_empty());
}

pub(super) async fn a_later_value_replaces_an_earlier_one(database: &dyn Database) {
    let store = database.open().await;
    let mut one = begin(&store, 0, run("a")).await;
    for n in 0..3 {
        one = record(&store, stepped(&save(one, "list", json!(n), true))).await;
    }
    one = record(&store, stepped(&save(one, "list", json!("a word"), false))).await;
    one = save(one, "word", json!(1), false);
    one = record(&store, stepped(&save(one, "word", json!(2), false))).await;
    // A list that is started again is a new one.
    one.saved.remove("word");
    one = record(&store, postponed(&save(one, "word", json!("first"), true), much_later())).await;
    let leased = lease(&store).await.remove(0);
    assert_eq!(leased.saved, one.saved);
    assert_eq!(json!(leased.saved), json!({ "list": "a word", "word": ["first"] }));
}

pub(super) async fn a_list_of_fifty_grows_element_by_element(database: &dyn Database) {
    let store = database.open().await;
    let mut one = begin(&store, 0, run("a")).await;
    for n in 0..50 {
        let saved = save(one, "list", json!({ "n": n }), true);
        let saved = save(saved, "other", json!(n), true);
        if n % 10 == 7 {
            let given_back = record(&store, postponed(&saved, much_later())).await;
            one = lease(&store).await.remove(0);
            assert_eq!(one.saved, given_back.saved);
        } else {
            one = record(&store, stepped(&saved)).await;
        }
    }
    record(&store, postponed(&one, much_later())).await;
    let list: Vec<Value> = (0..50).map(|n| json!({ "n": n })).collect();
    let leased = lease(&store).await.remove(0);
    assert_eq!((&leased.saved["list"], leased.saved["other"].as_array().map(Vec::len)), (&Value::from(list), Some(50)));
}

pub(super) async fn saved_values_are_read_back_after_a_failure_and_a_replay(database: &dyn Database) {
    let store = database.open().await;
    let one = begin(&store, 0, run("a")).await;
    let one = record(&store, stepped(&save(one, "before", json!([1, 2]), false))).await;
    // A value in the same record as the failure.
    let one = save(save(one, "last", json!(1), true), "last", json!(2), true);
    let ended = record(&store, failed(&one)).await;
    assert_eq!(dossier(database, one.event).await.runs[0].0.run.saved, ended.saved, "the records contain them");
    assert_eq!(store.replay(one.event, None, much_later()).await.unwrap(), 1);
    let leased = lease(&store).await.remove(0);
    assert_eq!(leased.saved, ended.saved);
    let more = record(&store, postponed(&save(leased, "last", json!(3), true), much_later())).await;
    assert_eq!(more.saved["last"], json!([1, 2, 3]));
    assert_eq!(lease(&store).await[0].saved, more.saved);
}

pub(super) async fn unfinished_elements_are_read_back_until_their_loop_has_ended(database: &dyn Database) {
    let store = database.open().await;
    let failure = Failure { why: "ä \u{0}".into(), status: Some(422), tries: 3, title: "t".into() };
    let has_failed = Element { failure: Some(failure), error: Some(json!({ "message": "m" })), ..waits(6) };
    let mut one = begin(&store, 0, run("a")).await;
    for element in [0, 7, 4_294_967_295] {
        one = record(&store, stepped(&set_aside(one, element, waits(5)))).await;
    }
    one = save(set_aside(one, 7, has_failed.clone()), "list", json!(1), true);
    let gone = one.unfinished.remove(2, 0);
    let head = one.unfinished.begun(2, 8, 9);
    one.unsaved.extend(gone.into_iter().chain([head]));
    let one = record(&store, postponed(&one, much_later())).await;
    let leased = lease(&store).await.remove(0);
    assert_eq!((&leased.unfinished, &leased.saved), (&one.unfinished, &one.saved));
    assert_eq!((leased.unfinished.get(2, 0), leased.unfinished.get(2, 7)), (None, Some(&has_failed)));
    assert_eq!(leased.unfinished.next(2, 7), 8);
    // They are there for a replay, and for people.
    let ended = record(&store, failed(&leased)).await;
    assert_eq!(dossier(database, ended.event).await.runs[0].0.run.unfinished, ended.unfinished);
    assert_eq!(database.queries().await.failed(1).await.unwrap()[0].run.unfinished, ended.unfinished);
    store.replay(ended.event, None, much_later()).await.unwrap();
    let mut again = lease(&store).await.remove(0);
    assert_eq!(again.unfinished, ended.unfinished);
    again.unsaved.extend(again.unfinished.clear(2));
    let again = record(&store, stepped(&again)).await;
    let successor = database.successor(&store).await;
    assert_eq!(lease(&successor).await[0].unfinished, Unfinished::default());
    assert_eq!(again.saved, json!({ "list": [1] }).as_object().unwrap().clone());
}

pub(super) async fn saving_the_same_values_again_repeats_nothing(database: &dyn Database) {
    let store = database.open().await;
    let one = begin(&store, 0, run("a")).await;
    let mut saved = one;
    for n in 0..3 {
        saved = save(saved, "list", json!(n), true);
    }
    let step: Record = stepped(&save(saved, "value", json!("v"), false));
    let next = record(&store, step.clone()).await;
    record(&store, step).await;
    record(&store, postponed(&next, much_later())).await;
    assert_eq!(json!(lease(&store).await[0].saved), json!({ "list": [0, 1, 2], "value": "v" }));
}
