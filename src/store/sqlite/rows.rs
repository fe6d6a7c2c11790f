//! SQLite: reading and writing rows: runs, values saved by their steps, events, attempts. A column that cannot be read
//! is an error with the column's name, never a default: a damaged store must not look like an empty one.

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, Row, Rows, Transaction, params, types::Type};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::sealing::MARK;
use super::statements::{Hot, Statements};
use crate::body::{Malformed, number_text};
use crate::model::event::{Event, EventId, Unread};
use crate::model::place::Place;
use crate::model::run::{Attempt, Run, RunId, State};
use crate::model::saved::SavedAt;
use crate::model::second_error::ON_ERROR;
use crate::model::unfinished::{Element, Unfinished};

/// The maximum number of runs one event can start. A run's number is its event's number times this, plus its position
/// among the event's runs, so that all runs of an event are a range of keys and need no extra index.
pub(super) const MOST_RUNS: i64 = 1 << 16;

pub(super) type Sql<T> = rusqlite::Result<T>;

pub(super) fn moment(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The range of numbers of an event's runs.
pub(super) fn range(event: i64) -> [RunId; 2] {
    [event * MOST_RUNS, (event + 1) * MOST_RUNS]
}

/// An id as its column stores it.
pub(super) fn event_id(r: &Row, column: usize) -> Sql<EventId> {
    Ok(EventId(uuid::Uuid::from_bytes(r.get(column)?)))
}

/// Serializes a value for a JSON column.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Sql<String> {
    serde_json::to_string(value).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
}

/// Reads a JSON column.
pub(super) fn from_json<T: DeserializeOwned>(text: &str, column: usize) -> Sql<T> {
    if text.starts_with(MARK) {
        let why = "it was encrypted with another data key; give that key, too: --data-key NEW,OLD";
        return Err(unreadable(column, Type::Text, std::io::Error::other(why)));
    }
    serde_json::from_str(text).map_err(|e| unreadable(column, Type::Text, e))
}

/// Reads a JSON column whose numbers keep their spelling.
fn spelled(text: &str, column: usize) -> Sql<serde_json::Value> {
    match number_text::parse(text) {
        Ok(value) => Ok(value),
        Err(_) => from_json(text, column),
    }
}

fn unreadable(column: usize, kind: Type, why: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(why))
}

/// The columns of a waiting run for `read_run`.
pub(super) const PENDING: &str = "p.id, p.rule, p.text, p.step, p.element, p.tried, p.due, p.saved, p.settled, p.forgiven, p.replays, p.lane, p.failed_step, p.failed_element, p.turn";
/// The same columns of an ended run.
pub(super) const ENDED: &str =
    "p.id, p.rule, p.text, p.step, p.element, p.tried, p.at, p.saved, 0, p.forgiven, p.replays, p.lane, NULL, NULL, 0";
/// The number of these columns.
pub(super) const RUN_COLUMNS: usize = 15;

/// A run without the values its steps saved since; `saved_of` adds those.
pub(super) fn read_run(r: &Row, event: EventId, state: State) -> Sql<Run> {
    let saved: String = r.get(7)?;
    Ok(Run {
        id: r.get(0)?,
        event,
        rule: r.get::<_, String>(1)?.into(),
        text: r.get::<_, String>(2)?.into(),
        state,
        place: Place { step: r.get(3)?, element: r.get(4)? },
        tried: r.get(5)?,
        due: moment(r.get(6)?),
        saved: spelled(&saved, 7)?.as_object().cloned().unwrap_or_default(),
        unsaved: Vec::new(),
        unfinished: Unfinished::default(),
        settled: r.get(8)?,
        forgiven: r.get(9)?,
        replays: r.get(10)?,
        lane: r.get::<_, Option<String>>(11)?.map(Into::into),
        failed_at: match (r.get(12)?, r.get(13)?) {
            (Some(step), Some(element)) => Some(Place { step, element }),
            _ => None,
        },
        turn: r.get(14)?,
    })
}

