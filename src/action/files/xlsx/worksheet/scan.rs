//! Inspects a sheet: its titles, its last row, and what is below it.

use std::collections::HashMap;
use std::io::{self, BufRead};

use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};

use super::super::formula::{copied, is_about_its_row, sums_above};
use super::super::xml_reader::{XmlReader, attribute};
use super::reference::{MAX_ROWS, at_cell, at_range};
use super::shape::{Below, Block, Kind, Shape};

/// How many of the first rows are searched for titles that are not where they should be.
const MAX_OTHERS: usize = 20;

pub(super) fn broken(e: impl std::fmt::Display) -> io::Error {
    io::Error::other(e.to_string())
}

/// A title: its column, its text or the number of a shared string, and which of both it is.
pub(crate) type Title = (u32, String, bool);
/// The text of some rows, by their number.
pub(crate) type Texts = Vec<(u32, Vec<Title>)>;

/// Inspects a sheet. What is found to be well-formed can then be copied without reading it again. The second value is the
/// text of the first rows; whoever knows the shared strings finds the titles among it.
pub(crate) fn scan(xml: impl BufRead, block: &Block) -> io::Result<(Shape, Texts)> {
    let mut reader = XmlReader::new(xml)?;
    let mut buffer = Vec::new();
    let mut scan = Scan::new(block);
    let mut in_data = false;
    loop {
        let event = reader.read(&mut buffer)?;
        let is_start = matches!(event, Event::Start(_));
        match event {
            Event::Start(tag) | Event::Empty(tag) => match tag.local_name().as_ref() {
                "sheetData" => {
                    in_data = is_start;
                    scan.shape.prefix = tag.name().prefix().map_or(String::new(), |p| format!("{}:", p.as_ref()));
                }
                "row" if in_data => scan.begin_row(&tag)?,
                "c" if in_data => {
                    scan.begin_cell(&tag)?;
                    if !is_start {
                        scan.end_cell();
                    }
                }
                "f" if in_data => scan.begin_formula(&tag, is_start),
                "v" | "t" if in_data && is_start => scan.reading = Reading::Value,
                "col" if !in_data => scan.column(&tag),
                "mergeCell" if !in_data => scan.shape.merged.extend(attribute(&tag, "ref").and_then(|r| at_range(&r))),
                _ => {}
            },
            Event::Text(text) => scan.text(&text.xml10_content()),
            Event::CData(text) => scan.text(&text.xml10_content()),
            Event::GeneralRef(name) => scan.text(&unescape(&format!("&{};", name.as_ref())).map_err(broken)?),
            Event::End(tag) if in_data => match tag.local_name().as_ref() {
                "sheetData" => in_data = false,
                "v" | "t" | "f" => scan.reading = Reading::Nothing,
                "c" => scan.end_cell(),
                "row" => scan.end_row(reader.position()),
                _ => {}
            },
            Event::Eof => return Ok((scan.shape, scan.texts)),
            _ => {}
        }
    }
}

/// What text is part of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Nothing,
    Value,
    Formula,
}

/// A formula, or where it is written.
enum Written {
    Here(String),
    Shared(String),
}

/// The current cell.
#[derive(Default)]
struct Current {
    column: u32,
    kind: String,
    text: String,
    has_text: bool,
    formula: Option<String>,
    /// The number of a shared formula.
    shared: Option<String>,
}

struct Scan<'b> {
    block: &'b Block,
    shape: Shape,
    texts: Texts,
    reading: Reading,
    row: u32,
    cell: Current,
    /// The current row: styles, text, columns with constants, whether these are numbers, and formulas.
    styles: Vec<(u32, String)>,
    titles: Vec<Title>,
    constants: Vec<(u32, bool)>,
    formulas: Vec<(u32, Written)>,
    /// Where shared formulas are written: text, column and row.
    masters: HashMap<String, (String, u32, u32)>,
    has_total_below: bool,
}

