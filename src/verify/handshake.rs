//! Handshakes that some senders require before they send events: Doorbell sends text back, signs a token with the secret,
//! visits an address, or stores a secret. A handshake is not an event.
//!
//! A handshake that the sender signs is answered only after its signature has been verified. The reply is short, and is
//! plain text that no browser treats as anything else.
//!
//! No reply to a handshake contains a value that would get another request accepted. It never contains the secret. The
//! key signs only a short token (`formula::is_token`), and no [`super::guard::Guard`] that answers such handshakes
//! accepts an event whose signed text is a token. If the handshake itself is not signed, only a sender known by name gets
//! a reply with a signature.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::formula::{Formula, Given};
use super::location::{FORMS, Location};
use super::secret::{equal, read_secret};
use crate::expr::names::Names;
use crate::model::answer::Answer;
use crate::model::request::Request;
use crate::secret::Secret;
use crate::yaml::Node;
use crate::yaml::fields::Item;
use crate::yaml::reader::ProblemDraft;

/// The longest text that is sent back, in bytes.
const LONGEST: usize = 1_024;

/// Which requests are handshakes, and how they are answered.
#[derive(Clone)]
pub struct Handshake {
    when: Vec<When>,
    /// What else must match; otherwise the handshake is denied.
    check: Vec<(Location, Formula)>,
    reply: Reply,
    /// Whether the sender signs it.
    signed: bool,
    /// Where to find the secret that the sender hands over.
    pub(super) hands_over: Option<Location>,
    /// Where to find the address that must be visited as confirmation, and which addresses may be visited.
    pub(super) visit: Option<Visit>,
    pub(super) means: Means,
}

/// Where to find an address, and whether it may be visited.
pub(super) type Visit = (Location, fn(&Request, &str) -> bool);

/// What a rule file supplies for a handshake.
#[derive(Debug, Clone, Default)]
pub(super) struct Means {
    pub key: Vec<u8>,
    pub secret: Option<Secret>,
    pub verify_token: Option<Secret>,
    pub public_url: Option<String>,
    /// The name of the secret that does not exist yet, and which sender hands it over.
    pub waits_for: Option<(String, String)>,
}

#[derive(Debug, Clone, PartialEq)]
enum When {
    Method(String),
    Is(Location, String),
    There(Location),
}

#[derive(Debug, Clone, PartialEq)]
struct Reply {
    status: u16,
    headers: Vec<(String, Formula)>,
    body: ReplyBody,
}

#[derive(Debug, Clone, PartialEq)]
enum ReplyBody {
    Nothing,
    Text(Formula),
    Json(Vec<(String, Result<Formula, Value>)>),
}

/// A handshake and its answer.
#[derive(Debug, PartialEq)]
pub struct Greeted {
    pub answer: Answer,
    /// The address to visit first.
    pub visit: Option<String>,
    /// The secret to store first.
    pub keep: Option<HandedOver>,
}

/// A secret that a sender handed over.
#[derive(Debug, PartialEq)]
pub struct HandedOver {
    /// The name that rules use for it.
    pub name: String,
    /// The name of the sender for people.
    pub sender: String,
    pub secret: Secret,
}

impl Handshake {
    /// Reads `handshake:` of a sender or a rule file.
    pub(super) fn read(item: &Item, known: &Names) -> Option<Self> {
        let mut fields = item.fields("`handshake:`")?;
        let when = fields.must("when").and_then(|i| read_when(&i));
        let check = fields.may("check").map(|i| read_check(&i, known));
        let signed = fields.may("signed").map_or(Some(false), |i| i.flag());
        let hands_over = fields.may("hands_over").map(|i| read_place(&i));
        let reply =
            fields.may("reply").map_or(Some(Reply { status: 200, headers: Vec::new(), body: ReplyBody::Nothing }), |i| read_reply(&i));
        fields.done(&[("text", "write `reply: { text: … }`"), ("json", "write `reply: { json: … }`"), ("answer", "reply")]);
        let (when, signed) = (when?, signed?);
        if when.is_empty() {
            item.problem("`handshake:` does not show which requests are handshakes")
                .label("write for example when: { method: GET, query: challenge }")
                .add();
            return None;
        }
        Some(Self {
            when,
            check: check.unwrap_or(Some(Vec::new()))?,
            reply: reply?,
            signed,
            hands_over: hands_over.map_or(Some(None), |p| p.map(Some))?,
            visit: None,
            means: Means::default(),
        })
    }

    /// Whether a handshake in a rule file keeps the secret safe, even from callers who only send handshakes; if not, this
    /// is reported.
    pub(super) fn is_safe(&self, item: &Item) -> bool {
        if self.reply.formulas().any(Formula::has_secret) {
            item.problem("the reply to a handshake would reveal the secret, or something from which it can be guessed")
                .within("secret")
                .label("remove `secret` from the reply")
                .add();
            return false;
        }
        if self.signs() && !self.signed {
            item.problem("the reply to a handshake would sign text from anyone with the secret")
                .within("hmac_")
                .label("write `signed: true` next to `reply:` if the sender signs its handshakes, or remove this")
                .note("anyone who has such a signature could use it to call this address")
                .add();
            return false;
        }
        true
    }

