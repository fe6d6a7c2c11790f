//! PostgreSQL: read access to the store for people: lists, and everything about one event. It changes nothing.

use std::collections::HashMap;
use std::path::Path;

use jiff::Timestamp;
use tokio_postgres::{Config, Row, Transaction};

use super::connections::Connections;
use super::rows::{
    ENDED, EVENT, Head, PENDING, RUN_COLUMNS, add_saved, from_json, moment, number, read_event, read_id, read_json, read_run,
};
use super::texts;
use super::transaction::in_transaction;
use super::{alarms, called_runs, hourly, retention, schedules};
use crate::model::answer::SealedAnswer;
use crate::model::event::EventId;
use crate::model::hourly::{Hour, Hourly};
use crate::model::run::{Attempt, Run, RunId, State, TextHash};
use crate::store::answered::{answered, is_by_a_rule};
use crate::store::attempts::why;
use crate::store::contract::{
    Choice, Counts, Cursor, Doing, Dossier, Error, EventFilter, EventPage, Queries, Result, RulesVersion, RunPage, Searched, WhatBecame,
};
use crate::store::event_ids::{ids_that_begin, the_one};
use crate::store::starts::{ScheduleProgress, SilenceProgress};

pub(in crate::store) struct PostgresQueries {
    connections: Connections,
}

impl PostgresQueries {
    pub(in crate::store) fn new(config: Config) -> Self {
        Self { connections: Connections::new(config, 1) }
    }
}

impl Queries for PostgresQueries {
    fn search(&self, filter: EventFilter, from: Option<Cursor>, most: usize, look: usize) -> Doing<'_, Searched> {
        in_transaction!(self, |sql| search(sql, &filter, from, most, look).await?)
    }
    fn waiting(&self, most: usize) -> Doing<'_, Vec<(RunPage, Vec<Attempt>)>> {
        in_transaction!(self, |sql| waiting(sql, most).await?)
    }
    fn failed(&self, most: usize) -> Doing<'_, Vec<RunPage>> {
        in_transaction!(self, |sql| failed(sql, most).await?)
    }
    fn counts(&self, most: usize) -> Doing<'_, Counts> {
        in_transaction!(self, |sql| counts(sql, most).await?)
    }
    fn chosen(&self, choice: Choice) -> Doing<'_, Vec<(EventId, usize)>> {
        in_transaction!(self, |sql| chosen(sql, &choice).await?)
    }
    fn find(&self, beginning: &str) -> Doing<'_, EventId> {
        let beginning = beginning.to_owned();
        in_transaction!(self, |sql| find(sql, &beginning).await?)
    }
    fn dossier(&self, id: EventId) -> Doing<'_, Dossier> {
        in_transaction!(self, |sql| dossier(sql, id).await?)
    }
    fn versions(&self, most: usize) -> Doing<'_, Vec<RulesVersion>> {
        in_transaction!(self, |sql| texts::versions(sql, most).await?)
    }
    fn text(&self, hash: TextHash) -> Doing<'_, Option<String>> {
        in_transaction!(self, |sql| texts::text(sql, &hash).await?.map(|(_, text)| text))
    }
    /// The database's administrators back it up.
    fn copy_to(&self, _: &Path) -> Doing<'_, ()> {
        Box::pin(async { Err(Error::new("the events are in PostgreSQL; back them up with `pg_dump` or your usual tool", false)) })
    }
    fn hourly(&self, since: Hour, rule: Option<String>) -> Doing<'_, Vec<Hourly>> {
        in_transaction!(self, |sql| hourly::since(sql, since, rule.as_deref()).await?)
    }
    fn schedules(&self) -> Doing<'_, Vec<ScheduleProgress>> {
        in_transaction!(self, |sql| schedules::all(sql).await?)
    }
    fn silences(&self) -> Doing<'_, Vec<SilenceProgress>> {
        in_transaction!(self, |sql| alarms::silences(sql).await?)
    }
    fn size(&self) -> Doing<'_, u64> {
        in_transaction!(self, |sql| retention::size(sql).await?)
    }
}

