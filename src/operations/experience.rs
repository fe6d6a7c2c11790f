//! What webhooks that came, or a sample of one, show about the rules: fields that were never there, and conditions that never
//! held. Each is a problem with its place in the file, as `check` shows them. The caller reads the files and loads the rules.

use serde_json::Map;

use crate::expr::condition::trace::{self, Outcome};
use crate::expr::field::{Field, Found, Root};
use crate::model::event::Event;
use crate::problem::{Problem, Severity};
use crate::rule::Rule;
use crate::rule::ruleset::Ruleset;
use crate::secret::{STRUCK, Vault};
use crate::store::contract::{EventFilter, Queries, Result};
use crate::yaml::Node;
use crate::yaml::locate::Path;
use crate::yaml::reader::{Effort, Reader};

/// How many of the last events are looked at: of each address, and in all; and among how many they are searched for.
const MOST_EACH: usize = 50;
const MOST_EVENTS: usize = 500;
const MOST_SEARCHED: usize = 2_000;

/// Webhooks to learn from.
pub struct Webhooks {
    /// The newest ones first.
    pub events: Vec<Event>,
    /// What they are called in messages: `order.json`; nothing for those that were received.
    pub name: Option<String>,
}

impl Webhooks {
    /// The last events of each address.
    pub async fn received(queries: &dyn Queries) -> Result<Self> {
        let mut ids = Vec::new();
        let mut counts = std::collections::HashMap::<String, usize>::new();
        for page in queries.search(EventFilter::default(), None, MOST_SEARCHED, MOST_SEARCHED).await?.events {
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

    /// How often, in words: `in the last 12 events`, `in order.json`.
    fn among(&self, count: usize) -> String {
        match (&self.name, count) {
            (Some(name), _) => format!("in {name}"),
            (None, 1) => "in the only event so far".to_owned(),
            (None, count) => format!("in any of the last {count} events"),
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
            about(rule, &events, webhooks, &ruleset.vault, &reader);
            out.extend(reader.problems());
        }
    }
    out
}

fn about(rule: &Rule, events: &[&Event], webhooks: &Webhooks, vault: &Vault, reader: &Reader) {
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
}

/// Whether a field is a part of the request, so that it can be looked for in events.
fn is_of_request(field: &Field) -> bool {
    matches!(field.root, Root::Body | Root::Header(Some(_)) | Root::Query)
}
