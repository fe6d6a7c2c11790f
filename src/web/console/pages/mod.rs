//! The pages of the console: one file each, with what it shows and what its buttons do. The table below is the list of all
//! addresses; they end up in chats and handbooks, so they stay.

mod draft;
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
mod save;
mod senders;
mod servers;
mod system;
mod today;
mod waiting;
pub mod words;

use maud::html;

use super::answer::{Answer, Page};
use super::ask::Ask;
use super::fault::Fault;

/// Shows a page; nothing is changed by it.
pub async fn show(ask: &Ask) -> Result<Answer, Fault> {
    let path: Vec<&str> = ask.path.iter().map(String::as_str).collect();
    match path.as_slice() {
        [] => now::show(ask).await,
        ["events"] => events::show(ask).await,
        ["events", id] => event::show(ask, id).await,
        ["events", id, "today"] => today::show(ask, id).await,
        ["rules"] => rules::show(ask).await,
        ["rules", name, "test"] => rule_tests::show(ask, name).await,
        ["rules", name] => rule::show(ask, name).await,
        ["edit", file @ ..] => edit::show(ask, &file.join("/")).await,
        ["history", file @ ..] => history::show(ask, &file.join("/")).await,
        ["words"] => words::show(ask).await,
        ["new"] => new::show(ask).await,
        ["new", "wait"] => new::wait(ask).await,
        ["recipes"] => Ok(recipes::show(ask)),
        ["recipes", name] => recipes::one(ask, name),
        ["failed"] => failed::show(ask).await,
        ["failed.jsonl"] => failed::save(ask).await,
        ["waiting"] => waiting::show(ask).await,
        ["servers"] => servers::show(ask).await,
        ["files", name @ ..] => servers::file(ask, &name.join("/")).await,
        ["download", name @ ..] => servers::download(ask, &name.join("/")).await,
        ["senders"] => senders::show(ask).await,
        ["system"] => system::show(ask).await,
        _ => Err(Fault::NotFound("No page of the console has this address.".to_owned())),
    }
}

/// Does what a button of a page says, for somebody who may change things.
pub async fn act(ask: &Ask) -> Result<Answer, Fault> {
    let path: Vec<&str> = ask.path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["events", id, "again"] => today::again(ask, id).await,
        ["events", id, "replay"] => event::replay(ask, id).await,
        ["events", id, "cancel"] => event::cancel(ask, id).await,
        ["edit", file @ ..] => edit::act(ask, &file.join("/")).await,
        ["new"] => new::begin(ask).await,
        ["failed", "go-on"] => failed::begin(ask).await,
        ["failed", "stop"] => Ok(failed::stop(ask)),
        ["senders"] => senders::check(ask).await,
        ["ring"] => ring::send(ask).await,
        ["rules", name, "start"] => rule::start(ask, name).await,
        _ => Err(Fault::NotFound("Nothing can be done at this address.".to_owned())),
    }
}

/// The page that says why something did not work.
pub fn fault(fault: &Fault) -> Page {
    Page::new(fault.title(), "", html! { p.said.bad role="alert" { (fault.said()) } })
}
