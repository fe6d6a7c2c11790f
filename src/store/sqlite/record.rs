//! SQLite: recording an attempt and the run's new state, if the run still belongs to this owner.

use rusqlite::{OptionalExtension, Transaction, params};

use super::alarms;
use super::called_runs;
use super::claims::{give_back, open_lane};
use super::memory;
use super::owner::Owner;
use super::rows::{Ended, MOST_RUNS, Sql, json, keep_attempts, settle_aside, write_saved};
use super::sealing::seal_text;
use super::statements::{Hot, Statements};
use crate::model::answer::SealedAnswer;
use crate::model::called;
use crate::model::run::{Run, State};
use crate::model::unfinished::Unfinished;
use crate::secret::Key;
use crate::store::contract::{Record, Recorded};

/// A record as it is written; built by the caller's thread, so that the writer thread only writes.
pub(super) struct RecordRow {
    record: Record,
    /// The attempts, as JSON, sealed if there is a key.
    attempts: String,
}

impl RecordRow {
    pub(super) fn of(record: Record, key: &Key) -> Self {
        // Attempts always serialize.
        let attempts = seal_text(key, json(&*record.attempts).unwrap_or_else(|_| "[]".to_owned()), "attempts");
        Self { record, attempts }
    }
}

pub(super) fn record(sql: &Transaction, hot: &mut Statements, owner: &Owner, row: &RecordRow) -> Sql<Recorded> {
    let RecordRow { record: Record { run, answer, also, goes_on, .. }, .. } = row;
    let held = "SELECT 1 FROM pending WHERE id = ?1 AND owner = ?2 AND turn = ?3";
    // A repeated call changes nothing again.
    if let Some(also) = also.as_ref().filter(|also| also.memory.is_some() || also.calls.is_some())
        && sql.prepare_cached(held)?.exists(params![run.id, owner.epoch, run.turn])?
    {
        if let Some(change) = &also.memory {
            if !memory::fits(sql, change)? {
                return Ok(Recorded::Changed);
            }
            memory::change(sql, change)?;
        }
        if let Some(call) = &also.calls
            && !called_runs::begin(sql, hot, run, call)?
        {
            return Ok(Recorded::Full);
        }
    }
    let is_mine = match run.state {
        State::Waiting => wait(sql, owner, row, *goes_on)?,
        _ => end(sql, hot, owner, row)?,
    };
    if !is_mine {
        return Ok(Recorded::LeaseLost);
    }
    if let Some(answer) = answer {
        keep_answer(sql, run.id / MOST_RUNS, answer)?;
    }
    if let Some(failure) = also.as_ref().and_then(|also| also.failure.as_ref()) {
        alarms::report(sql, failure)?;
    }
    if let Some(end) = also.as_ref().and_then(|also| also.ends.as_ref()) {
        called_runs::tell(sql, run.id, end, ended_at(row))?;
    }
    Ok(Recorded::Recorded)
}

/// The run continues: immediately with its owner, or later with any. Returns whether the run was this owner's.
fn wait(sql: &Transaction, owner: &Owner, row: &RecordRow, goes_on: bool) -> Sql<bool> {
    let run = &row.record.run;
    let by = if goes_on { owner.epoch } else { 0 };
    let is_overtaken = !goes_on && called::is_waiting(&run.saved) && called_runs::has_news(sql, run)?;
    let due = if is_overtaken { 0 } else { run.due.as_millisecond() };
    let settled = settled_at(sql, owner, run)?;
    let changed = sql
        .prepare_cached(
            "UPDATE pending SET settled = settled AND step = ?2 AND element = ?3, step = ?2, element = ?3, tried = ?4, due = ?5, forgiven = ?6, owner = ?7,
             failed_step = ?8, failed_element = ?9, turn = turn + 1 WHERE id = ?1 AND owner = ?10 AND turn = ?11",
        )?
        .execute(params![
            run.id,
            run.place.step,
            run.place.element,
            run.tried,
            due,
            run.forgiven,
            by,
            run.failed_at.map(|p| p.step),
            run.failed_at.map(|p| p.element),
            owner.epoch,
            run.turn
        ])?;
    if changed == 0 {
        // A repeated call, because the outcome of the first was unknown: nothing to do, and the run is still this owner's.
        let text = "SELECT 1 FROM pending WHERE id = ?1 AND owner = ?2 AND turn = ?3 AND step = ?4 AND element = ?5 AND tried = ?6";
        let same = params![run.id, owner.epoch, run.turn + 1, run.place.step, run.place.element, run.tried];
        return Ok(goes_on && sql.prepare_cached(text)?.exists(same)?);
    }
    write_saved(sql, run)?;
    if let Some((step, element)) = settled {
        settle_aside(sql, run.id, step, element)?;
    }
    if !row.record.attempts.is_empty() {
        keep_attempts(sql, run.id, &row.attempts)?;
    }
    Ok(true)
}

