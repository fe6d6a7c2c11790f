//! Failed runs, gathered by what failed: a hundred runs that met the same server on the same bad night are one thing to look
//! at, and one thing to go on with.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::open_runs::FailedRun;
use crate::model::event::EventId;

/// Failed runs of one rule that failed at the same step, for the same reason.
#[derive(Debug, PartialEq, Serialize)]
pub struct FailureGroup {
    /// Names the group as long as its rule, step and reason are the same.
    pub key: String,
    pub rule: Arc<str>,
    /// Counted from 1 through all steps of the rule; 0 if they failed before the first.
    pub step: u32,
    /// The step of the latest one as people count it: `2`, `2.1`; empty if it failed before the first.
    pub at_step: String,
    /// The reason of the latest one.
    pub why: String,
    pub runs: usize,
    pub first: Timestamp,
    pub last: Timestamp,
    /// The events of these runs, oldest first: a queue keeps its order when they go on.
    #[serde(skip)]
    pub events: Vec<EventId>,
    /// The latest of them.
    pub event: EventId,
}

/// Gathers failed runs, which are given newest first; the largest group comes first.
pub fn groups(runs: &[FailedRun]) -> Vec<FailureGroup> {
    let mut all: Vec<FailureGroup> = Vec::new();
    let mut known: HashMap<(Arc<str>, u32, String), usize> = HashMap::new();
    for run in runs {
        let reason = alike(&run.why);
        let at = *known.entry((run.rule.clone(), run.step, reason.clone())).or_insert_with(|| {
            all.push(FailureGroup {
                key: crate::model::hash::hash(format!("{}\n{}\n{reason}", run.rule, run.step).as_bytes()),
                rule: run.rule.clone(),
                step: run.step,
                at_step: run.at_step.clone(),
                why: run.why.clone(),
                runs: 0,
                first: run.at,
                last: run.at,
                events: Vec::new(),
                event: run.event,
            });
            all.len() - 1
        });
        if let Some(group) = all.get_mut(at) {
            group.runs += 1;
            group.first = group.first.min(run.at);
            group.last = group.last.max(run.at);
            if group.events.last() != Some(&run.event) {
                group.events.push(run.event);
            }
        }
    }
    for group in &mut all {
        group.events.reverse();
    }
    all.sort_by_key(|group| std::cmp::Reverse(group.runs));
    all
}

/// A reason without what differs from event to event: numbers, ids, times.
fn alike(why: &str) -> String {
    let mut out = String::with_capacity(why.len());
    for word in why.split_inclusive(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')) {
        let has_digit = word.chars().any(|c| c.is_ascii_digit());
        let end = word.chars().next_back().filter(|c| !(c.is_ascii_alphanumeric() || *c == '-' || *c == '_'));
        match has_digit {
            // A status says what went wrong.
            true if out.ends_with("answered ") => out.push_str(word),
            true => {
                out.push('#');
                out.extend(end);
            }
            false => out.push_str(word),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_alike_if_only_numbers_and_ids_differ() {
        assert_eq!(alike("POST https://crm.example.com/orders/1042: answered 503"), "POST https://crm.example.com/orders/#: answered 503");
        assert_eq!(alike("no field 0192f3c1-a in 12 places"), "no field # in # places");
        assert_ne!(alike("answered 503"), alike("answered 404"));
    }

    #[test]
    fn runs_of_one_rule_step_and_reason_are_one_group() {
        let run = |rule: &str, step, why: &str, second| FailedRun {
            event: EventId::new(Timestamp::from_second(second).unwrap(), [0; 10]),
            rule: rule.into(),
            step,
            at_step: step.to_string(),
            at: Timestamp::from_second(second).unwrap(),
            why: why.to_owned(),
        };
        let runs = [
            run("a", 1, "order 3: answered 503", 30),
            run("b", 1, "order 3: answered 503", 25),
            run("a", 1, "order 2: answered 503", 20),
            run("a", 2, "order 1: answered 503", 10),
        ];
        let found = groups(&runs);
        assert_eq!(found.iter().map(|g| (&*g.rule, g.step, g.runs)).collect::<Vec<_>>(), [("a", 1, 2), ("b", 1, 1), ("a", 2, 1)]);
        assert_eq!((found[0].why.as_str(), found[0].event), ("order 3: answered 503", runs[0].event));
        assert_eq!(found[0].events, [runs[2].event, runs[0].event], "oldest first");
    }
}
