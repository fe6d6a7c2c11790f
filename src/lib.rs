#![forbid(unsafe_code)]
//! Doorbell: webhooks in, actions out, nothing lost.
//!
#![doc = include_str!("../docs/architecture.md")]

// The modules in reading order: from the words to the doors.
pub mod answer;
pub mod body;
pub mod disk;
pub mod event;
pub mod json;
pub mod number;
pub mod percent;
pub mod problem;
pub mod refusals;
pub mod request;
pub mod retry;
pub mod secret;
pub mod word;

pub mod comparison;
pub mod course;
pub mod field;
pub mod known;
pub mod projection;
pub mod route;
pub mod run;
pub mod template;
pub mod yaml;

pub mod condition;
pub mod scope;

pub mod action;
pub mod signature;
pub mod store;

pub mod rule;
pub mod surroundings;

pub mod at_work;
pub mod intake;
pub mod keyring;
pub mod old_rules;
pub mod pace;
pub mod recovery;
pub mod rehearsal;
pub mod retention;
pub mod watch;
pub mod worker;

pub mod operations;

pub mod web;

pub mod cli;
