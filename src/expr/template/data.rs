//! A tree of values whose strings are templates: the content of `json:`, `columns:`, `form:` and `query:`.
//!
//! The tree is built value by value, so that no quote or line break in a payload can break what is sent. A string that is
//! exactly one `{{ }}` keeps the type of its value.

use serde_json::{Map, Value};

use super::{Destination, Template, Unrendered};
use crate::expr::doubt;
use crate::expr::field::{Field, Values};
use crate::expr::names::Names;
use crate::yaml::Node;
use crate::yaml::fields::Item;

/// A compiled tree of values.
#[derive(Debug, Clone)]
pub enum Data {
    Fixed(Value),
    Template(Template),
    List(Vec<Data>),
    Map(Vec<(String, Data)>),
}

impl Data {
    /// Parses the values of an item.
    pub fn read(item: &Item, place: Destination, known: &Names) -> Option<Self> {
        match item.node {
            Node::Text(text) => match text.contains("{{") || text.contains("}}") || text.contains("{%") {
                true => Template::parse(text, item, place, known).map(Data::Template),
                false => {
                    if place != Destination::File {
                        doubt::text(item, text, known);
                    }
                    doubt::secret(item, text);
                    item.text().map(|t| Data::Fixed(Value::String(t)))
                }
            },
            Node::List(_) => {
                let items: Vec<_> = item.items("a list")?.iter().map(|i| Self::read(i, place, known)).collect();
                items.into_iter().collect::<Option<_>>().map(Data::List)
            }
            Node::Map(_) => {
                let entries: Vec<_> = item.entries("this")?.into_iter().map(|(k, i)| Self::entry(k, &i, place, known)).collect();
                entries.into_iter().collect::<Option<_>>().map(Data::Map)
            }
            Node::Empty | Node::Braces | Node::Tagged => {
                item.expected("a value");
                None
            }
            node => Some(Data::Fixed(node.json())),
        }
    }

    fn entry(key: String, item: &Item, place: Destination, known: &Names) -> Option<(String, Data)> {
        if key.contains("{{") {
            item.problem("a name cannot be a template").at_key().label("use {{ … }} only in values").add();
            return None;
        }
        Some((key, Self::read(item, place, known)?))
    }

    /// Whether it is exactly one call whose result is a date.
    pub fn gives_date(&self) -> bool {
        matches!(self, Data::Template(template) if template.gives_date())
    }

    /// The field, if it is exactly one `{{ field }}`.
    pub fn lone_field(&self) -> Option<&Field> {
        if let Data::Template(template) = self { template.lone_field() } else { None }
    }

    /// The values for one event.
    pub fn value(&self, names: &dyn Values) -> Result<Value, Unrendered> {
        Ok(match self {
            Data::Fixed(value) => value.clone(),
            Data::Template(template) => template.value(names)?,
            Data::List(items) => Value::Array(items.iter().map(|i| i.value(names)).collect::<Result<_, _>>()?),
            Data::Map(entries) => {
                let mut map = Map::with_capacity(entries.len());
                for (key, data) in entries {
                    map.insert(key.clone(), data.value(names)?);
                }
                Value::Object(map)
            }
        })
    }

    /// The values for one event, as JSON text.
    pub fn json(&self, names: &dyn Values) -> Result<String, Unrendered> {
        let value = self.value(names)?;
        let path = || self.template().map(|t| t.path().clone()).unwrap_or_default();
        names.budget().json(&value).map_err(|spent| Unrendered { message: spent.to_string(), path: path() })
    }

    /// The first template in it.
    fn template(&self) -> Option<&Template> {
        match self {
            Data::Fixed(_) => None,
            Data::Template(template) => Some(template),
            Data::List(items) => items.iter().find_map(Data::template),
            Data::Map(entries) => entries.iter().find_map(|(_, d)| d.template()),
        }
    }

    /// Every field that it uses.
    pub fn fields(&self) -> Vec<&Field> {
        match self {
            Data::Fixed(_) => Vec::new(),
            Data::Template(template) => template.fields().collect(),
            Data::List(items) => items.iter().flat_map(Data::fields).collect(),
            Data::Map(entries) => entries.iter().flat_map(|(_, d)| d.fields()).collect(),
        }
    }
}