/// Whether $5 is in a body. All bytes but zeros are text in this encoding, and this collation changes the case of ASCII only, so
/// no other bytes are taken for the same.
const HAS_TEXT: &str = r#"CASE WHEN position('\x00'::bytea in body) > 0 OR position('\x00'::bytea in $5) > 0 THEN position($5 in body) > 0
    ELSE position(lower(convert_from($5, 'LATIN1') COLLATE "C") in lower(convert_from(body, 'LATIN1') COLLATE "C")) > 0 END"#;

async fn search(sql: &Transaction<'_>, filter: &EventFilter, from: Option<Cursor>, most: usize, look: usize) -> Result<Searched> {
    let before = filter.before.map_or(i64::MAX, |before| before.as_millisecond());
    let from = from.unwrap_or(i64::MAX);
    let edge = "SELECT min(seq), count(*), min(received) FROM
                (SELECT seq, received FROM event WHERE seq < $1 AND received < $2 ORDER BY seq DESC LIMIT $3) looked";
    let row = sql.query_one(edge, &[&from, &before, &(look as i64)]).await?;
    let Some(first) = row.try_get::<_, Option<i64>>(0)? else { return Ok(Searched::default()) };
    let (looked, back_to) = (row.try_get::<_, i64>(1)? as usize, row.try_get::<_, Option<i64>>(2)?.map(moment));
    let runs_of =
        "SELECT rule, 'waiting' AS state FROM pending WHERE event = e.seq UNION ALL SELECT rule, state FROM ended WHERE event = e.seq";
    let text = format!(
        "SELECT seq, id, received, head, status FROM event e WHERE seq >= $1 AND seq < $2 AND received < $3
         AND ($4::text IS NULL OR head::json ->> 'address' = $4) AND ($5::bytea IS NULL OR {HAS_TEXT})
         AND CASE $6 WHEN 'any' THEN $7::bytea IS NULL OR EXISTS (SELECT 1 FROM ({runs_of}) r WHERE r.rule = $7)
                     WHEN 'none' THEN NOT EXISTS (SELECT 1 FROM ({runs_of}) r WHERE $7 IS NULL OR r.rule = $7)
                     ELSE EXISTS (SELECT 1 FROM ({runs_of}) r WHERE r.state = $6 AND ($7 IS NULL OR r.rule = $7)) END
         ORDER BY seq DESC LIMIT $8"
    );
    let became = match filter.became {
        None => "any",
        Some(WhatBecame::Nothing) => "none",
        Some(WhatBecame::Runs(state)) => state.word(),
    };
    let (body, rule) = (filter.text.as_deref().map(str::as_bytes), filter.rule.as_deref().map(str::as_bytes));
    let rows = sql.query(&text, &[&first, &from, &before, &filter.address, &body, &became, &rule, &(most as i64)]).await?;
    let mut last = first;
    let mut pages = Vec::with_capacity(rows.len());
    for row in &rows {
        let Head { method, address, sender, .. } = read_json(row, 3)?;
        let (seq, id, received, stored) = (row.try_get(0)?, read_id(row, 1)?, moment(row.try_get(2)?), row.try_get::<_, i32>(4)? as u32);
        let runs = if is_by_a_rule(stored) { runs(sql, seq, id, received).await? } else { Vec::new() };
        let answered = answered(stored, received, kept(sql, seq).await?, &runs);
        pages.push(EventPage { id, received, method, address, sender: sender.map(Into::into), answered, runs: states(sql, seq).await? });
        if rows.len() == most {
            last = seq;
        }
    }
    let older = sql.query_opt("SELECT 1 FROM event WHERE seq < $1 AND received < $2 LIMIT 1", &[&last, &before]).await?;
    Ok(Searched { events: pages, next: older.map(|_| last), looked, back_to })
}

async fn states(sql: &Transaction<'_>, event: i64) -> Result<Vec<(State, usize)>> {
    let text = "SELECT state, count(*) FROM (SELECT 'waiting' AS state FROM pending WHERE event = $1
                UNION ALL SELECT state FROM ended WHERE event = $1) r GROUP BY state";
    let mut all = Vec::new();
    for row in sql.query(text, &[&event]).await? {
        all.extend(State::read(row.try_get(0)?).zip(Some(row.try_get::<_, i64>(1)? as usize)));
    }
    Ok(all)
}

