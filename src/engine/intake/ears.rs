//! When something was last accepted at the addresses whose silence starts rules. Accepting an event costs one look at a list that
//! is empty unless there are such rules.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwap;
use jiff::Timestamp;

use crate::route::{Route, normal};

/// In place of a moment: nothing was heard.
const NOTHING: i64 = i64::MIN;

/// Listens for one rule.
pub struct Ear {
    pub route: Route,
    heard: AtomicI64,
}

impl Ear {
    pub fn new(route: Route) -> Self {
        Self { route, heard: AtomicI64::new(NOTHING) }
    }

    /// An event came to this path.
    pub fn hear(&self, path: &str, at: Timestamp) {
        if self.route.fit(normal(path)).is_some() {
            self.heard.fetch_max(at.as_millisecond(), Ordering::Relaxed);
        }
    }

    /// When something was last heard.
    pub fn last(&self) -> Option<Timestamp> {
        let heard = self.heard.load(Ordering::Relaxed);
        (heard != NOTHING).then(|| Timestamp::from_millisecond(heard).ok()).flatten()
    }
}

/// Listens for all rules that wait for silence.
#[derive(Default)]
pub struct Ears(ArcSwap<Vec<Arc<Ear>>>);

impl Ears {
    /// An event was accepted.
    pub fn hear(&self, path: &str, at: Timestamp) {
        for ear in self.0.load().iter() {
            ear.hear(path, at);
        }
    }

    /// From now on, these listen.
    pub fn replace(&self, all: Vec<Arc<Ear>>) {
        self.0.store(Arc::new(all));
    }
}
