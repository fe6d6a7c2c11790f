//! A condition in the syntax of a programming language, written in ours: `a.x > 1 && (a.y == 'z' || !a.z)`. Whether it fits is
//! found out by trying it.

use super::code_words::{Token, sign_of, tokens};
use super::meant;
use crate::expr::field::ROOTS;
use crate::yaml::is_json_number;
use crate::yaml::place::scalar;

/// The longest text that is looked at, in bytes, and how deep brackets and opposites may be nested.
const LONGEST: usize = 2_000;
const DEEPEST: usize = 16;

/// An entry of a condition.
#[derive(Debug, Clone)]
enum Entry {
    /// A field and its tests, each with a value as it is written.
    Line(String, Vec<(String, String)>),
    /// `any`, `all` or `none`, and its conditions.
    Group(&'static str, Vec<Vec<Entry>>),
}

/// The entries of a condition, each as it is written: `body.total: { over: 100 }`.
pub(super) fn entries(text: &str) -> Option<Vec<String>> {
    if text.len() > LONGEST {
        return None;
    }
    let tokens = tokens(text)?;
    let mut reading = Reading { tokens: &tokens, at: 0 };
    let all = reading.either(0)?;
    (reading.at == tokens.len()).then(|| all.iter().map(written).collect())
}

/// The same as one map in braces.
pub(super) fn map(text: &str) -> Option<String> {
    Some(format!("{{ {} }}", entries(text)?.join(", ")))
}

struct Reading<'t> {
    tokens: &'t [Token],
    at: usize,
}

