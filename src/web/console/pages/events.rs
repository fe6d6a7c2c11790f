//! `/events`: every event, newest first, with filters that are part of the address of the page.

use jiff::Timestamp;
use maud::{Markup, html};

use crate::operations::history::EventSearch;
use crate::operations::outcomes::{OUTCOMES, outcome};
use crate::store::contract::{Cursor, EventFilter};
use crate::web::console::answer::{Answer, Page};
use crate::web::console::ask::{Ask, escaped};
use crate::web::console::draw;
use crate::web::console::fault::Fault;

/// How many events one page shows.
const SHOWN: usize = 50;

pub async fn show(ask: &Ask) -> Result<Answer, Fault> {
    let (filter, from) = filter_of(ask)?;
    let found = ask.events(&filter, from, SHOWN).await?;
    let list = html! {
        @if found.events.is_empty() { p.empty { "No event fits." } } @else { (draw::events(ask, &found.events)) }
        (more(ask, &found))
    };
    let page = Page::new("Events", "/events", filters(ask));
    // Whoever looks back does not want the list to move.
    let is_latest = from.is_none() && filter.before.is_none();
    Ok(Answer::Page(if is_latest { page.live(list) } else { page.below(list) }))
}

/// The filter in the address of the page, and where to go on.
pub fn filter_of(ask: &Ask) -> Result<(EventFilter, Option<Cursor>), Fault> {
    let became = match ask.query("outcome") {
        None => None,
        Some(word) => Some(outcome(&word).ok_or_else(|| Fault::Bad(format!("There is no outcome called “{word}”.")))?),
    };
    let before = match ask.query("before") {
        None => None,
        Some(text) => {
            Some(moment(&text).ok_or_else(|| Fault::Bad(format!("“{text}” is not a time; write 2026-03-14 or 2026-03-14 09:30.")))?)
        }
    };
    if ask.query("text").is_some() {
        ask.must_show_bodies()?;
    }
    let from = match ask.query("from") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| Fault::Bad("This link is not complete.".to_owned()))?),
    };
    Ok((EventFilter { address: ask.query("address"), rule: ask.query("rule"), became, text: ask.query("text"), before }, from))
}

/// A moment as people type it, in UTC: a day, or a day and a time.
fn moment(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let text = text.replace('T', " ");
    let whole = match text.len() {
        10 => format!("{text} 00:00:00"),
        16 => format!("{text}:00"),
        _ => text,
    };
    let civil = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", &whole).ok()?;
    civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

fn filters(ask: &Ask) -> Markup {
    let ruleset = &ask.console.health.rules.load().ruleset;
    let (address, rule, chosen) = (ask.query("address"), ask.query("rule"), ask.query("outcome"));
    let text = |name: &str| ask.query(name).unwrap_or_default();
    html! {
        form.filters method="get" action=(ask.at("/events")) role="search" {
            label { "Address " input name="address" value=[&address] list="addresses" placeholder="/orders"; }
            datalist #addresses { @for known in &ruleset.addresses { option value=(known.route.text()) {} } }
            label { "Rule "
                select name="rule" {
                    option value="" { "any" }
                    @for known in &ruleset.rules { option value=(known.name) selected[rule.as_deref() == Some(&*known.name)] { (draw::brief(&known.name)) } }
                    @if let Some(rule) = rule.as_deref().filter(|rule| ruleset.rules.iter().all(|known| &*known.name != *rule)) {
                        option value=(rule) selected { (draw::brief(rule)) }
                    }
                }
            }
            label { "Outcome "
                select name="outcome" {
                    option value="" { "any" }
                    @for (word, shown, _) in OUTCOMES { option value=(word) selected[chosen.as_deref() == Some(word)] { (shown) } }
                }
            }
            @if ask.shows_bodies() { label { "Text in the body " input name="text" value=(text("text")); } }
            label { "Before (UTC) " input name="before" value=(text("before")) placeholder="2026-03-14 09:30" size="16"; }
            button.primary { "Search" }
            @if !ask.query.is_empty() { a href=(ask.at("/events")) { "Show all" } }
        }
    }
}

/// How far the search came, and the link that goes on.
fn more(ask: &Ask, found: &EventSearch) -> Markup {
    let Some(next) = found.next else { return html! { p.more { "These are all." } } };
    let kept: Vec<String> = ["address", "rule", "outcome", "text", "before"]
        .into_iter()
        .filter_map(|name| Some(format!("{name}={}", escaped(&ask.query(name)?))))
        .chain([format!("from={next}")])
        .collect();
    html! {
        p.more {
            @if let Some(back_to) = found.back_to { "Looked through " (draw::count(found.looked as u64, "event")) ", back to " (draw::time(back_to)) ". " }
            a rel="next" href=(ask.at(&format!("/events?{}", kept.join("&")))) { "Older events" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_type_them() {
        for text in ["2026-03-14 09:30", "2026-03-14T09:30", "2026-03-14 09:30:00", "2026-03-14T09:30:00Z", "2026-03-14T10:30:00+01:00"] {
            assert_eq!(moment(text).map(|at| at.to_string()).as_deref(), Some("2026-03-14T09:30:00Z"), "{text}");
        }
        assert_eq!(moment("2026-03-14").map(|at| at.to_string()).as_deref(), Some("2026-03-14T00:00:00Z"));
        for text in ["", "today", "14.03.2026", "2026-13-14", "2026-03-14 25:00"] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}
