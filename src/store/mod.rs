//! Where events and runs are stored. A backend is one file that implements the [`contract`].

mod accept;
mod archive;
mod changes;
mod checkpoint;
mod claims;
#[cfg(test)]
mod conformance;
pub mod contract;
#[cfg(test)]
mod dice;
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

/// Opens the store of a data folder and becomes its owner; creates it if missing. The caller must hold the folder's lock and
/// be inside a runtime.
pub fn open(data: &Path) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(sqlite::Sqlite::open(data)?))
}

/// Opens the existing store of a data folder for reading.
pub fn records(data: &Path) -> Result<Arc<dyn Records>> {
    Ok(Arc::new(archive::Archive::open(data)?))
}
