//! How the same things look on every page: times, states, conditions, problems, values. Colour is never the only sign.

use jiff::Timestamp;
use maud::{Markup, html};

use super::ask::{Ask, escaped};
use crate::expr::condition::trace::{Outcome, TraceLine};
use crate::model::event::EventId;
use crate::model::origin::is_request;
use crate::model::run::State;
use crate::operations::history::{EventLine, RunCount};
use crate::problem::{Problem, Severity};
use crate::rule::Rule;
use crate::rule::sentence::by_itself;
use crate::text::count::number;
use crate::text::printable::{lines, one_line, short};

/// The longest path or name in a list, in characters.
const SHORT: usize = 80;

/// A moment: in UTC, and in the browser's own time where scripts run.
pub fn time(at: Timestamp) -> Markup {
    html! { time datetime=(at.to_string()) { (at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()) } }
}

/// A duration for people: `212 ms`, `3.4 s`, `2 min`.
pub fn took(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{} min", ms / 60_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}

/// Text from outside, for a title.
pub fn plain(text: &str) -> String {
    short(text, SHORT)
}

/// Text from outside, on one line.
pub fn text(text: &str) -> Markup {
    html! { (one_line(text)) }
}

/// Text from outside with its lines, and every character visible.
pub fn block(text: &str) -> Markup {
    html! { pre { code { (lines(text)) } } }
}

/// A path or a name, cut if it is long.
pub fn brief(text: &str) -> Markup {
    let cut = short(text, SHORT);
    let is_cut = cut != one_line(text);
    html! { span title=[is_cut.then(|| one_line(text))] { (cut) } }
}

/// The state of a run, in a word and a shape.
pub fn state(state: State) -> Markup {
    let (class, sign) = match state {
        State::Done => ("good", "✓"),
        State::Handled => ("good", "✓"),
        State::Waiting => ("wait", "…"),
        State::Failed | State::FailedForCaller => ("bad", "✗"),
        State::Cancelled | State::Repeated => ("off", "–"),
    };
    html! { span.state.(class) { span aria-hidden="true" { (sign) } " " (state.word()) } }
}

/// What became of an event: `2 rules ran, 1 failed`.
pub fn became(event: &EventLine) -> Markup {
    if event.runs.is_empty() {
        return html! { span.state.off { span aria-hidden="true" { "–" } " no rule ran" } };
    }
    html! { @for RunCount { state: s, runs } in &event.runs { (state(*s)) @if *runs > 1 { " ×" (runs) } " " } }
}

/// The status that the sender got.
pub fn status(status: Option<u16>) -> Markup {
    match status {
        None => html! { span.status { "waits" } },
        Some(code @ 200..400) => html! { span.status.good { (code) } },
        Some(code) => html! { span.status.bad { (code) } },
    }
}

/// What starts a rule: `something arrives at /orders`, `it is time, every 15 minutes`.
pub fn starts(rule: &Rule) -> Markup {
    html! {
        @for (n, when) in rule.when.iter().enumerate() { @if n > 0 { " or " } "something arrives at " code { (brief(when.route.text())) } }
        @for (n, said) in by_itself(rule).iter().enumerate() { @if n > 0 || !rule.when.is_empty() { " or " } (text(said)) }
    }
}

/// What the sender got; nobody sends the moments of a rule.
pub fn answer(method: &str, got: Option<u16>) -> Markup {
    if !is_request(method) {
        html! { "–" }
    } else {
        status(got)
    }
}

/// A link to an event, by the end of its id, which differs most.
pub fn event(ask: &Ask, id: EventId) -> Markup {
    let text = id.to_string();
    html! { a.id href=(ask.at(&format!("/events/{text}"))) title=(text) { (text.get(..13).unwrap_or(&text)) } }
}

/// A link to a rule.
pub fn rule(ask: &Ask, name: &str) -> Markup {
    html! { a href=(ask.at(&format!("/rules/{}", escaped(name)))) { (brief(name)) } }
}

/// A list of events.
pub fn events(ask: &Ask, all: &[EventLine]) -> Markup {
    html! {
        table.rows {
            thead { tr { th { "Received" } th { "Called" } th { "Answer" } th { "What it did" } th { "Event" } } }
            tbody {
                @for line in all {
                    tr id=(format!("e-{}", line.id)) {
                        td { (time(line.received)) }
                        td.call { span.method { (brief(&line.method)) } " " a href=(ask.at(&format!("/events?address={}", escaped(&line.address)))) { (brief(&line.address)) } @if let Some(sender) = &line.sender { " " span.sender { "from " (brief(sender)) } } @if let Some(around) = &line.excerpt { div.excerpt { (around.before) mark { (around.found) } (around.after) } } }
                        td { (answer(&line.method, line.status)) }
                        td { (became(line)) }
                        td { (event(ask, line.id)) }
                    }
                }
            }
        }
    }
}

/// The conditions of a rule, line by line, with what was found.
pub fn trace(all: &[TraceLine]) -> Markup {
    html! {
        ul.trace {
            @for line in all {
                @let (class, sign) = match line.outcome {
                    Outcome::Yes => ("yes", "✓"),
                    Outcome::No(_) => ("no", "✗"),
                    Outcome::Depends(_) | Outcome::NotKnown(_) => ("unknown", "?"),
                    Outcome::NotLookedAt => ("unknown", "·"),
                };
                li.(class).{ "depth-" (line.depth.min(6)) } {
                    span aria-hidden="true" { (sign) } " " code { (one_line(&line.text)) } " " span.found { (one_line(&line.outcome.text())) }
                }
            }
        }
    }
}

/// A problem of a rule file, as `check` shows it.
pub fn problem(problem: &Problem) -> Markup {
    let (class, word) = match problem.severity {
        Severity::Error => ("bad", "Error"),
        Severity::Warning => ("wait", "Warning"),
        Severity::Note => ("off", "Note"),
    };
    html! {
        div.problem.(class) {
            p { strong { (word) } " in " code { (problem.file) @if problem.line > 0 { ":" (problem.line) } } ": " (problem.message) }
            @if !problem.text.is_empty() {
                pre tabindex="0" { code { (one_line(&problem.text)) "\n" (" ".repeat(problem.column.saturating_sub(1))) ("^".repeat(problem.length.max(1))) " " (problem.help()) } }
            } @else if !problem.help().is_empty() { p { (problem.help()) } }
            @for note in &problem.notes { p.note { (note) } }
        }
    }
}

/// `3 events`, with a thin space where numbers are long.
pub fn count(n: u64, what: &str) -> String {
    number(usize::try_from(n).unwrap_or(usize::MAX), what)
}

/// A button that changes something: a form of its own, so that it works without scripts.
pub fn button(ask: &Ask, to: &str, fields: &[(&str, &str)], words: &str) -> Markup {
    if !ask.may_change() {
        return html! {};
    }
    html! {
        form.inline method="post" action=(ask.at(to)) {
            @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
            button { (words) }
        }
    }
}

/// A text that one copies, with a button for it where scripts run.
pub fn copy(what: &str) -> Markup {
    // What nobody could see in it is not copied either.
    let is_plain = lines(what) == what;
    html! { div.copy { pre { code { (lines(what)) } } @if is_plain { button.quiet type="button" data-copy=(what) hidden { "Copy" } } } }
}
