//! What webhooks that came, or a sample of one, show about the rules: fields that were never there, and conditions that never
//! held. Each is a problem with its place in the file, as `check` shows them. The caller reads the files and loads the rules.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::event_fields::fields;
use super::preview::{Followed, Replies, What, all_dry_steps_of};
use crate::action::contract::{Asks, EffectView, MockResponse};
use crate::expr::condition::trace::{self, Outcome};
use crate::expr::field::{Field, Found, Root};
use crate::expr::template::Unrendered;
use crate::model::event::Event;
use crate::model::origin::is_request;
use crate::problem::{Problem, Severity};
use crate::rule::Rule;
use crate::rule::ruleset::Ruleset;
use crate::rule::step::Step;
use crate::secret::{STRUCK, Vault};
use crate::store::contract::{EventFilter, Queries, Result};
use crate::yaml::locate::Path;
use crate::yaml::reader::{Effort, Reader};
use crate::yaml::{Node, is_json_number};

/// How many of the last events are looked at: of each address, and in all; and among how many they are searched for.
const MOST_EACH: usize = 50;
const MOST_EVENTS: usize = 500;
const MOST_SEARCHED: usize = 2_000;

/// How many events each rule is tried with.
const MOST_TRIED: usize = 10;
/// How many values of a body are looked at.
const MOST_VALUES: usize = 1_000;

/// Webhooks to learn from.
pub struct Webhooks {
    /// The newest ones first.
    pub events: Vec<Event>,
    /// What they are called in messages: `order.json`; nothing for those that were received.
    pub name: Option<String>,
}

impl Webhooks {
    /// The last events of each address. What the moments of rules contain is known.
    pub async fn received(queries: &dyn Queries) -> Result<Self> {
        let mut ids = Vec::new();
        let mut counts = std::collections::HashMap::<String, usize>::new();
        let found = queries.search(EventFilter::default(), None, MOST_SEARCHED, MOST_SEARCHED).await?.events;
        for page in found.into_iter().filter(|page| is_request(&page.method)) {
            let count = counts.entry(page.address).or_default();
            *count += 1;
            if *count <= MOST_EACH && ids.len() < MOST_EVENTS {
                ids.push(page.id);
            }
        }
        let mut events = Vec::new();
        for id in ids {
            // It may have been deleted in the meantime.
            events.extend(queries.dossier(id).await.ok().map(|dossier| dossier.event));
        }
        Ok(Self { events, name: None })
    }

    /// How often, as a message says it: `in the last 12 events`, `in order.json`.
    fn among(&self, count: usize) -> String {
        match (&self.name, count) {
            (Some(name), _) => format!("in {name}"),
            (None, 1) => "in the only event so far".to_owned(),
            (None, count) => format!("in any of the last {count} events"),
        }
    }

    /// With which of them something happens: all that come so far.
    fn with(&self, count: usize) -> String {
        match (&self.name, count) {
            (Some(name), _) => format!("with {name}"),
            (None, 1) => "with the last event that reaches it".to_owned(),
            (None, count) => format!("with each of the last {count} events that reach it"),
        }
    }
}

/// Everything that the webhooks show about the rules that they would start.
pub fn learned(ruleset: &Ruleset, webhooks: &Webhooks) -> Vec<Problem> {
    let mut out = Vec::new();
    let effort = Effort::default();
    for rule in ruleset.rules.iter().filter(|rule| rule.enabled) {
        let events: Vec<&Event> = webhooks.events.iter().filter(|event| rule.is_called_by(event)).take(MOST_EACH).collect();
        if !events.is_empty() {
            let reader = Reader::new(&rule.source, &effort);
            let told = about(rule, &events, webhooks, &ruleset.vault, &reader);
            tried(rule, &events, webhooks, ruleset, &told, &reader);
            out.extend(reader.problems());
        }
    }
    out
}

/// Looks at the fields and conditions of a rule; returns the fields that something was reported about.
fn about<'r>(rule: &'r Rule, events: &[&Event], webhooks: &Webhooks, vault: &Vault, reader: &Reader) -> Vec<&'r str> {
    let among = webhooks.among(events.len());
    // People who give a sample expect it to fit; among all events, some conditions are rarely true.
    let severity = if webhooks.name.is_some() { Severity::Warning } else { Severity::Note };
    let tell = |path: &Path, within: Option<&str>, message: String, label: &str| {
        let draft = reader.top(&Node::Empty).at(path).tell(severity, message).label(label);
        // A line of a condition is its field.
        let draft = if within.is_none() { draft.at_key() } else { draft };
        within.into_iter().fold(draft, |draft, text| draft.within(text)).add();
    };
    let nothing = Map::new();
    let mut told: Vec<&str> = Vec::new();
    let inner = rule.steps.iter().zip(&rule.graph.nodes).filter(|(_, node)| node.each.is_none());
    let conditions = std::iter::once((&rule.condition, true)).chain(inner.map(|(step, _)| (&step.condition, false)));
    for (condition, is_of_rule) in conditions {
        for line in condition.wanted() {
            // What a step gets from earlier ones is not known here.
            if !is_of_rule && !is_of_request(&line.field) {
                continue;
            }
            let outcomes = events.iter().map(|event| trace::line_outcome(line, &rule.scope(event, vault, &nothing), vault));
            let refused: Option<Vec<String>> =
                outcomes.map(|outcome| if let Outcome::No(why) = outcome { Some(why) } else { None }).collect();
            // A value that was struck out when the event was stored cannot be judged again.
            if let Some(last) = refused.and_then(|all| all.into_iter().next()).filter(|why| !why.contains(STRUCK)) {
                told.push(line.field.text());
                let last = if webhooks.name.is_some() || events.len() == 1 { last } else { format!("the last time, {last}") };
                tell(&line.path, None, format!("this was not true {among}: {last}"), "");
            }
        }
    }
    for step in &rule.steps {
        let fields = step.action.iter().flat_map(|action| action.fields()).chain(step.for_each.as_ref().map(|each| &each.field));
        for field in fields.filter(|field| is_of_request(field)) {
            if told.contains(&field.text()) {
                continue;
            }
            let missing = events.iter().map(|event| {
                let scope = rule.scope(event, vault, &nothing);
                matches!(field.find(&scope), Ok(Found::Missing)).then(|| field.why_missing(&scope))
            });
            let why: Option<Vec<String>> = missing.collect();
            if let Some(last) = why.and_then(|all| all.into_iter().next()) {
                told.push(field.text());
                let near = last.split_once("; ").or(last.split_once(": ")).map_or(String::new(), |(_, near)| format!(": {near}"));
                let label = if near.is_empty() { "if it is optional, use it with `default`" } else { "" };
                tell(&step.path, Some(field.text()), format!("there was no {} {among}{near}", field.text()), label);
            }
        }
    }
    told
}

