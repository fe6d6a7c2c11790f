//! A place in a request: `header:Name`, `query:name`, `form:name` or `json:/pointer` (RFC 6901), or several separated by
//! ` | `; the first one that exists counts.

use serde_json::Value;

use crate::body::has_too_many_fields;
use crate::body::walk;
use crate::expr::field::part::PathPart;
use crate::expr::field::{Field, Root};
use crate::model::event::pairs;
use crate::model::request::Request;
use crate::secret::STRUCK;

/// One or more places; the first one that exists counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Location(Vec<(Source, String)>);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Source {
    Header,
    Query,
    Form,
    Json,
}

/// What separates several places, or several fields, of which the first one that exists counts.
pub const OR: &str = " | ";
/// The possible forms, for messages.
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
        text.split(OR).map(one).collect::<Option<Vec<_>>>().map(Self)
    }

    pub(super) fn header(name: &str) -> Self {
        Self(vec![(Source::Header, name.to_owned())])
    }

    /// The header that is looked at first, if it is a header.
    pub(super) fn header_name(&self) -> Option<&str> {
        match self.0.first()? {
            (Source::Header, name) => Some(name),
            _ => None,
        }
    }

    /// Whether a field of a rule shows the value at this place, in a header or in the query.
    pub(super) fn is_shown_by(&self, field: &Field) -> bool {
        self.0.iter().any(|(kind, name)| match (kind, &field.root, field.parts().first()) {
            (Source::Header, Root::Header(Some(header)), _) => header.eq_ignore_ascii_case(name),
            (Source::Query, Root::Query, Some(PathPart::Name(parameter))) => parameter == name,
            _ => false,
        })
    }

    /// The value at this place; `None` if it is missing. The error is for the operator.
    pub(super) fn find(&self, request: &Request) -> Result<Option<String>, String> {
        for (kind, name) in &self.0 {
            let found = match kind {
                Source::Header if !request.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)) => None,
                Source::Header => Some(request.only_header(name)?.trim().to_owned()),
                Source::Query => only(&pairs(request.query.as_bytes()), name)?,
                Source::Form if has_too_many_fields(&request.body) => return Err("the form has too many fields".into()),
                Source::Form => only(&pairs(&request.body), name)?,
                // The sender is not verified yet, so nothing else is built from the body.
                Source::Json => walk::single_at(&request.body, name).as_ref().and_then(spelled),
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Redacts the value in headers and in the query; a body stays as received.
    pub(super) fn strike(&self, request: &mut Request) {
        for (kind, name) in &self.0 {
            match kind {
                Source::Header => {
                    request.headers.iter_mut().filter(|(n, _)| n.eq_ignore_ascii_case(name)).for_each(|(_, v)| *v = STRUCK.to_owned());
                }
                Source::Query => {
                    let is_it = |pair: &&str| form_urlencoded::parse(pair.as_bytes()).next().is_some_and(|(n, _)| n == *name);
                    let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
                    let struck = |pair: &str| if is_it(&pair) { format!("{}={STRUCK}", name(pair)) } else { pair.to_owned() };
                    request.query = request.query.split('&').map(struck).collect::<Vec<_>>().join("&");
                }
                Source::Form | Source::Json => {}
            }
        }
    }

    /// Writes text at the first of the places.
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
                // A body that is not an object is replaced by one.
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
    pub(super) fn description(&self) -> String {
        let one = |(kind, name): &(Source, String)| match kind {
            Source::Header => format!("the header {name}"),
            Source::Query => format!("the query parameter {name}"),
            Source::Form => format!("the form's field {name}"),
            Source::Json => format!("{name} in the body"),
        };
        self.0.iter().map(one).collect::<Vec<_>>().join(" or ")
    }

    /// The same places as fields of a rule: `header.X-Id`, `body.data.id | body.id`.
    pub(super) fn field(&self) -> String {
        let one = |(kind, name): &(Source, String)| match kind {
            Source::Header => format!("header.{name}"),
            Source::Query => format!("query.{name}"),
            Source::Form => format!("body.{name}"),
            Source::Json => name.split('/').skip(1).fold("body".to_owned(), |out, part| match part.parse::<usize>() {
                Ok(n) => format!("{out}[{n}]"),
                Err(_) => format!("{out}.{}", part.replace("~1", "/").replace("~0", "~")),
            }),
        };
        self.0.iter().map(one).collect::<Vec<_>>().join(OR)
    }
}

/// A value as text that can be compared; `None` for lists and maps.
pub(super) fn spelled(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}

/// A value of a form or a query; one that is repeated with different values is an error.
fn only(all: &Value, name: &str) -> Result<Option<String>, String> {
    match all.get(name) {
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Array(many)) if many.iter().all(|v| *v == many[0]) => Ok(spelled(&many[0])),
        Some(_) => Err(format!("{name} was sent twice")),
        None => Ok(None),
    }
}
