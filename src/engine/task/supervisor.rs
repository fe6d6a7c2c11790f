//! Background tasks that must go on: one that panics is logged and begun again, and meanwhile Doorbell says that it is not
//! ready. What the tasks do, and what they must hold on to across such an end, is theirs.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The pause before a task is begun again, so that one that cannot go on does not use up the processor.
const PAUSE: Duration = Duration::from_secs(1);

/// Watches over tasks.
#[derive(Clone, Default)]
pub struct Supervisor {
    /// The tasks that are down just now.
    down: Arc<Mutex<BTreeSet<&'static str>>>,
}

impl Supervisor {
    /// Keeps a task going until it ends by itself. The name is what people read: `watching the rules folder`.
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
                    // It has ended, or the program does.
                    _ => return,
                }
                supervisor.lock().insert(name);
                tracing::error!(task = name, "background task crashed and is being restarted; please report it");
                tokio::time::sleep(PAUSE).await;
                supervisor.lock().remove(name);
            }
        });
    }

    /// The tasks that are down just now, by name.
    pub fn down(&self) -> Vec<&'static str> {
        self.lock().iter().copied().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<&'static str>> {
        self.down.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
