//! Compiled `if:` conditions: fields, tests of the values found, and groups of tests.
//!
//! There is one rule for comparison (exact numbers, otherwise the same spelling), one for missing values (they pass no
//! test), and one for lists (one passing element is enough). [`read`] lists the tests and parses conditions from a file,
//! and [`trace`] explains their result in plain English.

mod aliases;
mod code_words;
mod doubt;
mod formula;
mod left;
mod meant;
mod never;
mod operand;
pub mod read;
mod sentence;
pub mod trace;

use std::borrow::Cow;
use std::cmp::Ordering;

use ipnet::IpNet;
use regex::Regex;
use serde_json::Value;

use crate::expr::comparison::{compare, same, spelled};
use crate::expr::field::{Field, Found, Values};
use crate::expr::moment::{When, moment, when};
use crate::expr::spell::spell;
use crate::model::budget::Spent;
use crate::schedule::window::Window;
use crate::schedule::zone::Named;
use crate::yaml::locate::Path;

/// A condition: all of these lines and groups must be true.
#[derive(Debug, Clone, Default)]
pub struct All(pub Vec<ConditionPart>);

/// A line or a group.
#[derive(Debug, Clone)]
pub enum ConditionPart {
    Line(Line),
    /// At least one of them.
    Any(Vec<All>),
    /// All of them.
    Every(Vec<All>),
    /// None of them.
    None(Vec<All>),
}

/// A field and the tests that it must pass.
#[derive(Debug, Clone)]
pub struct Line {
    pub field: Field,
    pub tests: Vec<Test>,
    pub ignore_case: bool,
    /// Where it is in its file.
    pub path: Path,
}

/// What a test compares with: a literal value, or one `{{ field }}`.
#[derive(Debug, Clone)]
pub enum Operand {
    Fixed(Value),
    Field(Field),
}

/// One test.
#[derive(Debug, Clone)]
pub enum Test {
    Is(Vec<Operand>),
    Over(Operand),
    AtLeast(Operand),
    Under(Operand),
    AtMost(Operand),
    Between(Operand, Operand),
    Contains(Operand),
    StartsWith(Operand),
    EndsWith(Operand),
    Like(String, Box<Regex>),
    Matches(String, Box<Regex>),
    InNetwork(Vec<IpNet>),
    /// At times of day, or on days, of a time zone.
    Within(Window, Named),
    Before(Operand),
    After(Operand),
    Count(Vec<Test>),
    Exists(bool),
    Empty(bool),
    Not(Vec<Test>),
}

/// Why something did not pass, if "it was …" would not explain it.
pub(crate) type Why = Option<String>;

impl All {
    /// Whether the condition is true; an error if evaluating it exceeds the budget.
    pub fn holds(&self, names: &dyn Values) -> Result<bool, Spent> {
        let holds = self.every(names);
        names.budget().spent().map_or(Ok(holds), Err)
    }

    /// The same, without checking whether the budget was exceeded.
    fn every(&self, names: &dyn Values) -> bool {
        self.0.iter().all(|part| part.holds(names))
    }

    /// Every field that it may use.
    pub fn fields(&self) -> Vec<&Field> {
        self.lines().into_iter().flat_map(Line::fields).collect()
    }

    /// Every line at any depth, but for those of which none must be true.
    pub fn wanted(&self) -> Vec<&Line> {
        self.0
            .iter()
            .flat_map(|part| match part {
                ConditionPart::Line(line) => vec![line],
                ConditionPart::Any(groups) | ConditionPart::Every(groups) => groups.iter().flat_map(All::wanted).collect(),
                ConditionPart::None(_) => Vec::new(),
            })
            .collect()
    }

    /// Every line at any depth.
    pub fn lines(&self) -> Vec<&Line> {
        self.0
            .iter()
            .flat_map(|part| match part {
                ConditionPart::Line(line) => vec![line],
                ConditionPart::Any(groups) | ConditionPart::Every(groups) | ConditionPart::None(groups) => {
                    groups.iter().flat_map(All::lines).collect()
                }
            })
            .collect()
    }
}

/// Whether a condition is true, as far as a dry run can know.
#[derive(Debug, Clone, PartialEq)]
pub enum Truth {
    Yes,
    No,
    /// It depends on the answer of the step with this number, which is not known.
    Depends(String),
}

impl Truth {
    /// True if all are; false, whatever the unknown ones are, if one is false.
    fn all(parts: impl Iterator<Item = Truth>) -> Self {
        let mut all = Truth::Yes;
        for part in parts {
            match part {
                Truth::No => return Truth::No,
                Truth::Depends(_) if all == Truth::Yes => all = part,
                _ => {}
            }
        }
        all
    }

