//! PostgreSQL: handing out runs: those without an owner to any owner, and those of an owner back to it after it lost
//! track of them.

use std::collections::HashMap;

use jiff::Timestamp;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Transaction};

use super::owner::{Owner, dead};
use super::rows::{EVENT, PENDING, SIZE, add_saved, column, moment, number, read_run, read_unread};
use crate::model::event::Unread;
use crate::model::run::{Run, RunId, State};
use crate::store::contract::{Heavy, Held, Result};

/// Leases runs without an owner: first those of dead owners, then those that are due. Runs that another transaction is just
/// examining are left to it.
pub(super) async fn lease(
    sql: &Transaction<'_>,
    owner: &Owner,
    now: Timestamp,
    most: usize,
    mut heavy: Heavy,
) -> Result<Vec<(Run, Unread)>> {
    owner.live(sql).await?;
    let dead = dead(sql).await?;
    let mut rows = Vec::new();
    if !dead.is_empty() {
        // Owners that were dead when this was checked: no new owner can get one of these numbers.
        let which = "owner = ANY($1) AND NOT queued";
        let chosen = choose(sql, which, "id", &mut heavy, most, &dead).await?;
        rows = take(sql, owner, "id = ANY($2) AND owner = ANY($3) AND NOT queued", "SKIP LOCKED", &[&chosen, &dead]).await?;
        rows.sort_by_key(number_of);
    }
    let now = now.as_millisecond();
    let chosen = choose(sql, "owner = 0 AND NOT queued AND due <= $1", "due, id", &mut heavy, most - rows.len(), &now).await?;
    let due = "id = ANY($2) AND owner = 0 AND NOT queued AND due <= $3";
    let mut due = take(sql, owner, due, "SKIP LOCKED", &[&chosen, &now]).await?;
    due.sort_by_key(|row| (row.try_get::<_, i64>(7).ok(), number_of(row)));
    rows.extend(due);
    with_events(sql, &rows).await
}

/// This owner's runs as stored.
pub(super) async fn held(sql: &Transaction<'_>, owner: &Owner, which: Held) -> Result<Vec<(Run, Unread)>> {
    owner.live(sql).await?;
    // Once released, it may have been leased by another owner: that is one lease and one record more than was known.
    let rows = match which {
        Held::Run(run, turn) => take(sql, owner, "owner = $1 AND id = $2 AND turn <= $3", "", &[&run, &(turn + 1)]).await?,
        Held::Event(event) => match number(sql, event).await? {
            Some(event) => take(sql, owner, "owner = $1 AND event = $2 AND turn <= 0 ORDER BY id", "", &[&event]).await?,
            None => Vec::new(),
        },
    };
    with_events(sql, &rows).await
}

/// The runs that this owner has leased or recorded, with their turn numbers.
pub(super) async fn owned(sql: &Transaction<'_>, owner: &Owner) -> Result<Vec<(RunId, i64)>> {
    let rows = sql.query("SELECT id, turn FROM pending WHERE owner = $1 AND turn > 0", &[&owner.id]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// When there is something to lease: immediately while runs of dead owners are left.
pub(super) async fn next_due(sql: &Transaction<'_>) -> Result<Option<Timestamp>> {
    let dead = dead(sql).await?;
    if !dead.is_empty() && sql.query_opt("SELECT 1 FROM pending WHERE owner = ANY($1) AND NOT queued LIMIT 1", &[&dead]).await?.is_some() {
        return Ok(Some(Timestamp::UNIX_EPOCH));
    }
    let row = sql.query_one("SELECT min(due) FROM pending WHERE owner = 0 AND NOT queued", &[]).await?;
    Ok(row.try_get::<_, Option<i64>>(0)?.map(moment))
}

/// The first runs that match the condition (on `$1`), without those that are too heavy. Another owner may still take them.
async fn choose(
    sql: &Transaction<'_>,
    which: &str,
    order: &str,
    heavy: &mut Heavy,
    most: usize,
    of: &(dyn ToSql + Sync),
) -> Result<Vec<RunId>> {
    let sized = format!("SELECT p.id, p.due, {SIZE} AS size FROM pending p JOIN event e ON e.seq = p.event WHERE {which}");
    let text = format!("SELECT id, size FROM ({sized}) sized ORDER BY {order}");
    let mut chosen = Vec::new();
    for row in sql.query(&text, &[of]).await? {
        let size: i64 = row.try_get(1)?;
        if chosen.len() < most && heavy.takes(size as u64) {
            chosen.push(row.try_get(0)?);
        }
    }
    Ok(chosen)
}

/// Takes the runs that match the condition for this owner (`$1`), unless somebody else takes them first.
async fn take(sql: &Transaction<'_>, owner: &Owner, which: &str, locked: &str, and: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
    let text = format!(
        "WITH chosen AS (SELECT id FROM pending WHERE {which} FOR UPDATE {locked})
         UPDATE pending p SET owner = $1, turn = turn + 1 FROM chosen WHERE p.id = chosen.id RETURNING {PENDING}"
    );
    let all: Vec<&(dyn ToSql + Sync)> = std::iter::once(&owner.id as &(dyn ToSql + Sync)).chain(and.iter().copied()).collect();
    Ok(sql.query(&text, &all).await?)
}

fn number_of(row: &Row) -> Option<RunId> {
    row.try_get(0).ok()
}

/// Reads runs with their events and saved values.
async fn with_events(sql: &Transaction<'_>, rows: &[Row]) -> Result<Vec<(Run, Unread)>> {
    let numbers: Vec<i64> = column(rows, 1)?;
    let text = format!("SELECT {EVENT}, e.seq FROM event e WHERE e.seq = ANY($1)");
    let mut events = HashMap::new();
    for row in sql.query(&text, &[&numbers]).await? {
        events.insert(row.try_get::<_, i64>(4)?, read_unread(&row, 0)?);
    }
    let mut runs = Vec::with_capacity(rows.len());
    for (row, event) in rows.iter().zip(&numbers) {
        if let Some(event) = events.get(event) {
            runs.push((read_run(row, event.event().id, State::Waiting)?, event.clone()));
        }
    }
    add_saved(sql, &mut runs.iter_mut().map(|(run, _)| run).collect::<Vec<_>>()).await?;
    Ok(runs)
}
