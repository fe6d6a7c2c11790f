#![forbid(unsafe_code)]
//! Doorbell: webhooks in, actions out, nothing lost.
//!
#![doc = include_str!("../docs/architecture.md")]

// The modules from the bottom up: each imports only from those above it in this file. Modules that parse text written by
// people never slice it with `[n..]`, which panics inside a character: see `text::span`.
pub mod planted;

pub mod tally;

pub mod disk;

#[deny(clippy::string_slice)]
pub mod text;

pub mod secret;

#[deny(clippy::string_slice)]
pub mod problem;

#[deny(clippy::string_slice)]
pub mod route;

#[deny(clippy::string_slice)]
pub mod schedule;

pub mod model;

pub mod body;

#[deny(clippy::string_slice)]
pub mod yaml;

#[deny(clippy::string_slice)]
pub mod expr;

pub mod store;

pub mod action;

#[deny(clippy::string_slice)]
pub mod verify;

#[deny(clippy::string_slice)]
pub mod rule;

pub mod engine;

pub mod operations;

pub mod web;

pub mod cli;
