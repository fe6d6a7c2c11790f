//! Reads an XML document event by event, and refuses it if it is not well-formed (XML 1.0).
//!
//! Packages (ECMA-376, part 2, 9.1.4) contain XML in UTF-8 or UTF-16 without a DTD; UTF-16 is refused.

use std::io::{self, BufRead, Chain, Cursor, Read};
use std::ops::Range;

use encoding_rs::{Encoding, UTF_8};
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

/// A byte order mark in UTF-8.
pub(super) const MARK: &[u8] = b"\xef\xbb\xbf";
/// The maximum number of attributes of an element; each is compared with all before it.
const MAX_ATTRIBUTES: usize = 256;

pub(super) fn malformed(what: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("its XML is malformed: {what}"))
}

/// Reads a document, and refuses it if it is not well-formed.
pub(super) struct XmlReader<R> {
    reader: Reader<Chain<Cursor<Vec<u8>>, R>>,
    has_mark: bool,
    /// Whether it is a whole document with one root, rather than elements that are inserted into one.
    is_whole: bool,
    has_begun: bool,
    has_root: bool,
    depth: usize,
    is_ascii: bool,
}

impl<R: BufRead> XmlReader<R> {
    pub(super) fn new(mut from: R) -> io::Result<Self> {
        let mut start = Vec::new();
        (&mut from).take(MARK.len() as u64).read_to_end(&mut start)?;
        if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
            return Err(malformed("it is encoded in UTF-16, not in UTF-8"));
        }
        let has_mark = start == MARK;
        // A byte order mark is always skipped, even if it is in a chunk of its own.
        let mut reader = Reader::from_reader(Cursor::new(start).chain(from));
        reader.config_mut().check_comments = true;
        Ok(Self { reader, has_mark, is_whole: true, has_begun: false, has_root: false, depth: 0, is_ascii: false })
    }

    /// Reads the next event, and stores all of its bytes in `raw`. The last event is `Eof`, which comes only if the document
    /// ends correctly.
    pub(super) fn read<'b>(&mut self, raw: &'b mut Vec<u8>) -> io::Result<Event<'b>> {
        raw.clear();
        let event = self.reader.read_event_into(raw).map_err(malformed)?;
        self.check(&event)?;
        self.has_begun = true;
        Ok(event)
    }

    /// The same for elements that are inserted into a document.
    pub(super) fn of_some(from: R) -> io::Result<Self> {
        Ok(Self { is_whole: false, ..Self::new(from)? })
    }

    /// How many bytes have been read, excluding a byte order mark.
    pub(super) fn position(&self) -> u64 {
        self.reader.buffer_position()
    }

    /// Everything that has not been read yet.
    pub(super) fn unread(&mut self) -> impl Read {
        self.reader.stream()
    }

    /// How many elements are open.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn has_mark(&self) -> bool {
        self.has_mark
    }

    /// Whether an encoding other than UTF-8 is declared; in such a document, only ASCII is read and written.
    pub(super) fn is_ascii(&self) -> bool {
        self.is_ascii
    }

    fn check(&mut self, event: &Event) -> io::Result<()> {
        check_characters(event)?;
        if self.is_ascii && !event.is_ascii() {
            return Err(malformed("it declares an encoding other than UTF-8"));
        }
        let is_inside = self.depth > 0 || !self.is_whole;
        match event {
            Event::Start(tag) | Event::Empty(tag) => {
                if !is_inside && std::mem::replace(&mut self.has_root, true) {
                    return Err(malformed("there is content after its end"));
                }
                check_tag(tag)?;
                self.depth += usize::from(matches!(event, Event::Start(_)));
            }
            Event::End(_) => self.depth = self.depth.saturating_sub(1),
            Event::Text(text) if text.contains("]]>") => return Err(malformed("]]> in text")),
            Event::Text(text) if !is_inside && !text.trim_ascii().is_empty() => return Err(malformed("text outside its root")),
            Event::PI(pi) if !is_name(pi.target()) || pi.target().eq_ignore_ascii_case("xml") => return Err(malformed("<?")),
            Event::Text(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::CData(_) if is_inside => {}
            // Without a DTD, only XML's five predefined entities and character references exist.
            Event::GeneralRef(name) if is_inside => check_characters(&unescape(&format!("&{};", &**name)).map_err(malformed)?)?,
            Event::CData(_) | Event::GeneralRef(_) => return Err(malformed("text outside its root")),
            Event::Decl(declaration) if self.is_whole && !self.has_begun => {
                let encoding = declared(declaration).ok_or_else(|| malformed("<?xml"))?;
                let known = Encoding::for_label(encoding.as_bytes()).filter(|e| e.is_ascii_compatible());
                self.is_ascii = known.ok_or_else(|| malformed(format!("it is not encoded in {encoding}")))? != UTF_8;
            }
            Event::Decl(_) => return Err(malformed("<?xml in the middle")),
            Event::DocType(_) => return Err(malformed("it has a DTD")),
            Event::Eof if self.depth > 0 || self.is_whole && !self.has_root => return Err(malformed("it ends too early")),
            Event::Eof => {}
        }
        Ok(())
    }
}

