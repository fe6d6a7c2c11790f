//! The SQLite store in the conformance tests: a folder for each test. Opening it ends the previous owner.

use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::database::{Backend, Database, Later};
use crate::store::contract::{Queries, Store};

pub(super) struct Sqlites;

impl Backend for Sqlites {
    fn new_database(&self) -> Later<'_, Box<dyn Database>> {
        Box::pin(async { Box::new(Folder { data: tempfile::tempdir().unwrap(), next: Mutex::default() }) as Box<dyn Database> })
    }
}

struct Folder {
    data: TempDir,
    /// The owner that ended the previous one, and that no test has used yet.
    next: Mutex<Option<Arc<dyn Store>>>,
}

impl Database for Folder {
    fn open(&self) -> Later<'_, Arc<dyn Store>> {
        Box::pin(async { self.next.lock().unwrap().take().unwrap_or_else(|| crate::store::open(self.data.path()).unwrap()) })
    }
    fn kill<'a>(&'a self, _: &'a Arc<dyn Store>) -> Later<'a, ()> {
        Box::pin(async { *self.next.lock().unwrap() = Some(crate::store::open(self.data.path()).unwrap()) })
    }
    fn allows_several_owners(&self) -> bool {
        false
    }
    fn queries(&self) -> Later<'_, Arc<dyn Queries>> {
        Box::pin(async { crate::store::queries(self.data.path()).unwrap() })
    }
}
