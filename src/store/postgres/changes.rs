//! PostgreSQL: changes by people, and at startup: failed runs are continued, rules are started again for an event,
//! waiting runs are cancelled or quarantined, effects are found to be done.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use tokio_postgres::Transaction;

use super::accept::restart;
use super::alarms;
use super::called_runs;
use super::claims::insert_runs;
use super::ending::{Locked, end, lock};
use super::owner::dead;
use super::rows::{column, number, read_id, read_text, settle_aside};
use super::texts::keep_texts;
use crate::model::event::EventId;
use crate::model::origin::FAILED;
use crate::model::place::Place;
use crate::model::run::{RunId, State, TextHash};
use crate::store::attempts::{MOST_CRASHES, failure_of, quarantined, too_often};
use crate::store::contract::{Cancelled, EffectKey, NewRun, Result, WaitingRuns};
use crate::store::starts::FailureReport;

/// The number of an event, locked so that nobody else changes or deletes it until the transaction ends.
async fn lock_event(sql: &Transaction<'_>, event: EventId) -> Result<Option<i64>> {
    let row = sql.query_opt("SELECT seq FROM event WHERE id = $1 FOR UPDATE", &[&&event.0.as_bytes()[..]]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// Continues failed runs of an event; returns how many.
pub(super) async fn replay(sql: &Transaction<'_>, event: EventId, rule: Option<&str>, now: Timestamp) -> Result<usize> {
    match lock_event(sql, event).await? {
        Some(event) => restart(sql, event, rule, now.as_millisecond()).await,
        None => Ok(0),
    }
}

/// Starts rules for an event; returns how many runs were started.
pub(super) async fn start_anew(
    sql: &Transaction<'_>,
    event: EventId,
    runs: &[NewRun],
    texts: &[(TextHash, String, String)],
    now: Timestamp,
) -> Result<usize> {
    let Some(event) = lock_event(sql, event).await? else { return Ok(0) };
    keep_texts(sql, texts).await?;
    insert_runs(sql, event, now.as_millisecond(), 0, runs).await.map(|begun| begun.len())
}

/// Ends waiting runs. Runs that a living owner is working on are not changed; those of a dead owner are.
pub(super) async fn cancel(sql: &Transaction<'_>, which: &WaitingRuns, now: Timestamp) -> Result<Cancelled> {
    let event = match which.event {
        Some(event) => match number(sql, event).await? {
            Some(event) => Some(event),
            None => return Ok(Cancelled { runs: 0, busy: 0 }),
        },
        None => None,
    };
    let text = "SELECT id FROM pending WHERE ($1::bigint IS NULL OR event = $1) AND ($2::bytea IS NULL OR rule = $2)";
    let found = sql.query(text, &[&event, &which.rule.as_deref().map(str::as_bytes)]).await?;
    let mut found: Vec<RunId> = column(&found, 0)?;
    found.extend(called_runs::awaited_of(sql, &found).await?);
    let locked = lock(sql, &found).await?;
    let dead: HashSet<i64> = dead(sql).await?.into_iter().collect();
    let (free, busy): (Vec<Locked>, Vec<Locked>) = locked.into_iter().partition(|run| run.owner == 0 || dead.contains(&run.owner));
    end(sql, &free, State::Cancelled, now, |_| Vec::new()).await?;
    Ok(Cancelled { runs: free.len(), busy: busy.len() })
}

/// Counts a crash of the program for these runs, and quarantines those that reach the limit.
pub(super) async fn crashed_with(sql: &Transaction<'_>, runs: &[RunId], now: Timestamp) -> Result<Vec<(EventId, String)>> {
    let reports = reports(sql, runs, now).await?;
    alarms::lock(sql, &reports.values().collect::<Vec<_>>()).await?;
    let mut locked = lock(sql, runs).await?;
    let mut quarantined_runs = HashSet::new();
    for run in runs {
        let text = "UPDATE pending SET crashes = crashes + 1 WHERE id = $1 RETURNING crashes";
        let times = sql.query_opt(text, &[run]).await?.map(|row| row.try_get::<_, i32>(0)).transpose()?;
        if times.is_some_and(|times| i64::from(times) >= i64::from(MOST_CRASHES)) {
            quarantined_runs.insert(*run);
        }
    }
    locked.retain(|run| quarantined_runs.contains(&run.id));
    end(sql, &locked, State::Failed, now, |run| vec![quarantined(run.place, run.tried, now, too_often())]).await?;
    for report in locked.iter().filter_map(|run| reports.get(&run.id)) {
        alarms::report(sql, report).await?;
    }
    Ok(locked.into_iter().map(|run| (run.event, run.rule)).collect())
}

/// What rules would be told of these runs if they are quarantined.
async fn reports(sql: &Transaction<'_>, runs: &[RunId], now: Timestamp) -> Result<HashMap<RunId, FailureReport>> {
    let text = "SELECT p.id, p.rule, p.step, p.tried, e.id, e.head::json ->> 'address' FROM pending p JOIN event e ON e.seq = p.event
                WHERE p.id = ANY($1) AND e.head::json ->> 'method' <> $2
                AND NOT EXISTS (SELECT 1 FROM call c WHERE c.run = p.id AND c.awaited)";
    let mut all = HashMap::new();
    for row in sql.query(text, &[&runs, &FAILED]).await? {
        let (step, tried): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
        let place = Place { step: step as u32, element: 0 };
        let last = quarantined(place, tried as u32, now, too_often());
        all.insert(row.try_get(0)?, failure_of(&last, &read_text(&row, 1)?, read_id(&row, 4)?, row.try_get(5)?));
    }
    Ok(all)
}

/// Marks effects as already done.
pub(super) async fn settle(sql: &Transaction<'_>, done: &[EffectKey]) -> Result<()> {
    lock(sql, &done.iter().map(|(run, ..)| *run).collect::<Vec<_>>()).await?;
    for (run, step, element) in done {
        let text = "UPDATE pending SET settled = TRUE WHERE id = $1 AND step = $2 AND element = $3";
        sql.execute(text, &[run, &i64::from(*step), &i64::from(*element)]).await?;
        settle_aside(sql, *run, *step, *element).await?;
    }
    Ok(())
}

/// Whether a run is still at one of these places.
pub(super) async fn still_at(sql: &Transaction<'_>, places: &[EffectKey]) -> Result<bool> {
    for (run, step, element) in places {
        // An element that waits aside counts, whatever step it is at.
        let text = "SELECT 1 FROM pending p WHERE id = $1 AND (step = $2 AND element = $3 OR EXISTS
                    (SELECT 1 FROM saved s WHERE s.run = p.id AND s.name LIKE '@%' AND s.element = $3))";
        if sql.query_opt(text, &[run, &i64::from(*step), &i64::from(*element)]).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
