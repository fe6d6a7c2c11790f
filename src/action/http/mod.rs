//! Calls to other apps: the step that makes one, the client that sends it, and the state of each server.

pub mod client;
pub mod guard;
pub mod headers;
pub mod host;
pub mod own_ca;
pub mod step;
mod target;
