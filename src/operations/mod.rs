//! What people look at and do, as values: used by the command line, and by every door to come. Nothing here prints.

pub mod command;
pub mod control;