impl Reading<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        self.at += 1;
        self.tokens.get(self.at - 1).cloned()
    }

    /// Whether the next word is this one, which is left behind then.
    fn skips(&mut self, token: &Token) -> bool {
        let is = self.peek() == Some(token);
        self.at += usize::from(is);
        is
    }

    fn either(&mut self, depth: usize) -> Option<Vec<Entry>> {
        let mut all = vec![self.both(depth)?];
        while self.skips(&Token::Or) {
            // `body.x == 'a' || 'b'`
            let other = match (all.last().map(Vec::as_slice), self.peek()) {
                (Some([Entry::Line(field, tests)]), Some(one @ (Token::Text(_) | Token::Word(_)))) => match tests.as_slice() {
                    [(test, _)] if test == "is" && !matches!(one, Token::Word(word) if is_field(word)) => {
                        Some(Entry::Line(field.clone(), vec![(test.clone(), value(one)?)]))
                    }
                    _ => None,
                },
                _ => None,
            };
            self.at += usize::from(other.is_some());
            all.push(match other {
                Some(entry) => vec![entry],
                None => self.both(depth)?,
            });
        }
        Some(if all.len() == 1 { all.remove(0) } else { one_of(all) })
    }

    fn both(&mut self, depth: usize) -> Option<Vec<Entry>> {
        let mut all = self.one(depth)?;
        while self.skips(&Token::And) {
            all = together(all, self.one(depth)?);
        }
        Some(all)
    }

    fn one(&mut self, depth: usize) -> Option<Vec<Entry>> {
        if depth > DEEPEST {
            return None;
        }
        if self.skips(&Token::Not) {
            let alternatives = match self.one(depth + 1)?.as_slice() {
                [Entry::Group("any", all)] => all.clone(),
                all => vec![all.to_vec()],
            };
            return Some(vec![Entry::Group("none", alternatives)]);
        }
        if self.skips(&Token::Open) {
            let inside = self.either(depth + 1)?;
            return self.skips(&Token::Close).then_some(inside);
        }
        self.comparison().map(|line| vec![line])
    }

    /// `body.total > 100`, `body.paid`, `contains(body.title, 'x')`.
    fn comparison(&mut self) -> Option<Entry> {
        if let Some(Token::Call(name)) = self.peek().cloned() {
            self.at += 1;
            return self.call(&name);
        }
        let left = self.next()?;
        let sign = match self.peek() {
            Some(Token::Sign(sign)) => sign.clone(),
            // `body.status not in [a, b]`
            Some(Token::Not) => "!=".to_owned(),
            Some(Token::Word(word)) if matches!(word.as_str(), "exists" | "between") => return self.in_words(&left),
            _ => return if let Token::Word(field) = left { lone(&field) } else { None },
        };
        self.at += 1;
        let mut test = sign_of(&sign)?;
        let is_opposite = test == "is" && self.skips(&Token::Not) || test == "not" && self.skips(&Token::Sign("in".to_owned()));
        if is_opposite {
            test = "not";
        }
        let right = self.next()?;
        match (&left, &right) {
            (Token::Word(field), Token::Word(word)) if is_field(field) && matches!(test, "is" | "not") && state(word).is_some() => {
                let (test, holds) = state(word).map(|(state, holds)| (state, holds == (test == "is")))?;
                Some(Entry::Line(field.clone(), vec![(test.to_owned(), holds.to_string())]))
            }
            (Token::Word(field), _) if is_field(field) && meant::length_of(field).is_some() => {
                let number = value(&right).filter(|number| is_json_number(number))?;
                let count = if test == "is" { number } else { format!("{{ {test}: {number} }}") };
                Some(Entry::Line(meant::length_of(field)?.to_owned(), vec![("count".to_owned(), count)]))
            }
            (Token::Word(field), _) if is_field(field) => {
                // Text without quotes can be several words.
                let mut words = value(&right)?;
                while let (Token::Word(_), Some(Token::Word(_))) = (&right, self.peek()) {
                    let Some(Token::Word(next)) = self.next() else { break };
                    words = scalar(&format!("{} {next}", words.trim_matches('"')));
                }
                Some(Entry::Line(field.clone(), vec![(test.to_owned(), words)]))
            }
            // `100 < body.total`
            (_, Token::Word(field)) if is_field(field) => {
                let test = match test {
                    "over" => "under",
                    "under" => "over",
                    "at_least" => "at_most",
                    "at_most" => "at_least",
                    "is" | "not" => test,
                    _ => return None,
                };
                Some(Entry::Line(field.clone(), vec![(test.to_owned(), value(&left)?)]))
            }
            _ => None,
        }
    }

    /// `body.x exists`, `body.x between 1 and 5`, after the field.
    fn in_words(&mut self, left: &Token) -> Option<Entry> {
        let Token::Word(field) = left else { return None };
        let line = |test: &str, value: String| is_field(field).then(|| Entry::Line(field.clone(), vec![(test.to_owned(), value)]));
        if self.next() == Some(Token::Word("exists".to_owned())) {
            return line("exists", "true".to_owned());
        }
        let from = value(&self.next()?)?;
        let to = if self.skips(&Token::And) { value(&self.next()?)? } else { return None };
        line("between", format!("[{from}, {to}]"))
    }

    /// `contains(body.x, 'y')` and `body.x.includes('y')`, after the bracket.
    fn call(&mut self, name: &str) -> Option<Entry> {
        let mut arguments = Vec::new();
        while !self.skips(&Token::Close) {
            arguments.push(self.next()?);
            if !self.skips(&Token::Comma) && self.peek() != Some(&Token::Close) {
                return None;
            }
        }
        let (field, word) = match name.rsplit_once('.') {
            Some((field, word)) => (field.to_owned(), word),
            None if arguments.is_empty() => return None,
            None => match arguments.remove(0) {
                Token::Word(field) => (field, name),
                _ => return None,
            },
        };
        if !is_field(&field) {
            return None;
        }
        let test = match word.to_lowercase().replace('_', "").as_str() {
            "contains" | "includes" => "contains",
            "startswith" | "beginswith" => "starts_with",
            "endswith" => "ends_with",
            "matches" | "match" | "test" => "matches",
            "equals" => "is",
            "isempty" | "empty" if arguments.is_empty() => return Some(Entry::Line(field, vec![("empty".to_owned(), "true".to_owned())])),
            "exists" | "defined" if arguments.is_empty() => {
                return Some(Entry::Line(field, vec![("exists".to_owned(), "true".to_owned())]));
            }
            _ => return None,
        };
        match arguments.as_slice() {
            [argument] => Some(Entry::Line(field, vec![(test.to_owned(), value(argument)?)])),
            _ => None,
        }
    }
}

/// What a field can be in other languages, as one of our tests, and whether that test is true then.
fn state(word: &str) -> Option<(&'static str, bool)> {
    match word {
        "undefined" | "missing" | "absent" => Some(("exists", false)),
        "present" => Some(("exists", true)),
        "empty" | "blank" => Some(("empty", true)),
        _ => None,
    }
}

