//! Writes a sheet with cells changed and rows added.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead, Write};

use quick_xml::escape::{escape, partial_escape};
use regex::Regex;

use super::super::xml_reader::attribute;
use super::super::xml_rewriter::{At, Rewriter};
use super::read::{broken, place};
use super::reference::{at_cell, at_range, letters, range};
use super::shape::{Changed, Line, Shape};
use crate::action::files::row::Cell;

/// How many bytes of new rows are collected before they are written.
const PIECE: usize = 64 << 10;

/// Copies a sheet, changes cells, and adds rows after its last one, or above its totals.
pub(crate) fn write(xml: impl BufRead, out: impl Write, shape: &Shape, lines: &[Line], changed: &Changed) -> io::Result<()> {
    let mut xml = Rewriter::new(xml, out)?;
    let count = lines.len() as u32;
    let new_last = shape.last_row + count;
    let in_lines = lines.iter().flat_map(|l| l.0.last()).map(|(c, _)| *c);
    let widest = in_lines.chain(changed.values().filter_map(|r| r.keys().last().copied())).max().unwrap_or(1);
    let (mut row, mut added) = (0u32, lines.is_empty());
    while let Some(at) = xml.next()? {
        match xml.local() {
            "sheetData" if at == At::Start && changed.is_empty() => {
                let (last, end) = shape.totals.map_or((shape.last_row, shape.end), |totals| (totals - 1, shape.end_before));
                xml.copy_to(end)?;
                row = last;
            }
            "sheetData" if at.ends() && !added => {
                rows(shape, lines, |rows| xml.append(rows))?;
                added = true;
            }
            "row" if at.begins() => {
                row = attribute(&xml.tag(), "r").and_then(|r| r.parse().ok()).unwrap_or(row + 1);
                let is_totals = shape.totals == Some(row);
                if (row > shape.last_row || is_totals) && !added {
                    rows(shape, lines, |rows| xml.insert(rows))?;
                    added = true;
                }
                if is_totals && count > 0 {
                    lowered(&mut xml, at, row, count)?;
                } else if row > shape.last_row && row <= new_last {
                    // An empty row that only has formatting is replaced by a new one.
                    xml.discard()?;
                } else if let Some(cells) = changed.get(&row) {
                    change(&mut xml, at, row, cells, &shape.prefix)?;
                }
            }
            name @ ("dimension" | "autoFilter") if at.begins() => {
                let longer = attribute(&xml.tag(), "ref").and_then(|r| grown(&r, name == "dimension", shape, widest, new_last));
                if let Some(longer) = longer {
                    xml.set("ref", &longer)?;
                }
            }
            _ => {}
        }
    }
    if added { Ok(()) } else { Err(io::Error::other("it has no rows")) }
}

/// Changes some cells of the current row; they keep their styles.
fn change<R: BufRead, W: Write>(xml: &mut Rewriter<R, W>, at: At, row: u32, cells: &BTreeMap<u32, Cell>, prefix: &str) -> io::Result<()> {
    // The attribute with the row's width may now be wrong; it is optional.
    xml.remove("spans");
    let mut left: VecDeque<(u32, &Cell)> = cells.iter().map(|(c, cell)| (*c, cell)).collect();
    let (depth, mut at, mut column) = (xml.depth(), at, 0);
    while !(at.ends() && xml.depth() == depth) {
        at = xml.next()?.ok_or_else(|| broken("a row is never closed"))?;
        if at.begins() && xml.local() == "c" {
            column = place(&xml.tag(), column);
            let style = attribute(&xml.tag(), "s").unwrap_or_default();
            while let Some((c, cell)) = left.pop_front_if(|(c, _)| *c <= column) {
                xml.insert(&cell_xml(prefix, c, row, cell, if c == column { &style } else { "" }))?;
            }
            if cells.contains_key(&column) {
                xml.discard()?;
            }
        }
    }
    xml.append(&left.into_iter().map(|(column, cell)| cell_xml(prefix, column, row, cell, "")).collect::<String>())
}

