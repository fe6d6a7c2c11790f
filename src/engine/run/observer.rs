//! Who is told what was recorded of a run: the counters, and the traces if there are any.

use std::sync::Arc;

use super::traces::Traces;
use crate::engine::tallies::counters::Counters;
use crate::model::event::Event;
use crate::model::run::{Attempt, Run};

/// Told by the worker.
pub struct Observer {
    pub counters: Arc<Counters>,
    pub traces: Option<Arc<Traces>>,
}

impl Observer {
    /// Attempts of a run were recorded, and this is the run after them. The event is missing if it cannot be read.
    pub fn recorded(&self, run: &Run, attempts: &[Attempt], event: Option<&Event>) {
        let path = event.map_or(Some(""), |event| event.is_request().then_some(&*event.address));
        self.counters.recorded(run, attempts, path);
        if let (Some(traces), Some(event)) = (&self.traces, event) {
            traces.recorded(run, attempts, event);
        }
    }
}
