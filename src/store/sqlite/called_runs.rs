//! SQLite: runs that other runs call. Such a run belongs to the event of its caller; `call` says which step called it. The
//! transaction that ends it saves with its caller how it ended.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::claims::insert_runs;
use super::rows::{MOST_RUNS, Sql, json, range};
use super::statements::Statements;
use crate::model::called::{self, CallEnd, ENDED, How};
use crate::model::place::Place;
use crate::model::run::{CalledBy, Run, RunId, State};
use crate::store::attempts::ALREADY_USED;
use crate::store::contract::{NewCall, StartResult};

/// Begins a run for a step of its caller. Returns whether there was a number for it.
pub(super) fn begin(sql: &Transaction, hot: &mut Statements, caller: &Run, call: &NewCall) -> Sql<bool> {
    let event = caller.id / MOST_RUNS;
    let [from, to] = range(event);
    let mut first = from;
    for text in ["SELECT max(id) FROM pending WHERE id >= ?1 AND id < ?2", "SELECT max(id) FROM ended WHERE id >= ?1 AND id < ?2"] {
        let last: Option<RunId> = sql.prepare_cached(text)?.query_row([from, to], |r| r.get(0))?;
        first = first.max(last.map_or(from, |last| last + 1));
    }
    if first >= to {
        return Ok(false);
    }
    let (at, Place { step, element }) = (call.at.as_millisecond(), call.place);
    let results = insert_runs(sql, hot, event, first, at, 0, std::slice::from_ref(&call.new))?;
    let text = "INSERT OR REPLACE INTO call (run, caller, step, element, awaited) VALUES (?1, ?2, ?3, ?4, ?5)";
    sql.prepare_cached(text)?.execute(params![first, caller.id, step, element, call.is_awaited])?;
    if results.contains(&StartResult::Repeated) {
        let end = CallEnd { rule: call.new.rule.to_string(), how: How::DidNotRun(ALREADY_USED.to_owned()) };
        tell(sql, first, &end, at)?;
    } else {
        save(sql, first, &call.given.0, &json(&call.given.1)?)?;
    }
    Ok(true)
}

/// Saves with the caller of a run how that ended, and makes the caller due, if it waits. One that has failed meanwhile finds it
/// when it is replayed. Returns whether it was awaited.
pub(super) fn tell(sql: &Transaction, run: RunId, end: &CallEnd, now: i64) -> Sql<bool> {
    let Some((caller, place)) = awaited_by(sql, run)? else { return Ok(false) };
    let text = "UPDATE pending SET due = min(due, ?2) WHERE id = ?1";
    let is_waiting = sql.prepare_cached(text)?.execute([caller, now])? > 0;
    let failed = "SELECT 1 FROM ended WHERE id = ?1 AND state IN (?2, ?3)";
    let states = params![caller, State::Failed.word(), State::FailedForCaller.word()];
    if is_waiting || sql.prepare_cached(failed)?.exists(states)? {
        save(sql, caller, &called::ended_name(place), &json(&end.value())?)?;
    }
    Ok(true)
}

fn save(sql: &Transaction, run: RunId, name: &str, value: &str) -> Sql<()> {
    let text = "INSERT OR REPLACE INTO saved (run, name, element, value) VALUES (?1, ?2, -1, sealed(?3, 'saved'))";
    sql.prepare_cached(text)?.execute(params![run, name, value]).map(drop)
}

/// The run that waits for this one, and where.
fn awaited_by(sql: &Transaction, run: RunId) -> Sql<Option<(RunId, Place)>> {
    let read = |r: &Row| Ok((r.get(0)?, Place { step: r.get(1)?, element: r.get(2)? }));
    let text = "SELECT caller, step, element FROM call WHERE run = ?1 AND awaited = 1";
    sql.prepare_cached(text)?.query_row([run], read).optional()
}

/// The state in which a run is that has failed.
pub(super) fn failed_state(sql: &Transaction, run: RunId) -> Sql<State> {
    Ok(if awaited_by(sql, run)?.is_some() { State::FailedForCaller } else { State::Failed })
}

/// Whether a run that this one waits for has ended without its knowing.
pub(super) fn has_news(sql: &Transaction, run: &Run) -> Sql<bool> {
    let names = names(sql, run.id, ENDED)?;
    Ok(names.iter().any(|name| !run.saved.contains_key(name)))
}

/// The names of what a run has saved, of those that begin with this.
pub(super) fn names(sql: &Transaction, run: RunId, mark: &str) -> Sql<Vec<String>> {
    // The marks end with the character before this one.
    let end = format!("{}A", mark.trim_end_matches('@'));
    let text = "SELECT name FROM saved WHERE run = ?1 AND name >= ?2 AND name < ?3";
    sql.prepare_cached(text)?.query_map(params![run, mark, end], |r| r.get(0))?.collect()
}

/// Whether a run has saved something under a name.
pub(super) fn is_saved(sql: &Transaction, run: RunId, name: &str) -> Sql<bool> {
    sql.prepare_cached("SELECT 1 FROM saved WHERE run = ?1 AND name = ?2")?.exists(params![run, name])
}

/// Forgets what a run has saved under a name.
pub(super) fn forget(sql: &Transaction, run: RunId, name: &str) -> Sql<()> {
    sql.prepare_cached("DELETE FROM saved WHERE run = ?1 AND name = ?2")?.execute(params![run, name]).map(drop)
}

/// The unfinished runs that a run waits for, and those that these wait for.
pub(super) fn awaited_of(sql: &Transaction, caller: RunId) -> Sql<Vec<RunId>> {
    let text = "WITH RECURSIVE called (run) AS (
                    SELECT run FROM call WHERE caller = ?1 AND awaited = 1
                    UNION SELECT c.run FROM call c JOIN called ON c.caller = called.run WHERE c.awaited = 1)
                SELECT p.id FROM called JOIN pending p ON p.id = called.run";
    sql.prepare_cached(text)?.query_map([caller], |r| r.get(0))?.collect()
}

/// What called the runs of an event.
pub(super) fn callers(sql: &Connection, runs: [RunId; 2]) -> Sql<HashMap<RunId, CalledBy>> {
    let read = |r: &Row| {
        let place = Place { step: r.get(2)?, element: r.get(3)? };
        Ok((r.get(0)?, CalledBy { run: r.get(1)?, place, is_awaited: r.get(4)? }))
    };
    let text = "SELECT run, caller, step, element, awaited FROM call WHERE run >= ?1 AND run < ?2";
    sql.prepare_cached(text)?.query_map(runs, read)?.collect()
}
