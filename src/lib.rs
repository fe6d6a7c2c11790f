#![forbid(unsafe_code)]
//! Doorbell: webhooks in, actions out, nothing lost.
//!
#![doc = include_str!("../docs/architecture.md")]

// The modules in reading order: from the words to the doors. Those that read what people write never cut it with `[n..]`, which
// panics inside of a character: see `span`.
pub mod answer;
pub mod body;
pub mod budget;
pub mod carry_on;
pub mod disk;
pub mod event;
pub mod json;
#[deny(clippy::string_slice)]
pub mod moment;
pub mod number;
pub mod outcome;
pub mod percent;
pub mod place;
pub mod planted;
#[deny(clippy::string_slice)]
pub mod problem;
pub mod refusals;
pub mod request;
pub mod retry;
pub mod secret;
pub mod span;
pub mod spell;
#[deny(clippy::string_slice)]
pub mod word;

pub mod comparison;
pub mod course;
mod crowd;
#[deny(clippy::string_slice)]
pub mod field;
#[deny(clippy::string_slice)]
pub mod known;
pub mod projection;
#[deny(clippy::string_slice)]
pub mod route;
pub mod run;
#[deny(clippy::string_slice)]
pub mod template;
#[deny(clippy::string_slice)]
pub mod yaml;

#[deny(clippy::string_slice)]
pub mod condition;
pub mod scope;

pub mod action;
#[deny(clippy::string_slice)]
pub mod signature;
pub mod store;

#[deny(clippy::string_slice)]
pub mod rule;
#[deny(clippy::string_slice)]
pub mod surroundings;

pub mod at_work;
pub mod attempt;
pub mod hands;
pub mod health;
pub mod intake;
pub mod keyring;
mod memory;
pub mod off_thread;
pub mod old_rules;
pub mod pace;
pub mod recovery;
pub mod rehearsal;
pub mod retention;
pub mod supervisor;
pub mod watch;
pub mod worker;

pub mod operations;

pub mod web;

pub mod cli;
