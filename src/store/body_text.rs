//! Text in the body of an event, as people search for it: upper and lower case are the same.

use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder};

/// A text that is searched for.
#[derive(Clone)]
pub struct BodyText(Option<Regex>);

impl BodyText {
    pub fn new(text: &str) -> Self {
        // Only a text that is far too long makes no pattern; it is nowhere.
        Self(RegexBuilder::new(&regex::escape(text)).case_insensitive(true).build().ok())
    }

    /// Where the text is for the first time.
    pub fn find(&self, body: &[u8]) -> Option<Range<usize>> {
        self.0.as_ref()?.find(body).map(|found| found.range())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_found_in_any_case_and_is_not_a_pattern() {
        let found = |text: &str, body: &[u8]| BodyText::new(text).find(body);
        assert_eq!(found("berlin", b"x Berlin"), Some(2..8));
        assert_eq!(found("JOSÉ", "josé".as_bytes()), Some(0..5));
        assert_eq!(found("a.c", b"abc a.c"), Some(4..7));
        assert_eq!(found("x", b"\xff\0X"), Some(2..3));
        assert_eq!(found("berlin", b"Paris"), None);
        assert_eq!(found(&"x".repeat(20 << 20), b"x"), None);
    }
}
