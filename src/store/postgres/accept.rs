//! PostgreSQL: storing an event with the runs that it starts, or finding that it was already received.

use tokio_postgres::Transaction;

use super::claims::{Known, claim_again, claim_deliveries, insert_runs, keep_deliveries, lock_lanes};
use super::owner::Owner;
use super::rows::{Head, column, json, number, read_id, read_json, read_text};
use super::{alarms, called_runs, schedules};
use crate::model::event::EventId;
use crate::model::run::{Run, RunId, State};
use crate::store::contract::{Accept, AnswerState, Result, StartResult};
use crate::store::starts::Claim;

/// The result of accepting an event.
pub(super) enum Kept {
    New(Vec<(Run, StartResult)>),
    Again { first: EventId, is_same: bool, restarted: usize, answer_state: AnswerState },
    Claimed,
}

pub(super) async fn accept(sql: &Transaction<'_>, owner: &Owner, accept: &Accept) -> Result<Kept> {
    owner.live(sql).await?;
    let now = accept.event.received.as_millisecond();
    if let Some(claimed) = &accept.claim
        && !alarms::claim(sql, claimed).await?
    {
        return match number(sql, accept.event.id).await? {
            Some(seq) => kept_before(sql, owner, accept, seq).await,
            None => Ok(Kept::Claimed),
        };
    }
    let keys = claim_deliveries(sql, &accept.deliveries).await?;
    if let Some(kept) = redelivered(sql, owner, accept, &keys, now).await? {
        return Ok(kept);
    }
    let (event, head) = (&accept.event, json(&Head::of(accept))?);
    let text = "INSERT INTO event (id, received, head, body, ruleset, status) VALUES ($1, $2, $3, $4, $5, $6)
                ON CONFLICT (id) DO NOTHING RETURNING seq";
    let id = &event.id.0.as_bytes()[..];
    let inserted = sql
        .query_opt(text, &[&id, &now, &head, &&event.raw[..], &accept.ruleset, &i32::try_from(accept.status).unwrap_or_default()])
        .await?;
    let Some(inserted) = inserted else {
        let seq = sql.query_one("SELECT seq FROM event WHERE id = $1", &[&id]).await?.try_get(0)?;
        return kept_before(sql, owner, accept, seq).await;
    };
    let seq: i64 = inserted.try_get(0)?;
    let by = if accept.taken { owner.id } else { 0 };
    let results = insert_runs(sql, seq, now, by, &accept.runs).await?;
    if let Some(Claim::Moment(_)) = accept.claim {
        schedules::take_place(sql, seq, &accept.runs, event.received).await?;
    }
    keep_deliveries(sql, &keys, accept, seq).await?;
    let runs = results.into_iter().zip(&accept.runs).map(|((id, result), new)| (new.begin(id, event), result));
    Ok(Kept::New(runs.collect()))
}

/// What happened to the runs of an event that an earlier `accept` stored without its outcome being known.
async fn kept_before(sql: &Transaction<'_>, owner: &Owner, accept: &Accept, seq: i64) -> Result<Kept> {
    // Runs that were started again later have higher numbers.
    let text = "SELECT id, owner, 'waiting' FROM pending WHERE event = $1
                UNION ALL SELECT id, 0, state FROM ended WHERE event = $1 ORDER BY id LIMIT $2";
    let mut runs = Vec::with_capacity(accept.runs.len());
    for (row, new) in sql.query(text, &[&seq, &(accept.runs.len() as i64)]).await?.iter().zip(&accept.runs) {
        let (id, by, state): (RunId, i64, &str) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let result = match State::read(state) {
            Some(State::Repeated) => StartResult::Repeated,
            _ if by == owner.id => StartResult::Begun,
            _ => StartResult::Queued,
        };
        runs.push((new.begin(id, &accept.event), result));
    }
    Ok(Kept::New(runs))
}

