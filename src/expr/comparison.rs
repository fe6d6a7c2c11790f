//! The one rule for comparison, in conditions and templates: two numbers by value, everything else by its characters.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use crate::expr::number;
use crate::expr::spell::spell;

/// A value as text for comparison; lists and objects have none, null has its own word.
pub fn spelled(value: &Value) -> Option<Cow<'_, str>> {
    if value.is_null() { Some(Cow::Borrowed("null")) } else { spell(value) }
}

/// Compares two values: two numbers by value, everything else by its characters.
pub fn same(wanted: &Value, found: &Value, ignore_case: bool) -> bool {
    if let (Value::Number(a), Value::Number(b)) = (wanted, found) {
        return number::compare(&a.to_string(), &b.to_string()) == Some(Ordering::Equal);
    }
    if let Value::Array(any) = wanted {
        return any.iter().any(|w| same(w, found, ignore_case));
    }
    match (spelled(wanted), spelled(found)) {
        (Some(a), Some(b)) if ignore_case => a.to_lowercase() == b.to_lowercase(),
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

/// Compares as numbers; text that is a plain number counts as one.
pub fn compare(found: &Value, wanted: &Value) -> Option<Ordering> {
    let digits = |v: &Value| match v {
        Value::Number(n) => Some(n.to_string()),
        Value::String(s) if number::is_plain(s) => Some(s.clone()),
        _ => None,
    };
    number::compare(&digits(found)?, &digits(wanted)?)
}

/// Whether a value counts as true in a template: not missing, null, false, 0, or empty.
pub fn is_truthy(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Bool(b)) => *b,
        Some(Value::Number(n)) => number::compare(&n.to_string(), "0") != Some(Ordering::Equal),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(map)) => !map.is_empty(),
    }
}
