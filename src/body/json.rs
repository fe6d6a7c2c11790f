//! JSON in a body: with its own content type, with a different one, or in a field of a form. The callers check the
//! content type.

use NotJson::{Broken, TooMany};
use serde_json::{Map, Value};

use crate::body::walk::{MAX_VALUES, Walk};

/// GitHub, Slack and Plex send JSON in a single form field with this name.
pub(super) fn read_payload(fields: &mut Map<String, Value>) -> Result<(), String> {
    if let Some(Value::String(text)) = fields.get("payload")
        && looks_like_json(text.as_bytes())
    {
        match json(text.as_bytes()) {
            Ok(value) => fields["payload"] = value,
            Err(TooMany) => return Err(TooMany.sentence(text.as_bytes())),
            Err(Broken(_)) => {}
        }
    }
    Ok(())
}

/// Why some JSON text was not parsed.
pub(super) enum NotJson {
    TooMany,
    Broken(serde_json::Error),
}

pub(super) fn json(raw: &[u8]) -> Result<Value, NotJson> {
    let raw = raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(raw);
    // A value or name takes at least two bytes, so most text does not need counting.
    if raw.len() > MAX_VALUES * 2 && std::str::from_utf8(raw).is_ok_and(|text| Walk::new(text).has_too_many()) {
        return Err(TooMany);
    }
    serde_json::from_slice(raw).map_err(Broken)
}

pub(super) fn looks_like_json(raw: &[u8]) -> bool {
    let first = raw.iter().find(|b| !b.is_ascii_whitespace());
    let last = raw.iter().rfind(|b| !b.is_ascii_whitespace());
    matches!((first, last), (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')))
}

impl NotJson {
    /// The parser's error, as a sentence for the sender's developer.
    pub(super) fn sentence(&self, raw: &[u8]) -> String {
        let Broken(error) = self else {
            return format!("The body has more than {MAX_VALUES} values and names; send less at a time.");
        };
        let text = error.to_string();
        let what = text.split(" at line ").next().unwrap_or(&text);
        if std::str::from_utf8(raw).is_err() {
            return "The body is declared as JSON, but it is not UTF-8 text.".to_owned();
        }
        format!("The body is declared as JSON, but it cannot be read: {what}, at line {} column {}.", error.line(), error.column())
    }
}
