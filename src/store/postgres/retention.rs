//! PostgreSQL: deleting events whose runs are all finished, and expired ids and values.

use jiff::Timestamp;
use tokio_postgres::Transaction;

use super::memory;
use super::rows::column;
use crate::store::contract::{Pruned, Pruning, Result};

/// The maximum number of ids and values deleted in one batch.
const MOST_EXPIRED: i64 = 1_000;
/// How long failures are known after rules were told of them, in milliseconds.
const TOLD_FOR: i64 = 3_600_000;

/// Deletes up to `most` events, starting after the number `after`. The clocks of machines differ, so events received
/// earlier may have higher numbers: all are examined. Events that are just being changed are examined next time.
pub(super) async fn prune(sql: &Transaction<'_>, what: &Pruning, after: i64, most: usize) -> Result<Pruned> {
    let text = "SELECT seq FROM event WHERE seq > $1 AND received < $2 ORDER BY seq LIMIT $3 FOR UPDATE SKIP LOCKED";
    let rows = sql.query(text, &[&after, &what.before.as_millisecond(), &(most as i64)]).await?;
    let events: Vec<i64> = column(&rows, 0)?;
    let after = events.last().copied().unwrap_or(after);
    // They are locked: nobody starts runs of them from here on. Runs that end in the meantime wait for this statement.
    let text = "SELECT seq FROM unnest($1::bigint[]) AS seq WHERE NOT EXISTS (SELECT 1 FROM pending WHERE event = seq)
                AND ($2 OR NOT EXISTS (SELECT 1 FROM ended WHERE event = seq AND state = 'failed'))";
    let rows = sql.query(text, &[&events, &what.failed]).await?;
    let done: Vec<i64> = column(&rows, 0)?;
    if !what.is_dry_run && !done.is_empty() {
        for text in [
            "DELETE FROM attempt WHERE run IN (SELECT id FROM ended WHERE event = ANY($1))",
            "DELETE FROM saved WHERE run IN (SELECT id FROM ended WHERE event = ANY($1))",
            "DELETE FROM call WHERE run IN (SELECT id FROM ended WHERE event = ANY($1))",
            "DELETE FROM ended WHERE event = ANY($1)",
            "DELETE FROM answer WHERE event = ANY($1)",
            "DELETE FROM event WHERE seq = ANY($1)",
        ] {
            sql.execute(text, &[&done]).await?;
        }
    }
    Ok(Pruned { events: done.len(), after, is_all: events.len() < most })
}

/// Deletes expired delivery ids and `once_per` values; returns whether there may be more.
pub(super) async fn expire(sql: &Transaction<'_>, now: Timestamp) -> Result<bool> {
    let mut most = memory::expire(sql, now, MOST_EXPIRED).await?;
    let now = now.as_millisecond();
    for text in [
        "DELETE FROM delivery WHERE key IN (SELECT key FROM delivery WHERE until <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
        "DELETE FROM once WHERE key IN (SELECT key FROM once WHERE until <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
    ] {
        most = most.max(sql.execute(text, &[&now, &MOST_EXPIRED]).await?);
    }
    // Failures that rules were told of long ago, or that were not recorded in the end.
    let text =
        "DELETE FROM failure WHERE key IN (SELECT key FROM failure WHERE count = 0 AND coalesce(told, 0) < $1 FOR UPDATE SKIP LOCKED)";
    sql.execute(text, &[&(now - TOLD_FOR)]).await?;
    // Owners that are long dead and have no runs left.
    let text =
        "DELETE FROM owner o WHERE until < clock_timestamp() - interval '1 day' AND NOT EXISTS (SELECT 1 FROM pending WHERE owner = o.id)";
    sql.execute(text, &[]).await?;
    Ok(most as i64 >= MOST_EXPIRED)
}

/// How many bytes are in use. It reads everything, because a table's file does not shrink when rows are deleted.
pub(super) async fn size(sql: &Transaction<'_>) -> Result<u64> {
    let text = "SELECT (SELECT coalesce(sum(pg_column_size(e.*)), 0) FROM event e)
                + (SELECT coalesce(sum(pg_column_size(a.*)), 0) FROM attempt a)
                + (SELECT coalesce(sum(pg_column_size(s.*)), 0) FROM saved s)
                + (SELECT coalesce(sum(pg_column_size(p.*)), 0) FROM pending p)
                + (SELECT coalesce(sum(pg_column_size(r.*)), 0) FROM ended r)
                + (SELECT coalesce(sum(pg_column_size(w.*)), 0) FROM answer w)";
    Ok(sql.query_one(text, &[]).await?.try_get::<_, i64>(0)?.max(0) as u64)
}
