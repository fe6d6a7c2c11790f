//! Where events and runs are kept. A backend is one file behind the [`contract`].

pub mod archive;
mod claims;
pub mod contract;
mod fold;
mod jobs;
mod poison;
mod prune;
#[cfg(test)]
mod simulation;
mod sqlite;
mod tables;

use std::path::Path;
use std::sync::Arc;

use contract::{Result, Store};

/// Opens the store of a data folder for `serve`; makes it if it is not there.
pub fn open(data: &Path) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(sqlite::Sqlite::open(data)?))
}
