//! Warnings for rules whose callers may not get an answer in time. [`super::run_policy`] reads how long a caller waits.

use super::Rule;
use crate::yaml::fields::Item;

/// Warns if a waiting caller may not get its answer in time.
pub fn look(rule: &Rule, item: &Item) {
    let Some(answering) = rule.steps.iter().position(|s| s.answers()) else { return };
    let waits = rule.answer_within.as_secs();
    if rule.one_at_a_time.is_some() {
        item.warning("the caller waits for an answer and also for every earlier run")
            .at_key()
            .label("answer without `respond:`, or remove `one_at_a_time:`")
            .add();
    }
    for step in rule.steps[..answering].iter().filter(|s| s.waits().is_some_and(|time| time >= rule.answer_within)) {
        let draft =
            item.at(&step.path).problem(format!("the caller is answered after {waits} seconds at the latest, but this step waits longer"));
        draft.label("answer first: move `respond:` above this step").add();
    }
    for step in rule.steps[..answering].iter().filter(|s| s.calls()) {
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
        let node = rule.graph.node(n as u32);
        let starts = rule.graph.otherwise == Some(n as u32) || rule.graph.on_error == Some(n as u32);
        if starts {
            answered = None;
        }
        if answered.is_some() && unconditional(n) && node.is_some() {
            let draft = item.at(&step.path).warning("an earlier step may have answered already; the first answer wins");
            draft.label("add an `if:` to each of them").add();
        }
        if unconditional(n) {
            answered = Some(n);
        }
    }
}

/// Whether a step is always reached: not in a `do:` and not under an `on_error:`.
fn is_plain(rule: &Rule, n: usize) -> bool {
    rule.graph.node(n as u32).is_some_and(|f| f.within.is_none() && f.handles.is_none() && f.each.is_none())
}