    fn not(self) -> Self {
        match self {
            Truth::Yes => Truth::No,
            Truth::No => Truth::Yes,
            depends => depends,
        }
    }
}

impl All {
    /// Like `holds`, for a dry run in which some answers are not known.
    pub fn truth(&self, names: &dyn Values) -> Result<Truth, Spent> {
        let truth = self.every_truth(names);
        names.budget().spent().map_or(Ok(truth), Err)
    }

    fn every_truth(&self, names: &dyn Values) -> Truth {
        Truth::all(self.0.iter().map(|part| part.truth(names)))
    }
}

impl ConditionPart {
    fn truth(&self, names: &dyn Values) -> Truth {
        let none = |groups: &[All]| Truth::all(groups.iter().map(|group| group.every_truth(names).not()));
        match self {
            ConditionPart::Line(line) => {
                names.take_unknown();
                let holds = line.holds(names);
                match names.take_unknown() {
                    Some(step) => Truth::Depends(step),
                    None if holds => Truth::Yes,
                    None => Truth::No,
                }
            }
            ConditionPart::Any(groups) => none(groups).not(),
            ConditionPart::Every(groups) => Truth::all(groups.iter().map(|group| group.every_truth(names))),
            ConditionPart::None(groups) => none(groups),
        }
    }

    fn holds(&self, names: &dyn Values) -> bool {
        match self {
            ConditionPart::Line(line) => line.holds(names),
            ConditionPart::Any(groups) => groups.iter().any(|g| g.every(names)),
            ConditionPart::Every(groups) => groups.iter().all(|g| g.every(names)),
            ConditionPart::None(groups) => !groups.iter().any(|g| g.every(names)),
        }
    }
}

impl All {
    /// Whether it means times of a day.
    pub fn needs_zone(&self) -> bool {
        fn is_within(test: &Test) -> bool {
            match test {
                Test::Within(..) => true,
                Test::Not(tests) => tests.iter().any(is_within),
                _ => false,
            }
        }
        self.lines().into_iter().any(|line| line.tests.iter().any(is_within))
    }
}

impl Line {
    /// Every field that it uses.
    pub fn fields(&self) -> Vec<&Field> {
        fn operands(test: &Test) -> Vec<&Operand> {
            match test {
                Test::Is(all) => all.iter().collect(),
                Test::Between(a, b) => vec![a, b],
                Test::Over(o) | Test::AtLeast(o) | Test::Under(o) | Test::AtMost(o) | Test::Contains(o) | Test::StartsWith(o) => vec![o],
                Test::EndsWith(o) | Test::Before(o) | Test::After(o) => vec![o],
                Test::Count(tests) | Test::Not(tests) => tests.iter().flat_map(operands).collect(),
                Test::Like(..) | Test::Matches(..) | Test::InNetwork(_) | Test::Within(..) | Test::Exists(_) | Test::Empty(_) => Vec::new(),
            }
        }
        fn named(operand: &Operand) -> Option<&Field> {
            match operand {
                Operand::Field(field) => Some(field),
                Operand::Fixed(_) => None,
            }
        }
        self.tests.iter().flat_map(operands).filter_map(named).chain([&self.field]).collect()
    }

    fn holds(&self, names: &dyn Values) -> bool {
        match self.field.find(names) {
            Ok(found) => self.tests.iter().all(|t| t.passes(&found, names, self.ignore_case)),
            Err(_) => false,
        }
    }
}

impl Test {
    /// Whether the values found pass.
    pub(crate) fn passes(&self, found: &Found, names: &dyn Values, ignore_case: bool) -> bool {
        match self {
            Test::Exists(wanted) => *wanted == exists(found),
            Test::Empty(wanted) => match found {
                Found::Missing => *wanted,
                _ => *wanted == is_empty(found),
            },
            _ if matches!(found, Found::Missing) => false,
            Test::Count(tests) => {
                let n = Value::from(how_many(found));
                let n = Found::One(Cow::Borrowed(&n));
                tests.iter().all(|t| t.passes(&n, names, ignore_case))
            }
            Test::Not(tests) => !tests.iter().all(|t| t.passes(found, names, ignore_case)),
            _ => match found {
                Found::Missing => false,
                Found::One(value) => match value.as_ref() {
                    Value::Array(list) => list.iter().any(|v| self.one(v, names, ignore_case)),
                    one => self.one(one, names, ignore_case),
                },
                Found::Many(all) => all.iter().any(|v| self.one(v, names, ignore_case)),
            },
        }
    }

