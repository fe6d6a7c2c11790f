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
    /// The same, with text that matches this pattern. It must not reject what the reader takes.
    Matching(&'static str),
    /// Text that matches this pattern, and nothing that is a number or true/false.
    Spelled(&'static str),
    /// A field, without braces.
    Field,
    /// Text without `{{ }}`, or one `{{ field }}`, that matches this pattern.
    Compared(&'static str),
    /// A status, or a range of them.
    Status,
    Flag,
    Whole(u64, u64),
    /// A whole number and its unit.
    Duration,
    /// One of these words.
    One(&'static [&'static str]),
    /// Names and values chosen by the author.
    Map,
    /// The same, with names that match this pattern.
    MapNamed(&'static str),
    /// A list, or a single value in its place.
    List,
    /// One of these, or a list of at least so many of them.
    Each(u8, &'static Shape),
    /// A list of two of these.
    Two(&'static Shape),
    /// What is defined under this name.
    Of(&'static str),
    /// One of these, or a list of them.
    OneOrMany(&'static str),
    ListOf(&'static str),
    /// Names chosen by the author, each with what is defined here.
    MapOf(&'static str),
    /// The same, with names that match this pattern.
    MapOfNamed(&'static str, &'static str),
    /// One of several shapes.
    Either(&'static [Shape]),
}

/// A field: JSONPath, or names with dots. What is in brackets is up to the reader.
pub const FIELD: &str = r#"^(\$([.\[][\s\S]*)?|(?![0-9])[^\s$\[\]{}()<>/\\=|:,;'"]+(\[[\s\S]*)?)$"#;
/// Text without `{{`, or one pair of braces and nothing else.
const COMPARED: &str = r"^((?!\{\{)[\s\S])*$|^\s*\{\{\{?((?!\}\})[\s\S])*\}\}\}?\s*$";
/// A name that authors choose.
pub const NAME: &str = r"^[^\s0-9.{}()\[\]/\\<>=|:,;'\x22$@#%&*+!?~-][^\s.{}()\[\]/\\<>=|:,;'\x22$@#%&*+!?~]*$";
/// The name of a header.
pub const HEADER: &str = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";

impl Shape {
    /// Whether a field can be written here as it is, without braces.
    pub fn is_field(self) -> bool {
        match self {
            Shape::Field => true,
            Shape::Either(shapes) => shapes.iter().any(|shape| shape.is_field()),
            _ => false,
        }
    }

    pub fn schema(self) -> Value {
        let of = |name: &str| json!({ "$ref": format!("#/definitions/{name}") });
        match self {
            Shape::Any => json!({}),
            Shape::Text => json!({ "type": ["string", "number", "boolean"] }),
            Shape::Matching(pattern) => json!({ "type": ["string", "number", "boolean"], "pattern": pattern }),
            Shape::Spelled(pattern) => json!({ "type": "string", "pattern": pattern }),
            Shape::Field => Shape::Spelled(FIELD).schema(),
            Shape::Compared(pattern) => {
                json!({ "type": ["string", "number", "boolean", "null"], "allOf": [{ "pattern": COMPARED }, { "pattern": pattern }] })
            }
            Shape::Status => {
                let range = "^\\s*[1-5][0-9]{2}\\s*(-\\s*[1-5][0-9]{2}\\s*)?$";
                json!({ "anyOf": [{ "type": "integer", "minimum": 100, "maximum": 599 }, { "type": "string", "pattern": range }] })
            }
            Shape::Flag => json!({ "type": "boolean" }),
            Shape::Whole(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
            Shape::Duration => {
                let unit = "(millisecond|second|minute|hour|day)";
                json!({ "type": "string", "pattern": format!("^(0*1 {unit}|(0*[02-9]|[0-9]*[1-9][0-9]+) {unit}s)$") })
            }
            Shape::One(words) => json!({ "enum": words }),
            Shape::Map => json!({ "type": "object" }),
            Shape::MapNamed(pattern) => json!({ "type": "object", "propertyNames": { "pattern": pattern } }),
            Shape::Each(least, shape) => {
                json!({ "anyOf": [shape.schema(), { "type": "array", "items": shape.schema(), "minItems": least }] })
            }
            Shape::Two(shape) => json!({ "type": "array", "items": shape.schema(), "minItems": 2, "maxItems": 2 }),
            Shape::List => json!({ "type": ["array", "string", "number"] }),
            Shape::Of(name) => of(name),
            Shape::OneOrMany(name) => json!({ "anyOf": [of(name), { "type": "array", "items": of(name), "minItems": 1 }] }),
            Shape::ListOf(name) => json!({ "type": "array", "items": of(name), "minItems": 1 }),
            Shape::MapOf(name) => json!({ "type": "object", "additionalProperties": of(name) }),
            Shape::MapOfNamed(pattern, name) => {
                json!({ "type": "object", "additionalProperties": of(name), "propertyNames": { "pattern": pattern } })
            }
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
