//! Runs: started, tried, recorded, resumed. `action` does what an attempt does in the outside world, and `store` saves
//! the results.

pub mod attempt;
pub mod failure_watch;
pub mod ledger;
pub mod observer;
pub mod old_rules;
pub mod recorder;
pub mod recovery;
pub mod rule_calls;
mod run_memory;
pub mod runs_in_process;
mod told_pauses;
pub mod traces;
pub mod watchdog;
pub mod worker;
