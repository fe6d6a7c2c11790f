//! Changes some elements of an XML document and copies everything else byte for byte: the only way in which the parts of a
//! workbook are changed.
//!
//! A [`Rewriter`] goes through a document event by event. Whatever is not changed is written as it was read, including
//! white space, quotes and comments. Nothing malformed is written: a document that is not well-formed is an error, and so
//! is a malformed addition. The meaning of the elements is known to [`super::package`] and [`super::worksheet`] only.

use std::borrow::Cow;
use std::io::{self, BufRead, Read, Write};
use std::ops::Range;

use quick_xml::escape::{escape, partial_escape, unescape};
use quick_xml::events::{BytesStart, Event};

use super::xml_reader::{Attribute, MARK, XmlReader, attributes, check_characters, malformed};

/// Escapes text as an attribute value, for either kind of quotes. Tabs and line ends would otherwise be read as spaces.
pub(super) fn attribute_value(text: &str) -> String {
    escape(text).replace('\t', "&#9;").replace('\n', "&#10;")
}

/// The kind of the current event of a [`Rewriter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Start,
    /// `<name/>`
    Empty,
    End,
    Text,
    Other,
}

impl At {
    /// Whether an element begins here.
    pub(super) fn begins(self) -> bool {
        matches!(self, At::Start | At::Empty)
    }
    /// Whether an element ends here.
    pub(super) fn ends(self) -> bool {
        matches!(self, At::End | At::Empty)
    }
}

/// Goes through a document and writes it. The current event is written when the rewriter moves on, with the changes made to it.
pub(super) struct Rewriter<R, W> {
    from: XmlReader<R>,
    out: W,
    at: At,
    /// The current event, as it will be written.
    raw: Vec<u8>,
}

/// Rewrites a document, with `edit` applied to its events.
pub(super) fn rewrite(xml: &str, mut edit: impl FnMut(&mut Rewriter<&[u8], &mut Vec<u8>>, At) -> io::Result<()>) -> io::Result<String> {
    let mut out = Vec::with_capacity(xml.len() + 256);
    let mut rewriter = Rewriter::new(xml.as_bytes(), &mut out)?;
    while let Some(at) = rewriter.next()? {
        edit(&mut rewriter, at)?;
    }
    String::from_utf8(out).map_err(malformed)
}

impl<R: BufRead, W: Write> Rewriter<R, W> {
    pub(super) fn new(from: R, out: W) -> io::Result<Self> {
        let from = XmlReader::new(from)?;
        let raw = if from.has_mark() { MARK.to_vec() } else { Vec::new() };
        Ok(Self { from, out, at: At::Other, raw })
    }

    /// Writes the current event and moves to the next. After `None`, the whole document has been written.
    pub(super) fn next(&mut self) -> io::Result<Option<At>> {
        self.out.write_all(&self.raw)?;
        self.at = match self.from.read(&mut self.raw)? {
            Event::Start(_) => At::Start,
            Event::Empty(_) => At::Empty,
            Event::End(_) => At::End,
            Event::Text(_) => At::Text,
            Event::Eof => return Ok(None),
            _ => At::Other,
        };
        Ok(Some(self.at))
    }

    /// The current event, as it will be written.
    pub(super) fn text(&self) -> &str {
        // It was read as UTF-8, and all changes to it are text.
        std::str::from_utf8(&self.raw).unwrap_or_default()
    }

    /// The name of the current tag, with its prefix; empty if the event is not a tag.
    fn name(&self) -> &str {
        match self.at {
            At::Text | At::Other => "",
            _ => self.text().trim_start_matches(['<', '/']).split([' ', '\t', '\r', '\n', '/', '>']).next().unwrap_or_default(),
        }
    }

    /// The name of the current tag without its prefix; empty if the event is not a tag.
    pub(super) fn local(&self) -> &str {
        self.name().split_once(':').map_or(self.name(), |(_, local)| local)
    }

    /// The prefix of the current tag, with its colon.
    pub(super) fn prefix(&self) -> &str {
        &self.name()[..self.name().len() - self.local().len()]
    }

    /// How many elements enclose the current one; 0 for the root.
    pub(super) fn depth(&self) -> usize {
        self.from.depth() - usize::from(self.at == At::Start)
    }

