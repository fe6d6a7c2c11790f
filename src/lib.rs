#![forbid(unsafe_code)]
//! Doorbell: webhooks in, actions out, nothing lost.
//!
#![doc = include_str!("../docs/architecture.md")]

// The modules in reading order, from the basic types to the interfaces. Modules that parse text written by people never slice
// it with `[n..]`, which panics inside a character: see `text::span`.
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
