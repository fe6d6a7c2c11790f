//! Searches: the parts of RFC 9535 other than names, indexes and `[*]`, evaluated on the model that `jsonpath-rust` parses.
//!
//! The library could search as well, but cannot be stopped: `$..a..b` or a filter that counts takes as long as the body
//! causes it to. Here every value that is visited is charged to the budget. A property test compares the two.

use std::borrow::Cow;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::HashMap;

use jsonpath_rust::parser::model::{
    Comparable, Comparison, Filter, FilterAtom, FnArg, JpQuery, Literal, Segment, Selector, SingularQuery, SingularQuerySegment, Test,
    TestFunction,
};
use regex::Regex;
use serde_json::Value;

use super::part::index;
use crate::expr::number;
use crate::model::budget::{Budget, Spent};

/// The maximum number of values that one field may find.
pub(super) const MOST_FOUND: usize = 10_000;

type Nodes<'a> = Vec<&'a Value>;

/// The cost of a value in a list of results.
const NODE: usize = size_of::<&Value>();

/// Everything that a query finds, starting at a value, in order, up to [`MOST_FOUND`]. In its filters, `$` is the root.
pub(super) fn search<'a>(query: &JpQuery, start: &'a Value, root: &'a Value, budget: &Budget) -> Result<Nodes<'a>, Spent> {
    let search = Search { root, budget, patterns: RefCell::default() };
    let mut found = search.segments(&query.segments, vec![start])?;
    found.truncate(MOST_FOUND);
    Ok(found)
}

struct Search<'a, 'b> {
    root: &'a Value,
    budget: &'b Budget,
    /// Patterns, compiled once per search; `None` for an invalid one.
    patterns: RefCell<HashMap<String, Option<Regex>>>,
}

