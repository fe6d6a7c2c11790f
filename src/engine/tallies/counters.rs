//! All counters of a running Doorbell, by the addresses and rules of the current rule files. Whatever these do not name is
//! counted as "other".

use std::sync::Arc;
use std::sync::Mutex;

use arc_swap::ArcSwap;
use jiff::Timestamp;

use super::hours::{Gathered, gather};
use super::listed::Listed;
use super::of_address::RequestResult;
use crate::model::hourly::Hour;
use crate::model::run::{Attempt, Run, State};
use crate::rule::ruleset::Ruleset;
use crate::store::contract::StartResult;
use crate::tally::{Durations, Tally};

/// The label of everything that the rule files do not name.
pub const OTHER: &str = "other";

/// What is counted.
#[derive(Debug, Default)]
pub struct Counters {
    listed: ArcSwap<Listed>,
    /// From a complete request to its event on disk.
    pub accepting: Durations,
    pub reloads: Tally,
    pub failed_reloads: Tally,
    /// Requests that are not valid HTTP.
    pub unread: Tally,
    /// Spans of traces.
    pub sent_spans: Tally,
    pub lost_spans: Tally,
    /// Hourly counts that are not in the store yet.
    pub(super) gathered: Mutex<Gathered>,
}

impl Counters {
    /// Makes these the rules whose names are counted.
    pub fn adopt(&self, ruleset: &Ruleset, now: Timestamp) {
        // What the old rules did is not lost with their lists.
        self.gather(now);
        self.listed.store(Arc::new(self.listed.load().next(ruleset)));
    }

    pub fn listed(&self) -> Arc<Listed> {
        self.listed.load_full()
    }

    /// A request to an address had this result; `None` if no rule file has that address.
    pub fn request(&self, address: Option<&str>, result: RequestResult) {
        let listed = self.listed.load();
        address.map_or(&*listed.other_address, |route| listed.address(route)).count(result);
    }

    /// A request to an address became an event that started these rules.
    pub fn event<'r>(&self, address: &str, started: impl Iterator<Item = (&'r str, StartResult)>) {
        let listed = self.listed.load();
        for (rule, result) in started {
            let rule = listed.rule(rule);
            rule.started(address);
            if result == StartResult::Repeated {
                rule.totals.ended(State::Repeated);
            }
        }
        // Last: whoever has counted the event has counted what it started, so that no rule seems not to have run.
        let of_address = listed.address(address);
        of_address.count(RequestResult::Accepted);
        of_address.events.one();
    }

    /// It was time for a rule, which started, or did not because of its `if:`.
    pub fn moment(&self, rule: &str, started: Option<StartResult>) {
        let listed = self.listed.load();
        let rule = listed.rule(rule);
        let (moments, at) = &*rule.by_itself;
        if let Some(result) = started {
            at.started.one();
            if result == StartResult::Repeated {
                rule.totals.ended(State::Repeated);
            }
        }
        moments.one();
    }

    /// Attempts of a run were recorded, and the run is in this state after them. `path` is what the event's sender called;
    /// `None` for a moment of the rule.
    pub fn recorded(&self, run: &Run, attempts: &[Attempt], path: Option<&str>) {
        let listed = self.listed.load();
        let rule = listed.rule(&run.rule);
        attempts.iter().for_each(|attempt| rule.totals.attempted(attempt));
        match run.state {
            State::Waiting => {}
            // No event at an address started it.
            state if run.given().is_some() => rule.totals.ended(state),
            state => rule.ended(path, state),
        }
    }

    /// Adds what happened since the last time to the hour of this moment.
    pub(super) fn gather(&self, now: Timestamp) {
        let mut gathered = self.gathered.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        gather(&self.listed.load(), Hour::of(now), &mut gathered);
    }
}
