//! Converts a body's bytes to the value that rules see, by its content type.
//!
//! JSON, forms, XML and text are parsed; anything else is text. Parsing loses nothing: the raw bytes stay in the event.

mod json;
mod limits;
mod multipart;
pub mod packed;
pub mod walk;
mod xml;

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};
use serde_json::{Map, Value};

use crate::body::walk::MAX_VALUES;
use crate::model::budget::VALUE;
use crate::model::event::{Event, Unread, gather, pairs};
use json::NotJson::{Broken, TooMany};
use json::{json, looks_like_json, read_payload};
use limits::MAX_FORM_NAMES;

/// A body that does not match its content type.
#[derive(Debug, PartialEq)]
pub struct Malformed {
    /// What is wrong, for the sender, with line and column.
    pub why: String,
}

/// Whether a content type says that the body is JSON.
pub fn is_json(content_type: Option<&str>) -> bool {
    let kind = kind(content_type);
    kind == "application/json" || kind.ends_with("+json") || kind == "text/json"
}

fn kind(content_type: Option<&str>) -> String {
    content_type.unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

/// The encoding given by a content type, if it is not UTF-8.
pub fn charset(content_type: Option<&str>) -> Option<&'static Encoding> {
    let named = content_type?.split(';').skip(1).find_map(|p| {
        let (name, value) = p.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    })?;
    Encoding::for_label(named.as_bytes()).filter(|e| *e != UTF_8)
}

/// Decodes bytes as text: by their byte order mark, otherwise by the content type, otherwise as UTF-8.
fn text<'r>(content_type: Option<&str>, raw: &'r [u8]) -> Cow<'r, str> {
    charset(content_type).unwrap_or(UTF_8).decode(raw).0
}

/// Parses a body by its content type. An empty body is null.
pub fn read(content_type: Option<&str>, raw: &[u8]) -> Result<Value, Malformed> {
    if raw.is_empty() {
        return Ok(Value::Null);
    }
    let kind = kind(content_type);
    if is_json(content_type) {
        let decoded = charset(content_type).map(|e| e.decode(raw).0.into_owned().into_bytes());
        let raw = decoded.as_deref().unwrap_or(raw);
        return json(raw).map_err(|e| Malformed { why: e.sentence(raw) });
    }
    let form = kind == "application/x-www-form-urlencoded";
    if (form || kind.is_empty() || kind == "text/plain") && looks_like_json(raw) {
        // What `curl -d` and SNS send: JSON with a different content type. If it is not JSON, the content type applies.
        match json(raw) {
            Ok(value) => return Ok(value),
            Err(TooMany) => return Err(Malformed { why: TooMany.sentence(raw) }),
            Err(Broken(_)) => {}
        }
    }
    if form {
        return self::form(content_type, raw);
    }
    if kind == "multipart/form-data" {
        let why = |e: String| Malformed { why: format!("The body is declared as a form, but it cannot be read: {e}.") };
        return multipart::read(content_type.unwrap_or(""), raw).map_err(why);
    }
    if kind == "application/xml" || kind == "text/xml" || kind.ends_with("+xml") {
        let why = |e: String| Malformed { why: format!("The body is declared as XML, but it cannot be read: {e}.") };
        return xml::read(&xml_text(content_type, raw)).map_err(why);
    }
    Ok(Value::String(text(content_type, raw).into_owned()))
}

/// The maximum memory for a parsed body of this many bytes, no matter what it contains.
pub fn heaviest(bytes: usize) -> usize {
    bytes.saturating_mul(4) + VALUE * bytes.saturating_mul(2).min(MAX_VALUES)
}

/// The maximum memory for a parsed body, including its raw bytes: determined without parsing it.
pub fn weight_at_most(raw: &[u8]) -> usize {
    // Characters that precede a value or a name; in forms and XML, one of them may introduce both.
    let values = |b: &u8| match b {
        b',' | b':' | b'[' | b'{' => 1,
        b'<' | b'=' | b'&' => 2,
        _ => 0,
    };
    let values: usize = 3 + raw.iter().map(values).sum::<usize>();
    // An invalid byte is replaced by a character of three bytes.
    raw.len().saturating_mul(4) + VALUE * values.min(MAX_VALUES)
}

