//! Changes to a store that a person can request, as values, so that they can be executed in this process or sent to
//! another one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::event::EventId;
use crate::model::run::TextHash;
use crate::store::contract::{Cancelled, NewRun, Pruned, Pruning, Result, Store, WaitingRuns};

/// A change to make.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Command {
    /// Continues failed runs of an event at the step that failed; only those of one rule, if one is given.
    Replay { event: EventId, rule: Option<String> },
    /// Starts rules again for an event, with the given rule files: hash, name and content.
    StartAnew { event: EventId, runs: Vec<NewRun>, texts: Vec<(TextHash, String, String)> },
    /// Ends waiting runs.
    Cancel(WaitingRuns),
    /// Deletes at most `most` finished events after the number `after`.
    Prune { what: Pruning, after: i64, most: usize },
}

/// The result of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Done {
    /// How many runs continue or were started.
    Runs(usize),
    Cancelled(Cancelled),
    Pruned(Pruned),
}

impl Command {
    /// Executes the command.
    pub async fn perform(self, store: &dyn Store, now: Timestamp) -> Result<Done> {
        match self {
            Command::Replay { event, rule } => store.replay(event, rule, now).await.map(Done::Runs),
            Command::StartAnew { event, runs, texts } => store.start_anew(event, runs, texts, now).await.map(Done::Runs),
            Command::Cancel(which) => store.cancel(which, now).await.map(Done::Cancelled),
            Command::Prune { what, after, most } => store.prune(what, after, most).await.map(Done::Pruned),
        }
    }
}
