//! `get`, `post`, `put`, `patch`, `delete`: a call to another app, rendered for one event.
//!
//! What the response means (done, retry, failed) is decided here; connections, and which targets are allowed at all, are in
//! [`super::client`].

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use serde_json::Value;

use super::address::check_url;
use super::auth::{Auth, read_auth};
use super::client::{Call, Got, Unsent};
use super::headers::{Headers, read_headers};
use super::ok::read_ok;
use super::target::{self, Target, read_targets, server_of};
use crate::action::attempt_context::AttemptContext;
use crate::action::contract::{Action, Asks, BODY_VIEW, Effect, EffectView, Kind, MockResponse, Performing, body_view};
use crate::action::option::read_word;
use crate::action::world::World;
use crate::expr::doubt;
use crate::expr::field::Field;
use crate::expr::names::{Names, is_stand_in};
use crate::expr::scope::Scope;
use crate::expr::spell::spell;
use crate::expr::template::data::Data;
use crate::expr::template::url::Url;
use crate::expr::template::{Destination, Template, Unrendered};
use crate::model::outcome::{Outcome, Success};
use crate::text::word::{HEADER, Shape, Word};
use crate::yaml::Node;
use crate::yaml::fields::{Fields, Item};

pub struct Http;

/// Whether the history keeps bodies.
const KEEP: Word = Word {
    name: "keep",
    shape: Shape::One(&["bodies"]),
    does: "`bodies` keeps what was sent and what came back with every try, whole; `explain` and the console show it",
};

const VERBS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
/// Statuses that are retried.
const AGAIN: [u16; 7] = [408, 425, 429, 500, 502, 503, 504];
impl Kind for Http {
    fn verbs(&self) -> &'static [&'static str] {
        &VERBS
    }
    fn does(&self) -> &'static str {
        "calls another app over HTTP"
    }
    fn value(&self) -> &'static str {
        "the address"
    }
    fn phrase(&self, verb: &str) -> &'static str {
        match verb {
            "get" => "get",
            "post" => "post to",
            "put" => "put to",
            "patch" => "patch",
            _ => "delete",
        }
    }
    fn step_schema(&self, verb: &str) -> Value {
        target::schema(verb)
    }
    fn keys(&self) -> &'static [Word] {
        &[
            Word { name: "json", shape: Shape::Any, does: "the body, as JSON" },
            Word { name: "form", shape: Shape::Map, does: "the body, as a form: names and values" },
            Word { name: "text", shape: Shape::Text, does: "the body, as text" },
            Word { name: "xml", shape: Shape::Text, does: "the body, as XML; values are escaped" },
            Word { name: "type", shape: Shape::Text, does: "the content type of `text:`" },
            Word { name: "headers", shape: Shape::MapNamed(HEADER), does: "headers to send" },
            Word { name: "query", shape: Shape::Map, does: "the query parameters, after the ? of the address" },
            Word { name: "auth", shape: Shape::Of("auth"), does: "your credentials for the other app" },
            Word { name: "ok", shape: Shape::Each(0, &Shape::Status), does: "the statuses that count as success; [200-299] by default" },
            Word { name: "hosts", shape: Shape::List, does: "the servers that may be called, if the address comes from the webhook" },
            KEEP,
            Word { name: "follow_redirects", shape: Shape::Flag, does: "whether to follow redirects" },
        ]
    }
    fn expected(&self) -> &'static [Word] {
        BODY_VIEW
    }
    fn calls(&self) -> bool {
        true
    }
    fn saved_parts(&self) -> &'static [&'static str] {
        &["status", "header", "body"]
    }
    fn example(&self) -> &'static str {
        "post: https://chat.example.com/hooks/orders\njson: { text: \"New order {{ body.id }} for {{ body.total }}\" }\n"
    }
    fn read(&self, verb: &'static str, fields: &mut Fields, known: &Names) -> Option<Box<dyn Action>> {
        let item = fields.must(verb)?;
        let url = Url::read(&item, known);
        let targets = fields.may("hosts").map_or(Some(Vec::new()), |i| read_targets(&i));
        if let (Some(url), Some(targets)) = (&url, &targets) {
            check_url(url, &item, targets, known);
        }
        let body = read_body(verb, fields, known);
        let headers = fields.may("headers").map(|i| read_headers(&i, known));
        let query = fields.may("query").map(|i| read_pairs(&i, "query", known));
        let auth = fields.may("auth").map(|i| read_auth(&i, known));
        let ok = fields.may("ok").map(|i| read_ok(&i));
        let follow = fields.may("follow_redirects").map(|i| i.flag());
        let keep = read_word(fields, KEEP.name, "bodies");
        if let (Some(headers), true) = (&headers, fields.has("auth")) {
            headers.without_authorization(&fields.key("headers"));
        }
        if let (Some(headers), true) = (&headers, fields.has("json")) {
            headers.is_json(&fields.key("headers"));
        }
        let (url, query) = (url?, query.unwrap_or(Some(Vec::new()))?);
        let server = url.fixed_server().and_then(|text| reqwest::Url::parse(&text).ok()).map(|url| server_of(&url).into());
        let fixed_url = url.fixed().filter(|_| query.is_empty()).and_then(|text| reqwest::Url::parse(text).ok());
        Some(Box::new(Calling {
            method: verb.to_uppercase(),
            url,
            fixed_url,
            server,
            targets: targets?,
            body: body?,
            headers: headers.unwrap_or_default(),
            query,
            auth: auth.unwrap_or(Some(Auth::None))?,
            ok: ok.unwrap_or_else(|| Some(vec![200..=299]))?,
            follow: follow.unwrap_or(Some(false))?,
            keep: keep?,
        }))
    }
}

