//! What a call sends in its body: JSON, a form, a form with files, text or XML.

use std::fmt;

use serde_json::{Map, Value};

use super::headers::Headers;
use super::multipart::{self, Multipart};
use super::pairs::{Pairs, encode};
use crate::action::contract::{EffectView, body_view};
use crate::action::files::attached::Attached;
use crate::expr::doubt;
use crate::expr::field::Field;
use crate::expr::names::Names;
use crate::expr::scope::Scope;
use crate::expr::template::data::Data;
use crate::expr::template::{Destination, Template, Unrendered};
use crate::model::event::gather;
use crate::yaml::Node;
use crate::yaml::fields::{Fields, Item};

/// A compiled body.
pub(super) enum Body {
    None,
    Json(Data),
    Form(Pairs),
    Multipart(Pairs, Vec<(String, Attached)>),
    Text(Template, String),
}

impl Body {
    pub(super) fn read(verb: &str, fields: &mut Fields, headers: Option<&Headers>, known: &Names) -> Option<Self> {
        let (json, form, text, xml) = (fields.may("json"), fields.may("form"), fields.may("text"), fields.may("xml"));
        let (files, kind) = (fields.may("files"), fields.may("type"));
        let several: Vec<&Item> = [&json, &form, &text, &xml].into_iter().flatten().collect();
        if several.len() > 1 {
            several[1].problem("a call sends only one of `json:`, `form:`, `text:` and `xml:`").at_key().label("remove the others").add();
            return None;
        }
        if let (Some(body), "get") = (several.first().copied().or(files.as_ref()), verb) {
            body.problem("`get` does not send a body").at_key().label("put the values under `query:`, or use `post`").add();
            return None;
        }
        let is_multipart = kind.as_ref().is_some_and(|kind| kind.text().is_some_and(|kind| kind == multipart::KIND));
        if let Some(files) = files.as_ref().filter(|_| json.is_some() || text.is_some() || xml.is_some()) {
            files.problem("files are sent as a form").at_key().label("write the other values under `form:`").add();
            return None;
        }
        if files.is_some() || is_multipart && form.is_some() {
            if headers.is_some_and(|headers| headers.get("content-type").is_some()) {
                let draft = fields.key("headers").problem("a form with files sets the Content-Type itself");
                draft.label("remove the header Content-Type").add();
            }
            if let Some(kind) = kind.as_ref().filter(|_| !is_multipart) {
                kind.problem("a form with files sets its type itself").at_key().label("remove it").add();
            }
            let pairs = form.map_or(Some(Pairs::default()), |item| Pairs::read(&item, "form", known));
            let files = files.map_or(Some(Vec::new()), |item| read_files(&item, known));
            return Some(Body::Multipart(pairs?, files?));
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
            return Pairs::read(&item, "form", known).map(Body::Form);
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

    pub(super) fn fields(&self) -> Vec<&Field> {
        match self {
            Body::None => Vec::new(),
            Body::Json(data) => data.fields(),
            Body::Form(pairs) => pairs.fields().collect(),
            Body::Multipart(pairs, files) => pairs.fields().chain(files.iter().flat_map(|(_, file)| file.fields())).collect(),
            Body::Text(text, _) => text.fields().collect(),
        }
    }

    /// The body for one event, and its content type.
    pub(super) fn render(&self, scope: &Scope) -> Result<(Sent, &str), Unrendered> {
        Ok(match self {
            Body::None => (Sent::Bytes(Vec::new()), ""),
            Body::Json(data) => (Sent::Bytes(data.json(scope)?.into_bytes()), "application/json"),
            Body::Form(pairs) => (Sent::Bytes(encode(&pairs.render(scope)?).into_bytes()), "application/x-www-form-urlencoded"),
            Body::Multipart(pairs, files) => {
                let fields = pairs.render(scope)?;
                let files = files.iter().map(|(name, file)| Ok((name.clone(), file.render(scope)?))).collect::<Result<_, Unrendered>>()?;
                (Sent::Multipart(Multipart { fields, files }), multipart::KIND)
            }
            Body::Text(text, kind) => (Sent::Bytes(text.text(scope)?.into_bytes()), kind),
        })
    }
}

/// Reads `files:`.
fn read_files(item: &Item, known: &Names) -> Option<Vec<(String, Attached)>> {
    if let Node::Text(_) | Node::List(_) = item.node {
        item.problem("`files:` takes the names of the form's fields").label("write for example files: { photo: cat.jpg }").add();
        return None;
    }
    let entries = item.entries("`files:`")?;
    let read: Vec<_> = entries.into_iter().map(|(name, value)| Some((name, Attached::read_all(&value, known)?))).collect();
    let all = read.into_iter().collect::<Option<Vec<_>>>()?;
    Some(all.into_iter().flat_map(|(name, files)| files.into_iter().map(move |file| (name.clone(), file))).collect())
}

/// The body of a call, for one event.
pub(super) enum Sent {
    Bytes(Vec<u8>),
    Multipart(Multipart),
}

impl Sent {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Sent::Bytes(bytes) if bytes.is_empty())
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Sent::Bytes(bytes) => bytes.len(),
            Sent::Multipart(form) => form.bytes(),
        }
    }

    /// In the form that tests compare.
    pub(super) fn view(&self, seen: EffectView, headers: &[(String, String)]) -> EffectView {
        let form = match self {
            Sent::Bytes(bytes) => return body_view(seen, headers, bytes),
            Sent::Multipart(form) => form,
        };
        let (mut fields, mut files) = (Map::new(), Map::new());
        form.fields.iter().for_each(|(name, value)| gather(&mut fields, name, value.as_str().into()));
        form.files.iter().for_each(|(name, file)| gather(&mut files, name, file.view()));
        body_view(seen, headers, &[]).with("form", Value::Object(fields)).with("files", Value::Object(files))
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Sent::Bytes(bytes) if bytes.is_empty() => Ok(()),
            Sent::Bytes(bytes) => write!(f, "\n{}", String::from_utf8_lossy(bytes)),
            Sent::Multipart(form) => {
                form.fields.iter().try_for_each(|(name, value)| write!(f, "\n{name}: {value}"))?;
                form.files.iter().try_for_each(|(name, file)| write!(f, "\n{name}: {}", file.shown()))
            }
        }
    }
}
