//! Which failed runs rules want to be told of. The report is stored with the failure; the event that starts the rules is made by
//! [`crate::engine::starts`].

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::Value;
use tokio::sync::Notify;

use crate::model::event::Event;
use crate::model::run::{Attempt, Run, State};
use crate::model::saved::ERROR;
use crate::rule::ruleset::InForce;
use crate::store::attempts::why;
use crate::store::starts::{FailedRun, FailureReport};

/// Watches how runs end.
pub struct FailureWatch {
    rules: Arc<ArcSwap<InForce>>,
    /// Told when a report was stored.
    pub reported: Notify,
}

impl FailureWatch {
    pub fn new(rules: Arc<ArcSwap<InForce>>) -> Self {
        Self { rules, reported: Notify::new() }
    }

    /// What rules are told of a run after its last attempts; nothing if it has not failed, no rule wants to know, or a failure
    /// led to it. `status` is what a target answered. The event is missing if it cannot be read.
    pub fn report(&self, run: &Run, attempts: &[Attempt], status: Option<u16>, event: Option<&Event>) -> Option<FailureReport> {
        if run.state != State::Failed || event.is_some_and(Event::is_after_failure) {
            return None;
        }
        let in_force = self.rules.load();
        in_force.ruleset.on_failure_of(&run.rule).next()?;
        let field = |name: &str| told(run, attempts)?.get(name);
        let message = message_of(run, attempts);
        let of_rule = in_force.ruleset.rule(&run.rule).filter(|rule| rule.text == run.text);
        let title = of_rule.and_then(|rule| Some(rule.step(run)?.title().to_owned()));
        let step = field("step").and_then(Value::as_str).map(str::to_owned).or(title);
        let step = step.unwrap_or_else(|| format!("step {}", run.place.step.saturating_add(1)));
        let tries = field("tries").and_then(Value::as_u64).and_then(|tries| u32::try_from(tries).ok());
        Some(FailureReport::of(&FailedRun {
            rule: &run.rule,
            step: &step,
            message: &message,
            status: field("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok()).or(status),
            tries: tries.or(attempts.last().map(|attempt| attempt.number)).unwrap_or_default(),
            event: run.event,
            address: event.map_or("", |event| &event.address),
        }))
    }
}

/// What the steps of the rule's `on_error:` were told, if these ran last.
fn told<'r>(run: &'r Run, attempts: &[Attempt]) -> Option<&'r Value> {
    run.saved.get(ERROR).filter(|_| attempts.iter().all(|attempt| attempt.outcome != "failed"))
}

/// Why a run has failed, after its last attempts.
pub fn message_of(run: &Run, attempts: &[Attempt]) -> String {
    let message = told(run, attempts).and_then(|error| error.get("message")).and_then(Value::as_str);
    message.map_or_else(|| why(run, attempts), str::to_owned)
}
