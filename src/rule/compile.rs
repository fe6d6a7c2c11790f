//! One rule of a file -> a [`Rule`], or every problem in it.

use std::sync::Arc;

use super::address::read_methods;
use super::step::{self, check_name};
use super::{Rule, When};
use crate::condition::read as condition;
use crate::field::ROOTS;
use crate::known::{Known, Lookup};
use crate::problem::nearest;
use crate::route::Route;
use crate::run::TextHash;
use crate::scope::{SetName, SetValue};
use crate::template::Place;
use crate::template::data::Data;
use crate::yaml::fields::{Fields, Item};
use crate::yaml::{Node, Source};

/// The most steps of one rule.
const MAX_STEPS: usize = 200;
/// What rules.md describes and is not built yet.
const LATER: [&str; 6] = ["once_per", "one_at_a_time", "else", "on_error", "answer_within", "tests"];
const OTHER_WORDS: [(&str, &str); 16] = [
    ("on", "did you mean `when`?"),
    ("trigger", "did you mean `when`?"),
    ("triggers", "did you mean `when`?"),
    ("event", "did you mean `when`?"),
    ("webhook", "write `when: { webhook: /path }`"),
    ("path", "write `when: { webhook: /path }`"),
    ("match", "did you mean `if`?"),
    ("condition", "did you mean `if`?"),
    ("conditions", "did you mean `if`?"),
    ("where", "did you mean `if`?"),
    ("action", "did you mean `then`?"),
    ("actions", "did you mean `then`?"),
    ("steps", "did you mean `then`?"),
    ("do", "did you mean `then`?"),
    ("name", "the rule's name stands before the colon, one line up"),
    ("vars", "did you mean `set`?"),
];

/// Where a rule stands.
pub struct Origin {
    pub source: Arc<Source>,
    pub text: TextHash,
}

/// Reads one rule; what could not be read has been told.
pub fn read(name: &str, item: &Item, lookup: &Lookup, origin: &Origin) -> Option<Rule> {
    let errors = item.errors();
    if name.trim().is_empty() {
        item.problem("a rule needs a name").at_key().label("write it before the colon: `New orders:`").add();
    }
    let mut fields = item.fields("a rule")?;
    let mut known = Known::new(lookup);
    if let Some(description) = fields.may("description") {
        description.text();
    }
    let enabled = fields.may("enabled").map_or(Some(true), |i| i.flag());
    known.disabled = enabled == Some(false);
    let when = read_when(&mut fields);
    known.placeholders = when.iter().flat_map(|w| w.route.placeholders().map(str::to_owned)).collect();
    let steps = fields.must_unless("then", &OTHER_WORDS).and_then(|i| read_steps(&i));
    known.later = step::saved_names(steps.as_deref().unwrap_or_default());
    let set = fields.may("set").map(|i| read_set(&i, &mut known)).unwrap_or_default();
    let condition = fields.may("if").map(|i| condition::read(&i, &known)).unwrap_or_default();
    let steps: Vec<_> = steps.unwrap_or_default().iter().filter_map(|i| step::read(i, &mut known)).collect();
    let mut answered = false;
    for (step, at) in steps.iter().zip(fields.key("then").one_or_many()) {
        if answered && step.action.answers() && step.condition.0.is_empty() {
            at.warning("an earlier step may have answered already; the first answer wins").label("put an `if:` at each of them").add();
        }
        answered |= step.action.answers() && step.condition.0.is_empty();
    }
    fields.done(&OTHER_WORDS, &LATER);
    (item.errors() == errors).then(|| Rule {
        name: name.into(),
        enabled: enabled.unwrap_or(true),
        when,
        set,
        condition,
        steps,
        source: origin.source.clone(),
        text: origin.text.clone(),
        path: item.path.clone(),
    })
}

fn read_when(fields: &mut Fields) -> Vec<When> {
    let Some(item) = fields.must_unless("when", &OTHER_WORDS) else { return Vec::new() };
    if let Node::Text(text) = item.node {
        let told = item.problem("`when:` says what rings the rule");
        match text.starts_with('/') {
            true => told.label(format!("write when: {{ webhook: {} }}", quoted(text))).add(),
            false => told.label("write when: { webhook: /path }").add(),
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

fn read_steps<'a>(item: &Item<'a>) -> Option<Vec<Item<'a>>> {
    match item.node {
        Node::List(items) if items.is_empty() => {
            item.problem("there is no step here").label("write at least one, such as `- log: hello`").add();
            None
        }
        Node::List(items) if items.len() > MAX_STEPS => {
            item.problem(format!("a rule has at most {MAX_STEPS} steps")).label("make two rules of it").add();
            None
        }
        Node::Map(_) => {
            item.problem("steps are a list").label("put a dash before each: `- `").add();
            None
        }
        _ => item.items("a list of steps, each with its dash,"),
    }
}

fn read_set(item: &Item, known: &mut Known) -> Vec<SetName> {
    let mut out = Vec::new();
    for (name, value) in item.entries("`set:`").unwrap_or_default() {
        let mut key = value.clone();
        if let Some(crate::yaml::locate::Step::Value(n)) = key.path.pop() {
            key.path.push(crate::yaml::locate::Step::Key(n));
        }
        if check_name(&name, &key).is_none() {
            continue;
        }
        if known.later.contains(&name) {
            key.problem(format!("`{name}` is also saved by a step")).label("choose another name").add();
        }
        let field = match value.node {
            Node::Text(text) if names_a_field(text, known) => Some(known.field(text, &value, None).map(SetValue::Field)),
            _ => None,
        };
        let read = field.unwrap_or_else(|| Data::read(&value, Place::Plain, known).map(SetValue::Data));
        if let Some(read) = read {
            out.push(SetName { name: name.clone(), value: read });
        }
        // Known even if it is wrong, so that its uses are not told as well.
        known.named.push(name);
    }
    out
}

/// Whether a value in `set:` names a field: it begins with `$` or with a word that fields begin with.
fn names_a_field(text: &str, known: &Known) -> bool {
    if text.contains("{{") {
        return false;
    }
    let word = &text[..text.find(['.', '[']).unwrap_or(text.len())];
    text.starts_with('$') && !text[1..].starts_with(|c: char| c.is_ascii_digit())
        || (ROOTS.contains(&word) || known.named.iter().any(|n| n == word)) && !text.ends_with('.')
        || text.contains('.') && !text.contains(' ') && nearest(word, ["headers", "payload"]).is_some_and(|w| w == word)
}
