//! What is around a text in the body of an event, for lists of what a search found.

use serde::Serialize;

use crate::store::body_text::BodyText;
use crate::text::printable::one_line;

/// How many characters are shown before and after it, and the most of itself.
const AROUND: usize = 40;
const LONGEST: usize = 100;

/// A part of a body.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Excerpt {
    pub before: String,
    /// What was searched for, as it is in the body.
    pub found: String,
    pub after: String,
}

/// The first place where a text is in a body.
pub fn excerpt(body: &str, text: &BodyText) -> Option<Excerpt> {
    let found = text.find(body.as_bytes())?;
    let (before, after) = (body.get(..found.start)?, body.get(found.end..)?);
    let line = |text: String| one_line(&text.split_whitespace().collect::<Vec<_>>().join(" ")).into_owned();
    // A space at the edge belongs to the words around it.
    let space = |is: bool| if is { " " } else { "" };
    let from = before.char_indices().rev().nth(AROUND - 1).map_or(0, |(at, _)| at);
    let cut = |text: &str, most: usize| text.char_indices().nth(most).map_or(text.len(), |(at, _)| at);
    let (start, end) = (before.get(from..)?, after.get(..cut(after, AROUND))?);
    let found = body.get(found)?;
    let whole = found.get(..cut(found, LONGEST))?;
    let dots = |is: bool| if is { "…" } else { "" };
    Some(Excerpt {
        before: format!("{}{}{}", dots(from > 0), line(start.to_owned()), space(start.ends_with(char::is_whitespace))),
        found: format!("{}{}", one_line(whole), dots(whole.len() < found.len())),
        after: format!("{}{}{}", space(end.starts_with(char::is_whitespace)), line(end.to_owned()), dots(end.len() < after.len())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(body: &str, text: &str) -> Option<[String; 3]> {
        excerpt(body, &BodyText::new(text)).map(|Excerpt { before, found, after }| [before, found, after])
    }

    #[test]
    fn some_characters_around_the_text_are_shown_on_one_line() {
        assert_eq!(parts("{\n  \"city\": \"Berlin\"\n}", "berlin"), Some(["{ \"city\": \"", "Berlin", "\" }"].map(str::to_owned)));
        let long = format!("{} Köln {}", "ä".repeat(100), "ö".repeat(100));
        let [before, found, after] = parts(&long, "köln").unwrap();
        assert_eq!((before, found, after), (format!("…{} ", "ä".repeat(39)), "Köln".into(), format!(" {}…", "ö".repeat(39))));
        assert_eq!(parts("a\u{1b}[31mb", "b").unwrap()[0], one_line("a\u{1b}[31m"));
        assert_eq!(parts("Paris", "berlin"), None);
    }
}
