//! `get`, `post`, `put`, `patch`, `delete`: a call to another app, rendered for one event.
//!
//! What the response means (done, retry, failed) is decided here; connections, and which targets are allowed at all, are in
//! [`super::client`].

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use base64::Engine as _;
use serde_json::Value;

use super::address::check_url;
use super::auth::{Auth, read_auth};
use super::body::{Body, Sent};
use super::client::{Call, Got};
use super::headers::{Headers, read_headers, set};
use super::ok::read_ok;
use super::pairs::{Pairs, encode};
use super::payload::Payload;
use super::sink::Sink;
use super::target::{self, Target, read_targets, server_of};
use super::using::{USING, not_sent, read_using, send};
use crate::action::attempt_context::AttemptContext;
use crate::action::connections::Role;
use crate::action::contract::{Action, Asks, BODY_VIEW, ConnectionUse, Effect, EffectView, FileUse, Kind, MockResponse, Performing};
use crate::action::files::append::read_file;
use crate::action::files::content::{Content, Whole};
use crate::action::option::read_word;
use crate::action::world::World;
use crate::expr::field::Field;
use crate::expr::names::{Names, is_stand_in};
use crate::expr::scope::Scope;
use crate::expr::template::url::Url;
use crate::expr::template::{Template, Unrendered};
use crate::model::outcome::{Outcome, Success};
use crate::text::count;
use crate::text::word::{HEADER, Shape, Word};
use crate::yaml::fields::Fields;
use crate::yaml::locate::Path;
use crate::yaml::size;

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
/// The largest file that is saved, in bytes, unless the step says otherwise, and the largest one that it can ask for.
const MAX_FILE: usize = 100 << 20;
const MOST_FILE: usize = 10 << 30;
const TO_FILE: Word = Word { name: "to_file", shape: Shape::Text, does: "saves the answer as this file" };
/// What a test can expect of a call.
const EXPECTED: [Word; 9] = {
    let [json, has_json, form, text, xml, headers] = BODY_VIEW;
    let files = Word { name: "files", shape: Shape::Map, does: "files that must be among those sent, by the names of their fields" };
    [json, has_json, form, files, text, xml, headers, USING, TO_FILE]
};

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
            Word { name: "files", shape: Shape::MapOf("files"), does: "files to send, by the names of their fields in the form" },
            Word { name: "type", shape: Shape::Text, does: "the content type of `text:`; multipart/form-data for a form" },
            Word { name: "headers", shape: Shape::MapNamed(HEADER), does: "headers to send" },
            Word { name: "query", shape: Shape::Map, does: "the query parameters, after the ? of the address" },
            Word { name: "auth", shape: Shape::Of("auth"), does: "your credentials for the other app" },
            USING,
            Word { name: "ok", shape: Shape::Each(0, &Shape::Status), does: "the statuses that count as success; [200-299] by default" },
            Word { name: "hosts", shape: Shape::List, does: "the servers that may be called, if the address comes from the webhook" },
            KEEP,
            Word { name: "follow_redirects", shape: Shape::Flag, does: "whether to follow redirects" },
            TO_FILE,
            Word {
                name: "max_size",
                shape: Shape::Spelled(r"^[0-9]+\s*(bytes|KB|MB)\s*$"),
                does: "the largest file that `to_file:` saves; 100 MB by default",
            },
        ]
    }
    fn expected(&self) -> &'static [Word] {
        &EXPECTED
    }
    fn calls(&self) -> bool {
        true
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
        let headers = fields.may("headers").map(|i| read_headers(&i, known));
        let body = Body::read(verb, fields, headers.as_ref(), known);
        let query = fields.may("query").map(|i| Pairs::read(&i, "query", known));
        let auth = fields.may("auth").map(|i| read_auth(&i, known));
        let using = fields.may("using").map(|i| read_using(&i));
        let ok = fields.may("ok").map(|i| read_ok(&i));
        let follow = fields.may("follow_redirects").map(|i| i.flag());
        let keep = read_word(fields, KEEP.name, "bodies");
        let to_file = fields.may(TO_FILE.name).map(|i| read_file(&i, known));
        let max_size = fields.may("max_size");
        if let (Some(size), None) = (&max_size, &to_file) {
            size.problem("`max_size:` can only be used with `to_file:`").at_key().label("remove it").add();
        }
        let max_size = max_size.map_or(Some(MAX_FILE), |i| size::read(&i, "a file", MOST_FILE));
        if let (Some(headers), true) = (&headers, fields.has("auth")) {
            headers.without_authorization(&fields.key("headers"));
        }
        if let (Some(headers), true) = (&headers, fields.has("json")) {
            headers.is_json(&fields.key("headers"));
        }
        let has_own_header = headers.as_ref().is_some_and(|headers| headers.get("authorization").is_some());
        let own_login = match fields.has("auth") {
            true => Some(("`auth:`", fields.key("auth").path)),
            false => has_own_header.then(|| ("the header Authorization", fields.key("headers").path)),
        };
        let sends_files =
            matches!(&body, Some(Body::Multipart(..))).then(|| fields.key(if fields.has("files") { "files" } else { "form" }).path);
        let (url, query) = (url?, query.unwrap_or(Some(Pairs::default()))?);
        let server = url.fixed_server().and_then(|text| reqwest::Url::parse(&text).ok()).map(|url| server_of(&url).into());
        let fixed_url = url.fixed().filter(|_| query.is_empty()).and_then(|text| reqwest::Url::parse(text).ok());
        Some(Box::new(Calling {
            verb,
            url,
            fixed_url,
            server,
            targets: targets?,
            body: body?,
            headers: headers.unwrap_or_default(),
            query,
            auth: auth.unwrap_or(Some(Auth::None))?,
            using: using.unwrap_or_else(|| Some(Vec::new()))?,
            own_login,
            sends_files,
            ok: ok.unwrap_or_else(|| Some(vec![200..=299]))?,
            follow: follow.unwrap_or(Some(false))?,
            keep: keep?,
            to_file: match to_file {
                Some(file) => Some((file?, max_size?)),
                None => None,
            },
        }))
    }
}

