//! What the writer thread does: each verb of the contract as SQL.
//!
//! A run's number is its event's number times 65,536 plus its place among the event's runs, so that all runs of an event
//! are found by a range of keys, without an index that every event would have to pay for.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::claims::{QUEUED, claim, give_back, insert_runs, is_queued, open_lane};
use super::contract::{Accept, Delivery, Fate, NewRun, Pruned, Pruning, Standing};
use super::{poison, prune};
use crate::event::{Event, EventId};

use crate::run::{Answer, Attempt, Intent, Place, Run, RunId, State, TextHash};

/// The most runs that one event can start.
pub const MOST_RUNS: i64 = 1 << 16;

pub(super) type Sql<T> = rusqlite::Result<T>;

/// One verb with what it needs.
pub(super) enum Job {
    Accept(Box<EventRow>),
    Answer(EventId),
    Record { run: Arc<Run>, attempts: Arc<Vec<Attempt>>, answer: Option<Answer> },
    Lease { now: Timestamp, most: usize },
    NextDue,
    Intend(Intent),
    Forget(String),
    Intents,
    Settle(Vec<(RunId, u32, u32)>),
    StillAt(Vec<(RunId, u32, u32)>),
    Remember(Vec<(TextHash, String, String)>),
    Text(TextHash),
    Prune { what: Pruning, after: i64, most: usize },
    Expire(Timestamp),
    Stumbled(Vec<RunId>, Timestamp),
    Size,
}

/// What a verb gave.
pub(super) enum Kept {
    Done,
    /// The number of the event's first run, and what became of each.
    New(RunId, Vec<Fate>),
    Again {
        first: EventId,
        restarted: usize,
        standing: Standing,
    },
    Standing(Standing),
    Leased(Vec<(Run, Event)>),
    Due(Option<Timestamp>),
    Intents(Vec<Intent>),
    Yes(bool),
    Ruleset(i64),
    Text(Option<(String, String)>),
    Pruned(Pruned),
    SetAside(Vec<(EventId, String)>),
    Size(u64),
}

/// An event as it is written; made where it came in, so that the writer only writes.
pub(super) struct EventRow {
    id: EventId,
    received: i64,
    method: String,
    address: String,
    query: String,
    headers: String,
    ip: String,
    body: Bytes,
    ruleset: i64,
    status: u16,
    runs: Vec<NewRun>,
    deliveries: Vec<Delivery>,
    taken: bool,
}

/// A run as it begins.
pub(super) fn fresh(id: RunId, event: &Event, new: &NewRun) -> Run {
    let run = Run::begin(id, event.id, new.rule.clone(), new.text.clone(), new.step, event.received);
    Run { lane: new.lane.clone(), ..run }
}

impl Job {
    pub(super) fn accept(accept: &Accept) -> Self {
        let event = &accept.event;
        Job::Accept(Box::new(EventRow {
            id: event.id,
            received: event.received.as_millisecond(),
            method: event.method.clone(),
            address: event.address.clone(),
            query: event.query.clone(),
            headers: serde_json::to_string(&event.headers).unwrap_or_else(|_| "[]".to_owned()),
            ip: event.ip.clone(),
            body: event.raw.clone(),
            ruleset: accept.ruleset,
            status: accept.status,
            runs: accept.runs.clone(),
            deliveries: accept.deliveries.clone(),
            taken: accept.taken,
        }))
    }

