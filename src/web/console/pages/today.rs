//! `/events/ID/today`: what today's rules would do with an event, beside what those of then did; and running it again.

use maud::html;

use crate::operations::command::Done;
use crate::operations::dry_run::{Answers, preview};
use crate::operations::replay::{self, Mode};
use crate::rule::load::Loaded;
use crate::text::count::number;
use crate::web::console::answer::{Answer, Page};
use crate::web::console::ask::{Ask, escaped};
use crate::web::console::draw;
use crate::web::console::fault::Fault;
use crate::web::console::pages::event;
use crate::web::console::preview;

pub async fn show(ask: &Ask, id: &str) -> Result<Answer, Fault> {
    let id = ask.event_id(id).await?;
    ask.must_show_bodies()?;
    let dossier = ask.console.queries.dossier(id).await?;
    let then = ask.explanation(&dossier)?;
    // The rules in use, with stand-ins for secrets: not those of an edit with errors.
    let console = ask.console.clone();
    let loaded = tokio::task::spawn_blocking(move || console.editor.in_use(&console.health.rules.load().ruleset)).await;
    let Loaded { ruleset, .. } = loaded.map_err(|e| Fault::Failed(e.to_string()))?.map_err(Fault::Failed)?;
    let today = match &ruleset {
        Some(ruleset) => match preview(ruleset, &ask.content(id).await?, None, Answers::InOrder(&[])) {
            Ok(shown) => preview::preview(&shown, None),
            Err(why) => preview::no_preview(&why),
        },
        None => html! { p.note { "Today's rules cannot be tried without their secrets." } },
    };
    let still = html! {
        div.deeds {
            a.button href=(ask.at(&format!("/events/{id}"))) { "Back to the event" }
            (draw::button(ask, &format!("/events/{id}/again"), &[], "Run it again with today's rules"))
        }
        p.hint { "Running it again really does everything that is shown under “Today”, even if it was done before." }
        div.columns {
            section { h2 { "Then" } @for rule in &then.rules { (event::explained(ask, &then, rule, None)) } }
            section { h2 { "Today" } (today) }
        }
    };
    Ok(Answer::Page(Page::new("Then and today", "/events", still)))
}

/// Starts today's rules for the event, from the beginning.
pub async fn again(ask: &Ask, id: &str) -> Result<Answer, Fault> {
    let id = ask.event_id(id).await?;
    let rules = ask.console.health.rules.load_full();
    let command = replay::command(ask.console.queries.as_ref(), id, None, &Mode::StartAnew(&rules.ruleset)).await?;
    let said = match ask.console.perform(&ask.visitor, command).await? {
        Done::Runs(0) => "No rule of today runs for this event.".to_owned(),
        Done::Runs(runs) => format!("{} started again with today's rules.", number(runs, "run")),
        _ => String::new(),
    };
    ask.console.sessions.say(&ask.visitor, said);
    Ok(Answer::See(format!("/events/{}", escaped(&id.to_string()))))
}
