//! A YAML file with its line numbers: the only place that knows `serde_yaml`.
//!
//! A file is read twice, first for the kinds of its scalars, then for their spelling, because `serde_yaml` loses how a
//! number was written. Positions are not stored: they are looked up, by walking to the place again, only when a problem
//! has to be shown. The readers that use [`fields`] decide what the values mean.

pub mod duration;
pub mod fields;
pub mod layout;
mod lines;
pub mod locate;
mod nesting;
mod no_value;
mod pasted;
pub mod place;
pub mod reader;
pub mod size;
pub mod source;
mod syntax_errors;
mod unexpected;
mod unknown_keys;
mod written;

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, Visitor};

use crate::body::number_text;
use crate::problem::Problem;
use locate::{Path, PathStep};
use source::Source;

/// The maximum number of values in one rule file; aliases count where they are used.
const MAX_NODES: usize = 1_000_000;

/// One value of a YAML file, as it was written.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// No value.
    Empty,
    /// The word `null`.
    Null,
    Bool(bool),
    /// What JSON calls a number, exactly as written.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
    /// `{{ … }}` without quotes, which YAML reads as a map in a map.
    Braces,
    /// A `!word`, which YAML reads as a type.
    Tagged,
}

impl Node {
    /// The kind of value, with its article, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Node::Empty => "nothing",
            Node::Null => "null",
            Node::Bool(_) => "true or false",
            Node::Number(_) => "a number",
            Node::Text(_) => "text",
            Node::List(_) => "a list",
            Node::Map(_) => "a map of names and values",
            Node::Braces => "braces without quotes",
            Node::Tagged => "a `!` tag",
        }
    }

    /// Whether this is a map with such a key.
    pub fn has(&self, key: &str) -> bool {
        matches!(self, Node::Map(entries) if entries.iter().any(|(k, _)| k == key))
    }

    /// The value as JSON. `Empty` becomes null; braces and tags have been refused before.
    pub fn json(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Node::Empty | Node::Null | Node::Braces | Node::Tagged => Value::Null,
            Node::Bool(b) => Value::Bool(*b),
            Node::Number(n) => number_text::number(n).map_or_else(|| Value::String(n.clone()), Value::Number),
            Node::Text(t) => Value::String(t.clone()),
            Node::List(items) => Value::Array(items.iter().map(Node::json).collect()),
            Node::Map(entries) => Value::Object(entries.iter().map(|(k, v)| (k.clone(), v.json())).collect()),
        }
    }
}

impl Source {
    /// Parses the file, or explains in plain English why it is not valid YAML.
    pub fn read(&self) -> Result<Node, Box<Problem>> {
        if let Some(problem) = pasted::find(self) {
            return Err(Box::new(problem));
        }
        if let Some((line, column)) = nesting::too_deep(&self.text) {
            return Err(Box::new(syntax_errors::too_deep(self, line, column)));
        }
        let mut budget = MAX_NODES;
        let kinds = Kinds { budget: &mut budget };
        let mut node = kinds.deserialize(serde_yaml::Deserializer::from_str(&self.text)).map_err(|e| {
            let (line, column) = e.location().map_or((0, 0), |l| (l.line(), l.column()));
            Box::new(syntax_errors::explain(self, &e.to_string(), line, column))
        })?;
        // The second walk cannot fail if the first did not.
        let _ = Spelling(&mut node).deserialize(serde_yaml::Deserializer::from_str(&self.text));
        settle(&mut node);
        Ok(node)
    }
}

/// Finishes the second walk: until then, a scalar that is not text holds its spelling as a `Number`.
fn settle(node: &mut Node) {
    match node {
        Node::List(items) => items.iter_mut().for_each(settle),
        Node::Map(entries) => entries.iter_mut().for_each(|(_, v)| settle(v)),
        Node::Number(raw) => {
            *node = match raw.as_str() {
                "" => Node::Empty,
                "null" => Node::Null,
                "true" => Node::Bool(true),
                "false" => Node::Bool(false),
                r if is_json_number(r) => return,
                r => Node::Text(r.to_owned()),
            }
        }
        _ => {}
    }
}

/// Whether JSON would call this a number.
pub fn is_json_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) && serde_json::from_str::<serde_json::Number>(text).is_ok()
}

/// First walk: the kind of each value. Scalars that are not text wait, as `Number`, for their spelling.
struct Kinds<'b> {
    budget: &'b mut usize,
}