    pub(super) fn run(&self, sql: &Transaction) -> Sql<Kept> {
        match self {
            Job::Accept(row) => accept(sql, row),
            Job::Answer(event) => {
                let mut statement = sql.prepare_cached("SELECT seq FROM event WHERE id = ?1")?;
                let event: Option<i64> = statement.query_row([event.0.as_bytes()], |r| r.get(0)).optional()?;
                Ok(Kept::Standing(event.map(|event| standing(sql, event)).transpose()?.unwrap_or_default()))
            }
            Job::Record { run, attempts, answer } => record(sql, run, attempts, answer.as_ref()),
            Job::Lease { now, most } => lease(sql, *now, *most),
            Job::NextDue => {
                let due: Option<i64> = sql.prepare_cached("SELECT min(due) FROM pending WHERE taken = 0")?.query_row([], |r| r.get(0))?;
                Ok(Kept::Due(due.map(moment)))
            }
            Job::Intend(intent) => {
                let json = serde_json::to_string(intent).unwrap_or_default();
                sql.prepare_cached("INSERT OR REPLACE INTO intent (file, intent) VALUES (?1, ?2)")?.execute(params![intent.file, json])?;
                Ok(Kept::Done)
            }
            Job::Forget(file) => {
                sql.prepare_cached("DELETE FROM intent WHERE file = ?1")?.execute([file])?;
                Ok(Kept::Done)
            }
            Job::Intents => {
                let mut statement = sql.prepare("SELECT intent FROM intent")?;
                let all: Vec<String> = statement.query_map([], |r| r.get(0))?.collect::<Sql<_>>()?;
                Ok(Kept::Intents(all.iter().filter_map(|json| serde_json::from_str(json).ok()).collect()))
            }
            Job::Settle(done) => {
                for (run, step, element) in done {
                    sql.prepare_cached("UPDATE pending SET settled = 1 WHERE id = ?1 AND step = ?2 AND element = ?3")?
                        .execute(params![run, step, element])?;
                }
                Ok(Kept::Done)
            }
            Job::StillAt(places) => {
                for (run, step, element) in places {
                    let mut statement = sql.prepare_cached("SELECT 1 FROM pending WHERE id = ?1 AND step = ?2 AND element = ?3")?;
                    if statement.exists(params![run, step, element])? {
                        return Ok(Kept::Yes(true));
                    }
                }
                Ok(Kept::Yes(false))
            }
            Job::Prune { what, after, most } => prune::prune(sql, what, *after, *most).map(Kept::Pruned),
            Job::Expire(now) => prune::expire(sql, *now).map(Kept::Yes),
            Job::Stumbled(runs, now) => poison::stumbled(sql, runs, *now).map(Kept::SetAside),
            Job::Size => prune::size(sql).map(Kept::Size),
            Job::Remember(texts) => remember(sql, texts),
            Job::Text(hash) => {
                let mut statement = sql.prepare_cached("SELECT name, body FROM text WHERE hash = ?1")?;
                Ok(Kept::Text(statement.query_row([&**hash], |r| Ok((r.get(0)?, r.get(1)?))).optional()?))
            }
        }
    }
}