    /// Whether one value passes.
    fn one(&self, value: &Value, names: &dyn Values, ignore_case: bool) -> bool {
        let length = value.as_str().map_or(0, str::len);
        // A pattern may spend more time on each character than a comparison does.
        let steps = if matches!(self, Test::Like(..) | Test::Matches(..)) { length } else { length / 32 };
        if names.budget().steps(1 + steps).is_err() {
            return false;
        }
        let text = |operand: &Operand, test: fn(&str, &str) -> bool| {
            let (Some(found), Some(wanted)) = (spelled(value), operand.get(names)) else { return false };
            let Some(wanted) = spelled(&wanted) else { return false };
            match ignore_case {
                true => test(&found.to_lowercase(), &wanted.to_lowercase()),
                false => test(&found, &wanted),
            }
        };
        let order = |operand: &Operand, orders: &[Ordering]| {
            operand.get(names).and_then(|wanted| compare(value, &wanted)).is_some_and(|o| orders.contains(&o))
        };
        let date = |operand: &Operand, order: Ordering| {
            let wanted = operand.get(names).and_then(|w| spell(&w).and_then(|w| moment(&w)));
            let found = spell(value).and_then(|t| moment(&t));
            matches!((found, wanted), (Some(f), Some(w)) if f.cmp(&w) == order)
        };
        match self {
            Test::Is(wanted) => wanted.iter().any(|w| w.get(names).is_some_and(|w| same(&w, value, ignore_case))),
            Test::Over(n) => order(n, &[Ordering::Greater]),
            Test::AtLeast(n) => order(n, &[Ordering::Greater, Ordering::Equal]),
            Test::Under(n) => order(n, &[Ordering::Less]),
            Test::AtMost(n) => order(n, &[Ordering::Less, Ordering::Equal]),
            Test::Between(a, b) => order(a, &[Ordering::Greater, Ordering::Equal]) && order(b, &[Ordering::Less, Ordering::Equal]),
            Test::Contains(t) => text(t, |found, wanted| found.contains(wanted)),
            Test::StartsWith(t) => text(t, |found, wanted| found.starts_with(wanted)),
            Test::EndsWith(t) => text(t, |found, wanted| found.ends_with(wanted)),
            Test::Like(_, regex) | Test::Matches(_, regex) => spelled(value).is_some_and(|t| regex.is_match(&t)),
            Test::InNetwork(networks) => {
                let address = value.as_str().and_then(|t| t.trim().parse::<std::net::IpAddr>().ok());
                address.is_some_and(|a| networks.iter().any(|n| n.contains(&a.to_canonical())))
            }
            Test::Within(window, zone) => match spell(value).and_then(|text| when(&text)) {
                Some(When::Instant(at)) => window.includes(&at.to_zoned(zone.zone.clone())),
                // A day has no time.
                Some(When::Day(day)) => window.times.is_none() && window.includes_day(day),
                None => false,
            },
            Test::Before(t) => date(t, Ordering::Less),
            Test::After(t) => date(t, Ordering::Greater),
            Test::Count(_) | Test::Exists(_) | Test::Empty(_) | Test::Not(_) => {
                self.passes(&Found::One(Cow::Borrowed(value)), names, ignore_case)
            }
        }
    }
}

impl Operand {
    /// The value to compare with; `None` if its field is missing.
    fn get<'a>(&'a self, names: &'a dyn Values) -> Option<Cow<'a, Value>> {
        match self {
            Operand::Fixed(value) => Some(Cow::Borrowed(value)),
            Operand::Field(field) => {
                let value = match field.find(names).ok()? {
                    Found::One(value) => value,
                    found => Cow::Owned(found.into_value(names.budget()).ok()??),
                };
                let steps = match value.as_ref() {
                    Value::Array(list) => list.len(),
                    one => one.as_str().map_or(0, str::len) / 32,
                };
                names.budget().steps(steps).ok()?;
                Some(value)
            }
        }
    }
}

fn exists(found: &Found) -> bool {
    match found {
        Found::Missing => false,
        Found::One(_) => true,
        Found::Many(all) => !all.is_empty(),
    }
}

fn is_empty(found: &Found) -> bool {
    match found {
        Found::Missing => true,
        Found::Many(all) => all.is_empty(),
        Found::One(value) => match value.as_ref() {
            Value::Null => true,
            Value::String(s) => s.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        },
    }
}

fn how_many(found: &Found) -> usize {
    match found {
        Found::Missing => 0,
        Found::Many(all) => all.len(),
        Found::One(value) => match value.as_ref() {
            Value::Null => 0,
            Value::Array(list) => list.len(),
            _ => 1,
        },
    }
}
