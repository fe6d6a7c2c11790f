//! Addresses that were called although no rule uses them: often a mistake at the sender, or a rule that is still missing. In
//! memory, for a day, and limited: anybody can call anything.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// How many are remembered; a further one takes the place of the one that was not called for the longest time.
const MOST: usize = 200;
/// How long one is remembered after its last call.
const LASTS: SignedDuration = SignedDuration::from_hours(24);

/// An address that no rule used when it was called.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnknownAddress {
    pub address: String,
    /// Of the last call.
    pub method: String,
    pub calls: u64,
    pub last: Timestamp,
}

/// The latest of them.
#[derive(Default)]
pub struct UnknownAddresses(Mutex<HashMap<String, UnknownAddress>>);

impl UnknownAddresses {
    /// Notes a call.
    pub fn note(&self, address: &str, method: &str, at: Timestamp) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(address)
            && all.len() >= MOST
            && let Some(oldest) = all.values().min_by_key(|one| one.last).map(|one| one.address.clone())
        {
            all.remove(&oldest);
        }
        let fresh = || UnknownAddress { address: address.to_owned(), method: String::new(), calls: 0, last: at };
        let one = all.entry(address.to_owned()).or_insert_with(fresh);
        (one.calls, one.last) = (one.calls + 1, one.last.max(at));
        method.clone_into(&mut one.method);
    }

    /// All of the last day, those that were called last first.
    pub fn lately(&self, now: Timestamp) -> Vec<UnknownAddress> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, one| now.duration_since(one.last) < LASTS);
        let mut lately: Vec<UnknownAddress> = all.values().cloned().collect();
        lately.sort_by(|a, b| b.last.cmp(&a.last).then_with(|| a.address.cmp(&b.address)));
        lately
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn calls_are_counted_by_address_for_a_day() {
        let all = UnknownAddresses::default();
        for (second, address, method) in [(1, "/a", "GET"), (3, "/b", "POST"), (2, "/a", "POST")] {
            all.note(address, method, at(second));
        }
        let found: Vec<_> = all.lately(at(10)).into_iter().map(|one| (one.address, one.method, one.calls, one.last)).collect();
        assert_eq!(found, [("/b".into(), "POST".into(), 1, at(3)), ("/a".into(), "POST".into(), 2, at(2))]);
        assert_eq!(all.lately(at(2) + LASTS).len(), 1);
        assert!(all.lately(at(3) + LASTS).is_empty());
    }

    #[test]
    fn a_flood_of_addresses_takes_little_memory_and_keeps_those_that_are_still_called() {
        let all = UnknownAddresses::default();
        for n in 0..10_000 {
            all.note(&format!("/{n}"), "GET", at(n));
            all.note("/orders", "POST", at(n));
        }
        let found = all.lately(at(10_000));
        assert!(found.len() == MOST && found.iter().any(|one| one.address == "/orders" && one.calls == 10_000));
    }
}