pub(super) fn moment(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn accept(sql: &Transaction, row: &EventRow) -> Sql<Kept> {
    for delivery in &row.deliveries {
        if let Some(again) = redelivered(sql, row, delivery)? {
            return Ok(again);
        }
    }
    sql.prepare_cached("INSERT INTO event (id, received, method, address, query, headers, ip, body, ruleset, status) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?
        .execute(params![
            row.id.0.as_bytes(), row.received, row.method, row.address, row.query, row.headers, row.ip, &row.body[..], row.ruleset, row.status
        ])?;
    let event = sql.last_insert_rowid();
    let first = event * MOST_RUNS;
    let fates = insert_runs(sql, event, first, row.received, row.taken, &row.runs)?;
    for delivery in &row.deliveries {
        let until = row.received + delivery.remembered.as_millis() as i64;
        sql.prepare_cached("INSERT OR REPLACE INTO delivery (key, event, until) VALUES (?1, ?2, ?3)")?.execute(params![
            delivery.key,
            event,
            until
        ])?;
    }
    Ok(Kept::New(first, fates))
}

/// What a delivery that came before gets; nothing if it is to be taken as new.
fn redelivered(sql: &Transaction, row: &EventRow, delivery: &Delivery) -> Sql<Option<Kept>> {
    let known: Option<i64> = sql
        .prepare_cached("SELECT event FROM delivery WHERE key = ?1 AND until > ?2")?
        .query_row(params![delivery.key, row.received], |r| r.get(0))
        .optional()?;
    let Some(event) = known else { return Ok(None) };
    let Some(id) = sql.prepare_cached("SELECT id FROM event WHERE seq = ?1")?.query_row([event], |r| r.get::<_, [u8; 16]>(0)).optional()?
    else {
        return Ok(None);
    };
    let count = |table: &str| -> Sql<i64> {
        let text = format!("SELECT count(*) FROM {table} WHERE id >= ?1 AND id < ?2");
        sql.prepare_cached(&text)?.query_row([event * MOST_RUNS, (event + 1) * MOST_RUNS], |r| r.get(0))
    };
    if count("pending")? == 0 && count("ended")? == 0 && !row.runs.is_empty() {
        // No rule wanted it then, and one does now.
        return Ok(None);
    }
    let restarted = restart(sql, event * MOST_RUNS, (event + 1) * MOST_RUNS, row.received)?;
    let standing = standing(sql, event)?;
    Ok(Some(Kept::Again { first: EventId(uuid::Uuid::from_bytes(id)), restarted, standing }))
}

/// Failed runs in a range of numbers go on at the step that failed.
pub(super) fn restart(sql: &Transaction, from: RunId, to: RunId, now: i64) -> Sql<usize> {
    type Row = (RunId, String, String, Option<String>, Option<String>);
    let failed: Vec<Row> = {
        let text = "SELECT id, attempts, rule, lane, once FROM ended WHERE id >= ?1 AND id < ?2 AND state = 'failed'";
        let mut statement = sql.prepare_cached(text)?;
        statement.query_map([from, to], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?)))?.collect::<Sql<_>>()?
    };
    for (run, told, rule, lane, once) in &failed {
        keep_attempts(sql, *run, told)?;
        let taken = if is_queued(sql, lane.as_deref())? { QUEUED } else { 0 };
        sql.prepare_cached(
            "INSERT INTO pending (id, event, rule, text, lane, step, element, tried, due, saved, settled, forgiven, replays, taken, once)
             SELECT id, event, rule, text, lane, step, element, 0, ?2, saved, 0, forgiven, replays + 1, ?3, once FROM ended WHERE id = ?1",
        )?
        .execute(params![run, now, taken])?;
        sql.prepare_cached("DELETE FROM ended WHERE id = ?1")?.execute([run])?;
        claim(sql, rule, *run, once.as_deref(), now)?;
    }
    Ok(failed.len())
}

fn standing(sql: &Transaction, event: i64) -> Sql<Standing> {
    let range = [event * MOST_RUNS, (event + 1) * MOST_RUNS];
    let is_open = sql.prepare_cached("SELECT 1 FROM pending WHERE id >= ?1 AND id < ?2 LIMIT 1")?.exists(range)?;
    Ok(Standing { answer: answer_of(sql, event)?, is_open })
}

fn answer_of(sql: &Transaction, event: i64) -> Sql<Option<Answer>> {
    let read = |r: &Row| {
        let (headers, body): (String, Vec<u8>) = (r.get(1)?, r.get(2)?);
        Ok(Answer { status: r.get(0)?, headers: serde_json::from_str(&headers).unwrap_or_default(), body: body.into() })
    };
    sql.prepare_cached("SELECT status, headers, body FROM answer WHERE event = ?1")?.query_row([event], read).optional()
}

