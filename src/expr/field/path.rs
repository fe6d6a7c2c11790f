//! Parses a path into its steps: our own syntax (`body.items[0]`) and RFC 9535's (`$.items[?@.qty > 5]`).
//!
//! `jsonpath-rust` parses the grammar; this converts our syntax to it, takes the simple steps off the front, and refuses
//! whatever the library would accept by mistake or evaluate incorrectly: a problem at load is better than a wrong result
//! in production.

use jsonpath_rust::parser::model::{Comparable, Comparison, Filter, FilterAtom, FnArg, JpQuery, Segment, Selector, Test, TestFunction};
use jsonpath_rust::parser::parse_json_path;

use super::part::PathPart;
use super::refusal::{NoField, no};
use crate::text::span;

/// A parsed path: simple steps, and a search that begins after them.
type Steps = (Vec<PathPart>, Option<JpQuery>);

/// Reads a path that begins with `$`.
pub(super) fn rfc(text: &str) -> Result<Steps, NoField> {
    spaces_in_names(text.strip_prefix('$').unwrap_or(text))?;
    split(text, false)
}

/// Reads what follows the first word in our syntax; `text` is the whole path, for messages.
pub(super) fn ours(text: &str, rest: &str) -> Result<Steps, NoField> {
    split(&canonical(text, rest)?, true)
}

/// Converts our syntax (`.your-name`, `['First name']`, `[0]`, `[*]`) to RFC 9535.
fn canonical(text: &str, rest: &str) -> Result<String, NoField> {
    let mut out = String::from("$");
    let mut chars = rest.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '.' => {
                if chars.next_if(|(_, c)| *c == '.').is_some() {
                    out.push_str("..");
                    if matches!(chars.peek(), Some((_, '['))) {
                        continue;
                    }
                }
                if matches!(chars.peek(), Some((_, '['))) {
                    let fix = text.replace(".[", "[");
                    return Err(no("a dot before `[` is syntax from another tool", format!("write `{fix}`")));
                }
                let mut name = String::new();
                while let Some((_, c)) =
                    chars.next_if(|(_, c)| !matches!(c, '.' | '[' | ']' | '(' | ')' | '{' | '}' | '|' | '\'' | '"') && !c.is_whitespace())
                {
                    name.push(c);
                }
                if name.is_empty() {
                    let found = chars.peek().map_or("the end".to_owned(), |(_, c)| format!("`{c}`"));
                    return Err(no(
                        format!("a name is missing in `{text}`"),
                        format!("the dot is followed by {found}; write names with spaces or dots as body['First name']"),
                    ));
                }
                if name == "*" {
                    out.push_str("[*]");
                } else {
                    out.push_str(&format!("['{}']", name.replace('\\', "\\\\").replace('\'', "\\'")));
                }
            }
            '[' => {
                let end = closing(span::from(rest, at)).ok_or_else(|| no(format!("a `[` is never closed in `{text}`"), "write a `]`"))?;
                out.push_str(span::between(rest, at, at + end));
                while chars.next_if(|(n, _)| *n < at + end).is_some() {}
            }
            c => return Err(no(format!("`{c}` is not allowed here in `{text}`"), "after a name, write a dot, a `[` or nothing")),
        }
    }
    if out.ends_with("..") {
        return Err(no(format!("a name is missing in `{text}`"), "write a name after the dots"));
    }
    Ok(out)
}