/// A field alone: it is true.
fn lone(field: &str) -> Option<Entry> {
    is_field(field).then(|| Entry::Line(field.to_owned(), vec![("is".to_owned(), "true".to_owned())]))
}

/// Whether a word can be a field: it has a dot or a bracket.
fn is_field(word: &str) -> bool {
    let first = word.split(['.', '[']).next().unwrap_or("");
    first.len() < word.len() && first.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '$')) && !word.contains(['{', '}'])
}

/// A value as it is written in YAML.
fn value(token: &Token) -> Option<String> {
    let plain = |text: &str| if is_json_number(text) || matches!(text, "true" | "false" | "null") { text.to_owned() } else { scalar(text) };
    match token {
        Token::Text(text) => Some(plain(text)),
        Token::Word(list) if list.starts_with('[') => {
            let parts = list.strip_prefix('[')?.strip_suffix(']')?.split(',');
            Some(format!("[{}]", parts.map(|part| plain(part.trim().trim_matches(['\'', '"']))).collect::<Vec<_>>().join(", ")))
        }
        Token::Word(field) if ROOTS.iter().any(|root| field.strip_prefix(root).is_some_and(|rest| rest.starts_with(['.', '[']))) => {
            Some(format!("\"{{{{ {field} }}}}\""))
        }
        Token::Word(word) if word.contains(['/', '~', ';']) => None,
        Token::Word(word) => Some(meant::literal(word).map_or_else(|| plain(word), str::to_owned)),
        _ => None,
    }
}

/// Conditions that must hold together.
fn together(mut all: Vec<Entry>, more: Vec<Entry>) -> Vec<Entry> {
    let before = all.clone();
    for entry in more.clone() {
        match entry {
            Entry::Line(field, tests) => {
                let same = all.iter_mut().find_map(|own| match own {
                    Entry::Line(own, had) if *own == field => Some(had),
                    _ => None,
                });
                match same {
                    Some(had) if had.iter().any(|(name, _)| tests.iter().any(|(other, _)| other == name)) => {
                        return vec![Entry::Group("all", vec![before, more])];
                    }
                    Some(had) => had.extend(tests),
                    None => all.push(Entry::Line(field, tests)),
                }
            }
            Entry::Group(name, conditions) => {
                let same = all.iter_mut().find_map(|own| match own {
                    Entry::Group(own, had) if *own == name => Some(had),
                    _ => None,
                });
                match same {
                    Some(_) if name == "any" => return vec![Entry::Group("all", vec![before, more])],
                    Some(had) => had.extend(conditions),
                    None => all.push(Entry::Group(name, conditions)),
                }
            }
        }
    }
    all
}

/// Conditions of which one is enough.
fn one_of(all: Vec<Vec<Entry>>) -> Vec<Entry> {
    let mut field: Option<&str> = None;
    let values: Option<Vec<&str>> = all
        .iter()
        .map(|one| match one.as_slice() {
            [Entry::Line(own, tests)] if field.is_none_or(|field| field == own) => {
                field = Some(own);
                match tests.as_slice() {
                    [(test, value)] if test == "is" && !value.starts_with('[') => Some(value.as_str()),
                    _ => None,
                }
            }
            _ => None,
        })
        .collect();
    if let (Some(field), Some(values)) = (field, values) {
        return vec![Entry::Line(field.to_owned(), vec![("is".to_owned(), format!("[{}]", values.join(", ")))])];
    }
    let flat = all.into_iter().flat_map(|one| match one.as_slice() {
        [Entry::Group("any", inner)] => inner.clone(),
        _ => vec![one],
    });
    vec![Entry::Group("any", flat.collect())]
}

