//! Upkeep while Doorbell runs: deleting old data, and reporting health.

pub mod health;
pub mod heartbeat;
pub mod retention;
