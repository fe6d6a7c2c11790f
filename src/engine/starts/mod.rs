//! Rules that start without a request: [`timekeeper`] knows when, and [`starter`] makes the event and starts them.

pub mod starter;
pub mod timekeeper;
