//! What goes into a file: a line or a row. How it gets there is left to [`super::writer`].

use super::row::Row;

/// What one run wants written.
#[derive(Debug, Clone)]
pub enum Content {
    /// A line, without its end.
    Line(String),
    Row(Row),
}
