//! `/events/ID`: one event: what arrived, what every rule made of it and why, and what can be done about it. Also a request
//! that was refused, by the id that its sender got.

use maud::{Markup, html};
use serde_json::Value;

use crate::engine::intake::rejections::Rejection;
use crate::model::bodies::Bodies;
use crate::model::event::Event;
use crate::model::origin::{Origin, is_request};
use crate::model::run::State;
use crate::model::unfinished::{Summary, listed};
use crate::operations::command::{Command, Done};
use crate::operations::dry_run::{Answers, Preview, preview};
use crate::operations::history::{self, ExplainedAttempt, ExplainedRule, ExplainedRun, Explanation, Found, Wait};
use crate::store::contract::{Dossier, WaitingRuns};
use crate::text::count::number;
use crate::text::printable::{one_line, short};
use crate::web::console::answer::{Answer, Page};
use crate::web::console::ask::{Ask, escaped, escaped_path};
use crate::web::console::draw;
use crate::web::console::fault::Fault;
use crate::web::console::pages::ring;
use crate::web::console::preview;

/// The most values of a body that are shown as a tree, the longest of them in characters, and the most of the body as text.
const MOST_VALUES: usize = 500;
const LONGEST_VALUE: usize = 300;
const LONGEST_BODY: usize = 100_000;

/// Headers that a client sets by itself.
const LEFT_OUT: [&str; 7] = ["host", "content-length", "connection", "user-agent", "accept", "accept-encoding", "transfer-encoding"];

pub async fn show(ask: &Ask, id: &str) -> Result<Answer, Fault> {
    let dossier = match history::find(ask.console.queries.as_ref(), &ask.console.data, id).await {
        Ok(Found::Event(dossier)) => dossier,
        Ok(Found::Rejection(rejection)) => return Ok(Answer::Page(refused(ask, &rejection))),
        Err(e) => return Err(Fault::no_event(id, &e.to_string())),
    };
    let told = ask.explanation(&dossier)?;
    let sent = sent(ask, &dossier).await;
    let live = html! {
        (deeds(ask, &told))
        p.summary {
            (draw::time(told.received)) " · " span.method { (draw::brief(&told.method)) } " " code { (draw::brief(&told.address)) }
            @if let Some(sender) = &told.sender { " · from " strong { (draw::brief(sender)) } }
            @if !is_request(&told.method) { " · started by itself" } @else { " · answered " (draw::status(told.status)) }
            " · " (told.ran) " of " (number(told.total, "rule")) " ran"
        }
        @for rule in &told.rules { (explained(ask, &told, rule, sent.as_ref())) }
        @for run in &told.others { section.rule { h2 { (draw::rule(ask, &run.rule)) } (drawn(ask, &told, run)) } }
        @if !told.is_readable {
            p.note { "The rule files from that time cannot be read any more, so Doorbell cannot show why other rules did not run." }
        }
    };
    let after_test = html! { @if let Some(rule) = ask.query("tested") { (ring::next(ask, &rule)) } };
    let page = Page::new(format!("Event {}", id_of(&told)), "/events", after_test).live(live);
    Ok(Answer::Page(page.below(request(ask, &dossier))))
}

fn id_of(told: &Explanation) -> String {
    told.event.to_string()
}

/// What can be done with the event as a whole.
fn deeds(ask: &Ask, told: &Explanation) -> Markup {
    let runs = || told.rules.iter().flat_map(|rule| &rule.runs).chain(&told.others);
    let id = id_of(told);
    html! {
        div.deeds {
            @if runs().any(|run| run.state == State::Failed) {
                (draw::button(ask, &format!("/events/{id}/replay"), &[], "Go on from the failed step"))
            }
            @if runs().any(|run| run.state == State::Waiting) {
                (draw::button(ask, &format!("/events/{id}/cancel"), &[], "Cancel what waits"))
            }
            @if ask.shows_bodies() { a.button href=(ask.at(&format!("/events/{id}/today"))) { "What would today's rules do?" } }
            @if ask.may_edit() && ask.shows_bodies() && is_request(&told.method) { a.button href=(ask.at(&format!("/new?event={id}"))) { "Make a rule from this event" } }
        }
    }
}

/// What the steps of the rules of then send, worked out again; nothing where bodies are hidden.
async fn sent(ask: &Ask, dossier: &Dossier) -> Option<Preview> {
    if dossier.runs.is_empty() {
        return None;
    }
    let (console, texts, event) = (ask.console.clone(), dossier.texts.clone(), ask.content(dossier.event.id).await.ok()?);
    let work = move || preview(&console.editor.of_then(&texts)?, &event, None, Answers::InOrder(&[])).ok();
    tokio::task::spawn_blocking(work).await.ok().flatten()
}

