//! The `tests:` of a rule: what is sent, what targets reply, what is expected. They are only read here; `doorbell test` runs
//! them.

use serde_json::{Map, Value};

use crate::action::contract::Asks;
use crate::action::{KINDS, verbs};
use crate::model::called::shown;
use crate::text::nearest::nearest;
use crate::text::word::Shape;
use crate::yaml::Node;
use crate::yaml::fields::{Fields, Item};
use crate::yaml::locate::Path;

/// One test of a rule.
#[derive(Debug, Clone)]
pub struct Test {
    pub name: String,
    pub send: Sending,
    /// What is given instead of asking, in order; of each kind, the last one repeats.
    pub replies: Vec<Reply>,
    /// What is remembered before, by key.
    pub remembered: Map<String, Value>,
    /// The expected effects, in order; empty for `nothing`.
    pub expect: Vec<Expected>,
    pub path: Path,
}

/// The request that a test sends.
#[derive(Debug, Clone, Default)]
pub struct Sending {
    pub method: Option<String>,
    /// The path to call, for a rule whose address has placeholders or that has several addresses.
    pub path: Option<String>,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    /// Who sends it, and where that is written; if nobody is named, the only sender of the address.
    pub sender: Option<(String, Path)>,
    pub body: Body,
    /// The moment of a rule that starts by itself, as it is written, and how many were missed.
    pub planned: Option<String>,
    pub missed: u64,
    /// What is known about a run that has failed, for a rule that starts then.
    pub failed: Option<Map<String, Value>>,
    /// What is known about a silence, for a rule that waits for it.
    pub silent: Option<Map<String, Value>>,
    /// What another rule gives, for a rule that is called.
    pub input: Option<Map<String, Value>>,
}

impl Sending {
    /// Whether it is no webhook.
    pub fn is_made(&self) -> bool {
        self.planned.is_some() || self.failed.is_some() || self.silent.is_some() || self.input.is_some()
    }
}

#[derive(Debug, Clone, Default)]
pub enum Body {
    #[default]
    Nothing,
    Json(Value),
    Form(Vec<(String, String)>),
    Text(String),
    /// A file next to the rule file.
    File(String),
}

/// What is given as the answer of an app, or as the rows of a sheet.
#[derive(Debug, Clone)]
pub struct Reply {
    /// What it answers.
    pub to: Asks,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Value,
}

/// An effect that a test expects.
#[derive(Debug, Clone)]
pub struct Expected {
    pub verb: String,
    /// The verb's value: an address, a file, a status.
    pub what: String,
    /// The keys of its kind that a test can expect, such as `json` or `columns`.
    pub fields: Vec<(String, Value)>,
    pub path: Path,
}

/// Reads `tests:`; problems have been reported.
pub fn read(item: &Item) -> Vec<Test> {
    if let Node::Map(_) = item.node {
        item.problem("tests must be a list").label("begin each test with a dash and its name: `- name: a big order`").add();
        return Vec::new();
    }
    let items = item.items("a list of tests, each with a dash,").unwrap_or_default();
    items.iter().filter_map(one).collect()
}

fn one(item: &Item) -> Option<Test> {
    let mut fields = item.fields("a test")?;
    let name = fields.must("name").and_then(|i| i.text());
    let send = fields.must("send").and_then(|i| read_send(&i));
    let replies = match fields.may("replies") {
        Some(replies) => replies.items("a list of answers")?.iter().map(read_reply).collect::<Option<Vec<_>>>(),
        None => Some(Vec::new()),
    };
    let mut remembered = Map::new();
    for (key, value) in fields.may("remembered").and_then(|item| item.entries("`remembered:`")).unwrap_or_default() {
        remembered.insert(key, plain(&value)?);
    }
    let expect = fields.must("expect").and_then(|i| read_expect(&i));
    fields.done(&[("given", "send"), ("then", "expect"), ("reply", "replies"), ("memory", "remembered")]);
    Some(Test { name: name?, send: send?, replies: replies?, remembered, expect: expect?, path: item.path.clone() })
}

