//! What a person can have changed in a store, as values, so that it can be asked for in this process or in another one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::event::EventId;
use crate::model::run::TextHash;
use crate::store::contract::{Cancelled, NewRun, Pruned, Pruning, Result, Store, Waiting};

/// Something to be changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Command {
    /// Failed runs of an event go on at the step that failed; only those of one rule, if one is named.
    Replay { event: EventId, rule: Option<String> },
    /// Rules start anew on an event, with the rule files given: hash, name and text.
    StartAnew { event: EventId, runs: Vec<NewRun>, texts: Vec<(TextHash, String, String)> },
    /// Runs that wait are ended.
    Cancel(Waiting),
    /// Events that are done with are deleted, at most so many, after the number `after`.
    Prune { what: Pruning, after: i64, most: usize },
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Done {
    /// So many runs go on, or start.
    Runs(usize),
    Cancelled(Cancelled),
    Pruned(Pruned),
}

impl Command {
    /// Does it.
    pub async fn perform(self, store: &dyn Store, now: Timestamp) -> Result<Done> {
        match self {
            Command::Replay { event, rule } => store.replay(event, rule, now).await.map(Done::Runs),
            Command::StartAnew { event, runs, texts } => store.start_anew(event, runs, texts, now).await.map(Done::Runs),
            Command::Cancel(which) => store.cancel(which, now).await.map(Done::Cancelled),
            Command::Prune { what, after, most } => store.prune(what, after, most).await.map(Done::Pruned),
        }
    }
}
