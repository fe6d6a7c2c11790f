#![forbid(unsafe_code)]
//! Doorbell: webhooks in, actions out, nothing lost.
//!
#![doc = include_str!("../docs/architecture.md")]

// The rooms in reading order: from the words to the doors. Those that read what people write never cut it with `[n..]`, which
// panics inside of a character: see `text::span`.
pub mod body;
pub mod disk;
pub mod model;
pub mod planted;
#[deny(clippy::string_slice)]
pub mod problem;
#[deny(clippy::string_slice)]
pub mod route;
pub mod secret;
#[deny(clippy::string_slice)]
pub mod text;

#[deny(clippy::string_slice)]
pub mod expr;
#[deny(clippy::string_slice)]
pub mod yaml;

pub mod action;
pub mod store;
#[deny(clippy::string_slice)]
pub mod verify;

#[deny(clippy::string_slice)]
pub mod rule;

pub mod engine;

pub mod operations;

pub mod web;

pub mod cli;
