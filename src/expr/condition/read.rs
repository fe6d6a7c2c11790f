//! Parses a condition map in a rule file into [`All`], and reports every mistake.

use ipnet::IpNet;
use regex::RegexBuilder;
use serde_json::Value;

use super::aliases::TEST_WORDS;
use super::{All, ConditionPart, Line, Operand, TESTS, Test};
use crate::expr::comparison::spelled;
use crate::expr::field::ROOTS;
use crate::expr::moment::moment;
use crate::expr::names::Names;
use crate::expr::template::{Destination, Template};
use crate::text::nearest::nearest;
use crate::yaml::Node;
use crate::yaml::fields::Item;

/// The maximum memory of one compiled pattern.
const MAX_PATTERN: usize = 1 << 20;
/// The maximum nesting depth of groups.
const MAX_DEPTH: usize = 32;

/// Parses `if:`; after a problem, returns what could be parsed.
pub fn read(item: &Item, known: &Names) -> All {
    all(item, known, 0)
}

fn all(item: &Item, known: &Names, depth: usize) -> All {
    if depth > MAX_DEPTH {
        item.problem("groups are nested too deeply").label(format!("use at most {MAX_DEPTH} levels")).add();
        return All::default();
    }
    match item.node {
        Node::Map(_) => {}
        Node::List(items) => {
            let draft =
                item.problem("`if:` is a map of fields, not a list").label("remove the dashes, so that each line is `field: value`");
            match items.len() {
                0 | 1 => draft.add(),
                _ => draft.note("if only one of several lines has to be true, put them under `any:`, each with a dash").add(),
            }
            return All::default();
        }
        Node::Text(text) => {
            let draft = item.problem("a condition cannot be text");
            draft.label(rewritten(text)).note("each line is a field and what it must be: `body.total: { over: 100 }`").add();
            return All::default();
        }
        Node::Braces => {
            item.problem("a condition cannot be text")
                .label("write a field and what it must be, without braces: `body.total: { over: 100 }`")
                .add();
            return All::default();
        }
        _ => {
            item.expected("a map of fields and what they must be");
            return All::default();
        }
    }
    let Some(entries) = item.entries("a condition") else { return All::default() };
    if entries.is_empty() {
        item.problem("this condition is empty").label("write `field: value`, or remove `if:`").add();
    }
    let mut parts = Vec::new();
    for (key, value) in entries {
        let group = |make: fn(Vec<All>) -> ConditionPart| {
            let items = value.items("a list of conditions, each with a dash,");
            let groups: Vec<All> = items.unwrap_or_default().iter().map(|i| all(i, known, depth + 1)).collect();
            make(groups)
        };
        match key.as_str() {
            "any" => parts.push(group(ConditionPart::Any)),
            "all" => parts.push(group(ConditionPart::Every)),
            "none" => parts.push(group(ConditionPart::None)),
            "or" | "and" | "not" | "anyOf" | "allOf" => {
                let ours = match key.as_str() {
                    "or" | "anyOf" => "any",
                    "and" | "allOf" => "all",
                    _ => "none",
                };
                value
                    .problem(format!("there is no group called `{key}`"))
                    .at_key()
                    .label(format!("did you mean `{ours}`?"))
                    .note("groups: any, all, none")
                    .add();
            }
            _ if key.contains("{{") => {
                let bare = key.replace("{{", "").replace("}}", "");
                value
                    .problem("a field on the left side is written without braces")
                    .at_key()
                    .label(format!("write `{}`", bare.trim()))
                    .add();
            }
            _ => {
                let place = crate::yaml::fields::Item::clone(&value);
                if let Some(line) = line(&key, &place, known) {
                    parts.push(ConditionPart::Line(line));
                }
            }
        }
    }
    All(parts)
}

/// Rewrites `"{{ body.total > 100 }}"` in our syntax, as far as it can be guessed.
fn rewritten(text: &str) -> String {
    let bare = text.replace("{{", "").replace("}}", "");
    let words: Vec<&str> = bare.split_whitespace().collect();
    let sign = |s: &str| TEST_WORDS.iter().find(|(theirs, _)| *theirs == s).map(|(_, ours)| *ours);
    match words.as_slice() {
        [field, "==" | "=" | "===", value] => format!("write `{field}: {value}`"),
        [field, s, value] if sign(s).is_some() => format!("write `{field}: {{ {}: {value} }}`", sign(s).unwrap_or("is")),
        [field] => format!("write `{field}: true`, or what it must be"),
        _ => "write a field and what it must be, such as `body.total: { over: 100 }`".to_owned(),
    }
}

