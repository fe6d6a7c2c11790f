//! Parses a condition map in a rule file into [`All`], and reports every mistake.

use ipnet::IpNet;

use super::aliases::TEST_WORDS;
use super::operand::{compile, date, number, operands, text};
use super::{All, ConditionPart, Line, Operand, Test};
use crate::expr::field::{Field, ROOTS};
use crate::expr::names::Names;
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
}

/// The flag is `ignore_case` of the line.
type Read = fn(&Item, &Names, &mut bool) -> Option<Test>;

const fn test(name: &'static str, shape: Shape, does: &'static str, read: Read) -> TestWord {
    TestWord { word: Word { name, shape, does }, read }
}

/// Every test of `if:`, in the order in which they are shown to people.
pub static TESTS: [TestWord; 18] = [
    test("is", Shape::Any, "equals this; with a list: equals one of these", |item, known, _| Some(Test::Is(operands(item, known)?))),
    test("over", Shape::Text, "is a number greater than this", |item, known, _| Some(Test::Over(number(item, known)?))),
    test("at_least", Shape::Text, "is a number greater than or equal to this", |item, known, _| Some(Test::AtLeast(number(item, known)?))),
    test("under", Shape::Text, "is a number less than this", |item, known, _| Some(Test::Under(number(item, known)?))),
    test("at_most", Shape::Text, "is a number less than or equal to this", |item, known, _| Some(Test::AtMost(number(item, known)?))),
    test("between", Shape::List, "is a number from the first to the second", between),
    test("contains", Shape::Text, "contains this text", |item, known, _| Some(Test::Contains(text(item, known)?))),
    test("starts_with", Shape::Text, "begins with this text", |item, known, _| Some(Test::StartsWith(text(item, known)?))),
    test("ends_with", Shape::Text, "ends with this text", |item, known, _| Some(Test::EndsWith(text(item, known)?))),
    test("like", Shape::Text, "looks like this; * matches anything", like),
    test("matches", Shape::Text, "matches this regular expression", matches),
    test("in_network", Shape::Text, "is an address in this network, such as 10.0.0.0/8", in_network),
    test("before", Shape::Text, "is a date before this", |item, known, _| Some(Test::Before(date(item, known)?))),
    test("after", Shape::Text, "is a date after this", |item, known, _| Some(Test::After(date(item, known)?))),
    test("count", Shape::Any, "has this many elements: a number, or tests on the number", |item, known, case| {
        Some(Test::Count(tests(item, known, case)?))
    }),
    test("exists", Shape::Flag, "exists", |item, _, _| Some(Test::Exists(item.flag()?))),
    test("empty", Shape::Flag, "is missing, null or empty", |item, _, _| Some(Test::Empty(item.flag()?))),
    test("not", Shape::Any, "does not equal this; with a map: none of these tests passes", |item, known, case| {
        Some(Test::Not(tests(item, known, case)?))
    }),
];

fn test_names() -> impl Iterator<Item = &'static str> {
    TESTS.iter().map(|test| test.word.name)
}

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
    if let Some(theirs) = test_names().find(|name| *name == key) {
        item.problem(format!("`{theirs}` is a test and belongs after a field")).at_key().label("write `body.field: { … }`").add();
        return None;
    }
    if let [field, sign, value] = key.split_whitespace().collect::<Vec<_>>().as_slice()
        && let Some((_, ours)) = TEST_WORDS.iter().find(|(theirs, _)| theirs == sign)
        // A search has signs of its own in its brackets.
        && Field::read(key).is_err()
    {
        item.problem("a comparison cannot be written on the left side")
            .at_key()
            .label(format!("write `{field}: {{ {ours}: {value} }}`"))
            .add();
        return None;
    }
    if let Node::Map(inner) = item.node
        && ROOTS.contains(&key)
        && let Some((name, _)) = inner.iter().find(|(name, _)| test_names().all(|test| test != name) && name != "ignore_case")
        && nearest(name, test_names()).is_none()
    {
        item.problem("fields cannot be nested").at_key().label(format!("write it on one line: `{key}.{name}: …`")).add();
        return None;
    }
    let before = known.uses.borrow().fields.len();
    let field = known.field(key, &at_key(item), None);
    let mut ignore_case = false;
    let tests = tests(item, known, &mut ignore_case)?;
    let field = field?;
    known.uses.borrow_mut().compared(&field, &tests, ignore_case, &item.path, before);
    Some(Line { field, tests, ignore_case })
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
        match one(key, value, known, ignore_case) {
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

fn one(key: &str, item: &Item, known: &Names, ignore_case: &mut bool) -> Option<Test> {
    if let Some(test) = TESTS.iter().find(|test| test.word.name == key) {
        return (test.read)(item, known, ignore_case);
    }
    let draft = item.problem(format!("there is no test called `{key}`")).at_key();
    let ours = TEST_WORDS.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(key)).map(|(_, ours)| *ours);
    let draft = match ours.or_else(|| nearest(key, test_names().chain(["ignore_case"]))) {
        Some(near) => draft.label(format!("did you mean `{near}`?")),
        None if key.contains('.') => draft.label("start a new line with each field"),
        None => draft.label("choose one of the tests below"),
    };
    draft.note(format!("tests: {}, ignore_case", test_names().collect::<Vec<_>>().join(", "))).add();
    None
}

fn between(item: &Item, known: &Names, _: &mut bool) -> Option<Test> {
    let pair = item.items("a list of two numbers, [from, to],")?;
    let [a, b] = pair.as_slice() else {
        item.problem("`between` takes two numbers").label("write between: [10, 20]").add();
        return None;
    };
    let (from, to) = (number(a, known)?, number(b, known)?);
    if let (Operand::Fixed(x), Operand::Fixed(y)) = (&from, &to)
        && crate::expr::comparison::compare(x, y) == Some(std::cmp::Ordering::Greater)
    {
        item.problem(format!("no number is between {x} and {y}, so this can never be true")).label(format!("write [{y}, {x}]")).add();
        return None;
    }
    Some(Test::Between(from, to))
}

fn like(item: &Item, _: &Names, ignore_case: &mut bool) -> Option<Test> {
    let pattern = item.text()?;
    let parts: Vec<String> = pattern.split('*').map(regex::escape).collect();
    let regex = compile(item, &format!("(?s)\\A{}\\z", parts.join(".*")), *ignore_case)?;
    Some(Test::Like(pattern, Box::new(regex)))
}

fn matches(item: &Item, _: &Names, ignore_case: &mut bool) -> Option<Test> {
    let pattern = item.text()?;
    let between = pattern.strip_prefix('/').and_then(|p| p.strip_suffix('/'));
    if let Some(bare) = between.filter(|p| !p.is_empty()) {
        item.problem("slashes around a pattern are syntax from another tool").label(format!("write '{bare}'")).add();
        return None;
    }
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
                one.problem(format!("`{text}` is not a network")).label("write for example 10.0.0.0/8 or 192.0.2.7").add();
                return None;
            }
        }
    }
    Some(Test::InNetwork(networks))
}
