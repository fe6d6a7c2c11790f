//! SQLite: how runs start: which start immediately, which wait in their lane, and which are skipped because of
//! `once_per`. All of this happens in the transaction that stores the event.

use rusqlite::{OptionalExtension, Transaction, params};

use super::rows::{Ended, MOST_RUNS, Sql, event_id, from_json, json, moment};
use super::statements::{Hot, Statements};
use crate::model::place::Place;
use crate::model::run::{RunId, State};
use crate::store::attempts::used_already;
use crate::store::contract::{NewRun, StartResult};

/// Inserts an event's new runs into `pending`, numbered from `first`; those that start immediately belong to the owner
/// `by`.
pub(super) fn insert_runs(
    sql: &Transaction,
    hot: &mut Statements,
    event: i64,
    first: RunId,
    due: i64,
    by: i64,
    runs: &[NewRun],
) -> Sql<Vec<StartResult>> {
    let mut results = Vec::with_capacity(runs.len());
    for (id, run) in (first..).zip(runs.iter().take(MOST_RUNS as usize)) {
        if let Some(once) = &run.once
            && let Some(before) = claimed(sql, &run.rule, &once.value, due)?
        {
            repeated(sql, hot, id, event, due, run, before)?;
            results.push(StartResult::Repeated);
            continue;
        }
        let queued = is_queued(sql, run.lane.as_deref())?;
        let by = if queued { 0 } else { by };
        let once = run.once.as_ref().map(|o| json(&(&o.value, o.within.as_millis() as u64))).transpose()?;
        let values = params![id, event, &*run.rule, &*run.text, run.lane.as_deref(), run.step, due, by, queued, once];
        hot.execute(Hot::StoreRun, values)?;
        claim(sql, &run.rule, id, once.as_deref(), due)?;
        results.push(if by == 0 { StartResult::Queued } else { StartResult::Begun });
    }
    Ok(results)
}

/// The run that has claimed a `once_per` value, if that is still remembered.
fn claimed(sql: &Transaction, rule: &str, value: &str, now: i64) -> Sql<Option<RunId>> {
    let mut statement = sql.prepare_cached("SELECT run FROM once WHERE rule = ?1 AND value = ?2 AND until > ?3")?;
    statement.query_row(params![rule, value, now], |r| r.get(0)).optional()
}

/// Claims the value in a run's `once` column.
pub(super) fn claim(sql: &Transaction, rule: &str, run: RunId, once: Option<&str>, now: i64) -> Sql<()> {
    let Some(once) = once else { return Ok(()) };
    let (value, within): (String, i64) = from_json(once, 0)?;
    sql.prepare_cached("INSERT OR REPLACE INTO once (rule, value, run, until) VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        rule,
        value,
        run,
        now.saturating_add(within)
    ])?;
    Ok(())
}

/// Releases the value of a run that ended without success.
pub(super) fn give_back(sql: &Transaction, rule: &str, run: RunId, once: Option<&str>) -> Sql<()> {
    let Some(once) = once else { return Ok(()) };
    let (value, _): (String, i64) = from_json(once, 0)?;
    sql.prepare_cached("DELETE FROM once WHERE rule = ?1 AND value = ?2 AND run = ?3")?.execute(params![rule, value, run])?;
    Ok(())
}

/// Queries a run that is never started, for people who ask why.
fn repeated(sql: &Transaction, hot: &mut Statements, id: RunId, event: i64, now: i64, run: &NewRun, before: RunId) -> Sql<()> {
    let first =
        sql.prepare_cached("SELECT id FROM event WHERE seq = ?1")?.query_row([before / MOST_RUNS], |r| event_id(r, 0)).optional()?;
    let value = run.once.as_ref().map_or("", |o| o.value.as_str());
    let attempts = json(&[used_already(value, first, moment(now))])?;
    let ended = Ended {
        id,
        event,
        rule: &run.rule,
        text: &run.text,
        state: State::Repeated,
        place: Place { step: run.step, element: 0 },
        tried: 0,
        at: now,
        saved: "{}",
        forgiven: false,
        replays: 0,
        attempts: &attempts,
        lane: None,
        once: None,
    };
    ended.insert(sql, hot)
}

/// Whether a run of this lane has to wait for another one.
pub(super) fn is_queued(sql: &Transaction, lane: Option<&str>) -> Sql<bool> {
    match lane {
        Some(lane) => sql.prepare_cached("SELECT 1 FROM pending WHERE lane = ?1 LIMIT 1")?.exists([lane]),
        None => Ok(false),
    }
}

/// Starts the first run that waits in a lane, unless another run of the lane has started.
pub(super) fn open_lane(sql: &Transaction, lane: Option<&str>) -> Sql<()> {
    if let Some(lane) = lane {
        let text = "UPDATE pending SET queued = 0 WHERE id = (SELECT min(id) FROM pending WHERE lane = ?1 AND queued = 1)
                    AND NOT EXISTS (SELECT 1 FROM pending WHERE lane = ?1 AND queued = 0)";
        sql.prepare_cached(text)?.execute([lane])?;
    }
    Ok(())
}
