//! What is passed between the two passes over a sheet: what was found in it, and what is to change.

use std::collections::{BTreeMap, HashMap};

use crate::action::files::row::Cell;

/// A row to be added: cells by column, counted from 1, in order.
pub(crate) struct Line(pub Vec<(u32, Cell)>);

/// What has to be known about a sheet before rows are added.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// The titles in the first row that has any, by column.
    pub header: Vec<(u32, String)>,
    /// Titles that are among the shared strings, by their index there.
    pub shared: Vec<(u32, usize)>,
    pub header_row: u32,
    /// The last row with a value.
    pub last_row: u32,
    /// The row of a table's totals, if it is the last one: rows are added above it.
    pub totals: Option<u32>,
    /// The cell styles of the last row and of the row before it, if these rows are not the header.
    pub(super) styles: HashMap<u32, String>,
    pub(super) styles_before: HashMap<u32, String>,
    pub last_column: u32,
    /// The byte offsets at which the last row with a value, and the one before it, end: everything up to there can be copied
    /// unread.
    pub(super) end: u64,
    pub(super) end_before: u64,
    /// The prefix of the sheet's tags, with its colon.
    pub(super) prefix: String,
}

/// Cells that change, by row and column.
pub(crate) type Changed = BTreeMap<u32, BTreeMap<u32, Cell>>;
