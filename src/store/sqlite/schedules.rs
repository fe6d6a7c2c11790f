//! SQLite: how far the rules that start by themselves have come.

use rusqlite::{Connection, Row, Transaction, params};

use super::rows::{Sql, moment};
use crate::store::contract::{Moment, ScheduleProgress};

/// Claims a moment of a rule; false if it was claimed before, or lies before what counts.
pub(super) fn claim(sql: &Transaction, claimed: &Moment) -> Sql<bool> {
    let text = "UPDATE schedule SET since = ?2, last = ?2 WHERE rule = ?1 AND since < ?2 AND (last IS NULL OR last <> ?2)";
    Ok(sql.prepare_cached(text)?.execute(params![&*claimed.rule, claimed.planned.as_millisecond()])? > 0)
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
