//! SQLite: what rules remember.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

use super::rows::Sql;
use crate::model::remembered::MemoryChange;

/// What is remembered under a key, as JSON.
pub(super) fn find(sql: &Transaction, key: &str, now: Timestamp) -> Sql<Option<String>> {
    let text = "SELECT opened(value, 'memory') FROM memory WHERE key = ?1 AND (until IS NULL OR until > ?2)";
    sql.prepare_cached(text)?.query_row(params![key, now.as_millisecond()], |r| r.get(0)).optional()
}

/// Whether it is still what the step found.
pub(super) fn fits(sql: &Transaction, change: &MemoryChange) -> Sql<bool> {
    Ok(find(sql, &change.key, change.at)? == change.before)
}

/// Changes what is remembered.
pub(super) fn change(sql: &Transaction, change: &MemoryChange) -> Sql<()> {
    let MemoryChange { key, value, until, .. } = change;
    match value {
        Some(value) => {
            let text = "INSERT INTO memory (key, value, until) VALUES (?1, sealed(?2, 'memory'), ?3)
                        ON CONFLICT (key) DO UPDATE SET value = excluded.value, until = excluded.until";
            sql.prepare_cached(text)?.execute(params![key, value, until.map(|until| until.as_millisecond())])?;
        }
        None => drop(sql.prepare_cached("DELETE FROM memory WHERE key = ?1")?.execute([key])?),
    }
    Ok(())
}

/// Deletes up to `most` values that are not remembered any longer; returns how many.
pub(super) fn expire(sql: &Transaction, now: Timestamp, most: i64) -> Sql<usize> {
    let text = "DELETE FROM memory WHERE key IN (SELECT key FROM memory WHERE until <= ?1 LIMIT ?2)";
    sql.prepare_cached(text)?.execute(params![now.as_millisecond(), most])
}
