//! SQLite: the writer thread's jobs: each operation of the contract with its arguments.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::accept::{EventRow, accept, answer_state};
use super::owner::Owner;
use super::record::{RecordRow, record};
use super::reply::Reply;
use super::rows::{Sql, from_json, json, moment, settle_aside};
use super::statements::Statements;
use super::{alarms, changes, hourly, memory, prune, quarantine, schedules};
use crate::model::event::EventId;
use crate::model::hash::hash;
use crate::model::hourly::{Hour, Hourly};
use crate::model::intent::Intent;
use crate::model::run::{RunId, TextHash};
use crate::secret::Key;
use crate::store::contract::{Accept, EffectKey, Error, Heavy, Held, NewRun, Pruning, Record, Recorded, Result, WaitingRuns};
use crate::store::starts::{ScheduleProgress, SilenceProgress};

/// One operation with its arguments.
pub(super) enum Job {
    Accept(EventRow),
    Answer(EventId),
    Record(RecordRow),
    Lease {
        now: Timestamp,
        most: usize,
        heavy: Heavy,
    },
    Held(Held),
    Owned,
    NextDue,
    Intend {
        folder: String,
        intent: Intent,
    },
    Forget {
        folder: String,
        file: String,
    },
    Intents {
        folder: String,
    },
    Settle(Vec<EffectKey>),
    StillAt(Vec<EffectKey>),
    Remember(Vec<(TextHash, String, String)>, String, Timestamp),
    Text(TextHash),
    CrashedWith(Vec<RunId>, Timestamp),
    Replay {
        event: EventId,
        rule: Option<String>,
        now: Timestamp,
    },
    StartAnew {
        event: EventId,
        runs: Vec<NewRun>,
        texts: Vec<(TextHash, String, String)>,
        now: Timestamp,
    },
    Cancel(WaitingRuns, Timestamp),
    Prune {
        what: Pruning,
        after: i64,
        most: usize,
    },
    Expire(Timestamp),
    AddHourly(Vec<Hourly>, Hour),
    Schedules,
    SetSchedules {
        from: Vec<ScheduleProgress>,
        gone: Vec<String>,
    },
    Recall(String, Timestamp),
    Touch,
    Failures,
    ForgetFailures(Vec<String>),
    Silences,
    SetSilences {
        noted: Vec<SilenceProgress>,
        gone: Vec<String>,
    },
    Size,
    /// Fails or panics on purpose, for tests.
    #[cfg(test)]
    Failing {
        panics: bool,
    },
}

impl Job {
    pub(super) fn accept(accept: Arc<Accept>, key: &Key) -> Self {
        Job::Accept(EventRow::of(accept, key))
    }

    pub(super) fn record(record: Record, key: &Key) -> Self {
        Job::Record(RecordRow::of(record, key))
    }

    /// The result for an owner that has lost its epoch: nothing was done.
    pub(super) fn refused(&self) -> Result<Reply> {
        match self {
            Job::Record(_) => Ok(Reply::Recorded(Recorded::LeaseLost)),
            _ => Err(Error::new("another Doorbell has taken over this data folder; stop one of the two", false)),
        }
    }

