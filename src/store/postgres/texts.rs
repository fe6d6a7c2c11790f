//! PostgreSQL: the rule files that runs refer to, by the hash of their content.

use jiff::Timestamp;
use tokio_postgres::Transaction;

use super::rows::{json, moment, read_json};
use crate::model::hash::hash;
use crate::model::run::TextHash;
use crate::store::contract::{Result, RulesVersion};

/// Stores rule files by their hash. In the order of hashes, because several machines get new rules at the same time.
pub(super) async fn keep_texts(sql: &Transaction<'_>, texts: &[(TextHash, String, String)]) -> Result<()> {
    let mut sorted: Vec<_> = texts.iter().collect();
    sorted.sort();
    for (hash, name, body) in sorted {
        let text = "INSERT INTO text (hash, name, body) VALUES ($1, $2, $3) ON CONFLICT (hash) DO NOTHING";
        sql.execute(text, &[&&**hash, name, body]).await?;
    }
    Ok(())
}

/// Stores rule files as those in use from now on, and returns the number of this set of files.
pub(super) async fn remember(sql: &Transaction<'_>, texts: &[(TextHash, String, String)], by: &str, now: Timestamp) -> Result<i64> {
    keep_texts(sql, texts).await?;
    let list: Vec<(&str, &str)> = texts.iter().map(|(h, n, _)| (n.as_str(), &**h)).collect();
    let list = json(&list)?;
    let hash = hash(list.as_bytes());
    sql.execute("INSERT INTO ruleset (hash, texts) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING", &[&hash, &list]).await?;
    let number: i64 = sql.query_one("SELECT id FROM ruleset WHERE hash = $1", &[&hash]).await?.try_get(0)?;
    // Machines get new rules at about the same time, and each remembers them.
    let text = "INSERT INTO in_force (at, ruleset, by) SELECT $1, $2, $3
                WHERE $2 IS DISTINCT FROM (SELECT ruleset FROM in_force ORDER BY id DESC LIMIT 1)";
    sql.execute(text, &[&now.as_millisecond(), &number, &by]).await?;
    Ok(number)
}

/// The sets of rule files that were in use, the latest first.
pub(super) async fn versions(sql: &Transaction<'_>, most: usize) -> Result<Vec<RulesVersion>> {
    let text = "SELECT f.at, s.texts, f.by FROM in_force f JOIN ruleset s ON s.id = f.ruleset ORDER BY f.id DESC LIMIT $1";
    let mut all = Vec::new();
    for row in sql.query(text, &[&(most as i64)]).await? {
        let files: Vec<(String, String)> = read_json(&row, 1)?;
        let files = files.into_iter().map(|(name, hash)| (name, hash.into())).collect();
        all.push(RulesVersion { at: moment(row.try_get(0)?), by: row.try_get(2)?, files });
    }
    Ok(all)
}

/// A stored rule file: its name and content.
pub(super) async fn text(sql: &Transaction<'_>, hash: &str) -> Result<Option<(String, String)>> {
    let row = sql.query_opt("SELECT name, body FROM text WHERE hash = $1", &[&hash]).await?;
    Ok(row.map(|row| Ok::<_, tokio_postgres::Error>((row.try_get(0)?, row.try_get(1)?))).transpose()?)
}
