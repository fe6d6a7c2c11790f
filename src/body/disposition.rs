//! `Content-Disposition` (RFC 6266, RFC 7578): the name of a field, and of a file, in any of the ways in which senders
//! write names that are not ASCII.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use percent_encoding::percent_decode;

/// What the header says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Disposition {
    pub name: Option<String>,
    /// The name of a file, which may be empty; `None` for what is no file.
    pub file: Option<String>,
}

/// Reads the value of the header. It is bytes, because old senders write names in Latin-1.
pub(super) fn disposition(value: &[u8]) -> Disposition {
    let mut found = Disposition::default();
    // `filename*` is the better spelling of the same name, wherever it stands.
    let mut extended = None;
    for (name, value) in parameters(value) {
        match name.as_str() {
            "name" => found.name = Some(letters(&value)),
            "filename" => found.file = Some(letters(&value)),
            "filename*" => extended = Some(decoded(&value)),
            _ => {}
        }
    }
    found.file = extended.or(found.file);
    found
}

/// The parameters after the first `;`, with names in lower case and without the quotes around values.
pub(super) fn parameters(value: &[u8]) -> Vec<(String, Cow<'_, [u8]>)> {
    let mut all = Vec::new();
    let mut rest = after(value, b';');
    while !rest.is_empty() {
        let name: Vec<u8> = rest.iter().copied().take_while(|b| !matches!(b, b'=' | b';')).collect();
        rest = &rest[name.len()..];
        let name = String::from_utf8_lossy(&name).trim().to_ascii_lowercase();
        let Some(written) = rest.strip_prefix(b"=") else {
            rest = after(rest, b';');
            continue;
        };
        let written = written.trim_ascii_start();
        let (value, left) = match written.strip_prefix(b"\"") {
            Some(quoted) => unquoted(quoted),
            None => {
                let end = written.iter().position(|b| *b == b';').unwrap_or(written.len());
                (Cow::Borrowed(written[..end].trim_ascii()), &written[end..])
            }
        };
        all.push((name, value));
        rest = after(left, b';');
    }
    all
}

fn after(text: &[u8], byte: u8) -> &[u8] {
    text.iter().position(|b| *b == byte).map_or(&[], |at| &text[at + 1..])
}

/// What is between quotes, and what follows. Only a quote or a backslash is escaped by a backslash: some browsers send the
/// path of a file, with a backslash before each folder.
fn unquoted(text: &[u8]) -> (Cow<'_, [u8]>, &[u8]) {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match (byte, text.get(at + 1)) {
            (b'"', _) => return (Cow::Owned(out), &text[at + 1..]),
            (b'\\', Some(next @ (b'"' | b'\\'))) => {
                out.push(*next);
                at += 1;
            }
            (byte, _) => out.push(*byte),
        }
        at += 1;
    }
    (Cow::Owned(out), &[])
}

/// UTF-8, or else Latin-1, in which every byte is a letter.
fn letters(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned(),
    }
}

/// `utf-8'en'r%C3%A9sum%C3%A9.pdf` (RFC 8187).
fn decoded(value: &[u8]) -> String {
    let parts: Vec<&[u8]> = value.splitn(3, |b| *b == b'\'').collect();
    let (encoding, text) = match parts.as_slice() {
        [charset, _, text] => (Encoding::for_label(charset).unwrap_or(UTF_8), *text),
        _ => (UTF_8, value),
    };
    let bytes: Vec<u8> = percent_decode(text).collect();
    encoding.decode_without_bom_handling(&bytes).0.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_however_they_are_written() {
        let read = |value: &[u8]| {
            let read = disposition(value);
            (read.name.unwrap_or_default(), read.file)
        };
        for (value, name, file) in [
            (&b"form-data; name=\"cv\""[..], "cv", None),
            (b"form-data; name=cv; filename=a.txt", "cv", Some("a.txt")),
            (b"form-data; name=\"cv\"; filename=\"a;b.txt\"", "cv", Some("a;b.txt")),
            (b"form-data; NAME=\"say \\\"hi\\\"\"; FileName=\"\"", "say \"hi\"", Some("")),
            (b"form-data; name=\"cv\"; filename=\"C:\\docs\\a.txt\"", "cv", Some("C:\\docs\\a.txt")),
            (b"form-data; name=\"cv\"; filename*=utf-8''r%C3%A9sum%C3%A9.pdf", "cv", Some("résumé.pdf")),
            (b"form-data; name=\"cv\"; filename*=ISO-8859-1'fr'r%E9sum%E9.pdf; filename=x", "cv", Some("résumé.pdf")),
            (b"form-data; name=\"cv\"; filename=\"r\xe9sum\xe9.pdf\"", "cv", Some("résumé.pdf")),
            ("form-data; name=\"Größe\"; filename=\"é.pdf\"".as_bytes(), "Größe", Some("é.pdf")),
            (b"attachment;filename=\"never closed", "", Some("never closed")),
            (b"attachment; filename", "", None),
            (b"", "", None),
        ] {
            assert_eq!(read(value), (name.to_owned(), file.map(str::to_owned)), "{}", String::from_utf8_lossy(value));
        }
    }
}
