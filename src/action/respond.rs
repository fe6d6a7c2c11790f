//! `respond: STATUS` responds to the waiting caller. The first response wins.

use std::fmt;

use bytes::Bytes;

use serde_json::{Value, json};

use super::attempt_context::AttemptContext;
use super::contract::{Action, BODY_VIEW, Effect, EffectView, Kind, Performing, body_view};
use super::http::headers::{Headers, read_headers};
use super::world::World;
use crate::expr::doubt;
use crate::expr::field::Field;
use crate::expr::names::Names;
use crate::expr::scope::Scope;
use crate::expr::template::data::Data;
use crate::expr::template::{Destination, Template, Unrendered};
use crate::model::answer::{Answer, said, said_too_late};
use crate::model::outcome::{Outcome, Success};
use crate::text::word::{HEADER, Shape, Word};
use crate::yaml::fields::{Fields, Item};

pub struct Respond;

impl Kind for Respond {
    fn verbs(&self) -> &'static [&'static str] {
        &["respond"]
    }
    fn does(&self) -> &'static str {
        "answers the caller, who is waiting"
    }
    fn value(&self) -> &'static str {
        "the status"
    }
    fn phrase(&self, _: &str) -> &'static str {
        "answer with status"
    }
    fn step_schema(&self, verb: &str) -> Value {
        json!({ "properties": { verb: { "type": "integer", "minimum": 200, "maximum": 599 } } })
    }
    fn keys(&self) -> &'static [Word] {
        &[
            Word { name: "json", shape: Shape::Any, does: "the body, as JSON" },
            Word { name: "text", shape: Shape::Text, does: "the body, as text" },
            Word { name: "xml", shape: Shape::Text, does: "the body, as XML; values are escaped" },
            Word { name: "headers", shape: Shape::MapNamed(HEADER), does: "headers of the answer" },
        ]
    }
    fn expected(&self) -> &'static [Word] {
        &BODY_VIEW
    }
    fn example(&self) -> &'static str {
        "respond: 201\njson: { status: success, id: \"{{ body.id }}\" }\n"
    }
    fn read(&self, verb: &'static str, fields: &mut Fields, known: &Names) -> Option<Box<dyn Action>> {
        let status = fields.must(verb).and_then(|i| {
            if let crate::yaml::Node::Text(text) = i.node {
                let draft = i
                    .problem(format!("`{text}` is not a status"))
                    .label("write the number: `respond: 200`, and `text:` or `json:` below it");
                let lower = text.to_lowercase();
                let number = match lower.trim() {
                    "ok" | "success" => Some("200"),
                    "created" => Some("201"),
                    "accepted" => Some("202"),
                    "no content" => Some("204"),
                    "not found" => Some("404"),
                    other => other.split(' ').next().filter(|number| number.parse::<u16>().is_ok()),
                };
                match number {
                    Some(number) => draft.write(number).add(),
                    None => draft.add(),
                }
                return None;
            }
            i.whole(200, 599).map(|s| s as u16)
        });
        let headers = fields.may("headers").map(|i| read_headers(&i, known)).unwrap_or_default();
        let body = read_body_as(fields, known, &headers);
        if let (Some(204 | 205 | 304), false) = (status, matches!(body, None | Some(Body::Nothing))) {
            fields
                .key(verb)
                .warning("an answer with this status has no body, so what is below is not sent")
                .label("write `respond: 200`")
                .add();
        }
        Some(Box::new(Reply { status: status?, body: body?, headers }))
    }
}

/// The content of the response of a `respond` step or an address.
#[derive(Debug, Clone)]
pub enum Body {
    Nothing,
    Json(Data),
    Text(Template),
    Xml(Template),
}

/// Reads `json:`, `text:` or `xml:`.
pub fn read_body(fields: &mut Fields, known: &Names) -> Option<Body> {
    read_body_as(fields, known, &Headers::default())
}

