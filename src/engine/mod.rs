//! What Doorbell does by itself: accept requests, run rules, keep rules and store up to date. Of the modules below
//! `operations`, only this one reads the clock, spawns tasks and draws random numbers. Results are presented by
//! `operations`, `web` and `cli`.

pub mod care;
pub mod intake;
pub mod rules;
pub mod run;
pub mod task;
