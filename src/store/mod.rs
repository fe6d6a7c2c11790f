//! Where events and runs are kept. A backend is one file behind the [`contract`].

mod accept;
mod archive;
mod changes;
mod checkpoint;
mod claims;
#[cfg(test)]
mod conformance;
pub mod contract;
mod failures;
mod jobs;
mod owner;
#[cfg(test)]
mod postgres;
mod prune;
mod quarantine;
mod record;
mod reply;
mod rows;
#[cfg(test)]
mod simulation;
mod sqlite;
mod tables;

use std::path::Path;
use std::sync::Arc;

use contract::{Records, Result, Store};

/// Opens the store of a data folder as its owner from now on; makes it if it is not there. Who opens it has to hold the
/// folder's lock, and to be inside a runtime.
pub fn open(data: &Path) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(sqlite::Sqlite::open(data)?))
}

/// Opens the store of a data folder that is there for looking at it.
pub fn records(data: &Path) -> Result<Arc<dyn Records>> {
    Ok(Arc::new(archive::Archive::open(data)?))
}
