//! Where file writers note what they are about to do, and where rules find what they remember: in the store.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;

use crate::action::files::writer::Ledger;
use crate::action::memory::MemoryReader;
use crate::model::intent::Intent;
use crate::store::contract::{EffectKey, Store};

/// The store, as the file writers of one output folder use it.
pub struct StoreLedger {
    pub store: Arc<dyn Store>,
    /// The folder's own name.
    pub folder: String,
}

impl Ledger for StoreLedger {
    fn intend(&self, intent: Intent) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async move { self.store.intend(&self.folder, intent).await.map_err(|e| e.to_string()) })
    }
    fn settle(&self, done: Vec<EffectKey>) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async move { self.store.settle(done).await.map_err(|e| e.to_string()) })
    }
    fn forget(&self, file: &str) {
        self.store.forget(&self.folder, file);
    }
}

/// The store, as steps read what is remembered.
pub struct StoreMemory(pub Arc<dyn Store>);

impl MemoryReader for StoreMemory {
    fn find(&self, key: String, now: Timestamp) -> Pin<Box<dyn Future<Output = Result<Option<String>, String>> + Send + '_>> {
        Box::pin(async move { self.0.recall(key, now).await.map_err(|e| e.to_string()) })
    }
}