pub(super) fn check_characters(text: &str) -> io::Result<()> {
    let is_control = |b: u8| b < b' ' && !matches!(b, b'\t' | b'\n' | b'\r');
    if text.bytes().any(is_control) || !text.is_ascii() && text.contains(['\u{fffe}', '\u{ffff}']) {
        return Err(malformed("a character that XML does not allow"));
    }
    Ok(())
}

/// The encoding that a declaration (`<?xml … ?>`) names, or UTF-8; `None` if the declaration is malformed.
fn declared(declaration: &str) -> Option<&str> {
    let pair = |a: Attribute| (&declaration[a.name], &declaration[a.value]);
    let pairs: Vec<(&str, &str)> = attributes(declaration, "xml".len()).map(|a| a.map(pair)).collect::<Option<_>>()?;
    let [("version", version), rest @ ..] = pairs.as_slice() else { return None };
    let (encoding, rest) = match rest {
        [("encoding", encoding), rest @ ..] => (*encoding, rest),
        rest => ("UTF-8", rest),
    };
    let minor = version.strip_prefix("1.").filter(|v| !v.is_empty() && v.bytes().all(|b| b.is_ascii_digit()));
    (minor.is_some() && matches!(rest, [] | [("standalone", "yes" | "no")])).then_some(encoding)
}

