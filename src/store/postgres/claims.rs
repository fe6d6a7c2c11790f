//! PostgreSQL: how runs start: which start immediately, which wait in their lane, which are skipped because of
//! `once_per`; and which deliveries are known. All of this happens in the transaction that stores the event, and in one
//! order (see [`super`]), so that no two transactions deadlock.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use tokio_postgres::Transaction;

use super::rows::{column, from_json, json, keep_attempts, moment, read_id};
use crate::model::hash::hash;
use crate::model::run::{RunId, State};
use crate::store::attempts::used_already;
use crate::store::contract::{Accept, Delivery, NewRun, Result, StartResult};

/// How many locks all lanes share: also the maximum number that one transaction can hold, no matter how many lanes it
/// involves.
const LOCKS: u32 = 1_024;
/// Distinguishes these locks from all others in the database.
const LANES: i32 = 0x6c61_6e65;

/// Locks these lanes until the transaction ends; waits for other transactions that have them.
pub(super) async fn lock_lanes(sql: &Transaction<'_>, lanes: impl IntoIterator<Item = &[u8]>) -> Result<()> {
    let locks: BTreeSet<i32> = lanes.into_iter().map(|lane| (crc32fast::hash(lane) % LOCKS) as i32).collect();
    if !locks.is_empty() {
        // One after the other, in their order.
        let locks: Vec<i32> = locks.into_iter().collect();
        sql.execute("SELECT pg_advisory_xact_lock($1, lock) FROM unnest($2::int[]) AS lock", &[&LANES, &locks]).await?;
    }
    Ok(())
}

/// Starts the first run that waits in a lane, unless another run of the lane has started. The lane is locked.
pub(super) async fn open_lane(sql: &Transaction<'_>, lane: Option<&[u8]>) -> Result<()> {
    if let Some(lane) = lane {
        let text = "UPDATE pending SET queued = FALSE
                    WHERE id = (SELECT min(id) FROM pending WHERE sha256(lane) = sha256($1) AND queued)
                    AND NOT EXISTS (SELECT 1 FROM pending WHERE sha256(lane) = sha256($1) AND NOT queued)";
        sql.execute(text, &[&lane]).await?;
    }
    Ok(())
}

/// A key for any text. The parts stay distinct.
pub(super) fn key(parts: &[&str]) -> Result<String> {
    Ok(hash(json(parts)?.as_bytes()))
}

/// What is known about a delivery: its event, until when it is remembered, and the hash that distinguishes its request.
pub(super) type Known = Option<(i64, i64, String)>;

/// Claims deliveries, so that nobody else decides about them until the transaction ends. Returns their keys, each with what
/// was known about it before.
pub(super) async fn claim_deliveries(sql: &Transaction<'_>, deliveries: &[Delivery]) -> Result<Vec<(String, Known)>> {
    let keys: Vec<String> = deliveries.iter().map(|delivery| key(&[&delivery.key])).collect::<Result<_>>()?;
    let mut known: BTreeMap<&String, Known> = keys.iter().map(|key| (key, None)).collect();
    for (key, known) in &mut known {
        // This locks an existing row and leaves it as it is; a new row has no event, and is deleted with the expired ones if
        // it gets none.
        let text = "INSERT INTO delivery (key) VALUES ($1) ON CONFLICT (key) DO UPDATE SET until = delivery.until
                    RETURNING event, until, request";
        let row = sql.query_one(text, &[key]).await?;
        let event: Option<i64> = row.try_get(0)?;
        *known = event.map(|event| Ok::<_, tokio_postgres::Error>((event, row.try_get(1)?, row.try_get(2)?))).transpose()?;
    }
    Ok(keys.iter().map(|key| (key.clone(), known[key].clone())).collect())
}

/// Stores the deliveries by which an event arrived.
pub(super) async fn keep_deliveries(sql: &Transaction<'_>, keys: &[(String, Known)], accept: &Accept, event: i64) -> Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let (now, request) = (accept.event.received.as_millisecond(), accept.event.request_hash());
    for ((key, _), delivery) in keys.iter().zip(&accept.deliveries) {
        let until = now.saturating_add(delivery.remembered.as_millis() as i64);
        sql.execute("UPDATE delivery SET event = $2, until = $3, request = $4 WHERE key = $1", &[key, &event, &until, &request]).await?;
    }
    Ok(())
}

/// A `once_per` value as in a run's `once` column.
type Claim = (String, i64);

/// Claims again what replayed runs had claimed before, even if other runs have it by now.
pub(super) async fn claim_again(sql: &Transaction<'_>, runs: &[(RunId, String, Option<String>)], now: i64) -> Result<()> {
    let mut claims = BTreeMap::new();
    for (run, rule, once) in runs {
        let Some(once) = once else { continue };
        let (value, within): Claim = from_json(once)?;
        claims.insert(key(&[rule, &value])?, (run, now.saturating_add(within)));
    }
    for (key, (run, until)) in claims {
        let text = "INSERT INTO once (key, run, until) VALUES ($1, $2, $3)
                    ON CONFLICT (key) DO UPDATE SET run = EXCLUDED.run, until = EXCLUDED.until";
        sql.execute(text, &[&key, run, &until]).await?;
    }
    Ok(())
}

