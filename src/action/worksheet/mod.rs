//! The XML of one sheet (ECMA-376, part 1, 18.3): what both passes over it know. [`read`] looks at it, [`write`] changes
//! cells and adds rows.
//!
//! Both passes stream, so that a sheet of a hundred thousand rows costs no more memory than a small one. Everything that
//! is not meant to change is copied as it was read.

mod read;
mod write;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io;

use quick_xml::escape::unescape;
use quick_xml::events::BytesStart;

use super::row::Cell;
pub(super) use read::{find, formulas, scan, shared};
pub(super) use write::{spelled_out, write};

/// A row to be added: cells by column, counted from 1, in order.
pub(super) struct Line(pub Vec<(u32, Cell)>);

/// What has to be known of a sheet before rows are added.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// The titles in the first row that has any, by column.
    pub header: Vec<(u32, String)>,
    /// Titles that stand among the shared strings, by their index there.
    pub shared: Vec<(u32, usize)>,
    pub header_row: u32,
    /// The last row with a value.
    pub last_row: u32,
    /// The row of a table's totals, if that is the last one: rows are added above it.
    pub totals: Option<u32>,
    /// The styles of the last row's cells and of the row's before it, where these are not the header's.
    styles: HashMap<u32, String>,
    styles_before: HashMap<u32, String>,
    pub last_column: u32,
    /// Where the last row with a value ends, and the one before it, in bytes: all up to there can be copied unread.
    end: u64,
    end_before: u64,
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

/// Cells that change, by row and column.
pub(super) type Changed = BTreeMap<u32, BTreeMap<u32, Cell>>;

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
    let name = if name.contains('$') { name.replace('$', "").into() } else { Cow::Borrowed(name) };
    let digits = name.find(|c: char| c.is_ascii_digit())?;
    let column = name[..digits]
        .bytes()
        .try_fold(0u32, |n, b| b.is_ascii_uppercase().then(|| n * 26 + u32::from(b - b'A') + 1).filter(|c| *c <= 16_384))?;
    Some((column, name[digits..].parse().ok().filter(|row| *row > 0)?))
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
        assert_eq!((at_cell("XFE1"), at_cell(&format!("{}1", "Z".repeat(50)))), (None, None));
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
        write(before.as_bytes(), &mut out, &shape, &lines, &Changed::new()).unwrap();
        let expected = before
            .replace("A1:B2", "A1:B3")
            .replace("<x:row r=\"3\" ht=\"9\"/>", "<x:row r=\"3\"><x:c r=\"A3\" s=\"4\"><x:v>7</x:v></x:c><x:c r=\"B3\" t=\"inlineStr\"><x:is><x:t xml:space=\"preserve\">&lt;a&gt;</x:t></x:is></x:c></x:row>");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn what_is_not_changed_keeps_its_quotes_spaces_and_comments() {
        let before = "\u{feff}<?xml version='1.0'?>\n<!-- <row r='2'><sheetData/> --><x:sheet ><x:dimension\nref = 'A1:B2'/><x:sheetData ><x:row r='1' ><x:c r='A1' t='inlineStr'><x:is><x:t>N</x:t></x:is></x:c ></x:row >\
            <!-- <c r='A2'/> --><x:row spans='1:2' r='2' ><x:c r='A2' s='4'\n/><x:c r='B2'><x:f>SUM(A1:A1)&amp;\">\"</x:f></x:c></x:row></x:sheetData\n></x:sheet>";
        let cell = "<x:c r=\"A2\" s=\"4\"><x:v>7</x:v></x:c>";
        let mut shape = scan(before.as_bytes()).unwrap();
        let mut out = Vec::new();
        let changed = Changed::from([(2, BTreeMap::from([(1, Cell::Number("7".into()))]))]);
        write(before.as_bytes(), &mut out, &shape, &[], &changed).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), before.replace(" spans='1:2'", "").replace("<x:c r='A2' s='4'\n/>", cell));
        // A row goes in above the totals, which move down.
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
    fn a_sheet_that_ends_too_early_is_no_sheet() {
        let whole = "<worksheet><sheetData><row r=\"1\"><c r=\"A1\"><v>1</v></c></row></sheetData></worksheet>";
        let shape = scan(whole.as_bytes()).unwrap();
        for cut in [&whole[..30], &whole[..whole.len() - 30], "<worksheet></worksheet>"] {
            let written = write(cut.as_bytes(), &mut Vec::new(), &shape, &[Line(vec![(1, Cell::Empty)])], &Changed::new());
            let why = if cut.ends_with("</worksheet>") { "it has no rows" } else { "its XML is malformed: it ends too early" };
            assert_eq!(written.unwrap_err().to_string(), why, "{cut}");
        }
    }

    #[test]
    fn what_xml_cannot_hold_is_spelled_out() {
        assert_eq!(spelled_out("a\u{1}b_x0001_<"), "a_x0001_b_x005F_x0001_<");
    }
}
