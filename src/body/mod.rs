//! Converts a body's bytes to the value that rules see.
//!
//! The content type says how a body is meant, and the body itself is looked at, too: an object or a list is JSON under any
//! type that may be text, and bytes that are no text are a file. Parsing loses nothing: the raw bytes stay in the event.

mod disposition;
mod encoding;
mod file;
mod form;
pub mod form_names;
mod json;
mod limits;
mod multipart;
pub mod number_text;
pub mod opened;
pub mod packed;
pub mod walk;
mod xml;

use std::borrow::Cow;

use serde_json::Value;

use crate::body::walk::MAX_VALUES;
use crate::model::budget::VALUE;
use crate::model::event::{Event, Unread};
use encoding::{charset, is_control, is_file, kind, plain, xml_text};
pub use form::has_too_many_fields;
use json::NotJson::{Broken, TooMany};
use json::{NotJson, json, json_lines, looks_like_json, looks_like_lines};

/// A body that does not match its content type.
#[derive(Debug, PartialEq)]
pub struct Malformed {
    /// What is wrong, for the sender, with line and column.
    pub why: String,
}

impl From<NotJson> for Malformed {
    fn from(error: NotJson) -> Self {
        Self { why: error.sentence() }
    }
}

/// Whether a content type says that the body is JSON.
pub fn is_json(content_type: Option<&str>) -> bool {
    let kind = kind(content_type);
    kind == "application/json" || kind.ends_with("+json") || kind == "text/json"
}

/// Whether a body may be read in parts: it is declared as JSON, in UTF-8.
pub fn has_parts(content_type: Option<&str>) -> bool {
    is_json(content_type) && charset(content_type).is_none()
}

/// Types of JSON with one value on each line.
const LINES: [&str; 8] = ["x-ndjson", "ndjson", "jsonl", "x-jsonl", "jsonlines", "x-jsonlines", "json-lines", "json-seq"];

/// The text of a body, exactly as it was received.
pub fn text<'r>(content_type: Option<&str>, raw: &'r [u8]) -> Cow<'r, str> {
    encoding::text(content_type, raw)
}

/// Parses the body of a message with these headers, whose names are in lower case. An empty body is null.
pub fn read_headed(headers: &[(String, String)], raw: &[u8]) -> Result<Value, Malformed> {
    let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    // A file as the whole body has its name in a header.
    let name = header("content-disposition").and_then(|value| disposition::disposition(value.as_bytes()).file);
    read_named(header("content-type"), name, raw)
}

/// Parses a body by its content type. An empty body is null.
pub fn read(content_type: Option<&str>, raw: &[u8]) -> Result<Value, Malformed> {
    read_named(content_type, None, raw)
}

fn read_named(content_type: Option<&str>, name: Option<String>, raw: &[u8]) -> Result<Value, Malformed> {
    if raw.is_empty() {
        return Ok(Value::Null);
    }
    let mut body = match by_type(content_type, raw)? {
        Some(body) => body,
        None => return Ok(file::file(name, content_type, raw)),
    };
    opened::open(&mut body, raw);
    Ok(body)
}

/// `None` for a file: bytes that are no text.
fn by_type(content_type: Option<&str>, raw: &[u8]) -> Result<Option<Value>, Malformed> {
    let kind = kind(content_type);
    let text = || encoding::text(content_type, raw);
    if is_json(content_type) {
        return declared_json(&text()).map(Some);
    }
    if kind.strip_prefix("application/").is_some_and(|k| LINES.contains(&k)) {
        return declared_lines(&text()).map(Some);
    }
    if kind == "multipart/form-data" {
        let why = |e: String| Malformed { why: format!("The body is declared as a form, but it cannot be read: {e}.") };
        return multipart::read(content_type.unwrap_or(""), raw).map(Some).map_err(why);
    }
    if kind == "application/xml" || kind == "text/xml" || kind.ends_with("+xml") {
        let why = |e: String| Malformed { why: format!("The body is declared as XML, but it cannot be read: {e}.") };
        return xml::read(&xml_text(content_type, raw)).map(Some).map_err(why);
    }
    if is_file(&kind) {
        return Ok(None);
    }
    if let Some(found) = looked_at(content_type, &kind, raw)? {
        return Ok(Some(found));
    }
    if kind == FORM {
        // A file that a tool has labelled as a form, as curl does unless told otherwise.
        let is_file = raw.iter().any(|b| is_control(*b));
        return if is_file { Ok(None) } else { form::read(content_type, raw).map(Some).map_err(|why| Malformed { why }) };
    }
    Ok(plain(content_type, raw).map(|text| text.into_owned().into()))
}

