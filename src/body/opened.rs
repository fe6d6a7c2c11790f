//! JSON inside the text of JSON: some senders wrap what they have to say in an envelope of their own. Such an envelope is
//! recognised by its form, which nobody else uses, so that an event means the same when it is received, repeated and tested.
//!
//! Bodies are read only after their sender was verified, so this is never done for strangers.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::bytes::Regex;
use serde_json::Value;

use super::encoding::is_control;
use super::json::{json, looks_like_json};
use crate::body::walk::{MAX_VALUES, Walk};

/// The maximum nesting depth of what is inside; deeper text stays text.
const MAX_INSIDE: usize = 64;

/// How the text is written.
enum Spelling {
    Json,
    Base64,
}

/// An envelope: where its text is, and the fields by which it is recognised.
pub struct Envelope {
    pub text: &'static [&'static str],
    /// Each of these is text.
    pub marks: &'static [&'static [&'static str]],
    spelling: Spelling,
}

pub static ENVELOPES: [Envelope; 2] = [
    // AWS SNS.
    Envelope { text: &["Message"], marks: &[&["TopicArn"], &["MessageId"]], spelling: Spelling::Json },
    // Google Pub/Sub, which writes the id in two ways.
    Envelope { text: &["message", "data"], marks: &[&["subscription"], &["message", "messageId"]], spelling: Spelling::Base64 },
];

/// The names of Pub/Sub's envelope as they are in the bytes: Base64 does not show how many values are in it, so a body that
/// may have it is known by these before it is read.
static BASE64_MARKS: LazyLock<Vec<Regex>> =
    LazyLock::new(|| ["\"subscription\"", "\"messageId\""].iter().filter_map(|mark| Regex::new(mark).ok()).collect());

/// Whether a body may contain JSON in Base64.
pub(super) fn may_have_base64(raw: &[u8]) -> bool {
    BASE64_MARKS.iter().all(|mark| mark.is_match(raw))
}

/// Opens the envelopes of a body, which has this many bytes: JSON inside becomes an object or a list, and other text in
/// Base64 becomes text. Anything else stays as it is.
pub fn open(body: &mut Value, raw: &[u8]) {
    for envelope in &ENVELOPES {
        let is_text = |path: &&[&str]| at(body, path).is_some_and(Value::is_string);
        if !envelope.marks.iter().all(is_text) {
            continue;
        }
        // A value or name takes at least two bytes, so most bodies do not need counting. Of others, all is counted, even if only
        // parts were read.
        let left = match raw.len() <= MAX_VALUES * 2 {
            true => MAX_VALUES,
            false => MAX_VALUES.saturating_sub(walked(raw).unwrap_or_else(|| count(body))),
        };
        let inside = at(body, envelope.text).and_then(Value::as_str).and_then(|text| match envelope.spelling {
            Spelling::Json => inside(text, left),
            Spelling::Base64 if may_have_base64(raw) => {
                let text = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
                inside(&text, left).or_else(|| (!text.bytes().any(is_control)).then(|| text.into()))
            }
            Spelling::Base64 => None,
        });
        let place = envelope.text.iter().try_fold(&mut *body, |at, name| at.get_mut(*name));
        if let (Some(place), Some(inside)) = (place, inside) {
            *place = inside;
        }
    }
}

fn at<'v>(body: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(body, |at, name| at.as_object()?.get(*name))
}

/// An object or a list in some text, if it is within the limits.
fn inside(text: &str, left: usize) -> Option<Value> {
    if !looks_like_json(text) {
        return None;
    }
    let mut walk = Walk::new(text);
    let is_too_much = walk.skip().is_some() && walk.count() > left;
    let value = if is_too_much { None } else { json(text).ok() };
    value.filter(|v| is_flat(v, MAX_INSIDE) && count(v) <= left)
}

fn is_flat(value: &Value, most: usize) -> bool {
    match value {
        Value::Array(list) => most > 0 && list.iter().all(|v| is_flat(v, most - 1)),
        Value::Object(map) => most > 0 && map.values().all(|v| is_flat(v, most - 1)),
        _ => true,
    }
}

/// How many values and names some bytes have, if they are JSON.
fn walked(raw: &[u8]) -> Option<usize> {
    let mut walk = Walk::new(std::str::from_utf8(raw).ok()?);
    walk.skip().map(|_| walk.count())
}

/// How many values and names it has.
fn count(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(count).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(|v| 1 + count(v)).sum::<usize>(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn opened(body: &Value) -> Value {
        let (raw, mut body) = (body.to_string(), body.clone());
        open(&mut body, raw.as_bytes());
        body
    }

    fn notification(message: &str) -> Value {
        json!({"Type": "Notification", "MessageId": "1", "TopicArn": "arn:aws:sns:eu-west-1:1:a", "Message": message})
    }

    fn pushed(data: &[u8]) -> Value {
        json!({"message": {"data": STANDARD.encode(data), "messageId": "7"}, "subscription": "projects/p/subscriptions/s"})
    }

    #[test]
    fn json_in_an_envelope_is_opened() {
        let body = opened(&notification(r#"{"AlarmName": "disk full", "n": 1.10}"#));
        assert_eq!(body["Message"].to_string(), r#"{"AlarmName":"disk full","n":1.10}"#);
        assert_eq!(opened(&pushed(br#"[{"id": 1}]"#))["message"]["data"], json!([{"id": 1}]));
        assert_eq!(opened(&pushed("grüße\n".as_bytes()))["message"]["data"], json!("grüße\n"));
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        let without = |mut body: Value, name: &str| {
            body.as_object_mut().map(|o| o.remove(name));
            body
        };
        let deep = format!("{}{}", "[".repeat(MAX_INSIDE + 1), "]".repeat(MAX_INSIDE + 1));
        for body in [
            notification("hello"),
            notification("12345"),
            notification("{broken}"),
            notification(&deep),
            without(notification("{}"), "TopicArn"),
            without(pushed(b"{}"), "subscription"),
            pushed(b"\x89PNG\0"),
            json!({"Message": "{}"}),
            json!([notification("{}")]),
            json!({"message": {"data": "{}"}, "subscription": "x"}),
            json!("text"),
        ] {
            assert_eq!(opened(&body), body);
        }
        assert!(opened(&notification(&deep[1..deep.len() - 1]))["Message"].is_array());
    }

    #[test]
    fn what_is_inside_counts_as_part_of_the_body() {
        let list = |n: usize| format!("[{}0]", "0,".repeat(n - 1));
        // Four names and their values, the object, and the list with everything in it, instead of the text.
        let most = MAX_VALUES - 9 - 1;
        assert!(opened(&notification(&list(most)))["Message"].is_array());
        assert!(opened(&notification(&list(most + 2)))["Message"].is_string());
    }
}
