//! A store as the conformance tests see it: how it is opened, and how its owners die. Each kind of store implements this in a
//! file of its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::store::contract::{Queries, Store};

/// An operation that takes time.
pub(super) type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A kind of store to be tested.
pub(super) trait Backend {
    /// A new, empty store.
    fn new_database(&self) -> Later<'_, Box<dyn Database>>;
    /// Called after all tests: asserts that the store has logged no complaints.
    fn check_log(&self) {}
}

/// One store, which owners can open.
pub(super) trait Database: Send + Sync {
    /// Opens the store, as a new owner.
    fn open(&self) -> Later<'_, Arc<dyn Store>>;
    /// Ends an owner. Its handle can still be used, like that of a process that was only paused.
    fn kill<'a>(&'a self, owner: &'a Arc<dyn Store>) -> Later<'a, ()>;
    /// Whether there may be several owners at the same time.
    fn allows_several_owners(&self) -> bool;
    fn queries(&self) -> Later<'_, Arc<dyn Queries>>;
}

impl dyn Database + '_ {
    /// Two owners if the store allows it, or one.
    pub(super) async fn owners(&self) -> Vec<Arc<dyn Store>> {
        let mut owners = vec![self.open().await];
        if self.allows_several_owners() {
            owners.push(self.open().await);
        }
        owners
    }

    /// Ends an owner, and returns its successor.
    pub(super) async fn successor(&self, of: &Arc<dyn Store>) -> Arc<dyn Store> {
        self.kill(of).await;
        self.open().await
    }
}
