//! What the writer thread gives for what it was asked to do. What it can be asked is left to [`super::jobs`].

use jiff::Timestamp;

use super::contract::{Cancelled, Pruned, Recorded, Standing, StartResult};
use crate::model::event::{EventId, Unread};
use crate::model::run::{Intent, Run, RunId};

/// What a verb gave.
pub(super) enum Reply {
    Done,
    /// The number of the event's first run, and what became of each.
    New(RunId, Vec<StartResult>),
    Again {
        first: EventId,
        is_same: bool,
        restarted: usize,
        standing: Standing,
    },
    Standing(Standing),
    Recorded(Recorded),
    Runs(Vec<(Run, Unread)>),
    Owned(Vec<(RunId, i64)>),
    Due(Option<Timestamp>),
    Intents(Vec<Intent>),
    Yes(bool),
    Ruleset(i64),
    Text(Option<(String, String)>),
    SetAside(Vec<(EventId, String)>),
    Number(usize),
    Cancelled(Cancelled),
    Pruned(Pruned),
    Size(u64),
}
