//! What Doorbell does by itself: take requests in, do what rules say, keep rules and store in order. Only here the clock is
//! read, tasks are started and chance is asked. How it is shown is left to `operations`, `web` and `cli`.

pub mod care;
pub mod intake;
pub mod rules;
pub mod run;
pub mod task;
