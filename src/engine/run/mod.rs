//! Runs: started, tried, recorded, resumed. `action` does what an attempt does in the outside world, and `store` saves
//! the results.

pub mod attempt;
mod crowd;
pub mod hands;
pub mod old_rules;
pub mod recovery;
pub mod watchdog;
pub mod worker;