/// The result of a function or of one side of a comparison.
enum Given<'a> {
    Nothing,
    Value(Cow<'a, Value>),
    Nodes(Nodes<'a>),
    Holds(bool),
}

impl<'a> Search<'a, '_> {
    fn segments(&self, segments: &[Segment], from: Nodes<'a>) -> Result<Nodes<'a>, Spent> {
        segments.iter().try_fold(from, |nodes, segment| self.segment(segment, nodes))
    }

    fn segment(&self, segment: &Segment, nodes: Nodes<'a>) -> Result<Nodes<'a>, Spent> {
        match segment {
            Segment::Descendant(inner) => {
                let mut all = Vec::new();
                nodes.iter().try_for_each(|node| self.descend(node, &mut all))?;
                self.segment(inner, all)
            }
            Segment::Selector(selector) => {
                let mut out = Vec::new();
                nodes.iter().try_for_each(|node| self.select(selector, node, &mut out))?;
                Ok(out)
            }
            Segment::Selectors(all) => {
                let mut out = Vec::new();
                // One value after the other (RFC 9535, 2.5.1.2).
                for node in &nodes {
                    all.iter().try_for_each(|selector| self.select(selector, node, &mut out))?;
                }
                Ok(out)
            }
        }
    }

    /// A list or object, and all lists and objects inside it.
    fn descend(&self, node: &'a Value, out: &mut Nodes<'a>) -> Result<(), Spent> {
        self.budget.steps(1)?;
        let inside: &mut dyn Iterator<Item = &'a Value> = match node {
            Value::Array(list) => &mut list.iter(),
            Value::Object(map) => &mut map.values(),
            _ => return Ok(()),
        };
        self.put(node, out)?;
        for one in inside {
            self.descend(one, out)?;
        }
        Ok(())
    }

    fn put(&self, node: &'a Value, out: &mut Nodes<'a>) -> Result<(), Spent> {
        self.budget.made(NODE)?;
        out.push(node);
        Ok(())
    }

    fn select(&self, selector: &Selector, node: &'a Value, out: &mut Nodes<'a>) -> Result<(), Spent> {
        self.budget.steps(1)?;
        match selector {
            Selector::Name(name) => node.get(name.as_str()).map_or(Ok(()), |v| self.put(v, out)),
            Selector::Index(i) => index(node, *i).map_or(Ok(()), |v| self.put(v, out)),
            Selector::Wildcard => self.each(node, |v| Ok(Some(v)), out),
            Selector::Filter(filter) => self.each(node, |v| Ok(self.passes(filter, v)?.then_some(v)), out),
            Selector::Slice(start, end, step) => {
                let Value::Array(list) = node else { return Ok(()) };
                slice(list.len(), *start, *end, step.unwrap_or(1)).try_for_each(|n| {
                    self.budget.steps(1)?;
                    list.get(n).map_or(Ok(()), |v| self.put(v, out))
                })
            }
        }
    }

    /// Visits the members of a list or an object.
    fn each(
        &self,
        node: &'a Value,
        pick: impl Fn(&'a Value) -> Result<Option<&'a Value>, Spent>,
        out: &mut Nodes<'a>,
    ) -> Result<(), Spent> {
        let inside: &mut dyn Iterator<Item = &'a Value> = match node {
            Value::Array(list) => &mut list.iter(),
            Value::Object(map) => &mut map.values(),
            _ => return Ok(()),
        };
        for one in inside {
            self.budget.steps(1)?;
            if let Some(picked) = pick(one)? {
                self.put(picked, out)?;
            }
        }
        Ok(())
    }

    fn passes(&self, filter: &Filter, at: &'a Value) -> Result<bool, Spent> {
        match filter {
            Filter::Or(any) => any.iter().try_fold(false, |passes, f| Ok(passes || self.passes(f, at)?)),
            Filter::And(all) => all.iter().try_fold(true, |passes, f| Ok(passes && self.passes(f, at)?)),
            Filter::Atom(FilterAtom::Filter { expr, not }) => Ok(self.passes(expr, at)? != *not),
            Filter::Atom(FilterAtom::Comparison(comparison)) => self.compare(comparison, at),
            Filter::Atom(FilterAtom::Test { expr, not }) => {
                let holds = match self.test(expr, at)? {
                    Given::Nodes(nodes) => !nodes.is_empty(),
                    Given::Holds(holds) => holds,
                    Given::Nothing | Given::Value(_) => false,
                };
                Ok(holds != *not)
            }
        }
    }

    fn test(&self, test: &Test, at: &'a Value) -> Result<Given<'a>, Spent> {
        match test {
            Test::RelQuery(segments) => self.segments(segments, vec![at]).map(Given::Nodes),
            Test::AbsQuery(query) => self.segments(&query.segments, vec![self.root]).map(Given::Nodes),
            Test::Function(function) => self.function(function, at),
        }
    }

    fn function(&self, function: &TestFunction, at: &'a Value) -> Result<Given<'a>, Spent> {
        let number = |n: usize| Given::Value(Cow::Owned(n.into()));
        Ok(match function {
            TestFunction::Length(arg) => match self.single(arg, at)?.as_deref() {
                Some(Value::String(text)) => {
                    self.budget.steps(1 + text.len() / 32)?;
                    number(text.chars().count())
                }
                Some(Value::Array(list)) => number(list.len()),
                Some(Value::Object(map)) => number(map.len()),
                _ => Given::Nothing,
            },
            TestFunction::Count(arg) => match self.argument(arg, at)? {
                Given::Nodes(nodes) => number(nodes.len()),
                Given::Value(_) | Given::Holds(_) => number(1),
                Given::Nothing => Given::Nothing,
            },
            TestFunction::Value(arg) => self.single(arg, at)?.map_or(Given::Nothing, Given::Value),
            TestFunction::Match(text, pattern) => Given::Holds(self.matches(text, pattern, true, at)?),
            TestFunction::Search(text, pattern) => Given::Holds(self.matches(text, pattern, false, at)?),
            TestFunction::Custom(..) => Given::Nothing,
        })
    }

    fn argument(&self, arg: &FnArg, at: &'a Value) -> Result<Given<'a>, Spent> {
        match arg {
            FnArg::Literal(literal) => Ok(Given::Value(Cow::Owned(value(literal)))),
            FnArg::Test(test) => self.test(test, at),
            FnArg::Filter(filter) => self.passes(filter, at).map(Given::Holds),
        }
    }

    /// An argument that is a single value, or a search that found exactly one.
    fn single(&self, arg: &FnArg, at: &'a Value) -> Result<Option<Cow<'a, Value>>, Spent> {
        Ok(match self.argument(arg, at)? {
            Given::Value(value) => Some(value),
            Given::Nodes(nodes) if nodes.len() == 1 => nodes.into_iter().next().map(Cow::Borrowed),
            _ => None,
        })
    }

    fn matches(&self, text: &FnArg, pattern: &FnArg, whole: bool, at: &'a Value) -> Result<bool, Spent> {
        let (Some(text), Some(pattern)) = (self.single(text, at)?, self.single(pattern, at)?) else { return Ok(false) };
        let (Value::String(text), Value::String(pattern)) = (text.as_ref(), pattern.as_ref()) else { return Ok(false) };
        self.budget.steps(1 + text.len())?;
        let pattern = regex_of(pattern, whole);
        let mut patterns = self.patterns.borrow_mut();
        let regex = patterns.entry(pattern).or_insert_with_key(|pattern| Regex::new(pattern).ok());
        Ok(regex.as_ref().is_some_and(|r| r.is_match(text)))
    }

    fn compare(&self, comparison: &Comparison, at: &'a Value) -> Result<bool, Spent> {
        let (left, right) = comparison.vals();
        let (left, right) = (self.side(left, at)?, self.side(right, at)?);
        let (left, right) = (left.as_deref(), right.as_deref());
        for side in [left, right].into_iter().flatten() {
            self.weigh(side)?;
        }
        Ok(match comparison {
            Comparison::Eq(..) => is_same(left, right),
            Comparison::Ne(..) => !is_same(left, right),
            Comparison::Gt(..) => is_less(right, left),
            Comparison::Gte(..) => is_less(right, left) || is_same(left, right),
            Comparison::Lt(..) => is_less(left, right),
            Comparison::Lte(..) => is_less(left, right) || is_same(left, right),
        })
    }

    /// Charges a value that is compared.
    fn weigh(&self, value: &Value) -> Result<(), Spent> {
        match value {
            Value::String(text) => self.budget.steps(1 + text.len() / 32),
            Value::Array(list) => list.iter().try_for_each(|v| self.weigh(v)),
            Value::Object(map) => map.values().try_for_each(|v| self.weigh(v)),
            Value::Number(n) => self.budget.steps(1 + n.as_str().len() / 32),
            _ => self.budget.steps(1),
        }
    }

    fn side(&self, side: &Comparable, at: &'a Value) -> Result<Option<Cow<'a, Value>>, Spent> {
        match side {
            Comparable::Literal(literal) => Ok(Some(Cow::Owned(value(literal)))),
            Comparable::SingularQuery(SingularQuery::Current(way)) => self.way(way, at),
            Comparable::SingularQuery(SingularQuery::Root(way)) => self.way(way, self.root),
            Comparable::Function(function) => Ok(match self.function(function, at)? {
                Given::Value(value) => Some(value),
                Given::Holds(holds) => Some(Cow::Owned(holds.into())),
                Given::Nothing | Given::Nodes(_) => None,
            }),
        }
    }

    fn way(&self, way: &[SingularQuerySegment], from: &'a Value) -> Result<Option<Cow<'a, Value>>, Spent> {
        self.budget.steps(1 + way.len())?;
        let end = way.iter().try_fold(from, |at, segment| match segment {
            SingularQuerySegment::Name(name) => at.get(name.as_str()),
            SingularQuerySegment::Index(i) => index(at, *i),
        });
        Ok(end.map(Cow::Borrowed))
    }
}

fn value(literal: &Literal) -> Value {
    match literal {
        Literal::Int(n) => (*n).into(),
        Literal::Float(n) => (*n).into(),
        Literal::String(text) => text.as_str().into(),
        Literal::Bool(b) => (*b).into(),
        Literal::Null => Value::Null,
    }
}

/// The indexes that a slice selects from a list (RFC 9535, 2.3.4.2).
fn slice(len: usize, start: Option<i64>, end: Option<i64>, step: i64) -> Box<dyn Iterator<Item = usize>> {
    let len = len as i64;
    let normal = |i: i64| if i >= 0 { i } else { len.saturating_add(i) };
    let size = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX);
    if step > 0 {
        let from = normal(start.unwrap_or(0)).clamp(0, len);
        let to = normal(end.unwrap_or(len)).clamp(0, len);
        return Box::new((from..to).map(|n| n as usize).step_by(size));
    }
    if step == 0 {
        return Box::new(std::iter::empty());
    }
    let from = start.map_or(len - 1, normal).clamp(-1, len - 1);
    let to = end.map_or(-1, normal).clamp(-1, len - 1);
    Box::new((to + 1..from + 1).rev().map(|n| n as usize).step_by(size))
}

fn is_same(left: Option<&Value>, right: Option<&Value>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => is_equal(left, right),
        (left, right) => left.is_none() && right.is_none(),
    }
}

/// Numbers are equal by value, not by spelling, also inside lists and objects.
fn is_equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(_), Value::Number(_)) => order(left, right) == Some(Ordering::Equal),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_equal(a, b)),
        (Value::Object(a), Value::Object(b)) => a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| is_equal(a, b))),
        _ => left == right,
    }
}

