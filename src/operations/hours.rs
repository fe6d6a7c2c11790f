//! What rules did in the last 24 hours, hour by hour, as values. The numbers are a few seconds old, and approximate after a
//! crash.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::model::hourly::{Hour, Hourly, HourlyCounts};
use crate::store::contract::{Queries, Result};

/// How many hours are shown, with the current one.
pub const HOURS: usize = 24;
/// How many hours are looked at for the last run.
const WEEK: i64 = 7 * 24;

/// One hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HourBar {
    pub begin: Timestamp,
    /// Runs that ended well.
    pub ran: u64,
    /// Events for which the rule did not run.
    pub did_not: u64,
    /// Runs that failed.
    pub failed: u64,
}

/// The last 24 hours of a rule, at all its addresses; the oldest hour first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Day(pub Vec<HourBar>);

impl Day {
    /// A day on which nothing happened.
    pub fn empty(now: Timestamp) -> Self {
        let first = first(now);
        let bar = |n: usize| HourBar { begin: Hour(first.0 + n as i64).begin(), ran: 0, did_not: 0, failed: 0 };
        Self((0..HOURS).map(bar).collect())
    }

    /// All hours together.
    pub fn total(&self) -> HourlyCounts {
        let mut all = HourlyCounts::default();
        self.0.iter().for_each(|bar| all.add(HourlyCounts { ran: bar.ran, did_not: bar.did_not, failed: bar.failed }));
        all
    }

    fn add(&mut self, first: Hour, hourly: &Hourly) {
        // What is in the future is counted by a clock that was set back since.
        let Some(bar) = usize::try_from(hourly.hour.0 - first.0).ok().and_then(|n| self.0.get_mut(n)) else { return };
        let HourlyCounts { ran, did_not, failed } = hourly.counts;
        (bar.ran, bar.did_not, bar.failed) = (bar.ran + ran, bar.did_not + did_not, bar.failed + failed);
    }
}

/// The first hour that is shown.
fn first(now: Timestamp) -> Hour {
    Hour::of(now).before(HOURS as i64 - 1)
}

/// The last 24 hours of one rule.
pub async fn of_rule(queries: &dyn Queries, rule: &str, now: Timestamp) -> Result<Day> {
    let (first, mut day) = (first(now), Day::empty(now));
    queries.hourly(first, Some(rule.to_owned())).await?.iter().for_each(|hourly| day.add(first, hourly));
    Ok(day)
}

/// What a rule did lately.
#[derive(Debug, Clone)]
pub struct Lately {
    pub day: Day,
    /// The hour in which it ran last, or failed, in the last week.
    pub last_run: Option<Timestamp>,
}

impl Lately {
    /// Nothing at all.
    pub fn empty(now: Timestamp) -> Self {
        Self { day: Day::empty(now), last_run: None }
    }
}

/// What every rule did that did something in the last week, by name.
pub async fn of_all(queries: &dyn Queries, now: Timestamp) -> Result<BTreeMap<String, Lately>> {
    let (first, mut all) = (first(now), BTreeMap::new());
    for hourly in queries.hourly(Hour::of(now).before(WEEK), None).await? {
        let lately = all.entry(hourly.rule.clone()).or_insert_with(|| Lately::empty(now));
        lately.day.add(first, &hourly);
        if hourly.counts.ran + hourly.counts.failed > 0 {
            lately.last_run = lately.last_run.max(Some(hourly.hour.begin()));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_hour_is_the_last_one_and_older_ones_are_left_out() {
        let now: Timestamp = "2026-11-27T10:59:59Z".parse().unwrap();
        let (first, mut day) = (first(now), Day::empty(now));
        let counts = HourlyCounts { ran: 1, did_not: 2, failed: 3 };
        for hours in [-1, 0, 0, 23, 24] {
            let hourly = Hourly { hour: Hour::of(now).before(hours), rule: "r".into(), address: "/a".into(), counts };
            day.add(first, &hourly);
        }
        let (first, last) = (day.0[0], day.0[23]);
        assert_eq!((first.begin.to_string(), first.ran), ("2026-11-26T11:00:00Z".into(), 1));
        assert_eq!((last.begin.to_string(), last.ran, last.did_not, last.failed), ("2026-11-27T10:00:00Z".into(), 2, 4, 6));
        assert_eq!(day.total(), HourlyCounts { ran: 3, did_not: 6, failed: 9 });
    }
}
