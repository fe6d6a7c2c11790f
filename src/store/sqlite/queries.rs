//! SQLite: read access to the store for people: lists, and everything about one event. Works with or without a running
//! `serve`, over its own connection, and changes nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::connection::{connect, file};
use super::failures::error;
use super::rows::{
    ENDED, EVENT, EVENT_COLUMNS, MOST_RUNS, PENDING, RUN_COLUMNS, Sql, event_id, failures_of, from_json, moment, range, read_event,
    read_run, saved_of,
};
use super::sealing;
use super::search::{self, FoundRows};
use super::tables;
use super::{alarms, called_runs, hourly, prune, schedules};
use crate::model::event::EventId;
use crate::model::hourly::{Hour, Hourly};
use crate::model::run::{Attempt, Run, RunId, State, TextHash};
use crate::secret::Key;
use crate::store::answered::{answered, is_by_a_rule};
use crate::store::attempts::why;
use crate::store::contract::{
    Choice, Counts, Cursor, Doing, Dossier, Error, EventFilter, EventPage, Queries, Result, RulesVersion, RunPage, Searched,
};
use crate::store::event_ids::{ids_that_begin, the_one};
use crate::store::starts::{ScheduleProgress, SilenceProgress};

/// A read-only connection.
pub struct SqliteQueries(Arc<Mutex<Reader>>);

impl SqliteQueries {
    /// Opens the store of an existing data folder.
    pub fn open(data: &Path, key: &Key) -> Result<Self> {
        if !file(data).exists() {
            let said = format!("{} contains no events yet; start `doorbell serve`, or choose another folder with --data", data.display());
            return Err(Error::new(said, false));
        }
        let mut connection = connect(data, false, key)?;
        tables::migrate(&mut connection)?;
        sealing::check(&connection, key, data, false)?;
        Ok(Self(Arc::new(Mutex::new(Reader(connection)))))
    }

    /// Runs a query in a thread where waiting for the disk does not block others.
    fn ask<T: Send + 'static>(&self, question: impl FnOnce(&Reader) -> Result<T> + Send + 'static) -> Doing<'_, T> {
        let reader = self.0.clone();
        Box::pin(async move {
            let answer = move || question(&reader.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
            tokio::task::spawn_blocking(answer).await.map_err(|e| Error::new(e.to_string(), false))?
        })
    }
}

impl Queries for SqliteQueries {
    fn search(&self, filter: EventFilter, from: Option<Cursor>, most: usize, look: usize) -> Doing<'_, Searched> {
        self.ask(move |reader| reader.search(&filter, from, most, look))
    }
    fn waiting(&self, most: usize) -> Doing<'_, Vec<(RunPage, Vec<Attempt>)>> {
        self.ask(move |reader| reader.waiting(most))
    }
    fn failed(&self, most: usize) -> Doing<'_, Vec<RunPage>> {
        self.ask(move |reader| reader.failed(most))
    }
    fn counts(&self, most: usize) -> Doing<'_, Counts> {
        self.ask(move |reader| reader.counts(most))
    }
    fn chosen(&self, choice: Choice) -> Doing<'_, Vec<(EventId, usize)>> {
        self.ask(move |reader| reader.chosen(&choice))
    }
    fn find(&self, beginning: &str) -> Doing<'_, EventId> {
        let beginning = beginning.to_owned();
        self.ask(move |reader| reader.find(&beginning))
    }
    fn dossier(&self, id: EventId) -> Doing<'_, Dossier> {
        self.ask(move |reader| reader.dossier(id))
    }
    fn versions(&self, most: usize) -> Doing<'_, Vec<RulesVersion>> {
        self.ask(move |reader| reader.versions(most))
    }
    fn text(&self, hash: TextHash) -> Doing<'_, Option<String>> {
        self.ask(move |reader| {
            reader.0.query_row("SELECT body FROM text WHERE hash = ?1", [&*hash], |r| r.get(0)).optional().map_err(error)
        })
    }
    fn copy_to(&self, file: &Path) -> Doing<'_, ()> {
        let file: PathBuf = file.to_owned();
        self.ask(move |reader| reader.copy_to(&file))
    }
    fn hourly(&self, since: Hour, rule: Option<String>) -> Doing<'_, Vec<Hourly>> {
        self.ask(move |reader| hourly::since(&reader.0, since, rule.as_deref()).map_err(error))
    }
    fn schedules(&self) -> Doing<'_, Vec<ScheduleProgress>> {
        self.ask(|reader| schedules::all(&reader.0).map_err(error))
    }
    fn silences(&self) -> Doing<'_, Vec<SilenceProgress>> {
        self.ask(|reader| alarms::silences(&reader.0).map_err(error))
    }
    fn size(&self) -> Doing<'_, u64> {
        self.ask(|reader| prune::size(&reader.0).map_err(error))
    }
}