fn texts(item: &Item, what: &'static str) -> Option<Vec<(String, String)>> {
    let mut out = Vec::new();
    for (name, value) in item.entries(what)? {
        for one in value.one_or_many() {
            out.push((name.clone(), one.text()?));
        }
    }
    Some(out)
}

/// A value of any kind, as it is written.
fn plain(item: &Item) -> Option<Value> {
    match item.node {
        Node::Empty | Node::Braces | Node::Tagged => {
            item.expected("a value");
            None
        }
        node => Some(node.json()),
    }
}

/// What a rule is told of a failed run.
const FAILURE: [&str; 8] = ["rule", "step", "message", "status", "tries", "event", "address", "count"];

/// What a rule is told of a silence.
const SILENCE: [&str; 3] = ["last", "previous", "back"];

/// What a test says about an event that is no request.
fn details(item: &Item, what: &'static str, known: &[&str]) -> Option<Map<String, Value>> {
    let mut out = Map::new();
    for (name, value) in item.entries(what)? {
        if !known.contains(&&*name) {
            let draft = value.problem(format!("`{name}` is not a field of this event")).at_key();
            let draft = draft.label(format!("its fields: {}", known.join(", ")));
            match nearest(&name, known.iter().copied()) {
                Some(near) => draft.meant(near).add(),
                None => draft.add(),
            }
            continue;
        }
        out.insert(name, plain(&value)?);
    }
    Some(out)
}

/// What another rule gives.
fn input(item: &Item) -> Option<Map<String, Value>> {
    item.entries("`input:`")?.into_iter().map(|(name, value)| Some((name, plain(&value)?))).collect()
}

fn read_send(item: &Item) -> Option<Sending> {
    let mut fields = item.fields("`send:`")?;
    let mut send = Sending {
        method: fields.may("method").and_then(|i| i.text()).map(|m| m.to_uppercase()),
        path: fields.may("path").and_then(|i| i.text()),
        query: fields.may("query").and_then(|i| texts(&i, "`query:`")).unwrap_or_default(),
        headers: fields.may("headers").and_then(|i| texts(&i, "`headers:`")).unwrap_or_default(),
        sender: fields.may("sender").and_then(|i| Some((i.text()?, i.path.clone()))),
        body: Body::Nothing,
        planned: fields.may("planned").and_then(|i| i.text()),
        missed: fields.may("missed").and_then(|i| i.whole(0, 10_000)).unwrap_or(0),
        failed: fields.may("failed").and_then(|i| details(&i, "`failed:`", &FAILURE)),
        silent: fields.may("silent").and_then(|i| details(&i, "`silent:`", &SILENCE)),
        input: fields.may("input").and_then(|i| input(&i)),
    };
    if send.is_made() && (send.path.is_some() || send.method.is_some() || !send.headers.is_empty() || !send.query.is_empty()) {
        let (what, key) = match (&send.planned, &send.failed, &send.silent) {
            (Some(_), ..) => ("a moment", "planned"),
            (_, Some(_), _) => ("a failure", "failed"),
            (.., Some(_)) => ("a silence", "silent"),
            _ => ("the call of a rule", "input"),
        };
        let draft = item.problem(format!("{what} is no request, so it has no path, method, headers or query"));
        draft.label(format!("keep only `{key}:`")).add();
    }
    for kind in ["json", "form", "text", "file"] {
        let Some(value) = fields.may(kind) else { continue };
        if !matches!(send.body, Body::Nothing) {
            value.problem("a test sends only one of `json:`, `form:`, `text:` and `file:`").at_key().label("remove the others").add();
            return None;
        }
        send.body = match kind {
            "json" => Body::Json(plain(&value)?),
            "form" => Body::Form(texts(&value, "`form:`")?),
            "text" => Body::Text(value.text()?),
            _ => Body::File(value.text()?),
        };
    }
    fields.done(&[("body", "write `json:`, `form:`, `text:` or `file:`"), ("header", "headers")]);
    Some(send)
}

