//! Writes a sheet with cells changed and rows added.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, BufRead, Write};

use quick_xml::escape::{partial_escape, unescape};

use super::super::formula::{Area, moved};
use super::super::styles::DateStyles;
use super::super::xml_reader::attribute;
use super::super::xml_rewriter::{At, Rewriter};
use super::cell::cell_xml;
use super::reference::{at_range, letters, range};
use super::scan::{Tag, broken, row_number};
use super::shape::{Below, Edits, NewCell, Shape};
use super::widths::Widths;
use crate::action::files::row::Cell;

/// How many bytes of new rows are collected before they are written.
const PIECE: usize = 64 << 10;

/// Copies a sheet with its changes.
pub(crate) fn write(xml: impl BufRead, out: impl Write, shape: &Shape, edits: &Edits, dates: &mut DateStyles) -> io::Result<()> {
    let widths = Widths::of(edits);
    Writing {
        xml: Rewriter::new(xml, out)?,
        shape,
        edits,
        dates,
        widths,
        row: 0,
        written: 0,
        formula: None,
        adjusts: false,
        is_moving: false,
    }
    .all()
}

struct Writing<'e, R, W> {
    xml: Rewriter<R, W>,
    shape: &'e Shape,
    edits: &'e Edits,
    dates: &'e mut DateStyles,
    widths: Widths,
    /// The current row of the old sheet.
    row: u32,
    /// New rows are written up to this one.
    written: u32,
    /// The formula that is being read, if it is to be moved.
    formula: Option<String>,
    /// Whether the formulas of the current row move or grow.
    adjusts: bool,
    /// Whether the formulas of the current conditional format or validation move with it.
    is_moving: bool,
}

