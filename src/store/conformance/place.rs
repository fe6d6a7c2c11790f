//! A store as the promises see it: where it is, how it is opened, and how its owners die. How a kind of store does that is
//! told in a file of its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::store::contract::{Records, Store};

/// Something that takes its time.
pub(super) type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A kind of store that is tested.
pub(super) trait Backend {
    /// A new store with nothing in it.
    fn new_place(&self) -> Later<'_, Box<dyn Place>>;
    /// Called when all was tested: whether the store has complained of anything.
    fn is_well(&self) {}
}

/// Where one store is.
pub(super) trait Place: Send + Sync {
    /// Opens the store, as an owner of its own.
    fn open(&self) -> Later<'_, Arc<dyn Store>>;
    /// Lets an owner die. Its handle stays, as that of a process that was only paused and now wakes up.
    fn kill<'a>(&'a self, owner: &'a Arc<dyn Store>) -> Later<'a, ()>;
    /// Whether several owners may live at a time.
    fn allows_several_owners(&self) -> bool;
    fn records(&self) -> Later<'_, Arc<dyn Records>>;
}

impl dyn Place + '_ {
    /// As many owners as may live at a time, but not more than two.
    pub(super) async fn owners(&self) -> Vec<Arc<dyn Store>> {
        let mut owners = vec![self.open().await];
        if self.allows_several_owners() {
            owners.push(self.open().await);
        }
        owners
    }

    /// Lets an owner die, and gives the one that comes after it.
    pub(super) async fn heir(&self, of: &Arc<dyn Store>) -> Arc<dyn Store> {
        self.kill(of).await;
        self.open().await
    }
}
