//! How work is carried out, whatever it is: watched, in a thread of its own, to its end, within the memory there is.

pub mod carry_on;
pub mod memory;
pub mod off_thread;
pub mod supervisor;