/// The step and element that the run was at, if their effect was found to be done meanwhile, and the element may be set aside
/// by this record: it must not forget that.
fn settled_at(sql: &Transaction, owner: &Owner, run: &Run) -> Sql<Option<(u32, u32)>> {
    if !run.unsaved.iter().any(|at| Unfinished::is_row(&at.name)) {
        return Ok(None);
    }
    let text = "SELECT step, element FROM pending WHERE id = ?1 AND owner = ?2 AND turn = ?3 AND settled";
    let mine = params![run.id, owner.epoch, run.turn];
    sql.prepare_cached(text)?.query_row(mine, |r| Ok((r.get(0)?, r.get(1)?))).optional()
}

/// The run has ended. Returns whether it was this owner's.
fn end(sql: &Transaction, hot: &mut Statements, owner: &Owner, row: &RecordRow) -> Sql<bool> {
    let RecordRow { record: Record { run, .. }, attempts } = row;
    let failed = run.state.has_failed();
    let mine = params![run.id, owner.epoch, run.turn];
    let (mut once, mut saved): (Option<String>, String) = (None, "{}".to_owned());
    if failed {
        let mut statement = sql.prepare_cached("SELECT once, saved FROM pending WHERE id = ?1 AND owner = ?2 AND turn = ?3")?;
        let kept = statement.query_row(mine, |r| Ok((r.get(0)?, r.get(1)?))).optional()?;
        (once, saved) = kept.unwrap_or((once, saved));
    }
    if hot.execute(Hot::TakeRun, mine)? == 0 {
        return Ok(false);
    }
    if failed {
        // A failed run releases its claim, and claims the value again when it is replayed; others keep it.
        give_back(sql, &run.rule, run.id, once.as_deref())?;
        write_saved(sql, run)?;
    } else if !run.saved.is_empty() || !run.unsaved.is_empty() {
        // Values saved by earlier steps are needed only to continue.
        sql.prepare_cached("DELETE FROM saved WHERE run = ?1")?.execute([run.id])?;
    }
    let ended = Ended {
        id: run.id,
        event: run.id / MOST_RUNS,
        rule: &run.rule,
        text: &run.text,
        state: run.state,
        place: run.place,
        tried: run.tried,
        at: ended_at(row),
        saved: &saved,
        forgiven: run.forgiven,
        replays: run.replays,
        attempts,
        lane: run.lane.as_deref(),
        once: once.as_deref(),
    };
    ended.insert(sql, hot)?;
    open_lane(sql, run.lane.as_deref())?;
    Ok(true)
}

/// When a run has ended.
fn ended_at(row: &RecordRow) -> i64 {
    row.record.attempts.last().map_or(row.record.run.due, |a| a.at).as_millisecond()
}

/// The first answer wins.
fn keep_answer(sql: &Transaction, event: i64, answer: &SealedAnswer) -> Sql<()> {
    sql.prepare_cached(
        "INSERT OR IGNORE INTO answer (event, status, headers, body, sealed) VALUES (?1, ?2, '[]', x'', sealed(?3, 'answer'))",
    )?
    .execute(params![event, answer.status, json(answer)?])?;
    Ok(())
}