impl<R: BufRead, W: Write> Writing<'_, R, W> {
    fn all(&mut self) -> io::Result<()> {
        let (mut in_data, mut is_done) = (false, false);
        while let Some(at) = self.xml.next()? {
            match self.xml.local() {
                "sheetData" => {
                    in_data = at == At::Start;
                    if at.begins() {
                        self.widths.missing(&mut self.xml, &self.shape.prefix)?;
                    }
                    if in_data && self.is_only_added() {
                        self.xml.copy_to(self.shape.end)?;
                        self.row = self.shape.last_row;
                    }
                    if at.ends() {
                        is_done = true;
                        self.new_rows(u32::MAX, true)?;
                    }
                }
                "row" if in_data && at.begins() => self.row(at)?,
                _ if !in_data => self.around(at)?,
                _ => {}
            }
        }
        if is_done { Ok(()) } else { Err(broken("it has no rows")) }
    }

    /// Whether nothing changes up to the last row.
    fn is_only_added(&self) -> bool {
        let first = |row: Option<&u32>| row.is_none_or(|row| *row > self.shape.last_row);
        self.shape.end > 0 && first(self.edits.cells.keys().next()) && first(self.edits.stale.keys().next())
    }

    /// Writes the new rows above this one, before the current event or at the end of the sheet.
    fn new_rows(&mut self, before: u32, is_end: bool) -> io::Result<()> {
        // Only a sheet in which rows are added is known to be in order.
        if before <= self.written {
            return Ok(());
        }
        let p = &self.shape.prefix;
        let mut xml = String::new();
        let edits = self.edits;
        for (row, cells) in edits.cells.range(self.written.saturating_add(1)..before) {
            xml.push_str(&format!("<{p}row r=\"{row}\">"));
            for (column, cell) in &with_formats(self.shape, edits, *row, cells) {
                let style = &styled(self.dates, cell, self.shape.style(*column).to_owned());
                if !(matches!(cell, NewCell::Value(Cell::Empty)) && style.is_empty()) {
                    xml.push_str(&cell_xml(p, *column, *row, cell, style));
                }
            }
            xml.push_str(&format!("</{p}row>"));
            if xml.len() > PIECE {
                if is_end {
                    self.xml.append(&xml)?
                } else {
                    self.xml.insert(&xml)?
                }
                xml.clear();
            }
        }
        self.written = before.saturating_sub(1);
        if is_end { self.xml.append(&xml) } else { self.xml.insert(&xml) }
    }

    /// Whether the current row has a total of rows that now are more.
    fn is_total(&self) -> bool {
        self.edits.moving.new_last > self.edits.moving.last && self.shape.below.get(&self.row).is_some_and(Below::has_total)
    }

    fn row(&mut self, at: At) -> io::Result<()> {
        self.row = row_number(&self.xml.tag(), self.row)?;
        let number = self.edits.moving.row(self.row);
        self.new_rows(number, false)?;
        self.written = number;
        let edits = self.edits;
        let (cells, stale) = (edits.cells.get(&number), edits.stale.get(&self.row));
        self.adjusts = number != self.row || self.is_total();
        if cells.is_none() && stale.is_none() && !self.adjusts {
            return Ok(());
        }
        if number != self.row {
            self.xml.set("r", &number.to_string())?;
        }
        if cells.is_some() {
            // The attribute with the row's width may now be wrong; it is optional.
            self.xml.remove("spans");
        }
        self.cells(at, number, cells, stale)
    }

    /// The cells of the current row.
    fn cells(&mut self, mut at: At, number: u32, cells: Option<&BTreeMap<u32, NewCell>>, stale: Option<&BTreeSet<u32>>) -> io::Result<()> {
        let of_row = row_style(&self.xml);
        let is_added = (self.edits.added.0..self.edits.added.1).contains(&number);
        let style = |shape: &Shape, column: u32| match &of_row {
            Some(style) => style.clone(),
            None if is_added => shape.style(column).to_owned(),
            None => String::new(),
        };
        let mut left: VecDeque<(u32, &NewCell)> = cells.into_iter().flatten().map(|(c, cell)| (*c, cell)).collect();
        let (depth, mut column, mut is_stale) = (self.xml.depth(), 0, false);
        while !(at.ends() && self.xml.depth() == depth) {
            at = self.xml.next()?.ok_or_else(|| broken("a row is never closed"))?;
            match self.xml.local() {
                "c" if at.begins() => {
                    let tag = Tag::read(&self.xml.tag(), column)?;
                    column = tag.column;
                    // The style with number 0 is that of a cell without a format.
                    let own = tag.style.filter(|own| own != "0" || !is_added);
                    while let Some((c, cell)) = left.pop_front_if(|(c, _)| *c <= column) {
                        let style = own.clone().filter(|_| c == column).unwrap_or_else(|| style(self.shape, c));
                        let style = styled(self.dates, cell, style);
                        self.xml.insert(&cell_xml(&self.shape.prefix, c, number, cell, &style))?;
                    }
                    if cells.is_some_and(|cells| cells.contains_key(&column)) {
                        self.xml.discard()?;
                        continue;
                    }
                    if number != self.row {
                        self.xml.set("r", &format!("{}{number}", letters(column)))?;
                    }
                    is_stale = stale.is_some_and(|stale| stale.contains(&column));
                    if is_stale {
                        // The kind of the result that is dropped.
                        self.xml.remove("t");
                    }
                }
                "v" if at.begins() && is_stale => self.xml.discard()?,
                "f" if self.adjusts => {
                    if at.begins()
                        && let Some(area) = attribute(&self.xml.tag(), "ref").and_then(|r| at_range(&r))
                    {
                        self.xml.set("ref", &spelled(self.moved(area)))?;
                    }
                    self.formula_tag(at)?;
                }
                _ => self.formula_text(at)?,
            }
        }
        let mut rest = String::new();
        for (c, cell) in left {
            let style = styled(self.dates, cell, style(self.shape, c));
            rest.push_str(&cell_xml(&self.shape.prefix, c, number, cell, &style));
        }
        if rest.is_empty() { Ok(()) } else { self.xml.append(&rest) }
    }

    /// A formula that moves is read as a whole, and written before its end tag.
    fn formula_tag(&mut self, at: At) -> io::Result<()> {
        match (at, self.formula.take()) {
            (At::Start, _) => self.formula = Some(String::new()),
            (At::End, Some(raw)) => {
                let text = unescape(&raw).map_err(broken)?;
                let new = moved(&text, &self.edits.title, &self.edits.moving);
                // What does not change keeps its spelling.
                match new == text {
                    true => self.xml.insert(&raw)?,
                    false => self.xml.insert(&partial_escape(&new))?,
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn formula_text(&mut self, at: At) -> io::Result<()> {
        if let Some(formula) = &mut self.formula
            && !at.begins()
            && !at.ends()
        {
            formula.push_str(self.xml.text());
            self.xml.discard()?;
        }
        Ok(())
    }

    /// What is not a row, but refers to rows.
    fn around(&mut self, at: At) -> io::Result<()> {
        match self.xml.local() {
            "cols" | "col" => self.widths.look(&mut self.xml, at),
            "dimension" if at.begins() => self.reference("ref", |this, area| this.enlarged(area)),
            "autoFilter" if at.begins() => self.reference("ref", |this, area| this.grown(area)),
            "mergeCell" | "hyperlink" if at.begins() => self.reference("ref", |this, area| this.moved(area)),
            "protectedRange" if at.begins() => self.references("sqref", |this, area| this.moved(area)),
            "conditionalFormatting" | "dataValidation" | "ignoredError" if at.begins() => {
                let areas = attribute(&self.xml.tag(), "sqref").unwrap_or_default();
                let mut first = areas.split_ascii_whitespace().filter_map(at_range).map(|area| area.0.1);
                self.is_moving = first.all(|row| self.edits.moving.row(row) != row);
                self.references("sqref", |this, area| this.grown(area))
            }
            "conditionalFormatting" | "dataValidation" => {
                self.is_moving = false;
                Ok(())
            }
            "formula" | "formula1" | "formula2" if self.is_moving => self.formula_tag(at),
            // Formats and validations of newer programs have their ranges as text.
            "sqref" if at == At::Start => {
                let at = self.xml.next()?.ok_or_else(|| broken("a range is never closed"))?;
                if at == At::Text {
                    let new = self.listed(self.xml.text(), |this, area| this.grown(area));
                    self.xml.set_text(&new)?;
                }
                Ok(())
            }
            _ => self.formula_text(at),
        }
    }

    fn reference(&mut self, name: &str, change: impl Fn(&Self, Area) -> Area) -> io::Result<()> {
        let old = attribute(&self.xml.tag(), name).and_then(|r| at_range(&r));
        match old.map(|old| (old, change(self, old))) {
            Some((old, new)) if new != old => self.xml.set(name, &spelled(new)),
            _ => Ok(()),
        }
    }

    fn references(&mut self, name: &str, change: impl Fn(&Self, Area) -> Area) -> io::Result<()> {
        let Some(old) = attribute(&self.xml.tag(), name) else { return Ok(()) };
        let new = self.listed(&old, change);
        if new == old { Ok(()) } else { self.xml.set(name, &new) }
    }

    /// A list of ranges; what does not change keeps its spelling.
    fn listed(&self, areas: &str, change: impl Fn(&Self, Area) -> Area) -> String {
        let new = areas.split(' ').map(|text| match at_range(text).map(|old| (old, change(self, old))) {
            Some((old, new)) if new != old => spelled(new),
            _ => text.to_owned(),
        });
        new.collect::<Vec<_>>().join(" ")
    }

    fn moved(&self, area: Area) -> Area {
        let row = |row| self.edits.moving.row(row);
        ((area.0.0, row(area.0.1)), (area.1.0, row(area.1.1)))
    }

    /// A range that ends with the last row grows with the rows.
    fn grown(&self, area: Area) -> Area {
        let Edits { moving, columns, .. } = self.edits;
        let is_of_rows = area.0.1 < area.1.1 || moving.last == self.shape.header_row + 1;
        let is_mine = area.0.0 <= columns.1 && area.1.0 >= columns.0;
        match area.1.1 == moving.last && moving.last > self.shape.header_row && is_of_rows && is_mine {
            true => (area.0, (area.1.0, moving.new_last)),
            false => self.moved(area),
        }
    }

    fn enlarged(&self, area: Area) -> Area {
        let widest = self.edits.cells.values().filter_map(|cells| cells.keys().last()).max().copied().unwrap_or(1);
        let lowest = self.edits.cells.keys().last().copied().unwrap_or(1);
        let moved = self.moved(area);
        (area.0, (moved.1.0.max(widest), moved.1.1.max(lowest)))
    }
}

/// The style of a new cell, which shows a date as one.
fn styled(dates: &mut DateStyles, cell: &NewCell, style: String) -> String {
    if let NewCell::Date(_, has_time) = cell { dates.style(&style, *has_time) } else { style }
}

/// The style of a row, which its empty cells have.
fn row_style<R: BufRead, W: Write>(xml: &Rewriter<R, W>) -> Option<String> {
    let tag = xml.tag();
    attribute(&tag, "customFormat").filter(|is| is == "1" || is == "true").and_then(|_| attribute(&tag, "s"))
}

/// The cells of a new row, with empty ones where the row above it has a format.
fn with_formats(shape: &Shape, edits: &Edits, row: u32, cells: &BTreeMap<u32, NewCell>) -> BTreeMap<u32, NewCell> {
    let mut all = cells.clone();
    if (edits.added.0..edits.added.1).contains(&row) {
        for (column, _) in &shape.header {
            if (edits.columns.0..=edits.columns.1).contains(column) && shape.styles.contains_key(column) {
                all.entry(*column).or_insert(NewCell::Value(Cell::Empty));
            }
        }
    }
    all
}

fn spelled(area: Area) -> String {
    if area.0 == area.1 { format!("{}{}", letters(area.0.0), area.0.1) } else { range(area.0, area.1) }
}

#[cfg(test)]
mod tests {
    use super::super::super::formula::Move;
    use super::super::scan::scan;
    use super::super::shape::Block;
    use super::*;

    fn shape(xml: &str) -> Shape {
        let (mut shape, texts) = scan(xml.as_bytes(), &Block::default()).unwrap();
        shape.header = texts.into_iter().next().map(|(_, titles)| titles.into_iter().map(|t| (t.0, t.1)).collect()).unwrap_or_default();
        shape
    }

    fn written(xml: &str, edits: &Edits) -> io::Result<String> {
        let mut out = Vec::new();
        write(xml.as_bytes(), &mut out, &shape(xml), edits, &mut DateStyles::default())?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn cells(row: u32, cells: &[(u32, Cell)]) -> BTreeMap<u32, BTreeMap<u32, NewCell>> {
        BTreeMap::from([(row, cells.iter().map(|(c, cell)| (*c, NewCell::Value(cell.clone()))).collect())])
    }

    /// A row that is added after the last one, which was in this row.
    fn added(last: u32, row: &[(u32, Cell)]) -> Edits {
        let moving = Move { from: last + 2, by: 0, last, new_last: last + 1 };
        Edits { cells: cells(last + 1, row), added: (last + 1, last + 2), moving, columns: (1, 9), ..Edits::default() }
    }

    fn number(number: &str) -> Cell {
        Cell::Number(number.to_owned())
    }

    #[test]
    fn rows_are_added_after_the_last_value_with_its_format_and_nothing_else_changes() {
        let before = "<x:worksheet><x:dimension ref=\"A1:B2\"/><x:sheetData><x:row r=\"1\"><x:c r=\"A1\" t=\"inlineStr\"><x:is><x:t>N &amp; M</x:t></x:is></x:c><x:c r=\"B1\" t=\"s\"><x:v>3</x:v></x:c></x:row>\
            <x:row r=\"2\"><x:c r=\"A2\" s=\"4\"><x:v>1</x:v></x:c></x:row></x:sheetData><x:autoFilter ref=\"A1:B2\"/><x:other a='1'/></x:worksheet>";
        let edits = added(2, &[(1, number("7")), (2, Cell::Text("<a>".into()))]);
        let expected = before.replace("A1:B2", "A1:B3").replace("</x:sheetData>", "<x:row r=\"3\"><x:c r=\"A3\" s=\"4\"><x:v>7</x:v></x:c><x:c r=\"B3\" t=\"inlineStr\"><x:is><x:t xml:space=\"preserve\">&lt;a&gt;</x:t></x:is></x:c></x:row></x:sheetData>");
        assert_eq!(written(before, &edits).unwrap(), expected);
    }

    /// Each with what a new row with 7 in A looks like: the format of the prepared row, of the row above, or of the column.
    #[test]
    fn a_new_row_is_formatted_as_it_was_prepared() {
        let sheet = |cols: &str, row: &str, new: &str| {
            format!(
                "<s>{cols}<sheetData><row r=\"1\"><c r=\"A1\" t=\"inlineStr\"><is><t>N</t></is></c></row>{row}{new}<row r=\"4\" ht=\"9\"/></sheetData></s>"
            )
        };
        let cols = "<cols><col min=\"1\" max=\"2\" style=\"5\"/></cols>";
        let row = "<row r=\"2\"><c r=\"A2\" s=\"4\"><v>1</v></c></row>";
        for (cols, row, prepared, new) in [
            ("", row, "", "<row r=\"3\"><c r=\"A3\" s=\"4\"><v>7</v></c></row>"),
            (cols, row, "", "<row r=\"3\"><c r=\"A3\" s=\"4\"><v>7</v></c></row>"),
            (cols, "<row r=\"2\"><c r=\"A2\"><v>1</v></c></row>", "", "<row r=\"3\"><c r=\"A3\" s=\"5\"><v>7</v></c></row>"),
            (cols, row, "<row r=\"3\" ht=\"9\"/>", "<row r=\"3\" ht=\"9\"><c r=\"A3\" s=\"4\"><v>7</v></c></row>"),
            (
                cols,
                row,
                "<row r=\"3\" s=\"6\" customFormat=\"1\"/>",
                "<row r=\"3\" s=\"6\" customFormat=\"1\"><c r=\"A3\" s=\"6\"><v>7</v></c></row>",
            ),
            (
                cols,
                row,
                "<row r=\"3\" ht=\"9\"><c r=\"A3\" s=\"8\"/><c r=\"B3\" s=\"2\"/></row>",
                "<row r=\"3\" ht=\"9\"><c r=\"A3\" s=\"8\"><v>7</v></c><c r=\"B3\" s=\"2\"/></row>",
            ),
        ] {
            let before = sheet(cols, row, prepared);
            assert_eq!(written(&before, &added(2, &[(1, number("7"))])).unwrap(), sheet(cols, row, new));
        }
    }

    #[test]
    fn unchanged_parts_keep_their_quotes_spaces_and_comments() {
        let before = "\u{feff}<?xml version='1.0'?>\n<!-- <row r='2'><sheetData/> --><x:sheet ><x:dimension\nref = 'A1:B2'/><x:sheetData ><x:row r='1' ><x:c r='A1' t='inlineStr'><x:is><x:t>N</x:t></x:is></x:c ></x:row >\
            <!-- <c r='A2'/> --><x:row spans='1:2' r='2' ><x:c r='A2' s='4'\n/><x:c r='B2'><x:f>SUM(B1:B1)&amp;\">\"</x:f><x:v>9</x:v></x:c></x:row></x:sheetData\n></x:sheet>";
        let cell = "<x:c r=\"A2\" s=\"4\"><x:v>7</x:v></x:c>";
        let edits = Edits { cells: cells(2, &[(1, number("7"))]), ..Edits::default() };
        assert_eq!(written(before, &edits).unwrap(), before.replace(" spans='1:2'", "").replace("<x:c r='A2' s='4'\n/>", cell));
        // A row is inserted above the total, which moves down, grows, and has no result any more.
        let moving = Move { from: 2, by: 1, last: 1, new_last: 2 };
        let stale = BTreeMap::from([(2, BTreeSet::from([2]))]);
        let edits = Edits { cells: cells(2, &[(1, number("7"))]), added: (2, 3), moving, columns: (1, 9), stale, title: "S".into() };
        let row = "<x:row r=\"2\"><x:c r=\"A2\"><x:v>7</x:v></x:c></x:row><x:row spans='1:2' r='3' >";
        let expected = before
            .replace("'A1:B2'", "'A1:B3'")
            .replace("<x:row spans='1:2' r='2' >", row)
            .replace("<x:c r='A2' s='4'", "<x:c r='A3' s='4'")
            .replace("<x:c r='B2'>", "<x:c r='B3'>")
            .replace("SUM(B1:B1)&amp;\">\"", "SUM(B1:B2)&amp;\"&gt;\"")
            .replace("<x:v>9</x:v>", "");
        assert_eq!(written(before, &edits).unwrap(), expected);
    }

    /// Ranges around the rows of a sheet whose last row was 3 and is 4; a total below moved from 4 to 5.
    #[test]
    fn formats_and_validations_grow_and_what_is_below_moves() {
        let sheet = |around: &str| {
            format!(
                "<s><sheetData><row r=\"1\"><c r=\"A1\"><v>1</v></c></row><row r=\"2\"><c r=\"A2\"><v>1</v></c></row><row r=\"3\"><c r=\"A3\"><v>1</v></c></row></sheetData>{around}</s>"
            )
        };
        let moving = Move { from: 4, by: 1, last: 3, new_last: 4 };
        let edits = Edits { cells: cells(4, &[(1, number("7"))]), added: (4, 5), moving, columns: (1, 4), ..Edits::default() };
        for (before, after) in [
            ("<conditionalFormatting sqref=\"A2:D3 F2:F3\"/>", "<conditionalFormatting sqref=\"A2:D4 F2:F3\"/>"),
            (
                "<dataValidations><dataValidation sqref='D2:D3'/></dataValidations>",
                "<dataValidations><dataValidation sqref='D2:D4'/></dataValidations>",
            ),
            (
                "<dataValidation sqref=\"A2:A3\"><formula1>B3</formula1></dataValidation>",
                "<dataValidation sqref=\"A2:A4\"><formula1>B3</formula1></dataValidation>",
            ),
            (
                "<conditionalFormatting sqref=\"B4\"><cfRule><formula>B4&gt;0</formula></cfRule></conditionalFormatting>",
                "<conditionalFormatting sqref=\"B5\"><cfRule><formula>B5&gt;0</formula></cfRule></conditionalFormatting>",
            ),
            ("<conditionalFormatting sqref=\"A1:A1048576\"/>", "<conditionalFormatting sqref=\"A1:A1048576\"/>"),
            ("<conditionalFormatting sqref=\"A3\"/>", "<conditionalFormatting sqref=\"A3\"/>"),
            (
                "<mergeCell ref=\"A4:B4\"/><hyperlink ref=\"A4\"/><hyperlink ref=\"A3\"/>",
                "<mergeCell ref=\"A5:B5\"/><hyperlink ref=\"A5\"/><hyperlink ref=\"A3\"/>",
            ),
            ("<e xmlns:xm='x'><xm:sqref>A2:A3 B4</xm:sqref></e>", "<e xmlns:xm='x'><xm:sqref>A2:A4 B5</xm:sqref></e>"),
            // What is not in the rows of the sheet is not taken for one of them.
            (
                "<controls><from xmlns:xdr='x'><xdr:row>1</xdr:row></from></controls>",
                "<controls><from xmlns:xdr='x'><xdr:row>1</xdr:row></from></controls>",
            ),
        ] {
            let row = "<row r=\"4\"><c r=\"A4\"><v>7</v></c></row></sheetData>";
            assert_eq!(written(&sheet(before), &edits).unwrap(), sheet(after).replace("</sheetData>", row));
        }
    }

    #[test]
    fn a_sheet_that_ends_too_early_is_rejected() {
        let whole = "<worksheet><sheetData><row r=\"1\"><c r=\"A1\"><v>1</v></c></row></sheetData></worksheet>";
        let shape = shape(whole);
        for cut in [&whole[..30], &whole[..whole.len() - 30], "<worksheet></worksheet>"] {
            let written = write(cut.as_bytes(), &mut Vec::new(), &shape, &added(1, &[(1, Cell::Empty)]), &mut DateStyles::default());
            let why = if cut.ends_with("</worksheet>") { "it has no rows" } else { "its XML is malformed: it ends too early" };
            assert_eq!(written.unwrap_err().to_string(), why, "{cut}");
        }
    }
}
