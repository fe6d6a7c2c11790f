//! A store as the conformance tests see it: where it is, how it is opened, and how its owners die. Each kind of store
//! implements this in a file of its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::store::contract::{Records, Store};

/// An operation that takes time.
pub(super) type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A kind of store to be tested.
pub(super) trait Backend {
    /// A new, empty store.
    fn new_place(&self) -> Later<'_, Box<dyn Place>>;
    /// Called after all tests: asserts that the store has logged no errors.
    fn is_well(&self) {}
}

/// Where one store is.
pub(super) trait Place: Send + Sync {
    /// Opens the store, as a new owner.
    fn open(&self) -> Later<'_, Arc<dyn Store>>;
    /// Makes an owner die. Its handle stays usable, like that of a process that was only paused and continues now.
    fn kill<'a>(&'a self, owner: &'a Arc<dyn Store>) -> Later<'a, ()>;
    /// Whether several owners may live at the same time.
    fn allows_several_owners(&self) -> bool;
    fn records(&self) -> Later<'_, Arc<dyn Records>>;
}

impl dyn Place + '_ {
    /// As many owners as may live at the same time, but at most two.
    pub(super) async fn owners(&self) -> Vec<Arc<dyn Store>> {
        let mut owners = vec![self.open().await];
        if self.allows_several_owners() {
            owners.push(self.open().await);
        }
        owners
    }

    /// Makes an owner die, and returns its successor.
    pub(super) async fn heir(&self, of: &Arc<dyn Store>) -> Arc<dyn Store> {
        self.kill(of).await;
        self.open().await
    }
}