/// A compiled call.
struct Calling {
    verb: &'static str,
    url: Url,
    /// The parsed address, if it is the same for every event.
    fixed_url: Option<reqwest::Url>,
    /// The server, if it is written in the rule file.
    server: Option<Arc<str>>,
    targets: Vec<Target>,
    body: Body,
    headers: Headers,
    query: Pairs,
    auth: Auth,
    /// The connections, and where their names are.
    using: Vec<(String, Path)>,
    own_login: Option<(&'static str, Path)>,
    sends_files: Option<Path>,
    ok: Vec<RangeInclusive<u16>>,
    follow: bool,
    keep: bool,
    /// The file that the answer becomes, and how many bytes it may have.
    to_file: Option<(Template, usize)>,
}

impl Action for Calling {
    fn fields(&self) -> Vec<&Field> {
        let auth: Vec<&Field> = match &self.auth {
            Auth::None => Vec::new(),
            Auth::Basic(user, password) => user.fields().chain(password.fields()).collect(),
            Auth::Bearer(token) => token.fields().collect(),
        };
        let file = self.to_file.iter().flat_map(|(file, _)| file.fields());
        let body = self.body.fields();
        self.url.fields().chain(self.headers.fields()).chain(self.query.fields()).chain(body).chain(auth).chain(file).collect()
    }
    fn saved_parts(&self) -> &'static [&'static str] {
        if self.to_file.is_some() { &["status", "header", "file", "size"] } else { &["status", "header", "body"] }
    }
    fn file(&self) -> Option<FileUse<'_>> {
        let (file, _) = self.to_file.as_ref()?;
        file.fixed().map(|name| FileUse { name, replaces: true })
    }
    fn keeps_bodies(&self) -> bool {
        self.keep
    }
    fn uses(&self) -> Option<ConnectionUse<'_>> {
        (!self.using.is_empty()).then(|| ConnectionUse {
            verb: self.verb,
            names: self.using.iter().map(|(name, path)| (name.as_str(), path)).collect(),
            takes: &[Role::LogsIn, Role::Signs],
            own_login: self.own_login.as_ref().map(|(what, path)| (*what, path)),
            sends_files: self.sends_files.as_ref(),
        })
    }
    fn render(&self, scope: &Scope) -> Result<Box<dyn Effect>, Unrendered> {
        let mut address = self.url.text(scope)?;
        let query = self.query.render(scope)?;
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
        match &self.auth {
            Auth::None => {}
            Auth::Basic(user, password) => {
                let both = format!("{}:{}", user.text(scope)?, password.text(scope)?);
                set(&mut headers, "authorization", format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(both)));
            }
            Auth::Bearer(token) => set(&mut headers, "authorization", format!("Bearer {}", token.text(scope)?)),
        }
        let (body, kind) = self.body.render(scope)?;
        if !kind.is_empty() {
            set(&mut headers, "content-type", kind.to_owned());
        }
        let to_file = match &self.to_file {
            Some((file, most)) => Some((file.text(scope)?, *most as u64)),
            None => None,
        };
        Ok(Box::new(Request {
            method: self.verb.to_uppercase(),
            using: self.using.iter().map(|(name, _)| name.clone()).collect(),
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
            to_file,
        }))
    }
}