/// What a rule did with the event; `sent` is what its steps send, where that is to be shown.
pub fn explained(ask: &Ask, told: &Explanation, rule: &ExplainedRule, sent: Option<&Preview>) -> Markup {
    let sent = sent.and_then(|sent| sent.rules.iter().find(|sent| sent.rule == rule.rule)).filter(|sent| !sent.steps.is_empty());
    html! {
        section.rule {
            h2 { a href=(ask.at(&format!("/rules/{}?event={}", escaped(&rule.rule), told.event))) { (draw::brief(&rule.rule)) } }
            @for run in &rule.runs { (drawn(ask, told, run)) }
            @if rule.runs.is_empty() {
                p { span.state.off { span aria-hidden="true" { "–" } " did not run" } }
                (draw::trace(&rule.trace))
            } @else if rule.is_else {
                p { "Its " code { "else:" } " ran, because its " code { "if:" } " was not true:" }
                (draw::trace(&rule.trace))
            } @else if !rule.trace.is_empty() {
                details { summary { "Why it ran" } (draw::trace(&rule.trace)) }
            }
            @if let Some(keep) = keep(ask, told, rule) { p { a href=(keep) { "Keep this event as a test of the rule" } } }
            @if let Some(sent) = sent.filter(|_| !rule.runs.is_empty()) {
                details {
                    summary { "What its steps send" }
                    p.hint { "Reconstructed from the event and the rules of then. The name of a secret is shown in place of its value, and answers of other apps are not known." }
                    (preview::steps(sent, None))
                }
            }
        }
    }
}

/// The page where this event becomes a test of the rule, if its file can be edited here.
fn keep(ask: &Ask, told: &Explanation, rule: &ExplainedRule) -> Option<String> {
    let rules = ask.console.health.rules.load();
    let found = rules.ruleset.rule(&rule.rule).filter(|_| ask.may_edit() && ask.shows_bodies())?;
    let file = ask.console.editor.below(&found.source.name)?;
    Some(ask.at(&format!("/edit/{}?keep={}&rule={}", escaped_path(&file), told.event, escaped(&rule.rule))))
}

fn drawn(ask: &Ask, told: &Explanation, run: &ExplainedRun) -> Markup {
    let id = id_of(told);
    let words = match &run.elements {
        Some(all) if !all.failed.is_empty() => "Go on with the failed elements",
        _ => "Go on from this step",
    };
    html! {
        div.run {
            p {
                (draw::state(run.state))
                @match run.state {
                    State::Done | State::Handled => { " · " (number(run.steps, "step")) " in " (draw::took(run.took_ms)) },
                    State::FailedForCaller if !run.step.is_empty() => { " at step " (run.step) },
                    State::FailedForCaller => { " before its first step" },
                    State::Failed if run.step.is_empty() => { " before its first step" },
                    State::Failed => { " at step " (run.step) @if let Some(all) = &run.elements { (elements(all)) } },
                    State::Cancelled => { " at step " (run.step) },
                    State::Repeated => { ": its " code { "once_per" } " value was there before" },
                    State::Waiting => { " · " (waits(run.waits.as_ref())) ", at step " (run.step) @if let Some(all) = &run.elements { (elements(all)) } },
                }
                @if run.replays > 0 { " · replayed " (number(run.replays as usize, "time")) }
            }
            @if !run.attempts.is_empty() { ol.attempts { @for attempt in &run.attempts { (tried(attempt)) } } }
            @for called in &run.called {
                div.called {
                    p { "Step " (called.step) @if let Some(element) = called.element { ", element " (element) } " called " (draw::rule(ask, &called.run.rule)) ":" }
                    (drawn(ask, told, &called.run))
                }
            }
            @if run.state == State::Failed { (draw::button(ask, &format!("/events/{id}/replay"), &[("rule", &run.rule)], words)) }
            @if run.state == State::Waiting { (draw::button(ask, &format!("/events/{id}/cancel"), &[("rule", &run.rule)], "Cancel this run")) }
        }
    }
}

/// The unfinished elements of a list: `: 2 of 7 elements failed (2, 5)`.
fn elements(all: &Summary) -> Markup {
    let Summary { failed, waiting, of } = all;
    html! {
        @if !failed.is_empty() {
            ": " (failed.len()) @if *of > 0 { " of " (number(*of as usize, "element")) } " failed (" (listed(failed)) ")"
        }
        @if *waiting > 1 { @if failed.is_empty() { ": " } @else { ", " } (number(*waiting, "element")) " wait" }
    }
}

