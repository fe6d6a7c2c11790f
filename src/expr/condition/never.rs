//! Conditions that can never be true, or are true for everything: found when rules are loaded, because a rule that never
//! runs looks like a rule whose webhook never came.
//!
//! Values are tried with the product's own tests: if a field must be one of a few values, each of them is given to every
//! other test of the same field. A list in the request may pass tests that no single value passes, so all of this is a
//! warning, and fields that are meant to give several values are left alone.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::{All, ConditionPart, Line, Operand, Test};
use crate::expr::comparison::compare;
use crate::expr::field::{Found, Root, Values};
use crate::expr::moment::moment;
use crate::expr::spell::spell;
use crate::model::budget::Budget;
use crate::yaml::fields::Item;

/// How many lines, and how many values of one line, are looked at.
const MOST: usize = 200;

/// Reports what can never be true in a condition, and what always is.
pub(super) fn look(all: &All, item: &Item) {
    let mut facts = Vec::new();
    gather(all, true, &mut facts);
    facts.truncate(MOST);
    for line in lines(all) {
        alone(line, item);
    }
    if contradicts(&facts, item) {
        return;
    }
    branches(all, &facts, item);
}

/// A line that must hold, or that must not.
#[derive(Clone, Copy)]
struct Fact<'c> {
    line: &'c Line,
    holds: bool,
}

/// The lines that must hold together.
fn gather<'c>(all: &'c All, holds: bool, out: &mut Vec<Fact<'c>>) {
    for part in &all.0 {
        match part {
            ConditionPart::Line(line) => out.push(Fact { line, holds }),
            ConditionPart::Every(groups) if holds => groups.iter().for_each(|g| gather(g, true, out)),
            ConditionPart::Any(groups) if holds && groups.len() == 1 => groups.iter().for_each(|g| gather(g, true, out)),
            // `none:` of one line is the opposite of that line.
            ConditionPart::None(groups) if holds => groups.iter().filter(|g| g.0.len() == 1).for_each(|g| gather(g, false, out)),
            _ => {}
        }
    }
}

fn lines(all: &All) -> Vec<&Line> {
    all.lines().into_iter().take(MOST).collect()
}

/// Whether some lines cannot hold together; reported.
fn contradicts(facts: &[Fact], item: &Item) -> bool {
    for (n, fact) in facts.iter().enumerate() {
        let same: Vec<Fact> = facts.iter().filter(|f| f.line.field == fact.line.field).copied().collect();
        // Each field once.
        if facts[..n].iter().any(|f| f.line.field == fact.line.field) || gives_several(fact.line) {
            continue;
        }
        let Some(last) = same.last() else { continue };
        if let Some(why) = impossible(&same) {
            let place = item.at(&last.line.path);
            let message = format!("this can never be true: {why}");
            // The tests of one line are next to each other, and nobody means them for a list.
            let draft = if same.len() == 1 { place.problem(message) } else { place.warning(message) };
            draft.at_key().label("remove one of the tests, or put them under `any:` if one of them is enough").add();
            return true;
        }
    }
    false
}

/// Branches of `any:` that cannot hold with the lines around them, and branches of which one always holds.
fn branches(all: &All, around: &[Fact], item: &Item) {
    for part in &all.0 {
        let ConditionPart::Any(groups) = part else { continue };
        let opposites: Vec<(&Line, &Value)> = groups.iter().filter_map(only_not).collect();
        if let [(first, a), (second, b), ..] = opposites.as_slice()
            && first.field == second.field
            && a != b
            && opposites.len() == groups.len()
        {
            let draft = item
                .at(&second.path)
                .warning(format!("under `any:` this is true for every {}: it is always different from one of them", first.field.text()));
            draft.at_key().label("write one line with a list: { not: [one, two] }").add();
        }
        for group in groups.iter().take(MOST) {
            let mut facts = around.to_vec();
            gather(group, true, &mut facts);
            if facts.len() <= MOST && facts.len() > around.len() && contradicts(&facts, item) {
                return;
            }
        }
    }
}

