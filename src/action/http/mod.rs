//! Calls to other apps: the step that makes one, the client that sends it, and the state of each server.

mod address;
mod auth;
mod body;
pub mod client;
pub mod collector;
pub mod guard;
pub mod headers;
pub mod host;
mod multipart;
mod ok;
pub mod own_ca;
mod pairs;
pub mod payload;
pub mod servers;
pub mod sink;
pub mod step;
mod target;
mod using;
