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

/// Where a word ends: before the first character outside of `[ ]` for which `ends` holds. `None` if there is no word, or a bracket
/// too many or too few.
pub fn word_end(text: &str, ends: impl Fn(char) -> bool) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.checked_sub(1)?,
            c if depth == 0 && ends(c) => return (at > 0).then_some(at),
            _ => {}
        }
    }
    (depth == 0 && !text.is_empty()).then_some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_brackets_belongs_to_a_word() {
        let end = |text| word_end(text, char::is_whitespace);
        assert_eq!((end("a[b c].d e"), end("a"), end("é f")), (Some(8), Some(1), Some(2)));
        assert_eq!((end(""), end(" a"), end("a[b"), end("a]")), (None, None, None, None));
    }

    #[test]
    fn text_can_be_cut_at_any_position() {
        assert_eq!((before("aéb", 1), from("aéb", 3), between("aéb", 1, 3)), ("a", "b", "é"));
        assert_eq!((before("aéb", 2), from("aéb", 2)), ("aéb", ""), "inside of a character");
        assert_eq!((before("aéb", 9), from("aéb", 9), between("aéb", 9, 4)), ("aéb", "", ""), "past the end");
    }
}
