//! PostgreSQL: recording an attempt and the run's new state, if the run still belongs to this owner.

use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Transaction};

use super::alarms;
use super::called_runs;
use super::claims::{give_back, lock_lanes, open_lane};
use super::memory;
use super::owner::Owner;
use super::rows::{json, keep_attempts, settle_aside, write_saved};
use crate::model::called;
use crate::model::run::{Run, State};
use crate::model::unfinished::Unfinished;
use crate::store::contract::{Record, Recorded, Result};

pub(super) async fn record(sql: &Transaction<'_>, owner: &Owner, record: &Record) -> Result<Recorded> {
    let Record { run, attempts, answer, also, goes_on } = record;
    let failure = also.as_ref().and_then(|also| also.failure.as_ref());
    if let Some(failure) = failure {
        alarms::lock(sql, &[failure]).await?;
    }
    let memory_change = also.as_ref().and_then(|also| also.memory.as_ref());
    if let Some(change) = memory_change
        && !memory::lock(sql, change).await?
        && is_held(sql, owner, run).await?
    {
        return Ok(Recorded::Changed);
    }
    if let Some(call) = also.as_ref().and_then(|also| also.calls.as_ref()) {
        let own = run.lane.as_deref().filter(|_| run.state != State::Waiting);
        lock_lanes(sql, own.into_iter().chain(call.new.lane.as_deref()).map(str::as_bytes)).await?;
        called_runs::lock_with_caller(sql, run.id).await?;
        // A repeated record changes nothing again.
        if is_held(sql, owner, run).await? {
            called_runs::begin(sql, run, call).await?;
        }
    }
    let ends = also.as_ref().and_then(|also| also.ends.as_ref());
    if ends.is_some() {
        lock_lanes(sql, run.lane.as_deref().map(str::as_bytes)).await?;
        called_runs::lock_with_caller(sql, run.id).await?;
    }
    let settled = settled_at(sql, owner, run).await?;
    let ended = attempts.last().map_or(run.due, |a| a.at).as_millisecond();
    let changed = match run.state {
        State::Waiting => wait(sql, owner, run, *goes_on).await?,
        _ => end(sql, owner, run, ended).await?,
    };
    if !changed {
        let same = run.state == State::Waiting && *goes_on && is_recorded(sql, owner, run).await?;
        return Ok(if same { Recorded::Recorded } else { Recorded::LeaseLost });
    }
    if run.state == State::Waiting && !goes_on && called::is_waiting(&run.saved) {
        called_runs::look_for_news(sql, run).await?;
    }
    if run.state == State::Waiting || run.state.has_failed() {
        write_saved(sql, run).await?;
        if let Some((step, element)) = settled {
            settle_aside(sql, run.id, step, element).await?;
        }
    } else {
        // Values saved by earlier steps are needed only to continue.
        sql.execute("DELETE FROM saved WHERE run = $1", &[&run.id]).await?;
    }
    keep_attempts(sql, run.id, attempts).await?;
    if run.state != State::Waiting {
        open_lane(sql, run.lane.as_deref().map(str::as_bytes)).await?;
    }
    if let Some(answer) = answer {
        // The first answer wins.
        let text = "INSERT INTO answer (event, sealed) SELECT seq, $2 FROM event WHERE id = $1 ON CONFLICT (event) DO NOTHING";
        sql.execute(text, &[&&run.event.0.as_bytes()[..], &json(answer)?]).await?;
    }
    if let Some(end) = ends {
        called_runs::tell(sql, run.id, end, ended).await?;
    }
    if let Some(change) = memory_change {
        memory::change(sql, change).await?;
    }
    if let Some(failure) = failure {
        alarms::report(sql, failure).await?;
    }
    Ok(Recorded::Recorded)
}

/// Whether the run is this owner's, as it has it.
async fn is_held(sql: &Transaction<'_>, owner: &Owner, run: &Run) -> Result<bool> {
    let text = "SELECT 1 FROM pending WHERE id = $1 AND owner = $2 AND turn = $3";
    Ok(sql.query_opt(text, &[&run.id, &owner.id, &run.turn]).await?.is_some())
}

