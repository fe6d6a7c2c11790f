//! What some senders want to hear before they begin: a text of theirs sent back, or a token signed with the secret. It is
//! no event, and is answered only where the greeting itself was signed, or comes by a method that no event comes by.

use bytes::Bytes;
use ring::hmac;
use serde_json::{Map, Value};

use super::signed::Place;
use crate::request::Request;
use crate::run::Answer;
use crate::yaml::fields::Item;

/// The longest text that is sent back, in bytes.
const LONGEST: usize = 1_024;

/// When a request is a greeting, and how it is answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hello {
    /// The method of a greeting that nobody signs; nothing for one that is signed.
    unsigned: Option<String>,
    when: Vec<(Place, String)>,
    reply: Reply,
}

#[derive(Debug, Clone, PartialEq)]
enum Reply {
    /// 200, and nothing more.
    Nothing,
    /// The text that stands there.
    Text(Place),
    Json(Vec<(String, Part)>),
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Fixed(Value),
    At(Place),
    /// HMAC-SHA256 of the text that stands there, in hexadecimal.
    Signed(Place),
}

impl Hello {
    /// Reads `hello:` of a sender or a custom scheme.
    pub(super) fn read(item: &Item) -> Option<Self> {
        let place = |item: &Item, text: &str| {
            let place = Place::read(text);
            if place.is_none() {
                item.problem(format!("`{text}` is no place in a request"))
                    .label("write header:Name, query:name, form:name or json:/pointer")
                    .add();
            }
            place
        };
        let mut fields = item.fields("`hello:`")?;
        let unsigned = match fields.may("unsigned") {
            Some(method) => Some(method.text().filter(|m| matches!(m.as_str(), "GET" | "HEAD"))?),
            None => None,
        };
        let mut when = Vec::new();
        if let Some(conditions) = if unsigned.is_some() { fields.may("when") } else { fields.must("when") } {
            for (at, value) in conditions.entries("`when:`")? {
                when.push((place(&value, &at)?, value.text()?));
            }
        }
        let (text, json) = (fields.may("text"), fields.may("json"));
        fields.done(&[("reply", "write `text:` or `json:`")], &[]);
        let reply = match (text, json) {
            (Some(text), None) => Reply::Text(place(&text, &text.text()?)?),
            (None, Some(json)) => {
                let mut parts = Vec::new();
                for (name, value) in json.entries("`json:`")? {
                    let part = match value.node {
                        crate::yaml::Node::Text(text) => match text.strip_prefix("hmac:") {
                            Some(at) => Part::Signed(place(&value, at)?),
                            None => Part::At(place(&value, text)?),
                        },
                        node => Part::Fixed(node.json()),
                    };
                    parts.push((name, part));
                }
                Reply::Json(parts)
            }
            (None, None) if unsigned.is_some() => Reply::Nothing,
            _ => {
                item.problem("a greeting is answered with `text:` or with `json:`").label("write one of them").add();
                return None;
            }
        };
        Some(Self { unsigned, when, reply })
    }

    /// The method of greetings that nobody signs.
    pub(super) fn unsigned(&self) -> Option<&str> {
        self.unsigned.as_deref()
    }

    /// The answer, if this is a greeting. What it sends back is plain text that no browser takes for more.
    pub(super) fn answer(&self, request: &Request, key: &[u8]) -> Option<Answer> {
        let at = |place: &Place| place.find(request).ok().flatten().filter(|t| t.len() <= LONGEST);
        if self.unsigned.as_ref().is_some_and(|m| *m != request.method)
            || !self.when.iter().all(|(place, wanted)| at(place).as_deref() == Some(wanted))
        {
            return None;
        }
        let (kind, body) = match &self.reply {
            Reply::Nothing => return Some(Answer { status: 200, headers: Vec::new(), body: Bytes::new() }),
            Reply::Text(place) => ("text/plain; charset=utf-8", at(place)?),
            Reply::Json(parts) => {
                let mut map = Map::new();
                for (name, part) in parts {
                    let value = match part {
                        Part::Fixed(value) => value.clone(),
                        Part::At(place) => Value::from(at(place)?),
                        Part::Signed(place) => {
                            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), at(place)?.as_bytes());
                            Value::from(tag.as_ref().iter().map(|b| format!("{b:02x}")).collect::<String>())
                        }
                    };
                    map.insert(name.clone(), value);
                }
                ("application/json", Value::Object(map).to_string())
            }
        };
        let headers = vec![("content-type".into(), kind.into()), ("x-content-type-options".into(), "nosniff".into())];
        Some(Answer { status: 200, headers, body: Bytes::from(body) })
    }
}