/// A compiled call.
struct Calling {
    method: String,
    url: Url,
    /// The parsed address, if it is the same for every event.
    fixed_url: Option<reqwest::Url>,
    /// The server, if it is written in the rule file.
    server: Option<Arc<str>>,
    targets: Vec<Target>,
    body: Body,
    headers: Headers,
    query: Vec<(String, Data)>,
    auth: Auth,
    ok: Vec<RangeInclusive<u16>>,
    follow: bool,
    keep: bool,
}

enum Body {
    None,
    Json(Data),
    Form(Vec<(String, Data)>),
    Text(Template, String),
}

fn read_pairs(item: &Item, what: &'static str, known: &Names) -> Option<Vec<(String, Data)>> {
    let entries = item.entries(what)?;
    let mut out = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        if let Node::Map(_) = value.node {
            value.problem(format!("`{what}:` takes names and plain values")).label("to send nested values, use `json:`").add();
            return None;
        }
        out.push((name, Data::read(&value, Destination::Plain, known)?));
    }
    Some(out)
}

fn read_body(verb: &str, fields: &mut Fields, known: &Names) -> Option<Body> {
    let (json, form, text, xml) = (fields.may("json"), fields.may("form"), fields.may("text"), fields.may("xml"));
    let kind = fields.may("type");
    let several: Vec<&Item> = [&json, &form, &text, &xml].into_iter().flatten().collect();
    if several.len() > 1 {
        several[1].problem("a call sends only one of `json:`, `form:`, `text:` and `xml:`").at_key().label("remove the others").add();
        return None;
    }
    if let (Some(body), "get") = (several.first(), verb) {
        body.problem("`get` does not send a body").at_key().label("put the values under `query:`, or use `post`").add();
        return None;
    }
    if let (Some(kind), None) = (&kind, &text) {
        kind.problem("`type:` can only be used with `text:`").at_key().label("`json:` and `form:` set it themselves").add();
        return None;
    }
    if let Some(item) = json {
        doubt::modifiers(&item);
        doubt::json_text(&item);
        return Data::read(&item, Destination::Plain, known).map(Body::Json);
    }
    if let Some(item) = form {
        return read_pairs(&item, "form", known).map(Body::Form);
    }
    if let Some(item) = xml {
        if let Node::Map(_) = item.node {
            item.problem("XML must be written as text").label("write xml: \"<order>{{ body.id }}</order>\"").add();
            return None;
        }
        return Template::read(&item, Destination::Xml, known).map(|t| Body::Text(t, "application/xml".to_owned()));
    }
    let Some(item) = text else { return Some(Body::None) };
    let template = Template::read(&item, Destination::Plain, known)?;
    let kind = match kind {
        Some(kind) => kind.text()?,
        None => "text/plain; charset=utf-8".to_owned(),
    };
    if kind.contains(['\r', '\n']) || !kind.contains('/') {
        item.problem(format!("`{kind}` is not a content type")).label("write for example text/csv").add();
        return None;
    }
    if kind.contains("json") && template.fixed().is_none() {
        item.problem("JSON cannot be written as text: a quote in a value would break it")
            .at_key()
            .label("use `json:` with names and values")
            .add();
        return None;
    }
    Some(Body::Text(template, kind))
}

