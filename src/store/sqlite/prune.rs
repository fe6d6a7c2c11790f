//! SQLite: retention: deletes finished events, and expired delivery ids and `once_per` values, in small batches that do
//! not delay anyone. Events with waiting or failed runs are kept, unless a person requests otherwise.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, params};

use super::memory;
use super::rows::{Sql, range};
use crate::store::contract::{Pruned, Pruning};

/// The maximum number of ids and values deleted in one batch.
const MOST_EXPIRED: i64 = 1_000;
/// How long failures are known after rules were told of them, in milliseconds.
const TOLD_FOR: i64 = 3_600_000;

/// Deletes up to `most` events after the number `after`. The newest event stays, so that its number is never reused.
pub(super) fn prune(sql: &Transaction, what: &Pruning, after: i64, most: usize) -> Sql<Pruned> {
    let before = what.before.as_millisecond();
    let rows: Vec<(i64, i64)> = {
        let text = "SELECT seq, received FROM event WHERE seq > ?1 AND seq < (SELECT max(seq) FROM event) ORDER BY seq LIMIT ?2";
        let mut statement = sql.prepare_cached(text)?;
        statement.query_map(params![after, most as i64], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<Sql<_>>()?
    };
    let is_last = rows.len() < most;
    let mut pruned = Pruned { events: 0, after: rows.last().map_or(after, |r| r.0), is_all: is_last };
    for (event, received) in rows {
        if received >= before {
            // They are in the order of arrival, unless the clock was set back.
            pruned.is_all = true;
            break;
        }
        if is_needed(sql, event, what.failed)? {
            continue;
        }
        if !what.is_dry_run {
            forget(sql, event)?;
        }
        pruned.events += 1;
    }
    Ok(pruned)
}

/// Whether an event has runs that wait, or failed ones that must be kept.
fn is_needed(sql: &Transaction, event: i64, failed_too: bool) -> Sql<bool> {
    let range = range(event);
    if sql.prepare_cached("SELECT 1 FROM pending WHERE id >= ?1 AND id < ?2 LIMIT 1")?.exists(range)? {
        return Ok(true);
    }
    let text = "SELECT 1 FROM ended WHERE id >= ?1 AND id < ?2 AND state = 'failed' LIMIT 1";
    Ok(!failed_too && sql.prepare_cached(text)?.exists(range)?)
}

fn forget(sql: &Transaction, event: i64) -> Sql<()> {
    let range = range(event);
    sql.prepare_cached("DELETE FROM attempts WHERE run >= ?1 AND run < ?2")?.execute(range)?;
    sql.prepare_cached("DELETE FROM ended WHERE id >= ?1 AND id < ?2")?.execute(range)?;
    sql.prepare_cached("DELETE FROM saved WHERE run >= ?1 AND run < ?2")?.execute(range)?;
    sql.prepare_cached("DELETE FROM call WHERE run >= ?1 AND run < ?2")?.execute(range)?;
    sql.prepare_cached("DELETE FROM answer WHERE event = ?1")?.execute([event])?;
    sql.prepare_cached("DELETE FROM event WHERE seq = ?1")?.execute([event])?;
    Ok(())
}

/// Deletes expired delivery ids and `once_per` values; returns whether there may be more.
pub(super) fn expire(sql: &Transaction, now: Timestamp) -> Sql<bool> {
    let mut most = memory::expire(sql, now, MOST_EXPIRED)?;
    // Failures that rules were told of long ago.
    let told = now.as_millisecond() - TOLD_FOR;
    sql.prepare_cached("DELETE FROM failure WHERE count = 0 AND told < ?1")?.execute([told])?;
    for text in [
        "DELETE FROM delivery WHERE key IN (SELECT key FROM delivery WHERE until <= ?1 LIMIT ?2)",
        "DELETE FROM once WHERE (rule, value) IN (SELECT rule, value FROM once WHERE until <= ?1 LIMIT ?2)",
    ] {
        most = most.max(sql.prepare_cached(text)?.execute(params![now.as_millisecond(), MOST_EXPIRED])?);
    }
    Ok(most as i64 >= MOST_EXPIRED)
}

/// How many bytes of the file are in use.
pub(super) fn size(sql: &Connection) -> Sql<u64> {
    let pragma = |name: &str| sql.pragma_query_value(None, name, |r| r.get::<_, i64>(0));
    let used = pragma("page_count")? - pragma("freelist_count")?;
    Ok((used * pragma("page_size")?).max(0) as u64)
}
