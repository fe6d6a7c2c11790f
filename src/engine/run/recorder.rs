//! Stores what attempts did to runs, until the store succeeds, and tells whoever counts them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::failure_watch::{FailureWatch, message_of};
use super::observer::Observer;
use crate::model::answer::SealedAnswer;
use crate::model::called::{self, CallEnd, How};
use crate::model::event::Event;
use crate::model::outcome::Receipt;
use crate::model::remembered::MemoryChange;
use crate::model::run::{Attempt, Run, State};
use crate::store::contract::{Also, NewCall, Record, Recorded, Store};

/// The pause before the store is asked again after an error.
pub const PAUSE: Duration = Duration::from_millis(500);

/// Stores attempts.
pub struct Recorder {
    pub store: Arc<dyn Store>,
    pub observer: Observer,
    pub failures: Arc<FailureWatch>,
    /// Whether Doorbell is about to end.
    pub stopping: AtomicBool,
}

/// A run after its last attempts, and what was produced.
pub struct Attempted {
    pub run: Run,
    pub attempts: Vec<Attempt>,
    pub answer: Option<SealedAnswer>,
    /// Whether the run continues immediately.
    pub goes_on: bool,
    pub receipt: Option<Receipt>,
    /// What a target answered, if the last attempt failed because of that.
    pub status: Option<u16>,
    /// What is remembered from now on.
    pub memory: Option<Box<MemoryChange>>,
    /// The run that the last attempt begins.
    pub calls: Option<Box<NewCall>>,
}

/// Why nothing was recorded.
pub enum NotRecorded {
    /// The run now belongs to another owner, or Doorbell stops first.
    Gone,
    /// Another Doorbell on this store changed what the step found in the memory: the step has to be tried again.
    Changed,
    /// The event has as many runs as it can have, so no other rule can be run.
    Full,
}

impl Attempted {
    pub fn new(run: Run, attempts: Vec<Attempt>) -> Self {
        Self { run, attempts, answer: None, goes_on: false, receipt: None, status: None, memory: None, calls: None }
    }
}

impl Recorder {
    /// Records until the store succeeds: an effect that is done is never repeated because of a full disk. Returns the run as it is in
    /// the store. The event is missing if it cannot be read.
    pub async fn record(&self, attempted: Attempted, event: Option<&Event>) -> Result<Run, NotRecorded> {
        let Attempted { mut run, attempts, answer, goes_on, receipt, status, memory, calls } = attempted;
        let mut told = false;
        let ends = end_for_caller(&run, &attempts);
        if ends.is_some() && run.state == State::Failed {
            run.state = State::FailedForCaller;
        }
        let failure = self.failures.report(&run, &attempts, status, event);
        let is_reported = failure.is_some();
        let is_more = is_reported || memory.is_some() || calls.is_some() || ends.is_some();
        let also = Also { failure, memory: memory.map(|memory| *memory), calls: calls.map(|call| *call), ends };
        let also = is_more.then(|| Arc::new(also));
        let record = Record { run: Arc::new(run), attempts: Arc::new(attempts), answer, also, goes_on };
        loop {
            match self.store.record(record.clone()).await {
                Ok(Recorded::Recorded) => {
                    drop(receipt);
                    self.observer.recorded(&record.run, &record.attempts, event);
                    if is_reported {
                        self.failures.reported.notify_one();
                    }
                    let run = Arc::unwrap_or_clone(record.run);
                    return Ok(Run { unsaved: Vec::new(), turn: run.turn + 1, ..run });
                }
                Ok(Recorded::LeaseLost) => {
                    tracing::warn!(event = %record.run.event, rule = %record.run.rule, "run has been taken over by another worker");
                    return Err(NotRecorded::Gone);
                }
                Ok(Recorded::Changed) => return Err(NotRecorded::Changed),
                Ok(Recorded::Full) => return Err(NotRecorded::Full),
                Err(e) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::error!(event = %record.run.event, "result cannot be saved yet: {e}");
                    }
                    if self.stopping.load(Ordering::Relaxed) {
                        return Err(NotRecorded::Gone);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// How a run has ended, if another one waits for that.
fn end_for_caller(run: &Run, attempts: &[Attempt]) -> Option<CallEnd> {
    if run.state == State::Waiting || !run.is_awaited() {
        return None;
    }
    let how = match run.state {
        State::Failed => How::Failed(message_of(run, attempts)),
        _ => How::Returned(called::returned(&run.saved).cloned()),
    };
    Some(CallEnd { rule: run.rule.to_string(), how })
}
