//! SQLite: storing an event with the runs that it starts, or finding that it was already received.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::claims::insert_runs;
use super::continuing::restart;
use super::owner::Owner;
use super::reply::Reply;
use super::rows::{Sql, event_id, from_json, json, range};
use super::sealing::{seal_bytes, seal_text};
use super::statements::{Hot, Statements};
use super::{alarms, schedules};
use crate::model::answer::SealedAnswer;
use crate::model::run::{RunId, State};
use crate::secret::{Key, SealedText};
use crate::store::contract::{Accept, AnswerState, Delivery, StartResult};
use crate::store::starts::Claim;

/// Bodies above this many bytes do not stay in memory until the next event.
const LARGE: usize = 64 * 1024;

/// An event as it is written; built by the caller's thread, so that the writer thread only writes.
pub(super) struct EventRow {
    accept: Arc<Accept>,
    query: String,
    headers: String,
    body: Bytes,
    /// Values with the names of secrets, and decisions that depend on secrets and variables, if there are any.
    parts: Option<String>,
    decided: Option<String>,
    /// The hash that distinguishes its request from others, if it may be needed.
    request: Option<String>,
}

impl EventRow {
    pub(super) fn of(accept: Arc<Accept>, key: &Key) -> Self {
        let event = &accept.event;
        let query = seal_text(key, event.query.clone(), "query");
        // A list of strings always serializes.
        let headers = seal_text(key, json(&event.headers).unwrap_or_else(|_| "[]".to_owned()), "headers");
        let body = seal_bytes(key, &event.raw, "body");
        let parts = (!event.sealed.is_empty()).then(|| seal_text(key, json(&event.sealed).unwrap_or_default(), "parts"));
        let decided = (!accept.decided.is_empty()).then(|| seal_text(key, json(&accept.decided).unwrap_or_default(), "decided"));
        let request = (!accept.deliveries.is_empty()).then(|| event.request_hash());
        Self { query, headers, body, parts, decided, request, accept }
    }
}

pub(super) fn accept(sql: &Transaction, hot: &mut Statements, owner: &Owner, row: &EventRow) -> Sql<Reply> {
    let Accept { event: sent, runs, claim: claimed, deliveries, ruleset, status, taken, .. } = &*row.accept;
    let received = sent.received.as_millisecond();
    if let Some(claimed) = claimed
        && !alarms::claim(sql, claimed)?
    {
        let mut same = sql.prepare_cached("SELECT seq FROM event WHERE id = ?1")?;
        let event: Option<i64> = same.query_row([sent.id.0.as_bytes()], |r| r.get(0)).optional()?;
        return event.map_or(Ok(Reply::Claimed), |event| kept_before(sql, owner, event, runs.len()));
    }
    for delivery in deliveries {
        if let Some(again) = redelivered(sql, owner, row, delivery)? {
            return Ok(again);
        }
    }
    let values = params![
        sent.id.0.as_bytes(),
        received,
        sent.method,
        sent.address,
        row.query,
        row.headers,
        sent.ip,
        &row.body[..],
        ruleset,
        status,
        sent.sender.as_deref(),
        row.parts,
        row.decided
    ];
    let inserted = hot.execute(Hot::StoreEvent, values)?;
    if row.body.len() > LARGE {
        hot.forget(Hot::StoreEvent);
    }
    if inserted == 0 {
        let event = sql.query_row("SELECT seq FROM event WHERE id = ?1", [sent.id.0.as_bytes()], |r| r.get(0))?;
        return kept_before(sql, owner, event, runs.len());
    }
    let event = sql.last_insert_rowid();
    let [first, _] = range(event);
    let by = if *taken { owner.epoch } else { 0 };
    let results = insert_runs(sql, hot, event, first, received, by, runs)?;
    if let Some(Claim::Moment(_)) = claimed {
        schedules::take_place(sql, event, runs, sent.received)?;
    }
    for delivery in deliveries {
        let until = received + delivery.remembered.as_millis() as i64;
        sql.prepare_cached("INSERT OR REPLACE INTO delivery (key, event, until, request) VALUES (?1, ?2, ?3, ?4)")?.execute(params![
            delivery.key,
            event,
            until,
            row.request
        ])?;
    }
    Ok(Reply::New(first, results))
}

