//! `/failed`: the runs that failed for good, gathered by rule, step and reason; one button for all of a group.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use maud::{Markup, html};
use tokio::time::{Instant, sleep, sleep_until};

use crate::model::event::EventId;
use crate::operations::command::{Command, Done};
use crate::operations::failures::{FailureGroup, groups};
use crate::operations::open_runs::FailedRun;
use crate::text::count::number;
use crate::web::console::Console;
use crate::web::console::answer::{Answer, Page};
use crate::web::console::ask::{Ask, escaped};
use crate::web::console::bulk::{self, Progress};
use crate::web::console::draw;
use crate::web::console::fault::Fault;
use crate::web::console::session::Visitor;

/// How many failed runs are looked at, and how many events of a group are shown.
const MOST: usize = 10_000;
const SHOWN: usize = 5;
/// How many events a second may go on, by choice: servers that were down need time.
const RATES: [u32; 4] = [5, 20, 100, 500];
const USUAL_RATE: u32 = 20;

pub async fn show(ask: &Ask) -> Result<Answer, Fault> {
    let runs = runs(ask).await?;
    let found = groups(&runs);
    let live = html! {
        @if let Some(progress) = ask.console.bulk.progress(std::time::Instant::now()) { (going_on(ask, &progress)) }
        @if found.is_empty() { p.calm { span aria-hidden="true" { "✓ " } "No run has failed." } } @else {
            p { (number(runs.len(), "failed run")) " in " (number(found.len(), "group")) @if runs.len() == MOST { ", of the " (MOST) " that failed last" } ". "
                a href=(ask.at(&export(ask))) { "Save the list" } }
            @for group in &found { (drawn(ask, group)) }
        }
    };
    Ok(Answer::Page(Page::new("Failed", "/failed", html! {}).live(live)))
}

/// The failed runs that the address of the page names.
async fn runs(ask: &Ask) -> Result<Vec<FailedRun>, Fault> {
    let mut runs = ask.failed_runs(MOST).await?;
    if let Some(rule) = ask.query("rule") {
        runs.retain(|run| *run.rule == *rule);
    }
    Ok(runs)
}

fn export(ask: &Ask) -> String {
    ask.query("rule").map_or_else(|| "/failed.jsonl".to_owned(), |rule| format!("/failed.jsonl?rule={}", escaped(&rule)))
}

fn drawn(ask: &Ask, group: &FailureGroup) -> Markup {
    html! {
        section.group id=(format!("g-{}", group.key)) {
            h2 { (draw::rule(ask, &group.rule)) " " span.state.bad { span aria-hidden="true" { "✗" } " " (number(group.runs, "run")) } }
            p { @if group.at_step.is_empty() { "Failed before the first step: " } @else { "Failed at step " (group.at_step) ": " } code { (draw::text(&group.why)) } }
            p.hint { "Between " (draw::time(group.first)) " and " (draw::time(group.last)) }
            @if ask.may_change() {
                form.inline method="post" action=(ask.at("/failed/go-on")) {
                    input type="hidden" name="group" value=(group.key);
                    button.primary { "Go on with " @if group.runs == 1 { "it" } @else { "all " (group.runs) } }
                    @if group.runs > 1 {
                        label { " at most "
                            select name="rate" { @for rate in RATES { option value=(rate) selected[rate == USUAL_RATE] { (rate) " a second" } } }
                        }
                    }
                }
            }
            details {
                summary { "Events" }
                ul { @for event in group.events.iter().rev().take(SHOWN) { li { (draw::event(ask, *event)) } } }
                @if group.events.len() > SHOWN {
                    p { a href=(ask.at(&format!("/events?outcome=failed&rule={}", escaped(&group.rule)))) { "All events of this rule with a failed run" } }
                }
            }
        }
    }
}

/// How far the runs are that go on.
fn going_on(ask: &Ask, progress: &Progress) -> Markup {
    let class = match (progress.failed.is_some(), progress.done == progress.total) {
        (true, _) => "bad",
        (false, true) => "good",
        (false, false) => "wait",
    };
    html! {
        div.card.(class) role="status" {
            p {
                @match (&progress.failed, progress.is_stopped, progress.is_over()) {
                    (Some(why), ..) => { strong { "Stopped: " } (why) " " },
                    (None, true, _) => { strong { "Stopped. " } },
                    (None, false, true) => { strong { "All go on from the step that failed. " } },
                    (None, false, false) => { strong { "Going on from the step that failed … " } },
                }
                (progress.done) " of " (number(progress.total, "event")) " of “" (draw::brief(&progress.rule)) "”, " (number(progress.runs, "run")) "."
            }
            progress max=(progress.total) value=(progress.done) { (progress.done) " of " (progress.total) }
            @if !progress.is_over() { " " (draw::button(ask, "/failed/stop", &[], "Stop")) }
        }
    }
}

pub async fn begin(ask: &Ask) -> Result<Answer, Fault> {
    let key = ask.must("group")?;
    let rate = ask.field("rate").and_then(|rate| rate.parse().ok()).unwrap_or(USUAL_RATE);
    let found = groups(&ask.failed_runs(MOST).await?);
    let group = found.into_iter().find(|group| group.key == key);
    let refused = match group.map(|group| go_on(&ask.console, &ask.visitor, &group.rule, group.events, rate)) {
        None => Some("Nothing of this group is left: its runs go on already."),
        // The page shows how far they are.
        Some(true) => None,
        Some(false) => Some("Others are going on at this moment; wait until they are through, or stop them."),
    };
    if let Some(said) = refused {
        ask.console.sessions.say(&ask.visitor, said.to_owned());
    }
    Ok(Answer::See("/failed".to_owned()))
}

/// Goes on with the failed runs of a rule for these events, oldest first, `rate` events a second, until somebody stops it.
/// Returns whether it has begun.
fn go_on(console: &Arc<Console>, visitor: &Visitor, rule: &str, events: Vec<EventId>, rate: u32) -> bool {
    if events.is_empty() || !console.bulk.begin(rule, events.len()) {
        return false;
    }
    let (console, visitor, rule) = (console.clone(), visitor.clone(), rule.to_owned());
    tokio::spawn(async move {
        let pace = Duration::from_secs(1) / rate.max(1);
        let mut next = Instant::now();
        for event in events {
            sleep_until(next).await;
            next += pace;
            let done = console.perform(&visitor, Command::Replay { event, rule: Some(rule.clone()) }).await;
            let goes_on = console.bulk.change(|progress| match done {
                Ok(Done::Runs(runs)) => (progress.done, progress.runs) = (progress.done + 1, progress.runs + runs),
                Ok(_) => progress.done += 1,
                Err(fault) => progress.failed = Some(fault.said().to_owned()),
            });
            if !goes_on {
                break;
            }
        }
        // Then the end of it is not shown any more.
        sleep(bulk::SHOWN).await;
        console.store.news().tell();
    });
    true
}

pub fn stop(ask: &Ask) -> Answer {
    ask.console.bulk.stop();
    Answer::See("/failed".to_owned())
}

/// The list as lines of JSON.
pub async fn save(ask: &Ask) -> Result<Answer, Fault> {
    let mut text = String::new();
    for run in runs(ask).await? {
        text += &serde_json::to_string(&run).map_err(|e| Fault::Failed(e.to_string()))?;
        text.push('\n');
    }
    Ok(Answer::File {
        name: "failed.jsonl".to_owned(),
        kind: "application/x-ndjson",
        size: text.len() as u64,
        body: Full::new(Bytes::from(text)).boxed_unsync(),
    })
}