fn is_less(left: Option<&Value>, right: Option<&Value>) -> bool {
    let (Some(left), Some(right)) = (left, right) else { return false };
    order(left, right) == Some(Ordering::Less)
}

/// The order of two numbers, exactly, or of two texts.
fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => number::compare(a.as_str(), b.as_str()),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// Converts an I-Regexp (RFC 9485) to the syntax of the regex crate: its dot matches no line break, and `match()` applies to
/// the whole text.
fn regex_of(pattern: &str, whole: bool) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                out.push(c);
                out.extend(chars.next());
                continue;
            }
            '.' if !in_class => {
                out.push_str(r"[^\n\r]");
                continue;
            }
            '[' => in_class = true,
            ']' => in_class = false,
            _ => {}
        }
        out.push(c);
    }
    if whole { format!("^(?:{out})$") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::budget::MOST_STEPS;
    use jsonpath_rust::parser::parse_json_path;
    use jsonpath_rust::query::js_path_process;
    use proptest::prelude::*;
    use serde_json::json;

    /// None of these has several selectors in one bracket: the library orders their results by the selectors, and not by the
    /// values that they select from.
    const QUERIES: [&str; 26] = [
        "$..a",
        "$..*",
        "$..a..b",
        "$..a..*",
        "$[*]..[0]",
        "$..[-1]",
        "$..[1:]",
        "$..[::-1]",
        "$..[-2:9:2]",
        "$..[0:3:0]",
        "$..[?@.a]",
        "$..[?!@.a]",
        "$..[?@.a == 1]",
        "$..[?@.a != $.a]",
        "$..[?@ > 1 && @ < 50]",
        "$..[?@.a == 'x' || @.b == null]",
        "$..[?@..b]",
        "$..[?(@.a || @.b) && !(@.c)]",
        "$..[?length(@.a) > 1]",
        "$..[?count(@.*) >= 2]",
        "$..[?value(@..a) == 1]",
        "$..[?match(@.a, 'a.*')]",
        "$..[?search(@.b, '[b.]')]",
        "$..[?@.a == @.b]",
        "$..[?@.a >= 'b']",
        "$.a[?count($..a) > 2]",
    ];

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..100u32).prop_map(Value::from),
            "[a-c.\r]{0,3}".prop_map(Value::from)
        ];
        leaf.prop_recursive(5, 32, 5, |inner| {
            let list = prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from);
            let map = prop::collection::vec(("[a-c]", inner), 0..5).prop_map(|m| Value::Object(m.into_iter().collect()));
            prop_oneof![list, map]
        })
    }

    proptest! {
        #[test]
        fn the_search_finds_what_the_library_finds(body in json(), n in 0..QUERIES.len()) {
            let query = parse_json_path(QUERIES[n]).unwrap();
            let theirs: Vec<&Value> = js_path_process(&query, &body).unwrap_or_default().into_iter().map(|r| r.val()).collect();
            prop_assert_eq!(search(&query, &body, &body, &Budget::default()), Ok(theirs), "{} in {}", QUERIES[n], body);
        }
    }

    fn found(query: &str, body: &Value) -> Vec<Value> {
        let query = parse_json_path(query).unwrap();
        search(&query, body, body, &Budget::default()).unwrap().into_iter().cloned().collect()
    }

    #[test]
    fn several_selectors_are_applied_to_one_value_after_the_other() {
        let body = json!({"a": 1, "b": {"b": 2, "a": 3}, "c": [4, {"a": 5}]});
        assert_eq!(found("$..['a','b']", &body), [json!(1), json!({"b": 2, "a": 3}), json!(3), json!(2), json!(5)]);
        assert_eq!(found("$.*['a', 0]", &body), [json!(3), json!(4)]);
    }

    #[test]
    fn numbers_are_compared_by_value_and_exactly() {
        let body: Value = serde_json::from_str("[9007199254740993, 1e-20, 2e-20, 1.0, [1.00], {\"a\": [1]}, 9007199254740992]").unwrap();
        for (query, count) in [
            ("$[?@ == $[6]]", 1),
            ("$[?@ > 9007199254740991]", 2),
            ("$[?@ == 1e-20]", 1),
            ("$[?@ == 1]", 1),
            ("$[?@[0] == 1]", 1),
            ("$[?@.a == $[4]]", 1),
        ] {
            assert_eq!(found(query, &body).len(), count, "{query}");
        }
    }

    #[test]
    fn queries_that_multiply_are_stopped_by_the_budget() {
        let deep = |n: usize| (0..n).fold(json!(1), |inner, _| json!({"a": inner}));
        let body = json!({"r": vec![deep(100); 300], "l": vec![1; 40_000]});
        for query in ["$..*..*..*", "$..a..a..a", "$.l[?count($.l[*]) > 5]", "$..[?@..[?@.x == $.l]]"] {
            let budget = Budget::default();
            let query_read = parse_json_path(query).unwrap();
            assert!(search(&query_read, &body, &body, &budget).is_err(), "{query}");
            assert!(budget.spent().is_some());
        }
        // One pass over a body of 100,000 values is not a problem.
        let budget = Budget::default();
        assert_eq!(search(&parse_json_path("$..x").unwrap(), &body, &body, &budget), Ok(Vec::new()));
        assert!(budget.steps(MOST_STEPS * 9 / 10).is_ok());
    }
}
