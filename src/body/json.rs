//! JSON in a body: one value, or a value on each line. The callers check the content type.
//!
//! An event matters more than its spelling: half of a surrogate pair, from a sender that cuts text inside an emoji, becomes
//! U+FFFD, as invalid UTF-8 does when the body is decoded.

use NotJson::{Broken, TooMany};
use serde_json::Value;

use crate::body::number_text;
use crate::body::walk::{MAX_VALUES, Walk};

/// Why some JSON text was not parsed.
#[derive(Debug)]
pub(super) enum NotJson {
    TooMany,
    Broken { what: String, line: usize, column: usize },
}

impl NotJson {
    /// The parser's error, as a sentence for the sender's developer.
    pub(super) fn sentence(&self) -> String {
        match self {
            TooMany => format!("The body has more than {MAX_VALUES} values and names; send less at a time."),
            Broken { what, line, column } => {
                format!("The body is declared as JSON, but it cannot be read: {what}, at line {line} column {column}.")
            }
        }
    }
}

/// Parses one value.
pub(super) fn json(text: &str) -> Result<Value, NotJson> {
    // A value or name takes at least two bytes, so most text does not need counting.
    let parse = |text: &str| match text.len() > MAX_VALUES * 2 && Walk::new(text).has_too_many() {
        true => Err(TooMany),
        false => number_text::parse(text).map_err(|e| broken(&e, 0)),
    };
    match parse(text) {
        Err(Broken { what, line, column }) => match repaired(text) {
            Some(text) => parse(&text),
            None => Err(Broken { what, line, column }),
        },
        read => read,
    }
}

/// Parses a value on each line, as a list. Empty lines, and the record separators of RFC 7464, are ignored.
pub(super) fn json_lines(text: &str) -> Result<Value, NotJson> {
    let repaired = repaired(text);
    let text = repaired.as_deref().unwrap_or(text);
    if text.len() > MAX_VALUES * 2 && has_too_many_lines(text) {
        return Err(TooMany);
    }
    let values = lines(text).map(|(n, line)| number_text::parse(line).map_err(|e| broken(&e, n)));
    values.collect::<Result<_, _>>().map(Value::Array)
}

/// Whether some text is several objects or lists, each on a line of its own.
pub(super) fn looks_like_lines(text: &str) -> bool {
    lines(text).nth(1).is_some() && lines(text).all(|(_, line)| looks_like_json(line))
}

pub(super) fn looks_like_json(text: &str) -> bool {
    let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
    text.len() > 1 && (text.starts_with('{') && text.ends_with('}') || text.starts_with('[') && text.ends_with(']'))
}

/// Lines that are not empty, with their numbers from 0.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let trimmed = |line| str::trim_matches(line, |c: char| c.is_ascii_whitespace() || c == '\u{1e}');
    text.split('\n').map(trimmed).enumerate().filter(|(_, line)| !line.is_empty())
}

fn has_too_many_lines(text: &str) -> bool {
    let mut left = MAX_VALUES - 1;
    for (_, line) in lines(text) {
        let mut walk = Walk::new(line);
        let is_read = walk.skip().is_some();
        match left.checked_sub(walk.count()) {
            None => return true,
            // It is reported when the lines before it have been parsed.
            Some(_) if !is_read => return walk.has_too_many(),
            Some(rest) => left = rest,
        }
    }
    false
}

fn broken(error: &serde_json::Error, lines_before: usize) -> NotJson {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text).to_owned();
    Broken { what, line: error.line() + lines_before, column: error.column() }
}

/// The same text with U+FFFD in the place of each half of a surrogate pair without the other half; `None` if there is none.
fn repaired(text: &str) -> Option<String> {
    let mut out = String::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(found) = text.get(at..)?.find('\\') {
        at += found;
        at += match unit(text, at) {
            // Every escape but `\u` has two characters.
            None => 2.min(text.len() - at),
            Some(0xD800..=0xDBFF) if matches!(unit(text, at + 6), Some(0xDC00..=0xDFFF)) => 12,
            Some(0xD800..=0xDFFF) => {
                out.push_str(text.get(copied..at)?);
                out.push_str("\\ufffd");
                copied = at + 6;
                6
            }
            Some(_) => 6,
        };
        // After a backslash there may be a longer character, in text that is not JSON.
        while !text.is_char_boundary(at) {
            at += 1;
        }
    }
    if copied == 0 {
        return None;
    }
    out.push_str(text.get(copied..)?);
    Some(out)
}

/// The number of a `\uXXXX` at this place.
fn unit(text: &str, at: usize) -> Option<u32> {
    let digits = text.get(at..)?.strip_prefix("\\u")?.get(..4)?;
    if digits.bytes().all(|b| b.is_ascii_hexdigit()) { u32::from_str_radix(digits, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json as value;

    #[test]
    fn half_a_surrogate_pair_becomes_a_replacement_character() {
        for (text, expected) in [
            (r#"{"a": "x\ud83d"}"#, value!({"a": "x\u{fffd}"})),
            (r#"["\ude00\ud83d", "\ud83d\ud83d\ude00", "\ud83dx"]"#, value!(["\u{fffd}\u{fffd}", "\u{fffd}😀", "\u{fffd}x"])),
            (r#"{"\uD83D": "\\ud83d \\\ud83d"}"#, value!({"\u{fffd}": "\\ud83d \\\u{fffd}"})),
        ] {
            assert_eq!(json(text).unwrap(), expected, "{text}");
        }
        let Err(Broken { what, .. }) = json(r#"{"a": "\ud8", "b": "\"#) else { panic!("it was read") };
        assert_eq!(what, "invalid escape");
    }

    #[test]
    fn lines_are_a_list() {
        let read = |text: &str| json_lines(text).map_err(|e| e.sentence());
        assert_eq!(read("{\"a\":1}\r\n\n[2]\n"), Ok(value!([{"a": 1}, [2]])));
        assert_eq!(read("\u{1e}{\"a\":\"\\ud83d\"}\n\u{1e}1\n"), Ok(value!([{"a": "\u{fffd}"}, 1])));
        let why = "The body is declared as JSON, but it cannot be read: key must be a string, at line 3 column 2.";
        assert_eq!(read("{}\n\n{x}"), Err(why.into()));
        assert!(looks_like_lines("{}\n\n[]") && !looks_like_lines("{}\n") && !looks_like_lines("{}\n1"));
        let most = format!("[{}0]\n[]\n[]", "0,".repeat(MAX_VALUES - 5));
        assert!(json_lines(&most).is_ok());
        assert!(matches!(json_lines(&format!("{most}\n[]")), Err(TooMany)));
    }

    proptest! {
        #[test]
        fn repairing_changes_nothing_else(text in "(\"|\\\\u[dD][89c-fC-F][0-9a-f]{2}|\\\\u0[0-9a-f]{3}|\\\\[nt\"\\\\/xé]|[a-z é\u{7f}\u{1f}]){0,24}") {
            let quoted = format!("\"{text}\"");
            if let Ok(valid) = serde_json::from_str::<Value>(&quoted) {
                prop_assert_eq!(repaired(&quoted), None);
                prop_assert_eq!(json(&quoted).unwrap(), valid);
            }
            if let Some(good) = repaired(&quoted) {
                prop_assert_eq!(good.len(), quoted.len());
                prop_assert_eq!(repaired(&good), None);
            }
        }
    }
}
