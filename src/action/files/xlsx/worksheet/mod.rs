//! The XML of one sheet (ECMA-376, part 1, 18.3). [`read`] inspects it, [`write`] changes cells and adds rows.
//!
//! Both passes stream, so that a sheet of 100,000 rows uses no more memory than a small one. Everything that should not
//! change is copied as it was read.

pub(super) mod read;
pub(super) mod reference;
pub(super) mod shape;
pub(super) mod write;
