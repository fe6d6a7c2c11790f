//! A sign of life for a service that watches Doorbell: a call at an interval, while events are accepted and can be saved. That
//! service raises the alarm when the calls stop, whatever the reason is.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::health::{Health, Status};
use crate::store::contract::Store;

/// How long a call may take, and what the store has for showing that it saves.
const PATIENCE: Duration = Duration::from_secs(10);
/// When a call is repeated that failed.
const AGAIN: Duration = Duration::from_secs(10);

/// Sends signs of life.
pub struct Heartbeat {
    pub url: Url,
    pub every: Duration,
    pub health: Arc<Health>,
    pub store: Arc<dyn Store>,
}

impl Heartbeat {
    /// Sends them, again and again; never returns.
    pub async fn run(&self) {
        let mut is_told = false;
        loop {
            let pause = match self.beat().await {
                Ok(()) => {
                    if std::mem::take(&mut is_told) {
                        tracing::info!("heartbeat is sent again");
                    }
                    self.every
                }
                Err(why) => {
                    if !std::mem::replace(&mut is_told, true) {
                        // The path is often what only the service and its user know.
                        let server = self.url.host_str().unwrap_or_default();
                        tracing::warn!(server, "heartbeat could not be sent: {why}");
                    }
                    AGAIN.min(self.every)
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// One sign of life; the error says why there is none.
    async fn beat(&self) -> Result<(), String> {
        match self.health.status() {
            Status::Ready => {}
            other => return Err(format!("Doorbell is {}", other.word())),
        }
        let saved = tokio::time::timeout(PATIENCE, self.store.touch()).await;
        saved.map_err(|_| "the store does not answer".to_owned())?.map_err(|e| format!("nothing can be saved: {e}"))?;
        self.health.net.visit(self.url.as_str(), PATIENCE).await
    }
}
