//! What people look at and do, as values: used by the command line, and by every door to come. Nothing here prints, and what
//! is returned holds no secret.

pub mod command;
pub mod control;
pub mod drafts;
pub mod dry_run;
pub mod history;
pub mod preview;
pub mod replay;
