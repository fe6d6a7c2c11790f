//! PostgreSQL: connections to one database. Each is used by one transaction at a time; a lost one is replaced.

use std::error::Error as _;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_postgres::{Client, Config, IsolationLevel, NoTls, Transaction};

use crate::store::commits::Commits;
use crate::store::contract::{Error, Result};
use crate::store::news::News;

pub(super) struct Connections {
    config: Config,
    idle: Mutex<Vec<Client>>,
    room: Semaphore,
    pub(super) news: News,
    pub(super) commits: Arc<Commits>,
}

impl Connections {
    pub(super) fn new(config: Config, most: usize) -> Self {
        Self { config, idle: Mutex::default(), room: Semaphore::new(most), news: News::default(), commits: Arc::default() }
    }

    /// Waits for an idle connection.
    pub(super) async fn get(&self) -> Result<Connection<'_>> {
        let room = self.room.acquire().await.map_err(|_| lost())?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let client = match idle.filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                // It ends with the client; errors before that are reported to the pending queries.
                tokio::spawn(connection);
                client
            }
        };
        Ok(Connection { client: Some(client), all: self, _room: room })
    }
}

/// A connection in use. Returned when dropped; an unfinished transaction is rolled back.
pub(super) struct Connection<'a> {
    client: Option<Client>,
    all: &'a Connections,
    _room: SemaphorePermit<'a>,
}

impl Connection<'_> {
    pub(super) async fn begin(&mut self) -> Result<Transaction<'_>> {
        let client = self.client.as_mut().ok_or_else(lost)?;
        Ok(client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await?)
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        let client = self.client.take().filter(|client| !client.is_closed());
        self.all.idle.lock().unwrap_or_else(PoisonError::into_inner).extend(client);
    }
}

fn lost() -> Error {
    Error::new("the connection to PostgreSQL was lost", true).but_maybe_done()
}

/// An error of PostgreSQL, or of the connection to it.
impl From<tokio_postgres::Error> for Error {
    fn from(e: tokio_postgres::Error) -> Self {
        let Some(said) = e.as_db_error() else {
            let is_lost = e.is_closed() || e.source().is_some_and(|why| why.is::<io::Error>());
            return if is_lost { lost() } else { Error::new(format!("PostgreSQL: {e}"), false) };
        };
        let error = |transient| Error::new(format!("PostgreSQL: {}", said.message()), transient);
        // The classes of SQLSTATE (PostgreSQL's manual, appendix A).
        match said.code().code().get(..2) {
            // The server is being stopped, or had to stop.
            Some("08" | "57" | "58") => error(true).but_maybe_done(),
            // It was rolled back, there was no room for it, or somebody else had locked it.
            Some("40" | "53" | "55") => error(true),
            _ => error(false),
        }
    }
}
