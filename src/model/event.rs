//! An event: an authenticated request, stored exactly as it was received. It never changes.
//!
//! The raw bytes are what is stored; `body` is the result of parsing them once, by [`crate::body`]. Only `verify` and
//! `store` create events: nothing else calls the constructor.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::sealed_part::{PartOf, SealedPart};
use crate::secret::Vault;

/// The id of an event: a UUID version 7, so that ids sort by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct EventId(pub Uuid);

impl EventId {
    /// Builds an id from the given time and random bits.
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

/// The header in which Doorbell's own calls carry the number of events in the chain that led to them, so that a rule that
/// calls its own address, or two rules that call each other's, do not loop forever.
pub const HOPS: &str = "doorbell-hops";
/// The maximum number of events in such a chain.
pub const MOST_HOPS: u32 = 10;

/// The number of events that led to a request with these headers.
pub fn hops(headers: &[(String, String)]) -> u32 {
    headers.iter().find(|(n, _)| n == HOPS).and_then(|(_, v)| v.trim().parse().ok()).unwrap_or(0)
}

/// A stored request, or something else that starts rules: see [`super::origin`].
#[derive(Debug, Clone)]
pub struct Event {
    pub id: EventId,
    /// When it was received; `now` in templates, so that every attempt renders the same result.
    pub received: Timestamp,
    pub method: String,
    /// The path of the request, percent-decoded.
    pub address: String,
    /// What followed the `?`, not decoded.
    pub query: String,
    /// Names in lower case, in the order received; values that are not UTF-8 are converted lossily.
    pub headers: Vec<(String, String)>,
    /// The caller's address.
    pub ip: String,
    /// Who sent it: the name that the rule file gives to what verified it. `None` if the address is open.
    pub sender: Option<Arc<str>>,
    /// The values of headers and of the query in which there are secrets of rules: `***` is in their place, and here they are with
    /// the names of the secrets.
    pub sealed: Vec<SealedPart>,
    /// The hash of the request, if its query was replaced since.
    pub hash_before: Option<String>,
    /// The raw bytes of the body.
    pub raw: Bytes,
    /// What was parsed from the body: all of it, or the parts that rules ask for.
    pub body: Value,
    pub is_partial: bool,
}

impl Event {
    /// An event without a sender, to render templates that must not depend on any event.
    pub fn nobody() -> Self {
        Self {
            id: EventId(Uuid::nil()),
            received: Timestamp::UNIX_EPOCH,
            method: String::new(),
            address: String::new(),
            query: String::new(),
            headers: Vec::new(),
            ip: String::new(),
            sender: None,
            sealed: Vec::new(),
            hash_before: None,
            raw: Bytes::new(),
            body: Value::Null,
            is_partial: false,
        }
    }

    /// Identifies the content of this request: a hash of method, address, query and body, each prefixed with its length.
    /// Headers are excluded: a sender that repeats a request may sign it again, or include an attempt count.
    pub fn request_hash(&self) -> String {
        if let Some(hash) = &self.hash_before {
            return hash.clone();
        }
        let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
        for part in [self.method.as_bytes(), self.address.as_bytes(), self.query.as_bytes(), &self.raw] {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        URL_SAFE_NO_PAD.encode(hash.finish())
    }

    /// The content type given by the sender.
    pub fn content_type(&self) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == "content-type").map(|(_, v)| v.as_str())
    }

    /// What was received at a place, if it is sealed and its secrets are still known.
    fn opened(&self, at: PartOf, vault: &Vault) -> Option<String> {
        self.sealed.iter().find(|part| part.of == at).and_then(|part| vault.unseal(&part.text))
    }

    /// A header by name, in any case: text, or a list if the name was received more than once.
    pub fn header(&self, name: &str, vault: &Vault) -> Option<Value> {
        let all = self.headers.iter().enumerate().filter(|(_, (n, _))| n.eq_ignore_ascii_case(name));
        let mut found = all.map(|(at, (_, v))| self.opened(PartOf::Header(at), vault).map_or_else(|| Value::from(v.as_str()), Value::from));
        let first = found.next()?;
        match found.next() {
            None => Some(first),
            Some(second) => Some(Value::Array([first, second].into_iter().chain(found).collect())),
        }
    }

    /// All headers as one object.
    pub fn headers_object(&self, vault: &Vault) -> Value {
        let mut all = Map::new();
        for (at, (name, value)) in self.headers.iter().enumerate() {
            let opened = self.opened(PartOf::Header(at), vault);
            gather(&mut all, name, opened.map_or_else(|| Value::from(value.as_str()), Value::from));
        }
        Value::Object(all)
    }

    /// The names and values after the `?`, decoded; a name that occurs more than once is a list.
    pub fn query_object(&self, vault: &Vault) -> Value {
        let mut all = Map::new();
        for (at, (name, value)) in form_urlencoded::parse(self.query.as_bytes()).enumerate() {
            let value = self.opened(PartOf::Query(at), vault).unwrap_or_else(|| value.into_owned());
            gather(&mut all, &name, Value::from(value));
        }
        Value::Object(all)
    }
}

/// An event as returned by a store: its body is not parsed yet ([`crate::body::read_event`]), because parsing a large one
/// takes time and memory.
#[derive(Debug, Clone)]
pub struct Unread(Event);

impl Unread {
    /// An event that has no `body` yet.
    pub fn new(event: Event) -> Self {
        Self(event)
    }
    /// Everything except its body.
    pub fn event(&self) -> &Event {
        &self.0
    }
    /// The event, with what was parsed from its body.
    pub fn with_body(self, body: Value) -> Event {
        Event { body, is_partial: false, ..self.0 }
    }
}

/// Names and values of a form or a query string; a name that occurs more than once is a list.
pub fn pairs(text: &[u8]) -> Value {
    let mut all = Map::new();
    for (name, value) in form_urlencoded::parse(text) {
        gather(&mut all, &name, Value::from(value.into_owned()));
    }
    Value::Object(all)
}

/// Adds a value under a name; a repeated name becomes a list.
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
    fn the_request_hash_tells_all_requests_apart_and_ignores_headers() {
        let one = Event { method: "POST".into(), address: "/a".into(), query: "b".into(), raw: "c".into(), ..Event::nobody() };
        let again = Event { headers: vec![("x-try".into(), "2".into())], ip: "192.0.2.1".into(), ..one.clone() };
        assert_eq!(again.request_hash(), one.request_hash());
        let others = [
            Event { method: "PUT".into(), ..one.clone() },
            Event { address: "/A".into(), ..one.clone() },
            Event { query: String::new(), ..one.clone() },
            Event { raw: Bytes::new(), ..one.clone() },
            // The same bytes, divided at a different point.
            Event { address: "/ab".into(), query: String::new(), ..one.clone() },
            Event { query: "bc".into(), raw: Bytes::new(), ..one.clone() },
        ];
        for other in others {
            assert_ne!(other.request_hash(), one.request_hash(), "{other:?}");
        }
    }
}
