//! The PostgreSQL store in the conformance tests: one server, with a schema for each test.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_postgres::{Config, NoTls};

use super::database::{Backend, Database, Later};
use crate::store::contract::{Queries, Store};
use crate::store::postgres::Postgres;
use crate::store::postgres::queries::PostgresQueries;
use crate::store::postgres::server::Server;

/// How long owners live without renewing: longer than any test, so that an owner dies only when a test ends it.
const LIFE: Duration = Duration::from_secs(3_600);

pub(super) struct Servers {
    server: Server,
    count: AtomicU64,
}

impl Servers {
    pub(super) fn start() -> Self {
        Self { server: Server::start(), count: AtomicU64::new(0) }
    }
}

impl Backend for Servers {
    fn new_database(&self) -> Later<'_, Box<dyn Database>> {
        Box::pin(async {
            let name = format!("database_{}", self.count.fetch_add(1, Ordering::Relaxed));
            run(&self.server.config(), &format!("CREATE SCHEMA {name}")).await;
            let mut config = self.server.config();
            config.options(format!("-c search_path={name}"));
            Box::new(Schema { config, owners: Mutex::default() }) as Box<dyn Database>
        })
    }

    /// There were no deadlocks: the store promises that, rather than rely on the database to resolve them.
    fn check_log(&self) {
        let log = self.server.log();
        assert!(!log.contains("deadlock detected"), "{log}");
    }
}

struct Schema {
    config: Config,
    owners: Mutex<Vec<(Arc<dyn Store>, i64)>>,
}

impl Database for Schema {
    fn open(&self) -> Later<'_, Arc<dyn Store>> {
        Box::pin(async {
            let store = Postgres::open(self.config.clone(), LIFE).await.unwrap();
            let owner = store.owner();
            let store: Arc<dyn Store> = Arc::new(store);
            self.owners.lock().unwrap().push((store.clone(), owner));
            store
        })
    }

    /// Lets the owner's row expire.
    fn kill<'a>(&'a self, owner: &'a Arc<dyn Store>) -> Later<'a, ()> {
        let number = self.owners.lock().unwrap().iter().find(|(store, _)| Arc::ptr_eq(store, owner)).map(|(_, number)| *number);
        Box::pin(
            async move { run(&self.config, &format!("UPDATE owner SET until = clock_timestamp() WHERE id = {}", number.unwrap())).await },
        )
    }

    fn allows_several_owners(&self) -> bool {
        true
    }

    fn queries(&self) -> Later<'_, Arc<dyn Queries>> {
        Box::pin(async { Arc::new(PostgresQueries::new(self.config.clone())) as Arc<dyn Queries> })
    }
}

async fn run(config: &Config, statement: &str) {
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(statement).await.unwrap();
}
