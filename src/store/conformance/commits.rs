//! How commits are counted.

use super::database::Database;
use super::samples::{begin, done, record, run};

pub(super) async fn commits_are_counted(database: &dyn Database) {
    let store = database.open().await;
    let commits = store.commits();
    let before = (commits.took.now().count, commits.operations.now());
    let one = begin(&store, 0, run("a")).await;
    record(&store, done(&one)).await;
    let after = (commits.took.now().count, commits.operations.now());
    // Each was waited for, so they did not share a commit.
    assert!(after.0 >= before.0 + 2 && after.1 >= before.1 + 2, "{before:?} {after:?}");
    assert_eq!(commits.failed.now(), 0);
}

pub(super) async fn touching_the_store_is_a_commit_that_changes_no_run(database: &dyn Database) {
    let store = database.open().await;
    let one = begin(&store, 0, run("a")).await;
    let before = store.commits().operations.now();
    store.touch().await.unwrap();
    assert!(store.commits().operations.now() > before);
    record(&store, done(&one)).await;
}
