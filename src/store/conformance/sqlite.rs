//! The SQLite store in the conformance tests: a folder for each test. Opening it ends the previous owner.

use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::database::{Backend, Database, Later};
use crate::secret::{DataKey, Key};
use crate::store::contract::{Queries, Store};

pub(super) struct Sqlites(Key);

impl Sqlites {
    pub(super) fn clear() -> Self {
        Self(None)
    }
    pub(super) fn encrypted() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("data.key");
        std::fs::write(&file, "01".repeat(32)).unwrap();
        Self(Some(Arc::new(DataKey::read(&[file]).unwrap())))
    }
}

impl Backend for Sqlites {
    fn new_database(&self) -> Later<'_, Box<dyn Database>> {
        let key = self.0.clone();
        Box::pin(async { Box::new(Folder { data: tempfile::tempdir().unwrap(), key, next: Mutex::default() }) as Box<dyn Database> })
    }
}

struct Folder {
    data: TempDir,
    key: Key,
    /// The owner that ended the previous one, and that no test has used yet.
    next: Mutex<Option<Arc<dyn Store>>>,
}

impl Database for Folder {
    fn open(&self) -> Later<'_, Arc<dyn Store>> {
        Box::pin(async { self.next.lock().unwrap().take().unwrap_or_else(|| crate::store::open(self.data.path(), &self.key).unwrap()) })
    }
    fn kill<'a>(&'a self, _: &'a Arc<dyn Store>) -> Later<'a, ()> {
        Box::pin(async { *self.next.lock().unwrap() = Some(crate::store::open(self.data.path(), &self.key).unwrap()) })
    }
    fn allows_several_owners(&self) -> bool {
        false
    }
    fn queries(&self) -> Later<'_, Arc<dyn Queries>> {
        Box::pin(async { crate::store::queries(self.data.path(), &self.key).unwrap() })
    }
}