fn record(sql: &Transaction, run: &Run, attempts: &[Attempt], answer: Option<&Answer>) -> Sql<Kept> {
    let event = run.id / MOST_RUNS;
    let told = serde_json::to_string(attempts).unwrap_or_else(|_| "[]".to_owned());
    if let Some(answer) = answer {
        let headers = serde_json::to_string(&answer.headers).unwrap_or_default();
        sql.prepare_cached("INSERT OR IGNORE INTO answer (event, status, headers, body) VALUES (?1, ?2, ?3, ?4)")?.execute(params![
            event,
            answer.status,
            headers,
            &answer.body[..]
        ])?;
    }
    let saved = || serde_json::to_string(&run.saved).unwrap_or_else(|_| "{}".to_owned());
    if run.state == State::Waiting {
        // What is due at once stays with whoever has it; a pause gives it back.
        let last = attempts.last().is_none_or(|a| a.outcome == "retry" || a.outcome == "skipped");
        if !attempts.is_empty() {
            keep_attempts(sql, run.id, &told)?;
        }
        sql.prepare_cached(
            "UPDATE pending SET step = ?2, element = ?3, tried = ?4, due = ?5, saved = ?6, settled = 0, forgiven = ?7, taken = ?8,
             failed_step = ?9, failed_element = ?10 WHERE id = ?1",
        )?
        .execute(params![
            run.id,
            run.place.step,
            run.place.element,
            run.tried,
            run.due.as_millisecond(),
            saved(),
            run.forgiven,
            !last,
            run.failed_at.map(|p| p.step),
            run.failed_at.map(|p| p.element)
        ])?;
        return Ok(Kept::Done);
    }
    let failed = run.state == State::Failed;
    let mut once: Option<String> = None;
    if failed {
        // It gives back what it had claimed, and claims it again when it is replayed; others keep it.
        once = sql.prepare_cached("SELECT once FROM pending WHERE id = ?1")?.query_row([run.id], |r| r.get(0)).optional()?.flatten();
        give_back(sql, &run.rule, run.id, once.as_deref())?;
    }
    sql.prepare_cached("DELETE FROM pending WHERE id = ?1")?.execute([run.id])?;
    // What earlier steps saved is needed only to go on.
    let saved = if failed { saved() } else { "{}".to_owned() };
    let ended = Ended {
        id: run.id,
        event,
        rule: &run.rule,
        text: &run.text,
        state: run.state,
        place: run.place,
        tried: run.tried,
        at: attempts.last().map_or(run.due, |a| a.at).as_millisecond(),
        saved: &saved,
        forgiven: run.forgiven,
        replays: run.replays,
        told: &told,
        lane: run.lane.as_deref(),
        once: once.as_deref(),
    };
    ended.insert(sql)?;
    open_lane(sql, run.lane.as_deref())?;
    Ok(Kept::Done)
}

/// A row of `ended`.
pub(super) struct Ended<'a> {
    pub id: RunId,
    pub event: i64,
    pub rule: &'a str,
    pub text: &'a str,
    pub state: State,
    pub place: Place,
    pub tried: u32,
    pub at: i64,
    pub saved: &'a str,
    pub forgiven: bool,
    pub replays: u32,
    pub told: &'a str,
    pub lane: Option<&'a str>,
    pub once: Option<&'a str>,
}

impl Ended<'_> {
    pub(super) fn insert(&self, sql: &Transaction) -> Sql<()> {
        sql.prepare_cached(
            "INSERT OR REPLACE INTO ended (id, event, rule, text, state, step, element, tried, at, saved, forgiven, replays, attempts, lane, once)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(params![
            self.id,
            self.event,
            self.rule,
            self.text,
            self.state.word(),
            self.place.step,
            self.place.element,
            self.tried,
            self.at,
            self.saved,
            self.forgiven,
            self.replays,
            self.told,
            self.lane,
            self.once
        ])?;
        Ok(())
    }
}

fn keep_attempts(sql: &Transaction, run: RunId, told: &str) -> Sql<()> {
    sql.prepare_cached(
        "INSERT INTO attempts (run, nth, attempts) VALUES (?1, (SELECT coalesce(max(nth), 0) + 1 FROM attempts WHERE run = ?1), ?2)",
    )?
    .execute(params![run, told])?;
    Ok(())
}

/// The columns that `read_run` takes, with the event's id last.
pub(super) const PENDING: &str = "p.id, p.rule, p.text, p.step, p.element, p.tried, p.due, p.saved, p.settled, p.forgiven, p.replays, p.lane, p.failed_step, p.failed_element";
/// How many these are.
pub(super) const RUN_COLUMNS: usize = 14;

