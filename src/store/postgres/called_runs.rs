//! PostgreSQL: runs that other runs call. Such a run belongs to the event of its caller; `call` says which step called it. The
//! transaction that ends it saves with its caller how it ended. A caller has a lower number than the runs that it calls, so it is
//! locked before them.

use std::collections::HashMap;

use tokio_postgres::{Row, Transaction};

use super::claims::insert_runs;
use super::rows::{column, json};
use crate::model::called::{self, CallEnd, ENDED, How, WAITS};
use crate::model::place::Place;
use crate::model::run::{CalledBy, Run, RunId, State};
use crate::store::attempts::ALREADY_USED;
use crate::store::contract::{NewCall, Result, StartResult};

/// Begins a run for a step of its caller, which is locked, as is the lane of the new run.
pub(super) async fn begin(sql: &Transaction<'_>, caller: &Run, call: &NewCall) -> Result<()> {
    let event: i64 = sql.query_one("SELECT event FROM pending WHERE id = $1", &[&caller.id]).await?.try_get(0)?;
    let at = call.at.as_millisecond();
    let begun = insert_runs(sql, event, at, 0, std::slice::from_ref(&call.new)).await?;
    let (step, element) = (i64::from(call.place.step), i64::from(call.place.element));
    for (run, result) in begun {
        let text = "INSERT INTO call (run, caller, step, element, awaited) VALUES ($1, $2, $3, $4, $5)";
        sql.execute(text, &[&run, &caller.id, &step, &element, &call.is_awaited]).await?;
        if result == StartResult::Repeated {
            let end = CallEnd { rule: call.new.rule.to_string(), how: How::DidNotRun(ALREADY_USED.to_owned()) };
            tell(sql, run, &end, at).await?;
        } else {
            save(sql, run, &call.given.0, &json(&call.given.1)?).await?;
        }
    }
    Ok(())
}

/// Locks a run, and the one that waits for it.
pub(super) async fn lock_with_caller(sql: &Transaction<'_>, run: RunId) -> Result<()> {
    let text = "SELECT 1 FROM pending WHERE id = $1 OR id IN (SELECT caller FROM call WHERE run = $1 AND awaited) ORDER BY id FOR UPDATE";
    sql.execute(text, &[&run]).await?;
    Ok(())
}

/// Saves with the caller of a run how that ended, and makes the caller due, if it waits; both are locked. A caller that has failed
/// meanwhile finds it when it is replayed.
pub(super) async fn tell(sql: &Transaction<'_>, run: RunId, end: &CallEnd, now: i64) -> Result<()> {
    let row = sql.query_opt("SELECT caller, step, element FROM call WHERE run = $1 AND awaited", &[&run]).await?;
    let Some(row) = row else { return Ok(()) };
    let caller: RunId = row.try_get(0)?;
    let place = Place { step: row.try_get::<_, i64>(1)? as u32, element: row.try_get::<_, i64>(2)? as u32 };
    let is_waiting = sql.execute("UPDATE pending SET due = least(due, $2) WHERE id = $1", &[&caller, &now]).await? > 0;
    let failed = "SELECT 1 FROM ended WHERE id = $1 AND state IN ($2, $3)";
    let states = [State::Failed.word(), State::FailedForCaller.word()];
    if is_waiting || sql.query_opt(failed, &[&caller, &states[0], &states[1]]).await?.is_some() {
        save(sql, caller, &called::ended_name(place), &json(&end.value())?).await?;
    }
    Ok(())
}

async fn save(sql: &Transaction<'_>, run: RunId, name: &str, value: &str) -> Result<()> {
    let text = "INSERT INTO saved (run, name, element, value) VALUES ($1, $2, -1, $3)
                ON CONFLICT (run, name, element) DO UPDATE SET value = EXCLUDED.value";
    sql.execute(text, &[&run, &name, &value]).await?;
    Ok(())
}

/// The state in which a run is that has failed.
pub(super) async fn failed_state(sql: &Transaction<'_>, run: RunId) -> Result<State> {
    let awaited = sql.query_opt("SELECT 1 FROM call WHERE run = $1 AND awaited", &[&run]).await?;
    Ok(if awaited.is_some() { State::FailedForCaller } else { State::Failed })
}

