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
    look_at_waits(rule, item);
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

/// Reports steps that wait so long that their caller cannot be answered afterwards.
fn look_at_waits(rule: &Rule, item: &Item) {
    let on_error = rule.graph.on_error.unwrap_or(rule.steps.len() as u32) as usize;
    let otherwise = rule.graph.otherwise.map_or(on_error, |n| n as usize);
    // Of the three parts of a rule, a run goes through `then:` or `else:`.
    for part in [0..otherwise, otherwise..on_error, on_error..rule.steps.len()] {
        let answers = |n: &usize| rule.steps[*n].answers();
        let end = part.clone().rfind(answers).unwrap_or(part.start);
        let surely = |n: &usize| answers(n) && rule.steps[*n].condition.0.is_empty() && is_plain(rule, *n);
        let waiting = (part.start..end).take_while(|n| !surely(n)).map(|n| &rule.steps[n]);
        for step in waiting.filter(|step| step.waits().is_some_and(|time| time >= rule.answer_within)) {
            let seconds = rule.answer_within.as_secs();
            let draft = item
                .at(&step.path)
                .problem(format!("the caller is answered after {seconds} seconds at the latest, but this step may wait longer"));
            draft.label("answer first: move `respond:` above this step").add();
        }
    }
}

/// Whether a step is always reached: not in a `do:` and not under an `on_error:`.
fn is_plain(rule: &Rule, n: usize) -> bool {
    rule.graph.node(n as u32).is_some_and(|f| f.within.is_none() && f.handles.is_none() && f.each.is_none())
}
