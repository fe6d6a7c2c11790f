//! The intents of file writers, and the rule files that runs refer to.

use std::sync::Arc;

use super::database::Database;
use super::samples::{
    accept, at, begin, done, dossier, event, lease, much_later, postponed, record, run, set_aside, stepped, taken, waits,
};
use crate::model::intent::Intent;
use crate::model::place::Place;
use crate::model::run::{Run, RunId};
use crate::store::contract::{Accept, Store};

fn intent(file: &str, offset: u64) -> Intent {
    let runs = vec![(1, 2, 3), (i64::MAX, u32::MAX, 0)];
    Intent { file: file.into(), identity: u64::MAX, offset, length: 5, digest: "d".into(), replaced: offset % 2 == 1, runs }
}

async fn intents(store: &Arc<dyn Store>, folder: &str) -> Vec<Intent> {
    let mut all = store.intents(folder).await.unwrap();
    all.sort_by(|a, b| a.file.cmp(&b.file));
    all
}

pub(super) async fn intents_belong_to_their_folder(database: &dyn Database) {
    let first = database.open().await;
    let long = "x/".repeat(3_000);
    for (folder, file, offset) in [("one", "a", 1), ("two", "a", 2), ("one", "b", 3), ("one", "a", 4), (&long, &long, 5)] {
        first.intend(folder, intent(file, offset)).await.unwrap();
    }
    let successor = database.successor(&first).await;
    assert_eq!(intents(&successor, "one").await, [intent("a", 4), intent("b", 3)], "a file has one intent");
    assert_eq!(intents(&successor, "two").await, [intent("a", 2)]);
    assert_eq!(intents(&successor, &long).await, [intent(&long, 5)]);
    assert!(intents(&successor, "three").await.is_empty());
    successor.forget("one", "a");
    successor.forget("three", "a");
    assert_eq!(intents(&successor, "one").await, [intent("b", 3)]);
    assert_eq!(intents(&successor, "two").await, [intent("a", 2)]);
}

/// `forget` returns nothing, and must take effect before every later operation.
pub(super) async fn an_intent_that_follows_a_deleted_one_stays(database: &dyn Database) {
    let store = database.open().await;
    for n in 0..50 {
        store.intend("folder", intent("file", n)).await.unwrap();
        store.forget("folder", "file");
        if n % 3 == 0 {
            assert!(intents(&store, "folder").await.is_empty());
        }
        store.intend("folder", intent("file", n + 1)).await.unwrap();
        assert_eq!(intents(&store, "folder").await, [intent("file", n + 1)]);
        store.forget("folder", "file");
    }
}

pub(super) async fn a_settled_effect_stays_settled_until_the_run_continues(database: &dyn Database) {
    let first = database.open().await;
    let (one, other) = (begin(&first, 0, run("a")).await, begin(&first, 0, run("a")).await);
    let successor = database.successor(&first).await;
    successor.settle(vec![(one.id, 0, 0), (other.id, 1, 0), (other.id, 0, 1), (i64::MAX, 0, 0)]).await.unwrap();
    let leased = lease(&successor).await;
    let settled = leased.iter().find(|run| run.id == one.id).unwrap();
    assert!(settled.settled);
    assert!(leased.iter().any(|run| run.id == other.id && !run.settled), "the run is at another step or element");
    // Recording the run again later does not undo it.
    let still = Run { settled: true, ..record(&successor, postponed(settled, much_later())).await };
    let settled = lease(&successor).await.into_iter().find(|run| run.id == one.id).unwrap();
    assert_eq!(settled, Run { turn: still.turn + 1, ..still });
    let next = record(&successor, stepped(&Run { settled: false, ..settled })).await;
    let successor = database.successor(&successor).await;
    let leased = lease(&successor).await;
    assert!(leased.iter().any(|run| run.id == next.id && !run.settled));
}

pub(super) async fn an_effect_of_an_element_that_waits_aside_is_settled_too(database: &dyn Database) {
    let first = database.open().await;
    let one = set_aside(begin(&first, 0, run("a")).await, 3, waits(5));
    let one = record(&first, stepped(&one)).await;
    let still = async |store: &Arc<dyn Store>, element| store.still_at(vec![(one.id, 5, element)]).await.unwrap();
    assert!(still(&first, 3).await && !still(&first, 4).await);
    let successor = database.successor(&first).await;
    // Effects of other steps and elements are none of its business.
    successor.settle(vec![(one.id, 4, 3), (one.id, 5, 4), (one.id + 1, 5, 3)]).await.unwrap();
    let leased = lease(&successor).await.remove(0);
    assert_eq!(leased.unfinished.get(2, 3), Some(&waits(5)));
    let leased = record(&successor, postponed(&leased, much_later())).await;
    successor.settle(vec![(leased.id, 5, 3)]).await.unwrap();
    let leased = lease(&successor).await.remove(0);
    assert!(!leased.is_settled() && leased.unfinished.get(2, 3).unwrap().settled);
    // The run takes up the element.
    let taken_up = Run { place: Place { step: 5, element: 3 }, ..leased };
    record(&successor, postponed(&taken_up, much_later())).await;
    assert!(lease(&successor).await.remove(0).is_settled());
}

