//! The error for text that is not a valid field. [`super`] and `path` decide what is refused.

/// Why some text is not a valid field: a sentence, and what to write instead.
#[derive(Debug, PartialEq)]
pub struct NoField {
    pub message: String,
    pub label: String,
}

pub(super) fn no(message: impl Into<String>, label: impl Into<String>) -> NoField {
    NoField { message: message.into(), label: label.into() }
}
