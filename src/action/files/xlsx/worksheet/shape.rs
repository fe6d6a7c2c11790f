//! What is passed between the passes over a sheet: what was found in it, and what is to change.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::formula::{Area, Move};
use crate::action::files::row::Cell;

/// Where the rows of a sheet are, as far as it is known before reading it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Block {
    /// The row with the titles; the first one with a value by default.
    pub title_row: Option<u32>,
    /// The table that contains the rows: its first and last column, and the last row of its data.
    pub table: Option<(u32, u32, u32)>,
    /// The first and last columns of tables that do not contain them.
    pub other_tables: Vec<(u32, u32)>,
}

impl Block {
    /// Whether values in a column belong to the rows.
    pub(crate) fn has(&self, column: u32) -> bool {
        let is_in = |(from, to): (u32, u32)| (from..=to).contains(&column);
        match self.table {
            Some((from, to, _)) => is_in((from, to)),
            None => !self.other_tables.iter().any(|t| is_in(*t)),
        }
    }
}

/// What is in a cell below the last row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Constant,
    /// A formula about its own row, which waits for values.
    Form,
    /// A sum of the cells above it, or the like.
    Total,
    /// Any other formula.
    Formula,
}

/// A row with content below the last row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Below {
    pub cells: Vec<(u32, Kind)>,
    /// Whether a formula is written in another row.
    pub shares: bool,
}

impl Below {
    pub(crate) fn has_total(&self) -> bool {
        self.cells.iter().any(|(_, kind)| *kind == Kind::Total)
    }
}

/// What has to be known about a sheet before rows are added.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// The titles, by column.
    pub header: Vec<(u32, String)>,
    pub header_row: u32,
    /// The text in other rows at the beginning of the sheet.
    pub others: Vec<(u32, Vec<String>)>,
    /// The last row, or the row of titles if there is none.
    pub last_row: u32,
    /// What is below it, by row.
    pub below: BTreeMap<u32, Below>,
    /// The last column of the sheet with a cell, and all columns with a value.
    pub last_column: u32,
    pub used: BTreeSet<u32>,
    /// The cell styles of the last row, and its formulas.
    pub styles: HashMap<u32, String>,
    pub formulas: BTreeMap<u32, String>,
    /// The styles of columns, by first and last column.
    pub column_styles: Vec<(u32, u32, String)>,
    pub merged: Vec<Area>,
    /// The ranges of array formulas and of data tables.
    pub arrays: Vec<Area>,
    pub has_formulas: bool,
    pub has_content: bool,
    /// The byte offset at which the last row ends: everything up to there can be copied unread.
    pub(super) end: u64,
    /// The prefix of the sheet's tags, with its colon.
    pub(super) prefix: String,
}

impl Shape {
    /// The style of a new cell: that of the cell above it, or of its column.
    pub(super) fn style(&self, column: u32) -> &str {
        let of_column = || self.column_styles.iter().find(|(from, to, _)| (*from..=*to).contains(&column)).map(|(.., style)| style);
        self.styles.get(&column).or_else(of_column).map_or("", String::as_str)
    }

    /// Why a value must not be written to a cell.
    pub(crate) fn locked(&self, row: u32, column: u32, formulas: &HashMap<u32, Vec<u32>>) -> Option<String> {
        let is_in = |((left, top), (right, bottom)): &Area| (*left..=*right).contains(&column) && (*top..=*bottom).contains(&row);
        let spelled = |area: &Area| super::reference::range(area.0, area.1);
        if let Some(array) = self.arrays.iter().find(|a| is_in(a) && a.0 != a.1) {
            return Some(format!(
                "belongs to the array formula in {}, which Doorbell does not overwrite; remove the column from the rule",
                spelled(array)
            ));
        }
        if formulas.get(&row).is_some_and(|columns| columns.contains(&column)) {
            return Some("contains a formula, which Doorbell does not overwrite; remove the column from the rule".to_owned());
        }
        let merged = self.merged.iter().find(|m| is_in(m) && m.0 != (column, row))?;
        Some(format!("is hidden, because {} are merged into one cell; split it in your spreadsheet program", spelled(merged)))
    }
}

/// A new cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NewCell {
    Value(Cell),
    Formula(String),
    /// The number that means a date, and whether it has a time.
    Date(String, bool),
}

/// What changes in a sheet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Edits {
    /// New cells, by their row and column in the new sheet.
    pub cells: BTreeMap<u32, BTreeMap<u32, NewCell>>,
    /// The new rows: the first one, and the one after the last.
    pub added: (u32, u32),
    /// The rows that move.
    pub moving: Move,
    /// The first and the last column that grow with the rows.
    pub columns: (u32, u32),
    /// Formulas whose results are not true any more, by row and column in the old sheet.
    pub stale: BTreeMap<u32, BTreeSet<u32>>,
    /// The title of the sheet.
    pub title: String,
}

impl Edits {
    /// The columns that get a date, and whether with a time.
    pub(crate) fn dates(&self) -> BTreeMap<u32, bool> {
        let mut columns = BTreeMap::new();
        for (column, cell) in self.cells.values().flatten() {
            if let NewCell::Date(_, has_time) = cell {
                *columns.entry(*column).or_default() |= has_time;
            }
        }
        columns
    }

    /// Whether formulas move or are added, so that the order in which they are calculated is not true any more.
    pub(crate) fn reorders(&self) -> bool {
        self.moving.by > 0 || self.cells.values().flat_map(BTreeMap::values).any(|cell| matches!(cell, NewCell::Formula(_)))
    }
}
