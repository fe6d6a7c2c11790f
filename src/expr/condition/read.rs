//! Parses a condition map in a rule file into [`All`], and reports every mistake.

use ipnet::IpNet;

use super::aliases::TEST_WORDS;
use super::operand::{compile, date, number, operands, text};
use super::{All, ConditionPart, Line, Operand, Test, doubt, formula, left, meant, never};
use crate::expr::calendar::{read_between, read_days};
use crate::expr::field::{Field, ROOTS};
use crate::expr::names::Names;
use crate::schedule::window::Window;
use crate::text::nearest::nearest;
use crate::text::word::{Shape, Word};
use crate::yaml::Node;
use crate::yaml::fields::Item;

/// The maximum nesting depth of groups.
const MAX_DEPTH: usize = 32;

/// A test: the word that people write, and how what follows it is read.
pub struct TestWord {
    pub word: Word,
    read: Read,
    /// Whether it can be written without a field: it is then about now.
    pub is_of_now: bool,
}

/// The flag is `ignore_case` of the line.
type Read = fn(&Item, &Names, &mut bool) -> Option<Test>;

const fn test(name: &'static str, shape: Shape, does: &'static str, read: Read) -> TestWord {
    TestWord { word: Word { name, shape, does }, read, is_of_now: false }
}

/// A test that is about now if there is no field before it.
const fn of_now(name: &'static str, shape: Shape, does: &'static str, read: Read) -> TestWord {
    TestWord { is_of_now: true, ..test(name, shape, does, read) }
}

/// A time of day.
const TIME: &str = r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$";
const NUMBER: Shape = Shape::Compared(r"^-?[0-9]+(\.[0-9]+)?$|\{\{");
/// The beginnings of the forms in which dates are read.
const DATE: Shape = Shape::Compared(
    r"\{\{|^\s*([0-9]{10}|[0-9]{13})(\.[0-9]+)?\s*$|^\s*[0-9]{4}-?(0[1-9]|1[0-2])-?(0[1-9]|[12][0-9]|3[01])|^\s*([A-Za-z]{3},\s*)?[0-9]{1,2}\s+[A-Za-z]{3}\s+[0-9]{4}",
);
/// Neither look-around nor slashes around a pattern.
const PATTERN: &str = r"^(?!([^\[\\]|\\[\s\S])*\(\?(=|!|<=|<!))(?!/[\s\S]+/$)";
const NETWORK: &str = r"^((25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(\.(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])){3}(/(3[0-2]|[12]?[0-9]))?|[0-9a-fA-F.]*:[0-9a-fA-F:.]*(/[0-9]{1,3})?)$";

/// Every test of `if:`, in the order in which they are shown to people.
pub static TESTS: [TestWord; 20] = [
    test("is", Shape::Of("plain"), "equals this; with a list: equals one of these", |item, known, _| {
        Some(Test::Is(operands(item, known)?))
    }),
    test("over", NUMBER, "is a number greater than this", |item, known, _| Some(Test::Over(number(item, known)?))),
    test("at_least", NUMBER, "is a number greater than or equal to this", |item, known, _| Some(Test::AtLeast(number(item, known)?))),
    test("under", NUMBER, "is a number less than this", |item, known, _| Some(Test::Under(number(item, known)?))),
    test("at_most", NUMBER, "is a number less than or equal to this", |item, known, _| Some(Test::AtMost(number(item, known)?))),
    test("between", Shape::Two(&NUMBER), "is a number from the first to the second", between),
    test("contains", Shape::Compared("."), "contains this text", |item, known, _| Some(Test::Contains(text(item, known)?))),
    test("starts_with", Shape::Compared("."), "begins with this text", |item, known, _| Some(Test::StartsWith(text(item, known)?))),
    test("ends_with", Shape::Compared("."), "ends with this text", |item, known, _| Some(Test::EndsWith(text(item, known)?))),
    test("like", Shape::Text, "looks like this; * matches anything", like),
    test("matches", Shape::Matching(PATTERN), "matches this regular expression", matches),
    test("in_network", Shape::Each(0, &Shape::Matching(NETWORK)), "is an address in this network, such as 10.0.0.0/8", in_network),
    test("before", DATE, "is a date before this", |item, known, _| Some(Test::Before(date(item, known)?))),
    test("after", DATE, "is a date after this", |item, known, _| Some(Test::After(date(item, known)?))),
    of_now(
        "between_times",
        Shape::Two(&Shape::Matching(TIME)),
        "is at these times of day, such as [\"22:00\", \"06:00\"]",
        |item, known, _| Some(Test::Within(Window { times: Some(read_between(item)?), days: None }, known.zone.clone())),
    ),
    of_now("on_days", Shape::Each(1, &Shape::Any), "is on these days, such as weekdays or [monday, friday]", |item, known, _| {
        Some(Test::Within(Window { times: None, days: Some(read_days(item)?) }, known.zone.clone()))
    }),
    test("count", Shape::Of("line"), "has this many elements: a number, or tests on the number", |item, known, case| {
        Some(Test::Count(tests(item, "", known, case)?))
    }),
    test("exists", Shape::Flag, "exists", |item, _, _| Some(Test::Exists(item.flag()?))),
    test("empty", Shape::Flag, "is missing, null or empty", |item, _, _| Some(Test::Empty(item.flag()?))),
    test("not", Shape::Of("line"), "does not equal this; with a map: none of these tests passes", |item, known, case| {
        Some(Test::Not(tests(item, "", known, case)?))
    }),
];