/// The line and value of a branch that is only `field: { not: value }`.
fn only_not(group: &All) -> Option<(&Line, &Value)> {
    let [ConditionPart::Line(line)] = group.0.as_slice() else { return None };
    let [Test::Not(tests)] = line.tests.as_slice() else { return None };
    match tests.as_slice() {
        [Test::Is(values)] => match values.as_slice() {
            [Operand::Fixed(value)] if !gives_several(line) => Some((line, value)),
            _ => None,
        },
        _ => None,
    }
}

/// A line that says something by itself.
fn alone(line: &Line, item: &Item) {
    let place = || item.at(&line.path);
    if let Root::Secret(_) | Root::Env(_) = line.field.root
        && line.tests.iter().all(|t| !matches!(t, Test::Exists(_) | Test::Empty(_)))
        && line.tests.iter().all(is_fixed)
    {
        let draft = place().warning(format!("{} is the same for every event, so this is always true or never", line.field.text())).at_key();
        draft.label("compare something from the request, such as header.X-Token, or use `verify:`").add();
    }
    if let [Test::Not(tests)] = line.tests.as_slice()
        && let [Test::Exists(wanted)] = tests.as_slice()
    {
        let draft = place().problem("this can never be true: a field that is missing does not pass `not:` either");
        draft.label("use `exists` alone").write(&format!("{{ exists: {} }}", !wanted)).add();
    }
    for test in &line.tests {
        if let Test::Count(tests) = test {
            let all: Vec<(&Test, &Line)> = tests.iter().map(|t| (t, line)).collect();
            if let Some(why) = numbers(&all) {
                place().problem(format!("this can never be true: {why}")).at_key().label("remove one of the tests").add();
            }
            let nothing = Nothing(Budget::default());
            let none = Value::from(0);
            let passes = |t: &Test| !is_fixed(t) || t.passes(&Found::One(Cow::Borrowed(&none)), &nothing, false);
            if line.tests.iter().any(|t| matches!(t, Test::Empty(true))) && !tests.iter().all(passes) {
                place().problem("this can never be true: what is empty has no elements").at_key().label("remove one of the tests").add();
            }
            let at_least_none =
                |t: &Test| matches!(t, Test::AtLeast(Operand::Fixed(v)) if compare(v, &Value::from(0)) != Some(Ordering::Greater));
            let below_none = |t: &Test| match t {
                Test::Under(Operand::Fixed(v)) => compare(v, &Value::from(0)) != Some(Ordering::Greater),
                Test::AtMost(Operand::Fixed(v)) => compare(v, &Value::from(0)) == Some(Ordering::Less),
                _ => false,
            };
            if tests.iter().any(below_none) {
                place()
                    .warning("this can never be true: there are never fewer than none")
                    .at_key()
                    .label("to match an empty list write { empty: true }")
                    .add();
            } else if tests.iter().any(at_least_none) {
                place()
                    .warning("this is always true: there are always at least none")
                    .at_key()
                    .label("write for example { count: { at_least: 1 } }")
                    .add();
            }
        }
    }
}

/// Whether a field is meant to give several values, which pass tests one by one.
fn gives_several(line: &Line) -> bool {
    let text = line.field.text();
    text.contains('*') || text.contains("..") || text.contains('?') || text.contains(':')
}

/// Whether the last name is in the plural, so that it is probably a list.
fn is_plural(line: &Line) -> bool {
    let last = line.field.text().rsplit(['.', '\'']).find(|part| part.chars().any(char::is_alphanumeric)).unwrap_or("");
    last.ends_with('s') && !last.ends_with("ss") && !last.ends_with("us") && !last.ends_with("is")
}

