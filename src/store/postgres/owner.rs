//! PostgreSQL: who owns runs: each owner has a row with an expiry by the database's clock. After that, all others treat
//! it as dead, until it renews: a process that was only paused continues with those of its runs that nobody has leased
//! in the meantime.
//!
//! Each run's own row decides. So nothing depends on whether an owner learns in time that it was considered dead.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio_postgres::Transaction;

use super::connections::Connections;
use super::rows::column;
use crate::store::contract::Result;

#[derive(Clone)]
pub(super) struct Owner {
    pub id: i64,
    /// How long it lives without renewing, in milliseconds.
    life: i64,
}

impl Owner {
    pub(super) async fn begin(sql: &Transaction<'_>, life: Duration) -> Result<Self> {
        let life = life.as_millis() as i64;
        let text = "INSERT INTO owner (until) VALUES (clock_timestamp() + $1::bigint * interval '1 millisecond') RETURNING id";
        Ok(Self { id: sql.query_one(text, &[&life]).await?.try_get(0)?, life })
    }

    /// Renews the expiry as long as the connections exist.
    pub(super) fn keep_alive(&self, connections: &Arc<Connections>) {
        let (owner, connections) = (self.clone(), Arc::downgrade(connections));
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(owner.life as u64 / 3)).await;
                let Some(connections) = Weak::upgrade(&connections) else { return };
                // If this fails, it is repeated next time, or by the next operation that needs it.
                let _ = owner.say_alive(&connections).await;
            }
        });
    }

    async fn say_alive(&self, connections: &Connections) -> Result<()> {
        let mut connection = connections.get().await?;
        let sql = connection.begin().await?;
        self.live(&sql).await?;
        Ok(sql.commit().await?)
    }

    /// Writes the expiry that is there already.
    pub(super) async fn touch(&self, sql: &Transaction<'_>) -> Result<()> {
        sql.execute("UPDATE owner SET until = until WHERE id = $1", &[&self.id]).await?;
        Ok(())
    }

    /// Makes sure that this owner is alive when the transaction ends, as required for taking runs. Reads first, so that the
    /// owner's transactions do not block each other.
    pub(super) async fn live(&self, sql: &Transaction<'_>) -> Result<()> {
        let text = "SELECT 1 FROM owner WHERE id = $1 AND until > clock_timestamp() + $2::bigint * interval '0.7 milliseconds'";
        if sql.query_opt(text, &[&self.id, &self.life]).await?.is_none() {
            let text = "INSERT INTO owner (id, until) VALUES ($1, clock_timestamp() + $2::bigint * interval '1 millisecond')
                        ON CONFLICT (id) DO UPDATE SET until = EXCLUDED.until";
            sql.execute(text, &[&self.id, &self.life]).await?;
        }
        Ok(())
    }
}

/// Dead owners that have runs.
///
/// The expiry is compared with the time at which this statement began, which is before everything it sees. So an owner that
/// renewed in time is never considered dead, however long this takes.
pub(super) async fn dead(sql: &Transaction<'_>) -> Result<Vec<i64>> {
    let text = "SELECT DISTINCT owner FROM pending p WHERE owner <> 0
                AND NOT EXISTS (SELECT 1 FROM owner o WHERE o.id = p.owner AND o.until > statement_timestamp())";
    column(&sql.query(text, &[]).await?, 0)
}
