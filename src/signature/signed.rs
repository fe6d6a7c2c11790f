//! Where in a request a part of a signature stands, and what is signed: the two small languages of a scheme.
//!
//! A place is `header:Name`, `query:name`, `form:name` or `json:/pointer` (RFC 6901), or several with ` | ` between, of which
//! the first that is there counts. What is signed is a text with such places, `{body}`, `{ts}`, `{url}` and others in braces.

use serde_json::Value;

use crate::event::pairs;
use crate::request::Request;

/// One or several places, the first that is there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place(Vec<(Kind, String)>);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Header,
    Query,
    Form,
    Json,
}

impl Place {
    pub(super) fn read(text: &str) -> Option<Self> {
        let one = |part: &str| {
            let (kind, name) = part.trim().split_once(':')?;
            let kind = match kind {
                "header" => Kind::Header,
                "query" => Kind::Query,
                "form" => Kind::Form,
                "json" if name.starts_with('/') => Kind::Json,
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
                Kind::Header if !request.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)) => None,
                Kind::Header => Some(request.only_header(name)?.trim().to_owned()),
                Kind::Query => only(&pairs(request.query.as_bytes()), name)?,
                Kind::Form => only(&pairs(&request.body), name)?,
                Kind::Json => {
                    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
                    match body.pointer(name) {
                        Some(Value::String(text)) => Some(text.clone()),
                        Some(Value::Number(n)) => Some(n.to_string()),
                        _ => None,
                    }
                }
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// `the header X-Signature`.
    pub(super) fn words(&self) -> String {
        let one = |(kind, name): &(Kind, String)| match kind {
            Kind::Header => format!("the header {name}"),
            Kind::Query => format!("`{name}` behind the ?"),
            Kind::Form => format!("the form's field {name}"),
            Kind::Json => format!("{name} in the body"),
        };
        self.0.iter().map(one).collect::<Vec<_>>().join(" or ")
    }
}

/// A form's or a query's value; one that came twice with different values is refused.
fn only(all: &Value, name: &str) -> Result<Option<String>, String> {
    match all.get(name) {
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("{name} came twice")),
        None => Ok(None),
    }
}

/// What is signed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Signed(Vec<Part>);

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Body,
    Time,
    Method,
    /// The address as the sender knows it: the public address, the path and what stands behind the ?.
    Url,
    PathAndQuery,
    /// A form's names and values, sorted by name.
    SortedForm,
    /// SHA-256 of the body, in hexadecimal.
    BodyHash,
    Secret,
    At(Place),
}

impl Signed {
    /// Reads a template; the error is what is not known in it.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            if start > 0 {
                parts.push(Part::Text(rest[..start].replace("\\n", "\n")));
            }
            let Some(end) = rest[start..].find('}') else { return Err(rest[start..].to_owned()) };
            let name = &rest[start + 1..start + end];
            parts.push(match name {
                "body" => Part::Body,
                "ts" => Part::Time,
                "method" => Part::Method,
                "url" => Part::Url,
                "path_and_query" => Part::PathAndQuery,
                "form_sorted" => Part::SortedForm,
                "sha256_hex(body)" => Part::BodyHash,
                "secret" => Part::Secret,
                other => Part::At(Place::read(other).ok_or_else(|| format!("{{{other}}}"))?),
            });
            rest = &rest[start + end + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.replace("\\n", "\n")));
        }
        Ok(Self(parts))
    }

    /// Whether Doorbell must know its own address for it.
    pub(super) fn needs_url(&self) -> bool {
        self.0.contains(&Part::Url)
    }

    /// Whether the time is part of it.
    pub(super) fn has_time(&self) -> bool {
        self.0.contains(&Part::Time)
    }

    /// The bytes that were signed.
    pub(super) fn bytes(&self, request: &Request, time: Option<&str>, secret: &str, public_url: Option<&str>) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        let target = || match request.query.as_str() {
            "" => request.target.clone(),
            query => format!("{}?{query}", request.target),
        };
        for part in &self.0 {
            match part {
                Part::Text(text) => out.extend(text.as_bytes()),
                Part::Body => out.extend_from_slice(&request.body),
                Part::Time => out.extend(time.ok_or("the time of the signature is missing")?.as_bytes()),
                Part::Method => out.extend(request.method.as_bytes()),
                Part::Url => {
                    let base = public_url.ok_or("the address's `public_url` is not known")?;
                    out.extend(format!("{}{}", base.trim_end_matches('/'), target()).into_bytes());
                }
                Part::PathAndQuery => out.extend(target().into_bytes()),
                Part::SortedForm => {
                    let mut fields: Vec<(String, String)> = form_urlencoded::parse(&request.body).into_owned().collect();
                    fields.sort();
                    fields.dedup();
                    fields.iter().for_each(|(name, value)| out.extend(format!("{name}{value}").into_bytes()));
                }
                Part::BodyHash => out.extend(crate::run::hash(&request.body).into_bytes()),
                Part::Secret => out.extend(secret.as_bytes()),
                Part::At(place) => {
                    let found = place.find(request)?.ok_or_else(|| format!("{} is missing", place.words()))?;
                    out.extend(found.into_bytes());
                }
            }
        }
        Ok(out)
    }
}
