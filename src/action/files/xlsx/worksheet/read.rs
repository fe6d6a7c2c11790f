//! Inspects a sheet: its shape, its header, and the rows that are looked for.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, BufRead};

use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::super::xml_reader::{XmlReader, attribute};
use super::reference::at_cell;
use super::shape::Shape;

pub(super) fn broken(e: impl std::fmt::Display) -> io::Error {
    io::Error::other(e.to_string())
}

/// Inspects a sheet. What is found to be well-formed can then be copied without reading it again.
pub(crate) fn scan(xml: impl BufRead) -> io::Result<Shape> {
    let mut reader = XmlReader::new(xml)?;
    let mut buffer = Vec::new();
    let mut shape = Shape::default();
    let (mut row, mut column) = (0u32, 0u32);
    let mut styles: Vec<(u32, String)> = Vec::new();
    let (mut has_value, mut in_data) = (false, false);
    // The current cell: its type, and its text while a header is being read.
    let (mut kind, mut text, mut reading) = (String::new(), String::new(), false);
    let mut titles: Vec<(u32, String, bool)> = Vec::new();
    loop {
        match reader.read(&mut buffer)? {
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
                    let style;
                    (column, kind, style) = cell(&tag, column);
                    text.clear();
                    styles.extend(style.map(|s| (column, s)));
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
                    let style;
                    (column, _, style) = cell(&tag, column);
                    styles.extend(style.map(|s| (column, s)));
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
                    shape.end_before = std::mem::replace(&mut shape.end, reader.position());
                    if shape.header_row == 0 {
                        shape.header_row = row;
                        for (column, text, shared) in titles.drain(..) {
                            match (shared, text.parse::<usize>()) {
                                (true, Ok(index)) => shape.shared.push((column, index)),
                                _ => shape.header.push((column, text.trim().to_owned())),
                            }
                        }
                    } else {
                        shape.styles_before = std::mem::replace(&mut shape.styles, styles.drain(..).collect());
                    }
                }
                _ => {}
            },
            Event::Eof => return Ok(shape),
            _ => {}
        }
    }
}

/// A cell's column, type and style.
fn cell(tag: &BytesStart, before: u32) -> (u32, String, Option<String>) {
    let (mut column, mut kind, mut style) = (None, String::new(), None);
    for attribute in tag.attributes().with_checks(false).flatten() {
        match attribute.key.as_ref() {
            "r" => column = at_cell(&attribute.value).map(|(column, _)| column),
            "t" => kind = attribute.value.into_owned(),
            "s" => style = Some(attribute.value.into_owned()),
            _ => {}
        }
    }
    (column.unwrap_or(before + 1), kind, style)
}

/// The column of a cell, from its reference or from the cell before it.
pub(super) fn place(tag: &BytesStart, before: u32) -> u32 {
    attribute(tag, "r").and_then(|r| at_cell(&r)).map_or(before + 1, |(column, _)| column)
}

/// The shared strings that are wanted, by index and text; at most this many.
pub(crate) fn shared(xml: impl BufRead, most: usize, wanted: impl Fn(usize, &str) -> bool) -> io::Result<HashMap<usize, String>> {
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
                    if wanted(index, &text) {
                        found.insert(index, text.clone());
                    }
                    index += 1;
                }
                _ => {}
            },
            Event::Eof => return Ok(found),
            _ => {}
        }
        if found.len() >= most {
            return Ok(found);
        }
    }
}

/// The content of a row in a column, as text.
type Look<'l> = &'l mut dyn FnMut(u32, &dyn Fn(u32) -> Option<String>) -> bool;

/// Visits every row below the header in these columns. Returns the columns that contain a formula, for the rows that matched.
pub(crate) fn find(
    xml: impl BufRead,
    header_row: u32,
    columns: &BTreeSet<u32>,
    texts: &HashMap<usize, String>,
    look: Look,
) -> io::Result<HashMap<u32, Vec<u32>>> {
    let mut reader = Reader::from_reader(xml);
    let (mut buffer, mut formulas) = (Vec::new(), HashMap::new());
    let (mut row, mut column, mut kind, mut text, mut reading) = (0u32, 0u32, String::new(), String::new(), false);
    let (mut cells, mut here): (HashMap<u32, String>, Vec<u32>) = (HashMap::new(), Vec::new());
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer).map_err(broken)? {
            Event::Start(tag) => match tag.local_name().as_ref() {
                "row" => {
                    row = attribute(&tag, "r").and_then(|r| r.parse().ok()).unwrap_or(row + 1);
                    column = 0;
                    cells.clear();
                    here.clear();
                }
                "c" => {
                    column = place(&tag, column);
                    kind = attribute(&tag, "t").unwrap_or_default();
                    text.clear();
                }
                "f" => here.push(column),
                "v" | "t" => reading = columns.contains(&column),
                _ => {}
            },
            Event::Empty(tag) => match tag.local_name().as_ref() {
                "row" => row = attribute(&tag, "r").and_then(|r| r.parse().ok()).unwrap_or(row + 1),
                "c" => column = place(&tag, column),
                "f" => here.push(column),
                _ => {}
            },
            Event::Text(t) if reading => text.push_str(&t.xml10_content()),
            Event::GeneralRef(r) if reading => text.push_str(&unescape(&format!("&{};", r.as_ref())).map_err(broken)?),
            Event::CData(t) if reading => text.push_str(&t.xml10_content()),
            Event::End(tag) => match tag.local_name().as_ref() {
                "v" | "t" => reading = false,
                "c" if columns.contains(&column) && !text.is_empty() => {
                    let value = match kind.as_str() {
                        // Shared strings that are not looked for were not stored.
                        "s" => text.parse().ok().and_then(|n: usize| texts.get(&n).cloned()).unwrap_or_else(|| "\u{0}".to_owned()),
                        "b" => if text == "1" { "true" } else { "false" }.to_owned(),
                        _ => text.clone(),
                    };
                    cells.insert(column, value);
                }
                "row" if row > header_row && look(row, &|c| cells.get(&c).cloned()) && !here.is_empty() => {
                    formulas.insert(row, here.clone());
                }
                _ => {}
            },
            Event::Eof => return Ok(formulas),
            _ => {}
        }
    }
}

/// Every formula of a sheet, except those in one row.
pub(crate) fn formulas(xml: impl BufRead, but: u32) -> io::Result<Vec<String>> {
    let mut reader = Reader::from_reader(xml);
    let (mut buffer, mut out) = (Vec::new(), Vec::new());
    let (mut row, mut text, mut reading) = (0u32, String::new(), false);
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer).map_err(broken)? {
            Event::Start(tag) if tag.local_name().as_ref() == "row" => {
                row = attribute(&tag, "r").and_then(|r| r.parse().ok()).unwrap_or(row + 1);
            }
            Event::Start(tag) if tag.local_name().as_ref() == "f" => {
                reading = row != but;
                text.clear();
            }
            Event::Text(t) if reading => text.push_str(&t.xml10_content()),
            Event::GeneralRef(r) if reading => text.push_str(&unescape(&format!("&{};", r.as_ref())).map_err(broken)?),
            Event::End(tag) if tag.local_name().as_ref() == "f" && reading => {
                reading = false;
                out.push(text.clone());
            }
            Event::Eof => return Ok(out),
            _ => {}
        }
    }
}