impl<'b> Scan<'b> {
    fn new(block: &'b Block) -> Self {
        Self {
            block,
            shape: Shape::default(),
            texts: Vec::new(),
            reading: Reading::Nothing,
            row: 0,
            cell: Current::default(),
            styles: Vec::new(),
            titles: Vec::new(),
            constants: Vec::new(),
            formulas: Vec::new(),
            masters: HashMap::new(),
            has_total_below: false,
        }
    }

    fn column(&mut self, tag: &BytesStart) {
        let number = |name| attribute(tag, name).and_then(|n| n.parse::<u32>().ok());
        if let (Some(from), Some(to), Some(style)) = (number("min"), number("max"), attribute(tag, "style")) {
            self.shape.column_styles.push((from, to, style));
        }
    }

    fn begin_row(&mut self, tag: &BytesStart) -> io::Result<()> {
        let row = row_number(tag, self.row)?;
        if row <= self.row {
            return Err(broken(format!("row {row} comes after row {}", self.row)));
        }
        self.row = row;
        self.cell.column = 0;
        self.styles.clear();
        self.titles.clear();
        self.constants.clear();
        self.formulas.clear();
        Ok(())
    }

    fn begin_cell(&mut self, tag: &BytesStart) -> io::Result<()> {
        let before = self.cell.column;
        let cell = Tag::read(tag, before)?;
        if cell.column <= before {
            return Err(broken(format!("the cells of row {} are not in order", self.row)));
        }
        self.styles.extend(cell.style.map(|style| (cell.column, style)));
        self.cell = Current { column: cell.column, kind: cell.kind, ..Current::default() };
        Ok(())
    }

