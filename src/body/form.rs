//! Forms (`application/x-www-form-urlencoded`), and what all forms have in common.

use std::borrow::Cow;

use encoding_rs::Encoding;
use percent_encoding::percent_decode;
use serde_json::{Map, Value};

use super::encoding::charset;
use super::form_names::FormTree;
use super::json::NotJson::{Broken, TooMany};
use super::json::{json, looks_like_json};
use super::limits::MAX_FORM_NAMES;

/// Fields in which senders put JSON: GitHub, Slack and Plex use one, Mandrill the other.
const JSON_FIELDS: [&str; 2] = ["payload", "mandrill_events"];
/// Fields in which a form names its own encoding: the one of HTML, and that of payment services.
const CHARSET_FIELDS: [&str; 2] = ["_charset_", "charset"];

/// Parses a form; the error is a sentence for the sender.
pub(super) fn read(content_type: Option<&str>, raw: &[u8]) -> Result<Value, String> {
    if has_too_many_fields(raw) {
        return Err(format!("The form has more than {MAX_FORM_NAMES} fields."));
    }
    let pairs: Vec<(Vec<u8>, Vec<u8>)> = raw.split(|b| *b == b'&').filter(|p| !p.is_empty()).map(pair).collect();
    let is_utf8 = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
    let encoding = charset(content_type).or_else(|| match pairs.iter().all(|(name, value)| is_utf8(name) && is_utf8(value)) {
        true => None,
        false => named_encoding(pairs.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))),
    });
    let decoded = |bytes: Vec<u8>| match encoding {
        Some(encoding) => encoding.decode_without_bom_handling(&bytes).0.into_owned(),
        None => String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()),
    };
    let fields = pairs.into_iter().map(|(name, value)| (decoded(name), decoded(value).into()));
    finished(FormTree::of(fields.collect()))
}

/// Whether a form has more fields than the limit.
pub fn has_too_many_fields(raw: &[u8]) -> bool {
    raw.iter().filter(|b| **b == b'&').count() >= MAX_FORM_NAMES
}

/// A name and a value, decoded to bytes.
fn pair(pair: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let at = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
    let decoded = |part: &[u8]| {
        let spaces: Vec<u8> = part.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
        match percent_decode(&spaces).into() {
            Cow::Owned(bytes) => bytes,
            Cow::Borrowed(_) => spaces,
        }
    };
    (decoded(&pair[..at]), decoded(pair.get(at + 1..).unwrap_or_default()))
}

/// The encoding that a form names in one of its own fields.
pub(super) fn named_encoding<'f>(fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone) -> Option<&'static Encoding> {
    CHARSET_FIELDS.iter().find_map(|wanted| {
        let (_, label) = fields.clone().find(|(name, _)| *name == wanted.as_bytes())?;
        Encoding::for_label(label)
    })
}

/// The value of a form, with the JSON that senders put into its fields. The error is a sentence for the sender.
pub(super) fn finished(mut fields: Map<String, Value>) -> Result<Value, String> {
    for name in JSON_FIELDS {
        let Some(Value::String(text)) = fields.get(name) else { continue };
        if !looks_like_json(text) {
            continue;
        }
        match json(text) {
            Ok(value) => fields[name] = value,
            Err(TooMany) => return Err(TooMany.sentence()),
            Err(Broken { .. }) => {}
        }
    }
    Ok(Value::Object(fields))
}