/// What a waiting run waits for.
pub fn waits(wait: Option<&Wait>) -> Markup {
    html! {
        @match wait {
            Some(Wait::Retry { due, number }) => { "waits until " (draw::time(*due)) " for try " (number) },
            Some(Wait::Pause { due }) => { "waits until " (draw::time(*due)) ", because calls to its server are paused" },
            Some(Wait::Until { due }) => { "waits until " (draw::time(*due)) },
            Some(Wait::Called) => { "waits for a rule that it called" },
            Some(Wait::Turn) => { "waits for its turn (one_at_a_time)" },
            Some(Wait::InHand) => { "is running" },
            Some(Wait::Worker) | None => { "is about to run" },
        }
    }
}

fn tried(attempt: &ExplainedAttempt) -> Markup {
    let (class, sign) = match attempt.outcome.as_str() {
        "done" | "stopped" => ("good", "✓"),
        "failed" => ("bad", "✗"),
        "retry" | "paused" => ("wait", "↻"),
        _ => ("off", "–"),
    };
    html! {
        li.(class) {
            span.sign aria-hidden="true" { (sign) } " "
            @if !attempt.step.is_empty() { strong { (attempt.step) ". " (draw::brief(&attempt.title)) } }
            @if let Some(element) = attempt.element { ", element " (element) }
            @if attempt.number > 1 { ", try " (attempt.number) }
            " " span.outcome { (attempt.outcome) } " "
            span.when { (draw::time(attempt.at)) ", " (draw::took(attempt.took_ms)) }
            @if !attempt.said.is_empty() { div.said-by { (draw::text(&attempt.said)) } }
            @if let Some(bodies) = &attempt.bodies { (kept(bodies)) }
        }
    }
}

/// What was sent and what came back, where the step keeps that.
fn kept(bodies: &Bodies) -> Markup {
    let whole = |body: &str| match body.is_empty() {
        true => html! { p { "Nothing." } },
        false => draw::block(&short_lines(body)),
    };
    html! {
        details {
            summary { "What was sent and what came back" }
            h3 { "Sent" }
            (whole(&bodies.sent))
            h3 { "Came back" }
            @match &bodies.answered {
                Some(answered) => (whole(answered)),
                None => p { "There was no answer." },
            }
        }
    }
}

/// The request, as it arrived.
fn request(ask: &Ask, dossier: &Dossier) -> Markup {
    let event = &dossier.event;
    let vault = ask.console.health.rules.load().ruleset.vault.clone();
    let hidden = !ask.shows_bodies();
    html! {
        section.request {
            @if !event.is_request() { h2 { (what_it_was(event)) } } @else { h2 { "What arrived" } }
            @if hidden {
                p.note { "Bodies, headers and queries are hidden in this console." }
            } @else {
                @if !event.query.is_empty() { p { "Query: " code { (draw::text(&vault.strike(&event.query))) } } }
                (body(event, &vault))
                @if event.is_request() { (curl(ask, event, &vault)) details {
                    summary { (number(event.headers.len(), "header")) ", from " (event.ip) }
                    table.pairs { @for (name, value) in &event.headers {
                        tr { th { (field(&format!("header.{name}"), name)) } td { (draw::text(&vault.strike(value))) } }
                    } }
                } }
            }
        }
    }
}

/// The request as a command that sends it again.
fn curl(ask: &Ask, event: &Event, vault: &crate::secret::Vault) -> Markup {
    let quoted = |text: &str| format!("'{}'", vault.strike(text).replace('\'', "'\\''"));
    let query = if event.query.is_empty() { String::new() } else { format!("?{}", event.query) };
    let path = percent_encoding::utf8_percent_encode(&event.address, crate::text::percent::SEGMENT).to_string().replace("%2F", "/");
    let mut command = format!("curl -X {} {}", event.method, quoted(&format!("{}{path}{query}", ask.console.settings.webhooks)));
    for (name, value) in event.headers.iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str())) {
        command += &format!(" \\\n  -H {}", quoted(&format!("{name}: {value}")));
    }
    let is_text = std::str::from_utf8(&event.raw).is_ok_and(|text| !text.contains('\0'));
    if is_text && !event.raw.is_empty() && event.raw.len() <= LONGEST_BODY {
        command += &format!(" \\\n  --data-binary {}", quoted(&String::from_utf8_lossy(&event.raw)));
    }
    html! { @if is_text { details { summary { "As a command for a terminal" } (draw::copy(&command)) } } }
}

fn body(event: &Event, vault: &crate::secret::Vault) -> Markup {
    if event.raw.is_empty() {
        return html! { p { "The body is empty." } };
    }
    let raw = String::from_utf8_lossy(&event.raw);
    let mut left = MOST_VALUES;
    html! {
        @if event.body.is_object() || event.body.is_array() {
            p.hint { "Click a field to copy its name for a rule." }
            div.tree { (tree("body", &vault.strike_value(event.body.clone()), &mut left)) }
            @if left == 0 { p.note { "Only the first " (MOST_VALUES) " values are shown." } }
        }
        details open[!(event.body.is_object() || event.body.is_array())] {
            summary { "Exactly as it arrived, " (number(event.raw.len(), "byte")) }
            (draw::block(&short_lines(&vault.strike(&raw))))
        }
    }
}

