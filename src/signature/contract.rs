//! What a scheme is, and the guard: the only way from a [`Request`] to an [`Event`].

use std::collections::HashMap;

use bytes::Bytes;

use super::handshake::{Greeted, Handshake};
use super::key::Key;
use crate::body;
use crate::body::packed::{Unpacked, unpack};
use crate::event::{Event, EventId};
use crate::known::Known;
use crate::projection::Projection;
use crate::request::Request;
use crate::yaml::fields::Item;

/// The header that says how a body is packed; it does not stay with the event, whose body is unpacked.
const ENCODING: &str = "content-encoding";

/// The most values that are built of a body whose sender has not proved itself yet.
pub(super) const MOST_UNPROVEN: usize = 10_000;

/// A way for senders to prove themselves.
pub trait Scheme: Sync {
    /// The key in the rule file.
    fn name(&self) -> &'static str;
    /// The sender as people know it, and what to know of its scheme; nothing where it is no sender's own.
    fn told(&self) -> Option<Told> {
        None
    }
    /// Reads what stands behind the key into the guard; problems are told there.
    fn read(&self, item: &Item, known: &Known, public_url: Option<&str>) -> Option<Guard>;
}

/// A sender, as people are told of it.
pub struct Told {
    pub title: String,
    /// The fields that hold its own id of a delivery.
    pub delivery_id: Vec<String>,
    /// How long that is remembered, in hours, if longer than others'.
    pub remembered: Option<u64>,
    /// What to write behind `verify:`, on one line.
    pub write: String,
    /// What to paste where at the sender.
    pub paste: String,
    /// How long it waits for an answer; empty where that is not known.
    pub within: String,
    /// What is not vouched for, and other things to know.
    pub note: String,
}

/// What to do at a sender of which nothing else is known.
pub const PASTE: &str = "paste your address, such as https://hooks.example.com/NAME, as the webhook's URL, and copy its signing secret";

/// A key that stood at the address where its sender publishes it.
#[derive(Clone)]
pub struct Published(pub(super) Key);

impl Published {
    /// Reads what stood there. The error is a sentence.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        Key::published(bytes).map(Self)
    }
}

/// A scheme with its secret.
pub trait Verify: Send + Sync {
    /// Where the key stands that this request is checked with, if the sender publishes it; whoever calls fetches it.
    /// The error is why the request is denied before.
    fn key_at(&self, _: &Request) -> Result<Option<String>, String> {
        Ok(None)
    }
    /// Whether the request proves itself; the error is for the operator's log, never for the sender.
    fn check(&self, request: &Request, published: Option<&Published>) -> Result<(), String>;
    /// Strikes out a secret that is sent as it is: it is good for the door, and nobody needs it afterwards.
    fn strike(&self, _: &mut Request) {}
    /// Whether it vouches for what is sent, so that the same cannot be sent twice unseen.
    fn signs(&self) -> bool {
        false
    }
    /// What should have been signed, without any secret.
    fn signed(&self, _: &Request) -> Option<Vec<u8>> {
        None
    }
    /// The same, as far as it may be shown to people.
    fn expected(&self, request: &Request) -> Option<Vec<u8>> {
        self.signed(request)
    }
}

/// Why a request did not become an event.
#[derive(Debug, PartialEq)]
pub enum NotAdmitted {
    /// It was a greeting; this is the answer.
    Greeted(Box<Greeted>),
    /// With the reason for the operator.
    Denied(String),
    /// With the reason for the sender.
    Malformed(String),
    /// Unpacked, it would be larger than the limit.
    TooLarge,
}

/// Everybody who may vouch at an address; any one suffices. An empty guard is an open address.
#[derive(Default)]
pub struct Guard {
    pub vouchers: Vec<Box<dyn Verify>>,
    pub greetings: Vec<Handshake>,
}

/// The keys that were fetched for a request, by their address.
pub type Keys = HashMap<String, Published>;

impl Guard {
    pub fn open() -> Self {
        Self::default()
    }

    pub fn of(verify: impl Verify + 'static) -> Self {
        Self { vouchers: vec![Box::new(verify)], greetings: Vec::new() }
    }

    /// Takes over what another one knows.
    pub fn join(&mut self, other: Guard) {
        self.vouchers.extend(other.vouchers);
        self.greetings.extend(other.greetings);
    }

    /// Whether a sender's greetings come by this method, unsigned.
    pub fn greets_by(&self, method: &str) -> bool {
        self.greetings.iter().any(|g| !g.is_signed() && g.method() == Some(method))
    }

