//! The callers that wait for the answer of a rule, in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use crate::model::answer::Answer;
use crate::model::event::EventId;

/// The callers that are waiting for a rule's `respond`.
#[derive(Default)]
pub struct PendingReplies {
    waiting: Mutex<HashMap<EventId, Caller>>,
}

struct Caller {
    /// The caller, and any others that have sent the same delivery again in the meantime.
    sends: Vec<oneshot::Sender<Answer>>,
    /// How many runs can still respond.
    responders: usize,
}

/// A caller waiting for the answer to an event. Dropping it (for example when the caller disconnects) ends the wait.
pub struct WaitingCaller {
    pending: Arc<PendingReplies>,
    event: EventId,
    answer: oneshot::Receiver<Answer>,
}

impl WaitingCaller {
    /// The answer; `None` if there will be none.
    pub async fn answer(&mut self) -> Option<Answer> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for WaitingCaller {
    fn drop(&mut self) {
        self.answer.close();
        let mut all = self.pending.lock();
        if let Some(caller) = all.get_mut(&self.event) {
            caller.sends.retain(|send| !send.is_closed());
            if caller.sends.is_empty() {
                all.remove(&self.event);
            }
        }
    }
}

impl PendingReplies {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<EventId, Caller>> {
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Waits for the answer to an event that this many runs can answer; joins the callers already waiting for it, if any.
    pub fn wait_for(self: &Arc<Self>, event: EventId, responders: usize) -> WaitingCaller {
        let (send, answer) = oneshot::channel();
        self.lock().entry(event).or_insert(Caller { sends: Vec::new(), responders }).sends.push(send);
        WaitingCaller { pending: self.clone(), event, answer }
    }

    /// Answers the caller of an event; returns whether anyone was waiting.
    pub fn answer(&self, event: EventId, answer: Answer) -> bool {
        let sends = self.lock().remove(&event).map(|caller| caller.sends).unwrap_or_default();
        sends.into_iter().filter_map(|send| send.send(answer.clone()).ok()).count() > 0
    }

    /// Whether a caller is still waiting for this event.
    pub fn waits(&self, event: EventId) -> bool {
        self.lock().get(&event).is_some_and(|c| c.sends.iter().any(|s| !s.is_closed()))
    }

    /// One of the runs that could answer has ended; returns whether it was the last one and a caller is still waiting.
    pub fn gone(&self, event: EventId) -> bool {
        self.lock().get_mut(&event).is_some_and(|caller| {
            caller.responders = caller.responders.saturating_sub(1);
            caller.responders == 0
        })
    }
}
