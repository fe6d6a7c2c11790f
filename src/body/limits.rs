//! The limits of a body. The parsers report an error if a body exceeds them.

/// The maximum nesting depth of a body; `serde_json` stops there.
pub(super) const MAX_DEPTH: usize = 128;
/// The maximum number of attributes of an XML element.
pub(super) const MAX_ATTRIBUTES: usize = 1_000;
/// The maximum number of names in a form.
pub(super) const MAX_FORM_NAMES: usize = 10_000;
