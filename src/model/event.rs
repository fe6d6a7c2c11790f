//! An event: a request that was vouched for, exactly as it came. It never changes.
//!
//! The raw bytes are what is kept; `body` is what was read from them once, by [`crate::body`]. Who may make an event is
//! decided in `signature` and `store`: nobody else calls the constructor.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Names an event: a UUID of version 7, so that ids sort by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct EventId(pub Uuid);

impl EventId {
    /// An id made of the moment and of random bits that are handed in.
    pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
        let millis = now.as_millisecond().max(0) as u64;
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for EventId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::parse_str(text.trim()).map(Self)
    }
}

/// The header in which a call of Doorbell's own says how many events one behind the other have led to it, so that a rule that
/// calls its own address, or two that call each other's, do not go on for ever.
pub const HOPS: &str = "doorbell-hops";
/// The most events that may lead to one another.
pub const MOST_HOPS: u32 = 10;

/// How many events have led to a request with these headers.
pub fn hops(headers: &[(String, String)]) -> u32 {
    headers.iter().find(|(n, _)| n == HOPS).and_then(|(_, v)| v.trim().parse().ok()).unwrap_or(0)
}

/// A kept request.
#[derive(Debug, Clone)]
pub struct Event {
    pub id: EventId,
    /// When it was received; `now` in templates, so that every try renders the same.
    pub received: Timestamp,
    pub method: String,
    /// The path called, percent-decoded.
    pub address: String,
    /// What stood behind the `?`, not decoded.
    pub query: String,
    /// Names in small letters, in the order they came; values that are not UTF-8 are kept lossily.
    pub headers: Vec<(String, String)>,
    /// The caller's address.
    pub ip: String,
    /// The body's bytes, as they came.
    pub raw: Bytes,
    /// What was read from the body: the whole, or the parts that rules ask for.
    pub body: Value,
    pub is_partial: bool,
}

impl Event {
    /// An event that nobody sent, to render what must not depend on any.
    pub fn nobody() -> Self {
        Self {
            id: EventId(Uuid::nil()),
            received: Timestamp::UNIX_EPOCH,
            method: String::new(),
            address: String::new(),
            query: String::new(),
            headers: Vec::new(),
            ip: String::new(),
            raw: Bytes::new(),
            body: Value::Null,
            is_partial: false,
        }
    }

    /// What tells this request from every other one: a hash of method, address, query and body, each with its length before it.
    /// Headers are not part of it: who sends the same again may sign it anew, or count how often it was sent.
    pub fn request_hash(&self) -> String {
        let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
        for part in [self.method.as_bytes(), self.address.as_bytes(), self.query.as_bytes(), &self.raw] {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        URL_SAFE_NO_PAD.encode(hash.finish())
    }

    /// The content type that the sender gave.
    pub fn content_type(&self) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == "content-type").map(|(_, v)| v.as_str())
    }

    /// A header by name, in any case: text, or a list where the name came several times.
    pub fn header(&self, name: &str) -> Option<Value> {
        let mut found = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| Value::from(v.as_str()));
        let first = found.next()?;
        match found.next() {
            None => Some(first),
            Some(second) => Some(Value::Array([first, second].into_iter().chain(found).collect())),
        }
    }

    /// All headers as one object.
    pub fn headers_object(&self) -> Value {
        let mut all = Map::new();
        for (name, value) in &self.headers {
            gather(&mut all, name, Value::from(value.as_str()));
        }
        Value::Object(all)
    }

    /// The names and values behind the `?`, decoded; a name that came twice is a list.
    pub fn query_object(&self) -> Value {
        pairs(self.query.as_bytes())
    }
}

/// An event as a store hands it out: its body is still to be read ([`crate::body::read_event`]), which takes time where it is
/// large, and memory.
#[derive(Debug, Clone)]
pub struct Unread(Event);

impl Unread {
    /// Of an event that has no `body` yet.
    pub fn new(event: Event) -> Self {
        Self(event)
    }
    /// All of it but its body.
    pub fn event(&self) -> &Event {
        &self.0
    }
    /// The event, with what was read from its body.
    pub fn with_body(self, body: Value) -> Event {
        Event { body, is_partial: false, ..self.0 }
    }
}

/// Names and values of a form or a query string; a name that comes twice is a list.
pub fn pairs(text: &[u8]) -> Value {
    let mut all = Map::new();
    for (name, value) in form_urlencoded::parse(text) {
        gather(&mut all, &name, Value::from(value.into_owned()));
    }
    Value::Object(all)
}

/// Puts a value under a name; one that comes twice becomes a list.
pub fn gather(all: &mut Map<String, Value>, name: &str, value: Value) {
    match all.get_mut(name) {
        None => {
            all.insert(name.to_owned(), value);
        }
        Some(Value::Array(list)) => list.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_told_from_every_other_one_whatever_its_headers_are() {
        let one = Event { method: "POST".into(), address: "/a".into(), query: "b".into(), raw: "c".into(), ..Event::nobody() };
        let again = Event { headers: vec![("x-try".into(), "2".into())], ip: "192.0.2.1".into(), ..one.clone() };
        assert_eq!(again.request_hash(), one.request_hash());
        let others = [
            Event { method: "PUT".into(), ..one.clone() },
            Event { address: "/A".into(), ..one.clone() },
            Event { query: String::new(), ..one.clone() },
            Event { raw: Bytes::new(), ..one.clone() },
            // The same bytes one after the other, parted elsewhere.
            Event { address: "/ab".into(), query: String::new(), ..one.clone() },
            Event { query: "bc".into(), raw: Bytes::new(), ..one.clone() },
        ];
        for other in others {
            assert_ne!(other.request_hash(), one.request_hash(), "{other:?}");
        }
    }
}
