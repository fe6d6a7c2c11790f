//! SQLite: searching the events, newest first. There is no index for most of what people search for, because each would make
//! every event dearer; so a search looks at a limited number of events at a time and says where it stopped.

use jiff::Timestamp;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{FromSqlError, Value};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::rows::{MOST_RUNS, Sql, event_id, moment};
use crate::model::answer::Answered;
use crate::model::run::State;
use crate::store::body_text::BodyText;
use crate::store::contract::{EventFilter, EventPage, WhatBecame};
use crate::store::event_ids::first_id_at;

/// Adds the function that looks for text in a body to a connection: `has_text(body, text)`.
pub(super) fn register(connection: &Connection) -> Sql<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("has_text", 2, flags, |call| {
        // SQLite keeps it for all rows of a statement.
        let text = call.get_or_create_aux(1, |text| Ok::<_, FromSqlError>(BodyText::new(text.as_str()?)))?;
        Ok(call.get_raw(0).as_bytes().is_ok_and(|body| text.find(body).is_some()))
    })
}

/// Events that were found, each with its number and the status as it is stored, and how far the search came.
#[derive(Default)]
pub(super) struct FoundRows {
    pub rows: Vec<(i64, u32, EventPage)>,
    /// The number of the last event that was looked at; nothing if there are no older ones.
    pub next: Option<i64>,
    pub looked: usize,
    pub back_to: Option<Timestamp>,
}

/// Looks at up to `look` events that are older than number `from`, until `most` are found.
pub(super) fn search(connection: &Connection, filter: &EventFilter, from: Option<i64>, most: usize, look: usize) -> Sql<FoundRows> {
    let before = match (from, filter.before) {
        (Some(from), _) => from,
        (None, None) => i64::MAX,
        (None, Some(before)) => {
            // An id begins with its time.
            let text = "SELECT seq + 1 FROM event WHERE id < ?1 ORDER BY id DESC LIMIT 1";
            let id = first_id_at(before);
            match connection.prepare_cached(text)?.query_row([id.as_bytes()], |r| r.get(0)).optional()? {
                Some(seq) => seq,
                None => return Ok(FoundRows::default()),
            }
        }
    };
    // Numbers may be missing, so the limit is on events and not on numbers.
    let edge = "SELECT min(seq), count(*), min(received) FROM (SELECT seq, received FROM event WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2)";
    let (first, looked, back_to): (Option<i64>, i64, Option<i64>) =
        connection.prepare_cached(edge)?.query_row(params![before, look as i64], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
    let Some(first) = first else { return Ok(FoundRows::default()) };
    let rows = matching(connection, filter, [first, before], most)?;
    let last = match rows.last() {
        Some((seq, ..)) if rows.len() == most => *seq,
        _ => first,
    };
    let has_older = connection.prepare_cached("SELECT 1 FROM event WHERE seq < ?1 LIMIT 1")?.exists([last])?;
    Ok(FoundRows { next: has_older.then_some(last), looked: looked as usize, back_to: back_to.map(moment), rows })
}

/// The events with numbers in this range that the filter selects.
fn matching(connection: &Connection, filter: &EventFilter, range: [i64; 2], most: usize) -> Sql<Vec<(i64, u32, EventPage)>> {
    let mut values: Vec<Value> = vec![range[0].into(), range[1].into(), (most as i64).into()];
    let mut value = |text: &str| {
        values.push(text.to_owned().into());
        format!("?{}", values.len())
    };
    let runs = |table: &str, that: &str| {
        format!("EXISTS (SELECT 1 FROM {table} r WHERE r.id >= seq * {MOST_RUNS} AND r.id < (seq + 1) * {MOST_RUNS}{that})")
    };
    let mut conditions = String::new();
    if let Some(address) = &filter.address {
        conditions += &format!(" AND address = {}", value(address));
    }
    if let Some(text) = &filter.text {
        let body = "CASE substr(headers, 1, 1) WHEN '~' THEN opened(body, 'body') ELSE body END";
        conditions += &format!(" AND has_text({body}, {})", value(text));
    }
    let of_rule = filter.rule.as_ref().map_or_else(String::new, |rule| format!(" AND r.rule = {}", value(rule)));
    conditions += &match filter.became {
        None if filter.rule.is_none() => String::new(),
        None => format!(" AND ({} OR {})", runs("ended", &of_rule), runs("pending", &of_rule)),
        Some(WhatBecame::Nothing) => format!(" AND NOT {} AND NOT {}", runs("ended", &of_rule), runs("pending", &of_rule)),
        Some(WhatBecame::Runs(State::Waiting)) => format!(" AND {}", runs("pending", &of_rule)),
        Some(WhatBecame::Runs(state)) => format!(" AND {}", runs("ended", &format!("{of_rule} AND r.state = {}", value(state.word())))),
    };
    let text = format!(
        "SELECT seq, id, received, method, address, status, sender FROM event WHERE seq >= ?1 AND seq < ?2{conditions} ORDER BY seq DESC LIMIT ?3"
    );
    let read = |r: &Row| {
        let page = EventPage {
            id: event_id(r, 1)?,
            received: moment(r.get(2)?),
            method: r.get(3)?,
            address: r.get(4)?,
            sender: r.get::<_, Option<String>>(6)?.map(Into::into),
            // What it was depends on its runs.
            answered: Answered::With(0),
            runs: Vec::new(),
        };
        Ok((r.get(0)?, r.get(5)?, page))
    };
    connection.prepare_cached(&text)?.query_map(params_from_iter(values), read)?.collect()
}
