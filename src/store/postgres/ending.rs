//! PostgreSQL: ending runs that wait, by people, by a crash or by something newer. What a worker ends is in [`super::record`].

use jiff::Timestamp;
use tokio_postgres::Transaction;

use super::called_runs;
use super::claims::{give_back, lock_lanes, open_lane};
use super::rows::{column, keep_attempts, read_id, read_text};
use crate::model::called::{CallEnd, How};
use crate::model::event::EventId;
use crate::model::place::Place;
use crate::model::run::{Attempt, RunId, State};
use crate::store::contract::Result;

/// A waiting run, locked with its lane, so that nobody else changes it until the transaction ends.
pub(super) struct Locked {
    pub(super) id: RunId,
    pub(super) rule: String,
    pub(super) lane: Option<Vec<u8>>,
    pub(super) once: Option<String>,
    pub(super) owner: i64,
    pub(super) place: Place,
    pub(super) tried: u32,
    pub(super) event: EventId,
}

/// Locks those of these runs that still wait.
pub(super) async fn lock(sql: &Transaction<'_>, runs: &[RunId]) -> Result<Vec<Locked>> {
    let lanes = sql.query("SELECT lane FROM pending WHERE id = ANY($1) AND lane IS NOT NULL", &[&runs]).await?;
    let lanes: Vec<&[u8]> = column(&lanes, 0)?;
    lock_lanes(sql, lanes).await?;
    // With those that wait for them, which have lower numbers.
    let callers = "SELECT 1 FROM pending WHERE id = ANY($1) OR id IN (SELECT caller FROM call WHERE run = ANY($1) AND awaited)
                   ORDER BY id FOR UPDATE";
    sql.execute(callers, &[&runs]).await?;
    let text =
        "SELECT p.id, p.rule, p.lane, p.once, p.owner, p.step, p.element, p.tried, e.id FROM pending p JOIN event e ON e.seq = p.event
                WHERE p.id = ANY($1) ORDER BY p.id FOR UPDATE OF p";
    let mut locked = Vec::new();
    for row in sql.query(text, &[&runs]).await? {
        let count = |column| Ok::<_, tokio_postgres::Error>(row.try_get::<_, i64>(column)? as u32);
        locked.push(Locked {
            id: row.try_get(0)?,
            rule: read_text(&row, 1)?,
            lane: row.try_get(2)?,
            once: row.try_get(3)?,
            owner: row.try_get(4)?,
            place: Place { step: count(5)?, element: count(6)? },
            tried: count(7)?,
            event: read_id(&row, 8)?,
        });
    }
    Ok(locked)
}

/// Ends runs unchanged, each with a last history entry.
pub(super) async fn end(
    sql: &Transaction<'_>,
    runs: &[Locked],
    state: State,
    now: Timestamp,
    last: impl Fn(&Locked) -> Vec<Attempt>,
) -> Result<()> {
    for run in runs {
        let state = if state.has_failed() { called_runs::failed_state(sql, run.id).await? } else { state };
        let text = "WITH gone AS (DELETE FROM pending WHERE id = $1 RETURNING *)
                    INSERT INTO ended (id, event, rule, text, state, lane, step, element, tried, at, forgiven, replays, once)
                    SELECT id, event, rule, text, $2, lane, step, element, tried, $3, forgiven, replays, once FROM gone";
        sql.execute(text, &[&run.id, &state.word(), &now.as_millisecond()]).await?;
        if !state.has_failed() {
            sql.execute("DELETE FROM saved WHERE run = $1", &[&run.id]).await?;
        }
        let last = last(run);
        keep_attempts(sql, run.id, &last).await?;
        let told = match last.last().filter(|_| state.has_failed()) {
            Some(last) => CallEnd { rule: run.rule.clone(), how: How::Failed(last.said.clone()) },
            None => CallEnd::cancelled(&run.rule),
        };
        called_runs::tell(sql, run.id, &told, now.as_millisecond()).await?;
    }
    let claims: Vec<_> = runs.iter().map(|run| (run.id, run.rule.clone(), run.once.clone())).collect();
    give_back(sql, &claims).await?;
    for run in runs {
        open_lane(sql, run.lane.as_deref()).await?;
    }
    Ok(())
}
