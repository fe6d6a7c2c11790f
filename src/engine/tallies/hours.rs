//! The hourly counts of rules and addresses: gathered from the counters, and added to the store every few seconds. They are
//! approximate: a crash loses the last seconds, and what happens at the end of an hour may be counted in the next one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::counters::{Counters, Listed};
use crate::model::hourly::{Hour, Hourly, HourlyCounts};
use crate::store::contract::Store;

/// How often they are written.
const PAUSE: Duration = Duration::from_secs(10);
/// How many hours are kept.
const KEPT: i64 = 8 * 24;
/// The most counts that wait while the store cannot be written to; above that, the latest are lost.
const MOST: usize = 100_000;

/// Counts that are not in the store yet, by hour, rule and address.
#[derive(Debug, Default)]
pub struct Gathered {
    counts: BTreeMap<(Hour, Arc<str>, Arc<str>), HourlyCounts>,
    /// By rule and address: starts whose event is not counted yet.
    early: BTreeMap<(Arc<str>, Arc<str>), u64>,
}

/// Takes what was counted of every rule at every address, and adds it to an hour.
pub(super) fn gather(listed: &Listed, hour: Hour, into: &mut Gathered) {
    // Before the starts, which are counted before their event is.
    let events: BTreeMap<&str, u64> = listed.addresses.iter().map(|(address, counted)| (&**address, counted.events.take())).collect();
    for (name, rule) in &listed.rules {
        for (route, at) in &rule.at {
            let started = at.started.take();
            let (ran, failed) = (at.ran.take(), at.failed.take());
            let events = events.get(route.text()).copied().unwrap_or_default();
            if started == 0 && events == 0 && ran == 0 && failed == 0 {
                continue;
            }
            let address: Arc<str> = route.text().into();
            let key = (name.clone(), address.clone());
            let started = started + into.early.remove(&key).unwrap_or_default();
            if started > events {
                into.early.insert(key, started - events);
            }
            let counts = HourlyCounts { ran, did_not: events.saturating_sub(started), failed };
            let place = (hour, name.clone(), address);
            if !counts.is_empty() && (into.counts.len() < MOST || into.counts.contains_key(&place)) {
                into.counts.entry(place).or_default().add(counts);
            }
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tallies::of_address::OfAddress;
    use crate::engine::tallies::of_rule::{AtAddress, OfRule};
    use crate::route::Route;

    fn listed() -> (Listed, Arc<OfAddress>, Arc<AtAddress>) {
        let (address, at) = (Arc::new(OfAddress::default()), Arc::new(AtAddress::default()));
        let rule = OfRule { at: vec![(Route::read("/a").unwrap(), at.clone())], ..OfRule::default() };
        let listed = Listed { addresses: [("/a".into(), address.clone())].into(), rules: [("r".into(), rule)].into(), ..Listed::default() };
        (listed, address, at)
    }

    fn in_hour(gathered: &Gathered, hour: i64) -> HourlyCounts {
        gathered.counts.get(&(Hour(hour), "r".into(), "/a".into())).copied().unwrap_or_default()
    }

    #[test]
    fn an_event_that_started_nothing_is_counted_for_the_rule_that_did_not_run() {
        let (listed, address, at) = listed();
        let mut gathered = Gathered::default();
        address.events.add(5);
        at.started.add(3);
        at.ran.add(2);
        at.failed.add(1);
        gather(&listed, Hour(1), &mut gathered);
        assert_eq!(in_hour(&gathered, 1), HourlyCounts { ran: 2, did_not: 2, failed: 1 });
        gather(&listed, Hour(2), &mut gathered);
        assert_eq!(in_hour(&gathered, 2), HourlyCounts::default(), "nothing more happened");
    }

    /// The start is counted first, and the counters may be gathered in between.
    #[test]
    fn a_start_whose_event_is_counted_later_hides_no_event_and_invents_none() {
        let (listed, address, at) = listed();
        let mut gathered = Gathered::default();
        at.started.one();
        gather(&listed, Hour(1), &mut gathered);
        address.events.add(2);
        gather(&listed, Hour(1), &mut gathered);
        assert_eq!(in_hour(&gathered, 1).did_not, 1);
        assert!(gathered.early.is_empty());
    }
}
