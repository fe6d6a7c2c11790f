//! The beginning of a store for many machines: events and runs in a PostgreSQL database (14 or newer) that several
//! machines share. It fulfils the whole [contract](super::contract), and exists to show that the contract is right for
//! more than one machine. It is not offered to users yet: only the tests are built with it.
//!
//! How it differs from the SQLite store:
//!
//! - Many owners live at the same time. Each has a row with an expiry by the database's clock, which it renews while it lives
//!   ([`owner`]). An expired owner loses its runs when somebody leases them, and not earlier.
//! - `record` changes a run only if its owner and turn number are still those it was taken with, in one statement ([`record`]).
//! - A lane is decided under a lock of its own ([`claims`]), and runs are numbered under it: so the order of numbers in a
//!   lane is the order of acceptance, independent of clocks and ids.
//! - Whatever several owners may claim at the same time (`once_per` values, deliveries, ids) is a unique key.
//! - Text chosen by senders can have any length and contain any character, but keys and text of PostgreSQL cannot; so keys
//!   are hashes, and such text is stored as bytes.
//!
//! **No two transactions deadlock**, because each locks what it needs in this order, and rows of the same kind in sorted
//! order: the owner's own row, schedules, failures and silences, what is remembered, deliveries, events, lanes, runs, `once_per` values, answers, hourly counts. A transaction that waits for
//! runs that others may start has locked their lanes first; `record` of a run that continues waits for that run only, and
//! `lease` for nothing.
//!
//! Every transaction is READ COMMITTED: each statement sees what was committed before it began. So one statement takes a lock,
//! and the next one reads what it guards.

mod accept;
mod alarms;
mod called_runs;
mod changes;
mod claims;
mod connections;
mod ending;
mod failures;
mod hourly;
mod intents;
mod lease;
mod memory;
mod owner;
pub(super) mod queries;
mod record;
mod retention;
mod rows;
mod schedules;
pub(super) mod server;
mod tables;
mod texts;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_postgres::Config;

use super::contract::{
    Accept, Accepted, AnswerState, Cancelled, Doing, EffectKey, Heavy, Held, NewRun, Pruned, Pruning, Record, Recorded, Result, Store,
    WaitingRuns,
};
use crate::model::event::{EventId, Unread};
use crate::model::hourly::{Hour, Hourly};
use crate::model::intent::Intent;
use crate::model::run::{Run, RunId, TextHash};
use crate::store::commits::Commits;
use crate::store::news::News;
use crate::store::starts::{Failures, ScheduleProgress, SilenceProgress};
use connections::Connections;
use intents::Intents;
use owner::Owner;
use transaction::in_transaction;

/// How many transactions of one owner run at the same time.
const SIDE_BY_SIDE: usize = 4;

/// One owner of the store.
pub(super) struct Postgres {
    connections: Arc<Connections>,
    owner: Owner,
    intents: Intents,
}

impl Postgres {
    /// Opens the store as an owner that stays alive by renewing itself every third of `life`. Must be called inside a
    /// runtime.
    pub(super) async fn open(config: Config, life: Duration) -> Result<Self> {
        let connections = Arc::new(Connections::new(config, SIDE_BY_SIDE));
        let mut connection = connections.get().await?;
        let sql = connection.begin().await?;
        tables::migrate(&sql).await?;
        let owner = Owner::begin(&sql, life).await?;
        sql.commit().await?;
        drop(connection);
        owner.keep_alive(&connections);
        let intents = Intents::new(connections.clone());
        Ok(Self { connections, owner, intents })
    }

    /// The number of this owner.
    pub(super) fn owner(&self) -> i64 {
        self.owner.id
    }
}

