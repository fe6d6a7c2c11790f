//! The hourly counts of rules and addresses.

use super::database::Database;
use crate::model::hourly::{Hour, Hourly, HourlyCounts};

fn counts(hour: i64, rule: &str, [ran, did_not, failed]: [u64; 3]) -> Hourly {
    Hourly { hour: Hour(hour), rule: rule.to_owned(), address: "/a".to_owned(), counts: HourlyCounts { ran, did_not, failed } }
}

async fn stored(database: &dyn Database, since: i64, rule: Option<&str>) -> Vec<Hourly> {
    let mut all = database.queries().await.hourly(Hour(since), rule.map(str::to_owned)).await.unwrap();
    all.sort_by(|a, b| (a.hour, &a.rule, &a.address).cmp(&(b.hour, &b.rule, &b.address)));
    all
}

pub(super) async fn hourly_counts_add_up(database: &dyn Database) {
    let owners = database.owners().await;
    let strange = "né'\"\\ \u{202e}\0".to_owned() + &"x".repeat(9_000);
    owners[0]
        .add_hourly(vec![counts(5, "a", [1, 2, 0]), counts(6, "a", [1, 0, 0]), counts(5, &strange, [7, 0, 0])], Hour(0))
        .await
        .unwrap();
    owners.last().unwrap().add_hourly(vec![counts(5, "a", [10, 0, 3])], Hour(0)).await.unwrap();
    let elsewhere = Hourly { address: "/b".to_owned(), ..counts(5, "a", [0, 1, 0]) };
    owners[0].add_hourly(vec![elsewhere.clone()], Hour(0)).await.unwrap();
    assert_eq!(stored(database, 5, Some("a")).await, [counts(5, "a", [11, 2, 3]), elsewhere, counts(6, "a", [1, 0, 0])]);
    assert_eq!(stored(database, 6, None).await, [counts(6, "a", [1, 0, 0])]);
    assert_eq!(stored(database, 0, Some(&strange)).await, [counts(5, &strange, [7, 0, 0])]);
    assert!(stored(database, 7, None).await.is_empty());
}

pub(super) async fn hourly_counts_of_old_hours_are_deleted(database: &dyn Database) {
    let store = database.open().await;
    store.add_hourly((1..6).map(|hour| counts(hour, "a", [1, 0, 0])).collect(), Hour(0)).await.unwrap();
    store.add_hourly(Vec::new(), Hour(4)).await.unwrap();
    assert_eq!(stored(database, 0, None).await, [counts(4, "a", [1, 0, 0]), counts(5, "a", [1, 0, 0])]);
}
