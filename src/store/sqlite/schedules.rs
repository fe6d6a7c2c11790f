//! SQLite: how far the rules that start by themselves have come.

use jiff::Timestamp;
use rusqlite::{Connection, Row, Transaction, params};

use super::claims::give_back;
use super::rows::{Sql, end, moment};
use crate::model::origin::SCHEDULE;
use crate::model::place::Place;
use crate::model::run::{RunId, State};
use crate::store::attempts::superseded;
use crate::store::contract::NewRun;
use crate::store::starts::{Moment, ScheduleProgress};

/// Claims a moment of a rule; false if it was claimed before, or lies before what counts.
pub(super) fn claim(sql: &Transaction, claimed: &Moment) -> Sql<bool> {
    let text = "UPDATE schedule SET since = ?2, last = ?2 WHERE rule = ?1 AND since < ?2 AND (last IS NULL OR last <> ?2)";
    Ok(sql.prepare_cached(text)?.execute(params![&*claimed.rule, claimed.planned.as_millisecond()])? > 0)
}

/// Ends the runs of earlier moments that still wait for another run of their lane: only the newest waits.
pub(super) fn take_place(sql: &Transaction, event: i64, runs: &[NewRun], now: Timestamp) -> Sql<()> {
    for (run, lane) in runs.iter().filter_map(|run| Some((run, run.lane.as_deref()?))) {
        let text = "SELECT p.id, p.step, p.element, p.once FROM pending p JOIN event e ON e.seq = p.event
                    WHERE p.lane = ?1 AND p.queued = 1 AND p.rule = ?2 AND p.event <> ?3 AND e.method = ?4
                    AND NOT EXISTS (SELECT 1 FROM call c WHERE c.run = p.id)";
        type Older = (RunId, Place, Option<String>);
        let read = |r: &Row| Ok((r.get(0)?, Place { step: r.get(1)?, element: r.get(2)? }, r.get(3)?));
        let older: Vec<Older> =
            sql.prepare_cached(text)?.query_map(params![lane, &*run.rule, event, SCHEDULE], read)?.collect::<Sql<_>>()?;
        for (id, place, once) in older {
            end(sql, id, State::Cancelled, now.as_millisecond(), &[superseded(place, now)])?;
            give_back(sql, &run.rule, id, once.as_deref())?;
        }
    }
    Ok(())
}

/// Goes on from a moment with these rules, and forgets those that are gone.
pub(super) fn set(sql: &Transaction, from: &[ScheduleProgress], gone: &[String]) -> Sql<()> {
    for ScheduleProgress { rule, timing, since, .. } in from {
        let text = "INSERT INTO schedule (rule, timing, since) VALUES (?1, ?2, ?3)
                    ON CONFLICT (rule) DO UPDATE SET timing = excluded.timing, since = excluded.since";
        sql.prepare_cached(text)?.execute(params![rule, timing, since.as_millisecond()])?;
    }
    for rule in gone {
        sql.prepare_cached("DELETE FROM schedule WHERE rule = ?1")?.execute([rule])?;
    }
    Ok(())
}

pub(super) fn all(sql: &Connection) -> Sql<Vec<ScheduleProgress>> {
    let read = |r: &Row| {
        let last: Option<i64> = r.get(3)?;
        Ok(ScheduleProgress { rule: r.get(0)?, timing: r.get(1)?, since: moment(r.get(2)?), last: last.map(moment) })
    };
    sql.prepare_cached("SELECT rule, timing, since, last FROM schedule ORDER BY rule")?.query_map([], read)?.collect()
}