const FORM: &str = "application/x-www-form-urlencoded";

fn declared_json(text: &str) -> Result<Value, Malformed> {
    json(text).or_else(|error| match &error {
        Broken { .. } if looks_like_lines(text) => Ok(json_lines(text)?),
        _ => Err(error.into()),
    })
}

fn declared_lines(text: &str) -> Result<Value, Malformed> {
    json_lines(text).or_else(|error| match &error {
        // One value over several lines.
        Broken { .. } => Ok(json(text).map_err(|_| error)?),
        TooMany => Err(error.into()),
    })
}

/// What a body is by its content, whatever its type: what `curl -d` and SNS send has a different one, or none.
fn looked_at(content_type: Option<&str>, kind: &str, raw: &[u8]) -> Result<Option<Value>, Malformed> {
    let text = encoding::text(content_type, raw);
    if looks_like_json(&text) {
        match json(&text) {
            Ok(value) => return Ok(Some(value)),
            Err(TooMany) => return Err(TooMany.into()),
            Err(Broken { .. }) if looks_like_lines(&text) => match json_lines(&text) {
                Ok(value) => return Ok(Some(value)),
                Err(TooMany) => return Err(TooMany.into()),
                Err(Broken { .. }) => {}
            },
            Err(Broken { .. }) => {}
        }
    }
    // A page is text, even if it happens to be well-formed.
    if kind != "text/html" && looks_like_xml(&text) {
        return Ok(xml::read(&xml_text(content_type, raw)).ok());
    }
    Ok(None)
}

/// Whether some text is a document: it begins with a declaration or an element, and ends with one.
fn looks_like_xml(text: &str) -> bool {
    let text = text.trim();
    let inside = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
    inside.is_some_and(|t| t.starts_with("?xml") || t.starts_with(|c: char| c.is_alphabetic() || c == '_'))
}

/// The values and names of a file.
const FILE: usize = 9;

/// The maximum memory for a parsed body of this many bytes, no matter what it contains.
pub fn heaviest(bytes: usize) -> usize {
    bytes.saturating_mul(4) + VALUE * (FILE + bytes.saturating_mul(2)).min(MAX_VALUES)
}

/// The maximum memory for a parsed body, including its raw bytes: determined without parsing it.
pub fn weight_at_most(raw: &[u8]) -> usize {
    // Characters that precede a value or a name; in forms, XML and the heads of files, one of them may introduce several. An
    // escape may stand for any of them.
    let values = |b: &u8| match b {
        b',' | b':' | b'{' | b'\\' | b'\n' => 1,
        b'<' | b'=' | b'&' | b'[' | b'%' => 2,
        b';' => 3,
        _ => 0,
    };
    let packed = if opened::may_have_base64(raw) { raw.len() / 2 } else { 0 };
    let values: usize = FILE + packed + raw.iter().map(values).sum::<usize>();
    // An invalid byte is replaced by a character of three bytes.
    raw.len().saturating_mul(4) + VALUE * values.min(MAX_VALUES)
}

/// Parses the body of an event that was loaded from a store.
pub fn read_event(unread: Unread) -> Result<Event, Malformed> {
    let body = read_headed(&unread.event().headers, &unread.event().raw)?;
    Ok(unread.with_body(body))
}