/// What happened to the runs of an event that an earlier `accept` stored without its outcome being known.
fn kept_before(sql: &Transaction, owner: &Owner, event: i64, runs: usize) -> Sql<Reply> {
    let [first, _] = range(event);
    let result = |run: RunId| -> Sql<StartResult> {
        let mine = sql.prepare_cached("SELECT 1 FROM pending WHERE id = ?1 AND owner = ?2")?.exists(params![run, owner.epoch])?;
        let text = "SELECT 1 FROM ended WHERE id = ?1 AND state = ?2";
        let repeated = !mine && sql.prepare_cached(text)?.exists(params![run, State::Repeated.word()])?;
        Ok(if mine { StartResult::Begun } else { if repeated { StartResult::Repeated } else { StartResult::Queued } })
    };
    Ok(Reply::New(first, (first..).take(runs).map(result).collect::<Sql<_>>()?))
}

/// The result for a delivery that was already received; `None` if it is to be treated as new.
fn redelivered(sql: &Transaction, owner: &Owner, row: &EventRow, delivery: &Delivery) -> Sql<Option<Reply>> {
    let accept = &row.accept;
    let received = accept.event.received.as_millisecond();
    let known: Option<(i64, Option<String>)> = sql
        .prepare_cached("SELECT event, request FROM delivery WHERE key = ?1 AND until > ?2")?
        .query_row(params![delivery.key, received], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?;
    let Some((event, request)) = known else { return Ok(None) };
    let Some(first) = sql.prepare_cached("SELECT id FROM event WHERE seq = ?1")?.query_row([event], |r| event_id(r, 0)).optional()? else {
        return Ok(None);
    };
    if first == accept.event.id {
        return kept_before(sql, owner, event, accept.runs.len()).map(Some);
    }
    let has_run = |table: &str| -> Sql<bool> {
        sql.prepare_cached(&format!("SELECT 1 FROM {table} WHERE id >= ?1 AND id < ?2 LIMIT 1"))?.exists(range(event))
    };
    if !accept.runs.is_empty() && !has_run("pending")? && !has_run("ended")? {
        // No rule matched it then, but one does now.
        return Ok(None);
    }
    let is_same = request.is_some() && request == row.request;
    let [from, to] = range(event);
    let restarted = if is_same || accept.is_vouched { restart(sql, from, to, None, received)? } else { 0 };
    let answer_state = if is_same { answer_state(sql, event)? } else { AnswerState::default() };
    Ok(Some(Reply::Again { first, is_same, restarted, answer_state }))
}

/// The state of the answer to an event.
pub(super) fn answer_state(sql: &Transaction, event: i64) -> Sql<AnswerState> {
    let is_open = sql.prepare_cached("SELECT 1 FROM pending WHERE id >= ?1 AND id < ?2 LIMIT 1")?.exists(range(event))?;
    let read = |r: &Row| -> Sql<SealedAnswer> {
        if let Some(sealed) = r.get::<_, Option<String>>(3)? {
            return from_json(&sealed, 3);
        }
        // The format from before sealed answers existed.
        let (headers, body): (String, Vec<u8>) = (r.get(1)?, r.get(2)?);
        let headers: Vec<(String, String)> = from_json(&headers, 1)?;
        let headers = headers.into_iter().map(|(name, value)| (name, SealedText::clear(value))).collect();
        Ok(SealedAnswer { status: r.get(0)?, headers, body: SealedText::clear(String::from_utf8_lossy(&body)) })
    };
    let mut statement = sql.prepare_cached("SELECT status, headers, body, opened(sealed, 'answer') FROM answer WHERE event = ?1")?;
    Ok(AnswerState { answer: statement.query_row([event], read).optional()?, is_open })
}
