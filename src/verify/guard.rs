//! The guard of an address: the only way from a [`Request`] to an [`Event`].

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::formula::is_token;
use super::handshake::{Greeted, Handshake};
use super::verifier::{KeyAt, Published, Signed, Verify};
use crate::body;
use crate::body::packed::{Unpacked, unpack};
use crate::expr::field::Field;
use crate::expr::projection::Projection;
use crate::model::event::{Event, EventId};
use crate::model::request::Request;

/// The header with the body's compression; it is not stored with the event, whose body is decompressed.
const ENCODING: &str = "content-encoding";

/// Why a request did not become an event.
#[derive(Debug, PartialEq)]
pub enum NotAdmitted {
    /// It was a handshake; this is the answer.
    Greeted(Box<Greeted>),
    /// With the reason for the operator.
    Denied(String),
    /// With the reason for the sender.
    Malformed(String),
    /// Decompressed, it would be larger than the limit.
    TooLarge,
}

/// All verifiers of an address; one match is enough.
///
/// Only [`Guard::open`] accepts everybody. Any other guard denies every request that no verifier accepts, so an empty
/// guard denies everybody, for whatever reason it is empty.
#[derive(Default)]
pub struct Guard {
    is_open: bool,
    vouchers: Vec<Voucher>,
    greetings: Vec<Handshake>,
}

/// A verifier, and the name of the sender that it accepts.
struct Voucher {
    verify: Box<dyn Verify>,
    sender: Option<Arc<str>>,
}

/// Why a request is accepted.
struct Vouched {
    signed: Signed,
    /// Where the key that verified it is published.
    key_at: Option<KeyAt>,
    sender: Option<Arc<str>>,
}

/// The keys that were fetched for a request, by their address.
pub type Keys = HashMap<String, Published>;

impl Guard {
    /// The guard of an open address: with `verify: none`, or without any `verify:`.
    pub fn open() -> Self {
        Self { is_open: true, ..Self::default() }
    }

    pub fn of(verify: impl Verify + 'static) -> Self {
        Self::any_of([verify])
    }

    pub fn any_of(vouchers: impl IntoIterator<Item = impl Verify + 'static>) -> Self {
        let unnamed = |verify| Voucher { verify: Box::new(verify) as Box<dyn Verify>, sender: None };
        Self { vouchers: vouchers.into_iter().map(unnamed).collect(), ..Self::default() }
    }

    /// The same guard, with this name for every sender that it accepts.
    pub(super) fn called(mut self, sender: &str) -> Self {
        let sender: Arc<str> = sender.into();
        self.vouchers.iter_mut().for_each(|voucher| voucher.sender = Some(sender.clone()));
        self
    }

    /// The names of the senders that it accepts, in the order of the rule file.
    pub fn senders(&self) -> Vec<Arc<str>> {
        let mut all: Vec<Arc<str>> = Vec::new();
        for sender in self.vouchers.iter().filter_map(|voucher| voucher.sender.as_ref()) {
            if !all.contains(sender) {
                all.push(sender.clone());
            }
        }
        all
    }

    /// Whether there are several ways to verify a sender.
    pub fn has_several_ways(&self) -> bool {
        self.vouchers.len() > 1
    }

    /// Whether a field of a rule shows a secret that a sender sends, which is therefore redacted.
    pub fn redacts(&self, field: &Field) -> bool {
        self.verifiers().any(|verify| verify.secret_at().iter().any(|place| place.is_shown_by(field)))
    }

    fn verifiers(&self) -> impl Iterator<Item = &dyn Verify> {
        self.vouchers.iter().map(|voucher| voucher.verify.as_ref())
    }

    /// The same guard, also answering these handshakes.
    pub(super) fn greeting(mut self, greetings: impl IntoIterator<Item = Handshake>) -> Self {
        self.greetings.extend(greetings);
        self
    }

    #[cfg(test)]
    pub(super) fn greetings(&self) -> &[Handshake] {
        &self.greetings
    }

