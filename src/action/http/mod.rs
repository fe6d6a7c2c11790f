//! Calls to other apps: the step that makes one, the client that sends it, and the state of each server.

mod address;
mod auth;
pub mod client;
pub mod collector;
pub mod guard;
pub mod headers;
pub mod host;
mod ok;
pub mod own_ca;
pub mod servers;
pub mod step;
mod target;
