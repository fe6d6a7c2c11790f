//! Calls to other apps: the step that makes one, the client that sends it, and what is known of each server.

pub mod client;
mod host;
pub mod step;
