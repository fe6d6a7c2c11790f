//! `webhooks:`: who may call an address, and how Doorbell answers.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::access::{self, Access};
use super::cors::{self, Cors};
use crate::action::http::headers::read_headers;
use crate::action::respond::{Body, read_body};
use crate::expr::field::{Field, Root};
use crate::expr::names::Names;
use crate::expr::projection::Projection;
use crate::expr::scope::Scope;
use crate::model::answer::Answer;
use crate::model::event::Event;
use crate::model::sealing::Exposed;
use crate::route::Route;
use crate::verify::{self, guard::Guard};
use crate::yaml::Node;
use crate::yaml::fields::{Fields, Item};
use crate::yaml::size;

/// The default limit for a body, in bytes; and the highest that can be set.
pub const MAX_BODY: usize = 1 << 20;
pub const MOST_BODY: usize = 100 << 20;
/// How long a delivery's id is remembered.
pub const REMEMBERED: Duration = Duration::from_secs(72 * 3600);
pub const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// One address and how it is protected.
pub struct Address {
    pub route: Route,
    pub guard: Guard,
    pub methods: Vec<String>,
    /// The fields that contain the sender's own id of a delivery: of each list the first one that exists; several are joined.
    pub delivery_id: Vec<Vec<Field>>,
    /// How long it is remembered.
    pub remembered: Duration,
    /// Whether what was signed is remembered too, so that nobody can send it twice.
    pub replay_guard: bool,
    /// Who may call, and how often.
    pub access: Access,
    /// From which web pages scripts may call; `None`: from none of another site.
    pub cors: Option<Cors>,
    pub max_body: usize,
    /// Whether its events may only be stored encrypted.
    pub is_private: bool,
    /// The answer when an event is stored, and when no rule matched it.
    pub accepted: Answer,
    pub ignored: Answer,
    /// The parts of a body that the rules of this address need.
    pub wanted: Projection,
    /// The headers and query values in which secrets are replaced before an event is stored.
    pub exposed: Exposed,
    /// The rules that it can start and whose `if:` depends on secrets or variables, by their position.
    pub decided_outside: Vec<usize>,
    /// Whether `webhooks:` has an entry for it.
    pub described: bool,
}

fn json_answer(status: u16, word: &str) -> Answer {
    let body = Bytes::from(json!({ "status": word }).to_string());
    Answer { status, headers: vec![("content-type".into(), "application/json".into())], body }
}

impl Address {
    /// An address without an entry: open, with default settings.
    pub fn open(route: Route, methods: Vec<String>) -> Self {
        Self {
            route,
            guard: Guard::open(),
            methods,
            delivery_id: Vec::new(),
            remembered: REMEMBERED,
            replay_guard: false,
            access: Access::default(),
            cors: None,
            max_body: MAX_BODY,
            is_private: false,
            accepted: json_answer(200, "success"),
            ignored: json_answer(200, "ignored"),
            wanted: Projection::default(),
            exposed: Exposed::default(),
            decided_outside: Vec::new(),
            described: false,
        }
    }
}