    /// The current tag, to read its attributes.
    pub(super) fn tag(&self) -> BytesStart<'_> {
        BytesStart::from_content(&self.text()[self.content()], self.name().len())
    }

    /// The positions of the name and attributes of the current tag.
    fn content(&self) -> Range<usize> {
        match self.at {
            At::Start => 1..self.raw.len() - 1,
            At::Empty => 1..self.raw.len() - 2,
            _ => 0..0,
        }
    }

    fn find(&self, name: &str) -> Option<Attribute> {
        let (tag, from) = (&self.text()[self.content()], self.content().start);
        let found = attributes(tag, self.name().len()).flatten().find(|a| &tag[a.name.clone()] == name)?;
        let moved = |range: Range<usize>| range.start + from..range.end + from;
        Some(Attribute { whole: moved(found.whole), name: moved(found.name), value: moved(found.value) })
    }

    /// Sets an attribute of the current tag. Its quotes and its position among the others are preserved.
    pub(super) fn set(&mut self, name: &str, value: &str) -> io::Result<()> {
        check_characters(value)?;
        if !self.at.begins() {
            return Err(malformed(format!("the attribute {name} has no tag")));
        }
        let spelled = self.spelled(&attribute_value(value)).into_owned();
        match self.find(name) {
            Some(found) if unescape(&self.text()[found.value.clone()]).is_ok_and(|old| old == value) => {}
            Some(found) => drop(self.raw.splice(found.value, spelled.into_bytes())),
            None => {
                let content = self.content();
                let end = content.start + self.text()[content].trim_ascii_end().len();
                self.raw.splice(end..end, format!(" {name}=\"{spelled}\"").into_bytes());
            }
        }
        Ok(())
    }

    /// Removes an attribute from the current tag.
    pub(super) fn remove(&mut self, name: &str) {
        if let Some(found) = self.find(name) {
            self.raw.drain(found.whole);
        }
    }

    /// Replaces the current text.
    pub(super) fn set_text(&mut self, text: &str) -> io::Result<()> {
        check_characters(text)?;
        if self.at == At::Text {
            self.raw = self.spelled(&partial_escape(text)).into_owned().into_bytes();
        }
        Ok(())
    }

    /// Writes elements before the current event.
    pub(super) fn insert(&mut self, xml: &str) -> io::Result<()> {
        if self.depth() == 0 && self.at != At::End {
            return Err(malformed("an element outside its root"));
        }
        self.write_checked(xml)
    }

    /// Appends elements to the element that ends here. An empty element gets an end tag, which is then the current event.
    pub(super) fn append(&mut self, xml: &str) -> io::Result<()> {
        if self.at == At::Empty {
            let end = format!("</{}>", self.name()).into_bytes();
            let start = self.content().end;
            self.raw.truncate(start);
            self.raw.push(b'>');
            self.out.write_all(&self.raw)?;
            (self.raw, self.at) = (end, At::End);
        }
        if self.at == At::End { self.write_checked(xml) } else { Err(malformed("content without an element")) }
    }

    /// Omits the current event; for an element, including everything in it.
    pub(super) fn discard(&mut self) -> io::Result<()> {
        if self.depth() == 0 && self.at.begins() || self.at == At::End {
            return Err(malformed("its root is missing"));
        }
        if self.at == At::Start {
            let depth = self.from.depth();
            while self.from.depth() >= depth {
                self.from.read(&mut self.raw)?;
            }
        }
        self.raw.clear();
        self.at = At::Other;
        Ok(())
    }

    /// Copies everything up to a position without reading it. The caller has read it, and knows that the same number of
    /// elements is open there as here.
    pub(super) fn copy_to(&mut self, position: u64) -> io::Result<()> {
        self.out.write_all(&self.raw)?;
        self.raw.clear();
        self.at = At::Other;
        let wanted = position.saturating_sub(self.from.position());
        let copied = io::copy(&mut self.from.unread().take(wanted), &mut self.out)?;
        if copied < wanted { Err(malformed("it ends too early")) } else { Ok(()) }
    }

    fn write_checked(&mut self, xml: &str) -> io::Result<()> {
        let mut checked = XmlReader::of_some(xml.as_bytes())?;
        let mut buffer = Vec::new();
        while !matches!(checked.read(&mut buffer)?, Event::Eof) {}
        let xml = self.spelled(xml).into_owned();
        self.out.write_all(xml.as_bytes())
    }

    /// Escapes text for the encoding of the document.
    fn spelled<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if !self.from.is_ascii() || text.is_ascii() {
            return text.into();
        }
        text.chars().map(|c| if c.is_ascii() { c.to_string() } else { format!("&#{};", u32::from(c)) }).collect::<String>().into()
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;

    /// Rewrites a document that is read in chunks of this many bytes, without changes.
    fn copied(xml: &[u8], piece: usize) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut rewriter = Rewriter::new(BufReader::with_capacity(piece, xml), &mut out)?;
        while rewriter.next()?.is_some() {}
        Ok(out)
    }

    #[test]
    fn only_the_attribute_that_is_set_changes_and_it_keeps_its_quotes() {
        for (before, after) in [
            ("<a><b/></a>", "<a><b c=\"&lt;&quot;&amp;&apos;&#10;é\"/></a>"),
            ("<a><b d='>' /></a>", "<a><b d='>' c=\"&lt;&quot;&amp;&apos;&#10;é\" /></a>"),
            ("<a><x:b\n c = '1' d='c=\"1\"'\t></x:b ></a>", "<a><x:b\n c = '&lt;&quot;&amp;&apos;&#10;é' d='c=\"1\"'\t></x:b ></a>"),
            ("<a><b c='&lt;\"&#38;&apos;&#xA;é'/></a>", "<a><b c='&lt;\"&#38;&apos;&#xA;é'/></a>"),
            ("<a><!-- <b c='1'/> --><![CDATA[<b c='1'/>]]></a>", "<a><!-- <b c='1'/> --><![CDATA[<b c='1'/>]]></a>"),
            (
                "<?xml version='1.0' encoding='ascii'?><a><b/></a>",
                "<?xml version='1.0' encoding='ascii'?><a><b c=\"&lt;&quot;&amp;&apos;&#10;&#233;\"/></a>",
            ),
        ] {
            let set = rewrite(before, |xml, at| if at.begins() && xml.local() == "b" { xml.set("c", "<\"&'\né") } else { Ok(()) });
            assert_eq!(set.unwrap(), after);
        }
        let removed = rewrite("<a b='1'  c='2'\n/>", |xml, _| {
            xml.remove("c");
            Ok(())
        });
        assert_eq!(removed.unwrap(), "<a b='1'\n/>");
    }

    #[test]
    fn elements_are_removed_inserted_and_appended() {
        let edit = |before: &str| {
            rewrite(before, |xml, at| match xml.local() {
                "out" if at.begins() => xml.discard(),
                "mark" if at.begins() => xml.insert("<new/>"),
                "list" if at.ends() => xml.append("<last>é</last>"),
                _ => Ok(()),
            })
        };
        for (before, after) in [
            ("<list/>", "<list><last>é</last></list>"),
            ("<p:list a='/>' /><!-- -->", "<p:list a='/>' ><last>é</last></p:list><!-- -->"),
            ("<list>\n</list >", "<list>\n<last>é</last></list >"),
            ("<a><out/> <out>x<out><mark/></out><list/></out>y<mark/></a>", "<a> y<new/><mark/></a>"),
        ] {
            assert_eq!(edit(before).unwrap(), after);
        }
    }

    #[test]
    fn nothing_malformed_is_inserted_and_the_root_is_never_removed() {
        type Edit = fn(&mut Rewriter<&[u8], &mut Vec<u8>>) -> io::Result<()>;
        let edits: [Edit; 10] = [
            |xml| xml.set("b", "\u{1}"),
            |xml| xml.append("<c>"),
            |xml| xml.append("</c>"),
            |xml| xml.append("<c d='&none;'/>"),
            |xml| xml.append("<c d='1' d='2'/>"),
            |xml| xml.append("<c>&</c>"),
            |xml| xml.append("<c>\u{2}</c>"),
            |xml| xml.append("<?xml version='1.0'?>"),
            |xml| xml.insert("<c/>"),
            |xml| xml.discard(),
        ];
        for edit in edits {
            assert!(rewrite("<a/>", |xml, _| edit(xml)).is_err());
        }
    }

    fn name() -> impl Strategy<Value = String> {
        "([a-z]{1,3}:)?(ref|calcPr|name|é|x[0-9]{0,2}\\.y)"
    }

    fn attribute() -> impl Strategy<Value = String> {
        ("[ \n\t]{1,2}", name(), "[ ]?", prop_oneof!["\"[^\"<&\0-\x1f\u{fffe}\u{ffff}]{0,8}\"", "'[^'<&\0-\x1f\u{fffe}\u{ffff}]{0,8}'"])
            .prop_map(|(space, name, around, value)| format!("{space}{name}{around}={around}{value}"))
    }

    /// Elements, text and comments that look similar, with every spelling that XML allows for the same thing.
    fn element() -> impl Strategy<Value = String> {
        let text = prop_oneof![
            "[^<&\\]\0-\x1f\u{fffe}\u{ffff}]{1,8}",
            Just(" ref=\"A1\" \r\n".to_owned()),
            Just("<!-- <calcPr/> ref='1' -->".to_owned()),
            Just("<![CDATA[<calcPr></ref>&]]>".to_owned()),
            Just("<?pi <ref/> ?>".to_owned()),
            Just("&amp;&#65;&#x42;".to_owned()),
        ];
        let tag = (name(), proptest::collection::vec(attribute(), 0..3), "[ \n]?")
            .prop_filter("attributes of different names", |(_, attributes, _)| {
                let names: std::collections::HashSet<&str> =
                    attributes.iter().map(|a| a.split('=').next().unwrap_or_default().trim()).collect();
                names.len() == attributes.len()
            })
            .prop_map(|(name, attributes, space)| (name, attributes.concat() + &space))
            .boxed();
        let empty = tag.clone().prop_map(|(name, rest)| format!("<{name}{rest}/>"));
        prop_oneof![text, empty].prop_recursive(4, 24, 5, move |inner| {
            (tag.clone(), proptest::collection::vec(inner, 0..5), "[ \n]?")
                .prop_map(|((name, rest), inside, space)| format!("<{name}{rest}>{}</{name}{space}>", inside.concat()))
        })
    }

    fn document() -> impl Strategy<Value = String> {
        let head = prop_oneof![
            Just(""),
            Just("\u{feff}"),
            Just("<?xml version=\"1.0\" encoding='UTF-8'?>\r\n"),
            Just("\u{feff}<?xml version='1.0'?><!-- > -->")
        ];
        (head, name(), proptest::collection::vec(element(), 0..6), "\n?(<!-- x -->)?\n?")
            .prop_map(|(head, root, inside, tail)| format!("{head}<{root}>{}</{root}>{tail}", inside.concat()))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_document_that_is_not_changed_is_written_byte_for_byte(xml in document(), piece in 1usize..40) {
            prop_assert_eq!(String::from_utf8(copied(xml.as_bytes(), piece).unwrap()).unwrap(), xml);
        }

        #[test]
        fn a_damaged_document_is_copied_exactly_or_rejected(
            xml in document(), at in any::<proptest::sample::Index>(), new in "[<>/&;'\"= \\]a!-]{0,3}", piece in 1usize..40,
        ) {
            let mut damaged = xml.into_bytes();
            let at = at.index(damaged.len());
            damaged.splice(at..(at + 2).min(damaged.len()), new.into_bytes());
            if let Ok(out) = copied(&damaged, piece) {
                prop_assert_eq!(out, damaged);
            }
        }

        #[test]
        fn a_value_that_is_set_is_read_back_and_the_rest_stays(xml in document(), value in "[^\0-\x08\x0b\x0c\x0e-\x1f\u{fffe}\u{ffff}]{0,12}") {
            let set = rewrite(&xml, |xml, at| if at.begins() && xml.depth() == 0 { xml.set("new", &value) } else { Ok(()) }).unwrap();
            let mut read = None;
            let back = rewrite(&set, |xml, at| {
                if at.begins() && xml.depth() == 0 {
                    read = xml.tag().attributes().flatten().find(|a| a.key.as_ref() == "new").map(|a| unescape(&a.value).unwrap().into_owned());
                    xml.remove("new");
                }
                Ok(())
            });
            prop_assert_eq!(back.unwrap(), xml);
            prop_assert_eq!(read, Some(value));
        }
    }
}
