//! The store as people look at it: lists, one event's whole story, and doing things again. Works beside a running
//! `serve` and without it, over a connection of its own.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::claims::{QUEUED, give_back, insert_runs, open_lane};
use super::contract::{Counts, Dossier, Error, EventPage, NewRun, Pruned, Pruning, Result, RunPage};
use super::jobs::{EVENT, MOST_RUNS, PENDING, RUN_COLUMNS, Sql, moment, read_event, read_run, restart};
use super::sqlite::{connect, error, file};
use super::tables;
use crate::event::EventId;
use crate::run::{Attempt, Run, RunId, State, TextHash};

/// The columns of an ended run, in the order that `read_run` takes.
const ENDED: &str = "p.id, p.rule, p.text, p.step, p.element, p.tried, p.at, p.saved, 0, p.forgiven, p.replays, p.lane, NULL, NULL";

/// Why a run stands as it does: for a failed one what failed it, not what its `on_error:` did then.
fn why(run: &Run, attempts: &[Attempt]) -> String {
    let failed = attempts.iter().rfind(|a| a.outcome == "failed" && a.place == run.place);
    failed.filter(|_| run.state == State::Failed).or(attempts.last()).map(|a| a.said.clone()).unwrap_or_default()
}

/// Which events somebody means.
#[derive(Debug)]
pub struct Choice {
    /// Runs that stand so.
    pub state: State,
    /// Runs of this rule.
    pub rule: Option<String>,
    /// Events that came at this moment or later, and before that one.
    pub since: Timestamp,
    pub until: Timestamp,
}

/// A connection for reading and replaying.
pub struct Archive(Connection);

impl Archive {
    /// Opens the store of a data folder that is there.
    pub fn open(data: &Path) -> Result<Self> {
        if !file(data).exists() {
            let said = format!("{} holds no events yet; `doorbell serve` makes it, or name another folder with --data", data.display());
            return Err(Error::new(said, false));
        }
        let mut connection = connect(data, false)?;
        tables::migrate(&mut connection)?;
        Ok(Self(connection))
    }

    /// The latest events, newest first.
    pub fn events(&self, most: usize) -> Result<Vec<EventPage>> {
        let read = |r: &Row| {
            let event: i64 = r.get(0)?;
            let page = EventPage {
                id: EventId(uuid::Uuid::from_bytes(r.get(1)?)),
                received: moment(r.get(2)?),
                method: r.get(3)?,
                address: r.get(4)?,
                status: r.get(5)?,
                runs: Vec::new(),
            };
            Ok((event, page))
        };
        let events = || -> Sql<Vec<EventPage>> {
            let mut statement =
                self.0.prepare("SELECT seq, id, received, method, address, status FROM event ORDER BY seq DESC LIMIT ?1")?;
            let rows: Vec<(i64, EventPage)> = statement.query_map([most as i64], read)?.collect::<Sql<_>>()?;
            rows.into_iter()
                .map(|(event, mut page)| {
                    page.runs = self.states(event)?;
                    Ok(page)
                })
                .collect()
        };
        events().map_err(error)
    }