/// The length of a part in brackets, including its closing bracket.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote, mut escaped) = (0usize, None, false);
    for (n, c) in text.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') => {
                depth -= 1;
                if depth == 0 {
                    return Some(n + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// `$.a b` is not valid in RFC 9535, but the parser accepts it as one name.
fn spaces_in_names(rest: &str) -> Result<(), NoField> {
    let mut chars = rest.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == '[' {
            let Some(end) = closing(span::from(rest, at)) else { return Ok(()) };
            while chars.as_str().len() > rest.len() - at - end {
                chars.next();
            }
        } else if c.is_whitespace() {
            let next = span::from(rest, at).trim_start().chars().next();
            if !matches!(next, Some('.' | '[')) || span::before(rest, at).ends_with('.') {
                return Err(no(format!("`${rest}` has a space in a name"), "write names with spaces as $['First name']"));
            }
        }
    }
    Ok(())
}

/// Parses a path, refuses it if it does not conform to RFC 9535 or is known to give wrong results, and splits off the
/// simple beginning.
fn split(path: &str, forgiving: bool) -> Result<Steps, NoField> {
    let query = parse_json_path(path).map_err(|e| {
        let said = e.to_string();
        let column = said.lines().find_map(|l| l.trim().strip_prefix("--> 1:")).and_then(|n| n.parse::<usize>().ok());
        let place = column.map_or(String::new(), |c| format!(" (from `{}`)", path.chars().skip(c - 1).collect::<String>()));
        no(format!("this path cannot be read{place}"), "paths look like body.items[0].sku, body['First name'], $.items[?@.qty > 5]")
    })?;
    check(&query.segments)?;
    let mut parts = Vec::new();
    let mut segments = query.segments.into_iter().peekable();
    // If a filter refers to the root (`$`), the search begins there.
    let looks_back = path.chars().skip(1).any(|c| c == '$');
    while let Some(segment) = segments.peek().filter(|_| !looks_back) {
        let part = match segment {
            Segment::Selector(Selector::Name(name)) => PathPart::Name(name.clone()),
            Segment::Selector(Selector::Index(i)) => PathPart::Index(*i),
            Segment::Selector(Selector::Wildcard) if forgiving => PathPart::Each,
            _ => break,
        };
        parts.push(part);
        segments.next();
    }
    let rest: Vec<Segment> = segments.collect();
    Ok((parts, (!rest.is_empty()).then(|| JpQuery::new(rest))))
}

fn check(segments: &[Segment]) -> Result<(), NoField> {
    let selector = |s: &Selector| match s {
        Selector::Filter(f) => filter(f),
        _ => Ok(()),
    };
    segments.iter().try_for_each(|segment| match segment {
        Segment::Descendant(inner) => check(std::slice::from_ref(inner)),
        Segment::Selector(s) => selector(s),
        Segment::Selectors(all) => all.iter().try_for_each(selector),
    })
}

fn filter(f: &Filter) -> Result<(), NoField> {
    match f {
        Filter::Or(all) | Filter::And(all) => all.iter().try_for_each(filter),
        Filter::Atom(FilterAtom::Filter { expr, .. }) => filter(expr),
        Filter::Atom(FilterAtom::Comparison(c)) => {
            let (Comparison::Eq(a, b)
            | Comparison::Ne(a, b)
            | Comparison::Gt(a, b)
            | Comparison::Gte(a, b)
            | Comparison::Lt(a, b)
            | Comparison::Lte(a, b)) = c.as_ref();
            [a, b].into_iter().try_for_each(|side| match side {
                Comparable::Function(f) => function(f),
                _ => Ok(()),
            })
        }
        Filter::Atom(FilterAtom::Test { expr, .. }) => match expr.as_ref() {
            Test::RelQuery(segments) => nested(segments),
            Test::AbsQuery(query) => nested(&query.segments),
            Test::Function(f) if expr.is_res_bool() => function(f),
            Test::Function(f) => Err(no(format!("`{f}` must be compared with something"), "write for example length(@.a) > 3")),
        },
    }
}

/// A filter inside a filter: the library finds nothing there, so it is refused instead of giving a wrong result.
fn nested(segments: &[Segment]) -> Result<(), NoField> {
    let has_filter = |s: &Segment| match s {
        Segment::Selector(s) => matches!(s, Selector::Filter(_)),
        Segment::Selectors(all) => all.iter().any(|s| matches!(s, Selector::Filter(_))),
        Segment::Descendant(inner) => matches!(inner.as_ref(), Segment::Selector(Selector::Filter(_))),
    };
    match segments.iter().any(has_filter) {
        true => Err(no("a filter inside a filter is not available yet", "put the second filter into an `if:` of its own")),
        false => Ok(()),
    }
}

fn function(f: &TestFunction) -> Result<(), NoField> {
    let single = |arg: &FnArg| match arg {
        FnArg::Test(test) => match test.as_ref() {
            Test::RelQuery(segments) => singular(segments),
            Test::AbsQuery(query) => singular(&query.segments),
            Test::Function(_) => true,
        },
        _ => true,
    };
    match f {
        TestFunction::Length(arg) if !single(arg) => {
            Err(no("length() takes a path that gives one value", "use count() for several values"))
        }
        TestFunction::Match(_, pattern) | TestFunction::Search(_, pattern) if !matches!(pattern, FnArg::Literal(_)) => {
            Err(no("the pattern of match() and search() must be plain text", "write it in quotes"))
        }
        _ => Ok(()),
    }
}

fn singular(segments: &[Segment]) -> bool {
    segments.iter().all(|s| matches!(s, Segment::Selector(Selector::Name(_) | Selector::Index(_))))
}
