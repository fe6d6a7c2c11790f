//! `/rules/NAME`: one rule: what it says, and what it did last.

use jiff::Timestamp;
use maud::html;

use crate::operations::{history, hours};
use crate::store::contract::EventFilter;
use crate::web::console::answer::{Answer, Page};
use crate::web::console::ask::{Ask, escaped};
use crate::web::console::bars;
use crate::web::console::draw;
use crate::web::console::fault::Fault;

/// How many events are shown.
const SHOWN: usize = 10;

pub async fn show(ask: &Ask, name: &str) -> Result<Answer, Fault> {
    let rules = ask.console.health.rules.load_full();
    let Some(rule) = rules.ruleset.rules.iter().find(|rule| &*rule.name == name) else {
        return Err(Fault::NotFound(format!("No rule is called “{}”. It may have been renamed, or deleted.", draw::plain(name))));
    };
    let filter = EventFilter { rule: Some(name.to_owned()), ..EventFilter::default() };
    let found = history::search(ask.console.queries.as_ref(), &filter, None, SHOWN).await?;
    let still = html! {
        @if !rule.enabled { p.card.off { "This rule is switched off (" code { "enabled: false" } "), so it does nothing." } }
        p { "In the file " code { (draw::text(&rule.source.name)) } "." }
        (draw::block(rule.own_text()))
    };
    let day = hours::of_rule(ask.console.queries.as_ref(), name, Timestamp::now()).await?;
    let live = html! {
        section {
            h2 { "Last 24 hours" }
            (bars::day(&day))
            p.hint { "Each bar is an hour: full for runs that ended well, empty for events for which it did not run; below the line are failed runs." }
        }
        section {
            h2 { "Latest runs" }
            @if found.events.is_empty() { p.empty { "It has not run yet." } } @else { (draw::events(ask, &found.events)) }
            p { a href=(ask.at(&format!("/events?rule={}", escaped(name)))) { "All events that it ran for" } }
        }
    };
    Ok(Answer::Page(Page::new(draw::plain(name), "/rules", still).live(live)))
}
