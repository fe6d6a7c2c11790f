//! How long is kept what is done with: forgets it a little at a time while Doorbell serves.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::planted::{Point, crash};
use crate::store::contract::{Pruning, Result, Store};

/// How often there is a look at what can be forgotten.
const PAUSE: Duration = Duration::from_secs(600);
/// How many events are looked at together, and the breath between: nobody who rings notices.
const AT_A_TIME: usize = 200;
const BREATH: Duration = Duration::from_millis(50);

/// What is kept of what is done with.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// How long; nothing: for ever.
    pub time: Option<Duration>,
    /// How many bytes of the data folder; nothing: whatever it takes.
    pub bytes: Option<u64>,
}

impl Retention {
    /// Keeps to it for ever.
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

    /// Forgets what is to be forgotten at a moment; says how many events.
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

    /// Forgets from the oldest on: everything from before a moment, or until so many bytes are left.
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