struct Reader(Connection);

impl Reader {
    fn search(&self, filter: &EventFilter, from: Option<Cursor>, most: usize, look: usize) -> Result<Searched> {
        let search = || -> Sql<Searched> {
            let FoundRows { rows, next, looked, back_to } = search::search(&self.0, filter, from, most, look)?;
            let whole = |(event, stored, mut page): (i64, u32, EventPage)| -> Sql<EventPage> {
                page.runs = self.states(event)?;
                let runs = if is_by_a_rule(stored) { self.runs(event, page.id, page.received)? } else { Vec::new() };
                page.answered = answered(stored, page.received, self.kept(event)?, &runs);
                Ok(page)
            };
            Ok(Searched { events: rows.into_iter().map(whole).collect::<Sql<_>>()?, next, looked, back_to })
        };
        search().map_err(error)
    }

    fn states(&self, event: i64) -> Sql<Vec<(State, usize)>> {
        let range = range(event);
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

    fn failed(&self, most: usize) -> Result<Vec<RunPage>> {
        let text = format!(
            "SELECT {ENDED}, e.id, e.received FROM ended p JOIN event e ON e.seq = p.event WHERE p.state = 'failed' ORDER BY p.id DESC LIMIT ?1"
        );
        let read = |r: &Row| -> Sql<RunPage> {
            let mut run = read_run(r, event_id(r, RUN_COLUMNS)?, State::Failed)?;
            failures_of(&self.0, &mut run)?;
            let said = why(&run, &self.attempts(run.id)?);
            let received = moment(r.get(RUN_COLUMNS + 1)?);
            Ok(RunPage { said, received, ended: Some(run.due), is_queued: false, is_in_hand: false, called_by: None, run })
        };
        let all = || self.0.prepare(&text)?.query_map([most as i64], read)?.collect::<Sql<Vec<_>>>();
        all().map_err(error)
    }

    fn waiting(&self, most: usize) -> Result<Vec<(RunPage, Vec<Attempt>)>> {
        let text = format!(
            "SELECT {PENDING}, p.queued, p.owner = (SELECT epoch FROM owner), e.id, e.received
             FROM pending p JOIN event e ON e.seq = p.event ORDER BY p.id LIMIT ?1"
        );
        let read = |r: &Row| -> Sql<(RunPage, Vec<Attempt>)> {
            let run = read_run(r, event_id(r, RUN_COLUMNS + 2)?, State::Waiting)?;
            let attempts = self.attempts(run.id)?;
            let (said, is_queued, is_in_hand) = (why(&run, &attempts), r.get(RUN_COLUMNS)?, r.get(RUN_COLUMNS + 1)?);
            let received = moment(r.get(RUN_COLUMNS + 3)?);
            Ok((RunPage { said, received, ended: None, is_queued, is_in_hand, called_by: None, run }, attempts))
        };
        let all = || self.0.prepare(&text)?.query_map([most as i64], read)?.collect::<Sql<Vec<_>>>();
        all().map_err(error)
    }

    fn counts(&self, most: usize) -> Result<Counts> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let count = |rows: &str| {
            let text = format!("SELECT count(*) FROM (SELECT 1 FROM {rows} LIMIT ?1)");
            self.0.query_row(&text, [most], |r| r.get::<_, i64>(0)).map(|n| n as u64).map_err(error)
        };
        Ok(Counts { events: count("event")?, waiting: count("pending")?, failed: count("ended WHERE state = 'failed'")? })
    }

