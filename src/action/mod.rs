//! What a rule can do. The list of kinds, in the order of the docs; each kind has a file of its own, or a folder where it needs
//! more.

pub mod append;
pub mod attempt_context;
pub mod batch;
mod changes;
pub mod content;
pub mod contract;
pub mod csv;
pub mod file;
pub mod folder;
pub mod http;
pub mod log;
pub mod outside;
mod package;
mod replacement;
pub mod respond;
pub mod room;
pub mod row;
pub mod sheet;
mod worksheet;
pub mod xlsx;
mod xml_reader;
mod xml_rewriter;

use contract::Kind;

/// Every kind of action.
pub const KINDS: &[&dyn Kind] = &[
    &http::step::Http, //
    &append::Append,
    &sheet::SheetRow,
    &respond::Respond,
    &log::Log,
    &log::Stop,
];

/// Every verb, with its kind.
pub fn verbs() -> impl Iterator<Item = (&'static str, &'static dyn Kind)> {
    KINDS.iter().flat_map(|kind| kind.verbs().iter().map(move |verb| (*verb, *kind)))
}