/// Runs a rule dry, and reports the steps that would always fail, because a value is of another kind than its place takes.
fn tried(rule: &Arc<Rule>, events: &[&Event], webhooks: &Webhooks, ruleset: &Ruleset, told: &[&str], reader: &Reader) {
    let severity = if webhooks.name.is_some() { Severity::Warning } else { Severity::Note };
    let nothing = Map::new();
    // Of each step: how many events reach it, and how it fails.
    let mut reached = vec![(0, Vec::new()); rule.steps.len()];
    let mut texts: Vec<Vec<(String, String)>> = vec![Vec::new(); rule.steps.len()];
    for event in events.iter().take(MOST_TRIED) {
        let Some(start) = rule.start(&rule.scope(event, &ruleset.vault, &nothing)) else { continue };
        // As the steps see it.
        let event = ruleset.sealed(Event::clone(event));
        let dry_steps = all_dry_steps_of(Followed { ruleset, rule, start: start.step, given: None }, &event, &mut Unknown);
        for (n, step) in rule.steps.iter().enumerate() {
            let mut of_step = dry_steps.iter().filter(|dry| std::ptr::eq(dry.step, step)).peekable();
            let Some(first) = of_step.peek() else { continue };
            match &first.what {
                What::Failed(why, unrendered) => {
                    reached[n].0 += 1;
                    let at = unrendered.clone().unwrap_or_else(|| Unrendered { message: why.clone(), path: step.path.clone() });
                    // One element that fails is not all of them.
                    if of_step.all(|dry| matches!(dry.what, What::Failed(..))) {
                        reached[n].1.push(at);
                    }
                }
                What::Effect { view, .. } => {
                    reached[n].0 += 1;
                    texts[n] = numbers_as_text(view, &event);
                }
                What::Depends(_) | What::Unknown(_) | What::Skipped(_) | What::NotCalled(_) | What::CalledIf(_) | What::Empty(_) => {}
            }
        }
    }
    for ((step, (reached, failed)), texts) in rule.steps.iter().zip(reached).zip(texts) {
        let is_told = |why: &str| why.contains(STRUCK) || told.iter().any(|field| why.contains(field));
        if let Some(last) = failed.first().filter(|last| failed.len() == reached && !is_told(&last.message)) {
            let message = format!("this would fail {}: {}", webhooks.with(reached), last.message);
            reader.top(&Node::Empty).at(&last.path).tell(severity, message).add();
        }
        for (title, number) in texts {
            let message = format!("{title} came as text, so {number} is written as text and not as a number");
            let draft = reader.top(&Node::Empty).at(&step.path).note(message).within(&format!("{title}:"));
            draft.label("if it is a number, use the helper `number`").add();
        }
    }
}

/// The columns of a workbook that would get a number with decimals as text, because it came as text.
fn numbers_as_text(view: &EffectView, event: &Event) -> Vec<(String, String)> {
    let is_workbook = view.what.to_ascii_lowercase().ends_with(".xlsx");
    let Some(Value::Object(columns)) = view.fields.get("columns").filter(|_| is_workbook) else { return Vec::new() };
    let came = fields(&event.body, MOST_VALUES);
    let is_number = |text: &str| text.contains('.') && is_json_number(text) && came.iter().any(|(_, value)| value == text);
    let texts = columns.iter().filter_map(|(title, value)| Some((title.clone(), value.as_str()?.to_owned())));
    texts.filter(|(_, text)| is_number(text)).collect()
}

/// No reply of a target is known.
struct Unknown;

impl Replies for Unknown {
    fn next(&mut self, _: &Rule, _: &Step, _: Asks) -> Option<MockResponse> {
        None
    }
}

/// Whether a field is a part of the request, so that it can be looked for in events.
fn is_of_request(field: &Field) -> bool {
    matches!(field.root, Root::Body | Root::Header(Some(_)) | Root::Query)
}
