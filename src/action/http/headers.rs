//! `headers:` of a call or an answer.

use crate::expr::field::Field;
use crate::expr::names::Names;
use crate::expr::scope::Scope;
use crate::expr::template::{Destination, Template, Unrendered};
use crate::model::event::HOPS;
use crate::yaml::fields::Item;

/// Headers that Doorbell sets itself.
const OWN_HEADERS: [&str; 6] = ["host", "content-length", "transfer-encoding", "connection", "idempotency-key", HOPS];

/// The compiled headers of a call or a response.
#[derive(Debug, Clone, Default)]
pub struct Headers(Vec<(String, Template)>);

impl Headers {
    /// The value of a header.
    pub fn get(&self, name: &str) -> Option<&Template> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
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

/// Reads `headers:`.
pub fn read_headers(item: &Item, known: &Names) -> Headers {
    let mut out = Vec::new();
    for (name, value) in item.entries("`headers:`").unwrap_or_default() {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)) {
            value.problem(format!("`{name}` is not a valid header name")).at_key().label("use letters, digits and dashes").add();
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
            out.push((name, template));
        }
    }
    Headers(out)
}