/// Parses the body of an event that was loaded from a store.
pub fn read_event(unread: Unread) -> Result<Event, Malformed> {
    let body = read(unread.event().content_type(), &unread.event().raw)?;
    Ok(unread.with_body(body))
}

/// XML declares its encoding in its first line if the content type does not.
fn xml_text<'r>(content_type: Option<&str>, raw: &'r [u8]) -> Cow<'r, str> {
    let said = || {
        let head = String::from_utf8_lossy(&raw[..raw.len().min(200)]).into_owned();
        let mut rest = head.split("encoding=").nth(1)?.chars();
        let quote = rest.next()?;
        Encoding::for_label(rest.as_str().split(quote).next()?.as_bytes())
    };
    charset(content_type).or_else(said).unwrap_or(UTF_8).decode(raw).0
}

/// Whether a form has more fields than the limit.
pub fn has_too_many_fields(raw: &[u8]) -> bool {
    raw.iter().filter(|b| **b == b'&').count() >= MAX_FORM_NAMES
}

fn form(content_type: Option<&str>, raw: &[u8]) -> Result<Value, Malformed> {
    if has_too_many_fields(raw) {
        return Err(Malformed { why: format!("The form has more than {MAX_FORM_NAMES} fields.") });
    }
    let mut fields = match charset(content_type) {
        None => pairs(raw),
        Some(encoding) => {
            let decoded = |part: &[u8]| {
                let spaces: Vec<u8> = part.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
                let bytes: Vec<u8> = percent_encoding::percent_decode(&spaces).collect();
                encoding.decode(&bytes).0.into_owned()
            };
            let mut all = Map::new();
            for pair in raw.split(|b| *b == b'&').filter(|p| !p.is_empty()) {
                let at = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
                gather(&mut all, &decoded(&pair[..at]), decoded(pair.get(at + 1..).unwrap_or_default()).into());
            }
            Value::Object(all)
        }
    };
    if let Some(fields) = fields.as_object_mut() {
        read_payload(fields).map_err(|why| Malformed { why })?;
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::limits::MAX_ATTRIBUTES;
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn bodies_are_read_by_their_content_type() {
        let form = Some("application/x-www-form-urlencoded");
        for (kind, raw, expected) in [
            (Some("application/json"), r#"{"a": 1.10}"#, serde_json::from_str(r#"{"a": 1.10}"#).unwrap()),
            (Some("application/vnd.x+json; charset=utf-8"), "[1]", json!([1])),
            (form, "a=1&a=2&b=x+y%21", json!({"a": ["1", "2"], "b": "x y!"})),
            (form, r#"{"a": 1}"#, json!({"a": 1})),
            (form, "payload=%7B%22a%22%3A1%7D&x=1", json!({"payload": {"a": 1}, "x": "1"})),
            (Some("text/plain"), "{not json}", json!("{not json}")),
            (Some("application/xml"), "<a><b>1</b></a>", json!({"a": {"b": "1"}})),
            (Some("text/plain"), "hello", json!("hello")),
            (None, "", json!(null)),
            (Some("application/json"), "", json!(null)),
        ] {
            assert_eq!(read(kind, raw.as_bytes()), Ok(expected), "{kind:?} {raw}");
        }
    }

    #[test]
    fn encodings_other_than_utf_8_are_read_if_they_are_declared() {
        for (kind, raw, expected) in [
            ("text/plain; charset=iso-8859-1", &b"Gr\xfc\xdfe"[..], json!("Grüße")),
            ("application/json; charset=\"windows-1252\"", b"{\"a\": \"\x80\"}", json!({"a": "€"})),
            ("application/x-www-form-urlencoded; charset=ISO-8859-1", b"a=%FC+b&c=\xdf", json!({"a": "ü b", "c": "ß"})),
            ("text/xml", b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xfc</a>", json!({"a": "ü"})),
            // Without quotes, no encoding is declared.
            ("text/xml", "<a>encoding=€€</a>".as_bytes(), json!({"a": "encoding=€€"})),
            ("text/xml", b"<a>encoding=</a>", json!({"a": "encoding="})),
            ("text/plain", b"\xff\xfeh\0i\0", json!("hi")),
        ] {
            assert_eq!(read(Some(kind), raw), Ok(expected), "{kind}");
        }
    }

    #[test]
    fn a_body_with_a_million_values_is_read_and_a_larger_one_is_not() {
        let list = |n: usize| format!("[{}0]", "0,".repeat(n - 1));
        let why = "The body has more than 1000000 values and names; send less at a time.";
        for kind in ["application/json", "text/plain", "application/x-www-form-urlencoded"] {
            assert!(read(Some(kind), list(MAX_VALUES - 1).as_bytes()).is_ok_and(|v| v.is_array()), "{kind}");
            assert_eq!(read(Some(kind), list(MAX_VALUES).as_bytes()).unwrap_err().why, why, "{kind}");
        }
        let form = format!("payload={}", list(MAX_VALUES));
        assert_eq!(read(Some("application/x-www-form-urlencoded"), form.as_bytes()).unwrap_err().why, why);
        let xml = |elements: usize| format!("<a>{}</a>", "<b/>".repeat(elements));
        assert!(read(Some("text/xml"), xml(MAX_VALUES / 2 - 1).as_bytes()).is_ok());
        assert!(read(Some("text/xml"), xml(MAX_VALUES / 2).as_bytes()).unwrap_err().why.contains("more than 1000000 values and names"));
        let attributes = |n: usize| format!("<a {}/>", (0..n).map(|n| format!("a{n}='' ")).collect::<String>());
        assert!(read(Some("text/xml"), attributes(MAX_ATTRIBUTES).as_bytes()).is_ok());
        assert!(read(Some("text/xml"), attributes(MAX_ATTRIBUTES + 1).as_bytes()).unwrap_err().why.contains("more than 1000 attributes"));
    }

    proptest! {
        #[test]
        fn the_weight_of_a_body_is_never_underestimated(
            json in "[\\[\\]{},:\"0-9a-cé ]{0,40}",
            items in proptest::collection::vec(("[a-c]{1,3}", "[a-cé]{0,3}"), 0..12),
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..40),
        ) {
            let object: Map<String, Value> = items.iter().map(|(n, v)| (n.clone(), serde_json::json!([[], {}, v, 1, {"a": v}]))).collect();
            let pairs: Vec<String> = items.iter().map(|(n, v)| if v.is_empty() { n.clone() } else { format!("{n}={v}") }).collect();
            let tags: String = items.iter().map(|(n, v)| format!("<{n} x='{v}'>{v}<y/>{v}</{n}>")).collect();
            for (kind, raw) in [
                ("application/json", json.into_bytes()),
                ("application/json", Value::from(object).to_string().into_bytes()),
                ("application/x-www-form-urlencoded", pairs.join("&").into_bytes()),
                ("text/xml", format!("<r>{tags}</r>").into_bytes()),
                ("text/plain", bytes),
            ] {
                if let Ok(value) = read(Some(kind), &raw) {
                    let weight = raw.len() + crate::model::budget::weight(&value);
                    prop_assert!(weight <= weight_at_most(&raw), "{weight} of {kind}: {}", String::from_utf8_lossy(&raw));
                }
            }
        }
    }

    #[test]
    fn invalid_json_is_reported_with_its_place() {
        let why = read(Some("application/json"), b"{\"a\":\n x}").unwrap_err().why;
        assert_eq!(why, "The body is declared as JSON, but it cannot be read: expected value, at line 2 column 2.");
        let why = read(Some("application/json"), b"{\"a\":\"\xff\"}").unwrap_err().why;
        assert_eq!(why, "The body is declared as JSON, but it is not UTF-8 text.");
    }
}
