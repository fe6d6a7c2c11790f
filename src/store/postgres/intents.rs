//! PostgreSQL: the intents of file writers. One task executes all operations in the order in which they were requested:
//! nobody waits for an intent to be deleted, and deleting it must not affect the one that follows.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::claims::key;
use super::connections::Connections;
use super::rows::{json, read_json};
use crate::model::intent::Intent;
use crate::store::contract::{Doing, Error, Result};

pub(super) struct Intents(mpsc::UnboundedSender<Job>);

enum Job {
    Intend { folder: String, intent: Intent, done: oneshot::Sender<Result<()>> },
    Forget { folder: String, file: String },
    Of { folder: String, done: oneshot::Sender<Result<Vec<Intent>>> },
}

impl Intents {
    /// Must be called inside a runtime. The task ends when this is dropped.
    pub(super) fn new(connections: Arc<Connections>) -> Self {
        let (jobs, mut wanted) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut clerk = Clerk { connections, latest: 0 };
            while let Some(job) = wanted.recv().await {
                // The caller may be gone.
                match job {
                    Job::Intend { folder, intent, done } => drop(done.send(clerk.intend(&folder, &intent).await)),
                    // If this fails, the intent stays, and is recognised as done after a restart.
                    Job::Forget { folder, file } => drop(clerk.forget(&folder, &file).await),
                    Job::Of { folder, done } => drop(done.send(clerk.of(&folder).await)),
                }
            }
        });
        Self(jobs)
    }

    pub(super) fn intend(&self, folder: &str, intent: Intent) -> Doing<'_, ()> {
        let folder = folder.to_owned();
        self.ask(|done| Job::Intend { folder, intent, done })
    }

    pub(super) fn forget(&self, folder: &str, file: &str) {
        let _ = self.0.send(Job::Forget { folder: folder.to_owned(), file: file.to_owned() });
    }

    pub(super) fn of(&self, folder: &str) -> Doing<'_, Vec<Intent>> {
        let folder = folder.to_owned();
        self.ask(|done| Job::Of { folder, done })
    }

    fn ask<T: Send + 'static>(&self, job: impl FnOnce(oneshot::Sender<Result<T>>) -> Job) -> Doing<'_, T> {
        let stopped = || Error::new("the store has stopped", true);
        let (done, told) = oneshot::channel();
        let sent = self.0.send(job(done));
        Box::pin(async move {
            sent.map_err(|_| stopped())?;
            told.await.map_err(|_| stopped())?
        })
    }
}

struct Clerk {
    connections: Arc<Connections>,
    /// The number of the latest intent known here. Forgetting only deletes up to this number: a lost connection may still
    /// execute its statement when a later intent already exists.
    latest: i64,
}

impl Clerk {
    async fn intend(&mut self, folder: &str, intent: &Intent) -> Result<()> {
        let mut connection = self.connections.get().await?;
        let sql = connection.begin().await?;
        let text = "INSERT INTO intent (key, folder, file, intent) VALUES ($1, $2, $3, $4)
                    ON CONFLICT (key) DO UPDATE SET intent = EXCLUDED.intent, nth = DEFAULT RETURNING nth";
        let (folder_bytes, file) = (folder.as_bytes(), intent.file.as_bytes());
        let row = sql.query_one(text, &[&key(&[folder, &intent.file])?, &folder_bytes, &file, &json(intent)?]).await?;
        let nth = row.try_get(0)?;
        sql.commit().await?;
        self.latest = nth;
        Ok(())
    }

    async fn forget(&mut self, folder: &str, file: &str) -> Result<()> {
        let mut connection = self.connections.get().await?;
        let sql = connection.begin().await?;
        sql.execute("DELETE FROM intent WHERE key = $1 AND nth <= $2", &[&key(&[folder, file])?, &self.latest]).await?;
        Ok(sql.commit().await?)
    }

    async fn of(&mut self, folder: &str) -> Result<Vec<Intent>> {
        let mut connection = self.connections.get().await?;
        let sql = connection.begin().await?;
        // There are only a few: one for each file being written.
        let rows = sql.query("SELECT intent, nth FROM intent WHERE folder = $1", &[&folder.as_bytes()]).await?;
        let mut intents = Vec::with_capacity(rows.len());
        for row in &rows {
            intents.push(read_json(row, 0)?);
            self.latest = self.latest.max(row.try_get(1)?);
        }
        Ok(intents)
    }
}
