//! Calculations as they are written in other languages, with our helpers: `body.x * 2` becomes `{{ multiply body.x 2 }}`.

use crate::text::span;
use crate::yaml::is_json_number;

/// The longest text that is looked at, in bytes, and how deep brackets may be nested.
const LONGEST: usize = 500;
const DEEPEST: usize = 8;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// A field or a number.
    Value(String),
    /// Text in quotes.
    Text(String),
    /// Our helper for a sign.
    Sign(&'static str),
    /// `??` or `||`.
    Otherwise,
    Open,
    Close,
}

/// The same with our helpers. It has at least one field, and `is_field` knows which words are fields.
pub fn ours(text: &str, is_field: &dyn Fn(&str) -> bool) -> Option<String> {
    let tokens = tokens(text)?;
    let fits = |token: &Token| match token {
        Token::Value(word) => is_json_number(word) || is_field(word),
        _ => true,
    };
    let has_field = tokens.iter().any(|token| matches!(token, Token::Value(word) if is_field(word)));
    if !has_field || !tokens.iter().all(fits) {
        return None;
    }
    if let [Token::Value(field), Token::Otherwise, other] = tokens.as_slice() {
        let other = match other {
            Token::Value(word) => word.clone(),
            Token::Text(text) => format!("'{text}'"),
            _ => return None,
        };
        return Some(format!("{{{{ default {field} {other} }}}}"));
    }
    if tokens.iter().any(|token| matches!(token, Token::Text(_))) {
        return joined(&tokens);
    }
    let mut reading = Reading { tokens: &tokens, at: 0 };
    let all = reading.sum(0)?;
    // The outermost brackets are the braces.
    let inside = all.strip_prefix('(').and_then(|all| all.strip_suffix(')'))?;
    (reading.at == tokens.len()).then(|| format!("{{{{ {inside} }}}}"))
}

/// `body.a + ' ' + body.b` as one text.
fn joined(tokens: &[Token]) -> Option<String> {
    let parts = tokens.chunks(2).map(|pair| match pair {
        [part] | [part, Token::Sign("add")] => match part {
            Token::Value(field) => Some(format!("{{{{ {field} }}}}")),
            Token::Text(text) => Some(text.clone()),
            _ => None,
        },
        _ => None,
    });
    let ends = matches!(tokens.last(), Some(Token::Value(_) | Token::Text(_)));
    if ends && tokens.len() > 2 { parts.collect::<Option<Vec<_>>>().map(|parts| parts.concat()) } else { None }
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    if text.len() > LONGEST {
        return None;
    }
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let after = span::from(rest, first.len_utf8());
        // In a name, these are not signs.
        let stands_alone = after.starts_with(' ') || after.is_empty();
        let (token, after) = match first {
            '\'' | '"' => {
                let (inside, after) = after.split_once(first)?;
                if inside.contains(['\'', '"']) {
                    return None;
                }
                (Token::Text(inside.to_owned()), after)
            }
            '?' | '|' if after.starts_with(first) => (Token::Otherwise, span::from(after, 1)),
            '+' => (Token::Sign("add"), after),
            '-' | '–' | '−' if stands_alone => (Token::Sign("subtract"), after),
            '*' | '×' => (Token::Sign("multiply"), after),
            '/' if stands_alone || after.starts_with(|c: char| c.is_ascii_digit() || c == '(') => (Token::Sign("divide"), after),
            '(' => (Token::Open, after),
            ')' => (Token::Close, after),
            _ => {
                let end = span::word_end(rest, |c| !c.is_alphanumeric() && !"._-$@".contains(c))?;
                (Token::Value(span::before(rest, end).to_owned()), span::from(rest, end))
            }
        };
        out.push(token);
        rest = after.trim_start();
    }
    Some(out)
}

/// Times and divided come before plus and minus.
struct Reading<'t> {
    tokens: &'t [Token],
    at: usize,
}

impl Reading<'_> {
    fn sum(&mut self, depth: usize) -> Option<String> {
        let mut left = self.product(depth)?;
        while let Some(sign) = self.sign(&["add", "subtract"]) {
            left = format!("({sign} {left} {})", self.product(depth)?);
        }
        Some(left)
    }

    fn product(&mut self, depth: usize) -> Option<String> {
        let mut left = self.one(depth)?;
        while let Some(sign) = self.sign(&["multiply", "divide"]) {
            left = format!("({sign} {left} {})", self.one(depth)?);
        }
        Some(left)
    }

    fn one(&mut self, depth: usize) -> Option<String> {
        self.at += 1;
        match self.tokens.get(self.at - 1)? {
            Token::Value(value) => Some(value.clone()),
            Token::Open if depth < DEEPEST => {
                let inside = self.sum(depth + 1)?;
                self.at += 1;
                (self.tokens.get(self.at - 1) == Some(&Token::Close)).then_some(inside)
            }
            _ => None,
        }
    }

    /// One of these signs, if it comes next.
    fn sign(&mut self, signs: &[&str]) -> Option<&'static str> {
        match self.tokens.get(self.at)? {
            Token::Sign(sign) if signs.contains(sign) => {
                self.at += 1;
                Some(sign)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(word: &str) -> bool {
        word.starts_with("body.")
    }

    #[test]
    fn calculations_keep_their_order() {
        for (theirs, wanted) in [
            ("body.total * 19 / 119", "{{ divide (multiply body.total 19) 119 }}"),
            ("body.a + body.b * 2", "{{ add body.a (multiply body.b 2) }}"),
            ("body.a - 1 + 2", "{{ add (subtract body.a 1) 2 }}"),
            ("(body.a + body.b) * 2", "{{ multiply (add body.a body.b) 2 }}"),
            ("body.a*2", "{{ multiply body.a 2 }}"),
            ("body.a/100", "{{ divide body.a 100 }}"),
            ("2 * body.items[0].price", "{{ multiply 2 body.items[0].price }}"),
            ("body.a − 1 × 2", "{{ subtract body.a (multiply 1 2) }}"),
            ("body.a + ' ' + body.b", "{{ body.a }} {{ body.b }}"),
            ("\"No. \" + body.a", "No. {{ body.a }}"),
            ("body.a ?? 'x'", "{{ default body.a 'x' }}"),
            ("body.a || 0", "{{ default body.a 0 }}"),
        ] {
            assert_eq!(ours(theirs, &body).as_deref(), Some(wanted), "{theirs}");
        }
    }

    #[test]
    fn what_is_not_a_calculation_is_left_alone() {
        for text in [
            "",
            "body.a",
            "(body.a)",
            "body.a-b",
            "body.a - see below",
            "body.a + ( body.b",
            "body.a +",
            "body.a + * 2",
            "3 * 4",
            "a * b",
            "body.a/body.b",
            "body.a + 'x' * 2",
            "body.a 'x'",
            "100 %",
        ] {
            assert_eq!(ours(text, &body), None, "{text}");
        }
        assert_eq!(ours(&"(".repeat(400), &body), None);
    }
}