impl Store for Postgres {
    fn accept(&self, accept: Accept) -> Doing<'_, Accepted> {
        in_transaction!(self, |sql| match accept::accept(sql, &self.owner, &accept).await? {
            accept::Kept::New(runs) => Accepted::New(accept.event, runs),
            accept::Kept::Again { first, is_same, restarted, answer_state } => Accepted::Again { first, is_same, restarted, answer_state },
            accept::Kept::Claimed => Accepted::Claimed,
        })
    }

    fn answer(&self, event: EventId) -> Doing<'_, AnswerState> {
        in_transaction!(self, |sql| match rows::number(sql, event).await? {
            Some(event) => accept::answer_state(sql, event).await?,
            None => AnswerState::default(),
        })
    }

    fn record(&self, record: Record) -> Doing<'_, Recorded> {
        in_transaction!(self, |sql| record::record(sql, &self.owner, &record).await?)
    }

    fn lease(&self, now: Timestamp, most: usize, heavy: Heavy) -> Doing<'_, Vec<(Run, Unread)>> {
        in_transaction!(self, |sql| lease::lease(sql, &self.owner, now, most, heavy).await?)
    }

    fn held(&self, which: Held) -> Doing<'_, Vec<(Run, Unread)>> {
        in_transaction!(self, |sql| lease::held(sql, &self.owner, which).await?)
    }

    fn owned(&self) -> Doing<'_, Vec<(RunId, i64)>> {
        in_transaction!(self, |sql| lease::owned(sql, &self.owner).await?)
    }

    fn next_due(&self) -> Doing<'_, Option<Timestamp>> {
        in_transaction!(self, |sql| lease::next_due(sql).await?)
    }

    fn intend(&self, folder: &str, intent: Intent) -> Doing<'_, ()> {
        self.intents.intend(folder, intent)
    }

    fn forget(&self, folder: &str, file: &str) {
        self.intents.forget(folder, file);
    }

    fn intents(&self, folder: &str) -> Doing<'_, Vec<Intent>> {
        self.intents.of(folder)
    }

    fn settle(&self, done: Vec<EffectKey>) -> Doing<'_, ()> {
        in_transaction!(self, |sql| changes::settle(sql, &done).await?)
    }

    fn still_at(&self, places: Vec<EffectKey>) -> Doing<'_, bool> {
        in_transaction!(self, |sql| changes::still_at(sql, &places).await?)
    }

    fn remember(&self, texts: Vec<(TextHash, String, String)>, by: String, now: Timestamp) -> Doing<'_, i64> {
        in_transaction!(self, |sql| texts::remember(sql, &texts, &by, now).await?)
    }

    fn text(&self, hash: TextHash) -> Doing<'_, Option<(String, String)>> {
        in_transaction!(self, |sql| texts::text(sql, &hash).await?)
    }

    fn crashed_with(&self, runs: Vec<RunId>, now: Timestamp) -> Doing<'_, Vec<(EventId, String)>> {
        in_transaction!(self, |sql| changes::crashed_with(sql, &runs, now).await?)
    }

    fn replay(&self, event: EventId, rule: Option<String>, now: Timestamp) -> Doing<'_, usize> {
        in_transaction!(self, |sql| changes::replay(sql, event, rule.as_deref(), now).await?)
    }

    fn start_anew(&self, event: EventId, runs: Vec<NewRun>, texts: Vec<(TextHash, String, String)>, now: Timestamp) -> Doing<'_, usize> {
        in_transaction!(self, |sql| changes::start_anew(sql, event, &runs, &texts, now).await?)
    }

    fn cancel(&self, which: WaitingRuns, now: Timestamp) -> Doing<'_, Cancelled> {
        in_transaction!(self, |sql| changes::cancel(sql, &which, now).await?)
    }

    fn prune(&self, what: Pruning, after: i64, most: usize) -> Doing<'_, Pruned> {
        in_transaction!(self, |sql| retention::prune(sql, &what, after, most).await?)
    }

    fn expire(&self, now: Timestamp) -> Doing<'_, bool> {
        in_transaction!(self, |sql| retention::expire(sql, now).await?)
    }

    fn size(&self) -> Doing<'_, u64> {
        in_transaction!(self, |sql| retention::size(sql).await?)
    }

    fn schedules(&self) -> Doing<'_, Vec<ScheduleProgress>> {
        in_transaction!(self, |sql| schedules::all(sql).await?)
    }

    fn set_schedules(&self, from: Vec<ScheduleProgress>, gone: Vec<String>) -> Doing<'_, ()> {
        in_transaction!(self, |sql| schedules::set(sql, &from, &gone).await?)
    }

    fn add_hourly(&self, counts: Vec<Hourly>, first: Hour) -> Doing<'_, ()> {
        in_transaction!(self, |sql| hourly::add(sql, &counts, first).await?)
    }

    fn recall(&self, key: String, now: Timestamp) -> Doing<'_, Option<String>> {
        in_transaction!(self, |sql| memory::find(sql, &key, now).await?)
    }

    fn touch(&self) -> Doing<'_, ()> {
        in_transaction!(self, |sql| self.owner.touch(sql).await?)
    }

    fn failures(&self) -> Doing<'_, Vec<Failures>> {
        in_transaction!(self, |sql| alarms::failures(sql).await?)
    }

    fn forget_failures(&self, keys: Vec<String>) -> Doing<'_, ()> {
        in_transaction!(self, |sql| alarms::forget(sql, &keys).await?)
    }

    fn silences(&self) -> Doing<'_, Vec<SilenceProgress>> {
        in_transaction!(self, |sql| alarms::silences(sql).await?)
    }

    fn set_silences(&self, noted: Vec<SilenceProgress>, gone: Vec<String>) -> Doing<'_, ()> {
        in_transaction!(self, |sql| alarms::set_silences(sql, &noted, &gone).await?)
    }

    fn commits(&self) -> Arc<Commits> {
        self.connections.commits.clone()
    }

    /// Tells only what this owner changes.
    fn news(&self) -> News {
        self.connections.news.clone()
    }
}
