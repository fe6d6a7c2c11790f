//! Skips over JSON text: every character is checked, and only what is requested is built.
//!
//! A body may have 100 fields while rules use three; building all of them, or letting a general deserializer skip them,
//! costs more than matching and rendering together. A [`Walk`] accepts exactly what `serde_json` accepts (RFC 8259, at
//! most [`MAX_DEPTH`] deep); a property test compares the two. It reports no errors: on `None`, the caller parses
//! everything with `serde_json`, which provides the message.

use std::borrow::Cow;

use serde_json::Value;

/// The maximum nesting depth of lists and objects; `serde_json` refuses one more.
pub const MAX_DEPTH: usize = 127;

/// The maximum number of values and names in one JSON text: as values they take about 100 bytes each.
pub const MAX_VALUES: usize = 1_000_000;

/// A position in JSON text that moves from value to value.
pub struct Walk<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    /// How many more values and names are allowed.
    left: usize,
}

impl<'t> Walk<'t> {
    pub fn new(text: &'t str) -> Self {
        Self { text, at: 0, depth: 0, left: MAX_VALUES }
    }

    /// How many values and names it has passed.
    pub fn count(&self) -> usize {
        MAX_VALUES - self.left
    }

    /// Whether the text has more of them than allowed.
    pub fn has_too_many(mut self) -> bool {
        self.skip().is_none() && self.left == 0
    }

    fn one_more(&mut self) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        Some(())
    }

    /// The first character of the current value.
    pub fn first(&mut self) -> Option<u8> {
        self.space();
        self.byte()
    }

    /// Skips the current value, and returns its text.
    pub fn skip(&mut self) -> Option<&'t str> {
        self.space();
        let from = self.at;
        self.at = self.end_of_value()?;
        self.text.get(from..self.at)
    }

    /// Where the current value ends. Most of a body is skipped, so this is one loop and not a call for each value.
    fn end_of_value(&mut self) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let (mut at, around) = (self.at, self.depth);
        // Which of the lists and objects that are still open are objects, a bit each; the innermost is the lowest.
        let mut objects: u128 = 0;
        loop {
            self.one_more()?;
            at = spaces(bytes, at);
            let byte = *bytes.get(at)?;
            let mut is_open = false;
            at = match byte {
                b'{' | b'[' => {
                    self.deeper()?;
                    objects = objects << 1 | u128::from(byte == b'{');
                    let first = spaces(bytes, at + 1);
                    // The code for brackets is two less than for what closes them.
                    is_open = *bytes.get(first)? != byte + 2;
                    first
                }
                b'"' => end_of_string(bytes, at + 1)? + 1,
                b't' => end_of_word(bytes, at, b"true")?,
                b'f' => end_of_word(bytes, at, b"false")?,
                b'n' => end_of_word(bytes, at, b"null")?,
                _ => end_of_number(bytes, at)?,
            };
            // What follows a value: what closes the lists and objects around it, up to a comma.
            while !is_open {
                if self.depth == around {
                    return Some(at);
                }
                at = spaces(bytes, at);
                match (*bytes.get(at)?, objects & 1) {
                    (b',', _) => is_open = true,
                    (b'}', 1) | (b']', 0) => {
                        self.depth -= 1;
                        objects >>= 1;
                    }
                    _ => return None,
                }
                at += 1;
            }
            if objects & 1 == 1 {
                self.one_more()?;
                at = taken(bytes, spaces(bytes, at), b'"')?;
                at = taken(bytes, spaces(bytes, end_of_string(bytes, at)? + 1), b':')?;
            }
        }
    }

    /// Walks the current object; `each` is called with every name as spelled in the text, and must skip its value.
    pub fn members(&mut self, mut each: impl FnMut(&mut Self, &'t str) -> Option<()>) -> Option<()> {
        self.list(b'{', b'}', |walk| {
            walk.one_more()?;
            let name = walk.string()?;
            walk.space();
            walk.take(b':')?;
            each(walk, name)
        })
    }

    /// Walks the current list; `each` must skip every item.
    pub fn items(&mut self, each: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.list(b'[', b']', each)
    }

    /// Whether only white space is left.
    pub fn is_at_end(&mut self) -> bool {
        self.space();
        self.at == self.text.len()
    }

    fn list(&mut self, open: u8, close: u8, mut each: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.take(open)?;
        self.one_more()?;
        self.deeper()?;
        self.space();
        if self.byte()? == close {
            self.at += 1;
        } else {
            loop {
                self.space();
                each(self)?;
                self.space();
                let byte = self.byte()?;
                self.at += 1;
                if byte == close {
                    break;
                }
                if byte != b',' {
                    return None;
                }
            }
        }
        self.depth -= 1;
        Some(())
    }

    fn deeper(&mut self) -> Option<()> {
        self.depth += 1;
        (self.depth <= MAX_DEPTH).then_some(())
    }

    /// Skips a string, and returns what is between its quotes.
    fn string(&mut self) -> Option<&'t str> {
        self.take(b'"')?;
        let (from, to) = (self.at, end_of_string(self.text.as_bytes(), self.at)?);
        self.at = to + 1;
        self.text.get(from..to)
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        self.at = taken(self.text.as_bytes(), self.at, wanted)?;
        Some(())
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        self.at = spaces(self.text.as_bytes(), self.at);
    }
}