impl Calling {
    fn pairs(pairs: &[(String, Data)], scope: &Scope) -> Result<Vec<(String, String)>, Unrendered> {
        let mut out = Vec::new();
        for (name, data) in pairs {
            let value = data.value(scope)?;
            match &value {
                Value::Null => {}
                Value::Array(list) => {
                    for v in list.iter().filter(|v| !v.is_null()) {
                        out.push((name.clone(), spell(v).map_or_else(|| v.to_string(), |t| t.into_owned())));
                    }
                }
                one => out.push((name.clone(), spell(one).map_or_else(|| one.to_string(), |t| t.into_owned()))),
            }
        }
        Ok(out)
    }
}

fn encode(pairs: &[(String, String)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

impl Action for Calling {
    fn fields(&self) -> Vec<&Field> {
        let body = match &self.body {
            Body::None => Vec::new(),
            Body::Json(data) => data.fields(),
            Body::Form(pairs) => pairs.iter().flat_map(|(_, data)| data.fields()).collect(),
            Body::Text(text, _) => text.fields().collect(),
        };
        let auth: Vec<&Field> = match &self.auth {
            Auth::None => Vec::new(),
            Auth::Basic(user, password) => user.fields().chain(password.fields()).collect(),
            Auth::Bearer(token) => token.fields().collect(),
        };
        let query = self.query.iter().flat_map(|(_, data)| data.fields());
        self.url.fields().chain(self.headers.fields()).chain(query).chain(body).chain(auth).collect()
    }
    fn keeps_bodies(&self) -> bool {
        self.keep
    }
    fn render(&self, scope: &Scope) -> Result<Box<dyn Effect>, Unrendered> {
        let mut address = self.url.text(scope)?;
        let query = Self::pairs(&self.query, scope)?;
        if !query.is_empty() {
            let (before, fragment) = address.split_once('#').map_or((address.as_str(), None), |(b, f)| (b, Some(f)));
            let joint = if before.contains('?') { '&' } else { '?' };
            address = format!("{before}{joint}{}{}", encode(&query), fragment.map_or(String::new(), |f| format!("#{f}")));
        }
        let url = match &self.fixed_url {
            Some(url) => Ok(url.clone()),
            None => reqwest::Url::parse(&address).map_err(|e| format!("this address is not valid: {e}")),
        };
        let mut headers = self.headers.render(scope)?;
        let set = |headers: &mut Vec<(String, String)>, name: &str, value: String| {
            if !headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)) {
                headers.push((name.to_owned(), value));
            }
        };
        match &self.auth {
            Auth::None => {}
            Auth::Basic(user, password) => {
                let both = format!("{}:{}", user.text(scope)?, password.text(scope)?);
                set(&mut headers, "authorization", format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(both)));
            }
            Auth::Bearer(token) => set(&mut headers, "authorization", format!("Bearer {}", token.text(scope)?)),
        }
        let body = match &self.body {
            Body::None => Vec::new(),
            Body::Json(data) => {
                set(&mut headers, "content-type", "application/json".into());
                data.json(scope)?.into_bytes()
            }
            Body::Form(pairs) => {
                set(&mut headers, "content-type", "application/x-www-form-urlencoded".into());
                encode(&Self::pairs(pairs, scope)?).into_bytes()
            }
            Body::Text(text, kind) => {
                set(&mut headers, "content-type", kind.clone());
                text.text(scope)?.into_bytes()
            }
        };
        Ok(Box::new(Request {
            method: self.method.clone(),
            shown_url: scope.vault().strike(&address),
            address,
            url,
            headers,
            body,
            targets: self.targets.clone(),
            is_chosen: self.url.host_from_data,
            server: self.server.clone(),
            follow: self.follow,
            ok: self.ok.clone(),
        }))
    }
}

/// A request that is ready to be sent.
struct Request {
    method: String,
    /// The address as the rule wrote it, and without secrets, for messages.
    address: String,
    shown_url: String,
    /// The error is a message for people.
    url: Result<reqwest::Url, String>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    targets: Vec<Target>,
    is_chosen: bool,
    server: Option<Arc<str>>,
    follow: bool,
    /// The statuses that count as success.
    ok: Vec<RangeInclusive<u16>>,
}

/// What a response is judged by.
struct Asked {
    /// Method and address, without secrets.
    call: String,
    url: Option<reqwest::Url>,
    has_body: bool,
    ok: Vec<RangeInclusive<u16>>,
}

impl Request {
    fn asked(&self) -> Asked {
        let call = format!("{} {}", self.method, self.shown_url);
        Asked { call, url: self.url.as_ref().ok().cloned(), has_body: !self.body.is_empty(), ok: self.ok.clone() }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}  {}", self.method.to_lowercase(), self.address)?;
        for (name, value) in &self.headers {
            write!(f, "\n{name}: {value}")?;
        }
        if !self.body.is_empty() {
            write!(f, "\n{}", String::from_utf8_lossy(&self.body))?;
        }
        Ok(())
    }
}

