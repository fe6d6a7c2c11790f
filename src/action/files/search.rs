//! Finds the rows that a batch changes or asks for, by the values in their columns.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::date;
use super::row::{Cell, Mode, Row};
use crate::expr::moment::moment;

/// Where a row is: its number in the file, or its position among the added rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Old(u32),
    New(usize),
}

/// The rows of a sheet that a batch looks for, found in a single pass.
#[derive(Clone, Default)]
pub(super) struct Search {
    sets: Vec<Set>,
    /// Every value to look for, in any column.
    words: HashSet<String>,
    /// Columns whose values are compared with new ones, and these values of the rows that were found.
    kept: BTreeSet<u32>,
    pub(super) values: HashMap<(u32, u32), String>,
}

/// The rows that are looked up by the same columns.
#[derive(Clone, Default)]
struct Set {
    titles: Vec<String>,
    columns: Vec<u32>,
    ignore_case: bool,
    wanted: HashSet<String>,
    found: HashMap<String, Vec<At>>,
}

/// How a value is compared: character by character, so `007` is not `7` and `1.10` is not `1.1`. An apostrophe that protects
/// a value in a `.csv` is ignored.
fn key(text: &str, ignore_case: bool) -> String {
    let text = unguarded(text);
    if ignore_case { text.to_lowercase() } else { text.to_owned() }
}

/// Text without the apostrophe that protects it in a `.csv`.
pub(super) fn unguarded(text: &str) -> &str {
    text.strip_prefix('\'').filter(|rest| rest.starts_with(['=', '+', '-', '@', '\t', '\r', '\n'])).unwrap_or(text)
}

/// How the value of a cell is spelled where rows are compared.
pub(super) fn spelled(cell: &Cell) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Text(text) | Cell::Date(text) => text.clone(),
        Cell::Number(number) => plain(number),
        Cell::Bool(b) => b.to_string(),
    }
}

/// The plain spelling of a number, which is the same for all numbers that a workbook cannot tell apart: it stores floats, so
/// that 19.99 can be 19.989999999999998 there.
pub(super) fn plain(number: &str) -> String {
    match number.parse::<f64>() {
        Ok(0.0) => "0".to_owned(),
        Ok(float) if float.is_finite() => float.to_string(),
        _ => number.to_owned(),
    }
}

/// Whether the cell of a workbook can hold a number: a spreadsheet program stores 15 digits and rounds longer numbers, and
/// it refuses a file with a number that is too large for it. Such a number stays text.
pub(super) fn is_exact(number: &str) -> bool {
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let is_zero = mantissa.bytes().all(|b| matches!(b, b'0' | b'.' | b'-'));
    let size = number.parse::<f64>().map_or(f64::INFINITY, f64::abs);
    digits <= 15 && (is_zero || (2.225_073_858_507_2e-308..=9.999_999_999_999_99e307).contains(&size))
}

/// The column with a title; the error names two that have it.
pub(super) fn column(header: &[(u32, String)], title: &str) -> Result<Option<u32>, String> {
    let mut with_it = header.iter().filter(|(_, h)| h == title.trim()).map(|(c, _)| *c);
    match (with_it.next(), with_it.next()) {
        (Some(a), Some(b)) => {
            Err(format!("has two columns with the title `{}`, columns {a} and {b}; give each of them its own title", title.trim()))
        }
        (found, _) => Ok(found),
    }
}

/// The values by which a row is looked up, as they would be in the file; the error names the empty one.
pub(super) fn values(row: &Row, fit: Fit) -> Result<Vec<String>, String> {
    let value = |title: &String| {
        let cell = row.cells.iter().find(|(t, _)| t.trim() == title.trim()).and_then(|(_, c)| fit(row, title, c).ok());
        let value = cell.map(|c| spelled(&c)).unwrap_or_default();
        if value.is_empty() { Err(format!("the value for {title} is empty, so it cannot identify a row")) } else { Ok(value) }
    };
    row.matching.iter().map(value).collect()
}

fn joined(values: &[String], ignore_case: bool) -> String {
    values.iter().map(|v| key(v, ignore_case)).collect::<Vec<_>>().join("\u{1f}")
}

/// The same with dates spelled as those in the cells of a workbook, if there are any.
fn dated(values: &[String], ignore_case: bool) -> Option<String> {
    let with_dates: Vec<String> = values.iter().map(|v| date::read(v).unwrap_or_else(|| v.clone())).collect();
    (with_dates != values).then(|| joined(&with_dates, ignore_case))
}

