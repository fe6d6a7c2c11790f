//! PostgreSQL: how far the rules that start by themselves have come. All owners share that, so each moment is claimed by one.

use tokio_postgres::{Row, Transaction};

use super::rows::{moment, read_text};
use crate::model::hash::hash;
use crate::store::contract::{Moment, Result, ScheduleProgress};

/// Claims a moment of a rule; false if it was claimed before, or lies before what counts.
pub(super) async fn claim(sql: &Transaction<'_>, claimed: &Moment) -> Result<bool> {
    let text = "UPDATE schedule SET since = $2, last = $2 WHERE key = $1 AND since < $2 AND last IS DISTINCT FROM $2";
    Ok(sql.execute(text, &[&hash(claimed.rule.as_bytes()), &claimed.planned.as_millisecond()]).await? > 0)
}

/// Goes on from a moment with these rules, in the order of their keys, and forgets those that are gone.
pub(super) async fn set(sql: &Transaction<'_>, from: &[ScheduleProgress], gone: &[String]) -> Result<()> {
    let mut all: Vec<(String, Option<&ScheduleProgress>)> = from.iter().map(|one| (hash(one.rule.as_bytes()), Some(one))).collect();
    all.extend(gone.iter().map(|rule| (hash(rule.as_bytes()), None)));
    all.sort_by(|a, b| a.0.cmp(&b.0));
    for (key, one) in all {
        let Some(ScheduleProgress { rule, timing, since, .. }) = one else {
            sql.execute("DELETE FROM schedule WHERE key = $1", &[&key]).await?;
            continue;
        };
        let text = "INSERT INTO schedule (key, rule, timing, since) VALUES ($1, $2, $3, $4)
                    ON CONFLICT (key) DO UPDATE SET timing = excluded.timing, since = excluded.since";
        sql.execute(text, &[&key, &rule.as_bytes(), timing, &since.as_millisecond()]).await?;
    }
    Ok(())
}

pub(super) async fn all(sql: &Transaction<'_>) -> Result<Vec<ScheduleProgress>> {
    let read = |row: &Row| -> Result<ScheduleProgress> {
        let last: Option<i64> = row.try_get(3)?;
        Ok(ScheduleProgress { rule: read_text(row, 0)?, timing: row.try_get(1)?, since: moment(row.try_get(2)?), last: last.map(moment) })
    };
    let rows = sql.query("SELECT rule, timing, since, last FROM schedule ORDER BY rule", &[]).await?;
    rows.iter().map(read).collect()
}
