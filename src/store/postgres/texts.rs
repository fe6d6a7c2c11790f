//! PostgreSQL: the rule files that runs refer to, by the hash of their content.

use tokio_postgres::Transaction;

use super::rows::json;
use crate::model::hash::hash;
use crate::model::run::TextHash;
use crate::store::contract::Result;

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

/// Stores rule files, and returns the number of this set of files.
pub(super) async fn remember(sql: &Transaction<'_>, texts: &[(TextHash, String, String)]) -> Result<i64> {
    keep_texts(sql, texts).await?;
    let list: Vec<(&str, &str)> = texts.iter().map(|(h, n, _)| (n.as_str(), &**h)).collect();
    let list = json(&list)?;
    let hash = hash(list.as_bytes());
    sql.execute("INSERT INTO ruleset (hash, texts) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING", &[&hash, &list]).await?;
    Ok(sql.query_one("SELECT id FROM ruleset WHERE hash = $1", &[&hash]).await?.try_get(0)?)
}

/// A stored rule file: its name and content.
pub(super) async fn text(sql: &Transaction<'_>, hash: &str) -> Result<Option<(String, String)>> {
    let row = sql.query_opt("SELECT name, body FROM text WHERE hash = $1", &[&hash]).await?;
    Ok(row.map(|row| Ok::<_, tokio_postgres::Error>((row.try_get(0)?, row.try_get(1)?))).transpose()?)
}
