//! The results of formulas that are not true any more after a change. They are dropped, because a program that does not
//! calculate would show them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Read, Seek};

use zip::ZipArchive;

use super::formula::{Area, Token, copied, sheet_title, tokens};
use super::package::{MAX_PART, WORKBOOK, damaged, each_text, text_of};
use super::sheets::SheetPart;
use super::tables;
use super::worksheet::find::{Attributes, each_formula};
use super::worksheet::reference::at_range;
use super::xml_reader::attribute;
use crate::action::files::folder::Unwritten;

/// The cells of one sheet whose results are dropped, by row and column.
pub(super) type Cells = BTreeMap<u32, BTreeSet<u32>>;

/// How often all formulas are looked at again because results of others were dropped; after that, all are dropped.
const MOST_ROUNDS: usize = 64;
/// The most cells of an array formula whose results are dropped one by one.
const MOST_OF_ARRAY: u64 = 100_000;
/// Functions that read cells which they do not name.
const READS_ANYTHING: [&str; 4] = ["INDIRECT", "OFFSET", "CELL", "GETPIVOTDATA"];
/// How deep names may refer to other names.
const MOST_NAMES: usize = 4;

/// A change in a sheet, by the position of the sheet.
pub(super) type Change = (usize, Area);

struct Formula {
    sheet: usize,
    cells: Area,
    reads: Vec<Reads>,
}

enum Reads {
    Area(usize, Area),
    Anything,
}

/// The cells of each sheet, by its position, whose results depend on the changes, or whose formulas themselves have grown.
pub(super) fn stale<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    sheets: &[SheetPart],
    without_formulas: &BTreeSet<usize>,
    changes: &[Change],
    grown: &[Change],
) -> Result<BTreeMap<usize, Cells>, Unwritten> {
    let mut with_formulas = Vec::new();
    for (n, sheet) in sheets.iter().enumerate() {
        if !without_formulas.contains(&n) && has_formulas(archive, &sheet.part)? {
            with_formulas.push(n);
        }
    }
    if with_formulas.is_empty() {
        return Ok(BTreeMap::new());
    }
    let book = Book::read(archive, sheets)?;
    let mut formulas = Vec::new();
    for n in with_formulas {
        let part = archive.by_name(&sheets[n].part).map_err(damaged)?.take(MAX_PART);
        let mut masters: HashMap<String, (String, u32, u32)> = HashMap::new();
        each_formula(BufReader::new(part), |at, attributes, text| formulas.push(book.formula(n, at, attributes, text, &mut masters)))
            .map_err(damaged)?;
    }
    Ok(depending(&formulas, changes, grown))
}

/// Whether a sheet has a formula, without reading it as XML.
fn has_formulas<R: Read + Seek>(archive: &mut ZipArchive<R>, part: &str) -> Result<bool, Unwritten> {
    let mut part = BufReader::with_capacity(64 << 10, archive.by_name(part).map_err(damaged)?.take(MAX_PART));
    let mut tag = [0; 2];
    loop {
        let piece = part.fill_buf().map_err(damaged)?;
        if piece.is_empty() {
            return Ok(false);
        }
        for byte in piece {
            // `<f` or `:f`, and the end of the name.
            if tag[1] == b'f' && matches!(tag[0], b'<' | b':') && matches!(byte, b'>' | b' ' | b'/' | b'\t' | b'\r' | b'\n') {
                return Ok(true);
            }
            tag = [tag[1], *byte];
        }
        let used = piece.len();
        part.consume(used);
    }
}

/// What the names in formulas mean.
struct Book {
    sheets: HashMap<String, usize>,
    tables: HashMap<String, (usize, Area)>,
    names: HashMap<String, String>,
}

impl Book {
    fn read<R: Read + Seek>(archive: &mut ZipArchive<R>, sheets: &[SheetPart]) -> Result<Self, Unwritten> {
        let mut book = Self { sheets: HashMap::new(), tables: HashMap::new(), names: HashMap::new() };
        for (n, sheet) in sheets.iter().enumerate() {
            book.sheets.insert(sheet.title.to_lowercase(), n);
            for table in tables::of_sheet(archive, &sheet.part)? {
                book.tables.insert(table.name.to_lowercase(), (n, (table.from, table.to)));
            }
        }
        each_text(&text_of(archive, WORKBOOK)?, "definedName", |tag, formula| {
            book.names.insert(attribute(tag, "name").unwrap_or_default().to_lowercase(), formula.to_owned());
        })?;
        Ok(book)
    }

    fn formula(
        &self,
        sheet: usize,
        at: (u32, u32),
        attributes: &Attributes,
        text: &str,
        masters: &mut HashMap<String, (String, u32, u32)>,
    ) -> Formula {
        let array = attributes.range.as_deref().filter(|_| attributes.kind.as_deref() != Some("shared")).and_then(at_range);
        let mut formula = Formula { sheet, cells: array.unwrap_or((at, at)), reads: Vec::new() };
        match &attributes.shared {
            Some(number) if text.is_empty() => {
                let copy = masters
                    .get(number)
                    .and_then(|(text, column, row)| copied(text, i64::from(at.1) - i64::from(*row), i64::from(at.0) - i64::from(*column)));
                match copy {
                    Some(copy) => self.reads(sheet, at, &copy, 0, &mut formula.reads),
                    None => formula.reads.push(Reads::Anything),
                }
            }
            Some(number) => {
                masters.insert(number.clone(), (text.to_owned(), at.0, at.1));
                self.reads(sheet, at, text, 0, &mut formula.reads);
            }
            None if attributes.kind.as_deref() == Some("dataTable") => formula.reads.push(Reads::Anything),
            None => self.reads(sheet, at, text, 0, &mut formula.reads),
        }
        formula.reads.shrink_to_fit();
        formula
    }