pub(super) fn read_run(r: &Row, event: EventId, state: State) -> Sql<Run> {
    let saved: String = r.get(7)?;
    Ok(Run {
        id: r.get(0)?,
        event,
        rule: r.get::<_, String>(1)?.into(),
        text: r.get::<_, String>(2)?.into(),
        state,
        place: Place { step: r.get(3)?, element: r.get(4)? },
        tried: r.get(5)?,
        due: moment(r.get(6)?),
        saved: serde_json::from_str(&saved).unwrap_or_default(),
        settled: r.get(8)?,
        forgiven: r.get(9)?,
        replays: r.get(10)?,
        lane: r.get::<_, Option<String>>(11)?.map(Into::into),
        failed_at: match (r.get(12)?, r.get(13)?) {
            (Some(step), Some(element)) => Some(Place { step, element }),
            _ => None,
        },
    })
}

/// The columns that `read_event` takes.
pub(super) const EVENT: &str = "e.id, e.received, e.method, e.address, e.query, e.headers, e.ip, e.body";

pub(super) fn read_event(r: &Row, from: usize) -> Sql<Event> {
    let headers: String = r.get(from + 5)?;
    let headers: Vec<(String, String)> = serde_json::from_str(&headers).unwrap_or_default();
    let raw = Bytes::from(r.get::<_, Vec<u8>>(from + 7)?);
    let content_type = headers.iter().find(|(n, _)| n == "content-type").map(|(_, v)| v.as_str());
    // It was read once before it was kept, so it can be read again.
    let body = crate::body::read(content_type, &raw).unwrap_or_default();
    Ok(Event {
        id: EventId(uuid::Uuid::from_bytes(r.get(from)?)),
        received: moment(r.get(from + 1)?),
        method: r.get(from + 2)?,
        address: r.get(from + 3)?,
        query: r.get(from + 4)?,
        headers,
        ip: r.get(from + 6)?,
        raw,
        body,
        is_partial: false,
    })
}

fn lease(sql: &Transaction, now: Timestamp, most: usize) -> Sql<Kept> {
    let text = format!(
        "SELECT {PENDING}, {EVENT} FROM pending p JOIN event e ON e.seq = p.event WHERE p.taken = 0 AND p.due <= ?1 ORDER BY p.due, p.id LIMIT ?2"
    );
    let mut statement = sql.prepare_cached(&text)?;
    let read = |r: &Row| {
        let event = read_event(r, RUN_COLUMNS)?;
        Ok((read_run(r, event.id, State::Waiting)?, event))
    };
    let leased: Vec<(Run, Event)> = statement.query_map(params![now.as_millisecond(), most as i64], read)?.collect::<Sql<_>>()?;
    for (run, _) in &leased {
        sql.prepare_cached("UPDATE pending SET taken = 1 WHERE id = ?1")?.execute([run.id])?;
    }
    Ok(Kept::Leased(leased))
}

fn remember(sql: &Transaction, texts: &[(TextHash, String, String)]) -> Sql<Kept> {
    for (hash, name, body) in texts {
        sql.prepare_cached("INSERT OR IGNORE INTO text (hash, name, body) VALUES (?1, ?2, ?3)")?.execute(params![&**hash, name, body])?;
    }
    let list: Vec<(&str, &str)> = texts.iter().map(|(h, n, _)| (n.as_str(), &**h)).collect();
    let list = serde_json::to_string(&list).unwrap_or_default();
    let hash = crate::run::hash(list.as_bytes());
    sql.prepare_cached("INSERT OR IGNORE INTO ruleset (hash, texts) VALUES (?1, ?2)")?.execute(params![hash, list])?;
    Ok(Kept::Ruleset(sql.prepare_cached("SELECT id FROM ruleset WHERE hash = ?1")?.query_row([hash], |r| r.get(0))?))
}