/// Reads one entry. `methods` is empty if the entry does not set any.
pub fn read(route: Route, item: &Item, known: &Names) -> Option<Address> {
    let mut address = Address::open(route, Vec::new());
    address.described = true;
    if let Node::Text(word) = item.node
        && word == "none"
    {
        item.problem("`none` belongs after `verify:`").label("write `verify:` before it").write("{ verify: none }").add();
        return None;
    }
    let mut fields = item.fields("an address")?;
    let errors = item.errors();
    let mut preset = Vec::new();
    let mut guarded = true;
    let public_url = fields.may("public_url").and_then(|i| read_public_url(&i));
    match fields.may("verify").map(|verify| verify::read(&verify, known, public_url.as_deref())) {
        Some(Some(read)) => {
            address.guard = read.guard;
            address.max_body = read.max_body.unwrap_or(MAX_BODY);
            let alternatives = |text: &String| text.split(verify::OR).filter_map(|f| Field::read(f).ok()).collect();
            preset = read.delivery_id.iter().map(alternatives).collect();
            address.remembered = REMEMBERED.max(Duration::from_secs(read.remembered.unwrap_or(0) * 3600));
        }
        // Its protection could not be read, so the address does not exist; it is never left open.
        Some(None) => guarded = false,
        // Nothing is set: open, with a warning when the addresses are put together.
        None => address.described = false,
    }
    if let Some(method) = fields.may("method") {
        address.methods = read_methods(&method);
    }
    address.delivery_id = match fields.may("delivery_id") {
        Some(item) => {
            let fields = item.one_or_more("write for example body.id").unwrap_or_default();
            fields
                .iter()
                .filter_map(|i| read_delivery_id(i, known).filter(|field| is_readable(field, i, &address.guard)))
                .map(|field| vec![field])
                .collect()
        }
        None => preset,
    };
    address.cors = fields.may("cors").and_then(|item| cors::read(&item));
    if let Some(item) = fields.may("replay_guard") {
        address.replay_guard = item.flag()?;
        if address.replay_guard && guarded && !address.guard.signs() {
            item.problem("requests to this address are not signed, so a repeated call cannot be distinguished from a new one")
                .at_key()
                .label("remove it, or verify a signature")
                .add();
        }
    }
    address.access = access::read(fields.may("allow_from"), fields.may("limit"));
    if let Some(size) = fields.may("max_body").and_then(|i| size::read(&i, "a body", MOST_BODY)) {
        address.max_body = size;
    }
    if let Some(item) = fields.may("private") {
        address.is_private = item.flag()?;
        if address.is_private && !known.lookup.can_encrypt() {
            item.problem("this address is private, but there is no key to encrypt its events with")
                .at_key()
                .label("start Doorbell with --data-key FILE; to create the file: openssl rand -hex 32 > FILE")
                .add();
        }
    }
    if let Some(answer) = fields.may("answer") {
        read_answer(&answer, &mut address, known);
    }
    fields.done(&[
        ("secret", "write `verify:` with the sender's name and the secret"),
        ("token", "write `verify:` with the sender's name and the secret"),
        ("when", "an address says only who may call it; rules are under `rules:`, with a name"),
        ("then", "an address says only who may call it; rules are under `rules:`, with a name"),
        ("if", "an address says only who may call it; rules are under `rules:`, with a name"),
        ("auth", "verify"),
        ("methods", "method"),
        ("response", "answer"),
        ("rate_limit", "limit"),
        ("allow", "allow_from"),
        ("ips", "allow_from"),
    ]);
    (guarded && item.errors() == errors).then_some(address)
}

/// The base URL under which senders know this Doorbell, without the path.
fn read_public_url(item: &Item) -> Option<String> {
    let text = item.text()?;
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).map(|rest| rest.trim_end_matches('/'));
    match host {
        Some(host) if !host.is_empty() && !host.contains([' ', '{', '?', '#']) => Some(text),
        _ => {
            item.problem(format!("`{text}` is not the address of a server"))
                .label("write for example https://hooks.example.com, without the path")
                .add();
            None
        }
    }
}

/// Reads `method:`.
pub fn read_methods(item: &Item) -> Vec<String> {
    let mut out = Vec::new();
    for one in item.one_or_many() {
        let Some(text) = one.text() else { continue };
        let upper = text.to_uppercase();
        match METHODS.contains(&upper.as_str()) {
            true => out.push(upper),
            false => {
                let draft = one.problem(format!("`{text}` is not a method"));
                draft.label("write POST for webhooks; other methods are GET, PUT, PATCH and DELETE").add();
            }
        }
    }
    out
}

