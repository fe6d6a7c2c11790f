//! Keys of steps that take one word only: `formulas: allow`, `new_columns: add`.

use crate::text::word::{Shape, Word};
use crate::yaml::fields::Fields;

/// Whether text may be a formula, in every verb that writes cells.
pub(super) const FORMULAS: Word = Word {
    name: "formulas",
    shape: Shape::One(&["allow"]),
    does: "`allow` leaves text unchanged that a spreadsheet program would read as a formula",
};

/// An option that is written as one word.
pub(super) fn read_word(fields: &mut Fields, key: &'static str, word: &str) -> Option<bool> {
    let Some(item) = fields.may(key) else { return Some(false) };
    let found = item.text()?;
    if found != word {
        item.problem(format!("`{found}` is not a valid value")).label(format!("write `{key}: {word}`, or remove the line")).add();
        return None;
    }
    Some(true)
}
