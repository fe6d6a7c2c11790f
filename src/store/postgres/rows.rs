//! PostgreSQL: reading and writing rows: events, runs, values saved by their steps, attempts. What cannot be read is an
//! error, never a default.

use std::collections::HashMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_postgres::types::FromSql;
use tokio_postgres::{Row, Transaction};

use crate::body::number_text;
use crate::expr::condition::trace::Decided;
use crate::model::event::{Event, EventId, Unread};
use crate::model::place::Place;
use crate::model::run::{Attempt, Run, RunId, State};
use crate::model::saved::SavedAt;
use crate::model::sealed_part::SealedPart;
use crate::model::unfinished::{Element, Unfinished};
use crate::store::contract::{Accept, Error, Result};

pub(super) fn moment(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::new(e.to_string(), false))
}

pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| damaged(&e))
}

fn damaged(why: &dyn std::fmt::Display) -> Error {
    Error::new(format!("data in the database is damaged: {why}; restore a backup"), false)
}

pub(super) fn read_json<T: DeserializeOwned>(row: &Row, column: usize) -> Result<T> {
    from_json(row.try_get(column)?)
}

/// One column of all rows.
pub(super) fn column<'a, T: FromSql<'a>>(rows: &'a [Row], column: usize) -> Result<Vec<T>> {
    rows.iter().map(|row| Ok(row.try_get(column)?)).collect()
}

/// Text that is stored as bytes.
pub(super) fn read_text(row: &Row, column: usize) -> Result<String> {
    str::from_utf8(row.try_get(column)?).map(str::to_owned).map_err(|e| damaged(&e))
}

pub(super) fn read_id(row: &Row, column: usize) -> Result<EventId> {
    uuid::Uuid::from_slice(row.try_get(column)?).map(EventId).map_err(|e| damaged(&e))
}

fn read_count(row: &Row, column: usize) -> Result<u32> {
    u32::try_from(row.try_get::<_, i64>(column)?).map_err(|e| damaged(&e))
}

fn read_place(row: &Row, step: usize, element: usize) -> Result<Place> {
    Ok(Place { step: read_count(row, step)?, element: read_count(row, element)? })
}

