//! Request -> vouched for -> matched -> kept -> answered. The only writer of events.
//!
//! Nothing is answered with a 2xx before the store has committed. What the sender hears of a refusal is one table here;
//! the full reason is for the operator's log.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use serde_json::Map;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::action::outside::Callers;
use crate::event::{Event, EventId};
use crate::request::Request;
use crate::rule::address::{Address, REMEMBERED};
use crate::rule::{ANSWER_WITHIN, InForce, Started};
use crate::run::{Answer, Run};
use crate::scope::Scope;
use crate::signature::contract::NotAdmitted;
use crate::store::contract::{Accept, Accepted, Delivery, Fate, NewRun, Store};
use crate::worker::Worker;

/// Takes requests in.
pub struct Intake {
    pub rules: Arc<ArcSwap<InForce>>,
    pub store: Arc<dyn Store>,
    pub worker: Worker,
    pub callers: Arc<Callers>,
}

/// What the sender gets.
#[derive(Debug)]
pub struct Answered {
    /// Nothing for a sender's greeting, which is no event.
    pub event: Option<EventId>,
    pub answer: Answer,
}

/// Why a request was not taken.
#[derive(Debug, PartialEq)]
pub enum Refusal {
    /// Nobody listens there.
    NoAddress,
    /// With the methods that the address takes.
    WrongMethod(Vec<String>),
    /// With the reason, for the operator only.
    Denied(String),
    /// With the limit, in bytes.
    TooLarge(usize),
    Malformed(String),
    TooSlow,
    /// With the reason, for the operator only.
    CannotKeep(String),
}

impl Refusal {
    /// The status, and the sentence that the sender reads.
    pub fn answer(&self) -> (u16, String) {
        match self {
            Refusal::NoAddress => (404, "No rule listens at this address.".into()),
            Refusal::WrongMethod(methods) => (405, format!("This address takes {}.", methods.join(" and "))),
            Refusal::Denied(_) => (401, "denied".into()),
            Refusal::TooLarge(limit) => (413, format!("The body is larger than {limit} bytes.")),
            Refusal::Malformed(why) => (400, why.clone()),
            Refusal::TooSlow => (408, "The body did not arrive in time.".into()),
            Refusal::CannotKeep(_) => (503, "The event cannot be kept just now; send it again a little later.".into()),
        }
    }
}

/// A request's way to its address, held while its body is read, so that one set of rules serves it to the end.
pub struct Door {
    rules: Arc<InForce>,
    address: usize,
}

impl Door {
    fn address(&self) -> &Address {
        &self.rules.ruleset.addresses[self.address]
    }
    /// How much body is read.
    pub fn max_body(&self) -> usize {
        self.address().max_body
    }
}

impl Intake {
    /// Finds the address that a request calls, before its body is read.
    pub fn door(&self, method: &str, path: &str) -> Result<Door, Refusal> {
        let rules = self.rules.load_full();
        let address = rules.ruleset.address_number(path).ok_or(Refusal::NoAddress)?;
        let methods = &rules.ruleset.addresses[address].methods;
        if !methods.iter().any(|m| m == method) && !rules.ruleset.addresses[address].guard.greets_by(method) {
            return Err(Refusal::WrongMethod(methods.clone()));
        }
        Ok(Door { rules, address })
    }

