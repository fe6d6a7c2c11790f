//! SQLite: the writer thread's replies. The jobs themselves are in [`super::jobs`].

use jiff::Timestamp;

use crate::model::event::{EventId, Unread};
use crate::model::intent::Intent;
use crate::model::run::{Run, RunId};
use crate::store::contract::{AnswerState, Cancelled, Pruned, Recorded, StartResult};
use crate::store::starts::{Failures, ScheduleProgress, SilenceProgress};

/// The result of an operation.
pub(super) enum Reply {
    Done,
    /// The number of the event's first run, and what happened to each run.
    New(RunId, Vec<StartResult>),
    Again {
        first: EventId,
        is_same: bool,
        restarted: usize,
        answer_state: AnswerState,
    },
    /// What the event stands for was claimed before.
    Claimed,
    Schedules(Vec<ScheduleProgress>),
    Recalled(Option<String>),
    Failures(Vec<Failures>),
    Silences(Vec<SilenceProgress>),
    AnswerState(AnswerState),
    Recorded(Recorded),
    Runs(Vec<(Run, Unread)>),
    Owned(Vec<(RunId, i64)>),
    Due(Option<Timestamp>),
    Intents(Vec<Intent>),
    Yes(bool),
    Ruleset(i64),
    Text(Option<(String, String)>),
    Quarantined(Vec<(EventId, String)>),
    Number(usize),
    Cancelled(Cancelled),
    Pruned(Pruned),
    Size(u64),
}
