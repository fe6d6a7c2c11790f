//! The XML of one sheet (ECMA-376, part 1, 18.3): looks at its shape in one pass and adds rows in a second one.
//!
//! Both passes stream, so that a sheet of a hundred thousand rows costs no more memory than a small one. Everything that
//! is not meant to change is copied as it was read.

use std::collections::HashMap;
use std::io::{self, BufRead, Write};

use quick_xml::escape::{escape, unescape};
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;
use quick_xml::writer::Writer;

use super::file::Cell;

/// A row to be added: cells by column, counted from 1, in order.
pub(super) struct Line(pub Vec<(u32, Cell)>);

/// What has to be known of a sheet before rows are added.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// The titles in the first row that has any, by column.
    pub header: Vec<(u32, String)>,
    /// Titles that stand among the shared strings, by their index there.
    pub shared: Vec<(u32, usize)>,
    header_row: u32,
    /// The last row with a value.
    pub last_row: u32,
    /// The styles of that row's cells, if it is not the header.
    styles: HashMap<u32, String>,
    last_column: u32,
    /// The prefix of the sheet's tags, with its colon.
    prefix: String,
}

fn broken(e: impl std::fmt::Display) -> io::Error {
    io::Error::other(e.to_string())
}

/// An attribute's value, unescaped.
pub(super) fn attribute(tag: &BytesStart, name: &str) -> Option<String> {
    let raw = tag.attributes().flatten().find(|a| a.key.as_ref() == name)?.value;
    Some(unescape(&raw).map_or_else(|_| raw.to_string(), |v| v.into_owned()))
}

/// Looks at a sheet.
pub(super) fn scan(xml: impl BufRead) -> io::Result<Shape> {
    let mut reader = Reader::from_reader(xml);
    let mut buffer = Vec::new();
    let mut shape = Shape::default();
    let (mut row, mut column) = (0u32, 0u32);
    let mut styles: Vec<(u32, String)> = Vec::new();
    let (mut has_value, mut in_data) = (false, false);
    // The cell at hand: its type, and its text while a header is being read.
    let (mut kind, mut text, mut reading) = (String::new(), String::new(), false);
    let mut titles: Vec<(u32, String, bool)> = Vec::new();
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer).map_err(broken)? {
            Event::Start(tag) | Event::Empty(tag) if tag.local_name().as_ref() == "sheetData" => {
                in_data = true;
                shape.prefix = tag.name().prefix().map_or(String::new(), |p| format!("{}:", p.as_ref()));
            }
            Event::End(tag) if tag.local_name().as_ref() == "sheetData" => in_data = false,
            Event::Start(tag) if in_data => match tag.local_name().as_ref() {
                "row" => {
                    row = attribute(&tag, "r").and_then(|r| r.parse().ok()).unwrap_or(row + 1);
                    column = 0;
                    has_value = false;
                    styles.clear();
                    titles.clear();
                }
                "c" => {
                    column = place(&tag, column);
                    kind = attribute(&tag, "t").unwrap_or_default();
                    text.clear();
                    styles.extend(attribute(&tag, "s").map(|s| (column, s)));
                }
                "v" | "t" | "f" => {
                    has_value = true;
                    reading = tag.local_name().as_ref() != "f";
                }
                _ => {}
            },
            Event::Empty(tag) if in_data => match tag.local_name().as_ref() {
                "row" => row = attribute(&tag, "r").and_then(|r| r.parse().ok()).unwrap_or(row + 1),
                "c" => {
                    column = place(&tag, column);
                    styles.extend(attribute(&tag, "s").map(|s| (column, s)));
                }
                _ => {}
            },
            Event::Text(t) if reading && shape.header_row == 0 => text.push_str(&t.xml10_content()),
            Event::GeneralRef(r) if reading && shape.header_row == 0 => {
                text.push_str(&unescape(&format!("&{};", r.as_ref())).map_err(broken)?)
            }
            Event::CData(t) if reading && shape.header_row == 0 => text.push_str(&t.xml10_content()),
            Event::End(tag) if in_data => match tag.local_name().as_ref() {
                "v" | "t" | "f" => reading = false,
                "c" => {
                    if shape.header_row == 0 && !text.is_empty() {
                        titles.push((column, std::mem::take(&mut text), kind == "s"));
                    }
                    shape.last_column = shape.last_column.max(column);
                }
                "row" if has_value => {
                    shape.last_row = row;
                    if shape.header_row == 0 {
                        shape.header_row = row;
                        for (column, text, shared) in titles.drain(..) {
                            match (shared, text.parse::<usize>()) {
                                (true, Ok(index)) => shape.shared.push((column, index)),
                                _ => shape.header.push((column, text.trim().to_owned())),
                            }
                        }
                    } else {
                        shape.styles = styles.drain(..).collect();
                    }
                }
                _ => {}
            },
            Event::Eof => return Ok(shape),
            _ => {}
        }
    }
}

