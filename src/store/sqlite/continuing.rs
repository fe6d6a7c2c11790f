//! SQLite: failed runs that continue at the step that failed, because people or senders ask for it.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::called_runs::{forget, is_saved, names};
use super::claims::{claim, is_queued};
use super::rows::{Sql, keep_last_attempts};
use crate::model::called::{self, WAITS};
use crate::model::run::{RunId, State};

/// Continues failed runs in a range of numbers at the step that failed; only those of one rule, if one is given. Their
/// turn number jumps far above any earlier one, so that an owner from before the failure is recognised as stale.
pub(super) fn restart(sql: &Transaction, from: RunId, to: RunId, rule: Option<&str>, now: i64) -> Sql<usize> {
    let failed: Vec<RunId> = {
        let text = "SELECT id FROM ended WHERE id >= ?1 AND id < ?2 AND state = 'failed' AND (?3 IS NULL OR rule = ?3)";
        let mut statement = sql.prepare_cached(text)?;
        statement.query_map(params![from, to, rule], |r| r.get(0))?.collect::<Sql<_>>()?
    };
    failed.iter().try_for_each(|run| continue_failed(sql, *run, now))?;
    Ok(failed.len())
}

/// Continues a run that has failed, in runs that it called if these have failed.
fn continue_failed(sql: &Transaction, run: RunId, now: i64) -> Sql<()> {
    type Row = (String, Option<String>, Option<String>);
    let (rule, lane, once): Row = sql
        .prepare_cached("SELECT rule, lane, once FROM ended WHERE id = ?1")?
        .query_row([run], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
    keep_last_attempts(sql, run)?;
    let queued = is_queued(sql, lane.as_deref())?;
    sql.prepare_cached(
        "INSERT INTO pending (id, event, rule, text, lane, step, element, tried, due, saved, settled, forgiven, replays, owner, queued, once, turn)
         SELECT id, event, rule, text, lane, step, element, 0, ?2, saved, 0, forgiven, replays + 1, 0, ?3, once, (replays + 1) << 32
         FROM ended WHERE id = ?1",
    )?
    .execute(params![run, now, queued])?;
    sql.prepare_cached("DELETE FROM ended WHERE id = ?1")?.execute([run])?;
    claim(sql, &rule, run, once.as_deref(), now)?;
    continue_called(sql, run, now)
}

/// A failed run goes on in the runs that failed while it waited for them, if that is why.
fn continue_called(sql: &Transaction, caller: RunId, now: i64) -> Sql<()> {
    for name in names(sql, caller, WAITS)? {
        let Some(place) = called::place_in(WAITS, &name) else { continue };
        let text = "SELECT c.run, (SELECT state FROM ended e WHERE e.id = c.run) FROM call c
                    WHERE c.caller = ?1 AND c.step = ?2 AND c.element = ?3 AND c.awaited = 1 ORDER BY c.run DESC LIMIT 1";
        let read = |r: &Row| Ok((r.get(0)?, r.get(1)?));
        let found: Option<(RunId, Option<String>)> =
            sql.prepare_cached(text)?.query_row(params![caller, place.step, place.element], read).optional()?;
        let ended = called::ended_name(place);
        match found {
            Some((_, None)) => {}
            Some((run, Some(state))) if state == State::FailedForCaller.word() => {
                forget(sql, caller, &ended)?;
                continue_failed(sql, run, now)?;
            }
            _ if is_saved(sql, caller, &ended)? => {}
            // It was cancelled, or has been deleted: the step calls the rule again.
            _ => forget(sql, caller, &name)?,
        }
    }
    Ok(())
}