fn read_reply(item: &Item) -> Option<Reply> {
    let mut fields = item.fields("an answer")?;
    let status = match fields.may("status") {
        Some(status) => status.whole(100, 599)? as u16,
        None => 200,
    };
    let (json, text, rows) = (fields.may("json"), fields.may("text"), fields.may("rows"));
    if let Some(rows) = rows {
        if fields.has("status") || fields.has("headers") || json.is_some() || text.is_some() {
            rows.problem("`rows:` is what a `find_row` finds, and the other keys are what an app answers")
                .at_key()
                .label("write two answers, each with a dash")
                .add();
        }
        fields.may("headers");
        fields.done(&[]);
        return read_rows(&rows).map(|body| Reply { to: Asks::Rows, status, headers: Vec::new(), body });
    }
    let headers = fields.may("headers").and_then(|i| texts(&i, "`headers:`")).unwrap_or_default();
    fields.done(&[("body", "write `json:` or `text:`")]);
    let body = match (json, text) {
        (Some(json), _) => plain(&json)?,
        (_, Some(text)) => Value::String(text.text()?),
        _ => Value::Object(serde_json::Map::new()),
    };
    Some(Reply { to: Asks::Response, status, headers, body })
}

/// The rows that a `find_row` finds: a list of maps with the values by column title.
fn read_rows(item: &Item) -> Option<Value> {
    let mut rows = Vec::new();
    for row in item.one_or_many() {
        let Node::Map(_) = row.node else {
            row.problem("a row is given by its column titles").label("write for example rows: [{ Email: ada@example.com }]").add();
            return None;
        };
        rows.push(plain(&row)?);
    }
    Some(Value::Array(rows))
}

fn read_expect(item: &Item) -> Option<Vec<Expected>> {
    match item.node {
        Node::Text(word) if word == "nothing" => Some(Vec::new()),
        Node::List(items) if !items.is_empty() => item.items("")?.iter().map(read_expected).collect(),
        node => {
            let label = match node {
                Node::Map(entries) => entries.first().map_or(String::new(), |(verb, _)| format!("put a dash before `{verb}:`")),
                Node::List(_) => "write `expect: nothing`".to_owned(),
                _ => "write for example `- post: https://…`".to_owned(),
            };
            item.problem("`expect:` takes `nothing` or a list of actions, each with a dash").label(label).add();
            None
        }
    }
}

fn read_expected(item: &Item) -> Option<Expected> {
    let mut fields: Fields = item.fields("an expected action")?;
    let mut found = None;
    for (verb, kind) in verbs() {
        if let Some(value) = fields.may(verb) {
            let what = if kind.takes_any() { shown(&plain(&value)?) } else { value.text()? };
            found = Some((verb, kind, what));
            break;
        }
    }
    let kinds = found.as_ref().map_or(KINDS.to_vec(), |(_, kind, _)| vec![*kind]);
    let mut wanted = Vec::new();
    for word in kinds.iter().flat_map(|kind| kind.expected()) {
        if let Some(value) = fields.may(word.name) {
            let one = plain(&value)?;
            // A list of one may be written without brackets.
            let whole = if matches!(word.shape, Shape::List) && !one.is_array() { Value::Array(vec![one]) } else { one };
            wanted.push((word.name.to_owned(), whole));
        }
    }
    if found.is_none() && !fields.left().any(|_| true) {
        item.problem("the expected action is missing").label("begin with its verb, such as `- post: https://…`").add();
    }
    fields.done(&[("body", "write `json:`, `form:` or `text:`"), ("url", "write `post: https://…`")]);
    let (verb, _, what) = found?;
    Some(Expected { verb: verb.to_owned(), what, fields: wanted, path: item.path.clone() })
}