fn test_names() -> impl Iterator<Item = &'static str> {
    TESTS.iter().map(|test| test.word.name)
}

/// Parses `if:`; after a problem, returns what could be parsed.
pub fn read(item: &Item, known: &Names) -> All {
    let errors = item.errors();
    let all = all(item, known, 0);
    if item.errors() == errors {
        never::look(&all, item);
    }
    all
}

fn all(item: &Item, known: &Names, depth: usize) -> All {
    if depth > MAX_DEPTH {
        item.problem("groups are nested too deeply").label(format!("use at most {MAX_DEPTH} levels")).add();
        return All::default();
    }
    match item.node {
        Node::Map(_) => {}
        Node::List(items) => {
            let draft = item.problem("`if:` is a map of fields, not a list");
            match items.as_slice() {
                [Node::Text(text)] if let Some(ours) = formula::map(text) => {
                    let draft = draft.label("write a field and what it must be, without a dash");
                    draft.change(format!("write {ours}"), item.whole_span(), ours).add();
                }
                [_] => {
                    let draft = draft.label("remove the dash, so that the line is `field: value`");
                    draft.change("remove the dash", item.span_within("- "), "").add();
                }
                _ => {
                    let text = |node: &Node| if let Node::Text(text) = node { Some(format!("({text})")) } else { None };
                    let all: Option<Vec<String>> = items.iter().map(text).collect();
                    let ours = all.and_then(|all| formula::map(&all.join(" && ")));
                    let draft = draft
                        .label("write lines that must all be true without dashes: `field: value`")
                        .note("if only one of them has to be true, put them under `any:`, each with a dash");
                    match ours {
                        Some(ours) => draft.change(format!("write {ours}"), item.whole_span(), ours).add(),
                        None => draft.add(),
                    }
                }
            }
            return All::default();
        }
        Node::Text(text) => {
            let draft = item.problem("a condition cannot be text").label("write a field and what it must be");
            let draft = formula::map(text).iter().fold(draft, |draft, ours| draft.write(ours));
            draft.note("each line is a field and what it must be: `body.total: { over: 100 }`").add();
            return All::default();
        }
        Node::Braces => {
            let draft = item.problem("a condition cannot be text");
            let draft = draft.label("write a field and what it must be, without braces: `body.total: { over: 100 }`");
            item.raw().and_then(formula::map).iter().fold(draft, |draft, ours| draft.write(ours)).add();
            return All::default();
        }
        Node::Bool(_) => {
            let draft = item.problem("a condition is a map of fields and what they must be");
            draft.label("remove this line: without `if:` it always runs; a rule is switched off with `enabled: false`").add();
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
            let items = group_items(&value);
            let groups: Vec<All> = items.unwrap_or_default().iter().map(|i| all(i, known, depth + 1)).collect();
            make(groups)
        };
        match key.as_str() {
            "any" => parts.push(group(ConditionPart::Any)),
            "all" => parts.push(group(ConditionPart::Every)),
            "none" => parts.push(group(ConditionPart::None)),
            _ if group_meant(key.as_str()).is_some() => {
                let ours = group_meant(key.as_str()).unwrap_or("any");
                let draft = value.problem(format!("there is no group called `{key}`")).at_key();
                let draft = match (value.node, value.raw()) {
                    (Node::Map(_), Some(raw)) => {
                        draft.change(format!("write {ours}: [{raw}]"), value.entry_span(), format!("{ours}: [{raw}]"))
                    }
                    (Node::Map(_), None) => match (value.each_line(|line| format!("- {line}")), value.key_span()) {
                        (Some((lines, text)), Some(name)) => {
                            let between = crate::text::span::between(&value.source().text, name.end, lines.start);
                            let says = format!("write {ours}, and a dash before each line below it");
                            draft.change(says, Some(name.start..lines.end), format!("{ours}{between}{text}"))
                        }
                        _ => draft,
                    },
                    _ => draft,
                };
                draft.meant(ours).label("write a group, and below it each condition with a dash").note("groups: any, all, none").add();
            }
            _ if key.contains("{{") => {
                let bare = key.replace("{{", "").replace("}}", "");
                value
                    .problem("a field on the left side is written without braces")
                    .at_key()
                    .label("write the field alone: `body.total`")
                    .write(bare.trim())
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

/// Our group for another tool's word.
fn group_meant(key: &str) -> Option<&'static str> {
    match key.to_lowercase().replace(['_', '-', ' '], "").as_str() {
        "or" | "anyof" | "oneof" | "either" | "some" => Some("any"),
        "and" | "allof" | "every" | "both" => Some("all"),
        "not" | "noneof" | "nor" | "neither" | "unless" => Some("none"),
        _ => None,
    }
}

/// The conditions of a group.
fn group_items<'i>(value: &Item<'i>) -> Option<Vec<Item<'i>>> {
    match value.node {
        Node::List(items) if items.is_empty() => {
            value
                .problem("this group is empty, so it decides nothing")
                .at_key()
                .label("write a condition below it, with a dash, or remove it")
                .add();
            None
        }
        Node::Map(_) => {
            let draft = value.problem("a group is a list of conditions, each with a dash").label("put a dash before each line: `- `");
            let dashes = value.each_line(|line| format!("- {line}"));
            match value.raw() {
                Some(raw) => draft.write(&format!("[{raw}]")).add(),
                None => draft
                    .change(
                        "put a dash before each line",
                        dashes.as_ref().map(|(span, _)| span.clone()),
                        dashes.map_or(String::new(), |d| d.1),
                    )
                    .add(),
            }
            None
        }
        _ => value.items("a list of conditions, each with a dash,"),
    }
}

fn line(key: &str, item: &Item, known: &Names) -> Option<Line> {
    if let Some(test) = TESTS.iter().find(|test| test.is_of_now && test.word.name == key) {
        let (field, test) = (known.field("now", &at_key(item), None), (test.read)(item, known, &mut false));
        return Some(Line { field: field?, tests: vec![test?], ignore_case: false, path: item.path.clone() });
    }
    if let Some(theirs) = test_names().find(|name| *name == key) {
        item.problem(format!("`{theirs}` is a test and belongs after a field")).at_key().label("write `body.field: { … }`").add();
        return None;
    }
    if left::is_comparison(key, item) {
        return None;
    }
    if matches!(key, "field" | "jsonpath" | "json_path" | "property" | "variable" | "left" | "key")
        && let Node::Text(text) = item.node
        && (Field::read(text).is_ok() && text.contains('.'))
    {
        let draft = item.problem(format!("the field itself comes before the colon, not the word `{key}`")).at_key();
        draft.label("write the field, a colon and what it must be: `body.status: paid`").add();
        return None;
    }
    if matches!(key, "then" | "else" | "set" | "on_error" | "when" | "once_per" | "tests" | "enabled") {
        item.problem(format!("`{key}:` is not a part of the condition")).at_key().one_level_out().label("align it with `if:`").add();
        return None;
    }
    if let Node::Map(inner) = item.node
        && let Some((name, _)) =
            inner.iter().find(|(name, _)| test_names().all(|test| test != name) && name != "ignore_case" && is_field_name(name))
        && (ROOTS.contains(&key) || inner.iter().all(|(name, value)| is_field_name(name) && matches!(value, Node::Map(_))))
        && nearest(name, test_names()).is_none()
    {
        let draft =
            item.problem("fields cannot be nested").at_key().label("write the whole field on one line, with dots between the names");
        let start = item.key_span().map(|span| span.start);
        let draft = match (item.each_line(|line| format!("{key}.{line}")), start) {
            // On lines of their own: each gets the name, and they move to where it was.
            (Some((lines, text)), Some(start)) => {
                let depth = crate::yaml::layout::indent(item.source().line(item.line().unwrap_or(1).saturating_sub(1)));
                let all: Vec<&str> = text.lines().map(str::trim_start).collect();
                draft.change(format!("write {}", all[0]), Some(start..lines.end), all.join(&format!("\n{}", " ".repeat(depth))))
            }
            _ => match (inner.as_slice(), item.only_value_raw()) {
                ([(name, _)], Some(raw)) => {
                    let ours = format!("{key}.{name}: {raw}");
                    draft.change(format!("write {ours}"), item.entry_span(), ours)
                }
                _ => draft,
            },
        };
        draft.add();
        return None;
    }
    let before = known.uses.borrow().fields.len();
    if let Some(counted) = meant::length_of(key) {
        let draft = item
            .warning(format!("a list has no `{}` in Doorbell; the test `count` counts its elements", key.rsplit('.').next().unwrap_or("")))
            .at_key();
        let raw = item.raw().unwrap_or("1");
        let ours = format!("{counted}: {{ count: {raw} }}");
        draft.change(format!("write {ours}"), item.entry_span(), ours).label("write { count: … } after the list").add();
    }
    let field = match meant::length_of(key) {
        Some(_) => Field::read(key).ok(),
        None => known.field(key, &at_key(item), None),
    };
    let mut ignore_case = false;
    match key {
        "ip" => doubt::ip(item, known),
        _ => doubt::value(item, key, "", known),
    }
    let tests = tests(item, key, known, &mut ignore_case)?;
    let field = field?;
    known.uses.borrow_mut().compared(&field, &tests, ignore_case, &item.path, before);
    Some(Line { field, tests, ignore_case, path: item.path.clone() })
}

fn is_field_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_') && !TEST_WORDS.iter().any(|(theirs, _)| *theirs == name)
}