/// A request that is ready to be sent.
struct Request {
    method: String,
    /// The connections.
    using: Vec<String>,
    /// The address as the rule wrote it, and without secrets, for messages.
    address: String,
    shown_url: String,
    /// The error is a message for people.
    url: Result<reqwest::Url, String>,
    headers: Vec<(String, String)>,
    body: Sent,
    targets: Vec<Target>,
    is_chosen: bool,
    server: Option<Arc<str>>,
    follow: bool,
    /// The statuses that count as success.
    ok: Vec<RangeInclusive<u16>>,
    /// The file that the answer becomes, and how many bytes it may have.
    to_file: Option<(String, u64)>,
}

/// What a response is judged by.
struct Asked {
    /// Method and address, without secrets.
    call: String,
    url: Option<reqwest::Url>,
    has_body: bool,
    ok: Vec<RangeInclusive<u16>>,
    to_file: Option<String>,
}

impl Request {
    fn asked(&self) -> Asked {
        let call = format!("{} {}", self.method, self.shown_url);
        let to_file = self.to_file.as_ref().map(|(file, _)| file.clone());
        Asked { call, url: self.url.as_ref().ok().cloned(), has_body: !self.body.is_empty(), ok: self.ok.clone(), to_file }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}  {}", self.method.to_lowercase(), self.address)?;
        for (name, value) in &self.headers {
            write!(f, "\n{name}: {value}")?;
        }
        if !self.using.is_empty() {
            write!(f, "\nusing: {}", self.using.join(", "))?;
        }
        write!(f, "{}", self.body)?;
        match &self.to_file {
            Some((file, _)) => write!(f, "\nto_file: {file}"),
            None => Ok(()),
        }
    }
}

