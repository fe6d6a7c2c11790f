//! Traces (OpenTelemetry) made from what is recorded of runs anyway: each run and each try of a step becomes a span, sent as
//! OTLP over HTTP (JSON). Nobody waits for the collector: if it does not keep up, spans are lost, and counted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::action::http::collector::Collector;
use crate::engine::tallies::counters::Counters;
use crate::model::event::Event;
use crate::model::run::{Attempt, Run, State};
use crate::model::trace::{Trace, attempt_span, run_span};

/// The most spans that wait.
const MOST: usize = 8_192;
/// The most spans that are sent together, and how long they wait for others.
const MOST_TOGETHER: usize = 512;
const PAUSE: Duration = Duration::from_secs(1);
/// How long to try to send the last spans when Doorbell stops.
const END: Duration = Duration::from_secs(3);

/// Sends spans to a collector.
pub struct Traces {
    collector: Collector,
    waiting: Mutex<VecDeque<Value>>,
    more: Notify,
    counters: Arc<Counters>,
    /// Whether the last try to send failed, so that only changes are logged.
    is_silent: Mutex<bool>,
}

impl Traces {
    pub fn new(collector: Collector, counters: Arc<Counters>) -> Self {
        Self { collector, waiting: Mutex::default(), more: Notify::new(), counters, is_silent: Mutex::default() }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, VecDeque<Value>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Attempts of a run were recorded, and this is the run after them.
    pub fn recorded(&self, run: &Run, attempts: &[Attempt], event: &Event) {
        let trace = Trace::of(event);
        if !trace.is_recorded {
            return;
        }
        let mut spans: Vec<Value> = attempts.iter().filter(|a| a.outcome != "paused").map(|a| attempted(&trace, run, a)).collect();
        if run.state != State::Waiting {
            let end = attempts.last().map_or(event.received, end);
            spans.push(ended(&trace, run, event, end));
        }
        let (mut waiting, mut lost) = (self.waiting(), 0);
        for span in spans {
            if waiting.len() < MOST {
                waiting.push_back(span);
            } else {
                lost += 1;
            }
        }
        drop(waiting);
        self.counters.lost_spans.add(lost);
        self.more.notify_one();
    }

    /// Sends spans whenever there are some; never returns.
    pub async fn send(self: Arc<Self>) {
        loop {
            self.more.notified().await;
            tokio::time::sleep(PAUSE).await;
            self.send_waiting().await;
        }
    }

    /// Sends what is left, if the collector takes it in time.
    pub async fn end(&self) {
        if tokio::time::timeout(END, self.send_waiting()).await.is_err() {
            self.counters.lost_spans.add(self.waiting().len() as u64);
        }
    }

    async fn send_waiting(&self) {
        loop {
            let spans: Vec<Value> = {
                let mut waiting = self.waiting();
                let most = waiting.len().min(MOST_TOGETHER);
                waiting.drain(..most).collect()
            };
            if spans.is_empty() {
                return;
            }
            let sent = spans.len() as u64;
            let result = self.collector.post(request(spans).to_string()).await;
            let was_silent = std::mem::replace(&mut *self.is_silent.lock().unwrap_or_else(PoisonError::into_inner), result.is_err());
            match (result, was_silent) {
                (Ok(()), _) => {
                    self.counters.sent_spans.add(sent);
                    if was_silent {
                        tracing::info!("collector takes traces again");
                    }
                }
                (Err(why), was_silent) => {
                    self.counters.lost_spans.add(sent);
                    if !was_silent {
                        tracing::warn!("traces cannot be sent, so they are lost until the collector answers: {why}");
                    }
                }
            }
        }
    }
}

fn end(attempt: &Attempt) -> Timestamp {
    attempt.at.checked_add(attempt.took).unwrap_or(attempt.at)
}

fn nanoseconds(at: Timestamp) -> String {
    at.as_nanosecond().to_string()
}

fn text(key: &str, value: impl Into<String>) -> Value {
    json!({ "key": key, "value": { "stringValue": value.into() } })
}

fn whole(key: &str, value: u32) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

/// A try of a step.
fn attempted(trace: &Trace, run: &Run, attempt: &Attempt) -> Value {
    let Attempt { place, number, outcome, said, .. } = attempt;
    let is_failed = matches!(&**outcome, "failed" | "retry");
    let status = if is_failed { json!({ "code": 2, "message": said }) } else { json!({ "code": 1 }) };
    // A run that failed before its first step has no step.
    let step = place.step.wrapping_add(1);
    json!({
        "traceId": trace.id,
        "spanId": attempt_span(run, *place, *number),
        "parentSpanId": run_span(run),
        "name": format!("step {step}"),
        "kind": 1,
        "startTimeUnixNano": nanoseconds(attempt.at),
        "endTimeUnixNano": nanoseconds(end(attempt)),
        "attributes": [
            text("doorbell.rule", &*run.rule),
            whole("doorbell.step", step),
            whole("doorbell.element", place.element),
            whole("doorbell.try", *number),
            text("doorbell.outcome", &**outcome),
            text("doorbell.said", said),
        ],
        "status": status,
    })
}

/// A run, from its event to its end.
fn ended(trace: &Trace, run: &Run, event: &Event, end: Timestamp) -> Value {
    let mut span = json!({
        "traceId": trace.id,
        "spanId": run_span(run),
        "name": format!("rule {}", run.rule),
        "kind": if trace.parent.is_some() { 5 } else { 1 },
        "startTimeUnixNano": nanoseconds(event.received),
        "endTimeUnixNano": nanoseconds(end.max(event.received)),
        "attributes": [
            text("doorbell.rule", &*run.rule),
            text("doorbell.event", run.event.to_string()),
            text("doorbell.state", run.state.word()),
        ],
        "status": { "code": if run.state.has_failed() { 2 } else { 1 } },
    });
    if let Some(parent) = &trace.parent {
        span["parentSpanId"] = parent.as_str().into();
    }
    span
}

/// Spans as OTLP sends them.
fn request(spans: Vec<Value>) -> Value {
    let resource = json!({ "attributes": [text("service.name", "doorbell"), text("service.version", env!("CARGO_PKG_VERSION"))] });
    json!({ "resourceSpans": [{ "resource": resource, "scopeSpans": [{ "scope": { "name": "doorbell" }, "spans": spans }] }] })
}
