//! Recovery of files after a crash, before anything else is done.

use std::sync::Arc;

use crate::action::files::batch::Verdict;
use crate::action::files::writer::Files;
use crate::store::contract::Store;

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