/// Writes the values of `save_as`, a row for each, so that a list grows by one row per element.
pub(super) fn write_saved(sql: &Transaction, run: &Run) -> Sql<()> {
    for at in &run.unsaved {
        let SavedAt { name, element } = at;
        let is_unfinished = Unfinished::is_row(name);
        let number = element.map_or(-1, |n| n as i64);
        if is_unfinished {
            sql.prepare_cached("DELETE FROM saved WHERE run = ?1 AND name = ?2 AND element = ?3")?
                .execute(params![run.id, name, number])?;
        } else if element.is_none_or(|n| n == 0) {
            // It replaces what was saved under this name before.
            sql.prepare_cached("DELETE FROM saved WHERE run = ?1 AND name = ?2")?.execute(params![run.id, name])?;
        }
        let value = match is_unfinished {
            true => run.unfinished.row(at).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?,
            false => at.of(&run.saved).cloned(),
        };
        let Some(value) = value else { continue };
        sql.prepare_cached("INSERT OR REPLACE INTO saved (run, name, element, value) VALUES (?1, ?2, ?3, sealed(?4, 'saved'))")?
            .execute(params![run.id, name, number, json(&value)?])?;
    }
    Ok(())
}

/// Adds to a run the values its steps saved.
pub(super) fn saved_of(sql: &Connection, run: &mut Run) -> Sql<()> {
    let text = "SELECT name, element, opened(value, 'saved') FROM saved WHERE run = ?1 ORDER BY name, element";
    read_saved(sql.prepare_cached(text)?.query([run.id])?, run)
}

fn read_saved(mut rows: Rows, run: &mut Run) -> Sql<()> {
    while let Some(r) = rows.next()? {
        let (name, element, value): (String, i64, String) = (r.get(0)?, r.get(1)?, r.get(2)?);
        let value = spelled(&value, 2)?;
        if Unfinished::is_row(&name) {
            let at = SavedAt { name, element: usize::try_from(element).ok() };
            run.unfinished.read_row(&at, value).map_err(|e| unreadable(2, Type::Text, e))?;
            continue;
        }
        match run.saved.get_mut(&name) {
            Some(serde_json::Value::Array(list)) if element > 0 => list.push(value),
            _ if element >= 0 => {
                run.saved.insert(name, serde_json::Value::Array(vec![value]));
            }
            _ => {
                run.saved.insert(name, value);
            }
        }
    }
    Ok(())
}

/// Adds to a run which elements of its `for_each` are unfinished, and where its `on_error:` failed, without the other values that
/// it saved.
pub(super) fn failures_of(sql: &Connection, run: &mut Run) -> Sql<()> {
    let text = "SELECT name, element, opened(value, 'saved') FROM saved WHERE run = ?1 AND (name >= '@' AND name < 'A' OR name = ?2)";
    read_saved(sql.prepare_cached(text)?.query(params![run.id, ON_ERROR])?, run)
}

/// Marks the effect of a step and element that waits aside as already done.
pub(super) fn settle_aside(sql: &Transaction, run: RunId, step: u32, element: u32) -> Sql<()> {
    let text = "SELECT name, opened(value, 'saved') FROM saved WHERE run = ?1 AND name >= '@' AND name < 'A' AND element = ?2";
    let read = |r: &Row| Ok((r.get(0)?, r.get(1)?));
    let found: Vec<(String, String)> = sql.prepare_cached(text)?.query_map(params![run, element], read)?.collect::<Sql<_>>()?;
    for (name, value) in found {
        if let Some(settled) = from_json::<Element>(&value, 1)?.settled_at(step) {
            sql.prepare_cached("UPDATE saved SET value = sealed(?4, 'saved') WHERE run = ?1 AND name = ?2 AND element = ?3")?
                .execute(params![run, name, element, json(&settled)?])?;
        }
    }
    Ok(())
}

/// The size in bytes of a waiting run and its event; what encryption adds to a body does not count.
pub(super) const SIZE: &str = "coalesce(octet_length(e.body) - CASE substr(e.headers, 1, 1) WHEN '~' THEN 45 ELSE 0 END, 0) + (SELECT coalesce(sum(octet_length(s.value)), 0) FROM saved s WHERE s.run = p.id)";

/// The columns for `read_unread`.
// The headers show whether the event is sealed: a sender cannot make them begin with the mark.
pub(super) const EVENT: &str = "e.id, e.received, e.method, e.address,
    CASE substr(e.headers, 1, 1) WHEN '~' THEN opened(e.query, 'query') ELSE e.query END, opened(e.headers, 'headers'), e.ip,
    CASE substr(e.headers, 1, 1) WHEN '~' THEN opened(e.body, 'body') ELSE e.body END, e.sender, opened(e.parts, 'parts')";
/// The number of these columns.
pub(super) const EVENT_COLUMNS: usize = 10;

pub(super) fn read_event(r: &Row, from: usize) -> Sql<Event> {
    // It was parsed once before it was stored, so it can be parsed again.
    let unreadable = |why: Malformed| unreadable(from + 7, Type::Blob, std::io::Error::other(why.why));
    crate::body::read_event(read_unread(r, from)?).map_err(unreadable)
}