impl Effect for Request {
    fn bytes(&self) -> usize {
        self.address.len() + self.body.bytes()
    }
    fn perform<'a>(self: Box<Self>, world: &'a World, context: AttemptContext) -> Performing<'a> {
        Box::pin(async move {
            let asked = self.asked();
            let said = |why: String| format!("{}: {why}", asked.call);
            let Request { method, using, mut headers, body, targets, is_chosen, server, follow, url, to_file, .. } = *self;
            let url = match url {
                Ok(url) => url,
                Err(why) => return Outcome::failed(said(why)),
            };
            // Of a form with files, its names and what is in its files' place.
            if let (Some(bodies), Sent::Multipart(_)) = (&context.bodies, &body) {
                bodies.sends(body.to_string().trim_start().as_bytes());
            }
            let body = match body {
                Sent::Bytes(bytes) => Payload::from(bytes),
                Sent::Multipart(form) => match form.payload(&world.files, &context.idempotency_key()).await {
                    Ok((payload, kind)) => {
                        headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
                        headers.push(("content-type".to_owned(), kind));
                        payload
                    }
                    Err(outcome) => return outcome,
                },
            };
            let (mut sink, mut download) = (None, None);
            if let Some((file, most)) = to_file {
                match world.files.download(&file, &context).await {
                    Ok((begun, open)) => (sink, download) = (Some(Sink { file: open, most }), Some((file, begun))),
                    Err(outcome) => return outcome,
                }
            }
            let listed = || targets.iter().find(|target| target.fits(&url)).map(|target| target.name().into());
            let server = server.or_else(listed);
            let call = Call { method, url, headers, body, sink, targets, is_chosen, follow, server };
            if let (Some(bodies), Payload::Bytes(bytes)) = (&context.bodies, &call.body) {
                bodies.sends(bytes);
            }
            let sent = match using.as_slice() {
                [] => world.net.send(call, &context).await.map_err(|no| not_sent(&asked.call, no)),
                names => send(names, call, &asked.call, asked.is_ok(401), world, &context).await,
            };
            let mut got = match sent {
                Ok(got) => got,
                Err(outcome) => return outcome,
            };
            if let Some(bodies) = &context.bodies {
                bodies.is_answered(&got.body);
            }
            let (Some(sunk), Some((file, download)), true) = (got.sunk.take(), download, asked.is_ok(got.status)) else {
                return asked.judge(got);
            };
            let size = match sunk {
                Ok(size) => size,
                Err(why) => return why.because(&asked.call).outcome(),
            };
            match world.files.write(&file, Content::Whole(Whole::Download(Arc::new(download))), context).await {
                Outcome::Done(Success { receipt, .. }) => Outcome::Done(Success { receipt, ..asked.kept(got, &file, size) }),
                other => other,
            }
        })
    }
    fn view(&self) -> EffectView {
        let seen = self.body.view(EffectView::new(self.method.to_lowercase(), &self.address), &self.headers);
        let seen = match self.using.as_slice() {
            [] => seen,
            [one] => seen.with(USING.name, one.as_str().into()),
            several => seen.with(USING.name, several.into()),
        };
        match &self.to_file {
            Some((file, _)) => seen.with(TO_FILE.name, file.as_str().into()),
            None => seen,
        }
    }
    fn asks(&self) -> Option<Asks> {
        Some(Asks::Response)
    }
    fn answered(&self, said: MockResponse) -> Outcome {
        let received = jiff::Timestamp::UNIX_EPOCH;
        let got = Got { status: said.status, headers: said.headers, body: said.body, sunk: None, received };
        let asked = self.asked();
        match &self.url {
            // The address may be a secret that is not known here.
            Err(why) if !is_stand_in(&self.address) => Outcome::failed(format!("{}: {why}", asked.call)),
            _ => match &self.to_file {
                Some((file, _)) if asked.is_ok(got.status) && Sink::takes(got.status) => {
                    let size = got.body.len() as u64;
                    Outcome::Done(asked.kept(got, file, size))
                }
                _ => asked.judge(got),
            },
        }
    }
}

impl Asked {
    fn is_ok(&self, status: u16) -> bool {
        self.ok.iter().any(|range| range.contains(&status))
    }

    /// What a step says and saves whose answer has become a file.
    fn kept(&self, got: Got, file: &str, size: u64) -> Success {
        let said = format!("{} answered {}, {} in {file}", self.call, got.status, count::bytes(size));
        let more = [("file", file.into()), ("size", size.into())];
        Success { said, output: Some(output(got.status, got.headers, more)), ..Success::default() }
    }

    /// What the response means for the step.
    fn judge(&self, got: Got) -> Outcome {
        let status = got.status;
        let said = format!("{} answered {status}", self.call);
        if self.is_ok(status) {
            let kind = got.headers.iter().find(|(n, _)| n == "content-type").map(|(_, v)| v.as_str());
            let body =
                crate::body::read(kind, &got.body).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&got.body).into_owned()));
            // An answer without content is not the file that was meant, which stays as it was.
            let said = match &self.to_file {
                Some(file) => format!("{said}, so {file} is not written"),
                None => said,
            };
            return Outcome::Done(Success { said, output: Some(output(status, got.headers, [("body", body)])), ..Success::default() });
        }
        if AGAIN.contains(&status) {
            return Outcome::Retry { why: said, not_before: got.retry_after(), status: Some(status), receipt: None };
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

/// What `save_as` saves of a response. (`json!` would spell the numbers of a body anew.)
fn output<const N: usize>(status: u16, headers: Vec<(String, String)>, more: [(&str, Value); N]) -> Value {
    let headers: serde_json::Map<String, Value> = headers.into_iter().map(|(n, v)| (n, Value::String(v))).collect();
    let all = [("status", status.into()), ("header", Value::Object(headers))].into_iter().chain(more);
    Value::Object(all.map(|(name, value)| (name.to_owned(), value)).collect())
}
