//! What keeps Doorbell in order while it runs: deleting what is old, and telling whether it is healthy.

pub mod health;
pub mod retention;
