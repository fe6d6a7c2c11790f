//! Compiles one rule of a file to a [`Rule`], or reports every problem in it.

use std::sync::Arc;

use super::address::read_methods;
use super::aliases::RULE_WORDS;
use super::items::{MAX_STEPS, items};
use super::set::read_set;
use super::step;
use super::steps::{self, Lists};
use super::{ANSWER_WITHIN, Rule, When, run_policy, test, wait};
use crate::expr::condition::read as condition;
use crate::expr::field_use::FieldUses;
use crate::expr::names::{Names, Resolver};
use crate::model::retry::Plan;
use crate::model::run::TextHash;
use crate::route::Route;
use crate::yaml::Node;
use crate::yaml::fields::{Fields, Item};
use crate::yaml::source::Source;

/// Where a rule comes from.
pub struct Origin {
    pub source: Arc<Source>,
    pub text: TextHash,
}

/// Reads one rule; problems have been reported. Also returns which fields have to be checked with its addresses.
pub fn read(name: &str, item: &Item, lookup: &Resolver, origin: &Origin) -> Option<(Rule, FieldUses)> {
    let errors = item.errors();
    if name.trim().is_empty() {
        item.problem("a rule needs a name").at_key().label("write it before the colon: `New orders:`").add();
    }
    let mut fields = item.fields("a rule")?;
    let mut known = Names::new(lookup);
    if let Some(description) = fields.may("description") {
        description.text();
    }
    let enabled = fields.may("enabled").map_or(Some(true), |i| i.flag());
    known.disabled = enabled == Some(false);
    let when = read_when(&mut fields);
    known.placeholders = when.iter().flat_map(|w| w.route.placeholders().map(str::to_owned)).collect();
    let then = fields.must_unless("then", &RULE_WORDS).and_then(|i| items(&i)).unwrap_or_default();
    let otherwise = fields.may("else").and_then(|i| items(&i)).unwrap_or_default();
    known.later = step::saved_names(&then);
    known.later.extend(step::saved_names(&otherwise));
    let set = fields.may("set").map(|i| read_set(&i, &mut known)).unwrap_or_default();
    let condition = fields.may("if").map(|i| condition::read(&i, &known)).unwrap_or_default();
    if let (true, Some(otherwise)) = (condition.0.is_empty(), otherwise.first()) {
        otherwise.problem("without an `if:`, these steps never run").label("add an `if:` to the rule, or remove `else:`").add();
    }
    let once_per = fields.may("once_per").and_then(|i| run_policy::read_once_per(&i, &known));
    let one_at_a_time = fields.may("one_at_a_time").and_then(|i| run_policy::read_one_at_a_time(&i, &known));
    let answer_within = fields.may("answer_within");
    let within = answer_within.as_ref().and_then(run_policy::read_answer_within);
    let plan = if one_at_a_time.is_some() { Plan { tries: 6, ..Plan::default() } } else { Plan::default() };
    let before = known.named.clone();
    let lists = Lists {
        then: steps::read(&then, &mut known, &plan),
        otherwise: {
            known.elsewhere = known.named.iter().filter(|n| !before.contains(n)).cloned().collect();
            let saved = std::mem::replace(&mut known.named, before);
            let read = steps::read(&otherwise, &mut known, &plan);
            known.elsewhere.clear();
            known.named = saved;
            read
        },
        on_error: fields.may("on_error").map(|i| steps::read_on_error(&i, &mut known)).unwrap_or_default(),
    };
    let (steps, graph) = steps::flatten(lists);
    if steps.len() > MAX_STEPS {
        item.problem(format!("a rule can have at most {} steps", MAX_STEPS)).at_key().label("split it into two rules").add();
    }
    let tests = fields.may("tests").map(|i| test::read(&i)).unwrap_or_default();
    fields.done(&RULE_WORDS, &[]);
    let rule = Rule {
        name: name.into(),
        enabled: enabled.unwrap_or(true),
        when,
        set,
        condition,
        once_per,
        one_at_a_time,
        answer_within: within.unwrap_or(ANSWER_WITHIN),
        steps,
        graph,
        tests,
        source: origin.source.clone(),
        text: origin.text.clone(),
        path: item.path.clone(),
    };
    if let Some(item) = answer_within.filter(|_| !rule.responds()) {
        item.problem("`answer_within:` has no effect, because the rule has no `respond:` step")
            .at_key()
            .label("add a `respond:` step, or remove this line")
            .add();
    }
    wait::look(&rule, item);
    (item.errors() == errors).then(|| (rule, known.uses.take()))
}

fn read_when(fields: &mut Fields) -> Vec<When> {
    let Some(item) = fields.must_unless("when", &RULE_WORDS) else { return Vec::new() };
    if let Node::Text(text) = item.node {
        let draft = item.problem("`when:` must say which webhook starts the rule");
        match text.starts_with('/') {
            true => draft.label(format!("write when: {{ webhook: {} }}", quoted(text))).add(),
            false => draft.label("write when: { webhook: /path }").add(),
        }
        return Vec::new();
    }
    let mut out = Vec::new();
    for one in item.one_or_many() {
        let Some(mut when) = one.fields("`when:`") else { continue };
        let schedule = ["every", "at", "cron", "called", "days", "timezone"].iter().any(|k| when.has(k));
        let address = if schedule { when.may("webhook") } else { when.must("webhook") };
        let methods = when.may("method").map(|i| read_methods(&i));
        if let Some(address) = address
            && let Some(text) = address.text()
        {
            match Route::read(&text) {
                Ok(route) => out.push(When { route, methods: methods.filter(|m| !m.is_empty()) }),
                Err((message, label)) => address.problem(message).label(label).add(),
            }
        }
        when.done(
            &[("path", "did you mean `webhook`?"), ("url", "did you mean `webhook`?"), ("address", "did you mean `webhook`?")],
            &["every", "at", "cron", "called", "days", "timezone"],
        );
    }
    out
}

fn quoted(path: &str) -> String {
    if path.contains(['{', '}', ',']) { format!("\"{path}\"") } else { path.to_owned() }
}