/// The same item, with problems pointing at its key.
fn at_key<'a>(item: &Item<'a>) -> Item<'a> {
    let mut place = item.clone();
    if let Some(crate::yaml::locate::PathStep::Value(n)) = place.path.pop() {
        place.path.push(crate::yaml::locate::PathStep::Key(n));
    }
    place
}

/// Parses what follows a field, or `not:` and `count:`, where `field` is empty.
fn tests(item: &Item, field: &str, known: &Names, ignore_case: &mut bool) -> Option<Vec<Test>> {
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
    if entries.is_empty() && *item.node != Node::Map(Vec::new()) {
        // Its keys have no values, which was reported.
        return None;
    }
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
        match one(key, value, field, known, ignore_case) {
            Some(test) => out.push(test),
            None => good = false,
        }
    }
    if out.is_empty() && good {
        item.problem("`ignore_case` needs a test next to it").label("write for example { is: abc, ignore_case: true }").add();
        return None;
    }
    good.then_some(out)
}

fn one(key: &str, item: &Item, field: &str, known: &Names, ignore_case: &mut bool) -> Option<Test> {
    if let Some(test) = TESTS.iter().find(|test| test.word.name == key) {
        match key {
            // The address of the caller has been looked at.
            "is" | "not" if field != "ip" => doubt::value(item, "", key, known),
            "contains" | "starts_with" | "ends_with" => doubt::part(item, key),
            "count" if !doubt::counted(item) => return None,
            _ => {}
        }
        if let ("over" | "at_least" | "under" | "at_most", Node::Number(number)) = (key, item.node) {
            doubt::grouped(item, number);
        }
        return (test.read)(item, known, ignore_case);
    }
    let draft = item.problem(format!("there is no test called `{key}`")).at_key();
    let ours = TEST_WORDS.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(key)).map(|(_, ours)| *ours);
    let is_network = field == "ip" && matches!(key, "in" | "within" | "network" | "subnet" | "cidr");
    let ours = if is_network { Some("in_network") } else { ours };
    let draft = match ours.or_else(|| nearest(key, test_names().chain(["ignore_case"]))) {
        Some(near) => draft.meant(near),
        None => draft,
    };
    let draft = draft.label(if key.contains('.') { "start a new line with each field" } else { "choose one of the tests below" });
    draft.note(format!("tests: {}, ignore_case", test_names().collect::<Vec<_>>().join(", "))).add();
    None
}

