//! Changes to a store that a person can request, as values, so that they can be executed in this process or sent to
//! another one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::event::EventId;
use crate::model::run::TextHash;
use crate::store::contract::{Cancelled, NewRun, Pruned, Pruning, Result, Store, WaitingRuns};
use crate::text::count::number;

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
    /// For the audit log: what was done, as a sentence without a subject; `None` if nothing was changed.
    pub fn deed(&self, result: &std::result::Result<Done, String>) -> Option<String> {
        let of_rule = |rule: &Option<String>| rule.as_ref().map_or_else(String::new, |rule| format!(" (rule `{rule}`)"));
        let did = match self {
            Command::Replay { event, rule } => format!("replayed event {event}{}", of_rule(rule)),
            Command::StartAnew { event, .. } => format!("started event {event} again"),
            Command::Cancel(WaitingRuns { event: Some(event), rule }) => format!("cancelled event {event}{}", of_rule(rule)),
            Command::Cancel(WaitingRuns { event: None, rule }) => format!("cancelled all waiting runs{}", of_rule(rule)),
            Command::Prune { what, .. } if what.is_dry_run => return None,
            Command::Prune { what, .. } => {
                let failed = if what.failed { ", failed ones too" } else { "" };
                format!("deleted events from before {}{failed}", what.before.strftime("%Y-%m-%d %H:%M:%S"))
            }
        };
        match result {
            Ok(Done::Pruned(pruned)) if pruned.events == 0 => None,
            Ok(Done::Pruned(pruned)) => Some(format!("{did}: {}", number(pruned.events, "event"))),
            Ok(Done::Runs(runs) | Done::Cancelled(Cancelled { runs, .. })) => Some(format!("{did}: {}", number(*runs, "run"))),
            Err(why) => Some(format!("{did}: {why}")),
        }
    }

    /// Executes the command.
    pub async fn perform(&self, store: &dyn Store, now: Timestamp) -> Result<Done> {
        match self.clone() {
            Command::Replay { event, rule } => store.replay(event, rule, now).await.map(Done::Runs),
            Command::StartAnew { event, runs, texts } => store.start_anew(event, runs, texts, now).await.map(Done::Runs),
            Command::Cancel(which) => store.cancel(which, now).await.map(Done::Cancelled),
            Command::Prune { what, after, most } => store.prune(what, after, most).await.map(Done::Pruned),
        }
    }
}
