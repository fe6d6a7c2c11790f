//! SQLite: the embedded store. [`handle`] implements the contract and [`queries`] answers people; the statements are in
//! the other files, one for each thing that the contract does.

mod accept;
mod alarms;
mod called_runs;
mod changes;
mod checkpoint;
mod claims;
mod connection;
mod continuing;
mod failures;
pub(super) mod handle;
mod hourly;
mod jobs;
mod memory;
mod owner;
mod prune;
mod quarantine;
pub(super) mod queries;
mod record;
mod reply;
mod rows;
mod schedules;
mod sealing;
mod search;
#[cfg(test)]
mod simulation;
mod statements;
mod tables;
mod writer;