    /// Adds the verifiers of another guard. It stays open only if both are.
    pub(super) fn join(&mut self, other: Guard) {
        self.is_open &= other.is_open;
        self.vouchers.extend(other.vouchers);
        self.greetings.extend(other.greetings);
    }

    /// Whether a sender uses this method for handshakes that it does not sign.
    pub fn greets_by(&self, method: &str) -> bool {
        self.greetings.iter().any(|g| !g.is_signed() && g.method() == Some(method))
    }

    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether any verifier covers the content, so that a repeated request is noticed.
    pub fn signs(&self) -> bool {
        self.verifiers().any(Verify::signs)
    }

    /// Where the keys that a request needs are published.
    pub fn keys_at(&self, request: &Request) -> Vec<KeyAt> {
        self.verifiers().filter_map(|v| v.key_at(request).ok().flatten()).collect()
    }

    /// Identifies a verified request: a hash of what was signed, as the verifier found it, one for each signature. Empty
    /// if no verifier accepts it, or if it was accepted only because of a secret.
    pub fn proofs(&self, request: &Request, keys: &Keys) -> Vec<String> {
        self.vouched(request, keys).map_or(Vec::new(), |by| by.signed.iter().map(|one| crate::model::hash::hash(one)).collect())
    }

    /// What a verifier expects to be signed, for people who ask why a request is denied.
    pub fn expected(&self, request: &Request) -> Option<Vec<u8>> {
        self.verifiers().find_map(|v| v.expected(request))
    }

    /// Whether any verifier accepts the request; the error contains every reason, for the operator.
    pub fn check(&self, request: &Request, keys: &Keys) -> Result<(), String> {
        self.vouched(request, keys).map(drop)
    }

    /// The same; also returns who the sender is.
    pub fn sender(&self, request: &Request, keys: &Keys) -> Result<Option<Arc<str>>, String> {
        self.vouched(request, keys).map(|by| by.sender)
    }

    /// The same; also returns where the key was published, if it was.
    pub fn check_by(&self, request: &Request, keys: &Keys) -> Result<Option<KeyAt>, String> {
        self.vouched(request, keys).map(|by| by.key_at)
    }