impl<'de> DeserializeSeed<'de> for Kinds<'_> {
    type Value = Node;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Node, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Kinds<'_> {
    type Value = Node;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Number(String::new()))
    }
    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Number(String::new()))
    }
    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Number(String::new()))
    }
    fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
        Ok(Node::Number(String::new()))
    }
    fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
        Ok(Node::Number(String::new()))
    }
    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Number(String::new()))
    }
    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Number(String::new()))
    }
    fn visit_str<E>(self, v: &str) -> Result<Node, E> {
        Ok(Node::Text(v.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Kinds { budget: spend(self.budget)? })? {
            items.push(item);
        }
        Ok(Node::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        let mut braces = false;
        while let Some(key) = map.next_key_seed(Kinds { budget: spend(self.budget)? })? {
            let value = map.next_value_seed(Kinds { budget: spend(self.budget)? })?;
            match key {
                Node::Text(text) => entries.push((text, value)),
                Node::Number(_) => entries.push((String::new(), value)),
                _ => braces = true,
            }
        }
        Ok(if braces { Node::Braces } else { Node::Map(entries) })
    }
    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Node, A::Error> {
        use serde::de::VariantAccess;
        let (_, variant) = data.variant::<serde::de::IgnoredAny>()?;
        let _ = variant.newtype_variant::<serde::de::IgnoredAny>();
        Ok(Node::Tagged)
    }
}

fn spend<E: serde::de::Error>(budget: &mut usize) -> Result<&mut usize, E> {
    *budget = budget.checked_sub(1).ok_or_else(|| E::custom("too many values in one file"))?;
    Ok(budget)
}

/// Second walk: the spelling of scalars (and keys) that are not text.
struct Spelling<'n>(&'n mut Node);

impl<'de> DeserializeSeed<'de> for Spelling<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        match self.0 {
            Node::Number(raw) => {
                *raw = d.deserialize_str(Raw)?;
                Ok(())
            }
            Node::List(_) => d.deserialize_seq(self),
            Node::Map(_) => d.deserialize_map(self),
            _ => serde::de::IgnoredAny::deserialize(d).map(drop),
        }
    }
}

impl<'de> Visitor<'de> for Spelling<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the same value again")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if let Node::List(items) = self.0 {
            for item in items {
                seq.next_element_seed(Spelling(item))?;
            }
        }
        while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if let Node::Map(entries) = self.0 {
            for (key, value) in entries {
                match map.next_key_seed(Raw)? {
                    Some(text) => *key = text,
                    None => return Ok(()),
                }
                map.next_value_seed(Spelling(value))?;
            }
        }
        while map.next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// The raw text of a scalar, no matter how YAML interprets it.
struct Raw;

impl<'de> DeserializeSeed<'de> for Raw {
    type Value = String;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<String, D::Error> {
        d.deserialize_str(self)
    }
}

impl Visitor<'_> for Raw {
    type Value = String;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a scalar")
    }
    fn visit_str<E>(self, v: &str) -> Result<String, E> {
        Ok(v.to_owned())
    }
    fn visit_unit<E>(self) -> Result<String, E> {
        Ok(String::new())
    }
}

/// The path of a key or value one level below `parent`.
pub fn below(parent: &Path, step: PathStep) -> Path {
    let mut path = parent.clone();
    path.push(step);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Node {
        Source::new("t.yaml", text.as_bytes().to_vec()).unwrap().read().unwrap()
    }

    #[test]
    fn scalars_are_read_as_in_json_and_everything_else_is_text() {
        let text =
            "[5, 1.10, -0, 1e3, 007, 0x1F, 1_000, 10:30, no, on, True, true, null, ~, 2024-01-01, '5', .5, 123456789012345678901234]";
        let Node::List(items) = read(text) else { panic!("not a list") };
        let number = |s: &str| Node::Number(s.into());
        let text = |s: &str| Node::Text(s.into());
        let expected = vec![
            number("5"),
            number("1.10"),
            number("-0"),
            number("1e3"),
            text("007"),
            text("0x1F"),
            text("1_000"),
            text("10:30"),
            text("no"),
            text("on"),
            text("True"),
            Node::Bool(true),
            Node::Null,
            text("~"),
            text("2024-01-01"),
            text("5"),
            text(".5"),
            number("123456789012345678901234"),
        ];
        assert_eq!(items, expected);
    }

    #[test]
    fn an_empty_value_is_not_null_and_keys_keep_their_spelling() {
        let expected = Node::Map(vec![
            ("1.10".into(), Node::Empty),
            ("007".into(), Node::Null),
            ("a".into(), Node::Map(vec![("true".into(), Node::Text("x".into()))])),
        ]);
        assert_eq!(read("1.10:\n007: null\na: { true: x }\n"), expected);
    }

    #[test]
    fn unquoted_braces_and_tags_are_recognized() {
        assert_eq!(read("a: {{ body.x }}\n"), Node::Map(vec![("a".into(), Node::Braces)]));
        assert_eq!(read("a: !important\n"), Node::Map(vec![("a".into(), Node::Tagged)]));
    }
}