/// Makes a released run due if a run that it waits for has ended without its knowing.
pub(super) async fn look_for_news(sql: &Transaction<'_>, run: &Run) -> Result<()> {
    let names = names(sql, run.id, ENDED).await?;
    if names.iter().any(|name| !run.saved.contains_key(name)) {
        sql.execute("UPDATE pending SET due = 0 WHERE id = $1", &[&run.id]).await?;
    }
    Ok(())
}

/// The names of what a run has saved, of those that begin with this.
async fn names(sql: &Transaction<'_>, run: RunId, mark: &str) -> Result<Vec<String>> {
    let rows = sql.query("SELECT name FROM saved WHERE run = $1 AND starts_with(name, $2)", &[&run, &mark]).await?;
    column(&rows, 0)
}

/// The runs in which a failed run goes on if it is replayed: itself, and those that failed while it waited for them. Of others
/// that it waited for, it forgets those that did not tell how they ended, and calls their rules again.
pub(super) async fn to_continue(sql: &Transaction<'_>, failed: RunId) -> Result<Vec<RunId>> {
    let mut all = vec![failed];
    let mut next = 0;
    while let Some(caller) = all.get(next).copied() {
        next += 1;
        for name in names(sql, caller, WAITS).await? {
            let Some(place) = called::place_in(WAITS, &name) else { continue };
            let text = "SELECT c.run, e.state FROM call c LEFT JOIN ended e ON e.id = c.run
                        WHERE c.caller = $1 AND c.step = $2 AND c.element = $3 AND c.awaited ORDER BY c.run DESC LIMIT 1";
            let found = sql.query_opt(text, &[&caller, &i64::from(place.step), &i64::from(place.element)]).await?;
            let state = found.as_ref().map(|row| row.try_get::<_, Option<&str>>(1)).transpose()?;
            let ended = called::ended_name(place);
            match (found.as_ref(), state) {
                (Some(_), Some(None)) => {}
                (Some(row), Some(Some(state))) if state == State::FailedForCaller.word() => {
                    forget(sql, caller, &ended).await?;
                    all.push(row.try_get(0)?);
                }
                _ if !names(sql, caller, &ended).await?.is_empty() => {}
                _ => forget(sql, caller, &name).await?,
            }
        }
    }
    Ok(all)
}

async fn forget(sql: &Transaction<'_>, run: RunId, name: &str) -> Result<()> {
    sql.execute("DELETE FROM saved WHERE run = $1 AND name = $2", &[&run, &name]).await?;
    Ok(())
}

/// The unfinished runs that these wait for, and those that these wait for.
pub(super) async fn awaited_of(sql: &Transaction<'_>, callers: &[RunId]) -> Result<Vec<RunId>> {
    let text = "WITH RECURSIVE called (run) AS (
                    SELECT run FROM call WHERE caller = ANY($1) AND awaited
                    UNION SELECT c.run FROM call c JOIN called ON c.caller = called.run WHERE c.awaited)
                SELECT p.id FROM called JOIN pending p ON p.id = called.run";
    column(&sql.query(text, &[&callers]).await?, 0)
}

/// What called the runs of an event.
pub(super) async fn callers(sql: &Transaction<'_>, event: i64) -> Result<HashMap<RunId, CalledBy>> {
    let text = "SELECT c.run, c.caller, c.step, c.element, c.awaited FROM call c
                WHERE c.run IN (SELECT id FROM pending WHERE event = $1 UNION ALL SELECT id FROM ended WHERE event = $1)";
    let read = |row: &Row| -> Result<(RunId, CalledBy)> {
        let place = Place { step: row.try_get::<_, i64>(2)? as u32, element: row.try_get::<_, i64>(3)? as u32 };
        Ok((row.try_get(0)?, CalledBy { run: row.try_get(1)?, place, is_awaited: row.try_get(4)? }))
    };
    sql.query(text, &[&event]).await?.iter().map(read).collect()
}
