//! Files in the output folder: the steps that write lines and rows, and how these are written to disk exactly once.

pub mod append;
pub mod attached;
pub mod batch;
pub mod bytes;
mod changes;
pub mod content;
pub mod csv;
mod date;
pub mod delete;
pub mod download;
pub mod find;
pub mod folder;
mod found;
mod lookup;
mod option;
mod replacement;
pub mod row;
mod search;
pub mod sheet;
mod spreadsheet;
mod wanted;
pub mod write;
pub mod writer;
pub mod xlsx;
