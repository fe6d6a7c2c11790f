//! Finds the rules that could match an event, without evaluating all of them.
//!
//! Addresses without placeholders are found by hash. Of the rules at an address, those whose `if:` compares one field
//! with literal values are found by the event's value of that field; only the others are examined one by one. This only
//! narrows the rules down to candidates: the condition of each candidate is still evaluated.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::Rule;
use super::address::Address;
use crate::expr::comparison::spelled;
use crate::expr::condition::{ConditionPart, Operand, Test};
use crate::expr::field::{Field, Found, Root};
use crate::expr::number;
use crate::expr::scope::Scope;
use crate::model::budget::Allowance;
use crate::model::event::Event;
use crate::model::origin::Origin;
use crate::route;
use crate::secret::Vault;

/// Rules and addresses, by what they match.
#[derive(Default)]
pub struct Index {
    /// Addresses without placeholders.
    literal: HashMap<String, usize>,
    /// Addresses with placeholders, one by one.
    patterns: Vec<(crate::route::Route, usize)>,
    /// Rules by their names.
    names: HashMap<Arc<str>, usize>,
    /// Rules that failures start.
    on_failure: Vec<usize>,
    rules_at: HashMap<String, Group>,
    rules_by_pattern: Vec<(crate::route::Route, Group)>,
}

/// The rules at one address.
#[derive(Default)]
struct Group {
    /// Rules that compare a field with literal values: by field, then by value.
    asking: Vec<(Field, ByValue)>,
    /// All others.
    rest: Vec<usize>,
}

/// Finds a value by its text, and a number also by its numeric value. Equal values have at least one of the two in common.
#[derive(Default)]
struct ByValue {
    letters: HashMap<String, Vec<usize>>,
    numbers: HashMap<String, Vec<usize>>,
}

impl ByValue {
    fn add(&mut self, value: &Value, rule: usize) {
        if let Some(letters) = spelled(value) {
            self.letters.entry(letters.into_owned()).or_default().push(rule);
        }
        if let Some(number) = canonical(value) {
            self.numbers.entry(number).or_default().push(rule);
        }
    }

    fn all(&self, out: &mut Vec<usize>) {
        out.extend(self.letters.values().chain(self.numbers.values()).flatten());
    }

    fn look(&self, value: &Value, out: &mut Vec<usize>) {
        if let Some(letters) = spelled(value) {
            out.extend(self.letters.get(letters.as_ref()).into_iter().flatten());
        }
        if !self.numbers.is_empty()
            && let Some(number) = canonical(value)
        {
            out.extend(self.numbers.get(&number).into_iter().flatten());
        }
    }
}

fn canonical(value: &Value) -> Option<String> {
    if let Value::Number(n) = value { number::canonical(&n.to_string()) } else { None }
}

impl Index {
    pub fn new(rules: &[Arc<Rule>], addresses: &[Address]) -> Self {
        let mut index = Self::default();
        for (n, address) in addresses.iter().enumerate() {
            match address.route.literal() {
                Some(path) => {
                    index.literal.insert(path, n);
                }
                None => index.patterns.push((address.route.clone(), n)),
            }
        }
        index.names = rules.iter().map(|rule| rule.name.clone()).zip(0..).collect();
        index.on_failure = (0..).zip(rules).filter(|(_, rule)| rule.enabled && rule.failed.is_some()).map(|(n, _)| n).collect();
        let mut by_pattern: HashMap<String, usize> = HashMap::new();
        for (n, rule) in rules.iter().enumerate().filter(|(_, r)| r.enabled) {
            for when in &rule.when {
                let group = match when.route.literal() {
                    Some(path) => index.rules_at.entry(path).or_default(),
                    None => {
                        let at = *by_pattern.entry(when.route.text().to_owned()).or_insert_with(|| {
                            index.rules_by_pattern.push((when.route.clone(), Group::default()));
                            index.rules_by_pattern.len() - 1
                        });
                        &mut index.rules_by_pattern[at].1
                    }
                };
                group.add(n, rule);
            }
        }
        index
    }

    /// The address for a normalized path.
    pub fn address(&self, path: &str) -> Option<usize> {
        self.literal.get(path).copied().or_else(|| self.patterns.iter().find(|(r, _)| r.fit(path).is_some()).map(|(_, n)| *n))
    }

    /// The rules that may start when others fail.
    pub fn on_failure(&self) -> &[usize] {
        &self.on_failure
    }

    /// A rule by its name.
    pub fn named(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// The rules that may match an event, in the order of the files.
    pub fn candidates(&self, event: &Event) -> Vec<usize> {
        match event.origin() {
            Origin::Request => {}
            Origin::Moment(rule) | Origin::Silence(rule) => return self.named(rule).into_iter().collect(),
            Origin::Failure(_) => return self.on_failure.clone(),
        }
        let path = route::normal(&event.address);
        let mut out = Vec::new();
        if let Some(group) = self.rules_at.get(path) {
            group.candidates(event, &mut out);
        }
        for (route, group) in &self.rules_by_pattern {
            if route.fit(path).is_some() {
                group.candidates(event, &mut out);
            }
        }
        out.sort_unstable();
        out.dedup();
        out
    }
}

impl Group {
    fn add(&mut self, n: usize, rule: &Rule) {
        let Some((field, values)) = asked(rule) else {
            self.rest.push(n);
            return;
        };
        let at = self.asking.iter().position(|(f, _)| f == field).unwrap_or_else(|| {
            self.asking.push((field.clone(), ByValue::default()));
            self.asking.len() - 1
        });
        values.into_iter().for_each(|value| self.asking[at].1.add(value, n));
    }

    fn candidates(&self, event: &Event, out: &mut Vec<usize>) {
        out.extend(&self.rest);
        if self.asking.is_empty() {
            return;
        }
        // The fields used here need neither `set:` nor secrets.
        let (vault, saved) = (Vault::default(), Map::new());
        for (field, by_value) in &self.asking {
            let scope = Scope::new(event, &vault, Value::Null, &[], &saved).within(Allowance::Small);
            match field.find(&scope) {
                Ok(Found::One(value)) => match value.as_ref() {
                    Value::Array(list) => list.iter().for_each(|v| by_value.look(v, out)),
                    one => by_value.look(one, out),
                },
                Ok(Found::Many(all)) => all.iter().for_each(|v| by_value.look(v, out)),
                Ok(Found::Missing) => {}
                // Looking up the value exceeds the budget, so all these rules are candidates.
                Err(_) => by_value.all(out),
            }
        }
    }
}

/// The first line that compares a field of the event with literal values, and these values.
fn asked(rule: &Rule) -> Option<(&Field, Vec<&Value>)> {
    // Its `else:` runs for every other value.
    if rule.graph.otherwise.is_some() {
        return None;
    }
    rule.condition.0.iter().find_map(|part| {
        let ConditionPart::Line(line) = part else { return None };
        if line.ignore_case || !matches!(line.field.root, Root::Body | Root::Header(Some(_)) | Root::Query | Root::Method) {
            return None;
        }
        let wanted = line.tests.iter().find_map(|t| if let Test::Is(wanted) = t { Some(wanted) } else { None })?;
        let values = wanted.iter().map(|o| if let Operand::Fixed(value) = o { Some(value) } else { None });
        Some((&line.field, values.collect::<Option<_>>()?))
    })
}
