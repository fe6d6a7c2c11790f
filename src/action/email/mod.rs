//! `email: ADDRESS`: the step, the message that it makes, and the server that takes it.

mod message;
mod not_sent;
pub mod server;
pub mod step;