pub(super) fn read_unread(r: &Row, from: usize) -> Sql<Unread> {
    let headers: String = r.get(from + 5)?;
    let headers: Vec<(String, String)> = from_json(&headers, from + 5)?;
    let raw = Bytes::from(r.get::<_, Vec<u8>>(from + 7)?);
    Ok(Unread::new(Event {
        id: event_id(r, from)?,
        received: moment(r.get(from + 1)?),
        method: r.get(from + 2)?,
        address: r.get(from + 3)?,
        query: r.get(from + 4)?,
        headers,
        ip: r.get(from + 6)?,
        sender: r.get::<_, Option<String>>(from + 8)?.map(Into::into),
        sealed: r.get::<_, Option<String>>(from + 9)?.map(|text| from_json(&text, from + 9)).transpose()?.unwrap_or_default(),
        raw,
        ..Event::nobody()
    }))
}

/// A row of `ended`.
pub(super) struct Ended<'a> {
    pub id: RunId,
    pub event: i64,
    pub rule: &'a str,
    pub text: &'a str,
    pub state: State,
    pub place: Place,
    pub tried: u32,
    pub at: i64,
    /// Saved values as an earlier version stored them; the table `saved` holds the rest.
    pub saved: &'a str,
    pub forgiven: bool,
    pub replays: u32,
    /// As JSON, sealed if there is a key.
    pub attempts: &'a str,
    pub lane: Option<&'a str>,
    pub once: Option<&'a str>,
}

impl Ended<'_> {
    pub(super) fn insert(&self, sql: &Transaction, hot: &mut Statements) -> Sql<()> {
        if !self.is_inserted(hot)? {
            // A run is either waiting or ended; should it be both, what it did last counts. (REPLACE would do this as well, but
            // SQLite prepares every such statement to be undone, which costs more than all the rest of it.)
            sql.prepare_cached("DELETE FROM ended WHERE id = ?1")?.execute([self.id])?;
            self.is_inserted(hot)?;
        }
        Ok(())
    }

    /// Inserts it, unless there is a row with its number.
    fn is_inserted(&self, hot: &mut Statements) -> Sql<bool> {
        let values = params![
            self.id,
            self.event,
            self.rule,
            self.text,
            self.state.word(),
            self.place.step,
            self.place.element,
            self.tried,
            self.at,
            self.saved,
            self.forgiven,
            self.replays,
            self.attempts,
            self.lane,
            self.once
        ];
        Ok(hot.execute(Hot::StoreEnded, values)? > 0)
    }
}

/// Moves a waiting run unchanged to the ended ones, with a last history entry. Its saved values are kept for a replay, or
/// deleted.
pub(super) fn end(sql: &Transaction, run: RunId, state: State, at: i64, last: &[Attempt]) -> Sql<()> {
    sql.prepare_cached(
        "INSERT OR REPLACE INTO ended (id, event, rule, text, state, step, element, tried, at, saved, forgiven, replays, attempts, lane, once)
         SELECT id, event, rule, text, ?2, step, element, tried, ?3, saved, forgiven, replays, sealed(?4, 'attempts'), lane, once FROM pending WHERE id = ?1",
    )?
    .execute(params![run, state.word(), at, json(last)?])?;
    sql.prepare_cached("DELETE FROM pending WHERE id = ?1")?.execute([run])?;
    if !state.has_failed() {
        sql.prepare_cached("DELETE FROM saved WHERE run = ?1")?.execute([run])?;
    }
    Ok(())
}

/// Adds what an ended run did last to its history, because it goes on.
pub(super) fn keep_last_attempts(sql: &Transaction, run: RunId) -> Sql<()> {
    sql.prepare_cached(
        "INSERT INTO attempts (run, nth, attempts) SELECT ?1, (SELECT coalesce(max(nth), 0) + 1 FROM attempts WHERE run = ?1), attempts FROM ended WHERE id = ?1",
    )?
    .execute([run])?;
    Ok(())
}

/// Adds to a run's history: attempts as JSON, sealed if there is a key.
pub(super) fn keep_attempts(sql: &Transaction, run: RunId, attempts: &str) -> Sql<()> {
    sql.prepare_cached(
        "INSERT INTO attempts (run, nth, attempts) VALUES (?1, (SELECT coalesce(max(nth), 0) + 1 FROM attempts WHERE run = ?1), ?2)",
    )?
    .execute(params![run, attempts])?;
    Ok(())
}
