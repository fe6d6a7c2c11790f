//! The doors for HTTP: the only place that knows warp. What a request means is decided in `intake`.

pub mod body_room;
pub mod caller;
mod connections;
mod head;
pub mod hook;
pub mod serve;
pub mod tls;