#[cfg(test)]
mod tests {
    use super::limits::MAX_ATTRIBUTES;
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, json};

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
    fn a_body_is_read_by_what_it_is_under_any_type_that_may_be_text() {
        let kinds = [
            None,
            Some(""),
            Some("text/plain; charset=utf-8"),
            Some("text/csv"),
            Some("application/javascript"),
            Some("application/octet-stream"),
            Some("application/csp-report"),
            Some("application/x-www-form-urlencoded"),
        ];
        for kind in kinds {
            for (raw, expected) in [
                (&b" {\"a\": 1}\n"[..], json!({"a": 1})),
                (b"\xef\xbb\xbf[1]", json!([1])),
                (b"{\"a\": 1}\r\n{\"a\": 2}\r\n", json!([{"a": 1}, {"a": 2}])),
                (b"{\"a\": \"\xff\"}", json!({"a": "\u{fffd}"})),
                (b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xfc</a>", json!({"a": "ü"})),
                (b"<a><b>1</b></a>\n", json!({"a": {"b": "1"}})),
            ] {
                assert_eq!(read(kind, raw), Ok(expected), "{kind:?} {}", String::from_utf8_lossy(raw));
            }
            if kind != Some(FORM) {
                for text in ["12345", "true", "\"a\"", "{a}\n{b}", "<a>", "<3", "a < b > c", "[1, 2] and {3}", "{\"a\": 1}\n2"] {
                    assert_eq!(read(kind, text.as_bytes()), Ok(json!(text)), "{kind:?}");
                }
            }
        }
        let page = "<html><p>x</p></html>";
        assert_eq!(read(Some("text/html"), page.as_bytes()), Ok(json!(page)));
    }

    #[test]
    fn json_is_read_whatever_it_is_called() {
        let two = json!([{"a": 1}, {"a": 2}]);
        for (kind, raw, expected) in [
            ("application/json", &b"{\"a\": \"thanks \\ud83d\"}"[..], json!({"a": "thanks \u{fffd}"})),
            ("application/json", b"{\"a\": \"\xe9\", \"b\": 1}", json!({"a": "\u{fffd}", "b": 1})),
            ("application/json", b"\xff\xfe[\x001\0]\0", json!([1])),
            ("application/json", b"12345", json!(12345)),
            ("application/json", b"{\"a\":1}\n{\"a\":2}", two.clone()),
            ("application/x-ndjson", b"{\"a\":1}\n{\"a\":2}\n", two.clone()),
            ("application/jsonl", b"{\"a\":1}\n", json!([{"a": 1}])),
            ("application/x-ndjson", b"{\n\"a\":1}", json!({"a": 1})),
            ("application/json-seq", b"\x1e{\"a\":1}\n\x1e{\"a\":2}\n", two),
        ] {
            assert_eq!(read(Some(kind), raw), Ok(expected), "{kind} {}", String::from_utf8_lossy(raw));
        }
        assert!(read(Some("application/json"), b"{\"a\":1} x").is_err());
    }

    #[test]
    fn bytes_that_are_no_text_are_a_file() {
        let file = |kind: &str, size: usize, base64: &str| json!({"size": size, "type": kind, "base64": base64});
        for (kind, raw, expected) in [
            (Some("application/pdf"), &b"%PDF-1.4"[..], file("application/pdf", 8, "JVBERi0xLjQ=")),
            (Some("image/png"), b"\x89PNG", file("image/png", 4, "iVBORw==")),
            (Some("application/x-thing"), b"\0\x01", file("application/x-thing", 2, "AAE=")),
            (None, b"\xff\xd8", file("application/octet-stream", 2, "/9g=")),
            (Some(FORM), b"%PDF\0\xff", file(FORM, 6, "JVBERgD/")),
            // Whoever says that it is text, means text.
            (Some("text/plain"), b"Gr\xfc\xdfe", json!("Gr\u{fffd}\u{fffd}e")),
            (Some("image/svg+xml"), b"<svg/>", json!({"svg": null})),
        ] {
            assert_eq!(read(kind, raw), Ok(expected), "{kind:?}");
        }
        let headers = |value: &str| [("content-disposition".to_owned(), value.to_owned())];
        let named = read_headed(&headers("attachment; filename*=utf-8''%C3%A9.bin"), b"\xff").unwrap();
        assert_eq!(named, json!({"name": "é.bin", "size": 1, "type": "application/octet-stream", "base64": "/w=="}));
        assert_eq!(read_headed(&headers("attachment; filename=a.json"), b"{}"), Ok(json!({})));
    }

    #[test]
    fn a_form_may_name_its_encoding_and_nest_its_names() {
        for (raw, expected) in [
            ("charset=windows-1252&name=Jos%E9", json!({"charset": "windows-1252", "name": "José"})),
            ("_charset_=windows-1252&name=%80+%E9", json!({"_charset_": "windows-1252", "name": "€ é"})),
            // What is UTF-8 is read as UTF-8, and an encoding that does not exist changes nothing.
            ("charset=windows-1252&name=Jos%C3%A9", json!({"charset": "windows-1252", "name": "José"})),
            ("charset=EUR&name=Jos%E9", json!({"charset": "EUR", "name": "Jos\u{fffd}"})),
            ("data%5Bmerges%5D%5BEMAIL%5D=a%40b&tags[]=x", json!({"data": {"merges": {"EMAIL": "a@b"}}, "tags": ["x"]})),
            ("mandrill_events=%5B%7B%22event%22%3A%22send%22%7D%5D", json!({"mandrill_events": [{"event": "send"}]})),
        ] {
            assert_eq!(read(Some(FORM), raw.as_bytes()), Ok(expected), "{raw}");
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
            form in "(a|b|\\[|\\]|%5B|%5D|=|&|payload=|%7B%7D|%2C|\\[\\]=){0,40}",
            escapes in "(\\\\\\\\u00(5b|5d|2c)|\\[|\\]|0|,){0,40}",
        ) {
            let object: Map<String, Value> = items.iter().map(|(n, v)| (n.clone(), serde_json::json!([[], {}, v, 1, {"a": v}]))).collect();
            let pairs: Vec<String> = items.iter().map(|(n, v)| if v.is_empty() { n.clone() } else { format!("{n}={v}") }).collect();
            let part = |(n, v): &(String, String)| {
                let file = if v.is_empty() { "" } else { "; filename=a" };
                format!("--x\nContent-Disposition:form-data; name=\"{n}[{v}]\"{file}\n\n{v}\n")
            };
            let parts: String = items.iter().map(part).collect();
            let pushed = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &json);
            let tags: String = items.iter().map(|(n, v)| format!("<{n} x='{v}'>{v}<y/>{v}</{n}>")).collect();
            for (kind, raw) in [
                ("application/json", json.into_bytes()),
                ("application/json", Value::from(object).to_string().into_bytes()),
                ("application/x-www-form-urlencoded", pairs.join("&").into_bytes()),
                ("text/xml", format!("<r>{tags}</r>").into_bytes()),
                ("text/plain", bytes.clone()),
                ("image/png", bytes),
                ("application/x-www-form-urlencoded", form.into_bytes()),
                ("application/x-ndjson", "[]\n".repeat(items.len() * 9).into_bytes()),
                ("multipart/form-data; boundary=x", format!("{parts}--x--").into_bytes()),
                ("text/plain", format!("{{\"TopicArn\":\"\",\"MessageId\":\"\",\"Message\":\"[{}]\"}}", escapes.replace("\\\\", "\\")).into_bytes()),
                ("application/json", format!("{{\"message\":{{\"data\":\"{pushed}\",\"messageId\":\"\"}},\"subscription\":\"\"}}").into_bytes()),
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
        let why = read(Some("application/x-ndjson"), b"{}\n[1\n").unwrap_err().why;
        assert_eq!(why, "The body is declared as JSON, but it cannot be read: EOF while parsing a list, at line 2 column 2.");
    }
}