impl Search {
    pub(super) fn new<'r>(header: &[(u32, String)], rows: impl Iterator<Item = &'r Row>, fit: Fit) -> Self {
        let mut search = Self::default();
        for row in rows.filter(|r| r.mode != Mode::Add) {
            let columns = row.matching.iter().map(|t| column(header, t).ok().flatten()).collect::<Option<Vec<_>>>();
            let (Some(columns), Ok(values)) = (columns, values(row, fit)) else { continue };
            let at = search.sets.iter().position(|s| s.columns == columns && s.ignore_case == row.ignore_case).unwrap_or_else(|| {
                let (titles, ignore_case) = (row.matching.clone(), row.ignore_case);
                search.sets.push(Set { titles, columns, ignore_case, ..Set::default() });
                search.sets.len() - 1
            });
            search.kept.extend(row.newer_than.iter().filter_map(|title| column(header, title).ok().flatten()));
            search.sets[at].wanted.insert(joined(&values, row.ignore_case));
            search.sets[at].wanted.extend(dated(&values, row.ignore_case));
            search.words.extend(values.iter().map(|v| key(v, true)));
        }
        search
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// The columns that have to be read.
    pub(super) fn columns(&self) -> BTreeSet<u32> {
        self.sets.iter().flat_map(|s| s.columns.iter().copied()).chain(self.kept.iter().copied()).collect()
    }

    /// Whether a value is looked for in any column; other values can be dropped.
    pub(super) fn wants(&self, text: &str) -> bool {
        self.words.contains(&key(text, true)) || !self.kept.is_empty() && moment(text).is_some()
    }

    /// Checks one row, whose cells are spelled as here; returns whether it is one of those looked for.
    pub(super) fn look(&mut self, row: u32, cell: &dyn Fn(u32) -> Option<String>) -> bool {
        let mut any = false;
        for set in &mut self.sets {
            let Some(key) = set.key(cell) else { continue };
            if set.wanted.contains(&key) {
                set.found.entry(key).or_default().push(At::Old(row));
                any = true;
            }
        }
        if any {
            self.values.extend(self.kept.iter().filter_map(|c| Some(((row, *c), cell(*c)?))));
        }
        any
    }

    /// A row that was added can be found by later rows of the batch.
    pub(super) fn added(&mut self, at: usize, row: &BTreeMap<u32, Cell>) {
        for set in &mut self.sets {
            if let Some(key) = set.key(&|c| row.get(&c).map(spelled)) {
                set.found.entry(key).or_default().push(At::New(at));
            }
        }
    }

    /// Rows that are deleted are not found any more.
    pub(super) fn forget(&mut self, gone: &[At]) {
        for found in self.sets.iter_mut().flat_map(|set| set.found.values_mut()) {
            found.retain(|at| !gone.contains(at));
        }
    }

    /// The rows that match: at most one, unless the row means all.
    pub(super) fn find(&self, row: &Row, values: &[String], name: &str) -> Result<Vec<At>, String> {
        let set = self.sets.iter().find(|s| s.titles == row.matching && s.ignore_case == row.ignore_case);
        let keys = std::iter::once(joined(values, row.ignore_case)).chain(dated(values, row.ignore_case));
        let found: Vec<At> = keys.filter_map(|key| set?.found.get(&key)).flatten().copied().collect();
        match found.as_slice() {
            [] | [_] => Ok(found),
            _ if row.all => Ok(found),
            [At::Old(a), At::Old(b), ..] => {
                Err(format!("{name} has two rows where {}: rows {a} and {b}; `all: true` means all of them", described(row, values)))
            }
            _ => Err(format!("{name} has two rows where {}", described(row, values))),
        }
    }
}

impl Set {
    /// The key of a row; `None` if one of its cells is empty.
    fn key(&self, cell: &dyn Fn(u32) -> Option<String>) -> Option<String> {
        let values = self.columns.iter().map(|c| cell(*c).filter(|t| !t.is_empty()));
        values.collect::<Option<Vec<_>>>().map(|v| joined(&v, self.ignore_case))
    }
}

/// `Email is ada@example.com and Shop is 7`.
pub(super) fn described(row: &Row, values: &[String]) -> String {
    let both = row.matching.iter().zip(values).map(|(title, value)| format!("{title} is {value}"));
    both.collect::<Vec<_>>().join(" and ")
}

/// Converts a value of a row to what a cell of this kind of file can hold. It receives the row because rows of several
/// rules are written together, each with its own settings. The result is what is planned, so nothing is added later.
pub(super) type Fit<'f> = &'f dyn Fn(&Row, &str, &Cell) -> Result<Cell, String>;