pub(super) async fn an_element_that_is_set_aside_takes_along_that_it_is_settled(database: &dyn Database) {
    let store = database.open().await;
    let one = begin(&store, 0, run("a")).await;
    let one = record(&store, postponed(&Run { place: Place { step: 5, element: 3 }, ..one }, much_later())).await;
    assert_eq!(one.place.element, 3);
    let one = lease(&store).await.remove(0);
    // Before the result of its try is recorded.
    store.settle(vec![(one.id, 5, 3)]).await.unwrap();
    let aside = set_aside(Run { place: Place { step: 5, element: 4 }, ..one }, 3, waits(5));
    record(&store, postponed(&aside, much_later())).await;
    let leased = lease(&store).await.remove(0);
    assert!(!leased.is_settled() && leased.unfinished.get(2, 3).unwrap().settled);
}

pub(super) async fn an_effect_matters_only_while_a_run_is_still_at_it(database: &dyn Database) {
    let store = database.open().await;
    let one = begin(&store, 0, run("a")).await;
    let still = async |places: &[(RunId, u32, u32)]| store.still_at(places.to_vec()).await.unwrap();
    assert!(still(&[(one.id, 0, 0)]).await);
    assert!(!still(&[(one.id, 0, 1), (one.id, 1, 0), (one.id + 1, 0, 0)]).await && !still(&[]).await);
    assert!(still(&[(one.id, 1, 0), (one.id, 0, 0)]).await, "one of them is enough");
    let next = record(&store, stepped(&one)).await;
    assert_eq!(next.place, Place { step: 1, element: 0 });
    assert!(!still(&[(one.id, 0, 0)]).await && still(&[(one.id, 1, 0)]).await);
    record(&store, done(&next)).await;
    assert!(!still(&[(one.id, 1, 0)]).await);
}

pub(super) async fn rule_files_are_stored_by_their_content(database: &dyn Database) {
    let owners = database.owners().await;
    let file = |hash: &str, name: &str, text: &str| (hash.into(), name.to_owned(), text.to_owned());
    let (a, b) = (file("a", "a.yaml", "rules: 1"), file("b", "b.yaml", "ä"));
    let first = owners[0].remember(vec![a.clone(), b.clone()], "x".into(), at(0)).await.unwrap();
    let second = owners[0].remember(vec![b.clone()], "y".into(), at(1)).await.unwrap();
    let renamed = owners[0].remember(vec![file("b", "c.yaml", "ä")], "z".into(), at(2)).await.unwrap();
    assert!(first != second && second != renamed && first != renamed);
    for owner in &owners {
        assert_eq!(owner.remember(vec![a.clone(), b.clone()], "x".into(), at(0)).await.unwrap(), first, "the same set has the same number");
        assert_eq!(owner.text("b".into()).await.unwrap(), Some(("b.yaml".into(), "ä".into())));
        assert_eq!(owner.text("unknown".into()).await.unwrap(), None);
    }
    // The sets that were in use, the latest first; the same set again is no new version.
    let versions = database.queries().await.versions(3).await.unwrap();
    let seen: Vec<(_, Vec<&str>)> = versions.iter().map(|v| (v.at, v.files.iter().map(|(name, _)| name.as_str()).collect())).collect();
    assert_eq!(versions.iter().map(|v| v.by.as_deref()).collect::<Vec<_>>(), [Some("x"), Some("z"), Some("y")]);
    assert_eq!(seen, [(at(0), vec!["a.yaml", "b.yaml"]), (at(2), vec!["c.yaml"]), (at(1), vec!["b.yaml"])]);
    assert_eq!(database.queries().await.text("b".into()).await.unwrap().as_deref(), Some("ä"));
    // Many at the same time, in any order: as when all machines get new rules.
    let asked: Vec<_> = (0..20)
        .map(|n| {
            let (store, mut all) =
                (owners[n % owners.len()].clone(), (0..20).map(|n| file(&format!("h{n}"), "n", "t")).collect::<Vec<_>>());
            all.rotate_left(n);
            tokio::spawn(async move { store.remember(all, String::new(), at(3)).await.unwrap() })
        })
        .collect();
    for one in asked {
        one.await.unwrap();
    }
    // An event shows the files that were current when it arrived.
    let sent = event(0);
    let id = sent.id;
    accept(&owners[0], Accept { ruleset: first, ..taken(sent, Vec::new()) }).await;
    let mut texts = dossier(database, id).await.texts;
    texts.sort();
    assert_eq!(texts, [("a.yaml".to_owned(), "rules: 1".to_owned()), ("b.yaml".to_owned(), "ä".to_owned())]);
}