/// The result for a delivery that was already received; `None` if it is to be treated as new.
async fn redelivered(sql: &Transaction<'_>, owner: &Owner, accept: &Accept, keys: &[(String, Known)], now: i64) -> Result<Option<Kept>> {
    let known: Vec<_> = keys.iter().filter_map(|(_, known)| known.as_ref()).filter(|(_, until, _)| *until > now).collect();
    if known.is_empty() {
        return Ok(None);
    }
    let request = accept.event.request_hash();
    let seqs: Vec<i64> = known.iter().map(|(seq, ..)| *seq).collect();
    // So that nobody deletes them, or starts runs for them, in the meantime.
    let text = "SELECT seq, id FROM event WHERE seq = ANY($1) ORDER BY seq FOR UPDATE";
    let mut events: Vec<(i64, EventId)> = Vec::new();
    for row in sql.query(text, &[&seqs]).await? {
        events.push((row.try_get(0)?, read_id(&row, 1)?));
    }
    for (seq, _, before) in known {
        let Some((_, first)) = events.iter().find(|(event, _)| event == seq) else { continue };
        if *first == accept.event.id {
            return kept_before(sql, owner, accept, *seq).await.map(Some);
        }
        let text = "SELECT 1 FROM pending WHERE event = $1 UNION ALL SELECT 1 FROM ended WHERE event = $1 LIMIT 1";
        if !accept.runs.is_empty() && sql.query_opt(text, &[seq]).await?.is_none() {
            // No rule matched it then, but one does now.
            continue;
        }
        let is_same = *before == request;
        let restarted = if is_same || accept.is_vouched { restart(sql, *seq, None, now).await? } else { 0 };
        let answer_state = if is_same { answer_state(sql, *seq).await? } else { AnswerState::default() };
        return Ok(Some(Kept::Again { first: *first, is_same, restarted, answer_state }));
    }
    Ok(None)
}

/// Continues failed runs of an event at the step that failed; only those of one rule, if one is given. The event is
/// locked. Their turn number jumps far above any earlier one, so that an owner from before the failure is recognised as
/// stale.
pub(super) async fn restart(sql: &Transaction<'_>, seq: i64, rule: Option<&str>, now: i64) -> Result<usize> {
    let text = "SELECT id FROM ended WHERE event = $1 AND state = 'failed' AND ($2::bytea IS NULL OR rule = $2) ORDER BY id";
    let chosen: Vec<RunId> = column(&sql.query(text, &[&seq, &rule.map(str::as_bytes)]).await?, 0)?;
    let mut all = Vec::with_capacity(chosen.len());
    for run in &chosen {
        all.extend(called_runs::to_continue(sql, *run).await?);
    }
    let failed = sql.query("SELECT id, lane, rule, once FROM ended WHERE id = ANY($1) ORDER BY id", &[&all]).await?;
    let lanes: Vec<Option<&[u8]>> = column(&failed, 1)?;
    lock_lanes(sql, lanes.into_iter().flatten()).await?;
    let mut claims = Vec::with_capacity(failed.len());
    for row in &failed {
        let run: RunId = row.try_get(0)?;
        claims.push((run, read_text(row, 2)?, row.try_get(3)?));
    }
    claim_again(sql, &claims, now).await?;
    for (run, ..) in &claims {
        let text = "WITH failed AS (DELETE FROM ended WHERE id = $1 RETURNING *)
                    INSERT INTO pending (id, event, rule, text, lane, step, element, due, forgiven, replays, turn, once, owner, queued)
                    SELECT id, event, rule, text, lane, step, element, $2, forgiven, replays + 1, (replays + 1) << 32, once, 0,
                           EXISTS (SELECT 1 FROM pending p WHERE sha256(p.lane) = sha256(failed.lane)) FROM failed";
        sql.execute(text, &[run, &now]).await?;
    }
    Ok(chosen.len())
}

/// The state of the answer to an event.
pub(super) async fn answer_state(sql: &Transaction<'_>, seq: i64) -> Result<AnswerState> {
    let answer = sql.query_opt("SELECT sealed FROM answer WHERE event = $1", &[&seq]).await?;
    let is_open = sql.query_opt("SELECT 1 FROM pending WHERE event = $1 LIMIT 1", &[&seq]).await?.is_some();
    Ok(AnswerState { answer: answer.map(|row| read_json(&row, 0)).transpose()?, is_open })
}
