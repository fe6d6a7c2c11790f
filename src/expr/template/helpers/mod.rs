//! The helpers, a family in each file: what they are called, and functions from values to a value, independent of any event.
//! The list of all is in [`super::list`]; how Handlebars calls them is in [`super::registry`].
//!
//! The result of a helper is charged where it is called, and no text that it takes or returns is longer than
//! [`MAX_RENDERED`]; a helper that can multiply its input computes the length before it creates the text.

pub(super) mod comparisons;
pub(super) mod dates;
pub(super) mod encodings;
pub(super) mod lists;
pub(super) mod numbers;
mod read;
pub(super) mod text;

#[cfg(test)]
mod tests;
