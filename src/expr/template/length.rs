//! How long the text of a template may be, and what it makes. Who keeps to it is left to those that read and render.

/// The longest text of one template, in bytes.
pub(super) const MAX_TEMPLATE: usize = 64 << 10;
/// The most text that one template may make, in bytes.
pub(super) const MAX_RENDERED: usize = 10 << 20;
