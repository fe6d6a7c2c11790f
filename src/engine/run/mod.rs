//! Runs: taken in hand, tried, recorded, taken up again. What an attempt does in the world is left to `action`, what is kept
//! to `store`.

pub mod attempt;
mod crowd;
pub mod hands;
pub mod old_rules;
pub mod recovery;
pub mod watchdog;
pub mod worker;