fn between(item: &Item, known: &Names, _: &mut bool) -> Option<Test> {
    if let Node::Text(text) = item.node {
        let draft = item.problem("`between` takes a list of two numbers").label("write for example [10, 20]");
        let pair = [" and ", " to ", "...", "..", "-", ","].iter().find_map(|sign| text.split_once(sign));
        match pair {
            Some((a, b)) => draft.write(&format!("[{}, {}]", a.trim(), b.trim())).add(),
            None => draft.add(),
        }
        return None;
    }
    let pair = item.items("a list of two numbers, [from, to],")?;
    let [a, b] = pair.as_slice() else {
        item.problem("`between` takes two numbers").label("write for example [10, 20]").add();
        return None;
    };
    let (from, to) = (number(a, known)?, number(b, known)?);
    if let (Operand::Fixed(x), Operand::Fixed(y)) = (&from, &to)
        && crate::expr::comparison::compare(x, y) == Some(std::cmp::Ordering::Greater)
    {
        item.problem(format!("no number is between {x} and {y}, so this can never be true"))
            .label("write the smaller number first")
            .write(&format!("[{y}, {x}]"))
            .add();
        return None;
    }
    Some(Test::Between(from, to))
}

fn like(item: &Item, _: &Names, ignore_case: &mut bool) -> Option<Test> {
    let pattern = item.text()?;
    doubt::like(item, &pattern);
    let parts: Vec<String> = pattern.split('*').map(regex::escape).collect();
    let regex = compile(item, &format!("(?s)\\A{}\\z", parts.join(".*")), *ignore_case)?;
    Some(Test::Like(pattern, Box::new(regex)))
}

