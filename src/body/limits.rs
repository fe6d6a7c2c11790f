//! How much of a body is read. Those who read it say what is wrong with more.

/// How deep a body may be nested; `serde_json` stops there.
pub(super) const MAX_DEPTH: usize = 128;
/// How many attributes an element of XML may have.
pub(super) const MAX_ATTRIBUTES: usize = 1_000;
/// How many names a form may have.
pub(super) const MAX_FORM_NAMES: usize = 10_000;
