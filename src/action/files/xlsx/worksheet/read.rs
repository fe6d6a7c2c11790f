//! Reads cells of some rows of a sheet, with their types.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead};

use quick_xml::escape::unescape;
use quick_xml::events::Event;
use quick_xml::reader::Reader;
use serde_json::Value;

use super::find::Meanings;
use super::scan::{Tag, broken, row_number};
use crate::action::files::date;
use crate::action::files::search::plain;
use crate::body::number_text;

/// What a cell contains.
#[derive(Debug, PartialEq)]
pub(crate) enum Content {
    Value(Value),
    /// Text, by its index among the shared strings.
    Shared(usize),
    /// A formula whose result is not in the file.
    Uncalculated,
}

impl Content {
    fn of(kind: &str, style: Option<usize>, text: String, meanings: &Meanings) -> Self {
        match kind {
            "s" => text.parse().map_or(Content::Value(Value::Null), Content::Shared),
            "b" => Content::Value(Value::Bool(text == "1")),
            "" | "n" => {
                let date = text.parse().ok().and_then(|days| meanings.date(style, days));
                let number = || number_text::number(&plain(&text)).map(Value::Number);
                Content::Value(date.map(Value::String).or_else(number).unwrap_or(Value::String(text)))
            }
            "d" => Content::Value(date::read(&text).map_or(text, |date| date::unmarked(&date).to_owned()).into()),
            _ => Content::Value(text.into()),
        }
    }
}

/// The cells of the wanted rows, by row and column; empty ones are left out.
pub(crate) fn read(
    xml: impl BufRead,
    wants: &dyn Fn(u32) -> bool,
    columns: &BTreeSet<u32>,
    meanings: &Meanings,
) -> io::Result<BTreeMap<u32, BTreeMap<u32, Content>>> {
    let mut reader = Reader::from_reader(xml);
    let (mut buffer, mut rows) = (Vec::new(), BTreeMap::new());
    let (mut row, mut is_wanted, mut in_data) = (0u32, false, false);
    let (mut cell, mut text, mut reading, mut phonetic) =
        (Tag { column: 0, kind: String::new(), style: None }, String::new(), false, false);
    let mut has_formula = false;
    loop {
        buffer.clear();
        let event = reader.read_event_into(&mut buffer).map_err(broken)?;
        let is_start = matches!(event, Event::Start(_));
        match event {
            Event::Start(tag) | Event::Empty(tag) => match tag.local_name().as_ref() {
                "sheetData" => in_data = is_start,
                "row" if in_data => {
                    row = row_number(&tag, row)?;
                    is_wanted = wants(row);
                    cell.column = 0;
                    if is_wanted {
                        rows.insert(row, BTreeMap::new());
                    }
                }
                "c" if in_data && is_wanted => {
                    cell = Tag::read(&tag, cell.column)?;
                    has_formula = false;
                    text.clear();
                }
                "f" if in_data => has_formula = true,
                "rPh" => phonetic = is_start,
                "v" | "t" if in_data && is_start => reading = is_wanted && !phonetic && columns.contains(&cell.column),
                _ => {}
            },
            Event::Text(t) if reading => text.push_str(&t.xml10_content()),
            Event::GeneralRef(r) if reading => text.push_str(&unescape(&format!("&{};", r.as_ref())).map_err(broken)?),
            Event::CData(t) if reading => text.push_str(&t.xml10_content()),
            Event::End(tag) if in_data => match tag.local_name().as_ref() {
                "sheetData" => in_data = false,
                "v" | "t" => reading = false,
                "rPh" => phonetic = false,
                "c" if is_wanted && columns.contains(&cell.column) => {
                    let style = cell.style.as_deref().and_then(|s| s.parse().ok());
                    // The result of a formula can be empty text, which has a type.
                    let content = match text.is_empty() {
                        false => Some(Content::of(&cell.kind, style, std::mem::take(&mut text), meanings)),
                        true if has_formula && cell.kind == "str" => Some(Content::Value("".into())),
                        true => has_formula.then_some(Content::Uncalculated),
                    };
                    if let (Some(content), Some(cells)) = (content, rows.get_mut(&row)) {
                        cells.insert(cell.column, content);
                    }
                }
                _ => {}
            },
            Event::Eof => return Ok(rows),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_keep_their_types() {
        let cells = r#"<c r="A2"><v>7.50</v></c><c r="B2" t="s"><v>3</v></c><c r="C2" t="b"><v>1</v></c><c r="D2" s="1"><v>46143.5</v></c>
            <c r="E2" t="inlineStr"><is><t>0</t><rPh sb="0" eb="1"><t>zero</t></rPh><t>42 &amp; x</t></is></c><c r="F2"><f>A2*2</f></c>
            <c r="G2" t="str"><f>""</f><v></v></c><c r="H2" s="2"/><c r="I2" t="e"><v>#N/A</v></c><c r="J2"><v>19.989999999999998</v></c>
            <c r="K2" t="d"><v>2026-05-01</v></c><c r="L2"><v>1</v></c>"#;
        let xml =
            format!("<worksheet><sheetData><row r=\"1\"><c r=\"A1\"><v>1</v></c></row><row r=\"2\">{cells}</row></sheetData></worksheet>");
        let meanings = Meanings { dates: BTreeSet::from([1]), ..Meanings::default() };
        let read = read(xml.as_bytes(), &|row| row == 2, &(1..=11).collect(), &meanings).unwrap();
        let value = |v: Value| Content::Value(v);
        let expected = BTreeMap::from([
            (1, value(json!(7.5))),
            (2, Content::Shared(3)),
            (3, value(json!(true))),
            (4, value(json!("2026-05-01T12:00:00"))),
            (5, value(json!("042 & x"))),
            (6, Content::Uncalculated),
            (7, value(json!(""))),
            (9, value(json!("#N/A"))),
            (10, value(number_text::parse("19.99").unwrap())),
            (11, value(json!("2026-05-01"))),
        ]);
        assert_eq!(read, BTreeMap::from([(2, expected)]));
    }
}