fn written(entry: &Entry) -> String {
    match entry {
        Entry::Line(field, tests) => {
            let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '$');
            let key = match field.chars().all(is_plain) {
                true => field.clone(),
                false if field.contains('"') => format!("'{}'", field.replace('\'', "''")),
                false => format!("\"{field}\""),
            };
            match tests.as_slice() {
                [(test, value)] if test == "is" => format!("{key}: {value}"),
                tests => {
                    let tests: Vec<String> = tests.iter().map(|(test, value)| format!("{test}: {value}")).collect();
                    format!("{key}: {{ {} }}", tests.join(", "))
                }
            }
        }
        Entry::Group(name, all) => {
            let map = |one: &Vec<Entry>| format!("{{ {} }}", one.iter().map(written).collect::<Vec<_>>().join(", "));
            format!("{name}: [{}]", all.iter().map(map).collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_of_programming_languages_become_ours() {
        for (theirs, ours) in [
            ("body.total > 100", "{ body.total: { over: 100 } }"),
            ("{{ body.total > 100 }}", "{ body.total: { over: 100 } }"),
            ("body.total > 100 && body.status == 'paid'", "{ body.total: { over: 100 }, body.status: paid }"),
            ("body.a > 1 and body.a <= 5 AND body.b", "{ body.a: { over: 1, at_most: 5 }, body.b: true }"),
            ("body.a == 1 || body.b == 2", "{ any: [{ body.a: 1 }, { body.b: 2 }] }"),
            ("body.a == 'x' or body.a == 'y' or body.a == z", "{ body.a: [x, y, z] }"),
            ("body.a == 1 && (body.b == 2 || body.c == 3)", "{ body.a: 1, any: [{ body.b: 2 }, { body.c: 3 }] }"),
            (
                "(body.a == 1 || body.b == 2) && (body.c == 3 || body.d == 4)",
                "{ all: [{ any: [{ body.a: 1 }, { body.b: 2 }] }, { any: [{ body.c: 3 }, { body.d: 4 }] }] }",
            ),
            ("body.a != 1 && body.a != 2", "{ all: [{ body.a: { not: 1 } }, { body.a: { not: 2 } }] }"),
            ("!body.a && body.b != 'x'", "{ none: [{ body.a: true }], body.b: { not: x } }"),
            ("not (body.a == 1 or body.b == 2)", "{ none: [{ body.a: 1 }, { body.b: 2 }] }"),
            (
                "contains(body.title, 'a, b') && body.x.startsWith(\"y\")",
                "{ body.title: { contains: \"a, b\" }, body.x: { starts_with: y } }",
            ),
            ("body.items[*].sku == 'A1'", "{ \"body.items[*].sku\": A1 }"),
            ("body.status in ['a', 'b']", "{ body.status: [a, b] }"),
            ("body.status not in [a, b]", "{ body.status: { not: [a, b] } }"),
            ("body.status is not paid", "{ body.status: { not: paid } }"),
            ("100 < body.total", "{ body.total: { over: 100 } }"),
            ("body.a == body.b", "{ body.a: \"{{ body.b }}\" }"),
            ("body.city == New York", "{ body.city: New York }"),
            ("body.a == 'x' || 'y' || z", "{ body.a: [x, y, z] }"),
            ("body.status equals paid or open", "{ body.status: [paid, open] }"),
            ("body.total is greater than 100", "{ body.total: { over: 100 } }"),
            ("body.total between 1 and 5 and body.x exists", "{ body.total: { between: [1, 5] }, body.x: { exists: true } }"),
            ("body.x is not empty", "{ body.x: { empty: false } }"),
            ("body.x === undefined", "{ body.x: { exists: false } }"),
            ("body.x !== undefined", "{ body.x: { exists: true } }"),
            ("body.items.length > 0 && body.lines.length == 2", "{ body.items: { count: { over: 0 } }, body.lines: { count: 2 } }"),
            ("body.x =~ /^a|b$/", "{ body.x: { matches: \"^a|b$\" } }"),
            ("github.event.action == 'opened'", "{ body.action: opened }"),
        ] {
            assert_eq!(map(theirs).as_deref(), Some(ours), "{theirs}");
        }
    }

    #[test]
    fn what_is_not_a_condition_is_left_alone() {
        for text in [
            "",
            "paid",
            "body.a ==",
            "body.a == 1 &&",
            "(body.a == 1",
            "body.a == 1)",
            "a > b",
            "body.a ? 1 : 2",
            "body.a[ == 1",
            "!",
            "f()",
        ] {
            assert_eq!(map(text), None, "{text}");
        }
        assert_eq!(map(&"(".repeat(1_000)), None);
        assert_eq!(map(&"!".repeat(1_000)), None);
    }
}
