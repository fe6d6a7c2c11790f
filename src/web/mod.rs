//! The doors for HTTP: the only place that knows warp. What a request means is decided in `intake`.

pub mod hook;
pub mod serve;