    /// The handshake of a sender that requires a visit to an address; the address is in a signed request.
    pub(super) fn visiting(is: (Location, String), address: Location, may_be: fn(&Request, &str) -> bool) -> Self {
        Self {
            when: vec![When::Is(is.0, is.1)],
            check: Vec::new(),
            reply: Reply { status: 200, headers: Vec::new(), body: ReplyBody::Nothing },
            signed: true,
            hands_over: None,
            visit: Some((address, may_be)),
            means: Means::default(),
        }
    }

    /// The handshake of a sender that sends text in the query of a POST request and expects the same text as the answer.
    pub(super) fn echoing_query(name: &str) -> Option<Self> {
        let place = Location::read(&format!("query:{name}"))?;
        let body = ReplyBody::Text(Formula::read(&format!("{{query:{name}}}")).ok()?);
        Some(Self {
            when: vec![When::Method("POST".into()), When::There(place)],
            check: Vec::new(),
            reply: Reply { status: 200, headers: Vec::new(), body },
            signed: false,
            hands_over: None,
            visit: None,
            means: Means::default(),
        })
    }

    pub(super) fn is_signed(&self) -> bool {
        self.signed
    }

    /// Whether the answer contains something signed with the sender's key.
    pub(super) fn signs(&self) -> bool {
        self.reply.formulas().any(Formula::signs)
    }

    /// Whether it requires `verify_token:` next to the secret.
    pub(super) fn wants_token(&self) -> bool {
        self.check.iter().any(|(_, f)| f.has_verify_token()) || self.reply.formulas().any(Formula::has_verify_token)
    }

    pub(super) fn needs_url(&self) -> bool {
        self.reply.formulas().any(Formula::needs_url)
    }

    /// The method of such handshakes, if it is always the same.
    pub(super) fn method(&self) -> Option<&str> {
        self.when.iter().find_map(|w| match w {
            When::Method(method) => Some(method.as_str()),
            _ => None,
        })
    }

    /// Turns a request into a handshake, with this token in every place where the sender may put one.
    #[cfg(test)]
    pub(super) fn make(&self, request: &mut Request, token: &str) {
        for when in &self.when {
            match when {
                When::Method(method) => request.method.clone_from(method),
                When::Is(place, text) => place.put(request, text),
                When::There(place) => place.put(request, token),
            }
        }
        let draft = self.means.verify_token.as_ref().map_or("", Secret::reveal);
        self.check.iter().for_each(|(place, _)| place.put(request, draft));
        for place in self.reply.formulas().flat_map(Formula::places) {
            if place.find(request).ok().flatten().is_none() {
                place.put(request, token);
            }
        }
    }

    /// The answer, if this is a handshake; the error says why it is denied.
    pub(super) fn answer(&self, request: &Request) -> Option<Result<Greeted, String>> {
        let at = |place: &Location| place.find(request).ok().flatten();
        let is = |when: &When| match when {
            When::Method(method) => *method == request.method,
            When::Is(place, wanted) => at(place).as_ref() == Some(wanted),
            When::There(place) => at(place).is_some_and(|t| !t.is_empty()),
        };
        self.when.iter().all(is).then(|| self.made(request))
    }

    fn made(&self, request: &Request) -> Result<Greeted, String> {
        let given = Given {
            secret: self.means.secret.as_ref().map_or("", Secret::reveal),
            key: &self.means.key,
            verify_token: self.means.verify_token.as_ref().map(Secret::reveal),
            public_url: self.means.public_url.as_deref(),
            ..Given::default()
        };
        for (place, wanted) in &self.check {
            let (sent, wanted) = (place.find(request)?.unwrap_or_default(), wanted.text(request, given)?);
            if wanted.is_empty() || !equal(sent.as_bytes(), wanted.as_bytes()) {
                return Err(format!("{} is different from the one in the rule file", place.description()));
            }
        }
        let text = |formula: &Formula| {
            let text = formula.text(request, Given { is_reply: true, ..given })?;
            (text.len() <= LONGEST).then_some(text).ok_or_else(|| format!("the handshake is longer than {LONGEST} bytes"))
        };
        let mut headers = Vec::new();
        for (name, formula) in &self.reply.headers {
            let value = text(formula)?;
            if value.contains(|c: char| c.is_control()) {
                return Err("the value from the handshake is not allowed in a header".into());
            }
            headers.push((name.clone(), value));
        }
        let (kind, body) = match &self.reply.body {
            ReplyBody::Nothing => ("", String::new()),
            ReplyBody::Text(formula) => ("text/plain", text(formula)?),
            ReplyBody::Json(parts) => {
                let mut map = Map::new();
                for (name, part) in parts {
                    map.insert(
                        name.clone(),
                        match part {
                            Ok(formula) => text(formula)?.into(),
                            Err(value) => value.clone(),
                        },
                    );
                }
                ("application/json", Value::Object(map).to_string())
            }
        };
        if !kind.is_empty() {
            headers.push(("content-type".into(), kind.into()));
        }
        let visit = match &self.visit {
            Some((place, may_be)) => {
                let address = place.find(request)?.ok_or_else(|| format!("{} is missing", place.description()))?;
                Some(address).filter(|a| may_be(request, a)).ok_or("the address to visit does not belong to the sender").map(Some)?
            }
            None => None,
        };
        let keep = match (&self.hands_over, &self.means.waits_for) {
            (Some(place), Some((name, sender))) => {
                let secret =
                    place.find(request)?.filter(|s| !s.is_empty() && s.len() <= LONGEST).ok_or("the secret from the sender is missing")?;
                Some(HandedOver { name: name.clone(), sender: sender.clone(), secret: Secret::new(secret) })
            }
            _ => None,
        };
        Ok(Greeted { answer: Answer { status: self.reply.status, headers, body: Bytes::from(body) }, visit, keep })
    }
}

