//! Adds the hourly counts to the store every few seconds; a crash loses the last seconds.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::counters::Counters;
use crate::model::hourly::{Hour, Hourly, HourlyCounts};
use crate::store::contract::Store;

/// How often they are written.
const PAUSE: Duration = Duration::from_secs(10);
/// How many hours are kept.
const KEPT: i64 = 8 * 24;

impl Counters {
    /// Writes the hourly counts into the store again and again; never returns.
    pub async fn keep_hours(self: Arc<Self>, store: Arc<dyn Store>) {
        loop {
            tokio::time::sleep(PAUSE).await;
            self.write_hours(store.as_ref(), Timestamp::now()).await;
        }
    }

    /// Writes what is not in the store yet.
    pub async fn write_hours(&self, store: &dyn Store, now: Timestamp) {
        self.gather(now);
        let counts = std::mem::take(&mut self.gathered.lock().unwrap_or_else(std::sync::PoisonError::into_inner).counts);
        if counts.is_empty() {
            return;
        }
        let hourly = |((hour, rule, address), counts): (&(Hour, Arc<str>, Arc<str>), &HourlyCounts)| Hourly {
            hour: *hour,
            rule: rule.to_string(),
            address: address.to_string(),
            counts: *counts,
        };
        let all = counts.iter().map(hourly).collect();
        // What may have been written is not written twice.
        if let Err(e) = store.add_hourly(all, Hour::of(now).before(KEPT)).await
            && !e.is_unknown()
        {
            tracing::debug!("hourly counts cannot be saved yet: {e}");
            let mut gathered = self.gathered.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            for (place, more) in counts {
                gathered.counts.entry(place).or_default().add(more);
            }
        }
    }
}
