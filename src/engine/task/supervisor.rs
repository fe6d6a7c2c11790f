//! Background tasks that must keep running: one that panics is logged and restarted, and meanwhile Doorbell reports that
//! it is not ready. What a task must preserve across a restart is up to the task.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The pause before a task is restarted, so that one that keeps crashing does not use up the CPU.
const PAUSE: Duration = Duration::from_secs(1);

/// Supervises tasks.
#[derive(Clone, Default)]
pub struct Supervisor {
    /// The tasks that are down right now.
    down: Arc<Mutex<BTreeSet<&'static str>>>,
}

impl Supervisor {
    /// Keeps a task running until it ends by itself. The name is shown to people: `watching the rules folder`.
    pub fn keep<F>(&self, name: &'static str, begin: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (supervisor, begin) = (self.clone(), Arc::new(begin));
        tokio::spawn(async move {
            loop {
                let begin = begin.clone();
                match tokio::spawn(async move { begin().await }).await {
                    Err(e) if e.is_panic() => {}
                    // It has ended, or the program ends.
                    _ => return,
                }
                supervisor.lock().insert(name);
                tracing::error!(task = name, "background task crashed and is being restarted; please report it");
                tokio::time::sleep(PAUSE).await;
                supervisor.lock().remove(name);
            }
        });
    }

    /// The tasks that are down right now, by name.
    pub fn down(&self) -> Vec<&'static str> {
        self.lock().iter().copied().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<&'static str>> {
        self.down.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