    fn chosen(&self, choice: &Choice) -> Result<Vec<(EventId, usize)>> {
        let text = "SELECT e.id, count(*) FROM event e JOIN ended r ON r.id >= e.seq * ?1 AND r.id < (e.seq + 1) * ?1
                    WHERE e.received >= ?2 AND e.received < ?3 AND r.state = ?4 AND (?5 IS NULL OR r.rule = ?5)
                    GROUP BY e.seq ORDER BY e.seq";
        // Failed runs are few, and have an index of their own.
        let failed = "SELECT e.id, count(*) FROM ended r JOIN event e ON e.seq = r.event
                      WHERE r.state = 'failed' AND ?1 > 0 AND e.received >= ?2 AND e.received < ?3 AND r.state = ?4 AND (?5 IS NULL OR r.rule = ?5)
                      GROUP BY e.seq ORDER BY e.seq";
        let text = if choice.state == State::Failed { failed } else { text };
        let read = |r: &Row| Ok((event_id(r, 0)?, r.get::<_, i64>(1)? as usize));
        let (since, until) = (choice.since.as_millisecond(), choice.until.as_millisecond());
        let all = || {
            self.0
                .prepare(text)?
                .query_map(params![MOST_RUNS, since, until, choice.state.word(), choice.rule], read)?
                .collect::<Sql<Vec<_>>>()
        };
        all().map_err(error)
    }

    fn versions(&self, most: usize) -> Result<Vec<RulesVersion>> {
        let read = |r: &Row| -> Sql<RulesVersion> {
            let files: Vec<(String, String)> = from_json(&r.get::<_, String>(1)?, 1)?;
            let files = files.into_iter().map(|(name, hash)| (name, hash.into())).collect();
            Ok(RulesVersion { at: moment(r.get(0)?), by: r.get(2)?, files })
        };
        let text = "SELECT f.at, s.texts, f.by FROM in_force f JOIN ruleset s ON s.id = f.ruleset ORDER BY f.id DESC LIMIT ?1";
        let all = || self.0.prepare(text)?.query_map([most as i64], read)?.collect::<Sql<Vec<_>>>();
        all().map_err(error)
    }

    fn copy_to(&self, file: &Path) -> Result<()> {
        let name = file.to_str().ok_or_else(|| Error::new("the file's name is not UTF-8", false))?;
        self.0.execute("VACUUM INTO ?1", [name]).map(drop).map_err(error)
    }

    fn find(&self, beginning: &str) -> Result<EventId> {
        let [from, to] = ids_that_begin(beginning)?;
        let all = || {
            self.0
                .prepare("SELECT id FROM event WHERE id >= ?1 AND id <= ?2 LIMIT 2")?
                .query_map(params![from.as_bytes(), to.as_bytes()], |r| event_id(r, 0))?
                .collect::<Sql<Vec<_>>>()
        };
        the_one(beginning, &all().map_err(error)?)
    }

    fn number(&self, id: EventId) -> Result<i64> {
        self.0.query_row("SELECT seq FROM event WHERE id = ?1", [id.0.as_bytes()], |r| r.get(0)).map_err(error)
    }