fn line(key: &str, item: &Item, known: &Names) -> Option<Line> {
    if let Some(theirs) = TESTS.iter().find(|t| **t == key) {
        item.problem(format!("`{theirs}` is a test and belongs after a field")).at_key().label("write `body.field: { … }`").add();
        return None;
    }
    if let [field, sign, value] = key.split_whitespace().collect::<Vec<_>>().as_slice()
        && let Some((_, ours)) = TEST_WORDS.iter().find(|(theirs, _)| theirs == sign)
    {
        item.problem("a comparison cannot be written on the left side")
            .at_key()
            .label(format!("write `{field}: {{ {ours}: {value} }}`"))
            .add();
        return None;
    }
    if let Node::Map(inner) = item.node
        && ROOTS.contains(&key)
        && let Some((name, _)) = inner.iter().find(|(name, _)| !TESTS.contains(&name.as_str()) && name != "ignore_case")
        && nearest(name, TESTS).is_none()
    {
        item.problem("fields cannot be nested").at_key().label(format!("write it on one line: `{key}.{name}: …`")).add();
        return None;
    }
    let field = known.field(key, &at_key(item), None);
    let mut ignore_case = false;
    let tests = tests(item, known, &mut ignore_case)?;
    Some(Line { field: field?, tests, ignore_case })
}

/// The same item, with problems pointing at its key.
fn at_key<'a>(item: &Item<'a>) -> Item<'a> {
    let mut place = item.clone();
    if let Some(crate::yaml::locate::PathStep::Value(n)) = place.path.pop() {
        place.path.push(crate::yaml::locate::PathStep::Key(n));
    }
    place
}

/// Parses what follows a field, or `not:` and `count:`.
fn tests(item: &Item, known: &Names, ignore_case: &mut bool) -> Option<Vec<Test>> {
    match item.node {
        Node::Map(_) => {}
        Node::List(items) if items.is_empty() => {
            item.problem("an empty list matches nothing, so this can never be true")
                .label("to match an empty list in the request, write { empty: true }")
                .add();
            return None;
        }
        _ => return Some(vec![Test::Is(operands(item, known)?)]),
    }
    let entries = item.entries("a test")?;
    if entries.is_empty() {
        item.problem("there is no test in these braces").label("write for example { over: 100 }").add();
        return None;
    }
    let mut out = Vec::new();
    let mut good = true;
    for (key, value) in &entries {
        if key == "ignore_case" {
            match value.flag() {
                Some(flag) => *ignore_case = flag,
                None => good = false,
            }
        }
    }
    for (key, value) in &entries {
        if key == "ignore_case" {
            continue;
        }
        match test(key, value, known, ignore_case) {
            Some(test) => out.push(test),
            None => good = false,
        }
    }
    if out.is_empty() && good {
        item.problem("`ignore_case` needs a test next to it").label("write for example { is: abc, ignore_case: true }").add();
        return None;
    }
    good.then(|| never(item, &out)).flatten()?;
    good.then_some(out)
}

/// Reports two tests that exclude each other.
fn never(item: &Item, tests: &[Test]) -> Option<()> {
    let fixed = |o: &Operand| match o {
        Operand::Fixed(v) => Some(v.clone()),
        Operand::Field(_) => None,
    };
    let least = tests.iter().find_map(|t| match t {
        Test::Over(n) | Test::AtLeast(n) => fixed(n),
        _ => None,
    });
    let most = tests.iter().find_map(|t| match t {
        Test::Under(n) | Test::AtMost(n) => fixed(n),
        _ => None,
    });
    if let (Some(a), Some(b)) = (least, most)
        && crate::expr::comparison::compare(&a, &b) == Some(std::cmp::Ordering::Greater)
    {
        item.problem(format!("no number is over {a} and under {b}, so this can never be true")).label("swap the two numbers").add();
        return None;
    }
    Some(())
}

fn test(key: &str, item: &Item, known: &Names, ignore_case: &mut bool) -> Option<Test> {
    Some(match key {
        "is" => Test::Is(operands(item, known)?),
        "over" => Test::Over(number(item, known)?),
        "at_least" => Test::AtLeast(number(item, known)?),
        "under" => Test::Under(number(item, known)?),
        "at_most" => Test::AtMost(number(item, known)?),
        "between" => {
            let pair = item.items("a list of two numbers, [from, to],")?;
            let [a, b] = pair.as_slice() else {
                item.problem("`between` takes two numbers").label("write between: [10, 20]").add();
                return None;
            };
            let (from, to) = (number(a, known)?, number(b, known)?);
            if let (Operand::Fixed(x), Operand::Fixed(y)) = (&from, &to)
                && crate::expr::comparison::compare(x, y) == Some(std::cmp::Ordering::Greater)
            {
                item.problem(format!("no number is between {x} and {y}, so this can never be true"))
                    .label(format!("write [{y}, {x}]"))
                    .add();
                return None;
            }
            Test::Between(from, to)
        }
        "contains" => Test::Contains(text(item, known)?),
        "starts_with" => Test::StartsWith(text(item, known)?),
        "ends_with" => Test::EndsWith(text(item, known)?),
        "like" => {
            let pattern = item.text()?;
            let parts: Vec<String> = pattern.split('*').map(regex::escape).collect();
            let regex = compile(item, &format!("(?s)\\A{}\\z", parts.join(".*")), *ignore_case)?;
            Test::Like(pattern, Box::new(regex))
        }
        "matches" => {
            let pattern = item.text()?;
            let between = pattern.strip_prefix('/').and_then(|p| p.strip_suffix('/'));
            if let Some(bare) = between.filter(|p| !p.is_empty()) {
                item.problem("slashes around a pattern are syntax from another tool").label(format!("write '{bare}'")).add();
                return None;
            }
            let regex = compile(item, &pattern, *ignore_case)?;
            Test::Matches(pattern, Box::new(regex))
        }
        "in_network" => {
            let mut networks = Vec::new();
            for one in item.one_or_many() {
                let text = one.text()?;
                let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from));
                match network {
                    Some(network) => networks.push(network),
                    None => {
                        one.problem(format!("`{text}` is not a network")).label("write for example 10.0.0.0/8 or 192.0.2.7").add();
                        return None;
                    }
                }
            }
            Test::InNetwork(networks)
        }
        "before" => Test::Before(date(item, known)?),
        "after" => Test::After(date(item, known)?),
        "count" => Test::Count(tests(item, known, ignore_case)?),
        "exists" => Test::Exists(item.flag()?),
        "empty" => Test::Empty(item.flag()?),
        "not" => Test::Not(tests(item, known, ignore_case)?),
        _ => {
            let draft = item.problem(format!("there is no test called `{key}`")).at_key();
            let ours = TEST_WORDS.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(key)).map(|(_, ours)| *ours);
            let draft = match ours.or_else(|| nearest(key, TESTS.into_iter().chain(["ignore_case"]))) {
                Some(near) => draft.label(format!("did you mean `{near}`?")),
                None if key.contains('.') => draft.label("start a new line with each field"),
                None => draft.label("choose one of the tests below"),
            };
            draft.note(format!("tests: {}, ignore_case", TESTS.join(", "))).add();
            return None;
        }
    })
}