    fn vouched(&self, request: &Request, keys: &Keys) -> Result<Vouched, String> {
        if self.is_open {
            return Ok(Vouched { signed: Signed::new(), key_at: None, sender: None });
        }
        let mut reasons: Vec<String> = Vec::new();
        let signs_tokens = self.greetings.iter().any(Handshake::signs);
        for Voucher { verify, sender } in &self.vouchers {
            let checked = verify.key_at(request).and_then(|at| {
                let signed = verify.check(request, at.as_ref().and_then(|at| keys.get(at.address())))?;
                // Anyone could have used a handshake to get it signed.
                match signs_tokens && signed.iter().any(|text| is_token(text)) {
                    true => Err("only a token is signed, as in the replies to handshakes at this address".to_owned()),
                    false => Ok(Vouched { signed, key_at: at, sender: sender.clone() }),
                }
            });
            match checked {
                Ok(vouched) => return Ok(vouched),
                Err(why) if reasons.contains(&why) => {}
                Err(why) => reasons.push(why),
            }
        }
        if reasons.is_empty() { Err("no request to this address can be verified".into()) } else { Err(reasons.join("; ")) }
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

    /// Makes an event from a request that needs no verification, because a person at this machine has created it: the event
    /// that it would be if this sender had sent it; without a name, the only sender, or the one that the request proves. The error
    /// is a message for people.
    pub fn admit_unproven(&self, request: Request, sender: Option<&str>, id: EventId) -> Result<Event, String> {
        let mut senders = self.senders();
        let sender = match sender {
            Some(name) => {
                let known = senders.iter().map(|s| &**s).collect::<Vec<_>>().join(", ");
                let unknown = || match known.as_str() {
                    "" => format!("the address is open, so nobody is known there as `{name}`"),
                    known => format!("no sender of this address is called `{name}`; its senders: {known}"),
                };
                Some(senders.iter().find(|s| ***s == *name).cloned().ok_or_else(unknown)?)
            }
            None if senders.len() == 1 => senders.pop(),
            None => self.sender(&request, &Keys::new()).ok().flatten(),
        };
        self.event(request, sender, id, usize::MAX >> 1, None).map_err(|e| match e {
            NotAdmitted::Denied(why) => why,
            NotAdmitted::Malformed(why) => format!("{why} The sender would get 400."),
            NotAdmitted::TooLarge => "The body is too large.".into(),
            NotAdmitted::Greeted(_) => "This is a handshake, not an event.".into(),
        })
    }

    /// Makes an event from a verified request. The sender is verified before the content is decompressed (up to `limit`
    /// bytes) and parsed. Of a JSON body only the `wanted` parts are built, if given.
    pub fn admit(
        &self,
        request: Request,
        keys: &Keys,
        id: EventId,
        limit: usize,
        wanted: Option<&Projection>,
    ) -> Result<Event, NotAdmitted> {
        self.greeted(&request, false)?;
        let sender = self.vouched(&request, keys).map_err(NotAdmitted::Denied)?.sender;
        self.greeted(&request, true)?;
        self.event(request, sender, id, limit, wanted)
    }

    /// Makes an event from a request whose sender is known.
    fn event(
        &self,
        mut request: Request,
        sender: Option<Arc<str>>,
        id: EventId,
        limit: usize,
        wanted: Option<&Projection>,
    ) -> Result<Event, NotAdmitted> {
        for place in self.verifiers().flat_map(Verify::secret_at) {
            place.strike(&mut request);
        }
        let packed: Vec<String> = request.headers.iter().filter(|(n, _)| n == ENCODING).map(|(_, v)| v.clone()).collect();
        if !packed.is_empty() {
            request.body = unpack(&packed.join(","), &request.body, limit).map_err(|e| match e {
                Unpacked::TooLarge => NotAdmitted::TooLarge,
                Unpacked::Not(why) => NotAdmitted::Malformed(why),
            })?;
            request.headers.retain(|(n, _)| n != ENCODING && n != "content-length");
        }
        let content_type = request.headers.iter().find(|(n, _)| n == "content-type").map(|(_, v)| v.as_str());
        let parts = wanted.filter(|_| body::has_parts(content_type)).and_then(|w| w.read(&request.body));
        let is_partial = parts.is_some();
        let read = match parts {
            Some(parts) => parts,
            None => body::read_headed(&request.headers, &request.body).map_err(|m| NotAdmitted::Malformed(m.why))?,
        };
        Ok(Event {
            id,
            received: request.received,
            method: request.method,
            address: request.path,
            query: request.query,
            headers: request.headers,
            ip: request.ip,
            sender,
            raw: Bytes::clone(&request.body),
            body: read,
            is_partial,
            ..Event::nobody()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_guard_denies_everybody_and_only_an_open_one_is_open() {
        let admits = |guard: &Guard| guard.admit(Request::nobody(), &Keys::new(), EventId(uuid::Uuid::nil()), 1, None).is_ok();
        for guard in [Guard::default(), Guard { vouchers: Vec::new(), ..Guard::default() }.called("nobody")] {
            assert!(!guard.is_open() && !admits(&guard) && guard.check(&Request::nobody(), &Keys::new()).is_err());
        }
        assert!(Guard::open().is_open() && admits(&Guard::open()));
        let mut joined = Guard::open();
        joined.join(Guard::default());
        assert!(!joined.is_open() && !admits(&joined), "a guard that is joined to an open one closes it");
        let mut joined = Guard::default();
        joined.join(Guard::open());
        assert!(!joined.is_open() && !admits(&joined), "an open guard does not open another one");
    }
}
