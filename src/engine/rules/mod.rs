//! The current rules: reloaded when a file changes, with the secrets and settings that they name.

pub mod editors;
pub mod environment;
pub mod folder;
pub mod reload;