impl Effect for Request {
    fn bytes(&self) -> usize {
        self.address.len() + self.body.len()
    }
    fn perform<'a>(self: Box<Self>, world: &'a World, context: AttemptContext) -> Performing<'a> {
        Box::pin(async move {
            let asked = self.asked();
            let said = |why: String| format!("{}: {why}", asked.call);
            let Request { method, headers, body, targets, is_chosen, server, follow, url, .. } = *self;
            let call = match url {
                Ok(url) => {
                    let listed = || targets.iter().find(|target| target.fits(&url)).map(|target| target.name().into());
                    let server = server.or_else(listed);
                    Call { method, url, headers, body, targets, is_chosen, follow, server }
                }
                Err(why) => return Outcome::failed(said(why)),
            };
            if let Some(bodies) = &context.bodies {
                bodies.sends(&call.body);
            }
            match world.net.send(call, &context).await {
                Ok(got) => {
                    if let Some(bodies) = &context.bodies {
                        bodies.is_answered(&got.body);
                    }
                    asked.judge(got)
                }
                Err(Unsent::Again(why)) => Outcome::retry(said(why)),
                Err(Unsent::Resting(why, wait)) => Outcome::Paused { why: said(why), wait },
                Err(Unsent::Crowded(wait)) => Outcome::Deferred(wait),
                Err(Unsent::Never(why)) => Outcome::failed(said(why)),
            }
        })
    }
    fn view(&self) -> EffectView {
        body_view(EffectView::new(self.method.to_lowercase(), &self.address), &self.headers, &self.body)
    }
    fn asks(&self) -> Option<Asks> {
        Some(Asks::Response)
    }
    fn answered(&self, said: MockResponse) -> Outcome {
        let got = Got { status: said.status, headers: said.headers, body: said.body, received: jiff::Timestamp::UNIX_EPOCH };
        let asked = self.asked();
        match &self.url {
            // The address may be a secret that is not known here.
            Err(why) if !is_stand_in(&self.address) => Outcome::failed(format!("{}: {why}", asked.call)),
            _ => asked.judge(got),
        }
    }
}

impl Asked {
    /// What the response means for the step.
    fn judge(&self, got: Got) -> Outcome {
        let status = got.status;
        let said = format!("{} answered {status}", self.call);
        if self.ok.iter().any(|range| range.contains(&status)) {
            let kind = got.headers.iter().find(|(n, _)| n == "content-type").map(|(_, v)| v.as_str());
            let body =
                crate::body::read(kind, &got.body).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&got.body).into_owned()));
            let headers: serde_json::Map<String, Value> = got.headers.into_iter().map(|(n, v)| (n, Value::String(v))).collect();
            // `json!` would spell the numbers of the body anew.
            let output = [("status", status.into()), ("header", Value::Object(headers)), ("body", body)];
            let output = Value::Object(output.map(|(name, value)| (name.to_owned(), value)).into_iter().collect());
            return Outcome::Done(Success { said, output: Some(output), ..Success::default() });
        }
        if AGAIN.contains(&status) {
            let asked = got.headers.iter().find(|(n, _)| n == "retry-after").and_then(|(_, v)| retry_after(v, got.received));
            return Outcome::Retry { why: said, not_before: asked, status: Some(status), receipt: None };
        }
        if (300..400).contains(&status) {
            let to = got.headers.iter().find(|(n, _)| n == "location").map_or("another address", |(_, v)| v.as_str());
            // Following would not help where the other server may not get the body.
            let is_followed =
                !self.has_body || self.url.as_ref().is_some_and(|url| url.join(to).is_ok_and(|next| next.origin() == url.origin()));
            let or = if is_followed { ", or `follow_redirects: true`" } else { "" };
            let why = format!("{said}: it has moved to {to}; write that address{or}");
            return Outcome::Failed { why, status: Some(status) };
        }
        let text = String::from_utf8_lossy(&got.body);
        let why = if text.trim().is_empty() { said } else { format!("{said}: {}", text.trim()) };
        Outcome::Failed { why, status: Some(status) }
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110, 10.2.3).
fn retry_after(value: &str, received: jiff::Timestamp) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(value.trim()).ok()?.timestamp();
    Some(Duration::from_secs(at.as_second().saturating_sub(received.as_second()).max(0) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date() {
        let now: jiff::Timestamp = "1994-11-06T08:49:00Z".parse().unwrap();
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(37)));
        assert_eq!(retry_after("soon", now), None);
    }
}
