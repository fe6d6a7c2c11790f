//! Counting what happens while Doorbell runs, for metrics and for the hourly counts in the store. Names come only from rule
//! files, so that no sender can make the lists grow.

pub mod counters;
pub mod hour_writer;
mod hours;
mod listed;
pub mod of_address;
pub mod of_rule;
