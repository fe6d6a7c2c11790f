//! Recovery of files after a crash, before anything else is done; and the store as file writers use it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::action::files::batch::Verdict;
use crate::action::files::writer::{Files, Ledger};
use crate::model::intent::Intent;
use crate::store::contract::{EffectKey, Store};

/// The store, as the file writers of one output folder use it.
pub struct Intents {
    pub store: Arc<dyn Store>,
    /// The folder's own name.
    pub folder: String,
}

impl Ledger for Intents {
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

/// Checks what a crash has interrupted, before anything else is done: effects that are already in their files are marked
/// as done; partial ones are removed, so that they are written again.
pub async fn recover(store: &Arc<dyn Store>, files: &Files, folder: &str) -> anyhow::Result<()> {
    for intent in store.intents(folder).await? {
        if store.still_at(intent.runs.clone()).await? {
            let verdict = files.resolve(&intent).await;
            match verdict.map_err(|why| anyhow::anyhow!("the last write to {} cannot be checked: {why}", intent.file))? {
                Verdict::Whole => tracing::info!(
                    file = intent.file,
                    "file is complete: the write that was in progress when Doorbell stopped had finished"
                ),
                Verdict::Torn => {
                    tracing::warn!(
                        file = intent.file,
                        from = intent.offset,
                        "file had a half-written end, which was removed; the write is repeated"
                    );
                }
                Verdict::Absent => tracing::info!(
                    file = intent.file,
                    "file was not changed by the write that was in progress when Doorbell stopped; the write is repeated"
                ),
            }
        }
        store.forget(folder, &intent.file);
    }
    Ok(())
}
