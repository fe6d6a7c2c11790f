//! The signals that a running `serve` obeys: to stop, and to read rules and secrets again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};

use crate::store::news::News;

/// Waits for SIGTERM or SIGINT, and tells everybody who has to know.
pub async fn stop(stopping: Arc<AtomicBool>, stopped: watch::Sender<bool>, news: News) {
    let interrupted = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminated) => {
            tokio::select! { _ = interrupted => {}, _ = terminated.recv() => {} }
        }
        Err(_) => {
            let _ = interrupted.await;
        }
    }
    stopping.store(true, Ordering::Relaxed);
    stopped.send_replace(true);
    // Whoever looks at the console learns that it ends.
    news.tell();
    tracing::info!("shutdown started; finishing the runs in progress");
}

/// Waits until this is set.
pub async fn is_set(mut set: watch::Receiver<bool>) {
    let _ = set.wait_for(|set| *set).await;
}

/// Reloads rules and secrets on SIGHUP.
pub async fn load_again_when_asked(again: Arc<Notify>) {
    let Ok(mut asked) = signal(SignalKind::hangup()) else { return };
    while asked.recv().await.is_some() {
        tracing::info!("SIGHUP received; reading the rules and secrets again");
        again.notify_one();
    }
}
