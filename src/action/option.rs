//! Keys of steps that take one word only: `formulas: allow`, `new_columns: add`, `keep: bodies`.

use crate::yaml::fields::Fields;

/// Reads such a key: whether it is there. Anything but the word is reported.
pub fn read_word(fields: &mut Fields, key: &'static str, word: &str) -> Option<bool> {
    let Some(item) = fields.may(key) else { return Some(false) };
    let found = item.text()?;
    if found != word {
        item.problem(format!("`{found}` is not a valid value"))
            .label("remove this line, or write the word that is known here")
            .write(word)
            .add();
        return None;
    }
    Some(true)
}