    fn reads(&self, sheet: usize, at: (u32, u32), text: &str, depth: usize, reads: &mut Vec<Reads>) {
        for token in tokens(text) {
            match token {
                Token::Reference(reference) => match reference.sheet.map(|title| sheet_title(title).to_lowercase()) {
                    None => reads.push(Reads::Area(sheet, reference.area())),
                    // Several sheets at once.
                    Some(title) if title.contains(':') => reads.push(Reads::Anything),
                    // Another workbook is not one of the sheets.
                    Some(title) => reads.extend(self.sheets.get(&title).map(|n| Reads::Area(*n, reference.area()))),
                },
                Token::Table(name, part) => reads.extend(self.of_table(sheet, at, name, part)),
                Token::Function(name) if READS_ANYTHING.contains(&name) => reads.push(Reads::Anything),
                Token::Function(_) => {}
                Token::Name(name) => {
                    let name = name.to_lowercase();
                    if self.sheets.contains_key(&name) {
                        reads.push(Reads::Anything);
                    } else if let Some((sheet, area)) = self.tables.get(&name) {
                        reads.push(Reads::Area(*sheet, *area));
                    } else if let Some(text) = self.names.get(&name) {
                        match depth < MOST_NAMES {
                            true => self.reads(sheet, at, text, depth + 1, reads),
                            false => reads.push(Reads::Anything),
                        }
                    }
                }
            }
        }
    }

    /// What `Orders[Total]` or `[@Total]` reads; of a table, at least the row after its last one, where it grows.
    fn of_table(&self, sheet: usize, (column, row): (u32, u32), name: &str, part: &str) -> Option<Reads> {
        let is_own_row = part.contains('@') || part.contains("#This Row");
        let found = match name.is_empty() {
            false => self.tables.get(&name.to_lowercase()).copied(),
            true => self
                .tables
                .values()
                .copied()
                .find(|(n, (from, to))| *n == sheet && (from.0..=to.0).contains(&column) && (from.1..=to.1).contains(&row)),
        };
        let Some((of, (from, to))) = found else { return Some(Reads::Anything) };
        Some(match is_own_row {
            true => Reads::Area(of, ((from.0, row), (to.0, row))),
            false => Reads::Area(of, (from, (to.0, to.1 + 1))),
        })
    }
}

fn overlap(a: &Area, b: &Area) -> bool {
    a.0.0 <= b.1.0 && b.0.0 <= a.1.0 && a.0.1 <= b.1.1 && b.0.1 <= a.1.1
}

/// The cells that depend on changes, directly or through other formulas.
fn depending(formulas: &[Formula], changes: &[Change], grown: &[Change]) -> BTreeMap<usize, Cells> {
    // Cells by sheet and column, so that a range is looked up column by column.
    let mut found: BTreeMap<(usize, u32), BTreeSet<u32>> = BTreeMap::new();
    let mut is_stale = vec![false; formulas.len()];
    for round in 0.. {
        let mut any = false;
        for (n, formula) in formulas.iter().enumerate() {
            let depends = |reads: &Reads| match reads {
                Reads::Anything => true,
                Reads::Area(sheet, area) => {
                    let columns = found.range((*sheet, area.0.0)..=(*sheet, area.1.0));
                    changes.iter().any(|(of, changed)| of == sheet && overlap(changed, area))
                        || columns.into_iter().any(|(_, rows)| rows.range(area.0.1..=area.1.1).next().is_some())
                }
            };
            let has_grown = || grown.iter().any(|(sheet, area)| *sheet == formula.sheet && overlap(area, &formula.cells));
            let is_over = || round >= MOST_ROUNDS && !formula.reads.is_empty();
            if is_stale[n] || !(has_grown() || is_over() || formula.reads.iter().any(depends)) {
                continue;
            }
            (is_stale[n], any) = (true, true);
            let ((left, top), (right, bottom)) = formula.cells;
            let size = u64::from(right.saturating_sub(left) + 1) * u64::from(bottom.saturating_sub(top) + 1);
            let (right, bottom) = if size > MOST_OF_ARRAY { (left, top) } else { (right, bottom) };
            for column in left..=right {
                found.entry((formula.sheet, column)).or_default().extend(top..=bottom);
            }
        }
        if !any {
            break;
        }
    }
    let mut cells: BTreeMap<usize, Cells> = BTreeMap::new();
    for ((sheet, column), rows) in found {
        for row in rows {
            cells.entry(sheet).or_default().entry(row).or_default().insert(column);
        }
    }
    cells
}