/// The place after this byte, if it is there.
fn taken(bytes: &[u8], at: usize, wanted: u8) -> Option<usize> {
    (*bytes.get(at)? == wanted).then_some(at + 1)
}

/// The place after white space.
fn spaces(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// The place of the quote that ends a string, which begins here, after its first quote.
fn end_of_string(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += plain(bytes.get(at..)?);
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at = end_of_escape(bytes, at + 1)?,
            // A control character.
            _ => return None,
        }
    }
}

/// The place after an escaped character, which begins here, after its backslash.
fn end_of_escape(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 1),
        b'u' => match hex(bytes, at + 1)? {
            // Half of a surrogate pair requires the other half.
            0xD800..=0xDBFF => {
                let other = taken(bytes, taken(bytes, at + 5, b'\\')?, b'u')?;
                matches!(hex(bytes, other)?, 0xDC00..=0xDFFF).then_some(other + 4)
            }
            0xDC00..=0xDFFF => None,
            _ => Some(at + 5),
        },
        _ => None,
    }
}

/// Four hexadecimal digits.
fn hex(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 4)?;
    digits.iter().try_fold(0, |n, digit| Some(n << 4 | char::from(*digit).to_digit(16)?))
}

fn end_of_number(bytes: &[u8], at: usize) -> Option<usize> {
    let is = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|byte| wanted.contains(byte));
    let mut at = at + usize::from(is(at, b"-"));
    at = if is(at, b"0") { at + 1 } else { end_of_digits(bytes, at)? };
    if is(at, b".") {
        at = end_of_digits(bytes, at + 1)?;
    }
    if is(at, b"eE") {
        at += 1;
        at = end_of_digits(bytes, at + usize::from(is(at, b"+-")))?;
    }
    Some(at)
}

/// At least one digit.
fn end_of_digits(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    (at > from).then_some(at)
}

fn end_of_word(bytes: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    bytes.get(at..)?.starts_with(word).then_some(at + word.len())
}

/// How many bytes of a string need no decoding: up to the first quote, backslash or control character. Checks eight bytes at
/// a time, each in its own lane of an integer.
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let is_zero = |lanes: u64| lanes.wrapping_sub(ONES) & !lanes & HIGH;
    let (eights, rest) = bytes.as_chunks::<8>();
    for (n, eight) in eights.iter().enumerate() {
        let lanes = u64::from_le_bytes(*eight);
        let control = lanes.wrapping_sub(ONES * 0x20) & !lanes & HIGH;
        // A borrow from the next lane only affects lanes after the first match.
        let found = control | is_zero(lanes ^ (ONES * u64::from(b'"'))) | is_zero(lanes ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            return n * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let is_plain = |byte: &&u8| !matches!(byte, b'"' | b'\\' | 0..0x20);
    eights.len() * 8 + rest.iter().take_while(is_plain).count()
}

/// The single value that a pointer (RFC 6901) refers to, read without building anything else; `None` if it is a list or an
/// object, or if the text is not JSON.
pub fn single_at(raw: &[u8], pointer: &str) -> Option<Value> {
    let tokens: Vec<String> = pointer.split('/').skip(1).map(|t| t.replace("~1", "/").replace("~0", "~")).collect();
    let mut walk = Walk::new(std::str::from_utf8(raw).ok()?);
    let text = seek(&mut walk, &tokens)?.filter(|t| !t.starts_with(['{', '[']))?;
    if walk.is_at_end() { serde_json::from_str(text).ok() } else { None }
}

/// Skips the current value, and returns the text of what the tokens refer to, if it exists.
fn seek<'t>(walk: &mut Walk<'t>, tokens: &[String]) -> Option<Option<&'t str>> {
    let Some((first, rest)) = tokens.split_first() else { return walk.skip().map(Some) };
    let mut found = None;
    match walk.first()? {
        b'{' => walk.members(|walk, spelled| {
            match name(spelled) == first.as_str() {
                // If a name is repeated, the last one counts.
                true => found = seek(walk, rest)?,
                false => drop(walk.skip()?),
            }
            Some(())
        })?,
        b'[' => {
            let is_index = first == "0" || !first.starts_with(['0', '+']);
            let wanted = if is_index { first.parse::<usize>().ok() } else { None };
            let mut at = 0;
            walk.items(|walk| {
                match wanted == Some(at) {
                    true => found = seek(walk, rest)?,
                    false => drop(walk.skip()?),
                }
                at += 1;
                Some(())
            })?;
        }
        _ => drop(walk.skip()?),
    }
    Some(found)
}

