//! `headers:` of a call or an answer.

use crate::expr::doubt;
use crate::expr::field::Field;
use crate::expr::names::Names;
use crate::expr::scope::Scope;
use crate::expr::template::{Destination, Template, Unrendered};
use crate::model::event::HOPS;
use crate::model::origin::AFTER_FAILURE;
use crate::yaml::fields::Item;
use crate::yaml::place::scalar;

/// Headers that Doorbell sets itself.
const OWN_HEADERS: [&str; 7] = ["host", "content-length", "transfer-encoding", "connection", "idempotency-key", HOPS, AFTER_FAILURE];

/// The compiled headers of a call or a response.
#[derive(Debug, Clone, Default)]
pub struct Headers(Vec<(String, Template)>);

impl Headers {
    /// The value of a header.
    pub fn get(&self, name: &str) -> Option<&Template> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Reports that `auth:` would be sent as well.
    pub(super) fn without_authorization(&self, item: &Item) {
        if self.get("authorization").is_some() {
            item.problem("`auth:` and the header Authorization are the same header").at_key().label("remove one of them").add();
        }
    }

    /// Reports that the content type says something else than `json:`.
    pub(super) fn is_json(&self, item: &Item) {
        let kind = self.get("content-type").and_then(Template::fixed).map(str::to_lowercase);
        if let Some(kind) = kind.filter(|kind| !kind.contains("json")) {
            let other =
                if kind.contains("form") { "use `form:` instead of `json:`" } else { "use `text:` with `type:` instead of `json:`" };
            item.warning(format!("the body is JSON, but the header says {kind}"))
                .at_key()
                .label(format!("remove the header, or {other}"))
                .add();
        }
    }

    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.0.iter().flat_map(|(_, template)| template.fields())
    }

    /// The headers for one event; a header whose only value is null is omitted.
    pub fn render(&self, scope: &Scope) -> Result<Vec<(String, String)>, Unrendered> {
        let mut out = Vec::with_capacity(self.0.len());
        for (name, template) in &self.0 {
            if template.is_lone() && template.value(scope)?.is_null() {
                continue;
            }
            out.push((name.clone(), template.text(scope)?));
        }
        Ok(out)
    }
}

/// Adds a header, unless there is one of this name.
pub(super) fn set(headers: &mut Vec<(String, String)>, name: &str, value: String) {
    if !headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)) {
        headers.push((name.to_owned(), value));
    }
}

/// Reports a secret in plain text, and a scheme that is written twice.
fn look(name: &str, template: &Template, item: &Item) {
    let lower = name.to_ascii_lowercase();
    let is_secret = ["authorization", "api-key", "apikey", "token", "secret", "password"].iter().any(|word| lower.ends_with(word));
    if is_secret && template.fixed().is_none_or(|text| text.len() >= 8) {
        doubt::always_secret(item, template.fixed());
    }
    let words: Vec<&str> = template.beginning().split_whitespace().collect();
    if let ("authorization", [first, second, ..]) = (lower.as_str(), words.as_slice())
        && first.eq_ignore_ascii_case(second)
        && let Some(text) = item.text()
    {
        let once = text.split_once(' ').map_or("", |(_, rest)| rest);
        item.problem(format!("the word `{first}` is written twice")).label("write it once").write(&scalar(once)).add();
    }
}

/// Reads `headers:`.
pub fn read_headers(item: &Item, known: &Names) -> Headers {
    let mut out = Vec::new();
    for (name, value) in item.entries("`headers:`").unwrap_or_default() {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)) {
            let fix = name.trim().trim_end_matches(':').replace([' ', '_'], "-");
            let draft = value.problem(format!("`{name}` is not a valid header name")).at_key().label("use letters, digits and dashes");
            draft.write(&fix).add();
            continue;
        }
        if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            value.problem(format!("Doorbell sets the header {name} itself")).at_key().label("remove it").add();
            continue;
        }
        if let Some(template) = Template::read(&value, Destination::Header, known) {
            if template.fixed().is_some_and(|t| t.contains(['\r', '\n'])) {
                value.problem("a header cannot contain a line break").label("write it on one line").add();
                continue;
            }
            look(&name, &template, &value);
            out.push((name, template));
        }
    }
    Headers(out)
}
