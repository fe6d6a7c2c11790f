//! How a dry run looks: what every rule would do with an event, in the same words as `doorbell try`.

use maud::{Markup, html};

use super::draw;
use crate::operations::dry_run::{Branch, NoPreview, Preview, RulePreview, StepEffect, StepPreview};

/// A dry run.
pub fn preview(preview: &Preview) -> Markup {
    html! {
        @for rule in &preview.rules { (of_rule(rule)) }
        @if let Some(status) = preview.ignored_status {
            p { "No rule would run: the sender would get " (draw::status(Some(status))) ", and the event would be saved." }
        }
        p.hint { "Nothing was sent or written. In place of a secret stands its name." }
    }
}

/// Why there is none.
pub fn no_preview(why: &NoPreview) -> Markup {
    html! {
        p.note {
            @match why {
                NoPreview::UnknownAddress { address, .. } => { "No rule of this file uses " code { (draw::brief(address)) } "." },
                NoPreview::WrongMethod { address, method, methods } => {
                    code { (draw::brief(address)) } " accepts " (methods.join(" and ")) ", not " (draw::brief(method)) ": the sender would get 405."
                },
                NoPreview::UnknownRule { rule, .. } => { "No rule called “" (draw::brief(rule)) "” uses this address." },
            }
        }
    }
}

fn of_rule(rule: &RulePreview) -> Markup {
    let (class, sign, word) = match rule.branch {
        None => ("off", "–", "would not run"),
        Some(Branch::Then) => ("good", "✓", "would run"),
        Some(Branch::Else) => ("good", "✓", "would run its else:"),
        Some(Branch::Undecided) => ("bad", "✗", "would fail immediately"),
    };
    html! {
        div.rule-preview {
            h3 { (draw::brief(&rule.rule)) " " span.state.(class) { span aria-hidden="true" { (sign) } " " (word) } }
            (draw::trace(&rule.trace))
            @if !rule.steps.is_empty() { (steps(rule)) }
        }
    }
}

/// What the steps of one rule would do.
pub fn steps(rule: &RulePreview) -> Markup {
    html! { ol.attempts { @for step in &rule.steps { (of_step(step)) } } }
}

fn of_step(step: &StepPreview) -> Markup {
    let title = html! {
        strong { (step.number) ". " (draw::brief(step.title())) }
        @if let Some(element) = step.element { ", element " (element) }
    };
    html! {
        @match &step.what {
            StepEffect::Unknown { of } => li.wait { (title) " depends on the answer of step " (of) ", which is not known here" },
            StepEffect::Depends { trace } => li.wait { (title) " would run if this is true:" (draw::trace(trace)) },
            StepEffect::Skipped { trace } => li.off { (title) " would be skipped" (draw::trace(trace)) },
            StepEffect::Empty { why } => li.off { (title) " has nothing to do: " (draw::text(why)) },
            StepEffect::Failed { why } => li.bad { (title) " " span.outcome { "would fail" } (draw::block(why)) },
            StepEffect::Done { shown, failed } => li.good {
                (title) (draw::block(shown))
                @if let Some(why) = failed { span.state.bad { "✗ would fail" } (draw::block(why)) }
            },
        }
    }
}
