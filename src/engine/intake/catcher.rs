//! Waiting for the first webhook at an address that no rule uses yet: for some minutes it is accepted and stored, like any
//! event that no rule wants, so that somebody can make a rule from it.
//!
//! Only paths that somebody asked for are caught, and nothing else about them is special: limits and answers are the usual.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::route::{Route, normal};
use crate::rule::address::{Address, METHODS};

/// How long an address waits.
pub const PATIENCE: Duration = Duration::from_secs(30 * 60);
/// How many addresses wait at a time; a further one takes the place of the one that has waited longest.
const MOST: usize = 16;

/// The addresses that wait.
#[derive(Default)]
pub struct Catcher(Mutex<HashMap<String, (Instant, Arc<Address>)>>);

impl Catcher {
    /// Waits at a path from now on.
    pub fn wait_at(&self, route: Route, now: Instant) {
        let mut all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        all.retain(|_, (since, _)| now.duration_since(*since) < PATIENCE);
        if all.len() >= MOST
            && let Some(oldest) = all.iter().min_by_key(|(_, (since, _))| *since).map(|(path, _)| path.clone())
        {
            all.remove(&oldest);
        }
        let methods = METHODS.iter().filter(|m| !matches!(**m, "HEAD" | "OPTIONS")).map(|m| (*m).to_owned()).collect();
        all.insert(normal(route.text()).to_owned(), (now, Arc::new(Address::open(route, methods))));
    }

    /// The address that waits at a path.
    pub fn at(&self, path: &str, now: Instant) -> Option<Arc<Address>> {
        let all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (since, address) = all.get(normal(path))?;
        (now.duration_since(*since) < PATIENCE).then(|| address.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_waits_for_half_an_hour_and_the_oldest_gives_way() {
        let (catcher, start) = (Catcher::default(), Instant::now());
        let route = |text: &str| Route::read(text).unwrap();
        catcher.wait_at(route("/new"), start);
        assert!(catcher.at("/new", start).is_some() && catcher.at("/new/", start).is_some() && catcher.at("/other", start).is_none());
        assert!(catcher.at("/new", start + PATIENCE).is_none());
        for n in 0..MOST {
            catcher.wait_at(route(&format!("/{n}")), start + Duration::from_secs(1));
        }
        assert!(catcher.at("/new", start).is_none() && catcher.at("/0", start + Duration::from_secs(1)).is_some());
    }
}
