//! Keys that several verbs on files have.

use crate::text::word::{Shape, Word};

/// Whether text may be a formula, in every verb that writes cells.
pub(super) const FORMULAS: Word = Word {
    name: "formulas",
    shape: Shape::One(&["allow"]),
    does: "`allow` leaves text unchanged that a spreadsheet program would read as a formula",
};
