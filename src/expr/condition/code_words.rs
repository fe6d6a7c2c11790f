//! The words of a condition that is written as in a programming language, which [`super::formula`] reads.

use super::aliases::TEST_WORDS;
use crate::text::span;

/// Our tests that are written between two values in this syntax.
const OURS: [&str; 11] =
    ["over", "under", "at_least", "at_most", "contains", "starts_with", "ends_with", "matches", "like", "before", "after"];

/// Comparisons in several words, and their sign.
const PHRASES: [(&str, &str); 10] = [
    (" is greater than or equal to ", " >= "),
    (" is less than or equal to ", " <= "),
    (" is greater than ", " > "),
    (" is more than ", " > "),
    (" is less than ", " < "),
    (" is at least ", " >= "),
    (" is at most ", " <= "),
    (" greater than ", " > "),
    (" less than ", " < "),
    (" more than ", " > "),
];

/// A word of a condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    And,
    Or,
    Not,
    Open,
    Close,
    /// `==`, `>`, `contains`: a comparison.
    Sign(String),
    /// A field, a number, a word.
    Word(String),
    /// Text in quotes.
    Text(String),
    /// `contains(` and `body.x.includes(`.
    Call(String),
    Comma,
}

/// The words of a condition, with or without the braces of a template; `None` if it is not one.
pub(super) fn tokens(text: &str) -> Option<Vec<Token>> {
    let bare = text.replace("${{", " ").replace("{{", " ").replace("}}", " ");
    let bare = PHRASES.iter().fold(bare, |text, (phrase, sign)| text.replace(phrase, sign));
    let mut out = Vec::new();
    let mut rest = bare.trim_start();
    while let Some(first) = rest.chars().next() {
        let signs = ["===", "!==", "=~", "&&", "||", "==", "!=", "<>", ">=", "<=", "=>", ">", "<", "=", "≥", "≤", "!", "(", ")", ","];
        if let Some(sign) = signs.iter().find(|sign| rest.starts_with(**sign)) {
            out.push(match *sign {
                "&&" => Token::And,
                "||" => Token::Or,
                "!" => Token::Not,
                "(" => Token::Open,
                ")" => Token::Close,
                "," => Token::Comma,
                sign => Token::Sign(sign.to_owned()),
            });
            rest = span::from(rest, sign.len()).trim_start();
            continue;
        }
        // A pattern between slashes, in which signs have other meanings.
        if first == '/' && matches!(out.last(), Some(Token::Sign(sign)) if sign == "=~" || sign == "matches") {
            let (inside, after) = span::from(rest, 1).split_once('/')?;
            // Flags have no place in one value.
            if after.starts_with(char::is_alphanumeric) {
                return None;
            }
            out.push(Token::Text(inside.to_owned()));
            rest = after.trim_start();
            continue;
        }
        if matches!(first, '\'' | '"') {
            let (inside, after) = span::from(rest, 1).split_once(first)?;
            out.push(Token::Text(inside.to_owned()));
            rest = after.trim_start();
            continue;
        }
        let end = span::word_end(rest, |c| c.is_whitespace() || "()&|!=<>,'\"≥≤".contains(c))?;
        let (word, after) = (span::before(rest, end), span::from(rest, end));
        if after.starts_with('(') {
            out.push(Token::Call(field_of(word)));
            rest = span::from(after, 1).trim_start();
            continue;
        }
        out.push(match word.to_lowercase().as_str() {
            "and" => Token::And,
            "or" => Token::Or,
            "not" => Token::Not,
            lower if sign_of(lower).is_some() => Token::Sign(lower.to_owned()),
            _ => Token::Word(field_of(word)),
        });
        rest = after.trim_start();
    }
    Some(out)
}

/// A field as we write it.
fn field_of(word: &str) -> String {
    let roots = [("github.event.", "body."), ("$json.", "body."), ("secrets.", "secret."), ("headers.", "header.")];
    let found = roots.iter().find_map(|(theirs, ours)| Some(format!("{ours}{}", word.strip_prefix(theirs)?)));
    found.unwrap_or_else(|| word.to_owned())
}

/// Our test for a sign or a word between two values.
pub(super) fn sign_of(sign: &str) -> Option<&'static str> {
    match sign {
        "==" | "=" | "===" | "is" | "equals" | "eq" | "in" => Some("is"),
        "!=" | "!==" | "<>" => Some("not"),
        "=~" => Some("matches"),
        "≥" | "=>" => Some("at_least"),
        "≤" => Some("at_most"),
        // Both are words of fields and values as well.
        "count" | "empty" | "exists" | "length" | "size" | "has" | "pattern" | "min" | "max" => None,
        _ => {
            let bare = sign.replace('_', "");
            let ours = OURS.into_iter().find(|name| name.replace('_', "") == bare);
            ours.or_else(|| TEST_WORDS.iter().find(|(theirs, _)| theirs.replace('_', "") == bare).map(|(_, ours)| *ours))
        }
    }
}