    fn begin_formula(&mut self, tag: &BytesStart, is_start: bool) {
        self.cell.formula = Some(String::new());
        self.reading = if is_start { Reading::Formula } else { Reading::Nothing };
        self.shape.has_formulas = true;
        match attribute(tag, "t").as_deref() {
            Some("shared") => self.cell.shared = attribute(tag, "si"),
            Some("array" | "dataTable") => self.shape.arrays.extend(attribute(tag, "ref").and_then(|r| at_range(&r))),
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        match self.reading {
            Reading::Value => {
                self.cell.has_text |= !text.is_empty();
                if self.is_reading_titles() {
                    self.cell.text.push_str(text);
                }
            }
            Reading::Formula => {
                if let Some(formula) = &mut self.cell.formula {
                    formula.push_str(text);
                }
            }
            Reading::Nothing => {}
        }
    }

    fn is_reading_titles(&self) -> bool {
        self.texts.len() < MAX_OTHERS || self.block.title_row == Some(self.row)
    }

    fn end_cell(&mut self) {
        let cell = std::mem::take(&mut self.cell);
        self.cell.column = cell.column;
        self.shape.last_column = self.shape.last_column.max(cell.column);
        if cell.has_text || cell.formula.is_some() {
            self.shape.used.insert(cell.column);
        }
        if !cell.text.is_empty() {
            self.titles.push((cell.column, cell.text, cell.kind == "s"));
        }
        match (cell.formula, cell.shared) {
            (Some(text), Some(number)) if text.is_empty() => self.formulas.push((cell.column, Written::Shared(number))),
            (Some(text), number) => {
                if let Some(number) = number {
                    self.masters.insert(number, (text.clone(), cell.column, self.row));
                }
                self.formulas.push((cell.column, Written::Here(text)));
            }
            // The other cells of an array formula contain its results.
            (None, _) if cell.has_text && self.shape.arrays.iter().any(|a| contains(a, cell.column, self.row)) => {}
            (None, _) if cell.has_text => self.constants.push((cell.column, matches!(cell.kind.as_str(), "" | "n" | "d"))),
            (None, _) => {}
        }
    }

    fn end_row(&mut self, position: u64) {
        if self.constants.is_empty() && self.formulas.is_empty() {
            return;
        }
        self.shape.has_content = true;
        if self.is_reading_titles() {
            self.texts.push((self.row, std::mem::take(&mut self.titles)));
        }
        match self.block.title_row {
            _ if self.shape.header_row > 0 => {
                let below = if self.is_filled() { None } else { Some(self.below()) };
                match below.filter(|below| !self.is_data(below)) {
                    Some(below) => drop(self.shape.below.insert(self.row, below)),
                    None => self.take_last_row(position),
                }
            }
            Some(wanted) if wanted != self.row => {}
            _ => (self.shape.header_row, self.shape.last_row, self.shape.end) = (self.row, self.row, position),
        }
    }

    fn take_last_row(&mut self, position: u64) {
        (self.shape.last_row, self.shape.end) = (self.row, position);
        self.shape.below.clear();
        self.has_total_below = false;
        self.shape.styles = self.styles.drain(..).collect();
        // Formulas are copied to new rows of a table only.
        if self.block.table.is_some() {
            self.shape.formulas =
                self.formulas.iter().filter_map(|(column, written)| Some((*column, self.formula(*column, written)?))).collect();
        }
    }

    fn formula(&self, column: u32, written: &Written) -> Option<String> {
        match written {
            Written::Here(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            Written::Shared(number) => {
                let (text, from, row) = self.masters.get(number)?;
                copied(text, i64::from(self.row) - i64::from(*row), i64::from(column) - i64::from(*from))
            }
        }
    }

    /// Whether a row clearly is one of the rows, without looking at its formulas.
    fn is_filled(&self) -> bool {
        let mine = || self.constants.iter().filter(|(column, _)| self.block.has(*column));
        match self.block.table {
            Some((.., last)) => self.row <= last && mine().next().is_some(),
            None => mine().count() > 2 || mine().any(|(_, is_number)| *is_number),
        }
    }

    fn is_data(&mut self, below: &Below) -> bool {
        if self.block.table.is_some() {
            return false;
        }
        let is_total = below.cells.iter().any(|(column, kind)| *kind == Kind::Total && self.block.has(*column));
        let constants = self.constants.iter().filter(|(column, _)| self.block.has(*column)).count();
        self.has_total_below |= is_total;
        // Below a total, a single text is a remark.
        !is_total && constants > usize::from(self.has_total_below)
    }

    fn below(&self) -> Below {
        let mut shares = false;
        let formulas = self.formulas.iter().map(|(column, written)| {
            shares |= matches!(written, Written::Shared(number) if self.masters.get(number).is_none_or(|(.., row)| *row != self.row));
            let kind = match self.formula(*column, written) {
                Some(text) if sums_above(&text, (*column, self.row)) => Kind::Total,
                Some(text) if is_about_its_row(&text, self.row) => Kind::Form,
                _ => Kind::Formula,
            };
            (*column, kind)
        });
        let mut cells: Vec<(u32, Kind)> = formulas.collect();
        cells.extend(self.constants.iter().map(|(column, _)| (*column, Kind::Constant)));
        cells.sort_unstable_by_key(|(column, _)| *column);
        Below { cells, shares }
    }
}

fn contains(((left, top), (right, bottom)): &((u32, u32), (u32, u32)), column: u32, row: u32) -> bool {
    (*left..=*right).contains(&column) && (*top..=*bottom).contains(&row)
}

/// The number of a row, from its attribute or from the row before it.
pub(crate) fn row_number(tag: &BytesStart, before: u32) -> io::Result<u32> {
    match attribute(tag, "r") {
        None => Some(before + 1),
        Some(number) => number.parse().ok(),
    }
    .filter(|row| (1..=MAX_ROWS).contains(row))
    .ok_or_else(|| broken("a row has no valid number"))
}

/// The attributes of a cell.
pub(crate) struct Tag {
    pub column: u32,
    pub kind: String,
    pub style: Option<String>,
}

impl Tag {
    pub(crate) fn read(tag: &BytesStart, before: u32) -> io::Result<Self> {
        let mut cell = Tag { column: before + 1, kind: String::new(), style: None };
        for attribute in tag.attributes().with_checks(false).flatten() {
            match attribute.key.as_ref() {
                "r" => {
                    let place = at_cell(&attribute.value).ok_or_else(|| broken(format!("there is no cell `{}`", attribute.value)))?;
                    cell.column = place.0;
                }
                "t" => cell.kind = attribute.value.into_owned(),
                "s" => cell.style = Some(attribute.value.into_owned()),
                _ => {}
            }
        }
        Ok(cell)
    }
}
