//! The maximum length of a template's text, and of its result. The code that parses and renders enforces them.

/// The maximum length of one template, in bytes.
pub(super) const MAX_TEMPLATE: usize = 64 << 10;
/// The maximum length of the text that one template may create, in bytes.
pub(super) const MAX_RENDERED: usize = 10 << 20;
