//! Starts rules when runs of others have failed for good: at once, and then at most every ten minutes for the same reason, with
//! the number of failures since. What was not told yet is in the store, so a crash loses nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::made;
use super::starter::Starter;
use crate::engine::run::failure_watch::FailureWatch;
use crate::model::event::EventId;
use crate::rule::ruleset::InForce;
use crate::store::contract::Error;
use crate::store::starts::{Claim, Failures};

/// How long one reason is not told again.
const APART: SignedDuration = SignedDuration::from_mins(10);
/// How often is looked for failures that were reported elsewhere: by another Doorbell on the same store, or before a crash.
const LOOK: Duration = Duration::from_secs(5);

/// Starts rules when others have failed.
pub struct FailureTeller {
    pub starter: Starter,
    pub watch: Arc<FailureWatch>,
    /// Whether Doorbell is about to end, and starts nothing new.
    pub stopping: Arc<AtomicBool>,
}

impl FailureTeller {
    /// Tells rules, again and again; never returns.
    pub async fn run(&self) {
        let mut is_told = false;
        loop {
            match self.look(Timestamp::now()).await {
                Ok(()) => is_told = false,
                // What could not be saved is told later.
                Err(e) => {
                    if !std::mem::replace(&mut is_told, true) {
                        tracing::error!("rules that start when others fail wait, because nothing can be saved: {e}");
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.watch.reported.notified() => {}
            }
        }
    }

    /// Tells everything that is to be told now.
    async fn look(&self, now: Timestamp) -> Result<(), Error> {
        let in_force = self.starter.rules.load_full();
        if !in_force.ruleset.has_rules_on_failure() || self.stopping.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut unwanted = Vec::new();
        for failures in self.starter.store.failures().await? {
            if in_force.ruleset.on_failure_of(&failures.rule).next().is_none() {
                unwanted.push(failures.key);
            } else if failures.told.is_none_or(|told| now.duration_since(told).abs() >= APART) {
                self.tell(&in_force, failures, now).await?;
            }
        }
        if !unwanted.is_empty() {
            self.starter.store.forget_failures(unwanted).await?;
        }
        Ok(())
    }

    async fn tell(&self, in_force: &InForce, failures: Failures, now: Timestamp) -> Result<(), Error> {
        let Failures { key, rule, count, body, told } = failures;
        let mut body: Map<String, Value> = serde_json::from_str(&body).unwrap_or_default();
        body.insert("count".to_owned(), count.into());
        let event = made::failure(&rule, body, EventId(Uuid::now_v7()), now);
        self.starter.begin(in_force, event, Some(Claim::Failures { key, count, told, now })).await.map(drop)
    }
}
