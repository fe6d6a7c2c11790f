#![forbid(unsafe_code)]
pub mod event;
pub mod body;
pub mod number;
pub mod problem;
pub mod retry;
pub mod secret;
pub mod yaml;
pub mod field;
pub mod known;
pub mod template;
pub mod scope;
pub mod route;
pub mod condition;
pub mod run;
pub mod action;
pub mod request;
pub mod signature;
