//! The spelling of a single value, wherever one becomes text. What is safe where the text goes is left to `template`.

use std::borrow::Cow;

use serde_json::Value;

/// A single value as text: null is nothing, numbers are spelled as they came. Lists and objects have no spelling.
pub fn spell(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => Some(Cow::Borrowed("")),
        Value::Bool(b) => Some(Cow::Borrowed(if *b { "true" } else { "false" })),
        Value::Number(n) => Some(Cow::Owned(n.to_string())),
        Value::String(s) => Some(Cow::Borrowed(s)),
        Value::Array(_) | Value::Object(_) => None,
    }
}
