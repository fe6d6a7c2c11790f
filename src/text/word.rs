//! A word of the rule language as editors and docs show it: its name, what may follow it, and one line about it.
//!
//! The lists of words are defined next to the code that reads them; a test checks that the reader knows the same ones.

use serde_json::{Map, Value, json};

/// One key of a map in a rule file.
#[derive(Debug, Clone, Copy)]
pub struct Word {
    pub name: &'static str,
    pub shape: Shape,
    /// One line, without a full stop.
    pub does: &'static str,
}

/// What may follow a word.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    Any,
    /// Text, or a number or true/false taken as it is spelled.
    Text,
    /// A field, without braces.
    Field,
    Flag,
    Whole(u64, u64),
    /// A whole number and its unit.
    Duration,
    /// One of these words.
    One(&'static [&'static str]),
    /// Names and values chosen by the author.
    Map,
    /// A list, or a single value in its place.
    List,
    /// What is defined under this name.
    Of(&'static str),
    /// One of these, or a list of them.
    OneOrMany(&'static str),
    ListOf(&'static str),
    /// Names chosen by the author, each with what is defined here.
    MapOf(&'static str),
    /// One of several shapes.
    Either(&'static [Shape]),
}

impl Shape {
    fn schema(self) -> Value {
        let of = |name: &str| json!({ "$ref": format!("#/definitions/{name}") });
        match self {
            Shape::Any => json!({}),
            Shape::Text | Shape::Field => json!({ "type": ["string", "number", "boolean"] }),
            Shape::Flag => json!({ "type": "boolean" }),
            Shape::Whole(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
            Shape::Duration => json!({ "type": "string", "pattern": "^[0-9]+ (milliseconds?|seconds?|minutes?|hours?|days?)$" }),
            Shape::One(words) => json!({ "enum": words }),
            Shape::Map => json!({ "type": "object" }),
            Shape::List => json!({ "type": ["array", "string", "number"] }),
            Shape::Of(name) => of(name),
            Shape::OneOrMany(name) => json!({ "anyOf": [of(name), { "type": "array", "items": of(name) }] }),
            Shape::ListOf(name) => json!({ "type": "array", "items": of(name), "minItems": 1 }),
            Shape::MapOf(name) => json!({ "type": "object", "additionalProperties": of(name) }),
            Shape::Either(shapes) => json!({ "anyOf": shapes.iter().map(|s| s.schema()).collect::<Vec<_>>() }),
        }
    }
}

impl Word {
    /// The word as a property of a JSON Schema (draft 7); the text is what an editor shows.
    pub fn schema(&self) -> Value {
        let mut schema = self.shape.schema();
        // In draft 7, anything next to `$ref` is ignored.
        if schema.get("$ref").is_some() {
            schema = json!({ "allOf": [schema] });
        }
        schema["description"] = self.does.into();
        schema
    }
}

/// A map with these words and no others.
pub fn map(words: &[&[Word]], required: &[&str]) -> Value {
    let properties: Map<String, Value> = words.iter().flat_map(|w| w.iter()).map(|w| (w.name.to_owned(), w.schema())).collect();
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}
