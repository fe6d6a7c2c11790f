//! PostgreSQL: failures that rules are to be told of, and silences that they were told of. All owners share both.

use jiff::Timestamp;
use tokio_postgres::{Row, Transaction};

use super::rows::{moment, read_text};
use super::schedules;
use crate::model::hash::hash;
use crate::store::contract::Result;
use crate::store::starts::{Claim, FailureReport, Failures, SilenceProgress};

/// Claims what an event stands for; false if it was claimed before, or no longer counts.
pub(super) async fn claim(sql: &Transaction<'_>, claimed: &Claim) -> Result<bool> {
    let millis = |at: &Option<Timestamp>| at.map(|at| at.as_millisecond());
    let changed = match claimed {
        Claim::Moment(moment) => return schedules::claim(sql, moment).await,
        Claim::Failures { key, count, told, now } => {
            let text = "UPDATE failure SET count = count - $2, told = $3 WHERE key = $1 AND count >= $2 AND told IS NOT DISTINCT FROM $4";
            sql.execute(text, &[key, &(*count as i64), &now.as_millisecond(), &millis(told)]).await?
        }
        Claim::Silence { rule, last, now } => {
            let text = "UPDATE silence SET told = $2 WHERE key = $1 AND told IS NULL AND (last IS NULL OR last <= $3)";
            sql.execute(text, &[&hash(rule.as_bytes()), &now.as_millisecond(), &millis(last)]).await?
        }
        Claim::Sound { rule, last } => {
            let text = "UPDATE silence SET told = NULL, last = greatest(last, $2) WHERE key = $1 AND told IS NOT NULL";
            sql.execute(text, &[&hash(rule.as_bytes()), &last.as_millisecond()]).await?
        }
    };
    Ok(changed > 0)
}

/// Locks the kinds of these failures until the transaction ends, before anything else is locked.
pub(super) async fn lock(sql: &Transaction<'_>, reports: &[&FailureReport]) -> Result<()> {
    let mut sorted = reports.to_vec();
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    for FailureReport { key, rule, body } in sorted {
        let text =
            "INSERT INTO failure (key, rule, count, body) VALUES ($1, $2, 0, $3) ON CONFLICT (key) DO UPDATE SET count = failure.count";
        sql.execute(text, &[key, &rule.as_bytes(), body]).await?;
    }
    Ok(())
}

/// Adds a failure to those of its kind, which is locked.
pub(super) async fn report(sql: &Transaction<'_>, report: &FailureReport) -> Result<()> {
    sql.execute("UPDATE failure SET count = count + 1, body = $2 WHERE key = $1", &[&report.key, &report.body]).await?;
    Ok(())
}

pub(super) async fn failures(sql: &Transaction<'_>) -> Result<Vec<Failures>> {
    let read = |row: &Row| -> Result<Failures> {
        let (count, told): (i64, Option<i64>) = (row.try_get(2)?, row.try_get(4)?);
        let (key, body) = (row.try_get(0)?, row.try_get(3)?);
        Ok(Failures { key, rule: read_text(row, 1)?, count: count.max(0) as u64, body, told: told.map(moment) })
    };
    let rows = sql.query("SELECT key, rule, count, body, told FROM failure WHERE count > 0 ORDER BY key", &[]).await?;
    rows.iter().map(read).collect()
}

/// Forgets kinds of failures.
pub(super) async fn forget(sql: &Transaction<'_>, keys: &[String]) -> Result<()> {
    let mut sorted = keys.to_vec();
    sorted.sort();
    for key in sorted {
        sql.execute("DELETE FROM failure WHERE key = $1", &[&key]).await?;
    }
    Ok(())
}

/// Notes what rules wait for and when something was last heard there, and forgets those that are gone, in the order of their
/// keys. A silence that a rule was told of ends when something is heard after that, or the rule waits for another one.
pub(super) async fn set_silences(sql: &Transaction<'_>, noted: &[SilenceProgress], gone: &[String]) -> Result<()> {
    let mut all: Vec<(String, Option<&SilenceProgress>)> = noted.iter().map(|one| (hash(one.rule.as_bytes()), Some(one))).collect();
    all.extend(gone.iter().map(|rule| (hash(rule.as_bytes()), None)));
    all.sort_by(|a, b| a.0.cmp(&b.0));
    for (key, one) in all {
        let Some(SilenceProgress { rule, timing, last, .. }) = one else {
            sql.execute("DELETE FROM silence WHERE key = $1", &[&key]).await?;
            continue;
        };
        let text = "INSERT INTO silence AS known (key, rule, timing, last) VALUES ($1, $2, $3, $4) ON CONFLICT (key) DO UPDATE SET
                    told = CASE WHEN known.timing = excluded.timing AND NOT coalesce(excluded.last > known.told, FALSE) THEN known.told END,
                    timing = excluded.timing, last = greatest(known.last, excluded.last)";
        sql.execute(text, &[&key, &rule.as_bytes(), timing, &last.map(|last| last.as_millisecond())]).await?;
    }
    Ok(())
}

pub(super) async fn silences(sql: &Transaction<'_>) -> Result<Vec<SilenceProgress>> {
    let read = |row: &Row| -> Result<SilenceProgress> {
        let (last, told): (Option<i64>, Option<i64>) = (row.try_get(2)?, row.try_get(3)?);
        Ok(SilenceProgress { rule: read_text(row, 0)?, timing: row.try_get(1)?, last: last.map(moment), told: told.map(moment) })
    };
    let rows = sql.query("SELECT rule, timing, last, told FROM silence ORDER BY rule", &[]).await?;
    rows.iter().map(read).collect()
}