async fn failed(sql: &Transaction<'_>, most: usize) -> Result<Vec<RunPage>> {
    let text = format!(
        "SELECT {ENDED}, e.id, e.received FROM ended p JOIN event e ON e.seq = p.event WHERE p.state = 'failed' ORDER BY p.id DESC LIMIT $1"
    );
    let mut pages = Vec::new();
    for row in sql.query(&text, &[&(most as i64)]).await? {
        let mut run = read_run(&row, read_id(&row, RUN_COLUMNS)?, State::Failed)?;
        add_saved(sql, &mut [&mut run]).await?;
        let said = why(&run, &attempts(sql, run.id).await?);
        let received = moment(row.try_get(RUN_COLUMNS + 1)?);
        pages.push(RunPage { said, received, ended: Some(run.due), is_queued: false, is_in_hand: false, called_by: None, run });
    }
    Ok(pages)
}

async fn waiting(sql: &Transaction<'_>, most: usize) -> Result<Vec<(RunPage, Vec<Attempt>)>> {
    let text = format!(
        "SELECT {PENDING}, p.queued, p.owner <> 0, e.id, e.received FROM pending p JOIN event e ON e.seq = p.event ORDER BY p.id LIMIT $1"
    );
    let mut pages = Vec::new();
    for row in sql.query(&text, &[&(most as i64)]).await? {
        let run = read_run(&row, read_id(&row, RUN_COLUMNS + 2)?, State::Waiting)?;
        let attempts = attempts(sql, run.id).await?;
        let (said, is_queued, is_in_hand) = (why(&run, &attempts), row.try_get(RUN_COLUMNS)?, row.try_get(RUN_COLUMNS + 1)?);
        pages.push((
            RunPage { said, received: moment(row.try_get(RUN_COLUMNS + 3)?), ended: None, is_queued, is_in_hand, called_by: None, run },
            attempts,
        ));
    }
    Ok(pages)
}

async fn counts(sql: &Transaction<'_>, most: usize) -> Result<Counts> {
    let count = |rows: &str| format!("(SELECT count(*) FROM (SELECT 1 FROM {rows} LIMIT $1) counted)");
    let text = format!("SELECT {}, {}, {}", count("event"), count("pending"), count("ended WHERE state = 'failed'"));
    let row = sql.query_one(&text, &[&i64::try_from(most).unwrap_or(i64::MAX)]).await?;
    let count = |column| Ok::<_, Error>(row.try_get::<_, i64>(column)? as u64);
    Ok(Counts { events: count(0)?, waiting: count(1)?, failed: count(2)? })
}

async fn chosen(sql: &Transaction<'_>, choice: &Choice) -> Result<Vec<(EventId, usize)>> {
    let text = "SELECT e.id, count(*) FROM event e JOIN ended r ON r.event = e.seq
                WHERE e.received >= $1 AND e.received < $2 AND r.state = $3 AND ($4::bytea IS NULL OR r.rule = $4)
                GROUP BY e.seq, e.id ORDER BY e.seq";
    let (since, until) = (choice.since.as_millisecond(), choice.until.as_millisecond());
    let rows = sql.query(text, &[&since, &until, &choice.state.word(), &choice.rule.as_deref().map(str::as_bytes)]).await?;
    rows.iter().map(|row| Ok((read_id(row, 0)?, row.try_get::<_, i64>(1)? as usize))).collect()
}

async fn find(sql: &Transaction<'_>, beginning: &str) -> Result<EventId> {
    let [from, to] = ids_that_begin(beginning)?;
    let text = "SELECT id FROM event WHERE id >= $1 AND id <= $2 LIMIT 2";
    let rows = sql.query(text, &[&&from.as_bytes()[..], &&to.as_bytes()[..]]).await?;
    the_one(beginning, &rows.iter().map(|row| read_id(row, 0)).collect::<Result<Vec<_>>>()?)
}