    pub fn is_open(&self) -> bool {
        self.vouchers.is_empty() && self.greetings.is_empty()
    }

    /// Where the keys stand that are needed for a request.
    pub fn keys_at(&self, request: &Request) -> Vec<String> {
        self.vouchers.iter().filter_map(|v| v.key_at(request).ok().flatten()).collect()
    }

    /// What tells a request that was vouched for from every other one; nothing if nobody signs.
    pub fn proof(&self, request: &Request) -> Option<String> {
        self.vouchers.iter().find_map(|v| v.signed(request)).map(|bytes| crate::run::hash(&bytes))
    }

    /// What somebody who is asked expects to be signed, for people who ask why not.
    pub fn expected(&self, request: &Request) -> Option<Vec<u8>> {
        self.vouchers.iter().find_map(|v| v.expected(request))
    }

    /// Whether the request proves itself to anybody; the error holds every reason, for the operator.
    pub fn check(&self, request: &Request, keys: &Keys) -> Result<(), String> {
        let mut reasons: Vec<String> = Vec::new();
        for verify in &self.vouchers {
            let published = verify.key_at(request).map(|at| at.and_then(|at| keys.get(&at)));
            match published.and_then(|published| verify.check(request, published)) {
                Ok(()) => return Ok(()),
                Err(why) if reasons.contains(&why) => {}
                Err(why) => reasons.push(why),
            }
        }
        if reasons.is_empty() { Ok(()) } else { Err(reasons.join("; ")) }
    }

    fn greeted(&self, request: &Request, signed: bool) -> Result<(), NotAdmitted> {
        for greeting in self.greetings.iter().filter(|g| g.is_signed() == signed) {
            match greeting.answer(request) {
                None => {}
                Some(Ok(greeted)) => return Err(NotAdmitted::Greeted(Box::new(greeted))),
                Some(Err(why)) => return Err(NotAdmitted::Denied(why)),
            }
        }
        Ok(())
    }

    /// Makes an event of a request that nobody has to vouch for, because a person at this machine made it up. The error is
    /// a sentence.
    pub fn rehearse(request: Request, id: EventId) -> Result<Event, String> {
        Guard::open().admit(request, &Keys::new(), id, usize::MAX >> 1, None).map_err(|e| match e {
            NotAdmitted::Denied(why) => why,
            NotAdmitted::Malformed(why) => format!("{why} The sender would get 400."),
            NotAdmitted::TooLarge => "The body is too large.".into(),
            NotAdmitted::Greeted(_) => "This is a greeting, not an event.".into(),
        })
    }

    /// Makes an event of a request that proves itself. Who sent it is asked before what it says is looked at: before it is
    /// unpacked, up to `limit` bytes, and before it is read. Of a JSON body only what is `wanted` is built, if that is said.
    pub fn admit(
        &self,
        mut request: Request,
        keys: &Keys,
        id: EventId,
        limit: usize,
        wanted: Option<&Projection>,
    ) -> Result<Event, NotAdmitted> {
        self.greeted(&request, false)?;
        self.check(&request, keys).map_err(NotAdmitted::Denied)?;
        self.greeted(&request, true)?;
        self.vouchers.iter().for_each(|v| v.strike(&mut request));
        let packed: Vec<String> = request.headers.iter().filter(|(n, _)| n == ENCODING).map(|(_, v)| v.clone()).collect();
        if !packed.is_empty() {
            request.body = unpack(&packed.join(","), &request.body, limit).map_err(|e| match e {
                Unpacked::TooLarge => NotAdmitted::TooLarge,
                Unpacked::Not(why) => NotAdmitted::Malformed(why),
            })?;
            request.headers.retain(|(n, _)| n != ENCODING && n != "content-length");
        }
        let content_type = request.headers.iter().find(|(n, _)| n == "content-type").map(|(_, v)| v.as_str());
        let parts = wanted.filter(|_| body::is_json(content_type)).and_then(|w| w.read(&request.body));
        let is_partial = parts.is_some();
        let read = match parts {
            Some(parts) => parts,
            None => body::read(content_type, &request.body).map_err(|m| NotAdmitted::Malformed(m.why))?,
        };
        Ok(Event {
            id,
            received: request.received,
            method: request.method,
            address: request.path,
            query: request.query,
            headers: request.headers,
            ip: request.ip,
            raw: Bytes::clone(&request.body),
            body: read,
            is_partial,
        })
    }
}
