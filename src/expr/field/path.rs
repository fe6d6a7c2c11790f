//! Parses a path into its steps: our own syntax (`body.items[0]`) and RFC 9535's (`$.items[?@.qty > 5]`).
//!
//! `jsonpath-rust` parses the grammar; this converts our syntax to it, takes the simple steps off the front, and refuses
//! whatever the library would accept by mistake or evaluate incorrectly: a problem at load is better than a wrong result
//! in production.

use jsonpath_rust::parser::model::{
    Comparable, Filter, FilterAtom, FnArg, JpQuery, Segment, Selector, SingularQuery, SingularQuerySegment, Test, TestFunction,
};
use jsonpath_rust::parser::parse_json_path;

use super::part::PathPart;
use super::refusal::{NoField, no};
use crate::text::span;

/// A parsed path: simple steps, and a search that begins after them.
#[derive(Debug, Default)]
pub(super) struct Steps {
    pub parts: Vec<PathPart>,
    pub tail: Option<JpQuery>,
    /// Where the filters of the search look in the whole body (`$`).
    pub elsewhere: Vec<Vec<PathPart>>,
}

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
                    return Err(no("a dot before `[` is syntax from another tool", "write body.items[0], without the dot"));
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
    let mut steps = Steps::default();
    let mut segments = query.segments.into_iter().peekable();
    while let Some(part) = segments.peek().and_then(|segment| simple(segment, forgiving)) {
        steps.parts.push(part);
        segments.next();
    }
    let rest: Vec<Segment> = segments.collect();
    elsewhere(&rest, &mut steps.elsewhere);
    steps.tail = (!rest.is_empty()).then(|| JpQuery::new(rest));
    Ok(steps)
}

/// A segment that needs no search.
fn simple(segment: &Segment, forgiving: bool) -> Option<PathPart> {
    match segment {
        Segment::Selector(Selector::Name(name)) => Some(PathPart::Name(name.clone())),
        Segment::Selector(Selector::Index(i)) => Some(PathPart::Index(*i)),
        Segment::Selector(Selector::Wildcard) if forgiving => Some(PathPart::Each),
        _ => None,
    }
}

/// Collects the beginning of every path of a filter that starts at the root.
fn elsewhere(segments: &[Segment], out: &mut Vec<Vec<PathPart>>) {
    for_each_filter(segments, &mut |filter| in_filter(filter, out));
}

fn for_each_filter<'s>(segments: &'s [Segment], each: &mut impl FnMut(&'s Filter)) {
    for segment in segments {
        let selectors = match segment {
            Segment::Descendant(inner) => {
                for_each_filter(std::slice::from_ref(inner), each);
                continue;
            }
            Segment::Selector(one) => std::slice::from_ref(one),
            Segment::Selectors(all) => all,
        };
        for selector in selectors {
            if let Selector::Filter(filter) = selector {
                each(filter);
            }
        }
    }
}

fn in_filter(filter: &Filter, out: &mut Vec<Vec<PathPart>>) {
    match filter {
        Filter::Or(all) | Filter::And(all) => all.iter().for_each(|f| in_filter(f, out)),
        Filter::Atom(FilterAtom::Filter { expr, .. }) => in_filter(expr, out),
        Filter::Atom(FilterAtom::Test { expr, .. }) => in_test(expr, out),
        Filter::Atom(FilterAtom::Comparison(comparison)) => {
            let (left, right) = comparison.vals();
            for side in [left, right] {
                match side {
                    Comparable::SingularQuery(SingularQuery::Root(way)) => out.push(way.iter().map(part_of).collect()),
                    Comparable::Function(function) => in_function(function, out),
                    Comparable::SingularQuery(SingularQuery::Current(_)) | Comparable::Literal(_) => {}
                }
            }
        }
    }
}

fn part_of(segment: &SingularQuerySegment) -> PathPart {
    match segment {
        SingularQuerySegment::Name(name) => PathPart::Name(name.clone()),
        SingularQuerySegment::Index(i) => PathPart::Index(*i),
    }
}

fn in_test(test: &Test, out: &mut Vec<Vec<PathPart>>) {
    match test {
        Test::RelQuery(segments) => elsewhere(segments, out),
        Test::AbsQuery(query) => {
            out.push(query.segments.iter().map_while(|segment| simple(segment, false)).collect());
            elsewhere(&query.segments, out);
        }
        Test::Function(function) => in_function(function, out),
    }
}

