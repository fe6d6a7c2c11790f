//! Substrings by byte position that never panic: a position past the end or inside a character is treated as if there were no
//! such position. Text written by people is cut with these, or with `split_once` and `strip_prefix`, and never with `[n..]`,
//! because the compiler cannot see whether that panics.

/// The text before a position; all of it if there is no such position.
pub fn before(text: &str, at: usize) -> &str {
    text.get(..at).unwrap_or(text)
}

/// The text from a position on; empty if there is no such position.
pub fn from(text: &str, at: usize) -> &str {
    text.get(at..).unwrap_or("")
}

/// The text between two positions.
pub fn between(text: &str, start: usize, end: usize) -> &str {
    from(before(text, end), start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_can_be_cut_at_any_position() {
        assert_eq!((before("aéb", 1), from("aéb", 3), between("aéb", 1, 3)), ("a", "b", "é"));
        assert_eq!((before("aéb", 2), from("aéb", 2)), ("aéb", ""), "inside of a character");
        assert_eq!((before("aéb", 9), from("aéb", 9), between("aéb", 9, 4)), ("aéb", "", ""), "past the end");
    }
}
