//! Converts a single value to text, wherever that is needed. `template` makes the text safe for its destination.

use std::borrow::Cow;

use serde_json::Value;

/// A single value as text: null is empty, numbers are written as received. Lists and objects have no text.
pub fn spell(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => Some(Cow::Borrowed("")),
        Value::Bool(b) => Some(Cow::Borrowed(if *b { "true" } else { "false" })),
        Value::Number(n) => Some(Cow::Owned(n.to_string())),
        Value::String(s) => Some(Cow::Borrowed(s)),
        Value::Array(_) | Value::Object(_) => None,
    }
}
