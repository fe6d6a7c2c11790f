//! Retention of finished events: deletes old ones in small batches while Doorbell serves.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::planted::{Point, crash};
use crate::store::contract::{Pruning, Result, Store};

/// How often to look for events to delete.
const PAUSE: Duration = Duration::from_secs(600);
/// How many events to examine in one batch; pauses between batches keep this from slowing down senders.
const AT_A_TIME: usize = 200;
const BREATH: Duration = Duration::from_millis(50);

/// The limits for keeping finished events.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// For how long; `None` means forever.
    pub time: Option<Duration>,
    /// The maximum size of the data folder in bytes; `None` means no limit.
    pub bytes: Option<u64>,
}

impl Retention {
    /// Applies the limits again and again; never returns.
    pub async fn keep(self, store: Arc<dyn Store>) {
        loop {
            crash(Point::Retention);
            match self.once(store.as_ref(), Timestamp::now()).await {
                Ok(0) => {}
                Ok(events) => tracing::info!(events, "old events deleted"),
                Err(e) => tracing::warn!("old events could not be deleted: {e}"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Deletes what is due for deletion at `now`; returns how many events.
    pub async fn once(self, store: &dyn Store, now: Timestamp) -> Result<usize> {
        while store.expire(now).await? {
            tokio::time::sleep(BREATH).await;
        }
        let mut events = 0;
        if let Some(time) = self.time {
            let before = now.checked_sub(time).unwrap_or(Timestamp::UNIX_EPOCH);
            events += self.forget(store, before, None).await?;
        }
        if self.bytes.is_some() {
            events += self.forget(store, now, self.bytes).await?;
        }
        Ok(events)
    }

    /// Deletes the oldest events: those received before a moment, or until at most this many bytes are in use.
    async fn forget(self, store: &dyn Store, before: Timestamp, until: Option<u64>) -> Result<usize> {
        let (mut events, mut after) = (0, 0);
        loop {
            if let Some(bytes) = until
                && store.size().await? <= bytes
            {
                return Ok(events);
            }
            let pruned = store.prune(Pruning { before, failed: false, is_dry_run: false }, after, AT_A_TIME).await?;
            events += pruned.events;
            after = pruned.after;
            if pruned.is_all {
                return Ok(events);
            }
            tokio::time::sleep(BREATH).await;
        }
    }
}
