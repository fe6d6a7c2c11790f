//! Tells those who watch a store that something in it changed, without saying what: they look for themselves. Nearly free
//! while nobody watches.

use std::sync::Arc;

use tokio::sync::watch;

/// Shared by a store and all who watch it.
#[derive(Clone)]
pub struct News(Arc<watch::Sender<()>>);

impl Default for News {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(())))
    }
}

impl News {
    /// Something changed.
    pub fn tell(&self) {
        if self.0.receiver_count() > 0 {
            self.0.send_replace(());
        }
    }

    /// Sees every change from now on; several changes while one looks are one.
    pub fn watch(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}