/// Decodes a name as spelled in the text.
pub fn name(spelled: &str) -> Cow<'_, str> {
    match spelled.contains('\\') {
        false => Cow::Borrowed(spelled),
        true => serde_json::from_str::<String>(&format!("\"{spelled}\"")).map_or(Cow::Borrowed(spelled), Cow::Owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Valid text is skipped to its end, and invalid text is not.
    fn agrees(text: &str) -> bool {
        let mut walk = Walk::new(text);
        let good = walk.skip() == Some(text.trim_matches([' ', '\n', '\r', '\t'])) && walk.is_at_end();
        good == serde_json::from_str::<Value>(text).is_ok()
    }

    #[test]
    fn it_accepts_what_serde_json_accepts() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        let mixed = |n: usize| format!("{}1{}", "{\"a\":[".repeat(n), "]}".repeat(n));
        for text in [
            "",
            " ",
            "{}",
            "[]",
            " [ ] ",
            "{\"a\":1}",
            "{\"a\" : 1 , \"b\" : [1,2]}",
            "[1,]",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "[1 2]",
            "tru",
            "true",
            "truee",
            "nul",
            "null",
            "false",
            "01",
            "0",
            "-0",
            "-",
            "1.",
            ".5",
            "1.5",
            "1e5",
            "1e",
            "1e+",
            "1E-400",
            "+1",
            "\"\"",
            "\"\\n\"",
            "\"\\x\"",
            "\"\\u00e9\"",
            "\"\\u00eg\"",
            "\"\\ud83d\\ude00\"",
            "\"\\ud83d\"",
            "\"\\ud83dx\"",
            "\"\\ude00\"",
            "\"\\ud83d\\u0041\"",
            "\"\\u\"",
            "\"a\u{1}\"",
            "\"é😀 und weiter\"",
            "\"a",
            "\"12345678\\\"9\"",
            "[\"12345678\t\"]",
            "{a:1}",
            "'a'",
            "1 1",
            "{\"a\":1}x",
            "[[[]]]",
            "{1:2}",
            "\u{feff}{}",
            "\"\\",
            "[\"\\u12",
        ] {
            assert!(agrees(text), "{text}");
        }
        for n in [1, 63, 64, 126, 127, 128, 200] {
            assert!(agrees(&deep(n)) && agrees(&mixed(n)), "{n} deep");
        }
    }

    #[test]
    fn a_million_values_and_names_are_allowed_and_one_more_is_not() {
        let list = |n: usize| format!("[{}0]", "0,".repeat(n - 1));
        let map = |n: usize| format!("{{{}\"\":0}}", "\"\":0,".repeat(n - 1));
        for (most, more) in [(list(MAX_VALUES - 1), list(MAX_VALUES)), (map((MAX_VALUES - 1) / 2), map(MAX_VALUES / 2))] {
            let mut walk = Walk::new(&most);
            assert!(walk.skip().is_some() && walk.is_at_end() && !Walk::new(&most).has_too_many());
            assert!(Walk::new(&more).skip().is_none() && Walk::new(&more).has_too_many());
        }
        assert!(!Walk::new("[1,").has_too_many());
    }

    #[test]
    fn a_single_value_is_found_as_serde_json_finds_it() {
        for text in [
            r#"{"a": {"b": [1, "x", {"c": 1.10}]}, "a/b": true, "": null, "o": {}, "e\u00e9": "\n"}"#,
            r#"{"a": 1, "a": {"b": ["last"]}}"#,
            r#"[[0, 1], {"0": "zero"}]"#,
            r#"{"a": 1"#,
            "7",
        ] {
            let all: Value = serde_json::from_str(text).unwrap_or_default();
            for pointer in
                ["/a", "/a/b/0", "/a/b/1", "/a/b/2/c", "/a/b/01", "/a/b/+1", "/a~1b", "/", "/o", "/eé", "/0/1", "/1/0", "/9", "/a/x"]
            {
                let single = all.pointer(pointer).filter(|v| !v.is_array() && !v.is_object());
                assert_eq!(single_at(text.as_bytes(), pointer).as_ref(), single, "{pointer} of {text}");
            }
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_serde_json_on_whatever_looks_like_json(text in "[\\[\\]{},:\"\\\\/ a-fntrue0-9.eE+\\-é\u{1}]{0,24}") {
            prop_assert!(agrees(&text), "{}", text);
        }

        #[test]
        fn it_agrees_with_serde_json_on_strings(text in "(\"|\\\\u[dD][89c-fC-F][0-9a-f]{2}|\\\\u0[0-9a-f]{3}|\\\\[nt\"\\\\/x]|[a-z é\u{7f}\u{1f}]){0,24}") {
            prop_assert!(agrees(&format!("\"{text}\"")), "{}", text);
        }
    }
}
