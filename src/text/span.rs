//! Parts of a text by byte positions, without a panic: where a position is past the end or inside of a character, the part is
//! as long as if there were no such position. Text that people write is cut with this, or with `split_once` and
//! `strip_prefix`, and never with `[n..]`: the compiler cannot see whether that ends the program.

/// Up to a position; all of the text if there is no such position.
pub fn before(text: &str, at: usize) -> &str {
    text.get(..at).unwrap_or(text)
}

/// From a position on; nothing if there is no such position.
pub fn from(text: &str, at: usize) -> &str {
    text.get(at..).unwrap_or("")
}

/// Between two positions.
pub fn between(text: &str, start: usize, end: usize) -> &str {
    from(before(text, end), start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_position_of_every_text_has_a_part() {
        assert_eq!((before("aéb", 1), from("aéb", 3), between("aéb", 1, 3)), ("a", "b", "é"));
        assert_eq!((before("aéb", 2), from("aéb", 2)), ("aéb", ""), "inside of a character");
        assert_eq!((before("aéb", 9), from("aéb", 9), between("aéb", 9, 4)), ("aéb", "", ""), "past the end");
    }
}
