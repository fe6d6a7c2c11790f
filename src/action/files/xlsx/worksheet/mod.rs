//! The XML of one sheet (ECMA-376, part 1, 18.3). [`scan`] inspects it, [`find`] looks for rows, [`read`] reads
//! some of them, [`layout`] decides where new
//! rows go, and [`write`] changes cells and adds rows.
//!
//! All passes stream, so that a sheet of 100,000 rows uses no more memory than a small one. Everything that should not
//! change is copied as it was read.

pub(super) mod cell;
pub(super) mod find;
pub(super) mod layout;
pub(super) mod read;
pub(super) mod reference;
pub(super) mod remove;
pub(super) mod scan;
pub(super) mod shape;
mod widths;
pub(super) mod write;
