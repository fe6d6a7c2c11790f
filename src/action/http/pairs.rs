//! Names and values: `form:` and `query:`.

use serde_json::Value;

use crate::expr::field::Field;
use crate::expr::names::Names;
use crate::expr::scope::Scope;
use crate::expr::spell::spell;
use crate::expr::template::data::Data;
use crate::expr::template::{Destination, Unrendered};
use crate::yaml::Node;
use crate::yaml::fields::Item;

/// Compiled names and values.
#[derive(Default)]
pub(super) struct Pairs(Vec<(String, Data)>);

impl Pairs {
    pub(super) fn read(item: &Item, what: &'static str, known: &Names) -> Option<Self> {
        let entries = item.entries(what)?;
        let mut out = Vec::with_capacity(entries.len());
        for (name, value) in entries {
            if let Node::Map(_) = value.node {
                value.problem(format!("`{what}:` takes names and plain values")).label("to send nested values, use `json:`").add();
                return None;
            }
            out.push((name, Data::read(&value, Destination::Plain, known)?));
        }
        Some(Self(out))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = &Field> {
        self.0.iter().flat_map(|(_, data)| data.fields())
    }

    /// The values for one event: null is left out, and a list repeats its name.
    pub(super) fn render(&self, scope: &Scope) -> Result<Vec<(String, String)>, Unrendered> {
        let mut out = Vec::new();
        for (name, data) in &self.0 {
            let value = data.value(scope)?;
            match &value {
                Value::Null => {}
                Value::Array(list) => {
                    for v in list.iter().filter(|v| !v.is_null()) {
                        out.push((name.clone(), spell(v).map_or_else(|| v.to_string(), |t| t.into_owned())));
                    }
                }
                one => out.push((name.clone(), spell(one).map_or_else(|| one.to_string(), |t| t.into_owned()))),
            }
        }
        Ok(out)
    }
}

pub(super) fn encode(pairs: &[(String, String)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}
