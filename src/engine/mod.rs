//! What Doorbell does by itself: accept requests, run rules, maintain rules and store. Only here is the clock read, are tasks
//! spawned and random numbers drawn. Presentation is left to `operations`, `web` and `cli`.

pub mod care;
pub mod intake;
pub mod rules;
pub mod run;
pub mod task;
