//! What a file writer is about to do, saved first.

use crate::model::run::RunId;

/// What a file's writer is about to do, saved before it does it, so that the state after a crash is known.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Intent {
    /// Relative to the output folder, with `/`.
    pub file: String,
    /// The file's inode number, so that a different file with the same name is not mistaken for it.
    pub identity: u64,
    /// The offset at which the write begins, and its length in bytes.
    pub offset: u64,
    pub length: u64,
    /// SHA-256 of the bytes, in hex; for a workbook, the batch id that it will contain.
    pub digest: String,
    /// Whether the whole file is replaced by a new one, whose inode number is `identity`.
    #[serde(default)]
    pub replaced: bool,
    /// The effects that these lines or rows belong to.
    pub runs: Vec<(RunId, u32, u32)>,
}
