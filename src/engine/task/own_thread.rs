//! Work that may never end, such as reading from a disk that does not answer: it has a thread of its own, for which nobody waits
//! when Doorbell stops.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::crashed::Crashed;

/// How work ended that did not return a value.
#[derive(Debug)]
pub enum Ended {
    /// It panicked, with this message.
    Panicked(String),
    /// It could not be started.
    NotStarted(Crashed),
}

/// Runs the work in a thread of its own.
pub async fn own_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Ended> {
    let (done, result) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().spawn(move || {
        let _ = done.send(catch_unwind(AssertUnwindSafe(work)));
    });
    match (thread, result.await) {
        (Ok(_), Ok(result)) => result.map_err(|panic| Ended::Panicked(message(panic.as_ref()))),
        _ => Err(Ended::NotStarted(Crashed)),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    said.unwrap_or("no reason given").to_owned()
}
