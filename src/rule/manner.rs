//! How a rule runs: `once_per`, `one_at_a_time`, `answer_within`, and what they mean for an event.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Rule;
use crate::condition::trace::{Outcome, Told};
use crate::field::{Field, Found, Names};
use crate::known::Known;
use crate::run::Once;
use crate::yaml::Node;
use crate::yaml::fields::Item;

/// How long a `once_per` value is remembered where nothing else is said.
const ONCE_WITHIN: Duration = Duration::from_secs(30 * 86_400);
/// The verbs whose `timeout` a caller may feel.
const CALLS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
/// The longest that a caller may be kept waiting.
const LONGEST_ANSWER: Duration = Duration::from_secs(600);

/// `once_per:`.
#[derive(Debug, Clone)]
pub struct OncePer {
    pub field: Field,
    pub within: Duration,
}

/// `one_at_a_time:`.
#[derive(Debug, Clone)]
pub enum OneAtATime {
    /// One run of the rule.
    Rule,
    /// One for each value of this field.
    Each(Field),
}

fn bare(item: &Item, what: &'static str, known: &Known) -> Option<Field> {
    let text = item.text()?;
    if text.contains("{{") {
        let bare = text.replace("{{", "").replace("}}", "");
        item.problem("a field stands here without braces").label(format!("write {what}: {}", bare.trim())).add();
        return None;
    }
    known.field(&text, item, None)
}

pub fn read_once_per(item: &Item, known: &Known) -> Option<OncePer> {
    if let Node::Text(text) = item.node
        && crate::yaml::duration::read(text).is_ok()
    {
        item.problem("`once_per:` names a field").label(format!("write {{ value: body.id, within: {text} }}")).add();
        return None;
    }
    if !matches!(item.node, Node::Map(_)) {
        return Some(OncePer { field: bare(item, "once_per", known)?, within: ONCE_WITHIN });
    }
    let mut fields = item.fields("`once_per:`")?;
    let field = fields.must("value").map(|i| bare(&i, "value", known));
    let within = fields.may("within").map(|i| {
        let within = i.duration()?;
        if within.is_zero() {
            i.problem("a value is remembered for some time").label("write for example `7 days`").add();
            return None;
        }
        Some(within)
    });
    fields.done(&[("field", "did you mean `value`?"), ("key", "did you mean `value`?"), ("for", "did you mean `within`?")], &[]);
    Some(OncePer { field: field??, within: within.unwrap_or(Some(ONCE_WITHIN))? })
}

pub fn read_one_at_a_time(item: &Item, known: &Known) -> Option<OneAtATime> {
    match item.node {
        Node::Bool(true) => Some(OneAtATime::Rule),
        Node::Bool(false) => None,
        Node::Number(_) => {
            item.problem("`one_at_a_time:` takes true, or a field").label("write `one_at_a_time: true`").add();
            None
        }
        _ => bare(item, "one_at_a_time", known).map(OneAtATime::Each),
    }
}

pub fn read_answer_within(item: &Item) -> Option<Duration> {
    let within = item.duration()?;
    if within.is_zero() || within > LONGEST_ANSWER {
        item.problem("a caller can be kept waiting for up to 10 minutes").label("write for example `3 seconds`").add();
        return None;
    }
    Some(within)
}

impl OncePer {
    /// The value of an event; an error is the sentence for the trace.
    pub fn claim(&self, names: &dyn Names) -> Result<Once, String> {
        match self.field.find(names)? {
            Found::Missing => Err(self.field.why_missing(names)),
            found => {
                let value = found.into_value(names.budget())?.unwrap_or(Value::Null);
                Ok(Once { value: value.to_string(), within: self.within })
            }
        }
    }

    /// The line of a trace for an event that has no such value.
    pub fn told(&self, names: &dyn Names) -> Option<Told> {
        let why = self.claim(names).err()?;
        Some(Told { depth: 0, words: format!("once per {}", self.field.text()), outcome: Outcome::No(why) })
    }
}

impl OneAtATime {
    /// The queue that an event's run stands in. What is missing counts as a value of its own.
    pub fn lane(&self, rule: &str, names: &dyn Names) -> Arc<str> {
        match self {
            OneAtATime::Rule => rule.into(),
            OneAtATime::Each(field) => {
                let value = field.value(names).ok().flatten();
                format!("{rule}\n{}", value.map_or_else(String::new, |v| v.to_string())).into()
            }
        }
    }
}

/// Warns where a caller who waits may wait in vain.
pub fn look(rule: &Rule, item: &Item) {
    let Some(answering) = rule.steps.iter().position(|s| s.answers()) else { return };
    let waits = rule.answer_within.as_secs();
    if rule.one_at_a_time.is_some() {
        item.warning("the caller waits for an answer, and also for every run before this one")
            .at_key()
            .label("answer without `respond:`, or take `one_at_a_time:` out")
            .add();
    }
    for step in rule.steps[..answering].iter().filter(|s| CALLS.contains(&s.verb)) {
        if step.timeout > rule.answer_within {
            let place = item.at(&step.path);
            place
                .warning(format!("one try may take {} seconds, but the caller is answered after {waits}", step.timeout.as_secs()))
                .label(format!("add `timeout: {}` to this step", crate::yaml::duration::spell(rule.answer_within / 2)))
                .add();
        }
    }
    let unconditional = |n: usize| rule.steps[n].answers() && rule.steps[n].condition.0.is_empty() && is_plain(rule, n);
    let mut answered: Option<usize> = None;
    for (n, step) in rule.steps.iter().enumerate() {
        let flow = rule.course.flow(n as u32);
        let starts = rule.course.otherwise == Some(n as u32) || rule.course.on_error == Some(n as u32);
        if starts {
            answered = None;
        }
        if answered.is_some() && unconditional(n) && flow.is_some() {
            let told = item.at(&step.path).warning("an earlier step may have answered already; the first answer wins");
            told.label("put an `if:` at each of them").add();
        }
        if unconditional(n) {
            answered = Some(n);
        }
    }
}

/// Whether a step is always come to: in no `do:` and under no `on_error:`.
fn is_plain(rule: &Rule, n: usize) -> bool {
    rule.course.flow(n as u32).is_some_and(|f| f.within.is_none() && f.mends.is_none() && f.each.is_none())
}
