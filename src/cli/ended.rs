//! How a command ended, for its exit code. The command prints its output; errors are printed in `cli/mod.rs`.

/// How a command ended, if it could run at all.
pub enum Ended {
    Good,
    /// Problems were found and shown.
    Problems,
    /// It could not run, and has said why.
    Unable,
}
