//! The HTTP interface: the only place that knows warp. What a request means is decided in `intake`.

pub mod body_room;
pub mod client_ip;
mod connections;
pub mod console;
mod cors;
pub mod door;
mod first_line;
mod head;
mod keep_alive;
pub mod listener;
pub mod metrics;
pub mod tls;
pub mod webhook;
