//! Rows of `.csv` and `.tsv` files: columns by header name, quoted so that no value can break a row.
//!
//! Text that begins with `= + - @`, a tab or a line end is prefixed with an apostrophe, so that no spreadsheet treats it as
//! a formula, unless it is a plain number or a phone number. A file's delimiter, line ends, byte order mark and encoding
//! are preserved; where cells change, every other byte stays the same. Files are streamed, so that a large one uses no more
//! memory than a small one.

pub(super) mod change;
mod format;
pub mod guard;
pub(super) mod header;
pub(super) mod lookup;
mod records;
