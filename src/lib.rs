#![forbid(unsafe_code)]
pub mod event;
pub mod body;
pub mod number;
pub mod problem;
pub mod retry;
pub mod secret;
pub mod yaml;
pub mod field;
