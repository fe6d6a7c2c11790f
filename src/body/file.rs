//! Bytes that are no text: the value that rules see is a file with `name` (if it has one), `size`, `type` and `base64`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// The type of bytes that nothing is known about.
const UNKNOWN: &str = "application/octet-stream";

/// A file as rules see it.
pub(super) fn file(name: Option<String>, kind: Option<&str>, bytes: &[u8]) -> Value {
    let mut all = Map::new();
    if let Some(name) = name {
        all.insert("name".into(), name.into());
    }
    all.insert("size".into(), bytes.len().into());
    all.insert("type".into(), kind.filter(|k| !k.trim().is_empty()).unwrap_or(UNKNOWN).into());
    all.insert("base64".into(), STANDARD.encode(bytes).into());
    Value::Object(all)
}