    fn dossier(&self, id: EventId) -> Result<Dossier> {
        let number = self.number(id)?;
        let read = || -> Sql<Dossier> {
            let text = format!(
                "SELECT {EVENT}, e.status, s.texts, opened(e.decided, 'decided') FROM event e LEFT JOIN ruleset s ON s.id = e.ruleset WHERE e.seq = ?1"
            );
            let read = |r: &Row| {
                let text = |column| r.get::<_, Option<String>>(EVENT_COLUMNS + column);
                Ok((read_event(r, 0)?, r.get(EVENT_COLUMNS)?, text(1)?, text(2)?))
            };
            let (event, status, texts, decided) = self.0.query_row(&text, [number], read)?;
            let runs = self.runs(number, id, event.received)?;
            let answered = answered(status, event.received, self.kept(number)?, &runs);
            let list: Vec<(String, String)> = texts.map(|t| from_json(&t, EVENT_COLUMNS + 1)).transpose()?.unwrap_or_default();
            let mut texts = Vec::new();
            let later: BTreeSet<&str> =
                runs.iter().map(|(page, _)| &*page.run.text).filter(|text| list.iter().all(|(_, hash)| hash != text)).collect();
            let mut later_texts = Vec::new();
            for hash in later {
                let read = |r: &Row| Ok((r.get(0)?, r.get(1)?));
                later_texts.extend(self.0.query_row("SELECT name, body FROM text WHERE hash = ?1", [hash], read).optional()?);
            }
            for (name, hash) in list {
                let body = self.0.query_row("SELECT body FROM text WHERE hash = ?1", [hash], |r| r.get(0))?;
                texts.push((name, body));
            }
            let decided = decided.map(|t| from_json(&t, EVENT_COLUMNS + 2)).transpose()?.unwrap_or_default();
            Ok(Dossier { event, answered, runs, decided, texts, later_texts })
        };
        read().map_err(error)
    }

    /// The runs of an event, in order, with every attempt.
    fn runs(&self, event: i64, id: EventId, received: Timestamp) -> Sql<Vec<(RunPage, Vec<Attempt>)>> {
        let range = range(event);
        let mut runs = Vec::new();
        let in_hand = "p.owner = (SELECT epoch FROM owner)";
        let pending = format!("SELECT {PENDING}, 'waiting', p.queued, {in_hand} FROM pending p WHERE p.id >= ?1 AND p.id < ?2");
        let ended = format!("SELECT {ENDED}, p.state, 0, 0 FROM ended p WHERE p.id >= ?1 AND p.id < ?2");
        for text in [pending, ended] {
            let mut statement = self.0.prepare(&text)?;
            let state = |r: &Row| Sql::Ok(State::read(&r.get::<_, String>(RUN_COLUMNS)?).unwrap_or(State::Failed));
            let read = |r: &Row| Ok((read_run(r, id, state(r)?)?, r.get(RUN_COLUMNS + 1)?, r.get(RUN_COLUMNS + 2)?));
            let some: Vec<(Run, bool, bool)> = statement.query_map(range, read)?.collect::<Sql<Vec<_>>>()?;
            for (mut run, is_queued, is_in_hand) in some {
                saved_of(&self.0, &mut run)?;
                runs.push((run, is_queued, is_in_hand));
            }
        }
        runs.sort_by_key(|(run, ..)| run.id);
        let callers = called_runs::callers(&self.0, range)?;
        runs.into_iter()
            .map(|(run, is_queued, is_in_hand)| {
                let attempts = self.attempts(run.id)?;
                let said = why(&run, &attempts);
                let ended = (run.state != State::Waiting).then_some(run.due);
                let called_by = callers.get(&run.id).copied();
                Ok((RunPage { run, said, received, ended, is_queued, is_in_hand, called_by }, attempts))
            })
            .collect()
    }

    /// The status of the answer that is kept for an event.
    fn kept(&self, event: i64) -> Sql<Option<u16>> {
        self.0.prepare_cached("SELECT status FROM answer WHERE event = ?1")?.query_row([event], |r| r.get(0)).optional()
    }

    /// Every attempt of a run, including those of its last record.
    fn attempts(&self, run: RunId) -> Sql<Vec<Attempt>> {
        let text = "SELECT opened(attempts, 'attempts') FROM (SELECT nth, attempts FROM attempts WHERE run = ?1 UNION ALL SELECT 1 << 30, attempts FROM ended WHERE id = ?1) ORDER BY nth";
        let mut statement = self.0.prepare_cached(text)?;
        let recorded: Vec<String> = statement.query_map([run], |r| r.get(0))?.collect::<Sql<_>>()?;
        let recorded: Vec<Vec<Attempt>> = recorded.iter().map(|json| from_json(json, 0)).collect::<Sql<_>>()?;
        Ok(recorded.into_iter().flatten().collect())
    }
}
