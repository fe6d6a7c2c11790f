//! Helpers for other spellings of a value: JSON, XML, HTML, Base64, addresses, fingerprints.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use ring::{digest, hmac};
use serde_json::Value;

use super::read::{text_of, text_or, there};
use super::text::map_text;
use crate::body;
use crate::expr::template::argument::{Wants, Words};
use crate::expr::template::charge::charge;
use crate::expr::template::helper::{Given, Helper, Wrong, said, short_enough};
use crate::expr::template::html;
use crate::expr::template::length::MAX_RENDERED;

const HASHES: Words = Words { called: "hash", all: &["sha256", "sha512", "sha1"] };
const ENCODINGS: Words = Words { called: "encoding", all: &["hex", "base64"] };
/// Base64 as people send it: padded or not.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// In the order of the docs.
pub(crate) const HELPERS: &[Helper] = &[
    Helper {
        name: "json",
        usage: "{{ json body.x }}",
        does: "the value as JSON text",
        example: ("{{ json body.tags }}", r#"["a","b"]"#),
        takes: 1..=1,
        wants: &[],
        seeded: false,
        run: json,
    },
    Helper {
        name: "parse_json",
        usage: "{{ parse_json body.x }}",
        does: "the value of JSON text; under `set:`, its fields can be used by name",
        example: ("{{ join (parse_json '[1, 2]') ' and ' }}", "1 and 2"),
        takes: 1..=1,
        wants: &[],
        seeded: false,
        run: parse_json,
    },
    Helper {
        name: "parse_xml",
        usage: "{{ parse_xml body.x }}",
        does: "the value of XML text, as in a body",
        example: ("{{ json (parse_xml '<a><b>1</b></a>') }}", r#"{"a":{"b":"1"}}"#),
        takes: 1..=1,
        wants: &[],
        seeded: false,
        run: parse_xml,
    },
    Helper {
        name: "html",
        usage: "{{ html body.x }}",
        does: "safe inside HTML: for messages with a parse mode; `respond:` with an HTML type does it automatically",
        example: ("{{ html '<b> & co' }}", "&lt;b&gt; &amp; co"),
        takes: 1..=1,
        wants: &[],
        seeded: false,
        run: html,
    },
    Helper {
        name: "url",
        usage: "{{ url body.x }}",
        does: "percent-encoded; only needed where text contains an address, because `post:` does it automatically",
        example: ("{{ url 'a b&c' }}", "a%20b%26c"),
        takes: 1..=1,
        wants: &[],
        seeded: false,
        run: |a| map_text(a, |t| percent_encoding::utf8_percent_encode(t, crate::text::percent::QUERY).to_string()),
    },
    Helper {
        name: "base64",
        usage: "{{ base64 body.x }}",
        does: "in Base64",
        example: ("{{ base64 'user:word' }}", "dXNlcjp3b3Jk"),
        takes: 1..=1,
        wants: &[],
        seeded: false,
        run: |a| map_text(a, |t| base64::engine::general_purpose::STANDARD.encode(t)),
    },
    Helper {
        name: "from_base64",
        usage: "{{ from_base64 body.x }}",
        does: "the text that was in Base64",
        example: ("{{ from_base64 'dXNlcjp3b3Jk' }}", "user:word"),
        takes: 1..=1,
        wants: &[],
        seeded: false,
        run: from_base64,
    },
    Helper {
        name: "hash",
        usage: "{{ hash body.x 'sha256' }}",
        does: "a fingerprint in hexadecimal: 'sha256' (the default), 'sha512' or 'sha1'",
        example: ("{{ truncate (hash 'abc') 9 }}", "ba7816bf…"),
        takes: 1..=2,
        wants: &[Wants::Anything, Wants::Word(&HASHES)],
        seeded: false,
        run: hash,
    },
    Helper {
        name: "hmac",
        usage: "{{ hmac body.x secret.KEY 'sha256' 'hex' }}",
        does: "a signature with a key (HMAC): 'sha256' (the default), 'sha512' or 'sha1', in 'hex' (the default) or 'base64'",
        example: ("{{ truncate (hmac 'abc' 'key') 9 }}", "9c196e32…"),
        takes: 2..=4,
        wants: &[Wants::Anything, Wants::Anything, Wants::Word(&HASHES), Wants::Word(&ENCODINGS)],
        seeded: false,
        run: hmac,
    },
    Helper {
        name: "uuid",
        usage: "{{ uuid }}",
        does: "a unique id for every step; all tries of a step get the same one",
        example: ("{{ count (uuid) }}", "1"),
        takes: 0..=0,
        wants: &[],
        seeded: true,
        run: uuid,
    },
];

pub(super) fn json(arguments: &[Option<&Value>]) -> Given {
    let text = crate::model::budget::json_up_to(there(arguments, 0)?, MAX_RENDERED);
    let long = || said(format!("the value is longer than {} MB as JSON; use less of it", MAX_RENDERED >> 20));
    text.map(|t| Some(Value::String(t))).ok_or_else(long)
}

/// Reads text as a body of this type would be read, within the same limits.
fn parse(arguments: &[Option<&Value>], kind: &str, called: &str) -> Given {
    let text = text_of(arguments, 0)?;
    // Checked before the value is built: many small values need much more memory than their text.
    let heaviest = body::weight_at_most(text.as_bytes());
    charge(|budget| if heaviest > budget.left() { budget.made(heaviest) } else { Ok(()) })?;
    let why = |why: String| {
        let (_, reason) = why.rsplit_once("cannot be read: ").unwrap_or(("", &why));
        said(format!("this text cannot be read as {called}: {}", reason.trim_end_matches('.')))
    };
    body::read(Some(kind), text.as_bytes()).map(Some).map_err(|malformed| why(malformed.why))
}

fn parse_json(arguments: &[Option<&Value>]) -> Given {
    parse(arguments, "application/json", "JSON")
}

fn parse_xml(arguments: &[Option<&Value>]) -> Given {
    parse(arguments, "application/xml", "XML")
}

fn html(arguments: &[Option<&Value>]) -> Given {
    let escaped = html::escaped(&text_of(arguments, 0)?);
    short_enough(escaped.len())?;
    Ok(Some(escaped.into()))
}

/// Base64 with both alphabets, padded or not, in one line or several.
fn from_base64(arguments: &[Option<&Value>]) -> Given {
    let text: String = text_of(arguments, 0)?.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let alphabet = if text.contains(['-', '_']) { alphabet::URL_SAFE } else { alphabet::STANDARD };
    let bytes = GeneralPurpose::new(&alphabet, LENIENT).decode(text).map_err(|_| said("this is not Base64"))?;
    String::from_utf8(bytes).map(|text| Some(text.into())).map_err(|_| said("what is in this Base64 is not text"))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// An argument that is one of these words; the first one if it is left out.
fn word(arguments: &[Option<&Value>], n: usize, words: &Words) -> Result<String, Wrong> {
    let word = text_or(arguments, n, words.all[0])?;
    if words.all.contains(&word.as_str()) { Ok(word) } else { Err(said(words.refused(&word))) }
}

fn hash(arguments: &[Option<&Value>]) -> Given {
    let text = text_of(arguments, 0)?;
    let algorithm = match word(arguments, 1, &HASHES)?.as_str() {
        "sha512" => &digest::SHA512,
        "sha1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        _ => &digest::SHA256,
    };
    Ok(Some(hexadecimal(digest::digest(algorithm, text.as_bytes()).as_ref()).into()))
}

fn hmac(arguments: &[Option<&Value>]) -> Given {
    let (text, key) = (text_of(arguments, 0)?, text_of(arguments, 1)?);
    let algorithm = match word(arguments, 2, &HASHES)?.as_str() {
        "sha512" => hmac::HMAC_SHA512,
        "sha1" => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        _ => hmac::HMAC_SHA256,
    };
    if key.is_empty() {
        return Err(said("the key is empty, so anyone could make the same signature"));
    }
    let tag = hmac::sign(&hmac::Key::new(algorithm, key.as_bytes()), text.as_bytes());
    Ok(Some(match word(arguments, 3, &ENCODINGS)?.as_str() {
        "base64" => STANDARD.encode(tag.as_ref()).into(),
        _ => hexadecimal(tag.as_ref()).into(),
    }))
}

/// A UUID derived from the seed, so that every attempt of a step has the same.
fn uuid(arguments: &[Option<&Value>]) -> Given {
    let seed = text_of(arguments, 0)?;
    let digest = ring::digest::digest(&ring::digest::SHA256, seed.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_ref()[..16]);
    Ok(Some(uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string().into()))
}
