//! Compiles one rule of a file to a [`Rule`], or reports every problem in it.

use std::sync::Arc;

use super::aliases::RULE_WORDS;
use super::items::{MAX_STEPS, items};
use super::set::read_set;
use super::step;
use super::steps::{self, Lists};
use super::{ANSWER_WITHIN, Rule, by_itself, run_policy, test, wait, when};
use crate::expr::condition::read as condition;
use crate::expr::field_use::FieldUses;
use crate::expr::names::{Names, Resolver, StartedBy};
use crate::model::retry::Plan;
use crate::model::run::TextHash;
use crate::schedule::zone::Named;
use crate::yaml::Node;
use crate::yaml::fields::{Fields, Item};
use crate::yaml::place::scalar;
use crate::yaml::source::Source;

/// Where a rule comes from.
pub struct Origin {
    pub source: Arc<Source>,
    pub text: TextHash,
    /// The time zone of the file's rules, unless they name their own.
    pub zone: Named,
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
    whole_lines(&mut fields);
    let starts = when::read(&mut fields, &origin.zone);
    let when = starts.webhooks;
    known.zone = starts.zone;
    known.started_by = match starts.is_callable {
        false => StartedBy::Others,
        true if when.is_empty() && starts.timetable.is_none() && starts.failed.is_empty() && starts.silence.is_none() => {
            StartedBy::OnlyRules
        }
        true => StartedBy::RulesToo,
    };
    known.placeholders = when.iter().flat_map(|w| w.route.placeholders().map(str::to_owned)).collect();
    let then = fields.must("then").and_then(|i| items(&i)).unwrap_or_default();
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
    fields.done(&RULE_WORDS);
    let rule = Rule {
        name: name.into(),
        enabled: enabled.unwrap_or(true),
        when,
        timetable: starts.timetable,
        silence: starts.silence,
        is_callable: starts.is_callable,
        failed: Some(starts.failed).filter(|failed| !failed.is_empty()),
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
    by_itself::look(&rule, item);
    // A step may wait until a time of day.
    if let Some(zone) = starts.idle_zone.filter(|_| !rule.needs_zone()) {
        when::no_effect(&zone, "timezone");
    }
    (item.errors() == errors).then(|| (rule, known.uses.take()))
}

/// Keys of other tools that stand for a whole line of ours: `webhook: /orders`, `disabled: true`.
fn whole_lines(fields: &mut Fields) {
    for key in ["webhook", "path", "url"] {
        if fields.has(key) && !fields.has("when") {
            let item = fields.key(key);
            let value = match item.node {
                Node::Text(text) if text.starts_with('/') => scalar(text),
                _ => continue,
            };
            let ours = format!("when: {{ webhook: {value} }}");
            let draft = item.problem(format!("`{key}` is not a valid key in a rule")).label("write `when: { webhook: /path }`");
            let span = fields.take(key).and_then(|value| value.entry_span());
            draft.change(format!("write {ours}"), span, ours).add();
            fields.expected("when");
            return;
        }
    }
    if fields.has("disabled") && !fields.has("enabled") {
        let item = fields.key("disabled");
        let enabled = matches!(item.node, Node::Bool(false));
        let ours = format!("enabled: {enabled}");
        let draft = item.problem("`disabled` is not a valid key in a rule").label("write `enabled: false`");
        let span = fields.take("disabled").and_then(|value| value.entry_span());
        draft.change(format!("write {ours}"), span, ours).add();
    }
}
