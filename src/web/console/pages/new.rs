//! `/new`: the ways to a new rule: a recipe, the first webhook of an app, an empty file.

use std::time::Instant;

use maud::{Markup, html};

use crate::engine::intake::catcher::PATIENCE;
use crate::operations::drafts;
use crate::operations::history;
use crate::operations::neighbours::Neighbours;
use crate::operations::recipes;
use crate::route::Route;
use crate::store::contract::EventFilter;
use crate::web::console::answer::{Answer, Page};
use crate::web::console::ask::{Ask, escaped, escaped_path};
use crate::web::console::draw;
use crate::web::console::fault::Fault;

/// How many of the webhooks that arrived are shown.
const SHOWN: usize = 5;

pub async fn show(ask: &Ask) -> Result<Answer, Fault> {
    if let Some(id) = ask.query("event") {
        let event = ask.content(ask.event_id(&id).await?).await?;
        let name = ask.console.editor.free_name(&drafts::draft(&event.into(), "", &Neighbours::default()).file);
        return Ok(Answer::See(format!("/edit/{}?event={}", escaped_path(&name), escaped(&id))));
    }
    let still = html! {
        section {
            h2 { "Wait for the first webhook" }
            p { "Choose an address, paste it at your app, and let the app send something. Doorbell drafts a rule from what really arrives." }
            form.stack method="post" action=(ask.at("/new")) {
                label for="path" { "Address" }
                div.with-button {
                    span.prefix { code { (ask.console.settings.webhooks) } }
                    input #path name="path" required pattern="/.*" placeholder="/my-app" value=(ask.query("path").as_deref().unwrap_or("/"));
                    button.primary name="do" value="wait" { "Wait here" }
                }
            }
        }
        section {
            h2 { "Start from a recipe" }
            p { (recipes::all().len()) " rules for common apps, with comments and tests." }
            (super::recipes::search(ask, ""))
            (super::recipes::popular(ask))
            p.more { a href=(ask.at("/recipes")) { "All recipes, by theme" } }
        }
        section {
            h2 { "Start from nothing" }
            form.stack method="post" action=(ask.at("/new")) {
                label for="name" { "Name of the file" }
                div.with-button {
                    input #name name="name" required pattern="[^\\/.][^\\/]*" placeholder="my-app";
                    span.prefix { code { ".yaml" } }
                    button name="do" value="empty" { "Begin" }
                }
            }
        }
    };
    Ok(Answer::Page(Page::new("New rule", "/rules", still)))
}

pub async fn begin(ask: &Ask) -> Result<Answer, Fault> {
    if let Some(recipe) = ask.field("recipe") {
        let found = recipes::find(&recipe).map_err(Fault::NotFound)?;
        let name = ask.console.editor.free_name(&found.file());
        return Ok(Answer::See(format!("/edit/{}?recipe={}", escaped_path(&name), escaped(&recipe))));
    }
    if ask.field("do").as_deref() == Some("wait") {
        let path = ask.must("path")?;
        let route = Route::read(&path).map_err(|no| Fault::Bad(format!("“{}”: {}; {}.", draw::plain(&path), no.message, no.label)))?;
        if route.placeholders().next().is_some() {
            return Err(Fault::Bad("Wait at one address, without { }.".to_owned()));
        }
        ask.console.intake.catcher.wait_at(route, Instant::now());
        return Ok(Answer::See(format!("/new/wait?path={}", escaped(&path))));
    }
    let name = ask.must("name")?;
    let name = ask.console.editor.free_name(&format!("{}.yaml", name.trim_end_matches(".yaml").replace(' ', "-")));
    Ok(Answer::See(format!("/edit/{}?empty=yes", escaped_path(&name))))
}

/// What arrives at the address that waits.
pub async fn wait(ask: &Ask) -> Result<Answer, Fault> {
    let path = ask.query("path").ok_or_else(|| Fault::Bad("This link is not complete.".to_owned()))?;
    let url = format!("{}{path}", ask.console.settings.webhooks);
    let filter = EventFilter { address: Some(path.clone()), ..EventFilter::default() };
    let found = history::search(ask.console.queries.as_ref(), &filter, None, SHOWN).await?;
    let waits = ask.console.intake.catcher.at(&path, Instant::now()).is_some();
    let still = html! {
        p { "Paste this address at your app, then let it send something:" }
        (draw::copy(&url))
        details { summary { "Or send something from a terminal" } (draw::copy(&format!("curl {url} -H 'content-type: application/json' -d '{{\"name\": \"Ada\", \"total\": 42}}'"))) }
    };
    let live = html! {
        @if found.events.is_empty() {
            @if waits { p.card.wait role="status" { strong { "Waiting …" } " Whatever arrives here in the next " (PATIENCE.as_secs() / 60) " minutes is kept." } }
            @else { p.card.off { "Nothing arrived in time. " a href=(ask.at("/new")) { "Wait again" } } }
        } @else {
            @for event in &found.events {
                section.caught {
                    p { span.state.good { "✓ arrived" } " " (draw::time(event.received)) " " (draw::event(ask, event.id)) }
                    (make(ask, &event.id.to_string()))
                }
            }
        }
    };
    Ok(Answer::Page(Page::new(format!("Wait at {}", draw::plain(&path)), "/rules", still).live(live)))
}

fn make(ask: &Ask, id: &str) -> Markup {
    html! { a.button.primary href=(ask.at(&format!("/new?event={}", escaped(id)))) { "Make a rule from this" } }
}