fn short_lines(text: &str) -> String {
    match text.char_indices().nth(LONGEST_BODY) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A value and everything in it, each with the name that rules use for it.
fn tree(path: &str, value: &Value, left: &mut usize) -> Markup {
    let mut children: Vec<(String, String, &Value)> = Vec::new();
    match value {
        Value::Object(map) => children.extend(map.iter().map(|(name, value)| (name.clone(), member(path, name), value))),
        Value::Array(list) => children.extend(list.iter().enumerate().map(|(n, value)| (n.to_string(), format!("{path}[{n}]"), value))),
        _ => {}
    }
    html! {
        ul {
            @for (name, path, value) in &children {
                @if takes_one(left) {
                    li {
                        (field(path, name)) ": "
                        @match value {
                            Value::Object(map) if map.is_empty() => span.value { "{}" },
                            Value::Array(list) if list.is_empty() => span.value { "[]" },
                            Value::Object(_) | Value::Array(_) => (tree(path, value, left)),
                            Value::String(text) => span.value.text { "\"" (short(text, LONGEST_VALUE)) "\"" },
                            other => span.value { (other.to_string()) },
                        }
                    }
                }
            }
        }
    }
}

/// A name that is copied as rules write it; not one with characters that nobody could see in a rule.
fn field(path: &str, name: &str) -> Markup {
    html! {
        @if one_line(path) == path { button.field type="button" data-copy=(path) title=(path) { (name) } }
        @else { (one_line(name)) }
    }
}

/// Counts down to zero; whether there was one left.
fn takes_one(left: &mut usize) -> bool {
    let before = *left;
    *left = before.saturating_sub(1);
    before > 0
}

/// The name of a member, as rules write it.
fn member(path: &str, name: &str) -> String {
    let is_plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if is_plain { format!("{path}.{name}") } else { format!("{path}['{name}']") }
}

fn refused(ask: &Ask, rejection: &Rejection) -> Page {
    let Rejection { id, at, ip, method, address, status, why } = rejection;
    let still = html! {
        p.summary { (draw::time(*at)) " · " span.method { (draw::brief(method)) } " " code { (draw::brief(address)) } " · from " (ip) " · answered " (draw::status(Some(*status))) }
        p.said.bad { "It was not accepted: " (draw::text(why)) }
        @if let Some(sent) = ask.refused_request(id) {
            (draw::button(ask, "/senders", &[("refused", id)], "Check the signature"))
            section {
                h2 { "What arrived" }
                p.hint { "Kept in memory, because Doorbell runs with --keep-refused bodies." }
                (draw::block(&short_lines(&String::from_utf8_lossy(&sent.body))))
                table.pairs { @for (name, value) in &sent.headers { tr { th { (draw::text(name)) } td { (draw::text(value)) } } } }
            }
        }
    };
    Page::new(format!("Request {id}"), "/events", still)
}

pub async fn replay(ask: &Ask, id: &str) -> Result<Answer, Fault> {
    let event = ask.event_id(id).await?;
    let done = ask.console.perform(&ask.visitor, Command::Replay { event, rule: ask.field("rule") }).await?;
    let said = match done {
        Done::Runs(0) => "No failed run was left: somebody else was faster.".to_owned(),
        Done::Runs(runs) => {
            format!("{} on from the failed step.", if runs == 1 { "One run goes".to_owned() } else { format!("{runs} runs go") })
        }
        _ => String::new(),
    };
    ask.console.sessions.say(&ask.visitor, said);
    Ok(Answer::See(format!("/events/{}", escaped(id))))
}

pub async fn cancel(ask: &Ask, id: &str) -> Result<Answer, Fault> {
    let event = ask.event_id(id).await?;
    let done = ask.console.perform(&ask.visitor, Command::Cancel(WaitingRuns { event: Some(event), rule: ask.field("rule") })).await?;
    let said = match done {
        Done::Cancelled(cancelled) if cancelled.busy > 0 => {
            format!("{} cancelled; {} being done at this moment, and cannot be stopped.", number(cancelled.runs, "run"), cancelled.busy)
        }
        Done::Cancelled(cancelled) => format!("{} cancelled.", number(cancelled.runs, "run")),
        _ => String::new(),
    };
    ask.console.sessions.say(&ask.visitor, said);
    Ok(Answer::See(format!("/events/{}", escaped(id))))
}

/// What an event was that is no request.
fn what_it_was(event: &Event) -> &'static str {
    match event.origin() {
        Origin::Failure(_) => "The failure",
        Origin::Silence(_) => "The silence",
        Origin::Moment(_) | Origin::Request => "The moment",
    }
}