fn compile(item: &Item, pattern: &str, ignore_case: bool) -> Option<regex::Regex> {
    let built = RegexBuilder::new(pattern).case_insensitive(ignore_case).size_limit(MAX_PATTERN).build();
    built
        .map_err(|e| {
            let draft = match e {
                regex::Error::CompiledTooBig(_) => item.problem("this pattern is too large").label("use a shorter pattern"),
                _ => {
                    let said = e.to_string();
                    let reason = said.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned();
                    item.problem(format!("this pattern cannot be read: {reason}"))
                        .label("put a \\ before characters that have a special meaning in patterns")
                }
            };
            draft.add();
        })
        .ok()
}

fn operands(item: &Item, known: &Names) -> Option<Vec<Operand>> {
    let all: Vec<Option<Operand>> = item.one_or_many().iter().map(|i| operand(i, known)).collect();
    all.into_iter().collect()
}

/// A literal value, or exactly one `{{ field }}`.
fn operand(item: &Item, known: &Names) -> Option<Operand> {
    match item.node {
        Node::Text(text) if text.contains("{{") => {
            let template = Template::read(item, Destination::Plain, known)?;
            match template.lone_field() {
                Some(field) => Some(Operand::Field(field.clone())),
                None => {
                    item.problem("the right side can be a single {{ field }} and nothing else")
                        .label("compute the value under `set:` and write its name here")
                        .add();
                    None
                }
            }
        }
        Node::Text(_) => item.text().map(|t| Operand::Fixed(Value::String(t))),
        Node::Number(_) | Node::Bool(_) | Node::Null => Some(Operand::Fixed(item.node.json())),
        Node::Map(_) => {
            item.problem("a plain value is expected here, not names and values")
                .label("write the test directly after the field: { over: 100 }")
                .add();
            None
        }
        _ => {
            item.expected("a value");
            None
        }
    }
}

fn number(item: &Item, known: &Names) -> Option<Operand> {
    match operand(item, known)? {
        Operand::Fixed(Value::Number(n)) => Some(Operand::Fixed(Value::Number(n))),
        Operand::Fixed(Value::String(s)) if crate::expr::number::is_plain(&s) => Some(Operand::Fixed(Value::String(s))),
        Operand::Fixed(_) => {
            let draft = item.problem("this test compares numbers");
            match item.node {
                Node::Text(t) if moment(t).is_some() => draft.label("to compare dates, use `before` and `after`").add(),
                Node::Text(t) if t.replace([',', '_', '\'', ' '], "").parse::<f64>().is_ok() => {
                    draft.label(format!("write {}", t.replace([',', '_', '\'', ' '], ""))).add();
                }
                _ => draft.label("write a number, without a unit or a currency").add(),
            }
            None
        }
        field => Some(field),
    }
}

fn text(item: &Item, known: &Names) -> Option<Operand> {
    if let Node::List(_) = item.node {
        item.expected("text");
        return None;
    }
    let operand = operand(item, known)?;
    if let Operand::Fixed(Value::String(s)) = &operand
        && s.is_empty()
    {
        item.problem("all text contains empty text").label("write what to look for, or { exists: true }").add();
        return None;
    }
    Some(operand)
}

fn date(item: &Item, known: &Names) -> Option<Operand> {
    let operand = operand(item, known)?;
    if let Operand::Fixed(value) = &operand {
        let text = spelled(value)?;
        if moment(&text).is_none() {
            item.problem(format!("`{text}` is not a date")).label("write for example 2026-03-14 or 2026-03-14T09:30:00Z").add();
            return None;
        }
    }
    Some(operand)
}
