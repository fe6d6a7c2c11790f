//! What is written to a file: a line or a row. It is written by [`super::writer`].

use super::row::Row;

/// What one run wants to write.
#[derive(Debug, Clone)]
pub enum Content {
    /// A line, without its line end.
    Line(String),
    Row(Row),
}
