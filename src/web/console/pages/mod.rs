//! The pages of the console: one file each, with what it shows and what its buttons do. The table below is the list of all
//! addresses; they end up in chats and handbooks, so they stay.

mod edit;
mod event;
pub mod events;
mod failed;
mod history;
mod new;
mod now;
mod recipes;
mod ring;
mod rule;
mod rule_tests;
mod rules;
mod senders;
mod servers;
mod system;
mod today;
mod waiting;
mod words;

use maud::html;

use super::answer::{Answer, Page};
use super::ask::Ask;
use super::fault::Fault;

/// Answers a request for a page.
pub async fn answer(ask: &Ask) -> Result<Answer, Fault> {
    let path: Vec<&str> = ask.path.iter().map(String::as_str).collect();
    match (ask.is_post, path.as_slice()) {
        (false, []) => now::show(ask).await,
        (false, ["events"]) => events::show(ask).await,
        (false, ["events", id]) => event::show(ask, id).await,
        (false, ["events", id, "today"]) => today::show(ask, id).await,
        (true, ["events", id, "again"]) => today::again(ask, id).await,
        (true, ["events", id, "replay"]) => event::replay(ask, id).await,
        (true, ["events", id, "cancel"]) => event::cancel(ask, id).await,
        (false, ["rules"]) => rules::show(ask).await,
        (false, ["rules", name, "test"]) => rule_tests::show(ask, name).await,
        (false, ["rules", name]) => rule::show(ask, name).await,
        (false, ["edit", file @ ..]) => edit::show(ask, &file.join("/")).await,
        (true, ["edit", file @ ..]) => edit::act(ask, &file.join("/")).await,
        (false, ["history", file @ ..]) => history::show(ask, &file.join("/")).await,
        (false, ["words"]) => words::show(ask).await,
        (false, ["new"]) => new::show(ask).await,
        (true, ["new"]) => new::begin(ask).await,
        (false, ["new", "wait"]) => new::wait(ask).await,
        (false, ["recipes"]) => Ok(recipes::show(ask)),
        (false, ["recipes", name]) => recipes::one(ask, name),
        (false, ["failed"]) => failed::show(ask).await,
        (false, ["failed.jsonl"]) => failed::save(ask).await,
        (true, ["failed", "go-on"]) => failed::begin(ask).await,
        (true, ["failed", "stop"]) => Ok(failed::stop(ask)),
        (false, ["waiting"]) => waiting::show(ask).await,
        (false, ["servers"]) => servers::show(ask).await,
        (false, ["files", name @ ..]) => servers::file(ask, &name.join("/")).await,
        (false, ["download", name @ ..]) => servers::download(ask, &name.join("/")).await,
        (false, ["senders"]) => senders::show(ask).await,
        (true, ["senders"]) => senders::check(ask).await,
        (true, ["ring"]) => ring::send(ask).await,
        (false, ["system"]) => system::show(ask).await,
        (false, _) => Err(Fault::NotFound("No page of the console has this address.".to_owned())),
        (true, _) => Err(Fault::NotFound("Nothing can be done at this address.".to_owned())),
    }
}

/// The page that says why something did not work.
pub fn fault(fault: &Fault) -> Page {
    Page::new(fault.title(), "", html! { p.said.bad role="alert" { (fault.said()) } })
}