fn in_function(function: &TestFunction, out: &mut Vec<Vec<PathPart>>) {
    for argument in arguments(function) {
        match argument {
            FnArg::Test(test) => in_test(test, out),
            FnArg::Filter(filter) => in_filter(filter, out),
            FnArg::Literal(_) => {}
        }
    }
}

fn arguments(function: &TestFunction) -> Vec<&FnArg> {
    match function {
        TestFunction::Length(arg) => vec![arg],
        TestFunction::Value(arg) | TestFunction::Count(arg) => vec![arg],
        TestFunction::Search(a, b) | TestFunction::Match(a, b) => vec![a, b],
        TestFunction::Custom(_, all) => all.iter().collect(),
    }
}

fn check(segments: &[Segment]) -> Result<(), NoField> {
    let mut filters = Vec::new();
    for_each_filter(segments, &mut |f| filters.push(f));
    filters.into_iter().try_for_each(filter)
}

fn filter(f: &Filter) -> Result<(), NoField> {
    match f {
        Filter::Or(all) | Filter::And(all) => all.iter().try_for_each(filter),
        Filter::Atom(FilterAtom::Filter { expr, .. }) => filter(expr),
        Filter::Atom(FilterAtom::Comparison(c)) => {
            let (left, right) = c.vals();
            [left, right].into_iter().try_for_each(|side| match side {
                Comparable::Function(f) => function(f),
                _ => Ok(()),
            })
        }
        Filter::Atom(FilterAtom::Test { expr, .. }) => match expr.as_ref() {
            Test::RelQuery(segments) => check(segments),
            Test::AbsQuery(query) => check(&query.segments),
            Test::Function(f) if gives_truth(f) => function(f),
            Test::Function(f) => Err(no(format!("`{f}` must be compared with something"), "write for example length(@.a) > 3")),
        },
    }
}

/// Whether the result of a function is true or false; that of all others is a value.
fn gives_truth(f: &TestFunction) -> bool {
    matches!(f, TestFunction::Match(..) | TestFunction::Search(..) | TestFunction::Custom(..))
}

/// Whether an argument is one value: text or a number, a path that gives at most one value, or the result of a function.
fn is_value(arg: &FnArg) -> bool {
    match arg {
        FnArg::Literal(_) => true,
        FnArg::Filter(_) => false,
        FnArg::Test(test) => match test.as_ref() {
            Test::RelQuery(segments) => singular(segments),
            Test::AbsQuery(query) => singular(&query.segments),
            Test::Function(f) => !gives_truth(f),
        },
    }
}

fn function(f: &TestFunction) -> Result<(), NoField> {
    for argument in arguments(f) {
        match argument {
            FnArg::Literal(_) => {}
            FnArg::Filter(f) => filter(f)?,
            FnArg::Test(test) => match test.as_ref() {
                Test::RelQuery(segments) => check(segments)?,
                Test::AbsQuery(query) => check(&query.segments)?,
                Test::Function(f) => function(f)?,
            },
        }
    }
    let is_path = |arg: &FnArg| matches!(arg, FnArg::Test(test) if !matches!(test.as_ref(), Test::Function(_)));
    match f {
        TestFunction::Custom(name, _) => {
            Err(no(format!("there is no function called `{name}`"), "the functions are length, count, value, match and search"))
        }
        TestFunction::Length(arg) if !is_value(arg) => {
            Err(no("length() takes a path that gives one value", "use count() for several values"))
        }
        TestFunction::Count(arg) | TestFunction::Value(arg) if !is_path(arg) => {
            Err(no(format!("`{f}` must have a path in its brackets"), "write for example count(@.items[*])"))
        }
        TestFunction::Match(_, pattern) | TestFunction::Search(_, pattern) if !matches!(pattern, FnArg::Literal(_)) => {
            Err(no("the pattern of match() and search() must be plain text", "write it in quotes"))
        }
        TestFunction::Match(text, _) | TestFunction::Search(text, _) if !is_value(text) => {
            Err(no("match() and search() take a path that gives one value", "write for example match(@.sku, 'A.*')"))
        }
        _ => Ok(()),
    }
}

fn singular(segments: &[Segment]) -> bool {
    segments.iter().all(|s| matches!(s, Segment::Selector(Selector::Name(_) | Selector::Index(_))))
}
