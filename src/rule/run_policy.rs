//! How a rule runs: `once_per`, `one_at_a_time`, `answer_within`, and what they mean for an event.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::expr::condition::trace::{Outcome, TraceLine};
use crate::expr::field::{Field, Found, Values};
use crate::expr::names::Names;
use crate::model::run::Once;
use crate::yaml::Node;
use crate::yaml::fields::Item;

/// How long a `once_per` value is remembered by default.
const ONCE_WITHIN: Duration = Duration::from_secs(30 * 86_400);
/// The maximum time that a caller may have to wait.
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
    /// One run of the rule at a time.
    Rule,
    /// One run at a time for each value of this field.
    Each(Field),
}

fn bare(item: &Item, what: &'static str, known: &Names) -> Option<Field> {
    let text = item.text()?;
    if text.contains("{{") {
        let bare = text.replace("${{", "").replace("{{", "").replace("}}", "");
        item.problem(format!("`{what}:` takes a field, which is written without braces here"))
            .label("write the field alone")
            .write(bare.trim())
            .add();
        return None;
    }
    if let Some((field, time)) = text.split_once(" within ").filter(|_| what == "once_per") {
        let draft = item
            .problem("`once_per:` takes a field")
            .label("write the field, and the time after `within:`: { value: body.id, within: 7 days }");
        draft.write(&format!("{{ value: {field}, within: {time} }}")).add();
        return None;
    }
    if matches!(text.as_str(), "yes" | "on" | "True") {
        item.problem(format!("`{what}:` takes a field, or true")).label("write true or a field").write("true").add();
        return None;
    }
    known.field(&text, item, None)
}

pub fn read_once_per(item: &Item, known: &Names) -> Option<OncePer> {
    if let Node::Text(text) = item.node
        && crate::yaml::duration::read(text).is_ok()
    {
        item.problem("`once_per:` takes a field")
            .label("write the field, and the time after `within:`: { value: body.id, within: 7 days }")
            .add();
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
            i.problem("the time for `within:` cannot be zero").label("write for example `7 days`").add();
            return None;
        }
        Some(within)
    });
    fields.done(&[("field", "value"), ("key", "value"), ("for", "within")]);
    Some(OncePer { field: field??, within: within.unwrap_or(Some(ONCE_WITHIN))? })
}

pub fn read_one_at_a_time(item: &Item, known: &Names) -> Option<OneAtATime> {
    match item.node {
        Node::Bool(true) => Some(OneAtATime::Rule),
        Node::Bool(false) => None,
        Node::Number(_) => {
            item.problem("`one_at_a_time:` takes true or a field").label("write `one_at_a_time: true`").add();
            None
        }
        _ => bare(item, "one_at_a_time", known).map(OneAtATime::Each),
    }
}

pub fn read_answer_within(item: &Item) -> Option<Duration> {
    let within = item.duration()?;
    if within.is_zero() || within > LONGEST_ANSWER {
        item.problem("a caller can wait for at most 10 minutes").label("write for example `3 seconds`").add();
        return None;
    }
    Some(within)
}

impl OncePer {
    /// The value of an event; the error is the sentence for the trace.
    pub fn claim(&self, names: &dyn Values) -> Result<Once, String> {
        match self.field.find(names)? {
            Found::Missing => Err(self.field.why_missing(names)),
            found => {
                let value = found.into_value(names.budget())?.unwrap_or(Value::Null);
                Ok(Once { value: value.to_string(), within: self.within })
            }
        }
    }

    /// The trace line for an event without such a value.
    pub fn trace(&self, names: &dyn Values) -> Option<TraceLine> {
        let why = self.claim(names).err()?;
        Some(TraceLine { depth: 0, text: format!("once per {}", self.field.text()), outcome: Outcome::No(why) })
    }
}

impl OneAtATime {
    /// The queue (lane) of an event's run. A missing field counts as a value of its own.
    pub fn lane(&self, rule: &str, names: &dyn Values) -> Arc<str> {
        match self {
            OneAtATime::Rule => rule.into(),
            OneAtATime::Each(field) => {
                let value = field.value(names).ok().flatten();
                format!("{rule}\n{}", value.map_or_else(String::new, |v| v.to_string())).into()
            }
        }
    }
}
