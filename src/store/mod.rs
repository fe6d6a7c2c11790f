//! Where events and runs are stored. A backend is a folder that implements the [`contract`].

pub mod answered;
pub mod attempts;
pub mod audit;
pub mod body_text;
pub mod commits;
#[cfg(test)]
mod conformance;
pub mod contract;
#[cfg(test)]
mod dice;
mod event_ids;
mod heavy;
pub mod news;
#[cfg(test)]
mod postgres;
mod sqlite;
pub mod starts;

use std::path::Path;
use std::sync::Arc;

use contract::{Queries, Result, Store};

use crate::secret::Key;

/// Opens the store of a data folder and becomes its owner; creates it if missing. The caller must hold the folder's lock and
/// be inside a runtime. With a key, what senders, other apps and rules wrote is encrypted.
pub fn open(data: &Path, key: &Key) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(sqlite::handle::Sqlite::open(data, key)?))
}

/// Opens the existing store of a data folder for reading.
pub fn queries(data: &Path, key: &Key) -> Result<Arc<dyn Queries>> {
    Ok(Arc::new(sqlite::queries::SqliteQueries::open(data, key)?))
}