/// Releases the values of runs that ended without success.
pub(super) async fn give_back(sql: &Transaction<'_>, runs: &[(RunId, String, Option<String>)]) -> Result<()> {
    let mut claims = BTreeSet::new();
    for (run, rule, once) in runs {
        let Some(once) = once else { continue };
        let (value, _): Claim = from_json(once)?;
        claims.insert((key(&[rule, &value])?, run));
    }
    for (key, run) in claims {
        sql.execute("DELETE FROM once WHERE key = $1 AND run = $2", &[&key, run]).await?;
    }
    Ok(())
}

/// Inserts an event's new runs into `pending`; those that start immediately belong to the owner `by`.
pub(super) async fn insert_runs(
    sql: &Transaction<'_>,
    event: i64,
    due: i64,
    by: i64,
    runs: &[NewRun],
) -> Result<Vec<(RunId, StartResult)>> {
    lock_lanes(sql, runs.iter().filter_map(|run| run.lane.as_deref()).map(str::as_bytes)).await?;
    // They are numbered only now that the lanes are locked, so numbers are in a lane's order.
    let text = "SELECT nextval('run_number') AS id FROM generate_series(1, $1::bigint) ORDER BY id";
    let rows = sql.query(text, &[&(runs.len() as i64)]).await?;
    let numbers: Vec<RunId> = column(&rows, 0)?;
    let claimed = claim(sql, due, runs, &numbers).await?;
    let mut results = Vec::with_capacity(runs.len());
    for (&id, run) in numbers.iter().zip(runs) {
        let rule = run.rule.as_bytes();
        if run.once.is_some() && !claimed.contains(&id) {
            repeated(sql, id, event, due, run).await?;
            results.push((id, StartResult::Repeated));
            continue;
        }
        let once = run.once.as_ref().map(|o| json(&(&o.value, o.within.as_millis() as u64))).transpose()?;
        let lane = run.lane.as_deref().map(str::as_bytes);
        let text = "INSERT INTO pending (id, event, rule, text, lane, step, due, once, owner, queued)
                    SELECT $1, $2, $3, $4, $5, $6, $7, $8, CASE WHEN queued THEN 0 ELSE $9::bigint END, queued
                    FROM (SELECT EXISTS (SELECT 1 FROM pending WHERE sha256(lane) = sha256($5)) AS queued) lane RETURNING queued";
        let row = sql.query_one(text, &[&id, &event, &rule, &&*run.text, &lane, &i64::from(run.step), &due, &once, &by]).await?;
        let queued: bool = row.try_get(0)?;
        results.push((id, if queued || by == 0 { StartResult::Queued } else { StartResult::Begun }));
    }
    Ok(results)
}

/// Claims the `once_per` values of runs; returns the runs that got theirs. Of several with the same value, the first gets it.
async fn claim(sql: &Transaction<'_>, now: i64, runs: &[NewRun], numbers: &[RunId]) -> Result<HashSet<RunId>> {
    let mut wanted = BTreeMap::new();
    for (&id, run) in numbers.iter().zip(runs) {
        if let Some(once) = &run.once {
            let until = now.saturating_add(once.within.as_millis() as i64);
            wanted.entry(key(&[&run.rule, &once.value])?).or_insert((id, until));
        }
    }
    let mut claimed = HashSet::new();
    for (key, (id, until)) in wanted {
        let text = "INSERT INTO once (key, run, until) VALUES ($1, $2, $3)
                    ON CONFLICT (key) DO UPDATE SET run = EXCLUDED.run, until = EXCLUDED.until WHERE once.until <= $4";
        if sql.execute(text, &[&key, &id, &until, &now]).await? > 0 {
            claimed.insert(id);
        }
    }
    Ok(claimed)
}

/// Queries a run that is never started, for people who ask why.
async fn repeated(sql: &Transaction<'_>, id: RunId, event: i64, now: i64, run: &NewRun) -> Result<()> {
    let value = run.once.as_ref().map_or("", |o| o.value.as_str());
    // The run that has the value may have ended.
    let text = "SELECT e.id FROM once o JOIN (SELECT id, event FROM pending UNION ALL SELECT id, event FROM ended) r ON r.id = o.run
                JOIN event e ON e.seq = r.event WHERE o.key = $1";
    let first = sql.query_opt(text, &[&key(&[&run.rule, value])?]).await?.map(|row| read_id(&row, 0)).transpose()?;
    let text = "INSERT INTO ended (id, event, rule, text, state, step, element, tried, at, forgiven, replays)
                VALUES ($1, $2, $3, $4, $5, $6, 0, 0, $7, FALSE, 0)";
    let state = State::Repeated.word();
    sql.execute(text, &[&id, &event, &run.rule.as_bytes(), &&*run.text, &state, &i64::from(run.step), &now]).await?;
    keep_attempts(sql, id, &[used_already(value, first, moment(now))]).await
}