/// The same, where the content type decides how values are made safe.
fn read_body_as(fields: &mut Fields, known: &Names, headers: &Headers) -> Option<Body> {
    let json = fields.may("json");
    let text = fields.may("text");
    let xml = fields.may("xml");
    let several: Vec<_> =
        [("json", &json), ("text", &text), ("xml", &xml)].into_iter().filter_map(|(n, i)| i.as_ref().map(|i| (n, i))).collect();
    if let [(first, _), (second, item), ..] = several.as_slice() {
        item.problem(format!("a response takes either `{first}:` or `{second}:`, not both")).at_key().label("remove one of them").add();
        return None;
    }
    let kind = headers.get("content-type");
    match (json, text, xml) {
        (Some(json), ..) => {
            doubt::json_text(&json);
            let data = Data::read(&json, Destination::Plain, known)?;
            if kind.and_then(Template::fixed).is_some_and(|kind| markup(kind) == Destination::Html) {
                json.problem("`json:` cannot be answered as HTML: values in it would be shown as a page")
                    .at_key()
                    .label("use `text:`, or another Content-Type")
                    .add();
                return None;
            }
            Some(Body::Json(data))
        }
        (_, Some(text), _) => read_text(&text, Destination::Plain, kind, known).map(Body::Text),
        (.., Some(xml)) => read_text(&xml, Destination::Xml, kind, known).map(Body::Xml),
        _ => Some(Body::Nothing),
    }
}

/// How values are made safe in text of a content type.
fn markup(content_type: &str) -> Destination {
    let kind = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    match kind.as_str() {
        "text/html" | "application/xhtml+xml" | "image/svg+xml" => Destination::Html,
        "text/xml" | "application/xml" => Destination::Xml,
        other if other.ends_with("+xml") => Destination::Xml,
        _ => Destination::Plain,
    }
}

/// Reads `text:` or `xml:`. How values in it are made safe has to be known when rules are loaded.
fn read_text(item: &Item, place: Destination, kind: Option<&Template>, known: &Names) -> Option<Template> {
    let Some(kind) = kind else { return Template::read(item, place, known) };
    if let Some(kind) = kind.fixed() {
        let place = if markup(kind) == Destination::Plain { place } else { markup(kind) };
        return Template::read(item, place, known);
    }
    let text = Template::read(item, place, known)?;
    if text.fixed().is_none() {
        item.problem("how values are made safe here depends on the Content-Type, which is a template")
            .at_key()
            .label("write the Content-Type without {{ }}")
            .add();
        return None;
    }
    Some(text)
}

struct Reply {
    status: u16,
    body: Body,
    headers: Headers,
}

impl Action for Reply {
    fn fields(&self) -> Vec<&Field> {
        let body = match &self.body {
            Body::Nothing => Vec::new(),
            Body::Json(data) => data.fields(),
            Body::Text(text) | Body::Xml(text) => text.fields().collect(),
        };
        self.headers.fields().chain(body).collect()
    }
    fn render(&self, scope: &Scope) -> Result<Box<dyn Effect>, Unrendered> {
        let mut headers = self.headers.render(scope)?;
        let typed = headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("content-type"));
        let mut kind = |kind: &str| {
            if !typed {
                headers.push(("content-type".into(), kind.into()));
            }
        };
        let body = match &self.body {
            Body::Nothing => Bytes::new(),
            Body::Json(data) => {
                kind("application/json");
                Bytes::from(data.json(scope)?)
            }
            Body::Text(text) => {
                kind("text/plain; charset=utf-8");
                Bytes::from(text.text(scope)?)
            }
            Body::Xml(xml) => {
                kind("application/xml");
                Bytes::from(xml.text(scope)?)
            }
        };
        Ok(Box::new(Replied(Answer { status: self.status, headers, body })))
    }
    fn answers(&self) -> bool {
        true
    }
}

struct Replied(Answer);

impl fmt::Display for Replied {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "respond  {}", self.0.status)?;
        for (name, value) in &self.0.headers {
            write!(f, "\n{name}: {value}")?;
        }
        if !self.0.body.is_empty() {
            write!(f, "\n{}", String::from_utf8_lossy(&self.0.body))?;
        }
        Ok(())
    }
}

impl Effect for Replied {
    fn bytes(&self) -> usize {
        self.0.body.len()
    }
    fn perform<'a>(self: Box<Self>, world: &'a World, context: AttemptContext) -> Performing<'a> {
        Box::pin(async move {
            let status = self.0.status;
            if context.is_called {
                let said = "nobody was answered, because another rule called this one".to_owned();
                return Outcome::Done(Success { said, ..Success::default() });
            }
            let told = match world.pending.answer(context.event, self.0.clone()) {
                true => said(status),
                false => said_too_late(status),
            };
            Outcome::Done(Success { said: told, answer: Some(self.0), ..Success::default() })
        })
    }
    fn view(&self) -> EffectView {
        body_view(EffectView::new("respond", self.0.status.to_string()), &self.0.headers, &self.0.body)
    }
}