impl Reply {
    fn formulas(&self) -> impl Iterator<Item = &Formula> {
        let body: Vec<&Formula> = match &self.body {
            ReplyBody::Nothing => Vec::new(),
            ReplyBody::Text(one) => vec![one],
            ReplyBody::Json(parts) => parts.iter().filter_map(|(_, p)| p.as_ref().ok()).collect(),
        };
        self.headers.iter().map(|(_, f)| f).chain(body)
    }
}

fn read_place(item: &Item) -> Option<Location> {
    let text = item.text()?;
    place(&text, item.problem(format!("`{text}` does not name a part of the request")))
}

/// A place given as a key.
fn key_place(text: &str, item: &Item) -> Option<Location> {
    place(text, item.problem(format!("`{text}` does not name a part of the request")).at_key())
}

fn place(text: &str, draft: ProblemDraft) -> Option<Location> {
    let place = Location::read(text);
    if place.is_none() {
        draft.label(FORMS).add();
    }
    place
}

/// `method: GET`, `query: challenge` (it exists), `"json:/type": x` (it equals that).
fn read_when(item: &Item) -> Option<Vec<When>> {
    let mut all = Vec::new();
    for (key, value) in item.entries("`when:`")? {
        let text = value.text()?;
        all.push(match key.as_str() {
            "method" => When::Method(text.to_uppercase()),
            "header" | "query" | "form" | "json" => When::There(key_place(&format!("{key}:{text}"), &value)?),
            place => When::Is(key_place(place, &value)?, text),
        });
    }
    Some(all)
}

fn read_check(item: &Item, known: &Names) -> Option<Vec<(Location, Formula)>> {
    let mut all = Vec::new();
    for (key, value) in item.entries("`check:`")? {
        let place = key_place(&key, &value)?;
        let formula = match value.text()?.contains("{{") {
            true => Formula::fixed(read_secret(&value, known)?.reveal()),
            false => read_formula(&value)?,
        };
        all.push((place, formula));
    }
    Some(all)
}

fn read_formula(item: &Item) -> Option<Formula> {
    let text = item.text()?;
    Formula::read(&text)
        .map_err(|unknown| {
            item.problem(format!("`{unknown}` is not a known variable"))
                .label("write for example \"{query:challenge}\"")
                .note(Formula::known())
                .add()
        })
        .ok()
}

fn read_reply(item: &Item) -> Option<Reply> {
    let mut fields = item.fields("`reply:`")?;
    let status = fields.may("status").map_or(Some(200), |i| i.whole(200, 299));
    let mut headers = Vec::new();
    for (name, value) in fields.may("headers").map_or(Some(Vec::new()), |i| i.entries("`headers:`"))? {
        headers.push((name, read_formula(&value)?));
    }
    let body = match (fields.may("text"), fields.may("json")) {
        (Some(text), None) => ReplyBody::Text(read_formula(&text)?),
        (None, Some(json)) => {
            let mut parts = Vec::new();
            for (name, value) in json.entries("`json:`")? {
                let part = match value.node {
                    Node::Text(_) => Ok(read_formula(&value)?),
                    node => Err(node.json()),
                };
                parts.push((name, part));
            }
            ReplyBody::Json(parts)
        }
        (None, None) => ReplyBody::Nothing,
        (Some(text), Some(_)) => {
            text.problem("a handshake is answered with either `text:` or `json:`, not both").at_key().label("remove one of them").add();
            return None;
        }
    };
    fields.done(&[("header", "headers"), ("body", "write `text:` or `json:`")]);
    Some(Reply { status: status? as u16, headers, body })
}
