//! `/`: what is going on: what needs a person, and the latest events. On a first start, how to begin.

use jiff::Timestamp;
use maud::{Markup, html};

use crate::operations::history;
use crate::operations::lost_calls::{LostCalls, lost_calls};
use crate::rule::sentence::Sentence;
use crate::store::contract::EventFilter;
use crate::text::count::number;
use crate::web::console::answer::{Answer, Page};
use crate::web::console::ask::{Ask, escaped};
use crate::web::console::draw;
use crate::web::console::fault::Fault;
use crate::web::console::pages::ring;

/// How many events are shown, and how many addresses without a rule.
const SHOWN: usize = 15;
const MOST_LOST: usize = 5;

pub async fn show(ask: &Ask) -> Result<Answer, Fault> {
    let found = history::search(ask.console.queries.as_ref(), &EventFilter::default(), None, SHOWN).await?;
    let failed = ask.console.queries.counts(1_000).await?.failed;
    let unknown = ask.console.rejections.unknown_addresses.lately(Timestamp::now());
    let lost = lost_calls(unknown, &ask.console.health.rules.load().ruleset);
    let live = html! {
        (attention(ask, failed, &lost))
        (others(ask, &lost))
        @if found.events.is_empty() {
            (first_steps(ask))
        } @else {
            section {
                h2 { "Latest events" }
                (draw::events(ask, &found.events))
                p { a href=(ask.at("/events")) { "All events" } }
            }
        }
    };
    Ok(Answer::Page(Page::new("Now", "/", html! {}).live(live)))
}

/// What needs a person, each with the way to it.
fn attention(ask: &Ask, failed: u64, lost: &[LostCalls]) -> Markup {
    let report = ask.console.health.report();
    let nothing = failed == 0
        && lost.iter().all(|one| one.meant.is_none())
        && report.problems.is_empty()
        && report.silent.is_empty()
        && report.wanting.is_empty()
        && report.down.is_empty()
        && !report.cannot_save;
    html! {
        section.attention aria-label="What needs you" {
            @if nothing { p.calm { span aria-hidden="true" { "✓ " } "Nothing needs you." " " (number(report.rules, "rule")) " in use." } }
            @if report.cannot_save {
                p.card.bad { strong { "Doorbell cannot save anything." } " Senders get 503 and try again later. Is the disk of the data folder full, or is its database away? The log says why. " a href=(ask.at("/system")) { "How much is stored" } }
            }
            @if failed > 0 {
                p.card.bad { strong { (draw::count(failed, "run")) " failed." } " " a href=(ask.at("/failed")) { "Look at why, and go on" } }
            }
            @if !report.problems.is_empty() {
                p.card.bad { strong { "The last edit is not in use." } " It has " (number(report.problems.len(), "problem")) "; the rules from before it still run. " a href=(ask.at("/rules")) { "Look at the problems" } }
            }
            @for one in &report.wanting {
                p.card.bad { strong { "The connection " (draw::text(&one.connection)) " needs somebody to look after it." } " " (draw::text(&one.why)) ". What uses it waits. " a href=(ask.at("/waiting")) { "What waits" } }
            }
            @for server in &report.silent {
                p.card.wait { strong { (draw::text(server)) " does not answer." } " Calls to it wait and are tried again by themselves. " a href=(ask.at("/waiting")) { "What waits" } }
            }
            @for one in lost.iter().take(MOST_LOST) {
                @if let Some(meant) = &one.meant {
                    p.card.wait {
                        strong { "Somebody called " code { (draw::brief(&one.unknown.method)) " " (draw::brief(&one.unknown.address)) } "." }
                        " No rule uses this address, so the sender got 404" (times(one)) ". Did you mean " code { (draw::text(meant)) } "? Then correct the address at the sender. " (make(ask, one))
                    }
                }
            }
            @for task in &report.down {
                p.card.bad { strong { "A part of Doorbell crashed:" } " " (task) ". It is being restarted; the log says why." }
            }
        }
    }
}

/// `, 3 times, last at 09:26`
fn times(one: &LostCalls) -> Markup {
    html! { @if one.unknown.calls > 1 { ", " (draw::count(one.unknown.calls, "time")) ", last" } " at " (draw::time(one.unknown.last)) }
}

fn make(ask: &Ask, one: &LostCalls) -> Markup {
    html! { @if ask.may_edit() { a href=(ask.at(&format!("/new?path={}", escaped(&one.unknown.address)))) { "Make a rule for it" } } }
}

/// Other addresses that were called and that no rule uses: many of them are those of strangers who try what there is.
fn others(ask: &Ask, lost: &[LostCalls]) -> Markup {
    let others: Vec<&LostCalls> = lost.iter().filter(|one| one.meant.is_none()).collect();
    html! {
        @if !others.is_empty() {
            details open[others.len() <= 2] {
                summary { @if others.len() == 1 { "An address without a rule was called" } @else { (others.len()) " addresses without a rule were called" } }
                ul { @for one in others.iter().take(MOST_LOST) {
                    li { code { (draw::brief(&one.unknown.method)) " " (draw::brief(&one.unknown.address)) } (times(one)) ". " (make(ask, one)) }
                } }
                @if others.len() > MOST_LOST { p { a href=(ask.at("/senders")) { "All refused requests" } } }
            }
        }
    }
}

/// For somebody who has just started Doorbell.
fn first_steps(ask: &Ask) -> Markup {
    let ruleset = &ask.console.health.rules.load().ruleset;
    let rule = ruleset.rules.iter().find(|r| r.enabled && r.when.iter().any(|w| w.route.placeholders().next().is_none()));
    let url = &ask.console.settings.webhooks;
    html! {
        section {
            h2 { "Nothing has arrived yet" }
            @match rule {
                Some(rule) => {
                    @let path = rule.when.first().map(|w| w.route.text()).unwrap_or("/");
                    p { "This rule waits for a webhook at " code { (url) (path) } ":" }
                    p.sentence { (draw::text(&Sentence::of(rule, &ruleset.vault).text())) }
                    p { "It is called " (draw::rule(ask, &rule.name)) "." }
                    @match ring::sample(ask, rule) {
                        Some((path, body)) => {
                            (draw::button(ask, "/ring", &[("rule", &rule.name)], "Send a test event"))
                            p { "Or send one from a terminal:" }
                            (draw::copy(&format!("curl {url}{path} -H 'content-type: application/json' -d '{}'", body.replace('\'', "'\\''"))))
                        },
                        None => p { "Let its sender send something." },
                    }
                    p { "What arrives appears here within a second." }
                },
                None => {
                    p { "No rule is switched on yet." }
                    @if ask.may_edit() { p { a.button.primary href=(ask.at("/new")) { "Make the first rule" } } }
                },
            }
        }
    }
}
