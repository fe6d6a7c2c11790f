//! The events of rules that start without a request, as rules see them. Dry runs and tests make the same ones.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::model::event::{Event, EventId};
use crate::model::origin::{FAILED, SCHEDULE, SILENT};
use crate::rule::Rule;
use crate::rule::silent::Silence;
use crate::schedule::timetable::Timetable;
use crate::schedule::zone::Named;

/// What starts a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The moment for which it starts.
    pub planned: Timestamp,
    /// The moment before, if the rule was started then.
    pub previous: Option<Timestamp>,
    /// How many moments were missed.
    pub missed: usize,
    /// Whether somebody asked for it, so that no moment of the schedule is used up.
    pub is_by_hand: bool,
}

/// The event of a moment.
pub fn moment(rule: &Rule, timetable: &Timetable, start: Start, id: EventId, received: Timestamp) -> Event {
    let spelled = |moment: Timestamp| Value::from(timetable.local(moment).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string());
    let mut body = Map::new();
    body.insert("planned".to_owned(), spelled(start.planned));
    if let Some(previous) = start.previous {
        body.insert("previous".to_owned(), spelled(previous));
    }
    body.insert("missed".to_owned(), start.missed.into());
    made(SCHEDULE, &rule.name, body, id, received)
}

/// What a rule is told in a dry run or test, where nothing else is given.
pub fn sample_failure(failed: &str) -> Map<String, Value> {
    let body = json!({
        "rule": failed,
        "step": "call the CRM",
        "message": "https://crm.example.com/orders answered 500 (given up after 11 tries)",
        "status": 500,
        "tries": 11,
        "event": "01970000-0000-7000-8000-000000000000",
        "address": "/orders",
        "count": 1,
    });
    if let Value::Object(body) = body { body } else { Map::new() }
}

/// The event of failures of a rule: what is known about the newest one, with how many there were.
pub fn failure(failed: &str, body: Map<String, Value>, id: EventId, received: Timestamp) -> Event {
    made(FAILED, failed, body, id, received)
}

/// What is known about a silence.
pub struct Quiet<'a> {
    /// Where nothing came.
    pub address: &'a str,
    /// When something was last accepted there; at the end of the silence, what ended it.
    pub last: Option<Timestamp>,
    /// At its end: when something was accepted before it.
    pub previous: Option<Option<Timestamp>>,
}

/// The event of a silence, or of its end.
pub fn silence(rule: &Rule, quiet: Quiet, zone: &Named, id: EventId, received: Timestamp) -> Event {
    let spelled = |at: Timestamp| Value::from(at.to_zoned(zone.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string());
    let mut body = Map::new();
    body.insert("address".to_owned(), quiet.address.into());
    if let Some(last) = quiet.last {
        body.insert("last".to_owned(), spelled(last));
    }
    if let Some(Some(previous)) = quiet.previous {
        body.insert("previous".to_owned(), spelled(previous));
    }
    body.insert("back".to_owned(), quiet.previous.is_some().into());
    made(SILENT, &rule.name, body, id, received)
}

/// The same in a dry run or test, where some of it is given.
pub fn sample_silence(rule: &Rule, silence: &Silence, given: &Map<String, Value>, id: EventId, received: Timestamp) -> Event {
    let is_back = given.get("back") == Some(&Value::Bool(true));
    let before = |seconds: i64| received.checked_sub(SignedDuration::from_secs(seconds)).ok();
    let time = i64::try_from(silence.time.as_secs()).unwrap_or(i64::MAX / 2);
    let quiet = Quiet {
        address: silence.route.text(),
        last: if is_back { Some(received) } else { before(time) },
        previous: is_back.then(|| before(time.saturating_mul(2))),
    };
    let mut event = self::silence(rule, quiet, &silence.zone, id, received);
    if let Value::Object(body) = &mut event.body {
        body.extend(given.clone());
    }
    Event { raw: Bytes::from(event.body.to_string()), ..event }
}

fn made(method: &str, address: &str, body: Map<String, Value>, id: EventId, received: Timestamp) -> Event {
    let body = Value::Object(body);
    Event {
        id,
        received,
        method: method.to_owned(),
        address: address.to_owned(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        raw: Bytes::from(body.to_string()),
        body,
        ..Event::nobody()
    }
}
