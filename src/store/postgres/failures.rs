//! PostgreSQL, tests: failures that only this store can have: expired owners, lost connections, several machines that
//! start at the same time, a database that is newer.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_postgres::{Client, Config, NoTls};

use super::Postgres;
use super::server::Server;
use crate::model::event::{Event, EventId};
use crate::model::run::{Run, State};
use crate::store::contract::{Accept, Accepted, Heavy, NewRun, Record, Recorded, StartResult, Store};

const HOUR: Duration = Duration::from_secs(3_600);

async fn client(config: &Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn open(config: &Config, life: Duration) -> Arc<dyn Store> {
    Arc::new(Postgres::open(config.clone(), life).await.unwrap())
}

async fn begin(store: &Arc<dyn Store>) -> Run {
    let event = Event { id: EventId(uuid::Uuid::now_v7()), ..Event::nobody() };
    let run = NewRun { rule: "r".into(), text: "t".into(), step: 0, lane: None, once: None };
    let accept = Accept {
        claim: None,
        event: Arc::new(event),
        runs: vec![run],
        deliveries: Vec::new(),
        is_vouched: false,
        ruleset: 1,
        status: 200,
        decided: Vec::new(),
        taken: true,
    };
    let Accepted::New(_, mut runs) = store.accept(accept).await.unwrap() else { panic!() };
    assert_eq!(runs[0].1, StartResult::Begun);
    runs.remove(0).0
}

async fn record(store: &Arc<dyn Store>, run: &Run, state: State) -> Recorded {
    let run = Run { state, ..run.clone() };
    let goes_on = state == State::Waiting;
    store.record(Record { run: run.into(), attempts: Vec::new().into(), answer: None, also: None, goes_on }).await.unwrap()
}

async fn leases(store: &Arc<dyn Store>) -> usize {
    store.lease(Timestamp::UNIX_EPOCH, 10, Heavy::ANY).await.unwrap().len()
}

async fn an_owner_lives_while_it_renews_its_term_and_dies_when_it_stops(config: &Config) {
    let life = Duration::from_secs(4);
    let (lives, other) = (open(config, life).await, open(config, HOUR).await);
    begin(&lives).await;
    let begun = std::time::Instant::now();
    while begun.elapsed() < life + life / 2 {
        assert_eq!((leases(&other).await, other.next_due().await.unwrap()), (0, None));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(lives);
    let dead = async {
        while leases(&other).await == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), dead).await.expect("its runs are free when its term is over");
}

async fn a_paused_owner_continues_with_the_runs_that_nobody_took(config: &Config) {
    let (paused, other) = (open(config, HOUR).await, open(config, HOUR).await);
    let (first, second) = (begin(&paused).await, begin(&paused).await);
    let sql = client(config).await;
    let end_its_term = "UPDATE owner SET until = clock_timestamp() WHERE id = (SELECT min(id) FROM owner)";
    sql.batch_execute(end_its_term).await.unwrap();
    assert!(other.next_due().await.unwrap().is_some());
    assert_eq!(other.lease(Timestamp::UNIX_EPOCH, 1, Heavy::ANY).await.unwrap()[0].0.id, first.id);
    assert_eq!(record(&paused, &first, State::Waiting).await, Recorded::LeaseLost);
    assert_eq!(record(&paused, &second, State::Waiting).await, Recorded::Recorded);
    // Accepting a run renews its term, for all the runs it has.
    let third = begin(&paused).await;
    assert_eq!((leases(&other).await, other.next_due().await.unwrap()), (0, None));
    assert_eq!(record(&paused, &third, State::Done).await, Recorded::Recorded);
    sql.batch_execute(end_its_term).await.unwrap();
    assert_eq!(leases(&paused).await, 0, "its own runs are not free for itself");
    assert_eq!(leases(&other).await, 0);
}

async fn lost_connections_are_replaced(config: &Config) {
    let store = open(config, HOUR).await;
    let run = begin(&store).await;
    let sql = client(config).await;
    for _ in 0..3 {
        sql.batch_execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()").await.unwrap();
        let mut tries = 0;
        while let Err(e) = store.answer(run.event).await {
            assert!(e.is_transient() && e.is_unknown(), "{e}");
            tries += 1;
            // At most one for each connection that the store has.
            assert!(tries <= super::SIDE_BY_SIDE, "{e}");
        }
    }
    assert_eq!(record(&store, &run, State::Done).await, Recorded::Recorded);
}

async fn several_owners_can_open_a_new_database_at_once(config: &Config) {
    let asked: Vec<_> = (0..6)
        .map(|_| {
            let config = config.clone();
            tokio::spawn(async move { open(&config, HOUR).await })
        })
        .collect();
    for one in asked {
        begin(&one.await.unwrap()).await;
    }
}

async fn a_newer_database_is_rejected(config: &Config) {
    open(config, HOUR).await;
    client(config).await.batch_execute("INSERT INTO version VALUES (1000)").await.unwrap();
    let Err(e) = Postgres::open(config.clone(), HOUR).await else { panic!() };
    assert_eq!(e.to_string(), "this database was written by a newer version of Doorbell; start that version");
}

#[test]
#[cfg_attr(not(has_postgres), ignore = "needs a PostgreSQL server: apt-get install postgresql")]
fn the_store_survives_its_failures() {
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut schemas = (0..).map(|n| format!("schema_{n}"));
    let mut next = || {
        let name = schemas.next().unwrap();
        let mut config = server.config();
        runtime.block_on(async { client(&config).await.batch_execute(&format!("CREATE SCHEMA {name}")).await.unwrap() });
        config.options(format!("-c search_path={name}"));
        config
    };
    runtime.block_on(an_owner_lives_while_it_renews_its_term_and_dies_when_it_stops(&next()));
    runtime.block_on(a_paused_owner_continues_with_the_runs_that_nobody_took(&next()));
    runtime.block_on(lost_connections_are_replaced(&next()));
    runtime.block_on(several_owners_can_open_a_new_database_at_once(&next()));
    runtime.block_on(a_newer_database_is_rejected(&next()));
    assert!(!server.log().contains("deadlock detected"), "{}", server.log());
}
