//! The hourly counts of rules and addresses, gathered from the counters until they are in the store. What happens at the end of
//! an hour may be counted in the next one.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::listed::Listed;
use super::of_rule::AtAddress;
use crate::model::hourly::{Hour, HourlyCounts};
use crate::model::origin::SCHEDULE;

/// The most counts that wait while the store cannot be written to; above that, the latest are lost.
const MOST: usize = 100_000;

/// Counts that are not in the store yet, by hour, rule and address.
#[derive(Debug, Default)]
pub struct Gathered {
    pub(super) counts: BTreeMap<(Hour, Arc<str>, Arc<str>), HourlyCounts>,
    /// By rule and address: starts whose event is not counted yet.
    early: BTreeMap<(Arc<str>, Arc<str>), u64>,
}

/// Takes what was counted of every rule at every address, and adds it to an hour.
pub(super) fn gather(listed: &Listed, hour: Hour, into: &mut Gathered) {
    // Before the starts, which are counted before their event is.
    let events: BTreeMap<&str, u64> = listed.addresses.iter().map(|(address, counted)| (&**address, counted.events.take())).collect();
    for (name, rule) in &listed.rules {
        for (route, at) in &rule.at {
            add(into, (hour, name, route.text()), at, events.get(route.text()).copied().unwrap_or_default());
        }
        let (moments, at) = &*rule.by_itself;
        add(into, (hour, name, SCHEDULE), at, moments.take());
    }
}

/// Adds what was counted of a rule at one address, where so many events were.
fn add(into: &mut Gathered, (hour, name, address): (Hour, &Arc<str>, &str), at: &AtAddress, events: u64) {
    let started = at.started.take();
    let (ran, failed) = (at.ran.take(), at.failed.take());
    if started == 0 && events == 0 && ran == 0 && failed == 0 {
        return;
    }
    let address: Arc<str> = address.into();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tallies::of_address::OfAddress;
    use crate::engine::tallies::of_rule::OfRule;
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

    #[test]
    fn the_moments_of_a_rule_are_counted_like_events() {
        let (listed, ..) = listed();
        let mut gathered = Gathered::default();
        let (moments, at) = &*listed.rules["r"].by_itself;
        moments.add(3);
        at.started.add(2);
        at.ran.add(2);
        gather(&listed, Hour(1), &mut gathered);
        let counts = gathered.counts.get(&(Hour(1), "r".into(), SCHEDULE.into())).copied();
        assert_eq!(counts, Some(HourlyCounts { ran: 2, did_not: 1, failed: 0 }));
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
