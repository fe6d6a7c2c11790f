//! What a scheme is, and the guard: the only way from a [`Request`] to an [`Event`].

use bytes::Bytes;

use crate::body;
use crate::event::{Event, EventId};
use crate::known::Known;
use crate::projection::Projection;
use crate::request::Request;
use crate::run::Answer;
use crate::yaml::fields::Item;

/// A way for senders to prove themselves.
pub trait Scheme: Sync {
    /// The key in the rule file.
    fn name(&self) -> &'static str;
    /// Reads what stands behind the key; problems are told there.
    fn read(&self, item: &Item, known: &Known) -> Option<Box<dyn Verify>>;
}

/// A scheme with its secret.
pub trait Verify: Send + Sync {
    /// Whether the request proves itself; the error is for the operator's log, never for the sender.
    fn check(&self, request: &Request) -> Result<(), String>;
    /// The method of greetings that are not signed; no event comes by it.
    fn greets_by(&self) -> Option<&str> {
        None
    }
    /// The answer to a greeting of a sender who has proven itself, which is no event.
    fn hello(&self, _: &Request) -> Option<Answer> {
        None
    }
}

/// Why a request did not become an event.
#[derive(Debug, PartialEq)]
pub enum NotAdmitted {
    /// It was a greeting; this is the answer.
    Greeted(Answer),
    /// With the reason for the operator.
    Denied(String),
    /// With the reason for the sender.
    Malformed(String),
}

/// Everybody who may vouch at an address; any one suffices. An empty guard is an open address.
#[derive(Default)]
pub struct Guard(pub Vec<Box<dyn Verify>>);

impl Guard {
    pub fn open() -> Self {
        Self::default()
    }

    /// Whether a sender's greetings come by this method, unsigned.
    pub fn greets_by(&self, method: &str) -> bool {
        self.0.iter().any(|v| v.greets_by() == Some(method))
    }

    pub fn is_open(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes an event of a request that proves itself. Who sent it is asked before what it says is looked at.
    /// Of a JSON body only what is `wanted` is built, if that is said.
    pub fn admit(&self, request: Request, id: EventId, wanted: Option<&Projection>) -> Result<Event, NotAdmitted> {
        for verify in self.0.iter().filter(|v| v.greets_by() == Some(&request.method)) {
            if let Some(answer) = verify.hello(&request) {
                return Err(NotAdmitted::Greeted(answer));
            }
        }
        let mut reasons = Vec::new();
        for verify in &self.0 {
            match verify.check(&request) {
                Ok(()) => {
                    if let Some(answer) = verify.hello(&request) {
                        return Err(NotAdmitted::Greeted(answer));
                    }
                    reasons.clear();
                    break;
                }
                Err(why) => reasons.push(why),
            }
        }
        if !reasons.is_empty() {
            return Err(NotAdmitted::Denied(reasons.join("; ")));
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