/// The column of a cell, by its name or behind the one before it.
fn place(tag: &BytesStart, before: u32) -> u32 {
    attribute(tag, "r").and_then(|r| at_cell(&r)).map_or(before + 1, |(column, _)| column)
}

/// The shared strings with these indexes.
pub(super) fn shared(xml: impl BufRead, wanted: &[usize]) -> io::Result<HashMap<usize, String>> {
    let mut reader = Reader::from_reader(xml);
    let mut buffer = Vec::new();
    let mut found = HashMap::new();
    let (mut index, mut text, mut reading, mut phonetic) = (0usize, String::new(), false, false);
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer).map_err(broken)? {
            Event::Start(tag) => match tag.local_name().as_ref() {
                "si" => text.clear(),
                "t" => reading = !phonetic,
                "rPh" => phonetic = true,
                _ => {}
            },
            Event::Empty(tag) if tag.local_name().as_ref() == "si" => index += 1,
            Event::Text(t) if reading => text.push_str(&t.xml10_content()),
            Event::GeneralRef(r) if reading => text.push_str(&unescape(&format!("&{};", r.as_ref())).map_err(broken)?),
            Event::End(tag) => match tag.local_name().as_ref() {
                "t" => reading = false,
                "rPh" => phonetic = false,
                "si" => {
                    if wanted.contains(&index) {
                        found.insert(index, text.clone());
                    }
                    index += 1;
                }
                _ => {}
            },
            Event::Eof => return Ok(found),
            _ => {}
        }
        if found.len() == wanted.len() {
            return Ok(found);
        }
    }
}

/// Copies a sheet and adds the rows behind its last one.
pub(super) fn write(xml: impl BufRead, out: impl Write, shape: &Shape, lines: &[Line]) -> io::Result<()> {
    let mut reader = Reader::from_reader(xml);
    let mut writer = Writer::new(out);
    let mut buffer = Vec::new();
    let new_last = shape.last_row + lines.len() as u32;
    let (mut row, mut added, mut skipping) = (0u32, false, false);
    let prefix = &shape.prefix;
    let add = |writer: &mut Writer<_>| rows(writer.get_mut(), shape, lines);
    loop {
        buffer.clear();
        let event = reader.read_event_into(&mut buffer).map_err(broken)?;
        match &event {
            Event::Eof => return Ok(()),
            Event::Start(tag) | Event::Empty(tag) if tag.local_name().as_ref() == "row" => {
                row = attribute(tag, "r").and_then(|r| r.parse().ok()).unwrap_or(row + 1);
                if row > shape.last_row && !added {
                    add(&mut writer)?;
                    added = true;
                }
                // An empty row that was only formatted makes room for one of ours.
                if row > shape.last_row && row <= new_last {
                    skipping = matches!(event, Event::Start(_));
                    continue;
                }
            }
            Event::End(tag) if tag.local_name().as_ref() == "row" && skipping => {
                skipping = false;
                continue;
            }
            Event::End(tag) if tag.local_name().as_ref() == "sheetData" && !added => {
                add(&mut writer)?;
                added = true;
            }
            Event::Empty(tag) if tag.local_name().as_ref() == "sheetData" => {
                writer.get_mut().write_all(format!("<{prefix}sheetData>").as_bytes())?;
                add(&mut writer)?;
                added = true;
                writer.get_mut().write_all(format!("</{prefix}sheetData>").as_bytes())?;
                continue;
            }
            Event::Start(tag) | Event::Empty(tag) if matches!(tag.local_name().as_ref(), "dimension" | "autoFilter") => {
                let is_dimension = tag.local_name().as_ref() == "dimension";
                if let Some(longer) = attribute(tag, "ref").and_then(|r| grown(&r, is_dimension, shape, lines, new_last)) {
                    let tag = with_ref(tag, &longer);
                    writer.write_event(if matches!(event, Event::Start(_)) { Event::Start(tag) } else { Event::Empty(tag) })?;
                    continue;
                }
            }
            _ => {}
        }
        if !skipping {
            writer.write_event(event)?;
        }
    }
}

