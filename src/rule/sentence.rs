//! A rule read aloud: *When* a webhook arrives at /orders, *if* body.total is over 100, *then* add a row to orders.xlsx. The
//! words are the same wherever they are shown. Values are as they are written in the file, so there are no secrets in them.

use serde::Serialize;

use super::Rule;
use super::failed::FailedRules;
use super::silent::Silence;
use super::step::{DO, Step};
use crate::action::verbs;
use crate::model::step_graph::OnError;
use crate::secret::Vault;
use crate::text::phrase::joined;
use crate::text::printable::short;

/// The most characters of a value that are part of a sentence.
const MOST_VALUE: usize = 120;

/// What a rule says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sentence {
    pub rule: String,
    pub enabled: bool,
    /// `a webhook arrives at /orders`
    pub when: String,
    /// `body.total is over 100`; empty if every webhook starts it.
    #[serde(rename = "if")]
    pub condition: String,
    /// `add a row to orders.xlsx`
    pub then: Vec<String>,
    #[serde(rename = "else")]
    pub otherwise: Vec<String>,
    pub on_error: Vec<String>,
}

impl Sentence {
    pub fn of(rule: &Rule, vault: &Vault) -> Self {
        let one = |when: &super::when::When| {
            let methods = when.methods.as_ref().map(|all| format!(" with {}", all.join(" or "))).unwrap_or_default();
            format!("{}{methods}", when.route.text())
        };
        let addresses: Vec<String> = rule.when.iter().map(one).collect();
        let (steps, graph) = (rule.steps.len() as u32, &rule.graph);
        let on_error = graph.on_error.unwrap_or(steps);
        let otherwise = graph.otherwise.unwrap_or(on_error);
        Self {
            rule: rule.name.to_string(),
            enabled: rule.enabled,
            when: when(addresses, rule),
            condition: rule.condition.sentence(vault),
            then: list(rule, vault, 0, otherwise),
            otherwise: list(rule, vault, otherwise, on_error),
            on_error: list(rule, vault, on_error, steps),
        }
    }

    /// The whole sentence in one paragraph.
    pub fn text(&self) -> String {
        let condition = if self.condition.is_empty() { String::new() } else { format!(", if {}", self.condition) };
        let mut out = format!("When {}{condition}, then {}.", self.when, joined(&self.then));
        for (before, steps) in [("Otherwise", &self.otherwise), ("If a step fails,", &self.on_error)] {
            if !steps.is_empty() {
                out += &format!(" {before} {}.", joined(steps));
            }
        }
        out
    }
}

/// `a webhook arrives at /orders`, `it is time, every 15 minutes`
fn when(addresses: Vec<String>, rule: &Rule) -> String {
    let webhooks = (!addresses.is_empty()).then(|| format!("a webhook arrives at {}", addresses.join(" or ")));
    webhooks.into_iter().chain(by_itself(rule)).collect::<Vec<_>>().join(" or ")
}

/// What starts a rule without a request: `it is time, every 15 minutes`.
pub fn by_itself(rule: &Rule) -> Vec<String> {
    let times = rule.timetable.as_ref().map(|timetable| format!("it is time, {}", timetable.said()));
    let failures = rule.failed.as_ref().map(FailedRules::said);
    let silence = rule.silence.as_ref().map(Silence::said);
    let called = rule.is_callable.then(|| "another rule calls it".to_owned());
    times.into_iter().chain(failures).chain(silence).chain(called).collect()
}

/// The steps between two numbers, without those that are inside of others.
fn list(rule: &Rule, vault: &Vault, from: u32, to: u32) -> Vec<String> {
    let is_top = |n: &u32| rule.graph.node(*n).is_some_and(|node| node.within.is_none() && node.handles.is_none());
    (from..to).filter(is_top).filter_map(|n| said(rule, vault, n)).collect()
}

/// What a step does, with when it does that.
pub fn said(rule: &Rule, vault: &Vault, number: u32) -> Option<String> {
    let step = rule.steps.get(number as usize)?;
    let nodes = || (0..).zip(&rule.graph.nodes);
    let mut out = match step.verb {
        DO => {
            joined(&nodes().filter(|(_, node)| node.within == Some(number)).filter_map(|(n, _)| said(rule, vault, n)).collect::<Vec<_>>())
        }
        _ => spoken(step),
    };
    if let Some(each) = &step.for_each {
        out = format!("for each of {}: {out}", each.field.text());
    }
    let condition = step.condition.sentence(vault);
    out = match (condition.is_empty(), step.verb) {
        (true, _) => out,
        (false, DO) => format!("if {condition}: {out}"),
        (false, _) => format!("{out}, if {condition}"),
    };
    let handled = handlers(rule, vault, number);
    if !handled.is_empty() {
        out += &format!(" (if that fails, {handled})");
    }
    Some(out)
}

/// What happens if a step fails, if it says so itself.
pub fn handlers(rule: &Rule, vault: &Vault, number: u32) -> String {
    match rule.graph.node(number).map(|node| node.on_error) {
        Some(OnError::Continue) => "continue".to_owned(),
        Some(OnError::Steps(_)) => {
            let all = (0..).zip(&rule.graph.nodes).filter(|(_, node)| node.handles == Some(number));
            joined(&all.filter_map(|(n, _)| said(rule, vault, n)).collect::<Vec<_>>())
        }
        _ => String::new(),
    }
}

/// `add a row to orders.xlsx`
fn spoken(step: &Step) -> String {
    let value = short(&step.value, MOST_VALUE);
    match verbs().find(|(verb, _)| *verb == step.verb) {
        // What it says is the author's own text.
        Some((verb, kind)) if kind.is_quiet() && step.waits().is_none() => format!("{} \"{value}\"", kind.phrase(verb)),
        Some((verb, kind)) => format!("{} {value}", kind.phrase(verb)),
        None => format!("{} {value}", step.verb),
    }
}