/// The number of an event, if it exists.
pub(super) async fn number(sql: &Transaction<'_>, event: EventId) -> Result<Option<i64>> {
    let row = sql.query_opt("SELECT seq FROM event WHERE id = $1", &[&&event.0.as_bytes()[..]]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// Everything in an event except its body, and how conditions that depend on secrets and variables were decided.
#[derive(Serialize, Deserialize)]
pub(super) struct Head {
    pub method: String,
    pub address: String,
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub ip: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sealed: Vec<SealedPart>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decided: Vec<Decided>,
}

impl Head {
    pub(super) fn of(accept: &Accept) -> Self {
        let event = &accept.event;
        Self {
            method: event.method.clone(),
            address: event.address.clone(),
            query: event.query.clone(),
            headers: event.headers.clone(),
            ip: event.ip.clone(),
            sender: event.sender.as_deref().map(str::to_owned),
            sealed: event.sealed.clone(),
            decided: accept.decided.clone(),
        }
    }
}

/// The stored size in bytes of a waiting run and its event.
pub(super) const SIZE: &str =
    "octet_length(e.body) + (SELECT coalesce(sum(octet_length(s.value::text)), 0)::bigint FROM saved s WHERE s.run = p.id)";

/// The columns for `read_unread`.
pub(super) const EVENT: &str = "e.id, e.received, e.head, e.body";

pub(super) fn read_event(row: &Row, from: usize) -> Result<Event> {
    // It was parsed once before it was stored, so it can be parsed again.
    crate::body::read_event(read_unread(row, from)?).map_err(|why| damaged(&why.why))
}

pub(super) fn read_unread(row: &Row, from: usize) -> Result<Unread> {
    let Head { method, address, query, headers, ip, sender, sealed, .. } = read_json(row, from + 2)?;
    let raw = Bytes::copy_from_slice(row.try_get(from + 3)?);
    Ok(Unread::new(Event {
        id: read_id(row, from)?,
        received: moment(row.try_get(from + 1)?),
        method,
        address,
        query,
        headers,
        ip,
        sender: sender.map(Into::into),
        sealed,
        raw,
        ..Event::nobody()
    }))
}

/// The columns of a waiting run for `read_run`.
pub(super) const PENDING: &str = "p.id, p.event, p.rule, p.text, p.step, p.element, p.tried, p.due, p.settled, p.forgiven, p.replays, p.lane, p.turn, p.failed_step, p.failed_element";
/// The same columns of an ended run.
pub(super) const ENDED: &str = "p.id, p.event, p.rule, p.text, p.step, p.element, p.tried, p.at, FALSE, p.forgiven, p.replays, p.lane, 0::bigint, NULL::bigint, NULL::bigint";
/// The number of these columns.
pub(super) const RUN_COLUMNS: usize = 15;

/// A run without its saved values; `add_saved` adds those.
pub(super) fn read_run(row: &Row, event: EventId, state: State) -> Result<Run> {
    let is_none = |column| Ok::<_, Error>(row.try_get::<_, Option<i64>>(column)?.is_none());
    let lane: Option<&[u8]> = row.try_get(11)?;
    Ok(Run {
        id: row.try_get(0)?,
        event,
        rule: read_text(row, 2)?.into(),
        text: row.try_get::<_, &str>(3)?.into(),
        state,
        place: read_place(row, 4, 5)?,
        tried: read_count(row, 6)?,
        due: moment(row.try_get(7)?),
        saved: serde_json::Map::new(),
        unsaved: Vec::new(),
        unfinished: Unfinished::default(),
        settled: row.try_get(8)?,
        forgiven: row.try_get(9)?,
        replays: read_count(row, 10)?,
        lane: if lane.is_some() { Some(read_text(row, 11)?.into()) } else { None },
        turn: row.try_get(12)?,
        failed_at: if is_none(13)? { None } else { Some(read_place(row, 13, 14)?) },
    })
}

/// Writes the values of `save_as`, a row for each, so that a list grows by one row per element.
pub(super) async fn write_saved(sql: &Transaction<'_>, run: &Run) -> Result<()> {
    for at in &run.unsaved {
        let SavedAt { name, element } = at;
        let is_unfinished = Unfinished::is_row(name);
        let number = element.map_or(-1, |n| n as i64);
        if is_unfinished {
            sql.execute("DELETE FROM saved WHERE run = $1 AND name = $2 AND element = $3", &[&run.id, name, &number]).await?;
        } else if element.is_none_or(|n| n == 0) {
            // It replaces what was saved under this name before.
            sql.execute("DELETE FROM saved WHERE run = $1 AND name = $2", &[&run.id, name]).await?;
        }
        let value = if is_unfinished { run.unfinished.row(at).map_err(|e| damaged(&e))? } else { at.of(&run.saved).cloned() };
        let Some(value) = value else { continue };
        let text = "INSERT INTO saved (run, name, element, value) VALUES ($1, $2, $3, $4)
                    ON CONFLICT (run, name, element) DO UPDATE SET value = EXCLUDED.value";
        sql.execute(text, &[&run.id, name, &number, &json(&value)?]).await?;
    }
    Ok(())
}

/// Adds to runs the values their steps saved.
pub(super) async fn add_saved(sql: &Transaction<'_>, runs: &mut [&mut Run]) -> Result<()> {
    let ids: Vec<RunId> = runs.iter().map(|run| run.id).collect();
    let text = "SELECT run, name, element, value FROM saved WHERE run = ANY($1) ORDER BY run, name, element";
    let rows = sql.query(text, &[&ids]).await?;
    let mut by_id: HashMap<RunId, &mut Run> = runs.iter_mut().map(|run| (run.id, &mut **run)).collect();
    for row in rows {
        let (run, name, element): (RunId, String, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        // Numbers keep their spelling.
        let value = number_text::parse(row.try_get(3)?).map_err(|e| damaged(&e))?;
        let Some(run) = by_id.get_mut(&run) else { continue };
        if Unfinished::is_row(&name) {
            let at = SavedAt { name, element: usize::try_from(element).ok() };
            run.unfinished.read_row(&at, value).map_err(|e| damaged(&e))?;
            continue;
        }
        match run.saved.get_mut(&name) {
            Some(Value::Array(list)) if element > 0 => list.push(value),
            _ if element >= 0 => drop(run.saved.insert(name, Value::Array(vec![value]))),
            _ => drop(run.saved.insert(name, value)),
        }
    }
    Ok(())
}

/// Marks the effect of a step and element that waits aside as already done.
pub(super) async fn settle_aside(sql: &Transaction<'_>, run: RunId, step: u32, element: u32) -> Result<()> {
    let element = i64::from(element);
    let text = "SELECT name, value FROM saved WHERE run = $1 AND name LIKE '@%' AND element = $2";
    for row in sql.query(text, &[&run, &element]).await? {
        let (name, waits): (String, Element) = (row.try_get(0)?, read_json(&row, 1)?);
        if let Some(settled) = waits.settled_at(step) {
            let text = "UPDATE saved SET value = $4 WHERE run = $1 AND name = $2 AND element = $3";
            sql.execute(text, &[&run, &name, &element, &json(&settled)?]).await?;
        }
    }
    Ok(())
}

/// Adds to a run's history.
pub(super) async fn keep_attempts(sql: &Transaction<'_>, run: RunId, attempts: &[Attempt]) -> Result<()> {
    if !attempts.is_empty() {
        sql.execute("INSERT INTO attempt (run, attempts) VALUES ($1, $2)", &[&run, &json(attempts)?]).await?;
    }
    Ok(())
}