    /// Takes a request in, and answers when it is kept; or, where a rule responds, when it has.
    pub async fn receive(&self, door: Door, request: Request) -> Result<Answered, Refusal> {
        let address = door.address();
        let ruleset = &door.rules.ruleset;
        let event = match address.guard.admit(request, EventId(Uuid::now_v7()), Some(&address.wanted)) {
            Ok(event) if address.methods.contains(&event.method) => event,
            Ok(_) => return Err(Refusal::WrongMethod(address.methods.clone())),
            Err(NotAdmitted::Greeted(answer)) => return Ok(Answered { event: None, answer }),
            Err(NotAdmitted::Denied(why)) => return Err(Refusal::Denied(why)),
            Err(NotAdmitted::Malformed(why)) => return Err(Refusal::Malformed(why)),
        };
        let answering = ruleset.answering(&event);
        let responding = |s: &Started| s.rule.responds_from(s.step);
        let responders = answering.iter().filter(|s| responding(s)).count();
        let patience = answering.iter().filter(|s| responding(s)).map(|s| s.rule.answer_within).max().unwrap_or_default();
        let answer = if answering.is_empty() { &address.ignored } else { &address.accepted };
        let id = event.id;
        let waiting = (responders > 0).then(|| self.callers.wait_for(id, responders));
        let room = self.worker.room_for(answering.len());
        let accept = Accept {
            delivery: delivery(address, &event),
            runs: answering.iter().map(new_run).collect(),
            ruleset: door.rules.number,
            status: answer.status,
            taken: room.is_some(),
            event,
        };
        let kept = self.store.accept(accept).await;
        match kept {
            Ok(Accepted::New(event, runs)) => {
                let received = event.received;
                let repeated = |(s, (_, fate)): (&Started, &(Run, Fate))| *fate == Fate::Repeated && responding(s);
                let silent = answering.iter().zip(&runs).filter(|both| repeated(*both)).count();
                // Runs that are not begun again answer nobody.
                let waiting = waiting.filter(|_| !(0..silent).any(|_| self.callers.gone(id)));
                if waiting.is_none() {
                    self.callers.forget(id);
                }
                self.worker.hand_over(runs, answering.into_iter().map(|s| s.rule).collect(), event, room);
                match waiting {
                    Some(waiting) => Ok(self.respond(id, received, patience, waiting).await),
                    None => Ok(Answered { event: Some(id), answer: answer.clone() }),
                }
            }
            Ok(Accepted::Again { first, restarted, answer: given }) => {
                self.callers.forget(id);
                if restarted > 0 {
                    self.worker.wake();
                }
                tracing::info!(event = %first, restarted, "a delivery that came before");
                match (given, self.callers.join(first)) {
                    (Some(answer), _) => Ok(Answered { event: Some(first), answer }),
                    (None, Some(waiting)) => Ok(self.respond(first, Timestamp::now(), ANSWER_WITHIN, waiting).await),
                    (None, None) => Ok(Answered { event: Some(first), answer: address.accepted.clone() }),
                }
            }
            Err(e) => {
                self.callers.forget(id);
                Err(Refusal::CannotKeep(e.to_string()))
            }
        }
    }

    /// Waits for a rule's `respond`.
    async fn respond(&self, id: EventId, received: Timestamp, patience: Duration, waiting: oneshot::Receiver<Answer>) -> Answered {
        let since = Timestamp::now().duration_since(received).unsigned_abs();
        let left = patience.saturating_sub(since);
        let answer = match tokio::time::timeout(left, waiting).await {
            Ok(Ok(answer)) => answer,
            _ => {
                self.callers.forget(id);
                Answer::json(504, "late", "The rule has not answered in time; it goes on.")
            }
        };
        Answered { event: Some(id), answer }
    }
}

/// A run, as a rule that was started begins it.
pub fn new_run(started: &Started) -> NewRun {
    let Started { rule, step, once, lane } = started;
    NewRun { rule: rule.name.clone(), text: rule.text.clone(), step: *step, lane: lane.clone(), once: once.clone() }
}

/// The sender's own id of this delivery, if there is one.
fn delivery(address: &Address, event: &Event) -> Option<Delivery> {
    let field = address.delivery_id.as_ref()?;
    let (vault, saved) = (crate::secret::Vault::default(), Map::new());
    let scope = Scope::new(event, &vault, serde_json::Value::Null, &[], &saved);
    let value = field.find(&scope).ok()?.into_value().filter(|v| !v.is_null() && v.as_str() != Some(""))?;
    Some(Delivery { key: format!("{} {value}", address.route.text()), remembered: REMEMBERED })
}
