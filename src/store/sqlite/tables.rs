//! SQLite: the tables and their history: one migration per version, forward only.
//!
//! Work that remains is in `pending`, so that finishing it is a delete there and not an update of a wide row. Attempts
//! are stored as they were recorded together; the last ones are stored with the ended run, so that a run finished
//! immediately costs one row. Runs of one `lane` are executed one at a time; `once` holds the used `once_per` values.

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};

use super::failures::error;
use crate::model::hash::hash;
use crate::store::contract::{Error, Result};

/// The migration of every version, in order. Never edit a released one; add another.
const MIGRATIONS: [&str; 15] = [
    "
CREATE TABLE text (hash TEXT PRIMARY KEY, name TEXT NOT NULL, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE ruleset (id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, texts TEXT NOT NULL) STRICT;
CREATE TABLE event (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    received INTEGER NOT NULL,
    method TEXT NOT NULL,
    address TEXT NOT NULL,
    query TEXT NOT NULL,
    headers TEXT NOT NULL,
    ip TEXT NOT NULL,
    body BLOB NOT NULL,
    ruleset INTEGER NOT NULL,
    status INTEGER NOT NULL
) STRICT;
CREATE TABLE pending (
    id INTEGER PRIMARY KEY,
    event INTEGER NOT NULL,
    rule TEXT NOT NULL,
    text TEXT NOT NULL,
    lane TEXT,
    step INTEGER NOT NULL,
    element INTEGER NOT NULL,
    tried INTEGER NOT NULL,
    due INTEGER NOT NULL,
    saved TEXT NOT NULL,
    settled INTEGER NOT NULL,
    forgiven INTEGER NOT NULL,
    replays INTEGER NOT NULL,
    taken INTEGER NOT NULL
) STRICT;
CREATE INDEX pending_due ON pending (due) WHERE taken = 0;
CREATE TABLE ended (
    id INTEGER PRIMARY KEY,
    event INTEGER NOT NULL,
    rule TEXT NOT NULL,
    text TEXT NOT NULL,
    state TEXT NOT NULL,
    step INTEGER NOT NULL,
    element INTEGER NOT NULL,
    tried INTEGER NOT NULL,
    at INTEGER NOT NULL,
    saved TEXT NOT NULL,
    forgiven INTEGER NOT NULL,
    replays INTEGER NOT NULL,
    attempts TEXT NOT NULL
) STRICT;
CREATE INDEX ended_failed ON ended (id) WHERE state = 'failed';
CREATE TABLE attempts (run INTEGER NOT NULL, nth INTEGER NOT NULL, attempts TEXT NOT NULL, PRIMARY KEY (run, nth)) STRICT, WITHOUT ROWID;
CREATE TABLE delivery (key TEXT PRIMARY KEY, event INTEGER NOT NULL, until INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE answer (event INTEGER PRIMARY KEY, status INTEGER NOT NULL, headers TEXT NOT NULL, body BLOB NOT NULL) STRICT;
CREATE TABLE once (rule TEXT NOT NULL, value TEXT NOT NULL, run INTEGER NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (rule, value)) STRICT, WITHOUT ROWID;
CREATE TABLE intent (file TEXT PRIMARY KEY, intent TEXT NOT NULL) STRICT, WITHOUT ROWID;
",
    // `taken` is 2 for a run that waits for another one of its lane. `once` is a claim that a failed run releases.
    "
ALTER TABLE pending ADD COLUMN once TEXT;
ALTER TABLE pending ADD COLUMN failed_step INTEGER;
ALTER TABLE pending ADD COLUMN failed_element INTEGER;
ALTER TABLE ended ADD COLUMN lane TEXT;
ALTER TABLE ended ADD COLUMN once TEXT;
CREATE INDEX pending_lane ON pending (lane, id) WHERE lane IS NOT NULL;
",
    // For finding expired entries.
    "
CREATE INDEX delivery_until ON delivery (until);
CREATE INDEX once_until ON once (until);
",
    // How often the program crashed while working on a step of this run.
    "
ALTER TABLE pending ADD COLUMN stumbled INTEGER NOT NULL DEFAULT 0;
",
    // Runs have owners: `owner` is the owner's epoch, 0 is none (the column used to be `taken`, with 1 for an owner whose
    // process no longer exists, so epochs begin above 1). Queueing in a lane has its own column. `turn` counts leases and
    // records. Saved values have their own rows, intents belong to an output folder, and answers are stored sealed
    // (secrets by name).
    "
CREATE TABLE owner (epoch INTEGER NOT NULL) STRICT;
INSERT INTO owner VALUES (1);
DROP INDEX pending_due;
DROP INDEX pending_lane;
ALTER TABLE pending RENAME COLUMN taken TO owner;
ALTER TABLE pending ADD COLUMN queued INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pending ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
UPDATE pending SET owner = 0, queued = 1 WHERE owner = 2;
CREATE INDEX pending_due ON pending (due) WHERE owner = 0 AND queued = 0;
CREATE INDEX pending_lane ON pending (lane, queued, id) WHERE lane IS NOT NULL;
CREATE TABLE saved (run INTEGER NOT NULL, name TEXT NOT NULL, element INTEGER NOT NULL, value TEXT NOT NULL, PRIMARY KEY (run, name, element)) STRICT, WITHOUT ROWID;
CREATE TABLE intent_of (folder TEXT NOT NULL, file TEXT NOT NULL, intent TEXT NOT NULL, PRIMARY KEY (folder, file)) STRICT, WITHOUT ROWID;
INSERT INTO intent_of SELECT '', file, intent FROM intent;
DROP TABLE intent;
ALTER TABLE intent_of RENAME TO intent;
ALTER TABLE answer ADD COLUMN sealed TEXT;
",
    // A hash of the request of this delivery, so that a different request does not get its answer.
    "
ALTER TABLE delivery ADD COLUMN request TEXT;
",
    // How a store recognises its data key. Ids of deliveries are stored as hashes.
    "
CREATE TABLE sealing (sample TEXT NOT NULL) STRICT;
UPDATE delivery SET key = hashed(key);
ALTER TABLE pending RENAME COLUMN stumbled TO crashes;
",
    // Which rules were in use since when.
    "
CREATE TABLE in_force (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, ruleset INTEGER NOT NULL) STRICT;
",
    // Who sent an event; values of headers and of the query with the names of secrets; how conditions on secrets and variables were decided.
    "
ALTER TABLE event ADD COLUMN sender TEXT;
ALTER TABLE event ADD COLUMN parts TEXT;
ALTER TABLE event ADD COLUMN decided TEXT;
",
    // What happened to a rule at an address within an hour.
    "
CREATE TABLE hourly (
    hour INTEGER NOT NULL,
    rule TEXT NOT NULL,
    address TEXT NOT NULL,
    ran INTEGER NOT NULL,
    did_not INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    PRIMARY KEY (hour, rule, address)
) STRICT, WITHOUT ROWID;
",
    // How far the rules that start by themselves have come: see `ScheduleProgress`.
    "
CREATE TABLE schedule (rule TEXT PRIMARY KEY, timing TEXT NOT NULL, since INTEGER NOT NULL, last INTEGER) STRICT, WITHOUT ROWID;
",
    // Who brought the rules that were in use.
    "
ALTER TABLE in_force ADD COLUMN by TEXT;
",
    // What rules that start on failures and silences are to be told, and were told.
    "
CREATE TABLE failure (key TEXT PRIMARY KEY, rule TEXT NOT NULL, count INTEGER NOT NULL, body TEXT NOT NULL, told INTEGER) STRICT, WITHOUT ROWID;
CREATE TABLE silence (rule TEXT PRIMARY KEY, timing TEXT NOT NULL, last INTEGER, told INTEGER) STRICT, WITHOUT ROWID;
",
    // What rules remember.
    "
CREATE TABLE memory (key TEXT PRIMARY KEY, value TEXT NOT NULL, until INTEGER) STRICT, WITHOUT ROWID;
CREATE INDEX memory_until ON memory (until) WHERE until IS NOT NULL;
",
    // Which step of which run called a run, and whether it waits for its end.
    "
CREATE TABLE call (
    run INTEGER PRIMARY KEY,
    caller INTEGER NOT NULL,
    step INTEGER NOT NULL,
    element INTEGER NOT NULL,
    awaited INTEGER NOT NULL
) STRICT;
CREATE INDEX call_caller ON call (caller, step, element);
",
];

/// Migrates a database to this program's version.
pub(super) fn migrate(connection: &mut Connection) -> Result<()> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |r| r.get(0)).map_err(error)?;
    let version = version.max(0) as usize;
    if version > MIGRATIONS.len() {
        return Err(Error::new(
            "the data folder was written by a newer version of Doorbell; start that version, or choose another folder with --data",
            false,
        ));
    }
    let hashed = |call: &Context| Ok(hash(call.get_raw(0).as_bytes()?));
    connection.create_scalar_function("hashed", 1, FunctionFlags::SQLITE_UTF8, hashed).map_err(error)?;
    for (n, change) in MIGRATIONS.iter().enumerate().skip(version) {
        let change = format!("BEGIN; {change} PRAGMA user_version = {}; COMMIT;", n + 1);
        connection.execute_batch(&change).map_err(error)?;
    }
    Ok(())
}
