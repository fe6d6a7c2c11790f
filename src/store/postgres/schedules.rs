//! PostgreSQL: how far the rules that start by themselves have come. All owners share that, so each moment is claimed by one.

use jiff::Timestamp;
use tokio_postgres::{Row, Transaction};

use super::ending::{end, lock};
use super::rows::{column, moment, read_text};
use crate::model::hash::hash;
use crate::model::origin::SCHEDULE;
use crate::model::run::State;
use crate::store::attempts::superseded;
use crate::store::contract::{NewRun, Result};
use crate::store::starts::{Moment, ScheduleProgress};

/// Claims a moment of a rule; false if it was claimed before, or lies before what counts.
pub(super) async fn claim(sql: &Transaction<'_>, claimed: &Moment) -> Result<bool> {
    let text = "UPDATE schedule SET since = $2, last = $2 WHERE key = $1 AND since < $2 AND last IS DISTINCT FROM $2";
    Ok(sql.execute(text, &[&hash(claimed.rule.as_bytes()), &claimed.planned.as_millisecond()]).await? > 0)
}

/// Ends the runs of earlier moments that still wait for another run of their lane: only the newest waits. The lanes are locked.
pub(super) async fn take_place(sql: &Transaction<'_>, event: i64, runs: &[NewRun], now: Timestamp) -> Result<()> {
    for (run, lane) in runs.iter().filter_map(|run| Some((run, run.lane.as_deref()?))) {
        let text = "SELECT p.id FROM pending p JOIN event e ON e.seq = p.event
                    WHERE sha256(p.lane) = sha256($1) AND p.queued AND p.rule = $2 AND p.event <> $3 AND e.head::json ->> 'method' = $4
                    AND NOT EXISTS (SELECT 1 FROM call c WHERE c.run = p.id)";
        let older = sql.query(text, &[&lane.as_bytes(), &run.rule.as_bytes(), &event, &SCHEDULE]).await?;
        let older = lock(sql, &column(&older, 0)?).await?;
        end(sql, &older, State::Cancelled, now, |run| vec![superseded(run.place, now)]).await?;
    }
    Ok(())
}

/// Goes on from a moment with these rules, in the order of their keys, and forgets those that are gone.
pub(super) async fn set(sql: &Transaction<'_>, from: &[ScheduleProgress], gone: &[String]) -> Result<()> {
    let mut all: Vec<(String, Option<&ScheduleProgress>)> = from.iter().map(|one| (hash(one.rule.as_bytes()), Some(one))).collect();
    all.extend(gone.iter().map(|rule| (hash(rule.as_bytes()), None)));
    all.sort_by(|a, b| a.0.cmp(&b.0));
    for (key, one) in all {
        let Some(ScheduleProgress { rule, timing, since, .. }) = one else {
            sql.execute("DELETE FROM schedule WHERE key = $1", &[&key]).await?;
            continue;
        };
        let text = "INSERT INTO schedule (key, rule, timing, since) VALUES ($1, $2, $3, $4)
                    ON CONFLICT (key) DO UPDATE SET timing = excluded.timing, since = excluded.since";
        sql.execute(text, &[&key, &rule.as_bytes(), timing, &since.as_millisecond()]).await?;
    }
    Ok(())
}

pub(super) async fn all(sql: &Transaction<'_>) -> Result<Vec<ScheduleProgress>> {
    let read = |row: &Row| -> Result<ScheduleProgress> {
        let last: Option<i64> = row.try_get(3)?;
        Ok(ScheduleProgress { rule: read_text(row, 0)?, timing: row.try_get(1)?, since: moment(row.try_get(2)?), last: last.map(moment) })
    };
    let rows = sql.query("SELECT rule, timing, since, last FROM schedule ORDER BY rule", &[]).await?;
    rows.iter().map(read).collect()
}
