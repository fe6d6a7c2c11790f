//! PostgreSQL: what rules remember. A key that is not remembered yet has a row without a value while somebody changes it, so that
//! it can be locked.

use jiff::Timestamp;
use tokio_postgres::Transaction;

use crate::model::hash::hash;
use crate::model::remembered::MemoryChange;
use crate::store::contract::Result;

/// What is remembered under a key, as JSON.
pub(super) async fn find(sql: &Transaction<'_>, key: &str, now: Timestamp) -> Result<Option<String>> {
    let text = "SELECT value FROM memory WHERE key = $1 AND value IS NOT NULL AND (until IS NULL OR until > $2)";
    let row = sql.query_opt(text, &[&hash(key.as_bytes()), &now.as_millisecond()]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// Locks a key until the transaction ends. Returns whether there is still what the step found.
pub(super) async fn lock(sql: &Transaction<'_>, change: &MemoryChange) -> Result<bool> {
    let text = "INSERT INTO memory (key, name) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET name = excluded.name";
    sql.execute(text, &[&hash(change.key.as_bytes()), &change.key.as_bytes()]).await?;
    Ok(find(sql, &change.key, change.at).await? == change.before)
}

/// Changes what is remembered; the key is locked.
pub(super) async fn change(sql: &Transaction<'_>, change: &MemoryChange) -> Result<()> {
    let until = change.until.map(|until| until.as_millisecond());
    let text = "UPDATE memory SET value = $2, until = $3 WHERE key = $1";
    sql.execute(text, &[&hash(change.key.as_bytes()), &change.value, &until]).await?;
    Ok(())
}

/// Deletes up to `most` values that are not remembered any longer, and rows without one; returns how many.
pub(super) async fn expire(sql: &Transaction<'_>, now: Timestamp, most: i64) -> Result<u64> {
    let text = "DELETE FROM memory WHERE key IN
                (SELECT key FROM memory WHERE until <= $1 OR value IS NULL LIMIT $2 FOR UPDATE SKIP LOCKED)";
    Ok(sql.execute(text, &[&now.as_millisecond(), &most]).await?)
}
