//! How a command ended, for its exit code. What it said is left to the command, and errors to the list of commands.

/// How a command ended, when it could run at all.
pub enum Ended {
    Good,
    /// Problems were found and shown.
    Problems,
}
