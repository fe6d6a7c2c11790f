//! A form with files (`multipart/form-data`, RFC 7578), as browsers send it. No name or value can break it: what would end a
//! name is escaped, and nobody who makes up a value knows the boundary.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::payload::{Payload, Piece};
use crate::action::files::attached::{AttachedContent, AttachedFile};
use crate::action::files::writer::Files;
use crate::model::hash::hash;
use crate::model::outcome::Outcome;

pub(super) const KIND: &str = "multipart/form-data";

/// A form for one event.
pub(super) struct Multipart {
    pub fields: Vec<(String, String)>,
    pub files: Vec<(String, AttachedFile)>,
}

impl Multipart {
    pub(super) fn bytes(&self) -> usize {
        self.fields.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>() + self.files.iter().map(|(_, f)| f.bytes()).sum::<usize>()
    }

    /// The form as it is sent, and its content type. Every try of a step sends the same bytes, as long as its files do not change.
    pub(super) async fn payload(self, files: &Files, key: &str) -> Result<(Payload, String), Outcome> {
        let boundary = boundary(key);
        let mut pieces = Vec::new();
        for (name, value) in self.fields {
            pieces.push(Piece::Bytes(part(&boundary, &name, None)));
            pieces.push(Piece::Bytes(value.into()));
        }
        for (name, file) in self.files {
            pieces.push(Piece::Bytes(part(&boundary, &name, Some((&file.name, &file.kind)))));
            pieces.push(match file.content {
                AttachedContent::Bytes(bytes) => Piece::Bytes(Bytes::copy_from_slice(&bytes)),
                AttachedContent::File(name) => {
                    let (file, length) = files.open(&name).await?;
                    Piece::File(Arc::new(file), length)
                }
            });
        }
        let start = if pieces.is_empty() { "" } else { "\r\n" };
        pieces.push(Piece::Bytes(format!("{start}--{boundary}--\r\n").into()));
        if let Some(Piece::Bytes(first)) = pieces.first_mut() {
            // Only the first part does not end another one.
            *first = first.strip_prefix(b"\r\n").map_or_else(|| first.clone(), |rest| first.slice_ref(rest));
        }
        Ok((Payload::Pieces(pieces.into()), format!("{KIND}; boundary={boundary}")))
    }
}

/// What precedes the content of a part.
fn part(boundary: &str, name: &str, file: Option<(&str, &str)>) -> Bytes {
    let name = quoted(name);
    match file {
        None => format!("\r\n--{boundary}\r\nContent-Disposition: form-data; name={name}\r\n\r\n").into(),
        Some((file, kind)) => {
            let file = quoted(file);
            format!("\r\n--{boundary}\r\nContent-Disposition: form-data; name={name}; filename={file}\r\nContent-Type: {kind}\r\n\r\n")
                .into()
        }
    }
}

/// A name in quotes, escaped as browsers do it (HTML, "multipart form data"); other control characters are left out.
fn quoted(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 2);
    out.push('"');
    for c in name.chars() {
        match c {
            '"' => out.push_str("%22"),
            '\r' => out.push_str("%0D"),
            '\n' => out.push_str("%0A"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The same for every try of a step in this process, and not to be guessed.
fn boundary(key: &str) -> String {
    static SALT: OnceLock<(RandomState, RandomState)> = OnceLock::new();
    let (one, two) = SALT.get_or_init(|| (RandomState::new(), RandomState::new()));
    let secret = format!("{:016x}{:016x}{key}", one.hash_one(key), two.hash_one((key, 1)));
    format!("doorbell-{}", &hash(secret.as_bytes())[..40])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_breaks_a_form() {
        let head = part("b", "a\"\r\nX: y\u{0}", Some(("p\"h.png\"; x=\"", "image/png")));
        let expected = "\r\n--b\r\nContent-Disposition: form-data; name=\"a%22%0D%0AX: y\"; filename=\"p%22h.png%22; x=%22\"\r\nContent-Type: image/png\r\n\r\n";
        assert_eq!(head, expected);
        assert_eq!(boundary("k"), boundary("k"));
        assert_ne!(boundary("k"), boundary("l"));
        assert!(boundary("k").len() <= 70, "RFC 2046, 5.1.1");
    }
}