/// The step and element that the run was at, if their effect was found to be done meanwhile, and the element may be set aside
/// by this record: it must not forget that.
async fn settled_at(sql: &Transaction<'_>, owner: &Owner, run: &Run) -> Result<Option<(u32, u32)>> {
    if !run.unsaved.iter().any(|at| Unfinished::is_row(&at.name)) {
        return Ok(None);
    }
    let text = "SELECT step, element FROM pending WHERE id = $1 AND owner = $2 AND turn = $3 AND settled FOR UPDATE";
    let row = sql.query_opt(text, &[&run.id, &owner.id, &run.turn]).await?;
    let number = |row: &Row, column| Ok::<_, tokio_postgres::Error>(row.try_get::<_, i64>(column)? as u32);
    Ok(row.map(|row| Ok::<_, tokio_postgres::Error>((number(&row, 0)?, number(&row, 1)?))).transpose()?)
}

/// The run continues: immediately with its owner, or later with any. Returns whether the run was this owner's.
async fn wait(sql: &Transaction<'_>, owner: &Owner, run: &Run, goes_on: bool) -> Result<bool> {
    let by = if goes_on { owner.id } else { 0 };
    let text = "UPDATE pending SET settled = settled AND step = $4 AND element = $5, step = $4, element = $5, tried = $6, due = $7,
                forgiven = $8, failed_step = $9, failed_element = $10, owner = $11, turn = turn + 1
                WHERE id = $1 AND owner = $2 AND turn = $3";
    let (step, element, tried) = (i64::from(run.place.step), i64::from(run.place.element), i64::from(run.tried));
    let (failed_step, failed_element) = (run.failed_at.map(|p| i64::from(p.step)), run.failed_at.map(|p| i64::from(p.element)));
    let due = run.due.as_millisecond();
    let whose: [&(dyn ToSql + Sync); 3] = [&run.id, &owner.id, &run.turn];
    let what: [&(dyn ToSql + Sync); 8] = [&step, &element, &tried, &due, &run.forgiven, &failed_step, &failed_element, &by];
    Ok(sql.execute(text, &[&whose[..], &what].concat()).await? > 0)
}

/// Whether this same record was already made, with its outcome unknown: then the run is still this owner's.
async fn is_recorded(sql: &Transaction<'_>, owner: &Owner, run: &Run) -> Result<bool> {
    let text = "SELECT 1 FROM pending WHERE id = $1 AND owner = $2 AND turn = $3 AND step = $4 AND element = $5 AND tried = $6";
    let (turn, step, element, tried) = (run.turn + 1, i64::from(run.place.step), i64::from(run.place.element), i64::from(run.tried));
    Ok(sql.query_opt(text, &[&run.id, &owner.id, &turn, &step, &element, &tried]).await?.is_some())
}

/// The run has ended. Returns whether it was this owner's.
async fn end(sql: &Transaction<'_>, owner: &Owner, run: &Run, at: i64) -> Result<bool> {
    lock_lanes(sql, run.lane.as_deref().map(str::as_bytes)).await?;
    let text = "WITH gone AS (DELETE FROM pending WHERE id = $1 AND owner = $2 AND turn = $3 RETURNING *)
                INSERT INTO ended (id, event, rule, text, state, lane, step, element, tried, at, forgiven, replays, once)
                SELECT id, event, rule, text, $4, lane, $5, $6, $7, $8, $9, replays, once FROM gone RETURNING once";
    let (step, element, tried) = (i64::from(run.place.step), i64::from(run.place.element), i64::from(run.tried));
    let ended =
        sql.query_opt(text, &[&run.id, &owner.id, &run.turn, &run.state.word(), &step, &element, &tried, &at, &run.forgiven]).await?;
    let Some(ended) = ended else { return Ok(false) };
    if run.state.has_failed() {
        // A failed run releases its claim, and claims the value again when it is replayed; others keep it.
        give_back(sql, &[(run.id, run.rule.to_string(), ended.try_get(0)?)]).await?;
    }
    Ok(true)
}
