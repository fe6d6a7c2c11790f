//! What people can view and do, as values: used by the command line, and by every future interface. Nothing here prints, and
//! nothing returned contains secrets.

pub mod command;
pub mod control;
pub mod drafts;
pub mod dry_run;
pub mod history;
pub mod preview;
pub mod replay;