    fn states(&self, event: i64) -> Sql<Vec<(State, usize)>> {
        let range = [event * MOST_RUNS, (event + 1) * MOST_RUNS];
        let waiting: i64 =
            self.0.prepare_cached("SELECT count(*) FROM pending WHERE id >= ?1 AND id < ?2")?.query_row(range, |r| r.get(0))?;
        let mut statement = self.0.prepare_cached("SELECT state, count(*) FROM ended WHERE id >= ?1 AND id < ?2 GROUP BY state")?;
        let ended: Vec<(String, i64)> = statement.query_map(range, |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<Sql<_>>()?;
        let mut all: Vec<(State, usize)> = ended.into_iter().filter_map(|(word, n)| State::read(&word).map(|s| (s, n as usize))).collect();
        if waiting > 0 {
            all.push((State::Waiting, waiting as usize));
        }
        Ok(all)
    }

    /// The runs that failed, newest first.
    pub fn failed(&self, most: usize) -> Result<Vec<RunPage>> {
        let text = format!(
            "SELECT {ENDED}, e.id, e.received FROM ended p JOIN event e ON e.seq = p.event WHERE p.state = 'failed' ORDER BY p.id DESC LIMIT ?1"
        );
        let read = |r: &Row| -> Sql<RunPage> {
            let run = read_run(r, EventId(uuid::Uuid::from_bytes(r.get(RUN_COLUMNS)?)), State::Failed)?;
            let said = why(&run, &self.attempts(run.id)?);
            Ok(RunPage { said, received: moment(r.get(RUN_COLUMNS + 1)?), ended: Some(run.due), run })
        };
        let all = || self.0.prepare(&text)?.query_map([most as i64], read)?.collect::<Sql<Vec<_>>>();
        all().map_err(error)
    }

    /// How much is kept.
    pub fn counts(&self) -> Result<Counts> {
        let count = |sql: &str| self.0.query_row(sql, [], |r| r.get::<_, i64>(0)).map(|n| n as u64).map_err(error);
        Ok(Counts {
            events: count("SELECT count(*) FROM event")?,
            waiting: count("SELECT count(*) FROM pending")?,
            failed: count("SELECT count(*) FROM ended WHERE state = 'failed'")?,
        })
    }

    /// The events that fit, oldest first, each with how many of its runs do.
    pub fn chosen(&self, choice: &Choice) -> Result<Vec<(EventId, usize)>> {
        let text = "SELECT e.id, count(*) FROM event e JOIN ended r ON r.id >= e.seq * ?1 AND r.id < (e.seq + 1) * ?1
                    WHERE e.received >= ?2 AND e.received < ?3 AND r.state = ?4 AND (?5 IS NULL OR r.rule = ?5)
                    GROUP BY e.seq ORDER BY e.seq";
        // Those that have failed are few, and have an index of their own.
        let failed = "SELECT e.id, count(*) FROM ended r JOIN event e ON e.seq = r.event
                      WHERE r.state = 'failed' AND ?1 > 0 AND e.received >= ?2 AND e.received < ?3 AND r.state = ?4 AND (?5 IS NULL OR r.rule = ?5)
                      GROUP BY e.seq ORDER BY e.seq";
        let text = if choice.state == State::Failed { failed } else { text };
        let read = |r: &Row| Ok((EventId(uuid::Uuid::from_bytes(r.get(0)?)), r.get::<_, i64>(1)? as usize));
        let (since, until) = (choice.since.as_millisecond(), choice.until.as_millisecond());
        let all = || {
            self.0
                .prepare(text)?
                .query_map(params![MOST_RUNS, since, until, choice.state.word(), choice.rule], read)?
                .collect::<Sql<Vec<_>>>()
        };
        all().map_err(error)
    }

    /// Forgets events that are done with, at most so many, behind the number `after`.
    pub fn prune(&mut self, what: &Pruning, after: i64, most: usize) -> Result<Pruned> {
        let mut prune = || -> Sql<Pruned> {
            let sql = self.0.transaction()?;
            let pruned = super::prune::prune(&sql, what, after, most)?;
            sql.commit()?;
            Ok(pruned)
        };
        prune().map_err(error)
    }

    /// How many bytes are in use.
    pub fn size(&self) -> Result<u64> {
        super::prune::size(&self.0).map_err(error)
    }

    /// Copies everything, as it is at one moment, into a file that is not there yet; a running `serve` goes on meanwhile.
    pub fn copy_to(&self, file: &Path) -> Result<()> {
        let name = file.to_str().ok_or_else(|| Error::new("the file's name is not UTF-8", false))?;
        self.0.execute("VACUUM INTO ?1", [name]).map(drop).map_err(error)
    }

    /// The one event whose id begins like this.
    pub fn find(&self, beginning: &str) -> Result<EventId> {
        let hex: String = beginning.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_lowercase();
        if hex.len() < 8 || hex.len() > 32 || beginning.chars().any(|c| !c.is_ascii_hexdigit() && c != '-' && c != '…') {
            return Err(Error::new(format!("`{beginning}` is no event; `doorbell events` lists them, and the first 8 letters do"), false));
        }
        let bound = |fill: &str| {
            let text = format!("{hex}{}", fill.repeat(32 - hex.len()));
            uuid::Uuid::parse_str(&text).map(|u| u.into_bytes()).map_err(|e| Error::new(e.to_string(), false))
        };
        let found: Vec<[u8; 16]> = {
            let (from, to) = (bound("0")?, bound("f")?);
            let all = || {
                self.0
                    .prepare("SELECT id FROM event WHERE id >= ?1 AND id <= ?2 LIMIT 2")?
                    .query_map(params![from, to], |r| r.get(0))?
                    .collect::<Sql<Vec<_>>>()
            };
            all().map_err(error)?
        };
        match found.as_slice() {
            [one] => Ok(EventId(uuid::Uuid::from_bytes(*one))),
            [] => Err(Error::new(format!("there is no event {beginning}; `doorbell events` lists them"), false)),
            _ => Err(Error::new(format!("several events begin with {beginning}; write more of it"), false)),
        }
    }

    fn number(&self, id: EventId) -> Result<i64> {
        self.0.query_row("SELECT seq FROM event WHERE id = ?1", [id.0.as_bytes()], |r| r.get(0)).map_err(error)
    }

    /// Everything about one event.
    pub fn dossier(&self, id: EventId) -> Result<Dossier> {
        let number = self.number(id)?;
        let read = || -> Sql<Dossier> {
            let text = format!("SELECT {EVENT}, e.status, s.texts FROM event e LEFT JOIN ruleset s ON s.id = e.ruleset WHERE e.seq = ?1");
            let (event, status, texts) =
                self.0.query_row(&text, [number], |r| Ok((read_event(r, 0)?, r.get(8)?, r.get::<_, Option<String>>(9)?)))?;
            let range = [number * MOST_RUNS, (number + 1) * MOST_RUNS];
            let mut runs = Vec::new();
            let pending = format!("SELECT {PENDING}, 'waiting' FROM pending p WHERE p.id >= ?1 AND p.id < ?2");
            let ended = format!("SELECT {ENDED}, p.state FROM ended p WHERE p.id >= ?1 AND p.id < ?2");
            for text in [pending, ended] {
                let mut statement = self.0.prepare(&text)?;
                let state = |r: &Row| Sql::Ok(State::read(&r.get::<_, String>(RUN_COLUMNS)?).unwrap_or(State::Failed));
                let some: Vec<_> = statement.query_map(range, |r| read_run(r, id, state(r)?))?.collect::<Sql<Vec<_>>>()?;
                runs.extend(some);
            }
            runs.sort_by_key(|r| r.id);
            let runs = runs
                .into_iter()
                .map(|run| {
                    let attempts = self.attempts(run.id)?;
                    let said = why(&run, &attempts);
                    let ended = (run.state != State::Waiting).then_some(run.due);
                    Ok((RunPage { run, said, received: event.received, ended }, attempts))
                })
                .collect::<Sql<_>>()?;
            let list: Vec<(String, String)> = texts.and_then(|t| serde_json::from_str(&t).ok()).unwrap_or_default();
            let mut texts = Vec::new();
            for (name, hash) in list {
                let body = self.0.query_row("SELECT body FROM text WHERE hash = ?1", [hash], |r| r.get(0))?;
                texts.push((name, body));
            }
            Ok(Dossier { event, status, runs, texts })
        };
        read().map_err(error)
    }

    /// Every attempt of a run, those of its last record included.
    fn attempts(&self, run: RunId) -> Sql<Vec<Attempt>> {
        let text = "SELECT attempts FROM (SELECT nth, attempts FROM attempts WHERE run = ?1 UNION ALL SELECT 1 << 30, attempts FROM ended WHERE id = ?1) ORDER BY nth";
        let mut statement = self.0.prepare_cached(text)?;
        let told: Vec<String> = statement.query_map([run], |r| r.get(0))?.collect::<Sql<_>>()?;
        Ok(told.iter().flat_map(|json| serde_json::from_str::<Vec<Attempt>>(json).unwrap_or_default()).collect())
    }

    /// Lets the failed runs of an event go on at the step that failed; only those of one rule, if one is named.
    pub fn replay_failed(&mut self, id: EventId, rule: Option<&str>, now: Timestamp) -> Result<usize> {
        let number = self.number(id)?;
        let mut replay = || -> Sql<usize> {
            let sql = self.0.transaction()?;
            let wanted: Vec<RunId> = {
                let mut statement =
                    sql.prepare("SELECT id FROM ended WHERE id >= ?1 AND id < ?2 AND state = 'failed' AND (?3 IS NULL OR rule = ?3)")?;
                statement.query_map(params![number * MOST_RUNS, (number + 1) * MOST_RUNS, rule], |r| r.get(0))?.collect::<Sql<_>>()?
            };
            for run in &wanted {
                restart(&sql, *run, run + 1, now.as_millisecond())?;
            }
            sql.commit()?;
            Ok(wanted.len())
        };
        replay().map_err(error)
    }

    /// Starts rules on an event anew, with the rule texts given.
    pub fn replay_anew(&mut self, id: EventId, runs: &[NewRun], texts: &[(TextHash, String, String)], now: Timestamp) -> Result<usize> {
        let number = self.number(id)?;
        let mut replay = || -> Sql<usize> {
            let sql = self.0.transaction()?;
            for (hash, name, body) in texts {
                sql.execute("INSERT OR IGNORE INTO text (hash, name, body) VALUES (?1, ?2, ?3)", params![&**hash, name, body])?;
            }
            let range = [number * MOST_RUNS, (number + 1) * MOST_RUNS];
            let last: Option<i64> = sql.query_row(
                "SELECT max(id) FROM (SELECT id FROM pending UNION ALL SELECT id FROM ended) WHERE id >= ?1 AND id < ?2",
                range,
                |r| r.get(0),
            )?;
            let first = last.map_or(range[0], |l| l + 1);
            let begun = insert_runs(&sql, number, first, now.as_millisecond(), false, runs)?;
            sql.commit()?;
            Ok(begun.len())
        };
        replay().map_err(error)
    }

    /// Ends runs that wait: those of one event, of one rule, or both. Says how many were ended, and how many are being
    /// done this very moment and were left alone. `is_served` says whether anybody can be at work on them.
    pub fn cancel(&mut self, id: Option<EventId>, rule: Option<&str>, is_served: bool, now: Timestamp) -> Result<(usize, usize)> {
        let range = match id {
            Some(id) => self.number(id).map(|n| [n * MOST_RUNS, (n + 1) * MOST_RUNS])?,
            None => [0, i64::MAX],
        };
        let mut cancel = || -> Sql<(usize, usize)> {
            let sql = self.0.transaction()?;
            type Waiting = (RunId, String, Option<String>, Option<String>, i64);
            let waiting: Vec<Waiting> = {
                let text = "SELECT id, rule, lane, once, taken FROM pending WHERE id >= ?1 AND id < ?2 AND (?3 IS NULL OR rule = ?3)";
                let read = |r: &Row| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?));
                sql.prepare(text)?.query_map(params![range[0], range[1], rule], read)?.collect::<Sql<_>>()?
            };
            let (mut ended, mut busy) = (0, 0);
            for (run, rule, lane, once, taken) in waiting {
                if taken != 0 && taken != QUEUED && is_served {
                    busy += 1;
                    continue;
                }
                sql.execute(
                    "INSERT OR REPLACE INTO ended (id, event, rule, text, state, step, element, tried, at, saved, forgiven, replays, attempts, lane, once)
                     SELECT id, event, rule, text, ?2, step, element, tried, ?3, saved, forgiven, replays, '[]', lane, once FROM pending WHERE id = ?1",
                    params![run, State::Cancelled.word(), now.as_millisecond()],
                )?;
                sql.execute("DELETE FROM pending WHERE id = ?1", [run])?;
                give_back(&sql, &rule, run, once.as_deref())?;
                open_lane(&sql, lane.as_deref())?;
                ended += 1;
            }
            sql.commit()?;
            Ok((ended, busy))
        };
        cancel().map_err(error)
    }
}
