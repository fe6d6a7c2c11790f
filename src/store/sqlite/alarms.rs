//! SQLite: failures that rules are to be told of, and silences that they were told of.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::rows::{MOST_RUNS, Sql, event_id, moment};
use super::schedules;
use crate::model::event::EventId;
use crate::model::origin::FAILED;
use crate::model::run::{Attempt, RunId};
use crate::store::attempts::failure_of;
use crate::store::starts::{Claim, FailureReport, Failures, SilenceProgress};

/// Claims what an event stands for; false if it was claimed before, or no longer counts.
pub(super) fn claim(sql: &Transaction, claimed: &Claim) -> Sql<bool> {
    let millis = |at: &Option<Timestamp>| at.map(|at| at.as_millisecond());
    let changed = match claimed {
        Claim::Moment(moment) => return schedules::claim(sql, moment),
        Claim::Failures { key, count, told, now } => {
            let text = "UPDATE failure SET count = count - ?2, told = ?3 WHERE key = ?1 AND count >= ?2 AND told IS ?4";
            sql.prepare_cached(text)?.execute(params![key, *count as i64, now.as_millisecond(), millis(told)])?
        }
        Claim::Silence { rule, last, now } => {
            let text = "UPDATE silence SET told = ?2 WHERE rule = ?1 AND told IS NULL AND (last IS NULL OR last <= ?3)";
            sql.prepare_cached(text)?.execute(params![&**rule, now.as_millisecond(), millis(last)])?
        }
        Claim::Sound { rule, last } => {
            let text = "UPDATE silence SET told = NULL, last = max(coalesce(last, ?2), ?2) WHERE rule = ?1 AND told IS NOT NULL";
            sql.prepare_cached(text)?.execute(params![&**rule, last.as_millisecond()])?
        }
    };
    Ok(changed > 0)
}

/// Adds a failure to those of its kind.
pub(super) fn report(sql: &Transaction, report: &FailureReport) -> Sql<()> {
    let text = "INSERT INTO failure (key, rule, count, body) VALUES (?1, ?2, 1, sealed(?3, 'failure'))
                ON CONFLICT (key) DO UPDATE SET count = count + 1, body = excluded.body";
    sql.prepare_cached(text)?.execute(params![report.key, &*report.rule, report.body]).map(drop)
}

/// The same for a run that a worker did not end, with its last history entry.
pub(super) fn report_ended(sql: &Transaction, run: RunId, rule: &str, last: &Attempt) -> Sql<()> {
    let read = |r: &Row| Ok((event_id(r, 0)?, r.get(1)?, r.get(2)?));
    let event: Option<(EventId, String, String)> =
        sql.prepare_cached("SELECT id, address, method FROM event WHERE seq = ?1")?.query_row([run / MOST_RUNS], read).optional()?;
    let Some((event, address, _)) = event.filter(|(.., method)| method != FAILED) else { return Ok(()) };
    report(sql, &failure_of(last, rule, event, &address))
}

pub(super) fn failures(sql: &Transaction) -> Sql<Vec<Failures>> {
    let read = |r: &Row| {
        let (count, told): (i64, Option<i64>) = (r.get(2)?, r.get(4)?);
        Ok(Failures { key: r.get(0)?, rule: r.get(1)?, count: count.max(0) as u64, body: r.get(3)?, told: told.map(moment) })
    };
    let text = "SELECT key, rule, count, opened(body, 'failure'), told FROM failure WHERE count > 0 ORDER BY key";
    sql.prepare_cached(text)?.query_map([], read)?.collect()
}

/// Forgets kinds of failures.
pub(super) fn forget(sql: &Transaction, keys: &[String]) -> Sql<()> {
    for key in keys {
        sql.prepare_cached("DELETE FROM failure WHERE key = ?1")?.execute([key])?;
    }
    Ok(())
}

/// Notes what rules wait for and when something was last heard there, and forgets those that are gone. A silence that a rule was
/// told of ends when something is heard after that, or the rule waits for another one.
pub(super) fn set_silences(sql: &Transaction, noted: &[SilenceProgress], gone: &[String]) -> Sql<()> {
    for SilenceProgress { rule, timing, last, .. } in noted {
        let text = "INSERT INTO silence (rule, timing, last) VALUES (?1, ?2, ?3) ON CONFLICT (rule) DO UPDATE SET
                    told = CASE WHEN timing = excluded.timing AND NOT ifnull(excluded.last > told, 0) THEN told END,
                    timing = excluded.timing, last = coalesce(max(last, excluded.last), last, excluded.last)";
        sql.prepare_cached(text)?.execute(params![rule, timing, last.map(|last| last.as_millisecond())])?;
    }
    for rule in gone {
        sql.prepare_cached("DELETE FROM silence WHERE rule = ?1")?.execute([rule])?;
    }
    Ok(())
}

pub(super) fn silences(sql: &Connection) -> Sql<Vec<SilenceProgress>> {
    let read = |r: &Row| {
        let (last, told): (Option<i64>, Option<i64>) = (r.get(2)?, r.get(3)?);
        Ok(SilenceProgress { rule: r.get(0)?, timing: r.get(1)?, last: last.map(moment), told: told.map(moment) })
    };
    sql.prepare_cached("SELECT rule, timing, last, told FROM silence ORDER BY rule")?.query_map([], read)?.collect()
}

/// Writes and changes nothing: SQLite leaves out an update with the same value, but not a row that comes and goes. No rule has
/// this name.
pub(super) fn touch(sql: &Transaction) -> Sql<()> {
    sql.prepare_cached("INSERT INTO silence (rule, timing) VALUES ('', '') ON CONFLICT DO NOTHING")?.execute([])?;
    sql.prepare_cached("DELETE FROM silence WHERE rule = ''")?.execute([]).map(drop)
}
