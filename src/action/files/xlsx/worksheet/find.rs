//! Finds rows of a sheet by their values.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, BufRead};
use std::ops::RangeInclusive;

use quick_xml::escape::unescape;
use quick_xml::events::Event;
use quick_xml::reader::Reader;

use super::super::xml_reader::attribute;
use super::scan::{Tag, broken, row_number};
use crate::action::files::date;
use crate::action::files::search::plain;

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

/// What the cells of a workbook contain besides their own text.
#[derive(Default)]
pub(crate) struct Meanings {
    /// The shared strings that are looked for.
    pub texts: HashMap<usize, String>,
    /// The styles that show a number as a date.
    pub dates: BTreeSet<usize>,
    pub since_1904: bool,
}

impl Meanings {
    /// The date that a number in a cell with this style means, if it is shown as one.
    pub(crate) fn date(&self, style: Option<usize>, days: f64) -> Option<String> {
        self.marked_date(style, days).map(|date| date::unmarked(&date).to_owned())
    }

    fn marked_date(&self, style: Option<usize>, days: f64) -> Option<String> {
        let is_date = style.is_some_and(|style| self.dates.contains(&style));
        date::of_number(days, self.since_1904).filter(|_| is_date)
    }

    /// The value of a cell, spelled as the values that are looked for.
    fn of(&self, kind: &str, style: Option<usize>, text: &str) -> String {
        match kind {
            // Shared strings that are not looked for were not stored.
            "s" => text.parse().ok().and_then(|n: usize| self.texts.get(&n).cloned()).unwrap_or_else(|| "\u{0}".to_owned()),
            "b" => if text == "1" { "true" } else { "false" }.to_owned(),
            "d" => date::read(text).unwrap_or_else(|| text.to_owned()),
            "" | "n" => {
                let date = text.parse().ok().and_then(|days| self.marked_date(style, days));
                date.unwrap_or_else(|| plain(text))
            }
            _ => text.to_owned(),
        }
    }
}

/// The content of a row in a column, as text.
type Look<'l> = &'l mut dyn FnMut(u32, &dyn Fn(u32) -> Option<String>) -> bool;

/// What was seen while looking for rows.
#[derive(Default)]
pub(crate) struct Seen {
    /// The columns that contain a formula, for the rows that matched.
    pub formulas: HashMap<u32, Vec<u32>>,
    /// A cell in one of the columns whose formula has no result yet, by column and row.
    pub uncalculated: Option<(u32, u32)>,
}

/// Visits rows in these columns.
pub(crate) fn find(
    xml: impl BufRead,
    rows: RangeInclusive<u32>,
    columns: &BTreeSet<u32>,
    meanings: &Meanings,
    look: Look,
) -> io::Result<Seen> {
    let mut reader = Reader::from_reader(xml);
    let (mut buffer, mut seen) = (Vec::new(), Seen::default());
    let (mut row, mut cell, mut text, mut reading) = (0u32, Tag { column: 0, kind: String::new(), style: None }, String::new(), false);
    let (mut cells, mut here): (HashMap<u32, String>, Vec<u32>) = (HashMap::new(), Vec::new());
    let (mut in_data, mut phonetic) = (false, false);
    loop {
        buffer.clear();
        let event = reader.read_event_into(&mut buffer).map_err(broken)?;
        let is_start = matches!(event, Event::Start(_));
        match event {
            Event::Start(tag) | Event::Empty(tag) => match tag.local_name().as_ref() {
                "sheetData" => in_data = is_start,
                "row" if in_data => {
                    row = row_number(&tag, row)?;
                    cell.column = 0;
                    cells.clear();
                    here.clear();
                }
                "c" if in_data => {
                    cell = Tag::read(&tag, cell.column)?;
                    text.clear();
                }
                "f" if in_data => here.push(cell.column),
                // How a text is read aloud is no part of it.
                "rPh" => phonetic = is_start,
                "v" | "t" if in_data && is_start => reading = !phonetic && columns.contains(&cell.column),
                _ => {}
            },
            Event::Text(t) if reading => text.push_str(&t.xml10_content()),
            Event::GeneralRef(r) if reading => text.push_str(&unescape(&format!("&{};", r.as_ref())).map_err(broken)?),
            Event::CData(t) if reading => text.push_str(&t.xml10_content()),
            Event::End(tag) if in_data => match tag.local_name().as_ref() {
                "sheetData" => in_data = false,
                "v" | "t" => reading = false,
                "rPh" => phonetic = false,
                "c" if columns.contains(&cell.column) && rows.contains(&row) && text.is_empty() && here.last() == Some(&cell.column) => {
                    seen.uncalculated.get_or_insert((cell.column, row));
                }
                "c" if columns.contains(&cell.column) && !text.is_empty() => {
                    let style = cell.style.as_deref().and_then(|s| s.parse().ok());
                    cells.insert(cell.column, meanings.of(&cell.kind, style, &text));
                }
                "row" if rows.contains(&row) && look(row, &|c| cells.get(&c).cloned()) && !here.is_empty() => {
                    seen.formulas.insert(row, here.clone());
                }
                _ => {}
            },
            Event::Eof => return Ok(seen),
            _ => {}
        }
    }
}

