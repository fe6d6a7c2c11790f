//! The words inside the braces of a template. [`super::tags`] decides what they mean, and [`super::hints`] recognises the
//! syntax of other tools.

use super::piece::What;
use crate::expr::names::Names;
use crate::text::span;
use crate::yaml::fields::Item;

/// The content of a pair of braces.
pub(super) struct Expression<'x, 'k> {
    pub inner: &'x str,
    pub source: &'x str,
    pub item: &'x Item<'x>,
    pub known: &'x Names<'k>,
}

impl Expression<'_, '_> {
    /// Reports something wrong with these braces, and what could be written in place of them.
    pub(super) fn instead(&self, message: impl Into<String>, label: impl Into<String>, ours: &str) -> Option<What> {
        self.item.problem(message).within(self.source).label(label).write(ours).add();
        None
    }

    pub(super) fn wrong(&self, message: impl Into<String>, label: impl Into<String>) -> Option<What> {
        self.item.problem(message).within(self.source).label(label).add();
        None
    }
}

/// A word between braces, or a symbol.
#[derive(Debug, PartialEq)]
pub(super) enum Token {
    Word(String),
    Text(String),
    Open,
    Close,
}

impl Token {
    pub(super) fn shown(&self) -> String {
        match self {
            Token::Word(w) => format!("`{w}`"),
            Token::Text(t) => format!("'{t}'"),
            Token::Open => "`(`".into(),
            Token::Close => "`)`".into(),
        }
    }
}

/// Splits the content of braces into tokens. The error is a message for people.
pub(super) fn tokens(inner: &str) -> Result<Vec<Token>, String> {
    let mut out = Vec::new();
    let mut chars = inner.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '(' => out.push(Token::Open),
            ')' => out.push(Token::Close),
            '\'' | '"' => {
                let (text, _) = span::from(inner, at + 1).split_once(c).ok_or("a quote is never closed in these braces")?;
                out.push(Token::Text(text.to_owned()));
                while chars.next_if(|(n, _)| *n < at + text.len() + 2).is_some() {}
            }
            '‘' | '’' | '“' | '”' => return Err(format!("`{c}` is a curly quote")),
            _ => {
                let (mut brackets, mut quote, mut end) = (0usize, None, inner.len());
                for (n, c) in span::from(inner, at).char_indices() {
                    match (quote, c) {
                        (Some(q), c) if c == q => quote = None,
                        (Some(_), _) => {}
                        (None, '[') => brackets += 1,
                        (None, ']') => brackets = brackets.saturating_sub(1),
                        (None, '\'' | '"') if brackets > 0 => quote = Some(c),
                        (None, c) if brackets == 0 && (c.is_whitespace() || c == ')' || c == '(' || (c == '|' && n > 0)) => {
                            end = at + n;
                            break;
                        }
                        _ => {}
                    }
                }
                out.push(Token::Word(span::between(inner, at, end).to_owned()));
                while chars.next_if(|(n, _)| *n < end).is_some() {}
            }
        }
    }
    Ok(out)
}
