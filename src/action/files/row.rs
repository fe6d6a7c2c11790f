//! A row for a sheet, whatever kind of file that is in. What it does to the sheet is left to `changes`.

/// A row: values by the header of their column.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub cells: Vec<(String, Cell)>,
    /// The sheet of a workbook; its first one if nothing is said.
    pub sheet: Option<String>,
    /// Whether text that a spreadsheet would take for a formula is kept from being one, in `.csv`.
    pub guard: bool,
    pub mode: Mode,
    /// The titles of the columns that a row is found by.
    pub matching: Vec<String>,
    /// Whether capital and small letters are the same when a row is looked for.
    pub ignore_case: bool,
    /// Whether columns that are not there are added.
    pub new_columns: bool,
}

/// What is done with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Add,
    /// Fails where the row is not there.
    Update,
    AddOrUpdate,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Empty,
    Text(String),
    /// Letter for letter.
    Number(String),
    Bool(bool),
}