/// Visits every formula of a sheet: its row and column, its attributes and its text.
pub(crate) fn each_formula(xml: impl BufRead, mut look: impl FnMut((u32, u32), &Attributes, &str)) -> io::Result<()> {
    let mut reader = Reader::from_reader(xml);
    let mut buffer = Vec::new();
    let (mut row, mut column, mut formula): (u32, u32, Option<Attributes>) = (0, 0, None);
    let (mut text, mut in_data) = (String::new(), false);
    loop {
        buffer.clear();
        let event = reader.read_event_into(&mut buffer).map_err(broken)?;
        let is_start = matches!(event, Event::Start(_));
        match event {
            Event::Start(tag) | Event::Empty(tag) => match tag.local_name().as_ref() {
                "sheetData" => in_data = is_start,
                "row" if in_data => (row, column) = (row_number(&tag, row)?, 0),
                "c" if in_data => column = Tag::read(&tag, column)?.column,
                "f" if in_data => {
                    let attributes =
                        Attributes { kind: attribute(&tag, "t"), range: attribute(&tag, "ref"), shared: attribute(&tag, "si") };
                    text.clear();
                    match is_start {
                        true => formula = Some(attributes),
                        false => look((column, row), &attributes, ""),
                    }
                }
                _ => {}
            },
            Event::Text(t) if formula.is_some() => text.push_str(&t.xml10_content()),
            Event::CData(t) if formula.is_some() => text.push_str(&t.xml10_content()),
            Event::GeneralRef(r) if formula.is_some() => text.push_str(&unescape(&format!("&{};", r.as_ref())).map_err(broken)?),
            Event::End(tag) if in_data => match tag.local_name().as_ref() {
                "sheetData" => in_data = false,
                "f" => {
                    if let Some(attributes) = formula.take() {
                        look((column, row), &attributes, &text);
                    }
                }
                _ => {}
            },
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}

/// The attributes of a formula.
pub(crate) struct Attributes {
    pub kind: Option<String>,
    pub range: Option<String>,
    pub shared: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_text_is_read_aloud_is_no_part_of_it() {
        let cell = r#"<c r="A2" t="inlineStr"><is><t>東</t><rPh sb="0" eb="1"><t>ヒガシ</t></rPh><t>京</t></is></c>"#;
        let xml = format!("<worksheet><sheetData><row r=\"2\">{cell}</row></sheetData></worksheet>");
        let mut texts = Vec::new();
        let mut look = |row: u32, cell: &dyn Fn(u32) -> Option<String>| {
            texts.push((row, cell(1)));
            false
        };
        find(xml.as_bytes(), 2..=2, &BTreeSet::from([1]), &Meanings::default(), &mut look).unwrap();
        assert_eq!(texts, [(2, Some("東京".to_owned()))]);
    }
}
