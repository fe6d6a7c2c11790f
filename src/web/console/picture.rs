//! A rule as a picture: when it starts, under which conditions, and its steps from top to bottom; what a run did is lit up.

use maud::{Markup, html};
use serde_json::{Map, Value};

use super::draw;
use crate::expr::condition::trace::explain;
use crate::expr::condition::{All, trace::TraceLine};
use crate::expr::scope::Scope;
use crate::model::event::Event;
use crate::operations::history::ExplainedRun;
use crate::rule::Rule;
use crate::rule::step::Step;
use crate::secret::Vault;
use crate::text::printable::one_line;

/// Draws a rule, and what one of its runs did.
pub fn picture(rule: &Rule, run: Option<&ExplainedRun>) -> Markup {
    let conditions = lines(&rule.condition);
    html! {
        ol.picture aria-label="The rule as a picture" {
            li.box.start {
                span.what { "When" } " "
                (draw::starts(rule))
            }
            @if !conditions.is_empty() {
                li.box.condition { span.what { "if" } ul { @for line in &conditions { li.{ "depth-" (line.depth.min(6)) } { code { (one_line(&line.text)) } } } } }
            }
            @for step in &rule.steps { (drawn(step, run)) }
        }
    }
}

fn drawn(step: &Step, run: Option<&ExplainedRun>) -> Markup {
    let last = run.and_then(|run| run.attempts.iter().rfind(|attempt| attempt.step == step.number));
    let (class, sign) = match last.map(|attempt| attempt.outcome.as_str()) {
        Some("done" | "stopped") => ("good", "✓ "),
        Some("failed") => ("bad", "✗ "),
        Some("retry" | "paused") => ("wait", "↻ "),
        Some(_) => ("off", "– "),
        None => ("", ""),
    };
    let conditions = lines(&step.condition);
    let depth = step.number.matches('.').count().min(3);
    html! {
        li.box.step.{ "in-" (depth) }.(class) {
            @if let Some(each) = &step.for_each { span.what { "for each of " code { (one_line(each.field.text())) } } " " }
            @for line in &conditions { span.what { "if " code { (one_line(&line.text)) } } " " }
            span.sign { (sign) } (step.number) ". " strong { (draw::brief(step.title())) }
            @if !step.value.is_empty() { " " code { (draw::brief(&step.value)) } }
            @if let Some(attempt) = last { " " span.outcome { (attempt.outcome) } }
        }
    }
}

/// The lines of a condition, as explanations show them.
fn lines(condition: &All) -> Vec<TraceLine> {
    let (nobody, vault, saved) = (Event::nobody(), Vault::default(), Map::new());
    explain(condition, &Scope::new(&nobody, &vault, Value::Null, &[], &saved), &vault, true)
}
