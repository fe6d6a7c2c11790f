//! The result of work that panicked.

/// The work panicked; the task that awaited it did not.
#[derive(Debug, PartialEq)]
pub struct Crashed;