async fn dossier(sql: &Transaction<'_>, id: EventId) -> Result<Dossier> {
    let seq = number(sql, id).await?.ok_or_else(|| Error::new(format!("there is no event {id}"), false))?;
    let text = format!("SELECT {EVENT}, e.status, s.texts FROM event e LEFT JOIN ruleset s ON s.id = e.ruleset WHERE e.seq = $1");
    let row = sql.query_one(&text, &[&seq]).await?;
    let (event, status) = (read_event(&row, 0)?, row.try_get::<_, i32>(4)? as u32);
    let runs = runs(sql, seq, id, event.received).await?;
    let answered = answered(status, event.received, kept(sql, seq).await?, &runs);
    let list: Vec<(String, String)> = row.try_get::<_, Option<&str>>(5)?.map(from_json).transpose()?.unwrap_or_default();
    let of_runs = runs.iter().map(|(page, _)| &*page.run.text);
    let hashes: Vec<&str> = list.iter().map(|(_, hash)| hash.as_str()).chain(of_runs).collect();
    let rows = sql.query("SELECT hash, body, name FROM text WHERE hash = ANY($1)", &[&hashes]).await?;
    let (mut bodies, mut later_texts) = (HashMap::<String, String>::new(), Vec::new());
    for row in rows {
        let (hash, body): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        if list.iter().all(|(_, of_then)| *of_then != hash) {
            later_texts.push((row.try_get(2)?, body.clone()));
        }
        bodies.insert(hash, body);
    }
    let texts = list.into_iter().filter_map(|(name, hash)| Some((name, bodies.get(&hash)?.clone()))).collect();
    let Head { decided, .. } = read_json(&row, 2)?;
    Ok(Dossier { event, answered, runs, decided, texts, later_texts })
}

/// The runs of an event, in order, with every attempt.
async fn runs(sql: &Transaction<'_>, seq: i64, id: EventId, received: Timestamp) -> Result<Vec<(RunPage, Vec<Attempt>)>> {
    let mut runs: Vec<(Run, bool, bool)> = Vec::new();
    for text in [
        format!("SELECT {PENDING}, 'waiting', p.queued, p.owner <> 0 FROM pending p WHERE p.event = $1"),
        format!("SELECT {ENDED}, p.state, FALSE, FALSE FROM ended p WHERE p.event = $1"),
    ] {
        let read = |row: &Row| {
            let state = State::read(row.try_get(RUN_COLUMNS)?).unwrap_or(State::Failed);
            Ok((read_run(row, id, state)?, row.try_get(RUN_COLUMNS + 1)?, row.try_get(RUN_COLUMNS + 2)?))
        };
        runs.extend(sql.query(&text, &[&seq]).await?.iter().map(read).collect::<Result<Vec<_>>>()?);
    }
    runs.sort_by_key(|(run, ..)| run.id);
    add_saved(sql, &mut runs.iter_mut().map(|(run, ..)| run).collect::<Vec<_>>()).await?;
    let callers = called_runs::callers(sql, seq).await?;
    let mut pages = Vec::with_capacity(runs.len());
    for (run, is_queued, is_in_hand) in runs {
        let attempts = attempts(sql, run.id).await?;
        let ended = (run.state != State::Waiting).then_some(run.due);
        let called_by = callers.get(&run.id).copied();
        pages.push((RunPage { said: why(&run, &attempts), received, ended, is_queued, is_in_hand, called_by, run }, attempts));
    }
    Ok(pages)
}

/// The status of the answer that is kept for an event.
async fn kept(sql: &Transaction<'_>, seq: i64) -> Result<Option<u16>> {
    let row = sql.query_opt("SELECT sealed FROM answer WHERE event = $1", &[&seq]).await?;
    row.map(|row| Ok(read_json::<SealedAnswer>(&row, 0)?.status)).transpose()
}

/// Every attempt of a run, in order.
async fn attempts(sql: &Transaction<'_>, run: RunId) -> Result<Vec<Attempt>> {
    let mut all = Vec::new();
    for row in sql.query("SELECT attempts FROM attempt WHERE run = $1 ORDER BY nth", &[&run]).await? {
        all.extend(read_json::<Vec<Attempt>>(&row, 0)?);
    }
    Ok(all)
}
