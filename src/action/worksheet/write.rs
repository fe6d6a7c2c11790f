//! Writes a sheet with cells changed and rows added.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead, Read, Write};

use quick_xml::escape::escape;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;
use quick_xml::writer::Writer;
use regex::Regex;

use super::super::file::Cell;
use super::read::place;
use super::{Changed, Line, Shape, at_cell, at_range, attribute, broken, letters};

/// Copies a sheet, changes cells, and adds rows behind its last one, or above its totals.
pub(crate) fn write(xml: impl BufRead, out: impl Write, shape: &Shape, lines: &[Line], changed: &Changed) -> io::Result<()> {
    let mut reader = Reader::from_reader(xml);
    let mut writer = Writer::new(out);
    let mut buffer = Vec::new();
    let count = lines.len() as u32;
    let new_last = shape.last_row + count;
    let (mut row, mut added, mut skipping) = (0u32, lines.is_empty(), false);
    let prefix = &shape.prefix;
    let add = |writer: &mut Writer<_>| rows(writer.get_mut(), shape, lines);
    loop {
        buffer.clear();
        let event = reader.read_event_into(&mut buffer).map_err(broken)?;
        match &event {
            Event::Eof if added => return Ok(()),
            Event::Eof => return Err(io::Error::other("its rows never end")),
            Event::Start(tag) if tag.local_name().as_ref() == "sheetData" && changed.is_empty() => {
                writer.write_event(event)?;
                let (last, end) = shape.totals.map_or((shape.last_row, shape.end), |totals| (totals - 1, shape.end_before));
                let untouched = end.saturating_sub(reader.buffer_position());
                io::copy(&mut reader.stream().take(untouched), writer.get_mut())?;
                row = last;
                continue;
            }
            Event::Start(tag) | Event::Empty(tag) if tag.local_name().as_ref() == "row" => {
                row = attribute(tag, "r").and_then(|r| r.parse().ok()).unwrap_or(row + 1);
                let is_totals = shape.totals == Some(row);
                if (row > shape.last_row || is_totals) && !added {
                    add(&mut writer)?;
                    added = true;
                }
                if let (Event::Start(tag), true) = (&event, is_totals && count > 0) {
                    let tag = tag.to_owned();
                    lowered(&mut reader, &mut writer, &tag, row, count)?;
                    continue;
                }
                // An empty row that was only formatted makes room for one of ours.
                if row > shape.last_row && row <= new_last {
                    skipping = matches!(event, Event::Start(_));
                    continue;
                }
                if let Some(cells) = changed.get(&row) {
                    let (tag, empty) = (tag.to_owned(), matches!(event, Event::Empty(_)));
                    change(&mut reader, &mut writer, &tag, empty, row, cells, prefix)?;
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
            Event::Empty(tag) if tag.local_name().as_ref() == "sheetData" && !added => {
                writer.get_mut().write_all(format!("<{prefix}sheetData>").as_bytes())?;
                add(&mut writer)?;
                added = true;
                writer.get_mut().write_all(format!("</{prefix}sheetData>").as_bytes())?;
                continue;
            }
            Event::Start(tag) | Event::Empty(tag) if matches!(tag.local_name().as_ref(), "dimension" | "autoFilter") => {
                let is_dimension = tag.local_name().as_ref() == "dimension";
                let widest =
                    lines.iter().flat_map(|l| l.0.last()).map(|(c, _)| *c).chain(changed.values().filter_map(|r| r.keys().last().copied()));
                if let Some(longer) =
                    attribute(tag, "ref").and_then(|r| grown(&r, is_dimension, shape, widest.max().unwrap_or(1), new_last))
                {
                    let tag = with(tag, "ref", &longer);
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

/// Writes one row with some of its cells changed; they keep their styles.
fn change<R: BufRead, W: Write>(
    reader: &mut Reader<R>,
    writer: &mut Writer<W>,
    tag: &BytesStart,
    empty: bool,
    row: u32,
    cells: &BTreeMap<u32, Cell>,
    prefix: &str,
) -> io::Result<()> {
    // What says how wide the row is may no longer be so, and nobody needs it.
    writer.write_event(Event::Start(without(tag, "spans")))?;
    let mut left: VecDeque<(u32, &Cell)> = cells.iter().map(|(c, cell)| (*c, cell)).collect();
    let put = |writer: &mut Writer<W>, column: u32, cell: &Cell, style: &str| {
        writer.get_mut().write_all(cell_xml(prefix, column, row, cell, style).as_bytes())
    };
    let (mut buffer, mut column, mut dropping) = (Vec::new(), 0, false);
    loop {
        if empty {
            break;
        }
        buffer.clear();
        let event = reader.read_event_into(&mut buffer).map_err(broken)?;
        match &event {
            Event::Start(tag) | Event::Empty(tag) if tag.local_name().as_ref() == "c" => {
                column = place(tag, column);
                while let Some((c, cell)) = left.front().copied().filter(|(c, _)| *c <= column) {
                    left.pop_front();
                    let mine = c == column;
                    put(writer, c, cell, &attribute(tag, "s").filter(|_| mine).unwrap_or_default())?;
                    dropping = mine && matches!(event, Event::Start(_));
                }
                if cells.contains_key(&column) {
                    continue;
                }
            }
            Event::End(tag) if tag.local_name().as_ref() == "c" && dropping => {
                dropping = false;
                continue;
            }
            Event::End(tag) if tag.local_name().as_ref() == "row" => break,
            Event::Eof => return Err(io::Error::other("a row is never closed")),
            _ => {}
        }
        if !dropping {
            writer.write_event(event)?;
        }
    }
    for (column, cell) in left {
        put(writer, column, cell, "")?;
    }
    writer.get_mut().write_all(format!("</{prefix}row>").as_bytes())
}

/// Writes a table's totals so many rows lower; formulas that end above it reach to the new end.
fn lowered<R: BufRead, W: Write>(reader: &mut Reader<R>, writer: &mut Writer<W>, tag: &BytesStart, row: u32, by: u32) -> io::Result<()> {
    let end_of_data = Regex::new(&format!(r"(:\$?[A-Z]{{1,3}}\$?){}\b", row - 1)).map_err(broken)?;
    let longer = format!("${{1}}{}", row - 1 + by);
    writer.write_event(Event::Start(with(tag, "r", &(row + by).to_string())))?;
    let (mut buffer, mut formula) = (Vec::new(), false);
    loop {
        buffer.clear();
        let event = reader.read_event_into(&mut buffer).map_err(broken)?;
        match &event {
            Event::Start(tag) if tag.local_name().as_ref() == "c" => writer.write_event(Event::Start(moved(tag, row + by)))?,
            Event::Empty(tag) if tag.local_name().as_ref() == "c" => writer.write_event(Event::Empty(moved(tag, row + by)))?,
            Event::Text(text) if formula => {
                let old = text.xml10_content();
                let new = end_of_data.replace_all(&old, longer.as_str()).into_owned();
                writer.get_mut().write_all(escape(new.as_str()).as_bytes())?;
            }
            Event::End(tag) if tag.local_name().as_ref() == "row" => {
                writer.write_event(event)?;
                return Ok(());
            }
            Event::Eof => return Err(io::Error::other("a row is never closed")),
            other => {
                match other {
                    Event::Start(tag) if tag.local_name().as_ref() == "f" => formula = true,
                    Event::End(tag) if tag.local_name().as_ref() == "f" => formula = false,
                    _ => {}
                }
                writer.write_event(event)?;
            }
        }
    }
}

/// A cell's tag in another row.
fn moved<'a>(tag: &BytesStart<'a>, row: u32) -> BytesStart<'a> {
    match attribute(tag, "r").and_then(|r| at_cell(&r)) {
        Some((column, _)) => with(tag, "r", &format!("{}{row}", letters(column))),
        None => tag.to_owned(),
    }
}

fn grown(range: &str, is_dimension: bool, shape: &Shape, widest: u32, new_last: u32) -> Option<String> {
    let (from, to) = at_range(range)?;
    if is_dimension {
        return Some(super::range((from.0, from.1), (to.0.max(widest), to.1.max(new_last))));
    }
    (to.1 == shape.last_row).then(|| super::range(from, (to.0, new_last)))
}

fn without<'a>(tag: &BytesStart<'a>, name: &str) -> BytesStart<'a> {
    let mut copy = BytesStart::new(tag.name().as_ref().to_owned());
    for a in tag.attributes().flatten().filter(|a| a.key.as_ref() != name) {
        copy.push_attribute(a);
    }
    copy.into_owned()
}

/// The tag with one of its attributes changed.
fn with<'a>(tag: &BytesStart<'a>, name: &str, value: &str) -> BytesStart<'a> {
    let mut copy = BytesStart::new(tag.name().as_ref().to_owned());
    for a in tag.attributes().flatten() {
        let value = if a.key.as_ref() == name { value.into() } else { a.value.clone() };
        copy.push_attribute(quick_xml::events::attributes::Attribute { key: a.key, value });
    }
    copy.into_owned()
}

fn rows(out: &mut impl Write, shape: &Shape, lines: &[Line]) -> io::Result<()> {
    let p = &shape.prefix;
    let mut xml = String::new();
    let (first, styles) = match shape.totals {
        Some(totals) => (totals, &shape.styles_before),
        None => (shape.last_row + 1, &shape.styles),
    };
    for (number, line) in (first..).zip(lines) {
        xml.push_str(&format!("<{p}row r=\"{number}\">"));
        for (column, cell) in &line.0 {
            let style = styles.get(column).map_or("", String::as_str);
            if !(matches!(cell, Cell::Empty) && style.is_empty()) {
                xml.push_str(&cell_xml(p, *column, number, cell, style));
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

fn cell_xml(p: &str, column: u32, row: u32, cell: &Cell, style: &str) -> String {
    let at = format!("{}{row}", letters(column));
    let style = if style.is_empty() { String::new() } else { format!(" s=\"{}\"", escape(style)) };
    match cell {
        Cell::Empty => format!("<{p}c r=\"{at}\"{style}/>"),
        Cell::Number(n) => format!("<{p}c r=\"{at}\"{style}><{p}v>{n}</{p}v></{p}c>"),
        Cell::Bool(b) => format!("<{p}c r=\"{at}\"{style} t=\"b\"><{p}v>{}</{p}v></{p}c>", u8::from(*b)),
        Cell::Text(t) => {
            let text = cell_text(t);
            format!("<{p}c r=\"{at}\"{style} t=\"inlineStr\"><{p}is><{p}t xml:space=\"preserve\">{text}</{p}t></{p}is></{p}c>")
        }
    }
}

/// Text as a cell holds it: XML's letters escaped, and those that XML cannot hold as `_x0001_` (ECMA-376, 22.9.2.19).
pub(super) fn cell_text(text: &str) -> String {
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