    /// Runs the job for the owner of the epoch.
    pub(super) fn run(&self, sql: &Transaction, hot: &mut Statements, owner: &Owner) -> Sql<Reply> {
        match self {
            Job::Accept(row) => accept(sql, hot, owner, row),
            Job::Answer(event) => {
                let mut statement = sql.prepare_cached("SELECT seq FROM event WHERE id = ?1")?;
                let event: Option<i64> = statement.query_row([event.0.as_bytes()], |r| r.get(0)).optional()?;
                Ok(Reply::AnswerState(event.map(|event| answer_state(sql, event)).transpose()?.unwrap_or_default()))
            }
            Job::Record(one) => record(sql, hot, owner, one).map(Reply::Recorded),
            Job::Lease { now, most, heavy } => owner.lease(sql, *now, *most, *heavy).map(Reply::Runs),
            Job::Held(which) => owner.held(sql, *which).map(Reply::Runs),
            Job::Owned => owner.owned(sql).map(Reply::Owned),
            Job::NextDue => next_due(sql, owner).map(Reply::Due),
            Job::Intend { folder, intent } => {
                let text = "INSERT OR REPLACE INTO intent (folder, file, intent) VALUES (?1, ?2, sealed(?3, 'intent'))";
                sql.prepare_cached(text)?.execute(params![folder, intent.file, json(intent)?])?;
                Ok(Reply::Done)
            }
            Job::Forget { folder, file } => {
                // Intents from an earlier version have no folder.
                sql.prepare_cached("DELETE FROM intent WHERE folder IN (?1, '') AND file = ?2")?.execute([folder, file])?;
                Ok(Reply::Done)
            }
            Job::Intents { folder } => {
                let mut statement = sql.prepare("SELECT opened(intent, 'intent') FROM intent WHERE folder IN (?1, '')")?;
                let read = |r: &Row| from_json(&r.get::<_, String>(0)?, 0);
                Ok(Reply::Intents(statement.query_map([folder], read)?.collect::<Sql<_>>()?))
            }
            Job::Settle(done) => {
                for (run, step, element) in done {
                    sql.prepare_cached("UPDATE pending SET settled = 1 WHERE id = ?1 AND step = ?2 AND element = ?3")?
                        .execute(params![run, step, element])?;
                    settle_aside(sql, *run, *step, *element)?;
                }
                Ok(Reply::Done)
            }
            Job::StillAt(places) => {
                for (run, step, element) in places {
                    // An element that waits aside counts, whatever step it is at.
                    let text = "SELECT 1 FROM pending p WHERE id = ?1 AND (step = ?2 AND element = ?3 OR EXISTS
                                (SELECT 1 FROM saved s WHERE s.run = p.id AND s.name >= '@' AND s.name < 'A' AND s.element = ?3))";
                    let mut statement = sql.prepare_cached(text)?;
                    if statement.exists(params![run, step, element])? {
                        return Ok(Reply::Yes(true));
                    }
                }
                Ok(Reply::Yes(false))
            }
            Job::Remember(texts, by, now) => remember(sql, texts, by, *now),
            Job::Text(hash) => {
                let mut statement = sql.prepare_cached("SELECT name, body FROM text WHERE hash = ?1")?;
                Ok(Reply::Text(statement.query_row([&**hash], |r| Ok((r.get(0)?, r.get(1)?))).optional()?))
            }
            Job::CrashedWith(runs, now) => quarantine::crashed_with(sql, runs, *now).map(Reply::Quarantined),
            Job::Replay { event, rule, now } => changes::replay(sql, *event, rule.as_deref(), *now).map(Reply::Number),
            Job::StartAnew { event, runs, texts, now } => changes::start_anew(sql, hot, *event, runs, texts, *now).map(Reply::Number),
            Job::Cancel(which, now) => changes::cancel(sql, owner, which, *now).map(Reply::Cancelled),
            Job::Prune { what, after, most } => prune::prune(sql, what, *after, *most).map(Reply::Pruned),
            Job::Expire(now) => prune::expire(sql, *now).map(Reply::Yes),
            Job::AddHourly(counts, first) => hourly::add(sql, counts, *first).map(|()| Reply::Done),
            Job::Schedules => schedules::all(sql).map(Reply::Schedules),
            Job::SetSchedules { from, gone } => schedules::set(sql, from, gone).map(|()| Reply::Done),
            Job::Recall(key, now) => memory::find(sql, key, *now).map(Reply::Recalled),
            Job::Touch => alarms::touch(sql).map(|()| Reply::Done),
            Job::Failures => alarms::failures(sql).map(Reply::Failures),
            Job::ForgetFailures(keys) => alarms::forget(sql, keys).map(|()| Reply::Done),
            Job::Silences => alarms::silences(sql).map(Reply::Silences),
            Job::SetSilences { noted, gone } => alarms::set_silences(sql, noted, gone).map(|()| Reply::Done),
            Job::Size => prune::size(sql).map(Reply::Size),
            #[cfg(test)]
            Job::Failing { panics: true } => panic!("as planted"),
            #[cfg(test)]
            Job::Failing { panics: false } => sql.execute("INSERT INTO event (seq) VALUES (NULL)", []).map(|_| Reply::Done),
        }
    }
}

/// When there is something to lease: immediately while runs of dead owners are left.
fn next_due(sql: &Transaction, owner: &Owner) -> Sql<Option<Timestamp>> {
    if owner.has_left_behind() {
        return Ok(Some(Timestamp::UNIX_EPOCH));
    }
    let text = "SELECT min(due) FROM pending WHERE owner = 0 AND queued = 0";
    let due: Option<i64> = sql.prepare_cached(text)?.query_row([], |r| r.get(0))?;
    Ok(due.map(moment))
}

fn remember(sql: &Transaction, texts: &[(TextHash, String, String)], by: &str, now: Timestamp) -> Sql<Reply> {
    changes::keep_texts(sql, texts)?;
    let list: Vec<(&str, &str)> = texts.iter().map(|(h, n, _)| (n.as_str(), &**h)).collect();
    let list = json(&list)?;
    let hash = hash(list.as_bytes());
    sql.prepare_cached("INSERT OR IGNORE INTO ruleset (hash, texts) VALUES (?1, ?2)")?.execute(params![hash, list])?;
    let number: i64 = sql.prepare_cached("SELECT id FROM ruleset WHERE hash = ?1")?.query_row([hash], |r| r.get(0))?;
    // A restart with the same rules is no new version.
    let text = "INSERT INTO in_force (at, ruleset, by) SELECT ?1, ?2, ?3
                WHERE ?2 IS NOT (SELECT ruleset FROM in_force ORDER BY id DESC LIMIT 1)";
    sql.prepare_cached(text)?.execute(params![now.as_millisecond(), number, by])?;
    Ok(Reply::Ruleset(number))
}
