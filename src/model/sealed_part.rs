//! The values of headers and of the query that rules compare with secrets: stored with the names of the secrets, so that the
//! data folder contains no secret, and what was seen can be seen again.

use crate::secret::SealedText;

/// Where a value was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum PartOf {
    /// The value of the header with this index.
    Header(usize),
    /// The value of the pair with this index in the query.
    Query(usize),
}

/// A value with a secret in it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SealedPart {
    pub of: PartOf,
    pub text: SealedText,
}
