//! How a dry run looks: what every rule would do with an event, in the same words as `doorbell try`.

use maud::{Markup, html};

use super::draw;
use crate::operations::dry_run::{Branch, NoPreview, Preview, RulePreview, StepAnswer, StepEffect, StepPreview};

/// A dry run. Where `answers` are given, others can be typed: it is then inside of a form.
pub fn preview(preview: &Preview, answers: Option<&[StepAnswer]>) -> Markup {
    html! {
        @for rule in &preview.rules { (of_rule(rule, answers)) }
        @if let Some(status) = preview.ignored_status {
            p { "No rule would run: the sender would get " (draw::status(Some(status))) ", and the event would be saved." }
        }
        p.hint { "Nothing was sent or written. The name of a secret is shown in place of its value." }
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

/// Whether a rule would run, in a few words.
pub fn verdict(rule: &RulePreview) -> Markup {
    let (class, sign, word) = match rule.branch {
        None => ("off", "–", "would not run"),
        Some(Branch::Undecided) => ("bad", "✗", "would fail immediately"),
        Some(Branch::Then) if rule.fails => ("bad", "✗", "would run, and fail"),
        Some(Branch::Else) if rule.fails => ("bad", "✗", "would run its else:, and fail"),
        Some(Branch::Then) => ("good", "✓", "would run"),
        Some(Branch::Else) => ("good", "✓", "would run its else:"),
    };
    html! { span.state.(class) { span aria-hidden="true" { (sign) } " " (word) } }
}

fn of_rule(rule: &RulePreview, answers: Option<&[StepAnswer]>) -> Markup {
    html! {
        div.rule-preview {
            h3 { (draw::brief(&rule.rule)) " " (verdict(rule)) }
            (draw::trace(&rule.trace))
            @if !rule.steps.is_empty() { (steps(rule, answers)) }
            @if answers.is_some() && rule.steps.iter().any(needs_an_answer) {
                p.hint { "Some of it depends on what another app answers. To try that, open “What if it answers …” at the step that calls it, and type an answer." }
            }
        }
    }
}

/// Whether it is not known what a step would do, because the answer of an earlier one is not.
fn needs_an_answer(step: &StepPreview) -> bool {
    matches!(step.what, StepEffect::Unknown { .. } | StepEffect::Depends { .. } | StepEffect::CalledIf { .. })
}

/// What the steps of one rule would do.
pub fn steps(rule: &RulePreview, answers: Option<&[StepAnswer]>) -> Markup {
    html! { ol.attempts { @for step in &rule.steps { (of_step(step, answers)) } } }
}

/// The field for the answer of a step that later ones use, once for all of its calls.
fn answer(step: &StepPreview, answers: Option<&[StepAnswer]>) -> Markup {
    let Some(answers) = answers.filter(|_| step.saves && step.element.is_none_or(|element| element == 1)) else { return html! {} };
    let given = answers.iter().find(|answer| *answer.rule == *step.rule && answer.step == step.number);
    let key = format!("{} {}", step.number, step.rule);
    html! {
        details.answer open[given.is_some()] {
            summary { "What if it answers …" }
            label {
                "Answer of step " (step.number) " (JSON) "
                input type="hidden" name="answer_of" value=(key);
                textarea name="answer" rows="3" spellcheck="false" data-keep=(key) placeholder="{ \"id\": 1 }" { "\n" (given.map(|answer| String::from_utf8_lossy(&answer.body)).unwrap_or_default()) }
            }
        }
    }
}

/// The answers that were typed into these fields.
pub fn answers(form: &[(String, String)]) -> Vec<StepAnswer> {
    let pairs = form.windows(2).filter_map(|pair| match pair {
        [(of, key), (name, body)] if of == "answer_of" && name == "answer" && !body.trim().is_empty() => {
            let (step, rule) = key.split_once(' ')?;
            Some(StepAnswer { rule: rule.to_owned(), step: step.to_owned(), body: body.trim().as_bytes().to_vec() })
        }
        _ => None,
    });
    pairs.collect()
}

fn of_step(step: &StepPreview, answers: Option<&[StepAnswer]>) -> Markup {
    let title = html! {
        @if step.depth > 0 { span.hint { "in “" (draw::brief(&step.rule)) "” " } }
        strong { (step.number) ". " (draw::brief(step.title())) }
        @if let Some(element) = step.element { ", element " (element) }
    };
    html! {
        @match &step.what {
            StepEffect::Unknown { of } => li.wait { (title) " depends on the answer of step " (of) ", which is not known here" },
            StepEffect::Depends { trace } => li.wait { (title) " would run if this is true:" (draw::trace(trace)) },
            StepEffect::Skipped { trace } => li.off { (title) " would be skipped" (draw::trace(trace)) },
            StepEffect::NotCalled { trace } => li.off { (title) ": the rule would not run" (draw::trace(trace)) },
            StepEffect::CalledIf { trace } => li.wait { (title) ": the rule would run if this is true:" (draw::trace(trace)) },
            StepEffect::Empty { why } => li.off { (title) " has nothing to do: " (draw::text(why)) },
            StepEffect::Failed { why } => li.bad { (title) " " span.outcome { "would fail" } (draw::block(why)) },
            StepEffect::Done { shown, failed } => li.good {
                (title) (draw::block(shown))
                (answer(step, answers))
                @if let Some(why) = failed { span.state.bad { "✗ would fail" } (draw::block(why)) }
            },
        }
    }
}
