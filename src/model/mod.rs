//! The types that all other modules share: what was received, what a rule does with it, and what happened. They depend on
//! no other module.

pub mod answer;
pub mod bodies;
pub mod budget;
pub mod called;
pub mod caller;
pub mod event;
pub mod hash;
pub mod hourly;
pub mod intent;
pub mod origin;
pub mod outcome;
pub mod place;
pub mod remembered;
pub mod request;
pub mod retry;
pub mod run;
pub mod saved;
pub mod sealed_part;
pub mod sealing;
pub mod second_error;
pub mod step_graph;
pub mod trace;
pub mod transition;
pub mod unfinished;

#[cfg(test)]
mod loop_tests;
