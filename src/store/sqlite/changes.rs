//! SQLite: changes that people request: continue failed runs, start rules again for an event, cancel waiting runs. The
//! owner of the store makes them, so that there is never a second writer.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::called_runs;
use super::claims::{give_back, insert_runs, open_lane};
use super::continuing::restart;
use super::owner::Owner;
use super::rows::{Sql, end, range};
use super::statements::Statements;
use crate::model::called::CallEnd;
use crate::model::event::EventId;
use crate::model::run::{RunId, State, TextHash};
use crate::store::contract::{Cancelled, NewRun, WaitingRuns};

/// The number of an event, if it exists.
fn number(sql: &Transaction, event: EventId) -> Sql<Option<i64>> {
    sql.prepare_cached("SELECT seq FROM event WHERE id = ?1")?.query_row([event.0.as_bytes()], |r| r.get(0)).optional()
}

/// Continues failed runs of an event; returns how many.
pub(super) fn replay(sql: &Transaction, event: EventId, rule: Option<&str>, now: Timestamp) -> Sql<usize> {
    let Some(event) = number(sql, event)? else { return Ok(0) };
    let [from, to] = range(event);
    restart(sql, from, to, rule, now.as_millisecond())
}

/// Starts rules for an event; returns how many runs were started.
pub(super) fn start_anew(
    sql: &Transaction,
    hot: &mut Statements,
    event: EventId,
    runs: &[NewRun],
    texts: &[(TextHash, String, String)],
    now: Timestamp,
) -> Sql<usize> {
    let Some(event) = number(sql, event)? else { return Ok(0) };
    keep_texts(sql, texts)?;
    let last: Option<RunId> = sql.query_row(
        "SELECT max(id) FROM (SELECT id FROM pending UNION ALL SELECT id FROM ended) WHERE id >= ?1 AND id < ?2",
        range(event),
        |r| r.get(0),
    )?;
    let [first, _] = range(event);
    let first = last.map_or(first, |last| last + 1);
    insert_runs(sql, hot, event, first, now.as_millisecond(), 0, runs).map(|begun| begun.len())
}

/// Stores rule files by their hash.
pub(super) fn keep_texts(sql: &Transaction, texts: &[(TextHash, String, String)]) -> Sql<()> {
    for (hash, name, body) in texts {
        sql.prepare_cached("INSERT OR IGNORE INTO text (hash, name, body) VALUES (?1, ?2, ?3)")?.execute(params![&**hash, name, body])?;
    }
    Ok(())
}

/// Ends waiting runs. Runs that this owner is working on are not changed; those of a dead owner are.
pub(super) fn cancel(sql: &Transaction, owner: &Owner, which: &WaitingRuns, now: Timestamp) -> Sql<Cancelled> {
    let mut cancelled = Cancelled { runs: 0, busy: 0 };
    let wanted = match which.event {
        Some(event) => match number(sql, event)? {
            Some(event) => range(event),
            None => return Ok(cancelled),
        },
        None => [0, i64::MAX],
    };
    type Found = (RunId, String, Option<String>, Option<String>, i64);
    let read = |r: &Row| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?));
    let found: Vec<Found> = {
        let text = "SELECT id, rule, lane, once, owner FROM pending WHERE id >= ?1 AND id < ?2 AND (?3 IS NULL OR rule = ?3)";
        sql.prepare_cached(text)?.query_map(params![wanted[0], wanted[1], which.rule], read)?.collect::<Sql<_>>()?
    };
    let mut all: BTreeMap<RunId, Found> = found.into_iter().map(|found| (found.0, found)).collect();
    if which.rule.is_some() {
        // Those of other rules that they wait for.
        for run in all.keys().copied().collect::<Vec<_>>() {
            for awaited in called_runs::awaited_of(sql, run)? {
                let text = "SELECT id, rule, lane, once, owner FROM pending WHERE id = ?1";
                all.insert(awaited, sql.prepare_cached(text)?.query_row([awaited], read)?);
            }
        }
    }
    for (run, rule, lane, once, by) in all.into_values() {
        if by == owner.epoch {
            cancelled.busy += 1;
            continue;
        }
        end(sql, run, State::Cancelled, now.as_millisecond(), &[])?;
        give_back(sql, &rule, run, once.as_deref())?;
        open_lane(sql, lane.as_deref())?;
        called_runs::tell(sql, run, &CallEnd::cancelled(&rule), now.as_millisecond())?;
        cancelled.runs += 1;
    }
    Ok(cancelled)
}
