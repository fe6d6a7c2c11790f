//! Checks of rules that call each other, when all files are read: the rules that are named, circles, and how deep it goes.

use std::collections::{BTreeMap, HashSet};

use super::Rule;
use super::step::Step;
use crate::action::contract::CalledRule;
use crate::model::called::MOST_NESTED;
use crate::text::nearest::nearest;
use crate::yaml::fields::Item;
use crate::yaml::place::scalar;

/// The most rules of a circle that a message names.
const MOST_NAMED: usize = 12;

/// Reports calls of rules that do not exist or cannot be called, of rules that call each other in a circle, and of too many rules
/// inside each other. `names` are those of all rules, also of ones that could not be read.
pub fn look<'r>(rules: impl Iterator<Item = (&'r Rule, &'r Item<'r>)> + Clone, names: &HashSet<&str>) {
    let known: BTreeMap<&str, (&Rule, &Item)> = rules.clone().map(|(rule, item)| (&*rule.name, (rule, item))).collect();
    for (rule, item) in rules.clone() {
        for called in calls(rule) {
            look_at_name(rule, item, called, &known, names);
        }
    }
    let mut paths = Paths { known: &known, seen: HashSet::new(), has_circle: false };
    for (rule, _) in rules.clone() {
        paths.follow(rule, &mut Vec::new());
    }
    if !paths.has_circle {
        look_at_depth(rules, &known);
    }
}

/// The rules that a rule calls, and where.
fn calls(rule: &Rule) -> impl Iterator<Item = CalledRule<'_>> {
    rule.steps.iter().filter_map(Step::rule)
}

fn look_at_name(rule: &Rule, item: &Item, called: CalledRule, known: &BTreeMap<&str, (&Rule, &Item)>, names: &HashSet<&str>) {
    let (name, place) = (called.name, item.at(called.path));
    match known.get(name) {
        // Calling itself is a circle, which is reported as one.
        Some((other, _)) if other.name == rule.name => {}
        Some((other, _)) if !other.is_callable => {
            let draft = place.problem(format!("other rules cannot call `{name}`")).together();
            draft.label(format!("add `{{ called: true }}` to the `when:` of `{name}`")).add();
        }
        Some((other, _)) if !other.enabled && rule.enabled => {
            let draft = place.warning(format!("`{name}` is switched off, so this step fails")).together();
            draft.label("switch that rule on, or remove this step").add();
        }
        Some(_) => {}
        None if names.contains(name) => {}
        None => {
            let draft = place.problem(format!("no rule is called `{name}`")).together().label("write the name of a rule");
            let callable = || known.values().filter(|(rule, _)| rule.is_callable).map(|(rule, _)| &*rule.name);
            let draft = match nearest(name, callable()).or_else(|| nearest(name, names.iter().copied())) {
                Some(near) => draft.write(&scalar(near)),
                None => draft,
            };
            let all: Vec<&str> = callable().take(MOST_NAMED).collect();
            match all.is_empty() {
                true => draft.note("a rule can be called if its `when:` says { called: true }").add(),
                false => draft.note(format!("rules that can be called: {}", all.join(", "))).add(),
            }
        }
    }
}

/// `A → B → A`
fn drawn<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    let more = if names.len() > MOST_NAMED { " → …" } else { "" };
    let shown: Vec<String> = names.take(MOST_NAMED).map(|name| format!("`{name}`")).collect();
    format!("{}{more}", shown.join(" → "))
}

/// Follows calls, to find circles.
struct Paths<'k, 'r> {
    known: &'k BTreeMap<&'r str, (&'r Rule, &'r Item<'r>)>,
    /// The rules from which everything was followed.
    seen: HashSet<&'r str>,
    has_circle: bool,
}

impl<'r> Paths<'_, 'r> {
    fn follow(&mut self, rule: &'r Rule, path: &mut Vec<&'r str>) {
        if self.seen.contains(&*rule.name) {
            return;
        }
        path.push(&rule.name);
        for called in calls(rule) {
            let Some((other, _)) = self.known.get(called.name).copied() else { continue };
            match path.iter().position(|name| *name == &*other.name) {
                Some(first) => self.report(rule, called, path.get(first..).unwrap_or_default()),
                None => self.follow(other, path),
            }
        }
        path.pop();
        self.seen.insert(&rule.name);
    }

    /// Reports a circle where it is closed.
    fn report(&mut self, rule: &'r Rule, called: CalledRule, circle: &[&str]) {
        self.has_circle = true;
        let Some((_, item)) = self.known.get(&*rule.name) else { return };
        let place = item.at(called.path);
        let draft = match circle {
            [_] => place.problem("a rule cannot call itself"),
            several => {
                let drawn = drawn(several.iter().copied().chain([called.name]).collect::<Vec<_>>().into_iter());
                place.problem(format!("these rules call each other in a circle: {drawn}"))
            }
        };
        draft.together().label("remove one of the calls; for each element of a list, use `for_each:`").add();
    }
}

/// Reports the calls with which too many rules would be inside each other. There are no circles.
fn look_at_depth<'r>(rules: impl Iterator<Item = (&'r Rule, &'r Item<'r>)>, known: &BTreeMap<&'r str, (&'r Rule, &'r Item<'r>)>) {
    // The longest way down from each rule, itself included.
    fn longest<'r>(
        rule: &'r Rule,
        known: &BTreeMap<&'r str, (&'r Rule, &'r Item<'r>)>,
        found: &mut BTreeMap<&'r str, Vec<&'r str>>,
    ) -> Vec<&'r str> {
        if let Some(known) = found.get(&*rule.name) {
            return known.clone();
        }
        let below = calls(rule).filter_map(|called| known.get(called.name)).map(|(other, _)| longest(other, known, found));
        let below = below.collect::<Vec<_>>().into_iter().max_by_key(Vec::len).unwrap_or_default();
        let way: Vec<&str> = [&*rule.name].into_iter().chain(below).collect();
        found.insert(&rule.name, way.clone());
        way
    }
    let mut found = BTreeMap::new();
    for (rule, item) in rules {
        let way = longest(rule, known, &mut found);
        // Of a way that is too long, only the shortest part is reported that is.
        if way.len() != MOST_NESTED as usize + 2 {
            continue;
        }
        let Some(called) = calls(rule).find(|called| way.get(1) == Some(&called.name)) else { continue };
        let draft =
            item.at(called.path).problem(format!("rules call each other more than {MOST_NESTED} deep here: {}", drawn(way.into_iter())));
        draft.together().label("let one of them do what the next one does").add();
    }
}
