//! `/rules/NAME`: one rule: its picture, its text, and what it did last. With `?event=ID`, what it did with that event is lit
//! up in the picture.

use jiff::Timestamp;
use maud::{Markup, html};

use crate::operations::history::{self, ExplainedRun};
use crate::operations::hours;
use crate::operations::schedules::scheduled_rule;
use crate::rule::Rule;
use crate::rule::sentence::Sentence;
use crate::store::contract::EventFilter;
use crate::text::count::number;
use crate::web::console::answer::{Answer, Page};
use crate::web::console::ask::{Ask, escaped, escaped_path};
use crate::web::console::bars;
use crate::web::console::draw;
use crate::web::console::fault::Fault;
use crate::web::console::pages::ring;
use crate::web::console::picture::picture;

/// How many events are shown.
const SHOWN: usize = 10;

pub async fn show(ask: &Ask, name: &str) -> Result<Answer, Fault> {
    let rules = ask.console.health.rules.load_full();
    let Some(rule) = rules.ruleset.rule(name) else {
        return Err(Fault::NotFound(format!("No rule is called “{}”. It may have been renamed, or deleted.", draw::plain(name))));
    };
    let filter = EventFilter { rule: Some(name.to_owned()), ..EventFilter::default() };
    let found = history::search(ask.console.queries.as_ref(), &filter, None, SHOWN).await?;
    let run = run(ask, name).await?;
    let file = ask.console.editor.below(&rule.source.name);
    let still = html! {
        @if !rule.enabled { p.card.off { "This rule is switched off (" code { "enabled: false" } "), so it does nothing." } }
        @if let Some(id) = ask.query("event") { p.hint { "What it did with the event " a href=(ask.at(&format!("/events/{}", escaped(&id)))) { (draw::brief(&id)) } " is lit up." } }
        p.sentence { (draw::text(&Sentence::of(rule, &rules.ruleset.vault).text())) }
        (picture(rule, run.as_ref()))
        @if rule.enabled && ring::sample(ask, rule).is_some() { (draw::button(ask, "/ring", &[("rule", name)], "Send a test event")) }
        @if !rule.tests.is_empty() { p { a.button href=(ask.at(&format!("/rules/{}/test", escaped(name)))) { "Run its " (number(rule.tests.len(), "test")) } } }
        section {
            h2 { "In the file " code { (draw::text(&rule.source.name)) } " " @if let Some(file) = &file { a.button href=(ask.at(&format!("/edit/{}", escaped_path(file)))) { "Edit" } } }
            (draw::block(&to_the_left(rule.own_text())))
        }
    };
    let day = hours::of_rule(ask.console.queries.as_ref(), name, Timestamp::now()).await?;
    let live = html! {
        (by_itself(ask, rule).await?)
        (silence(ask, rule).await?)
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

/// What is known about the silence that a rule waits for.
async fn silence(ask: &Ask, rule: &Rule) -> Result<Markup, Fault> {
    let Some(silence) = rule.silence.as_ref().filter(|_| rule.enabled) else { return Ok(html! {}) };
    let known = ask.console.queries.silences().await?.into_iter().find(|known| known.rule == *rule.name);
    let (last, told) = known.map_or((None, None), |known| (known.last, known.told));
    Ok(html! {
        section {
            h2 { "Starts on silence" }
            p { "When " (draw::text(&silence.said())) "." }
            @match last { Some(last) => p.hint { "Something last came there at " (draw::time(last)) "." }, None => p.hint { "Nothing has come there yet." } }
            @if let Some(told) = told { p.said.bad { "The silence goes on; the rule was started for it at " (draw::time(told)) "." } }
        }
    })
}

/// When a rule starts by itself next, and a button for now.
async fn by_itself(ask: &Ask, rule: &Rule) -> Result<Markup, Fault> {
    let Some(timetable) = rule.timetable.as_ref().filter(|_| rule.enabled) else { return Ok(html! {}) };
    let progress = ask.console.queries.schedules().await?;
    let shown = scheduled_rule(rule, timetable, &progress, Timestamp::now());
    Ok(html! {
        section {
            h2 { "Starts by itself" }
            p { (draw::text(&shown.when)) }
            @if shown.next.is_empty() { p.said.bad { "It never starts: no day is one of its days." } } @else {
                p { "Next: " @for (n, moment) in shown.next.iter().enumerate() { @if n > 0 { ", then " } time { (moment) } } }
            }
            @if let Some(last) = &shown.last { p.hint { "The last start was for " (last) "." } } @else { p.hint { "It has not started by itself yet." } }
            (draw::button(ask, &format!("/rules/{}/start", escaped(&rule.name)), &[], "Start it now"))
        }
    })
}

/// Starts the rule now.
pub async fn start(ask: &Ask, name: &str) -> Result<Answer, Fault> {
    let event = ask.console.start_rule(&ask.visitor, name).await?;
    ask.console.sessions.say(&ask.visitor, "The rule has started. This is what it did.".to_owned());
    Ok(Answer::See(format!("/events/{event}")))
}

/// The lines without the spaces that all of them begin with.
fn to_the_left(text: &str) -> String {
    let depth = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let least = text.lines().filter(|line| !line.trim().is_empty()).map(depth).min().unwrap_or(0);
    text.lines().map(|line| line.get(least..).unwrap_or("")).collect::<Vec<_>>().join("\n")
}

/// What this rule did with the event that the address of the page names.
async fn run(ask: &Ask, name: &str) -> Result<Option<ExplainedRun>, Fault> {
    let Some(id) = ask.query("event") else { return Ok(None) };
    let dossier = ask.console.queries.dossier(ask.event_id(&id).await?).await?;
    let told = ask.explanation(&dossier)?;
    let runs = told.rules.into_iter().flat_map(|rule| rule.runs).chain(told.others);
    Ok(runs.filter(|run| *run.rule == *name).last())
}
