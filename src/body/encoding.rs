//! The encoding of a body: what its content type says, and how its bytes become text.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};

/// The type in a content type, without its parameters.
pub(super) fn kind(content_type: Option<&str>) -> String {
    content_type.unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

/// The encoding given by a content type, if it is not UTF-8.
pub(super) fn charset(content_type: Option<&str>) -> Option<&'static Encoding> {
    declared(content_type).filter(|e| *e != UTF_8)
}

fn declared(content_type: Option<&str>) -> Option<&'static Encoding> {
    let named = content_type?.split(';').skip(1).find_map(|p| {
        let (name, value) = p.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    })?;
    Encoding::for_label(named.as_bytes())
}

/// Decodes bytes as text: by their byte order mark, otherwise by the content type, otherwise as UTF-8. What cannot be
/// decoded becomes U+FFFD.
pub(super) fn text<'r>(content_type: Option<&str>, raw: &'r [u8]) -> Cow<'r, str> {
    charset(content_type).unwrap_or(UTF_8).decode(raw).0
}

/// XML declares its encoding in its first line if the content type does not.
pub(super) fn xml_text<'r>(content_type: Option<&str>, raw: &'r [u8]) -> Cow<'r, str> {
    let said = || {
        let head = String::from_utf8_lossy(&raw[..raw.len().min(200)]).into_owned();
        let mut rest = head.split("encoding=").nth(1)?.chars();
        let quote = rest.next()?;
        Encoding::for_label(rest.as_str().split(quote).next()?.as_bytes())
    };
    charset(content_type).or_else(said).unwrap_or(UTF_8).decode(raw).0
}

/// Types whose bytes are never text for people, even where they happen to be letters.
const FILES: [&str; 11] = [
    "application/pdf",
    "application/zip",
    "application/gzip",
    "application/x-gzip",
    "application/x-tar",
    "application/x-7z-compressed",
    "application/vnd.rar",
    "application/wasm",
    "application/protobuf",
    "application/x-protobuf",
    "application/cbor",
];
const FILES_BEGIN: [&str; 6] =
    ["image/", "audio/", "video/", "font/", "application/vnd.openxmlformats-", "application/vnd.oasis.opendocument."];

/// Whether a type says that the bytes are a file.
pub(super) fn is_file(kind: &str) -> bool {
    FILES.contains(&kind) || FILES_BEGIN.iter().any(|begin| kind.starts_with(begin))
}

/// The text of a body that nothing else is known about; `None` if its bytes are not text.
pub(super) fn plain<'r>(content_type: Option<&str>, raw: &'r [u8]) -> Option<Cow<'r, str>> {
    // Whoever says that it is text, or how it is encoded, means text: one wrong byte does not change that.
    if kind(content_type).starts_with("text/") || declared(content_type).is_some() {
        return Some(text(content_type, raw));
    }
    let (text, _, is_spoilt) = UTF_8.decode(raw);
    (!is_spoilt && !text.bytes().any(is_control)).then_some(text)
}

/// Whether a byte does not occur in text: a control character other than white space and the escape of terminals.
pub(super) fn is_control(byte: u8) -> bool {
    matches!(byte, 0..=8 | 11 | 14..=26 | 28..=31 | 127)
}
