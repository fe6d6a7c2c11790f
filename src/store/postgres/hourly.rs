//! PostgreSQL: the hourly counts of rules and addresses, which all owners add to.

use tokio_postgres::{Row, Transaction};

use crate::model::hash::hash;
use crate::model::hourly::{Hour, Hourly, HourlyCounts};
use crate::store::contract::Result;

/// Adds counts, in the order of their keys, and deletes those of hours before `first`.
pub(super) async fn add(sql: &Transaction<'_>, counts: &[Hourly], first: Hour) -> Result<()> {
    let key = |one: &Hourly| hash(format!("{}\0{}", one.rule, one.address).as_bytes());
    let mut sorted: Vec<(i64, String, &Hourly)> = counts.iter().map(|one| (one.hour.0, key(one), one)).collect();
    sorted.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    let text = "INSERT INTO hourly (hour, key, rule, address, ran, did_not, failed) VALUES ($1, $2, $3, $4, $5, $6, $7)
                ON CONFLICT (hour, key) DO UPDATE SET ran = hourly.ran + excluded.ran, did_not = hourly.did_not + excluded.did_not,
                failed = hourly.failed + excluded.failed";
    for (hour, key, Hourly { rule, address, counts, .. }) in sorted {
        let [ran, did_not, failed] = [counts.ran, counts.did_not, counts.failed].map(|n| n as i64);
        sql.execute(text, &[&hour, &key, &rule.as_bytes(), &address.as_bytes(), &ran, &did_not, &failed]).await?;
    }
    // Rows that another owner is deleting at this moment are left to it.
    let old = "DELETE FROM hourly WHERE (hour, key) IN (SELECT hour, key FROM hourly WHERE hour < $1 FOR UPDATE SKIP LOCKED)";
    sql.execute(old, &[&first.0]).await?;
    Ok(())
}

/// The counts from an hour on, of all rules or of one.
pub(super) async fn since(sql: &Transaction<'_>, since: Hour, rule: Option<&str>) -> Result<Vec<Hourly>> {
    let text = "SELECT hour, rule, address, ran, did_not, failed FROM hourly WHERE hour >= $1 AND ($2::bytea IS NULL OR rule = $2)";
    let rows = sql.query(text, &[&since.0, &rule.map(str::as_bytes)]).await?;
    let text = |row: &Row, column| Ok::<_, tokio_postgres::Error>(String::from_utf8_lossy(row.try_get(column)?).into_owned());
    let count = |row: &Row, column| Ok::<_, tokio_postgres::Error>(row.try_get::<_, i64>(column)?.max(0) as u64);
    let read = |row: &Row| {
        let counts = HourlyCounts { ran: count(row, 3)?, did_not: count(row, 4)?, failed: count(row, 5)? };
        Ok(Hourly { hour: Hour(row.try_get(0)?), rule: text(row, 1)?, address: text(row, 2)?, counts })
    };
    rows.iter().map(read).collect()
}
