//! What a step can do. Lists the kinds of actions, in the order of the docs; each kind has its own file, or a folder if
//! it needs more. The other files are what kinds share.

pub mod accounts;
pub mod attempt_context;
pub mod call_slots;
pub mod connections;
pub mod contract;
#[cfg(feature = "email")]
pub mod email;
pub mod files;
pub mod http;
pub mod log;
pub mod mailbox;
pub mod memory;
pub mod online;
pub mod option;
pub mod pending_replies;
pub mod respond;
pub mod run_rule;
pub mod wait;
pub mod world;

use contract::Kind;

/// Every kind of action.
pub const KINDS: &[&dyn Kind] = &[
    &http::step::Http, //
    &files::append::Append,
    &files::write::Write,
    &files::sheet::SheetRow,
    &files::delete::DeleteRow,
    &files::find::FindRow,
    #[cfg(feature = "email")]
    &email::step::Email,
    &respond::Respond,
    &wait::Wait,
    &run_rule::RunRule,
    &run_rule::Return,
    &memory::steps::Remember,
    &memory::steps::Recall,
    &memory::steps::Forget,
    &log::Log,
    &log::Stop,
];

/// The kind of a verb.
pub fn kind_of(verb: &str) -> Option<&'static dyn Kind> {
    verbs().find(|(v, _)| *v == verb).map(|(_, kind)| kind)
}

/// Every verb, with its kind.
pub fn verbs() -> impl Iterator<Item = (&'static str, &'static dyn Kind)> {
    KINDS.iter().flat_map(|kind| kind.verbs().iter().map(move |verb| (*verb, *kind)))
}
