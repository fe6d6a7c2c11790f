//! How a command ended, for its exit code. Output is left to the command, and printing errors to the list of commands.

/// How a command ended, if it could run at all.
pub enum Ended {
    Good,
    /// Problems were found and shown.
    Problems,
}