fn grown(range: &str, is_dimension: bool, shape: &Shape, lines: &[Line], new_last: u32) -> Option<String> {
    let (from, to) = at_range(range)?;
    if is_dimension {
        let widest = lines.iter().flat_map(|l| l.0.last()).map(|(c, _)| *c).max().unwrap_or(1);
        return Some(self::range((from.0, from.1), (to.0.max(widest), to.1.max(new_last))));
    }
    (to.1 == shape.last_row).then(|| self::range(from, (to.0, new_last)))
}

fn with_ref<'a>(tag: &BytesStart<'a>, range: &str) -> BytesStart<'a> {
    let name = tag.name().as_ref().to_owned();
    let mut copy = BytesStart::new(name);
    for a in tag.attributes().flatten() {
        let value = if a.key.as_ref() == "ref" { range.into() } else { a.value.clone() };
        copy.push_attribute(quick_xml::events::attributes::Attribute { key: a.key, value });
    }
    copy.into_owned()
}

fn rows(out: &mut impl Write, shape: &Shape, lines: &[Line]) -> io::Result<()> {
    let p = &shape.prefix;
    let mut xml = String::new();
    for (number, line) in (shape.last_row + 1..).zip(lines) {
        xml.push_str(&format!("<{p}row r=\"{number}\">"));
        for (column, cell) in &line.0 {
            let at = format!("{}{number}", letters(*column));
            let style = shape.styles.get(column).map_or(String::new(), |s| format!(" s=\"{}\"", escape(s.as_str())));
            match cell {
                Cell::Empty if style.is_empty() => {}
                Cell::Empty => xml.push_str(&format!("<{p}c r=\"{at}\"{style}/>")),
                Cell::Number(n) => xml.push_str(&format!("<{p}c r=\"{at}\"{style}><{p}v>{n}</{p}v></{p}c>")),
                Cell::Bool(b) => xml.push_str(&format!("<{p}c r=\"{at}\"{style} t=\"b\"><{p}v>{}</{p}v></{p}c>", u8::from(*b))),
                Cell::Text(t) => {
                    let text = cell_text(t);
                    xml.push_str(&format!(
                        "<{p}c r=\"{at}\"{style} t=\"inlineStr\"><{p}is><{p}t xml:space=\"preserve\">{text}</{p}t></{p}is></{p}c>"
                    ));
                }
            }
        }
        xml.push_str(&format!("</{p}row>"));
        if xml.len() > 64 << 10 {
            out.write_all(xml.as_bytes())?;
            xml.clear();
        }
    }
    out.write_all(xml.as_bytes())
}

