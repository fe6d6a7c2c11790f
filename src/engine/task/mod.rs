//! How work of any kind is executed: supervised, in a separate thread, to its end, within a memory budget.

pub mod carry_on;
pub mod crashed;
pub mod memory;
pub mod off_thread;
pub mod own_thread;
pub mod supervisor;
