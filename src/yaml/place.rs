//! Where a name or a value ends on its line: for the caret below it, and for writing something else in its place.

use crate::text::span;

/// Where `needle` next occurs at or after a place, at most 200 lines on.
pub(super) fn find_from(text: &str, line: usize, column: usize, needle: &str) -> Option<(usize, usize)> {
    let first = needle.lines().next().unwrap_or("");
    for (n, l) in text.lines().enumerate().skip(line - 1).take(200) {
        let skip = if n + 1 == line { l.char_indices().nth(column - 1).map_or(l.len(), |(i, _)| i) } else { 0 };
        if let Some(at) = span::from(l, skip).find(first) {
            return Some((n + 1, span::before(l, skip + at).chars().count() + 1));
        }
    }
    None
}

/// How many characters the key or value at this column takes on its line.
pub(super) fn width_at(line: &str, column: usize, is_key: bool) -> usize {
    let rest: String = line.chars().skip(column - 1).collect();
    let rest = rest.trim_end();
    let chars = |s: &str| s.chars().count().max(1);
    for quote in ['"', '\''] {
        if let Some(inner) = rest.strip_prefix(quote) {
            return inner.split_once(quote).map_or(chars(rest), |(text, _)| text.chars().count() + 2);
        }
    }
    if is_key {
        return rest.find(": ").or_else(|| rest.strip_suffix(':').map(str::len)).map_or(1, |end| chars(span::before(rest, end)));
    }
    let value = rest.split(" #").next().unwrap_or(rest);
    if value.starts_with(['{', '[']) && !value.starts_with("{{") || value.starts_with(['|', '>']) {
        return 1;
    }
    if line.chars().take(column - 1).any(|c| c == '{' || c == '[') && !value.starts_with("{{") {
        return chars(value.split([',', '}', ']']).next().unwrap_or(value).trim_end());
    }
    chars(value.trim_end())
}

/// How many bytes a name or a value takes, from this column on; `None` if it goes on in the next line.
pub(super) fn span_at(line: &str, column: usize, is_key: bool) -> Option<usize> {
    let start = line.char_indices().nth(column.saturating_sub(1)).map(|(i, _)| i)?;
    let rest = span::from(line, start).trim_end();
    if let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        return quoted(rest, quote);
    }
    match rest.chars().next()? {
        '{' | '[' if !is_key => bracketed(rest),
        '|' | '>' if !is_key => None,
        // A map or list on lines of its own.
        _ if !is_key
            && (rest.split(" #").next().is_some_and(|text| text.contains(": ") || text.trim_end().ends_with(':'))
                || rest.starts_with("- "))
            && !in_brackets(line, start) =>
        {
            None
        }
        _ => {
            let characters = width_at(line, column, is_key);
            Some(rest.char_indices().nth(characters).map_or(rest.len(), |(i, _)| i))
        }
    }
}

/// Whether a bracket is open before this position.
fn in_brackets(line: &str, at: usize) -> bool {
    let count = |signs: [char; 2]| span::before(line, at).matches(signs).count();
    count(['{', '[']) > count(['}', ']'])
}

/// The length of a text in quotes, with them.
fn quoted(rest: &str, quote: char) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if quote == '"' => drop(chars.next()),
            c if c == quote && quote == '\'' && chars.peek().is_some_and(|(_, next)| *next == quote) => drop(chars.next()),
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The length of a map or list in brackets, with them.
fn bracketed(rest: &str) -> Option<usize> {
    let (mut depth, mut at) = (0usize, 0);
    while let Some(c) = span::from(rest, at).chars().next() {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            '"' | '\'' if span::before(rest, at).ends_with([' ', '{', '[', ',', ':']) => {
                at += quoted(span::from(rest, at), c)?;
                continue;
            }
            _ => {}
        }
        at += c.len_utf8();
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// The text as it can be written as a value anywhere in a file, with quotes if it needs them.
pub fn scalar(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '/' | '-' | ' ' | '@' | '+' | '$' | '%');
    let plain = text.replacen("://", "", 1).chars().all(is_plain)
        && text.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '/' | '$' | '.'))
        && !text.ends_with(' ');
    match (plain, text.contains(['"', '\\']) || text.chars().any(char::is_control)) {
        (true, _) => text.to_owned(),
        (_, false) => format!("\"{text}\""),
        _ if text.chars().any(char::is_control) => serde_json::Value::from(text).to_string(),
        _ => format!("'{}'", text.replace('\'', "''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_ends_where_its_quotes_and_brackets_do() {
        let cut = |line: &str, column, is_key| {
            span_at(line, column, is_key).and_then(|n| line.get(column - 1..column - 1 + n)).map(str::to_owned)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(cut("a: 'it''s' # x", 4, false), some("'it''s'"));
        assert_eq!(cut(r#"a: "b\" c" # x"#, 4, false), some(r#""b\" c""#));
        assert_eq!(cut("a: { b: [1, '}'], c: 2 }", 4, false), some("{ b: [1, '}'], c: 2 }"));
        assert_eq!(cut("a: { b: c d, e: f }", 9, false), some("c d"));
        assert_eq!(cut("a: b c # x", 4, false), some("b c"));
        assert_eq!(cut("a b: c", 1, true), some("a b"));
        assert_eq!(cut("a: { b: c", 4, false), None);
        assert_eq!(cut("a: |", 4, false), None);
    }

    #[test]
    fn text_is_written_so_that_it_is_read_again() {
        for (text, written) in
            [("paid", "paid"), ("{{ a }}", "\"{{ a }}\""), ("a \"b\" it's", "'a \"b\" it''s'"), ("a, b", "\"a, b\""), ("-", "\"-\"")]
        {
            assert_eq!(scalar(text), written);
        }
    }
}