fn check_tag(tag: &BytesStart) -> io::Result<()> {
    let name = tag.name();
    let wrong = || malformed(format!("<{}>", tag.name().as_ref()));
    if !is_name(name.as_ref()) {
        return Err(wrong());
    }
    let mut names: Vec<&str> = Vec::new();
    for attribute in attributes(tag, name.as_ref().len()) {
        let attribute = attribute.ok_or_else(wrong)?;
        let (name, value) = (&tag[attribute.name], &tag[attribute.value]);
        if !is_name(name) || value.contains('<') || names.contains(&name) || names.len() == MAX_ATTRIBUTES {
            return Err(wrong());
        }
        if value.contains('&') {
            check_characters(&unescape(value).map_err(malformed)?)?;
        }
        names.push(name);
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let begins = |b: u8| b.is_ascii_alphabetic() || b >= 0x80 || matches!(b, b'_' | b':');
    name.bytes().next().is_some_and(begins) && name.bytes().all(|b| begins(b) || b.is_ascii_digit() || matches!(b, b'-' | b'.'))
}

/// The position of an attribute in its tag: the space before it, its name, and its value without the quotes.
pub(super) struct Attribute {
    pub whole: Range<usize>,
    pub name: Range<usize>,
    pub value: Range<usize>,
}

/// The attributes of a tag after this many bytes of it; `None` for a malformed one.
pub(super) fn attributes(tag: &str, mut at: usize) -> impl Iterator<Item = Option<Attribute>> {
    let bytes = tag.as_bytes();
    let skip = |from: usize, some: &dyn Fn(u8) -> bool| (from..bytes.len()).find(|n| !some(bytes[*n])).unwrap_or(bytes.len());
    let is_space = |b: u8| b.is_ascii_whitespace();
    std::iter::from_fn(move || {
        let start = at;
        let name = skip(start, &is_space);
        if name == bytes.len() {
            return None;
        }
        let name = name..skip(name, &|b| !is_space(b) && b != b'=');
        let sign = skip(name.end, &is_space);
        let quote = skip(sign + 1, &is_space);
        let value = quote + 1..skip(quote + 1, &|b| b != bytes[quote]);
        at = value.end + 1;
        let is_good = name.start > start && bytes.get(sign) == Some(&b'=') && matches!(bytes.get(quote), Some(b'"' | b'\''));
        let is_closed = at <= bytes.len();
        // Nothing is read after an error.
        if !(is_good && is_closed) {
            at = bytes.len();
            return Some(None);
        }
        Some(Some(Attribute { whole: start..at, name, value }))
    })
}

/// An attribute's value, unescaped.
pub(super) fn attribute(tag: &BytesStart, name: &str) -> Option<String> {
    let raw = tag.attributes().flatten().find(|a| a.key.as_ref() == name)?.value;
    Some(unescape(&raw).map_or_else(|_| raw.to_string(), |v| v.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(xml: &[u8]) -> io::Result<()> {
        let (mut reader, mut raw) = (XmlReader::new(xml)?, Vec::new());
        while !matches!(reader.read(&mut raw)?, Event::Eof) {}
        Ok(())
    }

    #[test]
    fn malformed_xml_is_rejected() {
        for xml in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>text",
            "<a/>&lt;",
            "<a><![CDATA[x]]</a>",
            "<a b/>",
            "<a b=c/>",
            "<a b='c\"/>",
            "<a b='1'c='2'/>",
            "<a b='1' b='2'/>",
            "<a b='<'/>",
            "<a b='&'/>",
            "<a b='&none;'/>",
            "<a<b/>",
            "<1/>",
            "< a/>",
            "<a>&</a>",
            "<a>&none;</a>",
            "<a>&#1;</a>",
            "<a b='&#xFFFE;'/>",
            "<a>]]></a>",
            "<a>\u{1}</a>",
            "<a>\u{fffe}</a>",
            "<a><!-- -- --></a>",
            "<a/><?xml version='1.0'?>",
            " <?xml version='1.0'?><a/>",
            "<!DOCTYPE a><a/>",
            "<?xml?><a/>",
            "<?xml encoding='UTF-8'?><a/>",
            "<?xml version='2'?><a/>",
            "<?xml version='1.0' standalone='yes' encoding='UTF-8'?><a/>",
            "<?xml version='1.0' standalone='1'?><a/>",
            "<?XML?><a/>",
            "<? a?><a/>",
            "<?xml version='1.0' encoding='UTF-16'?><a/>",
            "<?xml version='1.0' encoding='latin1'?><a>é</a>",
            "<?xml version='1.0' encoding='no'?><a/>",
            "\u{feff}\u{feff}<a/>",
        ] {
            assert!(read(xml.as_bytes()).is_err(), "{xml}");
        }
        assert!(read(b"<a>\xff</a>").is_err());
        assert!(read(b"\xff\xfe<\0a\0/\0>\0").unwrap_err().to_string().ends_with("it is encoded in UTF-16, not in UTF-8"));
    }

    #[test]
    fn well_formed_xml_is_read() {
        for xml in [
            "<a/>",
            "\u{feff}<?xml version=\"1.0\" encoding='utf-8' standalone=\"yes\"?>\r\n<!-- <b> -->\n<a\n b = '>\"' c:d=\"'/>\" ><é/></a >\n<?end?>",
            "<?xml version='1.0' encoding='ASCII'?><a>x</a>",
            "<a>&lt;&#1234;&#xE9;<![CDATA[<b>&x; ]>]]> ]] > \u{1f600}</a>",
        ] {
            read(xml.as_bytes()).unwrap();
        }
    }
}
