//! Converts `multipart/form-data` to the value that rules see: fields as text, files as `name`, `size`, `type` and `base64`.
//!
//! The whole body is in memory, so it is read in place. Lines may end with CRLF, as they should, or with LF, as scripts
//! write them.

use encoding_rs::Encoding;
use serde_json::Value;

use super::disposition::{Disposition, disposition, parameters};
use super::encoding::{charset, is_file, kind, text};
use super::file::file;
use super::form::{finished, named_encoding};
use super::form_names::FormTree;
use super::limits::MAX_FORM_NAMES;

/// The most bytes of the lines before a part's content.
const MAX_HEAD: usize = 64 << 10;

/// A part of the form.
struct Part<'r> {
    disposition: Disposition,
    content_type: Option<String>,
    content: &'r [u8],
}

/// Parses a form; the error describes what is wrong with it.
pub(super) fn read(content_type: &str, raw: &[u8]) -> Result<Value, String> {
    let parameters = parameters(content_type.as_bytes());
    let boundary = parameters.iter().find(|(name, _)| name == "boundary").map(|(_, value)| value);
    let boundary = boundary.filter(|b| !b.is_empty()).ok_or("its content type names no boundary")?;
    let parts = parts(raw, boundary)?;
    let encoding = field_encoding(&parts);
    let fields = parts.into_iter().map(|part| {
        let name = part.disposition.name.clone().unwrap_or_default();
        (name, part.value(encoding))
    });
    finished(FormTree::of(fields.collect()))
}

/// The encoding that a field of the form names for all others, if they are not UTF-8.
fn field_encoding(parts: &[Part]) -> Option<&'static Encoding> {
    let mut fields = parts.iter().filter(|p| !p.is_file());
    if fields.all(|p| std::str::from_utf8(p.content).is_ok()) {
        return None;
    }
    let fields = parts.iter().filter(|p| !p.is_file());
    named_encoding(fields.map(|p| (p.disposition.name.as_deref().unwrap_or_default().as_bytes(), p.content)))
}

impl Part<'_> {
    /// Whether it is a file: it has the name of one, or a type that is never text.
    fn is_file(&self) -> bool {
        self.disposition.file.is_some() || is_file(&kind(self.content_type.as_deref()))
    }

    fn value(self, encoding: Option<&'static Encoding>) -> Value {
        let content_type = self.content_type.as_deref();
        if self.is_file() {
            return file(self.disposition.file, content_type, self.content);
        }
        match encoding.filter(|_| charset(content_type).is_none()) {
            Some(encoding) => encoding.decode_without_bom_handling(self.content).0.into(),
            None => text(content_type, self.content).into(),
        }
    }
}

fn parts<'r>(raw: &'r [u8], boundary: &[u8]) -> Result<Vec<Part<'r>>, String> {
    let mut lines = Lines { raw, at: 0 };
    // What comes before the first delimiter has no meaning.
    let mut delimiter = loop {
        let line = lines.next().ok_or("its boundary does not occur in the body")?;
        if let Some(found) = Delimiter::of(line, boundary) {
            break found;
        }
    };
    let has_cr = delimiter.has_cr;
    let mut all = Vec::new();
    while !delimiter.is_last {
        if all.len() == MAX_FORM_NAMES {
            return Err(format!("it has more than {MAX_FORM_NAMES} fields"));
        }
        let (disposition, content_type) = head(&mut lines)?;
        let from = lines.at;
        let (end, next) = loop {
            let at = lines.at;
            let line = lines.next().ok_or("it is incomplete")?;
            if let Some(found) = Delimiter::of(line, boundary) {
                break (at, found);
            }
        };
        let content = &raw[from..end];
        // The line break before a delimiter belongs to it.
        let content = content.strip_suffix(b"\n").unwrap_or(content);
        let content = content.strip_suffix(b"\r").filter(|_| has_cr).unwrap_or(content);
        all.push(Part { disposition, content_type, content });
        delimiter = next;
    }
    Ok(all)
}

/// A line between two parts.
struct Delimiter {
    is_last: bool,
    has_cr: bool,
}

impl Delimiter {
    fn of(line: &[u8], boundary: &[u8]) -> Option<Self> {
        let rest = line.strip_prefix(b"--")?.strip_prefix(boundary)?;
        let has_cr = rest.ends_with(b"\r\n");
        let (rest, is_last) = rest.strip_prefix(b"--").map_or((rest, false), |rest| (rest, true));
        // Padding is allowed; anything else is the boundary of another form.
        rest.trim_ascii().is_empty().then_some(Self { is_last, has_cr })
    }
}

/// The lines of some bytes, each with its line break.
struct Lines<'r> {
    raw: &'r [u8],
    at: usize,
}

impl<'r> Lines<'r> {
    fn next(&mut self) -> Option<&'r [u8]> {
        let rest = self.raw.get(self.at..).filter(|rest| !rest.is_empty())?;
        let end = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |at| at + 1);
        self.at += end;
        Some(&rest[..end])
    }
}

