//! SQLite: the hourly counts of rules and addresses.

use rusqlite::{Connection, Row, Transaction, params};

use super::rows::Sql;
use crate::model::hourly::{Hour, Hourly, HourlyCounts};

/// Adds counts, and deletes those of hours before `first`.
pub(super) fn add(sql: &Transaction, counts: &[Hourly], first: Hour) -> Sql<()> {
    let text = "INSERT INTO hourly (hour, rule, address, ran, did_not, failed) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                ON CONFLICT DO UPDATE SET ran = ran + excluded.ran, did_not = did_not + excluded.did_not, failed = failed + excluded.failed";
    for Hourly { hour, rule, address, counts } in counts {
        let [ran, did_not, failed] = [counts.ran, counts.did_not, counts.failed].map(|n| n as i64);
        sql.prepare_cached(text)?.execute(params![hour.0, rule, address, ran, did_not, failed])?;
    }
    sql.prepare_cached("DELETE FROM hourly WHERE hour < ?1")?.execute([first.0])?;
    Ok(())
}

/// The counts from an hour on, of all rules or of one.
pub(super) fn since(sql: &Connection, since: Hour, rule: Option<&str>) -> Sql<Vec<Hourly>> {
    let text = "SELECT hour, rule, address, ran, did_not, failed FROM hourly WHERE hour >= ?1 AND (?2 IS NULL OR rule = ?2)";
    let read = |r: &Row| {
        let count = |column| r.get::<_, i64>(column).map(|n| n.max(0) as u64);
        let counts = HourlyCounts { ran: count(3)?, did_not: count(4)?, failed: count(5)? };
        Ok(Hourly { hour: Hour(r.get(0)?), rule: r.get(1)?, address: r.get(2)?, counts })
    };
    sql.prepare_cached(text)?.query_map(params![since.0, rule], read)?.collect()
}
