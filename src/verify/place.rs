//! Where in a request something stands: `header:Name`, `query:name`, `form:name` or `json:/pointer` (RFC 6901), or several
//! with ` | ` between, of which the first that is there counts.

use serde_json::Value;

use crate::body::has_too_many_fields;
use crate::body::walk;
use crate::model::event::pairs;
use crate::model::request::Request;
use crate::secret::STRUCK;

/// One or several places, the first that is there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Location(Vec<(Source, String)>);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Source {
    Header,
    Query,
    Form,
    Json,
}

/// How people are told what can be written.
pub(super) const FORMS: &str = "write header:Name, query:name, form:name or json:/pointer";

impl Location {
    pub(super) fn read(text: &str) -> Option<Self> {
        let one = |part: &str| {
            let (kind, name) = part.trim().split_once(':')?;
            let kind = match kind {
                "header" => Source::Header,
                "query" => Source::Query,
                "form" => Source::Form,
                "json" if name.starts_with('/') => Source::Json,
                _ => return None,
            };
            (!name.is_empty()).then(|| (kind, name.to_owned()))
        };
        text.split(" | ").map(one).collect::<Option<Vec<_>>>().map(Self)
    }

    /// What stands there; nothing if it is missing. The error is for the operator.
    pub(super) fn find(&self, request: &Request) -> Result<Option<String>, String> {
        for (kind, name) in &self.0 {
            let found = match kind {
                Source::Header if !request.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)) => None,
                Source::Header => Some(request.only_header(name)?.trim().to_owned()),
                Source::Query => only(&pairs(request.query.as_bytes()), name)?,
                Source::Form if has_too_many_fields(&request.body) => return Err("the form has too many fields".into()),
                Source::Form => only(&pairs(&request.body), name)?,
                // Whoever sent it has not proved itself yet, so nothing else is built of it.
                Source::Json => walk::single_at(&request.body, name).as_ref().and_then(spelled),
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Strikes out what stands there, in headers and behind the ?; a body stays as it came.
    pub(super) fn strike(&self, request: &mut Request) {
        for (kind, name) in &self.0 {
            match kind {
                Source::Header => {
                    request.headers.iter_mut().filter(|(n, _)| n.eq_ignore_ascii_case(name)).for_each(|(_, v)| *v = STRUCK.to_owned());
                }
                Source::Query => {
                    let is_it = |pair: &&str| form_urlencoded::parse(pair.as_bytes()).next().is_some_and(|(n, _)| n == *name);
                    let struck = |pair: &str| if is_it(&pair) { format!("{name}={STRUCK}") } else { pair.to_owned() };
                    request.query = request.query.split('&').map(struck).collect::<Vec<_>>().join("&");
                }
                Source::Form | Source::Json => {}
            }
        }
    }

    /// Writes a text where the first of the places is.
    #[cfg(test)]
    pub(super) fn put(&self, request: &mut Request, text: &str) {
        let (kind, name) = &self.0[0];
        let pair = || form_urlencoded::Serializer::new(String::new()).append_pair(name, text).finish();
        let joined = |before: &str| if before.is_empty() { pair() } else { format!("{before}&{}", pair()) };
        match kind {
            Source::Header => request.headers.push((name.to_ascii_lowercase(), text.to_owned())),
            Source::Query => request.query = joined(&request.query),
            Source::Form => request.body = joined(&String::from_utf8_lossy(&request.body)).into(),
            Source::Json => {
                // A body that holds no names is another one then.
                let mut body: Value = serde_json::from_slice(&request.body).ok().filter(Value::is_object).unwrap_or_default();
                let mut at = &mut body;
                for part in name.split('/').skip(1) {
                    at = &mut at[part];
                }
                *at = text.into();
                request.body = body.to_string().into();
            }
        }
    }

    /// `the header X-Signature`.
    pub(super) fn words(&self) -> String {
        let one = |(kind, name): &(Source, String)| match kind {
            Source::Header => format!("the header {name}"),
            Source::Query => format!("the query parameter {name}"),
            Source::Form => format!("the form's field {name}"),
            Source::Json => format!("{name} in the body"),
        };
        self.0.iter().map(one).collect::<Vec<_>>().join(" or ")
    }

    /// The same place in the words of a rule's fields: `header.X-Id`, `body.data.id`.
    pub(super) fn field(&self) -> Option<String> {
        let [(kind, name)] = self.0.as_slice() else { return None };
        Some(match kind {
            Source::Header => format!("header.{name}"),
            Source::Query => format!("query.{name}"),
            Source::Form => format!("body.{name}"),
            Source::Json => name.split('/').skip(1).fold("body".to_owned(), |out, part| match part.parse::<usize>() {
                Ok(n) => format!("{out}[{n}]"),
                Err(_) => format!("{out}.{}", part.replace("~1", "/").replace("~0", "~")),
            }),
        })
    }
}

/// A value as a text that can be compared; nothing for what has parts.
pub(super) fn spelled(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}

/// A form's or a query's value; one that came twice with different values is refused.
fn only(all: &Value, name: &str) -> Result<Option<String>, String> {
    match all.get(name) {
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Array(many)) if many.iter().all(|v| *v == many[0]) => Ok(spelled(&many[0])),
        Some(_) => Err(format!("{name} was sent twice")),
        None => Ok(None),
    }
}