fn read_delivery_id(item: &Item, known: &Names) -> Option<Field> {
    let text = item.text()?;
    if text.contains("{{") {
        let bare = text.replace("${{", "").replace("{{", "").replace("}}", "");
        item.problem("a field is written without braces here").label("write the field alone").write(bare.trim()).add();
        return None;
    }
    let field = known.field(&text, item, None)?;
    if !matches!(field.root, Root::Body | Root::Header(Some(_)) | Root::Query) {
        item.problem("the id of a delivery must come from the request").label("write for example header.X-Delivery-Id or body.id").add();
        return None;
    }
    Some(field)
}

/// Whether the id can be seen: a value that proves who the sender is is redacted, and every delivery would have the same.
fn is_readable(field: &Field, item: &Item, guard: &Guard) -> bool {
    let is_redacted = guard.redacts(field);
    if is_redacted {
        item.problem(format!("{} proves who the sender is, so it is masked and cannot be the id of a delivery", field.text()))
            .label("write a field that is different in each delivery, such as body.id")
            .add();
    }
    !is_redacted
}

fn read_answer(item: &Item, address: &mut Address, known: &Names) -> Option<()> {
    if let (Node::Text(_) | Node::Number(_), Some(raw)) = (item.node, item.raw()) {
        let key = if let Node::Number(_) = item.node { "status" } else { "text" };
        item.problem("`answer:` takes `status:` and `json:` or `text:`")
            .label("write for example { status: 202 }")
            .write(&format!("{{ {key}: {raw} }}"))
            .add();
        return None;
    }
    let mut fields = item.fields("`answer:`")?;
    let status = match fields.may("status") {
        Some(status) => status.whole(200, 299)? as u16,
        None => 200,
    };
    let body = fixed_body(&mut fields, item, known)?;
    let headers = fields.may("headers").map(|i| read_headers(&i, known)).unwrap_or_default();
    fields.done(&[("body", "json"), ("body", "text"), ("body", "write `json:` or `text:`")]);
    let (vault, saved) = (known.lookup.vault(), Map::new());
    let nobody = Event::nobody();
    let scope = Scope::new(&nobody, &vault, Value::Null, &[], &saved);
    let mut headers = headers.render(&scope).ok()?;
    let typed = headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("content-type"));
    let (kind, accepted, ignored) = match body {
        Body::Nothing if !item.node.has("json") && !item.node.has("text") && !item.node.has("xml") && status != 204 => {
            ("application/json", json!({"status": "success"}).to_string(), json!({"status": "ignored"}).to_string())
        }
        Body::Nothing => ("", String::new(), String::new()),
        Body::Json(data) => {
            let accepted = data.value(&scope).ok()?;
            let mut ignored = accepted.clone();
            if let Some(map) = ignored.as_object_mut() {
                map.insert("status".into(), "ignored".into());
            }
            ("application/json", accepted.to_string(), ignored.to_string())
        }
        Body::Text(text) => {
            let text = text.text(&scope).ok()?;
            ("text/plain; charset=utf-8", text.clone(), text)
        }
        Body::Xml(xml) => {
            let xml = xml.text(&scope).ok()?;
            ("application/xml", xml.clone(), xml)
        }
    };
    if !typed && !kind.is_empty() {
        headers.push(("content-type".into(), kind.into()));
    }
    address.accepted = Answer { status, headers: headers.clone(), body: accepted.into() };
    address.ignored = Answer { status, headers, body: ignored.into() };
    Some(())
}

/// The answer is the same for every event, so it cannot use fields of the event.
fn fixed_body(fields: &mut Fields, item: &Item, known: &Names) -> Option<Body> {
    let body = read_body(fields, known)?;
    let named = match &body {
        Body::Nothing => false,
        Body::Json(data) => !data.fields().is_empty(),
        Body::Text(text) | Body::Xml(text) => text.fields().next().is_some(),
    };
    if named {
        item.problem("this answer is sent before any rule runs, so it is the same for every event")
            .label("use `respond:` in a rule to answer with values")
            .add();
        return None;
    }
    Some(body)
}
