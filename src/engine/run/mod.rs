//! Runs: started, tried, recorded, resumed. What an attempt does in the outside world is left to `action`, storage to
//! `store`.

pub mod attempt;
mod crowd;
pub mod hands;
pub mod old_rules;
pub mod recovery;
pub mod watchdog;
pub mod worker;