/// The headers of a part, up to the empty line.
fn head(lines: &mut Lines) -> Result<(Disposition, Option<String>), String> {
    let (from, mut headers) = (lines.at, Vec::<Vec<u8>>::new());
    loop {
        let line = lines.next().ok_or("it is incomplete")?;
        if lines.at - from > MAX_HEAD {
            return Err("the header lines of a field are too long".to_owned());
        }
        if line.trim_ascii().is_empty() {
            break;
        }
        match headers.last_mut() {
            // A header that continues on the next line.
            Some(last) if line.starts_with(b" ") || line.starts_with(b"\t") => {
                last.push(b' ');
                last.extend_from_slice(line.trim_ascii());
            }
            _ => headers.push(line.trim_ascii().to_vec()),
        }
    }
    let value = |name: &str| {
        headers.iter().find_map(|header| {
            let colon = header.iter().position(|b| *b == b':')?;
            let value = header.get(colon + 1..).unwrap_or_default().trim_ascii();
            header[..colon].trim_ascii().eq_ignore_ascii_case(name.as_bytes()).then_some(value)
        })
    };
    let content_type = value("content-type").map(|v| String::from_utf8_lossy(v).into_owned());
    Ok((value("content-disposition").map(disposition).unwrap_or_default(), content_type))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const KIND: &str = "multipart/form-data; boundary=x";

    /// One part after the other, with these line breaks.
    fn form(parts: &[(&str, &[u8])], end: &str) -> Vec<u8> {
        let mut out = Vec::new();
        for (head, content) in parts {
            out.extend_from_slice(format!("--x{end}{}{end}{end}", head.replace('\n', end)).as_bytes());
            out.extend_from_slice(content);
            out.extend_from_slice(end.as_bytes());
        }
        out.extend_from_slice(format!("--x--{end}").as_bytes());
        out
    }

    #[test]
    fn form_fields_are_text_and_files_have_a_name_size_and_type() {
        let file = "Content-Disposition: form-data; name=\"doc\"; filename=\"a.txt\"\nContent-Type: text/plain";
        let to = "content-disposition:form-data; name=to";
        let parts: [(&str, &[u8]); 3] = [(to, b"a"), (to, b"b"), (file, b"hello")];
        let expected = json!({"to": ["a", "b"], "doc": {"name": "a.txt", "size": 5, "type": "text/plain", "base64": "aGVsbG8="}});
        for end in ["\r\n", "\n"] {
            let body = form(&parts, end);
            assert_eq!(read(KIND, &body), Ok(expected.clone()), "{end:?}");
            assert_eq!(read("Multipart/Form-Data; charset=utf-8; Boundary=\"x\"", &body), Ok(expected.clone()));
            assert_eq!(read(KIND, &[b"preamble\n", &body[..], b"epilogue"].concat()), Ok(expected.clone()));
        }
        let body = form(&parts, "\r\n");
        assert_eq!(read("multipart/form-data", &body), Err("its content type names no boundary".into()));
        assert_eq!(read("multipart/form-data; boundary=y", &body), Err("its boundary does not occur in the body".into()));
        for end in [60, body.len() - 9] {
            assert_eq!(read(KIND, &body[..end]), Err("it is incomplete".into()));
        }
        assert_eq!(read(KIND, b"--x--\r\n"), Ok(json!({})));
    }

    #[test]
    fn the_bytes_of_a_file_are_kept_exactly() {
        let head = "Content-Disposition: form-data; name=\"f\"; filename*=utf-8''%C3%A9";
        for bytes in [&b"\r\n\n--y\r\n\xff\0"[..], b"", b"ends with \r", b"\n", b"--xy\n"] {
            for end in ["\r\n", "\n"] {
                let expected = file(Some("é".into()), None, bytes);
                assert_eq!(read(KIND, &form(&[(head, bytes)], end)), Ok(json!({ "f": expected })), "{bytes:?} {end:?}");
            }
        }
    }

    #[test]
    fn fields_are_decoded_as_their_part_or_the_form_says() {
        let field = |name: &str| format!("Content-Disposition: form-data; name=\"{name}\"");
        let typed = format!("{}\nContent-Type: text/plain;\n charset=ISO-8859-1", field("a"));
        assert_eq!(read(KIND, &form(&[(&typed, b"\xfc")], "\r\n")), Ok(json!({"a": "ü"})));
        let named = form(&[(&field("_charset_"), b"windows-1252"), (&field("a"), b"\x80")], "\r\n");
        assert_eq!(read(KIND, &named), Ok(json!({"_charset_": "windows-1252", "a": "€"})));
        let photo = format!("{}\nContent-Type: image/png", field("a"));
        assert_eq!(read(KIND, &form(&[(&photo, b"\x89")], "\r\n")), Ok(json!({"a": {"size": 1, "type": "image/png", "base64": "iQ=="}})));
    }

    #[test]
    fn a_form_has_a_limited_number_of_fields() {
        let parts = |n: usize| vec![("Content-Disposition: form-data; name=a", &b"b"[..]); n];
        assert!(read(KIND, &form(&parts(MAX_FORM_NAMES), "\n")).is_ok());
        assert_eq!(read(KIND, &form(&parts(MAX_FORM_NAMES + 1), "\n")), Err("it has more than 10000 fields".into()));
    }
}