fn matches(item: &Item, _: &Names, ignore_case: &mut bool) -> Option<Test> {
    let pattern = item.text()?;
    let plain = pattern.strip_prefix('/').and_then(|p| p.strip_suffix('/')).filter(|p| !p.is_empty()).map(|p| (p, ""));
    if let Some((bare, flags)) = plain.or_else(|| meant::slashed(&pattern)) {
        let draft = item.problem("slashes around a pattern are syntax from another tool").label("write only what is between them");
        let bare = format!("'{}'", bare.replace('\'', "''"));
        match flags.contains('i') && !*ignore_case {
            true => draft.write(&format!("{bare}, ignore_case: true")).note("the `i` after the slash is `ignore_case: true` here").add(),
            false => draft.write(&bare).add(),
        }
        return None;
    }
    doubt::matches(item, &pattern);
    let regex = compile(item, &pattern, *ignore_case)?;
    Some(Test::Matches(pattern, Box::new(regex)))
}

fn in_network(item: &Item, _: &Names, _: &mut bool) -> Option<Test> {
    let mut networks = Vec::new();
    for one in item.one_or_many() {
        let text = one.text()?;
        let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from));
        match network {
            Some(network) => networks.push(network),
            None => {
                let draft = one.problem(format!("`{text}` is not a network")).label("write for example 10.0.0.0/8 or 192.0.2.7");
                match meant::network(&text) {
                    Some(network) => draft.write(&network).add(),
                    None => draft.add(),
                }
                return None;
            }
        }
    }
    Some(Test::InNetwork(networks))
}
