//! What Doorbell does by itself: accept requests, run rules, keep rules and store up to date. Except for the modules
//! above it, and the date of an answer in `action/http/client.rs`, only this one reads the wall clock. It starts the
//! tasks that run as long as Doorbell does; a store and a file writer have one of their own. Results are presented by
//! `operations`, `web` and `cli`.

pub mod care;
pub mod intake;
pub mod rules;
pub mod run;
pub mod starts;
pub mod tallies;
pub mod task;