/// Text as a cell holds it: XML's letters escaped, and those that XML cannot hold as `_x0001_` (ECMA-376, 22.9.2.19).
fn cell_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let code = c as u32;
        match c {
            '\t' | '\n' => out.push(c),
            '\r' => out.push_str("_x000D_"),
            '_' if text[at + 1..].starts_with('x') && text.as_bytes().get(at + 6) == Some(&b'_') => out.push_str("_x005F_"),
            _ if code < 0x20 || code == 0xfffe || code == 0xffff => out.push_str(&format!("_x{code:04X}_")),
            _ => out.push(c),
        }
    }
    escape(out.as_str()).into_owned()
}

/// `C` for 3.
fn letters(mut column: u32) -> String {
    let mut out = Vec::new();
    while column > 0 {
        column -= 1;
        out.push(b'A' + (column % 26) as u8);
        column /= 26;
    }
    out.reverse();
    String::from_utf8(out).unwrap_or_default()
}

/// Column and row of `C7`, with or without dollar signs.
fn at_cell(name: &str) -> Option<(u32, u32)> {
    let name = name.replace('$', "");
    let digits = name.find(|c: char| c.is_ascii_digit())?;
    let column = name[..digits]
        .bytes()
        .try_fold(0u32, |n, b| b.is_ascii_uppercase().then(|| n * 26 + u32::from(b - b'A') + 1))
        .filter(|c| *c <= 16_384)?;
    Some((column, name[digits..].parse().ok()?))
}

/// The corners of `A1:C7`, or of the single cell `A1`.
pub(super) fn at_range(range: &str) -> Option<((u32, u32), (u32, u32))> {
    let (from, to) = range.split_once(':').unwrap_or((range, range));
    Some((at_cell(from)?, at_cell(to)?))
}

pub(super) fn range(from: (u32, u32), to: (u32, u32)) -> String {
    format!("{}{}:{}{}", letters(from.0), from.1, letters(to.0), to.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_letters() {
        for (number, text) in [(1, "A"), (26, "Z"), (27, "AA"), (702, "ZZ"), (703, "AAA"), (16_384, "XFD")] {
            assert_eq!(letters(number), text);
            assert_eq!(at_cell(&format!("${text}$9")), Some((number, 9)));
        }
    }

    #[test]
    fn rows_are_added_behind_the_last_value_and_nothing_else_changes() {
        let before = "<x:worksheet><x:dimension ref=\"A1:B2\"/><x:sheetData><x:row r=\"1\"><x:c r=\"A1\" t=\"inlineStr\"><x:is><x:t>N &amp; M</x:t></x:is></x:c><x:c r=\"B1\" t=\"s\"><x:v>3</x:v></x:c></x:row>\
            <x:row r=\"2\"><x:c r=\"A2\" s=\"4\"><x:v>1</x:v></x:c></x:row><x:row r=\"3\" ht=\"9\"/><x:row r=\"4\" ht=\"9\"/></x:sheetData><x:autoFilter ref=\"A1:B2\"/><x:other a='1'/></x:worksheet>";
        let mut shape = scan(before.as_bytes()).unwrap();
        assert_eq!((shape.header.clone(), shape.shared.clone(), shape.last_row), (vec![(1, "N & M".to_owned())], vec![(2, 3)], 2));
        shape.header.push((2, "Note".into()));
        let mut out = Vec::new();
        let lines = [Line(vec![(1, Cell::Number("7".into())), (2, Cell::Text("<a>".into()))])];
        write(before.as_bytes(), &mut out, &shape, &lines).unwrap();
        let expected = before
            .replace("A1:B2", "A1:B3")
            .replace("<x:row r=\"3\" ht=\"9\"/>", "<x:row r=\"3\"><x:c r=\"A3\" s=\"4\"><x:v>7</x:v></x:c><x:c r=\"B3\" t=\"inlineStr\"><x:is><x:t xml:space=\"preserve\">&lt;a&gt;</x:t></x:is></x:c></x:row>");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn what_xml_cannot_hold_is_spelled_out() {
        assert_eq!(cell_text("a\u{1}b_x0001_<"), "a_x0001_b_x005F_x0001_&lt;");
    }
}