fn is_fixed(test: &Test) -> bool {
    match test {
        Test::Is(all) => all.iter().all(|o| fixed(o).is_some()),
        Test::Between(a, b) => fixed(a).is_some() && fixed(b).is_some(),
        Test::Over(o) | Test::AtLeast(o) | Test::Under(o) | Test::AtMost(o) | Test::Contains(o) | Test::StartsWith(o) => fixed(o).is_some(),
        Test::EndsWith(o) | Test::Before(o) | Test::After(o) => fixed(o).is_some(),
        Test::Count(tests) | Test::Not(tests) => tests.iter().all(is_fixed),
        Test::Like(..) | Test::Matches(..) | Test::InNetwork(_) | Test::Within(..) | Test::Exists(_) | Test::Empty(_) => true,
    }
}

fn fixed(operand: &Operand) -> Option<&Value> {
    match operand {
        Operand::Fixed(value) => Some(value),
        Operand::Field(_) => None,
    }
}

/// Why these lines about one field cannot hold together.
fn impossible(facts: &[Fact]) -> Option<String> {
    let tests: Vec<(&Test, &Line)> = facts.iter().filter(|f| f.holds).flat_map(|f| f.line.tests.iter().map(|t| (t, f.line))).collect();
    if tests.is_empty() || facts.len() == 1 && tests.len() == 1 && !matches!(tests[0].0, Test::Between(..)) {
        return None;
    }
    if let Some(why) = missing(&tests) {
        return Some(why);
    }
    candidates(facts, &tests).or_else(|| numbers(&tests)).or_else(|| dates(&tests)).or_else(|| ends(&tests))
}

/// `exists: false` next to a test, which a missing field does not pass; `empty: true` next to one that needs a value.
fn missing(tests: &[(&Test, &Line)]) -> Option<String> {
    let has = |f: fn(&Test) -> bool| tests.iter().any(|(t, _)| f(t));
    let needs_value = |t: &Test| !matches!(t, Test::Exists(false) | Test::Empty(_) | Test::Not(_));
    if has(|t| matches!(t, Test::Exists(false))) && (has(needs_value) || has(|t| matches!(t, Test::Not(_)))) {
        return Some("a field that is missing passes no other test".to_owned());
    }
    let needs_content = |t: &Test| {
        matches!(
            t,
            Test::Over(_)
                | Test::AtLeast(_)
                | Test::Under(_)
                | Test::AtMost(_)
                | Test::Contains(_)
                | Test::StartsWith(_)
                | Test::EndsWith(_)
                | Test::Before(_)
                | Test::After(_)
        )
    };
    if has(|t| matches!(t, Test::Empty(true))) && (has(needs_content) || has(|t| matches!(t, Test::Empty(false)))) {
        return Some("what is empty passes no other test".to_owned());
    }
    None
}

/// Gives each value that the field may have to all tests.
fn candidates(facts: &[Fact], tests: &[(&Test, &Line)]) -> Option<String> {
    let (values, from) = tests.iter().find_map(|(test, line)| match test {
        Test::Is(values) if values.len() <= MOST => Some((values, *line)),
        _ => None,
    })?;
    let values: Vec<&Value> = values.iter().map(fixed).collect::<Option<_>>()?;
    // A list can contain both values of two lines.
    let only_is = |f: &&Fact| f.holds && !std::ptr::eq(f.line, from) && f.line.tests.iter().all(|t| matches!(t, Test::Is(_)));
    if is_plural(from) && facts.iter().any(|f| only_is(&f)) {
        return None;
    }
    let nothing = Nothing(Budget::default());
    let passes = |value: &Value, test: &Test, line: &Line| {
        !is_fixed(test) || test.passes(&Found::One(Cow::Borrowed(value)), &nothing, line.ignore_case || from.ignore_case)
    };
    let fits = |value: &&Value| {
        tests.iter().all(|(test, line)| passes(value, test, line))
            && facts
                .iter()
                .filter(|f| !f.holds)
                .all(|f| !f.line.tests.iter().all(is_fixed) || !f.line.tests.iter().all(|t| passes(value, t, f.line)))
    };
    if values.iter().any(fits) {
        return None;
    }
    let shown: Vec<String> = values.iter().take(3).filter_map(|v| spell(v).map(|v| v.into_owned())).collect();
    let word = if values.len() > 1 { "none of its values passes" } else { "does not pass" };
    Some(if values.len() > 1 { format!("{word} the other test") } else { format!("{} {word} the other test", shown.join(", ")) })
}

