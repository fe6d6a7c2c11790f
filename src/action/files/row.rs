//! A row for a sheet, independent of the file format. What it does to the sheet is planned in `changes`.

/// A row: values by the header of their column.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    pub cells: Vec<(String, Cell)>,
    /// The sheet of a workbook; the first visible one by default.
    pub sheet: Option<String>,
    /// Whether a missing sheet is added.
    pub new_sheet: bool,
    /// The row that contains the titles, counted from 1; the first one that is not empty by default.
    pub title_row: Option<u32>,
    /// Whether text that a spreadsheet would treat as a formula is protected from being one, in `.csv`.
    pub guard: bool,
    pub mode: Mode,
    /// The titles of the columns used to find the row.
    pub matching: Vec<String>,
    /// Whether all rows that match are meant, instead of the only one.
    pub all: bool,
    /// Whether upper and lower case are treated as equal when a row is looked for.
    pub ignore_case: bool,
    /// Whether missing columns are added.
    pub new_columns: bool,
    /// The title of the column whose value must be later than the one in the file.
    pub newer_than: Option<String>,
}

/// A title as it is compared: line breaks and repeated spaces in it, which nobody sees, count as one space.
pub(super) fn title(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Why a row is not written.
#[derive(Debug, Clone, PartialEq)]
pub enum NotWritten {
    /// It cannot be; the step fails.
    Refused(String),
    /// It need not be, because the file has a newer one, or has none to delete; the step is done.
    NotNeeded(String),
}

impl From<String> for NotWritten {
    fn from(why: String) -> Self {
        NotWritten::Refused(why)
    }
}

/// What is done with a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Add,
    /// Fails if the row does not exist.
    Update,
    AddOrUpdate,
    /// Deletes the row; its cells are those that identify it.
    Delete,
    /// Changes nothing; its cells are those that identify it.
    Find,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Empty,
    Text(String),
    /// Character by character.
    Number(String),
    Bool(bool),
    /// A date, spelled `2026-05-01` or as in RFC 3339: a date in a workbook, text elsewhere.
    Date(String),
}
