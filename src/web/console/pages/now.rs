//! `/`: what is going on: what needs a person, and the latest events. On a first start, how to begin.

use maud::{Markup, html};

use crate::operations::history;
use crate::store::contract::EventFilter;
use crate::text::count::number;
use crate::web::console::answer::{Answer, Page};
use crate::web::console::ask::Ask;
use crate::web::console::draw;
use crate::web::console::fault::Fault;
use crate::web::console::pages::ring;

/// How many events are shown.
const SHOWN: usize = 15;

pub async fn show(ask: &Ask) -> Result<Answer, Fault> {
    let found = history::search(ask.console.queries.as_ref(), &EventFilter::default(), None, SHOWN).await?;
    let failed = ask.console.queries.counts(1_000).await?.failed;
    let live = html! {
        (attention(ask, failed))
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
fn attention(ask: &Ask, failed: u64) -> Markup {
    let report = ask.console.health.report();
    let nothing = failed == 0 && report.problems.is_empty() && report.silent.is_empty() && report.down.is_empty();
    html! {
        section.attention aria-label="What needs you" {
            @if nothing { p.calm { span aria-hidden="true" { "✓ " } "Nothing needs you." " " (number(report.rules, "rule")) " in use." } }
            @if failed > 0 {
                p.card.bad { strong { (draw::count(failed, "run")) " failed." } " " a href=(ask.at("/failed")) { "Look at why, and go on" } }
            }
            @if !report.problems.is_empty() {
                p.card.bad { strong { "The last edit is not in use." } " It has " (number(report.problems.len(), "problem")) "; the rules from before it still run. " a href=(ask.at("/rules")) { "Look at the problems" } }
            }
            @for server in &report.silent {
                p.card.wait { strong { (draw::text(server)) " does not answer." } " Calls to it wait and are tried again by themselves. " a href=(ask.at("/waiting")) { "What waits" } }
            }
            @for task in &report.down {
                p.card.bad { strong { "A part of Doorbell crashed:" } " " (task) ". It is being restarted; the log says why." }
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
                    p.sentence { (draw::rule(ask, &rule.name)) }
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