/// Two limits with no number between them.
fn numbers(tests: &[(&Test, &Line)]) -> Option<String> {
    let mut least: Option<(&Value, bool)> = None;
    let mut most: Option<(&Value, bool)> = None;
    for (test, _) in tests {
        let (low, high) = match test {
            Test::Over(o) => (fixed(o).map(|v| (v, true)), None),
            Test::AtLeast(o) => (fixed(o).map(|v| (v, false)), None),
            Test::Under(o) => (None, fixed(o).map(|v| (v, true))),
            Test::AtMost(o) => (None, fixed(o).map(|v| (v, false))),
            Test::Between(a, b) => (fixed(a).map(|v| (v, false)), fixed(b).map(|v| (v, false))),
            _ => (None, None),
        };
        least = stricter(least, low, Ordering::Greater);
        most = stricter(most, high, Ordering::Less);
    }
    let ((a, over), (b, under)) = (least?, most?);
    match compare(a, b)? {
        Ordering::Greater => Some(format!("no number is at least {} and at most {}", spell(a)?, spell(b)?)),
        Ordering::Equal if over || under => Some(format!("no number is over {} and under {}", spell(a)?, spell(b)?)),
        _ => None,
    }
}

/// The stricter of two limits.
fn stricter<'v>(one: Option<(&'v Value, bool)>, other: Option<(&'v Value, bool)>, order: Ordering) -> Option<(&'v Value, bool)> {
    match (one, other) {
        (Some(a), Some(b)) => match compare(b.0, a.0) {
            Some(found) if found == order || found == Ordering::Equal && b.1 => Some(b),
            _ => Some(a),
        },
        (one, other) => one.or(other),
    }
}

/// `before` a date that is not later than the one in `after`.
fn dates(tests: &[(&Test, &Line)]) -> Option<String> {
    let at = |o: &Operand| fixed(o).and_then(spell).and_then(|t| moment(&t));
    let after = tests.iter().filter_map(|(t, _)| if let Test::After(o) = t { at(o) } else { None }).max()?;
    let before = tests.iter().filter_map(|(t, _)| if let Test::Before(o) = t { at(o) } else { None }).min()?;
    (before <= after).then(|| "no date is before the first and after the second".to_owned())
}

/// Two beginnings or two ends that exclude each other.
fn ends(tests: &[(&Test, &Line)]) -> Option<String> {
    let text = |o: &Operand, line: &Line| {
        let text = fixed(o).and_then(spell)?.into_owned();
        Some(if line.ignore_case { text.to_lowercase() } else { text })
    };
    let starts: Vec<String> = tests.iter().filter_map(|(t, l)| if let Test::StartsWith(o) = t { text(o, l) } else { None }).collect();
    let ends: Vec<String> = tests.iter().filter_map(|(t, l)| if let Test::EndsWith(o) = t { text(o, l) } else { None }).collect();
    if let [a, b] = starts.as_slice()
        && !a.starts_with(b.as_str())
        && !b.starts_with(a.as_str())
    {
        return Some(format!("no text starts with both `{a}` and `{b}`"));
    }
    if let [a, b] = ends.as_slice()
        && !a.ends_with(b.as_str())
        && !b.ends_with(a.as_str())
    {
        return Some(format!("no text ends with both `{a}` and `{b}`"));
    }
    None
}

/// An event without any value: fixed tests need none.
struct Nothing(Budget);

impl Values for Nothing {
    fn budget(&self) -> &Budget {
        &self.0
    }
    fn root(&self, _: &Root) -> Result<Option<Cow<'_, Value>>, String> {
        Ok(None)
    }
}
