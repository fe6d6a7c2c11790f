//! What a run writes to a file: a line, a row, or all of it. It is written by [`super::writer`].

use std::sync::Arc;

use super::download::Download;
use super::row::Row;

/// What one run wants to write.
#[derive(Debug, Clone)]
pub enum Content {
    /// A line, without its line end.
    Line(String),
    Row(Row),
    Whole(Whole),
}

/// What a file contains from then on.
#[derive(Debug, Clone)]
pub enum Whole {
    Bytes(Arc<[u8]>),
    /// A copy of this file.
    Download(Arc<Download>),
}