/// Moves a table's totals down by this many rows; formulas that end above it are extended to the new end.
fn lowered<R: BufRead, W: Write>(xml: &mut Rewriter<R, W>, at: At, row: u32, by: u32) -> io::Result<()> {
    let end_of_data = Regex::new(&format!(r"(:\$?[A-Z]{{1,3}}\$?){}\b", row - 1)).map_err(broken)?;
    let longer = format!("${{1}}{}", row - 1 + by);
    xml.set("r", &(row + by).to_string())?;
    let (depth, mut at, mut in_formula) = (xml.depth(), at, false);
    while !(at.ends() && xml.depth() == depth) {
        at = xml.next()?.ok_or_else(|| broken("a row is never closed"))?;
        match xml.local() {
            "c" if at.begins() => {
                if let Some((column, _)) = attribute(&xml.tag(), "r").and_then(|r| at_cell(&r)) {
                    xml.set("r", &format!("{}{}", letters(column), row + by))?;
                }
            }
            "f" => in_formula = at == At::Start,
            _ if in_formula && at == At::Text && end_of_data.is_match(xml.text()) => {
                let moved = end_of_data.replace_all(xml.text(), longer.as_str()).into_owned();
                xml.set_text(&moved)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn grown(old: &str, is_dimension: bool, shape: &Shape, widest: u32, new_last: u32) -> Option<String> {
    let (from, to) = at_range(old)?;
    if is_dimension {
        return Some(range((from.0, from.1), (to.0.max(widest), to.1.max(new_last))));
    }
    (to.1 == shape.last_row).then(|| range(from, (to.0, new_last)))
}

/// Builds the new rows, and passes them on in chunks.
fn rows(shape: &Shape, lines: &[Line], mut show: impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
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
        if xml.len() > PIECE {
            show(&xml)?;
            xml.clear();
        }
    }
    show(&xml)
}

fn cell_xml(p: &str, column: u32, row: u32, cell: &Cell, style: &str) -> String {
    let at = format!("{}{row}", letters(column));
    let style = if style.is_empty() { String::new() } else { format!(" s=\"{}\"", escape(style)) };
    match cell {
        Cell::Empty => format!("<{p}c r=\"{at}\"{style}/>"),
        Cell::Number(n) => format!("<{p}c r=\"{at}\"{style}><{p}v>{n}</{p}v></{p}c>"),
        Cell::Bool(b) => format!("<{p}c r=\"{at}\"{style} t=\"b\"><{p}v>{}</{p}v></{p}c>", u8::from(*b)),
        Cell::Text(t) => {
            let text = partial_escape(spelled_out(t));
            format!("<{p}c r=\"{at}\"{style} t=\"inlineStr\"><{p}is><{p}t xml:space=\"preserve\">{text}</{p}t></{p}is></{p}c>")
        }
    }
}

/// Encodes text for a cell or a title, still to be escaped: characters that XML cannot contain become `_x0001_` (ECMA-376,
/// 22.9.2.19).
pub(crate) fn spelled_out(text: &str) -> String {
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
    out
}

#[cfg(test)]
mod tests {
    use super::super::read::scan;
    use super::*;

    #[test]
    fn rows_are_added_after_the_last_value_and_nothing_else_changes() {
        let before = "<x:worksheet><x:dimension ref=\"A1:B2\"/><x:sheetData><x:row r=\"1\"><x:c r=\"A1\" t=\"inlineStr\"><x:is><x:t>N &amp; M</x:t></x:is></x:c><x:c r=\"B1\" t=\"s\"><x:v>3</x:v></x:c></x:row>\
            <x:row r=\"2\"><x:c r=\"A2\" s=\"4\"><x:v>1</x:v></x:c></x:row><x:row r=\"3\" ht=\"9\"/><x:row r=\"4\" ht=\"9\"/></x:sheetData><x:autoFilter ref=\"A1:B2\"/><x:other a='1'/></x:worksheet>";
        let mut shape = scan(before.as_bytes()).unwrap();
        assert_eq!((shape.header.clone(), shape.shared.clone(), shape.last_row), (vec![(1, "N & M".to_owned())], vec![(2, 3)], 2));
        shape.header.push((2, "Note".into()));
        let mut out = Vec::new();
        let lines = [Line(vec![(1, Cell::Number("7".into())), (2, Cell::Text("<a>".into()))])];
        write(before.as_bytes(), &mut out, &shape, &lines, &Changed::new()).unwrap();
        let expected = before
            .replace("A1:B2", "A1:B3")
            .replace("<x:row r=\"3\" ht=\"9\"/>", "<x:row r=\"3\"><x:c r=\"A3\" s=\"4\"><x:v>7</x:v></x:c><x:c r=\"B3\" t=\"inlineStr\"><x:is><x:t xml:space=\"preserve\">&lt;a&gt;</x:t></x:is></x:c></x:row>");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn unchanged_parts_keep_their_quotes_spaces_and_comments() {
        let before = "\u{feff}<?xml version='1.0'?>\n<!-- <row r='2'><sheetData/> --><x:sheet ><x:dimension\nref = 'A1:B2'/><x:sheetData ><x:row r='1' ><x:c r='A1' t='inlineStr'><x:is><x:t>N</x:t></x:is></x:c ></x:row >\
            <!-- <c r='A2'/> --><x:row spans='1:2' r='2' ><x:c r='A2' s='4'\n/><x:c r='B2'><x:f>SUM(A1:A1)&amp;\">\"</x:f></x:c></x:row></x:sheetData\n></x:sheet>";
        let cell = "<x:c r=\"A2\" s=\"4\"><x:v>7</x:v></x:c>";
        let mut shape = scan(before.as_bytes()).unwrap();
        let mut out = Vec::new();
        let changed = Changed::from([(2, BTreeMap::from([(1, Cell::Number("7".into()))]))]);
        write(before.as_bytes(), &mut out, &shape, &[], &changed).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), before.replace(" spans='1:2'", "").replace("<x:c r='A2' s='4'\n/>", cell));
        // A row is inserted above the totals, which move down.
        shape.totals = Some(2);
        let mut out = Vec::new();
        write(before.as_bytes(), &mut out, &shape, &[Line(vec![(1, Cell::Number("7".into()))])], &Changed::new()).unwrap();
        let row = "<x:row r=\"2\"><x:c r=\"A2\"><x:v>7</x:v></x:c></x:row><x:row spans='1:2' r='3' >";
        let expected = before
            .replace("'A1:B2'", "'A1:B3'")
            .replace("<x:row spans='1:2' r='2' >", row)
            .replace("<x:c r='A2' s='4'", "<x:c r='A3' s='4'")
            .replace("<x:c r='B2'>", "<x:c r='B3'>")
            .replace(":A1)", ":A2)");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_sheet_that_ends_too_early_is_rejected() {
        let whole = "<worksheet><sheetData><row r=\"1\"><c r=\"A1\"><v>1</v></c></row></sheetData></worksheet>";
        let shape = scan(whole.as_bytes()).unwrap();
        for cut in [&whole[..30], &whole[..whole.len() - 30], "<worksheet></worksheet>"] {
            let written = write(cut.as_bytes(), &mut Vec::new(), &shape, &[Line(vec![(1, Cell::Empty)])], &Changed::new());
            let why = if cut.ends_with("</worksheet>") { "it has no rows" } else { "its XML is malformed: it ends too early" };
            assert_eq!(written.unwrap_err().to_string(), why, "{cut}");
        }
    }

    #[test]
    fn characters_that_xml_cannot_contain_are_escaped() {
        assert_eq!(spelled_out("a\u{1}b_x0001_<"), "a_x0001_b_x005F_x0001_<");
    }
}
