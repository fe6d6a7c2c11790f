//! The runs that are not done: those that failed for good, and those that wait. Each with the number of its step, as people
//! count steps: it is in the text of the rule that the run began with.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::history::{Wait, wait};
use crate::expr::names::{Resolver, env_stand_in, stand_in};
use crate::model::event::EventId;
use crate::model::run::{Attempt, Run, TextHash};
use crate::rule::load::one_rule;
use crate::rule::{Rule, UNDECIDED};
use crate::store::contract::{Queries, Result, RunPage};
use crate::yaml::source::Source;

/// How many texts of rules are read for one list. In longer lists, steps of the other rules are counted without their parts.
const MOST_RULES: usize = 200;

/// A failed run that needs a person.
#[derive(Debug, Serialize)]
pub struct FailedRun {
    pub event: EventId,
    pub rule: Arc<str>,
    /// The step that failed, counted from 1 through all steps of the rule; 0 if the run failed before its first step.
    pub step: u32,
    /// The same as people count it: `2`, `2.1`, `2 on_error 1`; empty if the run failed before its first step.
    pub at_step: String,
    pub at: Timestamp,
    pub why: String,
}

/// A run that is not finished.
#[derive(Debug, Serialize)]
pub struct WaitingRun {
    pub event: EventId,
    pub rule: Arc<str>,
    /// The step it is at, counted from 1 through all steps of the rule.
    pub step: u32,
    /// The same as people count it.
    pub at_step: String,
    pub received: Timestamp,
    pub waits: Wait,
    /// What happened at its last try; empty if there was none.
    pub why: String,
}

/// Lists the failed runs, newest first.
pub async fn failed(queries: &dyn Queries, most: usize) -> Result<Vec<FailedRun>> {
    let mut rules = Rules::new(queries);
    let mut all = Vec::new();
    for RunPage { run, received, ended, said, .. } in queries.failed(most).await? {
        all.push(FailedRun {
            at_step: rules.number(&run).await?,
            event: run.event,
            step: if run.place.step == UNDECIDED { 0 } else { run.place.step + 1 },
            rule: run.rule,
            at: ended.unwrap_or(received),
            why: said,
        });
    }
    Ok(all)
}

/// Lists the unfinished runs, oldest first.
pub async fn waiting(queries: &dyn Queries, most: usize) -> Result<Vec<WaitingRun>> {
    let mut rules = Rules::new(queries);
    let mut all: Vec<WaitingRun> = Vec::new();
    for (page, attempts) in queries.waiting(most).await? {
        all.push(WaitingRun {
            at_step: rules.number(&page.run).await?,
            waits: wait(&page, &attempts as &[Attempt]),
            event: page.run.event,
            step: page.run.place.step + 1,
            received: page.received,
            why: page.said,
            rule: page.run.rule,
        });
    }
    Ok(all)
}

/// The rules that runs began with; `None` if one cannot be read any more.
struct Rules<'q> {
    queries: &'q dyn Queries,
    read: HashMap<(TextHash, Arc<str>), Option<Rule>>,
}

impl<'q> Rules<'q> {
    fn new(queries: &'q dyn Queries) -> Self {
        Self { queries, read: HashMap::new() }
    }

    /// The step that a run is at, as people count it.
    async fn number(&mut self, run: &Run) -> Result<String> {
        let step = run.place.step;
        if step == UNDECIDED {
            return Ok(String::new());
        }
        let key = (run.text.clone(), run.rule.clone());
        if !self.read.contains_key(&key) && self.read.len() < MOST_RULES {
            let text = self.queries.text(run.text.clone()).await?;
            self.read.insert(key.clone(), text.and_then(|text| rule_in(text, &run.rule)));
        }
        let rule = self.read.get(&key).and_then(Option::as_ref);
        Ok(rule.map_or_else(|| (step + 1).to_string(), |rule| rule.number_of(step)))
    }
}

/// A rule of a stored file, for the numbers of its steps: no secret is needed for these.
fn rule_in(text: String, name: &str) -> Option<Rule> {
    let (secret, variable) = (|name: &str| Some(stand_in(name)), |name: &str| Some(env_stand_in(name)));
    one_rule(Source::stored("", text), name, &Resolver::new(&secret, &variable, &|_| None)).ok()
}
