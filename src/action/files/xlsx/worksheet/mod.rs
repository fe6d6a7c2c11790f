//! The XML of one sheet (ECMA-376, part 1, 18.3). [`read`] looks at it, [`write`] changes cells and adds rows.
//!
//! Both passes stream, so that a sheet of a hundred thousand rows costs no more memory than a small one. Everything that
//! is not meant to change is copied as it was read.

pub(super) mod read;
pub(super) mod reference;
pub(super) mod shape;
pub(super) mod write;
