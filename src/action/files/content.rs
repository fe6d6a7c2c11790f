//! What a run wants of a file: that a line or a row is written, or that rows are found. [`super::writer`] does it.

use super::row::Row;

/// What one run wants.
#[derive(Debug, Clone)]
pub enum Content {
    /// A line, without its line end.
    Line(String),
    Row(Row),
}
