//! A file that a step sends to another app: one of the output folder, or one that is given in Base64.

use std::sync::Arc;

use serde_json::{Value, json};

use super::append::read_file;
use super::bytes::Base64;
use super::folder;
use crate::expr::field::Field;
use crate::expr::names::Names;
use crate::expr::scope::Scope;
use crate::expr::template::{Destination, Template, Unrendered};
use crate::text::count;
use crate::text::word::{Shape, Word};
use crate::yaml::Node;
use crate::yaml::fields::Item;

/// The keys of a file that is more than a name.
pub const ATTACHED: &[Word] = &[
    Word { name: "file", shape: Shape::Text, does: "a file of the output folder" },
    Word { name: "base64", shape: Shape::Text, does: "instead: what the file contains, in Base64, such as a file that came in a form" },
    Word { name: "name", shape: Shape::Text, does: "the name under which it is sent" },
    Word { name: "type", shape: Shape::Text, does: "its content type; by default, that of the name's ending" },
];

/// The content types of the endings that people send most.
const TYPES: [(&str, &str); 25] = [
    ("avif", "image/avif"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("gif", "image/gif"),
    ("heic", "image/heic"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ics", "text/calendar"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("log", "text/plain"),
    ("md", "text/markdown"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("tsv", "text/tab-separated-values"),
    ("txt", "text/plain"),
    ("webp", "image/webp"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("xml", "application/xml"),
    ("zip", "application/zip"),
];
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// A compiled file.
pub struct Attached {
    source: Source,
    name: Option<Template>,
    kind: Option<Template>,
}

enum Source {
    File(Template),
    Base64(Base64),
}

impl Attached {
    /// Reads one file, or a list of them: each is a name, or a map with [`ATTACHED`].
    pub fn read_all(item: &Item, known: &Names) -> Option<Vec<Self>> {
        let read: Vec<_> = item.one_or_many().iter().map(|one| Self::read(one, known)).collect();
        read.into_iter().collect()
    }

    fn read(item: &Item, known: &Names) -> Option<Self> {
        let Node::Map(_) = item.node else {
            return read_file(item, known).map(|file| Self { source: Source::File(file), name: None, kind: None });
        };
        let mut fields = item.fields("a file to send")?;
        let (file, base64) = (fields.may("file"), fields.may("base64"));
        let name = fields.may("name").map(|item| Template::read(&item, Destination::Header, known));
        let kind = fields.may("type").map(|item| read_type(&item, known));
        let source = match (file, base64) {
            (Some(file), None) => read_file(&file, known).map(Source::File),
            (None, Some(base64)) => {
                if name.is_none() && !fields.has("name") {
                    fields.lacks("name", "the file has no name", "write `name:` as well, such as \"{{ body.photo.name }}\"");
                }
                Base64::read(&base64, known).map(Source::Base64)
            }
            (Some(_), Some(base64)) => {
                base64.problem("a file is either in the output folder or in Base64").at_key().label("remove `file:` or `base64:`").add();
                None
            }
            (None, None) => {
                if !fields.has("file") && !fields.has("base64") {
                    fields.lacks("file", "it is not said which file is sent", "write `file:` with its name, or `base64:`");
                }
                None
            }
        };
        fields.done(&[("path", "file"), ("filename", "name"), ("content", "base64"), ("content_type", "type")]);
        Some(Self { source: source?, name: name.map_or(Some(None), |n| n.map(Some))?, kind: kind.map_or(Some(None), |k| k.map(Some))? })
    }

    pub fn fields(&self) -> Vec<&Field> {
        let source = match &self.source {
            Source::File(file) => file.fields().collect(),
            Source::Base64(base64) => base64.fields(),
        };
        [&self.name, &self.kind].into_iter().flatten().flat_map(Template::fields).chain(source).collect()
    }

    pub fn render(&self, scope: &Scope) -> Result<AttachedFile, Unrendered> {
        let content = match &self.source {
            Source::File(file) => AttachedContent::File(file.text(scope)?),
            Source::Base64(base64) => AttachedContent::Bytes(Arc::from(base64.bytes(scope)?)),
        };
        let name = match (&self.name, &content) {
            (Some(name), _) => {
                let text = name.text(scope)?;
                // A name that a sender made up may be a path.
                let last = text.rsplit(['/', '\\']).next().unwrap_or_default().trim().to_owned();
                if last.is_empty() {
                    return Err(Unrendered { message: "the file has no name".to_owned(), path: name.path().clone() });
                }
                last
            }
            (None, AttachedContent::File(file)) => file.rsplit('/').next().unwrap_or_default().to_owned(),
            (None, AttachedContent::Bytes(_)) => "file".to_owned(),
        };
        let kind = match &self.kind {
            Some(kind) => {
                let text = kind.text(scope)?;
                if !is_type(&text) {
                    return Err(Unrendered { message: format!("`{text}` is not a content type"), path: kind.path().clone() });
                }
                text
            }
            None => type_of(&name).to_owned(),
        };
        Ok(AttachedFile { name, kind, content })
    }
}

fn read_type(item: &Item, known: &Names) -> Option<Template> {
    let kind = Template::read(item, Destination::Header, known)?;
    if kind.fixed().is_some_and(|kind| !is_type(kind)) {
        item.problem(format!("`{}` is not a content type", kind.fixed().unwrap_or_default())).label("write for example image/png").add();
        return None;
    }
    Some(kind)
}

/// A type and a subtype, maybe with parameters; nothing that could end a header.
fn is_type(text: &str) -> bool {
    let is_token = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
    let (kind, parameters) = text.split_once(';').unwrap_or((text, ""));
    let is_pair = kind.trim_end().split_once('/').is_some_and(|(kind, sub)| is_token(kind) && is_token(sub));
    is_pair && parameters.bytes().all(|b| (b' '..=b'~').contains(&b))
}

/// The content type that the ending of a name means.
fn type_of(name: &str) -> &'static str {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
    TYPES.iter().find(|(known, _)| *known == ending).map_or(UNKNOWN_TYPE, |(_, kind)| kind)
}

/// A file for one event.
#[derive(Debug, Clone)]
pub struct AttachedFile {
    pub name: String,
    pub kind: String,
    pub content: AttachedContent,
}

#[derive(Debug, Clone)]
pub enum AttachedContent {
    /// A file of the output folder, which is read when the step is performed.
    File(String),
    Bytes(Arc<[u8]>),
}

impl AttachedFile {
    /// How many bytes it occupies already.
    pub fn bytes(&self) -> usize {
        if let AttachedContent::Bytes(bytes) = &self.content { bytes.len() } else { 0 }
    }

    /// Why it can never be sent.
    pub fn check(&self) -> Result<(), String> {
        if let AttachedContent::File(file) = &self.content { folder::check(file) } else { Ok(()) }
    }

    /// One line for people: `photos/cat.jpg (image/jpeg)`.
    pub fn shown(&self) -> String {
        match &self.content {
            AttachedContent::File(file) if file.ends_with(&self.name) => format!("{file} ({})", self.kind),
            AttachedContent::File(file) => format!("{file} as {} ({})", self.name, self.kind),
            AttachedContent::Bytes(bytes) => format!("{} ({}, {})", self.name, self.kind, count::bytes(bytes.len() as u64)),
        }
    }

    /// In the form that tests compare.
    pub fn view(&self) -> Value {
        use base64::Engine as _;
        match &self.content {
            AttachedContent::File(file) => json!({ "file": file, "name": self.name, "type": self.kind }),
            AttachedContent::Bytes(bytes) => {
                let text = base64::engine::general_purpose::STANDARD.encode(bytes);
                json!({ "base64": text, "name": self.name, "type": self.kind })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_is_a_type_and_a_subtype() {
        for text in ["image/png", "text/csv; charset=utf-8", "application/vnd.a+xml"] {
            assert!(is_type(text), "{text}");
        }
        for text in ["", "png", "image/", "image/png\r\nX: y", "image/p ng", "image/png; a=\u{e9}", "a/b/c\n"] {
            assert!(!is_type(text), "{text}");
        }
        assert_eq!((type_of("a.PDF"), type_of("pdf"), type_of("a.tar.zip")), ("application/pdf", UNKNOWN_TYPE, "application/zip"));
    }
}
