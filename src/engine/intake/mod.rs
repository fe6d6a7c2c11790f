//! The path of a request: verified -> matched -> stored -> answered. The only writer of events.
//!
//! Nothing is answered with a 2xx before the store has committed. What a rejected sender is told is in [`refusal`].

pub mod catcher;
pub mod ears;
pub mod event_lines;
pub mod kept_requests;
pub mod key_cache;
pub mod rate_limit;
pub mod refusal;
pub mod rejections;
pub mod unknown_addresses;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use serde_json::Map;
use uuid::Uuid;

use crate::action::pending_replies::{PendingReplies, WaitingCaller};
use crate::body::packed::most_unpacked;
use crate::body::{heaviest, weight_at_most};
use crate::engine::intake::catcher::Catcher;
use crate::engine::intake::ears::Ears;
use crate::engine::intake::event_lines::{EventLine, EventLines, Told};
use crate::engine::intake::key_cache::KeyCache;
use crate::engine::intake::rate_limit::RateLimiter;
use crate::engine::intake::refusal::Refusal;
use crate::engine::rules::environment::HandedOverSecrets;
use crate::engine::run::worker::{RunPermits, Worker};
use crate::engine::tallies::counters::Counters;
use crate::engine::tallies::of_address::RequestResult;
use crate::engine::task::carry_on::CarryOn;
use crate::engine::task::crashed::Crashed;
use crate::engine::task::memory::{Memory, Taken};
use crate::engine::task::off_thread::off_thread;
use crate::expr::field::{Field, Values};
use crate::expr::scope::Scope;
use crate::model::answer::{Answer, LATE};
use crate::model::budget::{Allowance, Spent, weight};
use crate::model::event::{Event, EventId};
use crate::model::hash::hash;
use crate::model::request::Request;
use crate::planted::{Point, crash};
use crate::route::normal;
use crate::rule::address::Address;
use crate::rule::cors::Cors;
use crate::rule::ruleset::InForce;
use crate::rule::{Rule, Started};
use crate::secret::Vault;
use crate::store::answered::by_a_rule;
use crate::store::contract::{Accept, Accepted, AnswerState, Delivery, NewRun, StartResult, Store};
use crate::verify::guard::{Keys, NotAdmitted};
use crate::verify::handshake::Greeted;
use crate::verify::verifier::KeyAt;

/// How often the store is checked for a waiting caller's answer.
const LOOK: Duration = Duration::from_millis(500);
/// A body that is larger, or compressed, is checked and read in a thread where it does not delay others.
const LARGE: usize = 64 << 10;

/// Accepts requests.
pub struct Intake {
    /// For rules that wait for silence.
    pub ears: Arc<Ears>,
    pub rules: Arc<ArcSwap<InForce>>,
    pub store: Arc<dyn Store>,
    pub worker: Worker,
    pub pending: Arc<PendingReplies>,
    pub key_cache: KeyCache,
    pub rate_limiter: RateLimiter,
    /// Stores secrets that senders hand over.
    pub handed: HandedOverSecrets,
    /// Memory for large bodies being read, until the store has them.
    pub reading: Memory,
    pub counters: Arc<Counters>,
    /// Addresses that wait for their first webhook.
    pub catcher: Catcher,
    /// Where each event is told.
    pub event_lines: Arc<EventLines>,
}

/// What is sent to the sender.
#[derive(Debug)]
pub struct Answered {
    /// `None` for a sender's handshake, which is not an event.
    pub event: Option<EventId>,
    pub answer: Answer,
}

/// A request's address, held while its body is read, so that one set of rules serves it to the end.
#[derive(Clone)]
pub struct RoutedAddress {
    rules: Arc<InForce>,
    address: Called,
}

/// The address that was called.
#[derive(Clone)]
enum Called {
    /// By its number in the ruleset.
    Ruled(usize),
    /// One that waits for its first webhook.
    Waiting(Arc<Address>),
}

impl RoutedAddress {
    fn address(&self) -> &Address {
        match &self.address {
            Called::Ruled(number) => &self.rules.ruleset.addresses[*number],
            Called::Waiting(address) => address,
        }
    }
    /// From which web pages scripts may call it.
    pub fn cors(&self) -> Option<&Cors> {
        self.address().cors.as_ref()
    }
    pub fn methods(&self) -> &[String] {
        &self.address().methods
    }
    /// How many bytes of body to read.
    pub fn max_body(&self) -> usize {
        self.address().max_body
    }

    /// Computes something from a request: inline, or in another thread if its body is large.
    async fn work_out<T: Send + 'static>(
        &self,
        request: Request,
        work: impl FnOnce(&Address, Request) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        if !is_large(&request) {
            return Ok(work(self.address(), request));
        }
        let routed = self.clone();
        let done = Box::pin(off_thread(move || work(routed.address(), request))).await;
        done.map_err(|_| Refusal::CannotKeep("Doorbell crashed while reading the request; please report it".to_owned()))
    }

    /// The maximum weight of a large body once it is parsed; `None` for a small one.
    fn may_weigh(&self, request: &Request) -> Option<usize> {
        let unpacked = most_unpacked(request.body.len()).min(self.max_body());
        match is_large(request) {
            false => None,
            // Its contents are not known yet.
            true if is_packed(request) => Some(heaviest(unpacked)),
            true => Some(weight_at_most(&request.body)),
        }
    }
}

impl Intake {
    /// The address at a path, if scripts of web pages may call it. Its answers need headers for that, whatever they say.
    pub fn cors_address(&self, path: &str) -> Option<RoutedAddress> {
        if !self.rules.load().ruleset.has_cors() {
            return None;
        }
        let rules = self.rules.load_full();
        let address = rules.ruleset.address_number(path)?;
        let routed = RoutedAddress { rules, address: Called::Ruled(address) };
        routed.cors().is_some().then_some(routed)
    }

    /// Finds the address that a request calls, before its body is read.
    pub fn routed(&self, method: &str, path: &str, ip: &str) -> Result<RoutedAddress, Refusal> {
        let rules = self.rules.load_full();
        let called = match rules.ruleset.address_number(path) {
            Some(number) => Called::Ruled(number),
            None => Called::Waiting(self.catcher.at(path, Instant::now()).ok_or(Refusal::NoAddress)?),
        };
        let routed = RoutedAddress { rules, address: called };
        let address = routed.address();
        if !address.methods.iter().any(|m| m == method) && !address.guard.greets_by(method) {
            return Err(Refusal::WrongMethod(address.methods.clone()));
        }
        if !address.access.may_come_from(ip) {
            return Err(Refusal::Denied("this caller is not in the `allow_from` of the address".into()));
        }
        self.count(address, ip, true)?;
        Ok(routed)
    }

    /// Counts a call against the limits of an address. Limits per caller are counted on arrival, and limits for all
    /// callers only after verification, so that nobody can use up what belongs to others.
    fn count(&self, address: &Address, ip: &str, each_caller: bool) -> Result<(), Refusal> {
        for (number, limit) in address.access.limits.iter().enumerate().filter(|(_, l)| l.each_caller == each_caller) {
            self.rate_limiter.count(address.route.text(), number, limit, ip, Timestamp::now()).map_err(Refusal::TooOften)?;
        }
        Ok(())
    }

    /// Verifies a request with these keys and hands both back. If the request names its key, success proves that key.
    async fn check(&self, routed: &RoutedAddress, request: Request, keys: Keys) -> Result<(Request, Keys, bool), Refusal> {
        let check = move |address: &Address, request: Request| {
            let by = address.guard.check_by(&request, &keys);
            (request, keys, by)
        };
        let (request, keys, by) = routed.work_out(request, check).await?;
        if let Ok(Some(KeyAt::Named(by))) = &by {
            self.key_cache.prove(by, &keys);
        }
        Ok((request, keys, by.is_ok()))
    }

    /// The keys published at these addresses, for this request; hands the request back.
    async fn keys(&self, routed: &RoutedAddress, request: Request, at: &[KeyAt]) -> Result<(Request, Keys), Refusal> {
        let keys = self.key_cache.keys(at, &request.ip).await.map_err(Refusal::CannotKeep)?;
        let (request, keys, is_proven) = self.check(routed, request, keys).await?;
        if is_proven {
            return Ok((request, keys));
        }
        let keys = self.key_cache.newer(at, &request.ip).await.map_err(Refusal::CannotKeep)?;
        self.check(routed, request, keys).await.map(|(request, keys, _)| (request, keys))
    }

    /// Counts a request that was refused.
    pub fn count_refusal(&self, path: &str, refusal: &Refusal) {
        let rules = self.rules.load();
        let address = rules.ruleset.address(path).map(|address| address.route.text());
        self.counters.request(address, refusal.result());
    }

    /// Does what a handshake requires before it is answered.
    async fn greet(&self, greeted: Greeted) -> Result<Answered, Refusal> {
        if let Some(visit) = &greeted.visit {
            self.key_cache
                .visit(visit)
                .await
                .map_err(|why| Refusal::CannotKeep(format!("the subscription could not be confirmed: {why}")))?;
            tracing::info!("subscription confirmed");
        }
        if let Some(handed) = greeted.keep {
            let path = self.handed.keep(&handed.name, handed.secret.reveal()).map_err(Refusal::Denied)?;
            tracing::warn!(
                "secret {1} received from {0} and saved in {2}, which only you can read; set {1} in the same way as your other secrets",
                handed.sender,
                handed.name,
                path.display()
            );
        }
        Ok(Answered { event: None, answer: greeted.answer })
    }

    /// Accepts a request. Returns when it is stored; if a rule responds, its answer follows later.
    ///
    /// Storing the event and handing its runs over continue even if the caller hangs up.
    pub async fn receive(self: &Arc<Self>, routed: RoutedAddress, request: Request) -> Result<Received, Refusal> {
        let began = Instant::now();
        let address = routed.address();
        let ruleset = &routed.rules.ruleset;
        let keys_at = |address: &Address, request: Request| {
            let at = address.guard.keys_at(&request);
            (request, at)
        };
        let (request, at) = routed.work_out(request, keys_at).await?;
        let (request, keys) = match at.as_slice() {
            [] => (request, Keys::new()),
            at => Box::pin(self.keys(&routed, request, at)).await?,
        };
        let mut reading = match routed.may_weigh(&request) {
            Some(bytes) => Box::pin(self.reading.take(bytes)).await,
            None => None,
        };
        let admit = move |address: &Address, request: Request| {
            let proofs = if address.replay_guard { address.guard.proofs(&request, &keys) } else { Vec::new() };
            let id = EventId(Uuid::now_v7());
            (address.guard.admit(request, &keys, id, address.max_body, Some(&address.wanted)), proofs)
        };
        let (admitted, proofs) = routed.work_out(request, admit).await?;
        let event = match admitted {
            Ok(event) if address.methods.contains(&event.method) => event,
            Ok(_) => return Err(Refusal::WrongMethod(address.methods.clone())),
            Err(NotAdmitted::Greeted(greeted)) => {
                let answered = Box::pin(self.greet(*greeted)).await?;
                self.counters.request(Some(address.route.text()), RequestResult::Handshake);
                return Ok(Received::Now(answered));
            }
            Err(NotAdmitted::TooLarge) => return Err(Refusal::TooLarge(address.max_body)),
            Err(NotAdmitted::Denied(why)) => return Err(Refusal::Denied(why)),
            Err(NotAdmitted::Malformed(why)) => return Err(Refusal::Malformed(why)),
        };
        if let Some(reading) = &mut reading {
            reading.shrink_to(event.raw.len() + weight(&event.body));
        }
        self.count(address, &event.ip, false)?;
        let decided = ruleset.decided(&event, Allowance::Small);
        let soon = (ruleset.answering_soon(&event), delivery_id(address, &event, Allowance::Small), decided);
        let (mut event, answering, id, decided) = match soon {
            (Some(answering), Ok(id), Some(decided)) => (event, answering, Ok(id), decided),
            _ => {
                let routed = routed.clone();
                let work = move || {
                    let ruleset = &routed.rules.ruleset;
                    let answering = ruleset.answering(&event);
                    let id = delivery_id(routed.address(), &event, Allowance::Full);
                    let decided = ruleset.decided(&event, Allowance::Full).unwrap_or_default();
                    (event, answering, id, decided)
                };
                Box::pin(off_thread(work))
                    .await
                    .map_err(|_| Refusal::CannotKeep("Doorbell crashed while working out which rules run".to_owned()))?
            }
        };
        // Without an id, it would be executed again each time it is delivered.
        let delivery = id.map_err(|_| {
            Refusal::Malformed(
                "Finding the id of this delivery (`delivery_id` of this address) takes too many steps; send less at a time.".into(),
            )
        })?;
        let responding = |s: &Started| s.rule.responds_from(s.step);
        let responders = answering.iter().filter(|s| responding(s)).count();
        let patience = answering.iter().filter(|s| responding(s)).map(|s| s.rule.answer_within).max().unwrap_or_default();
        let answer = if answering.is_empty() { &address.ignored } else { &address.accepted };
        let (id, received) = (event.id, event.received);
        let waiting = (responders > 0).then(|| self.pending.wait_for(id, responders));
        event.seal(&address.exposed, &ruleset.vault);
        let permits = self.worker.room_for(answering.len(), &event);
        let event = Arc::new(event);
        let tell = |what: &dyn Fn() -> Told| {
            self.event_lines.tell(|| EventLine { received, method: event.method.clone(), address: event.address.clone(), what: what() });
        };
        let accept = Accept {
            claim: None,
            deliveries: deliveries(address, &event.address, delivery, proofs),
            runs: answering.iter().map(new_run).collect(),
            is_vouched: !address.guard.is_open(),
            ruleset: routed.rules.number,
            status: if responders > 0 { by_a_rule(patience, answer.status) } else { u32::from(answer.status) },
            decided,
            taken: permits.is_some(),
            event: event.clone(),
        };
        let rules = answering.iter().map(|s| s.rule.clone()).collect();
        let kept = CarryOn::new(self.clone().keep(accept, rules, routed.clone(), permits, reading, began)).await;
        match kept.unwrap_or_else(|Crashed| Err(Refusal::CannotKeep("Doorbell crashed while saving the event".to_owned())))? {
            Begun::New(results) => {
                let repeated = |(s, result): (&Started, &StartResult)| *result == StartResult::Repeated && responding(s);
                let silent = answering.iter().zip(&results).filter(|both| repeated(*both)).count();
                // Runs that were already claimed by `once_per` never answer.
                let waiting = waiting.filter(|_| !(0..silent).any(|_| self.pending.gone(id)));
                tell(&|| Told::runs(&answering, waiting.is_none().then_some(answer.status)));
                Ok(match waiting {
                    Some(waiting) => Received::Later(Responding { event: id, received, patience, waiting, store: None }),
                    None => Received::Now(Answered { event: Some(id), answer: answer.clone() }),
                })
            }
            Begun::Again { first, answer_state: AnswerState { answer: Some(sealed), .. } } => {
                tell(&|| Told::Again);
                // If it can no longer be opened, the caller gets the default answer.
                let answer = sealed.open(&ruleset.vault).unwrap_or_else(|| address.accepted.clone());
                Ok(Received::Now(Answered { event: Some(first), answer }))
            }
            Begun::Again { first, answer_state } if answer_state.is_open && responders > 0 => {
                tell(&|| Told::Again);
                // Any of its runs may answer, in this process or another: there is no way to count those that can.
                let waiting = self.pending.wait_for(first, usize::MAX);
                let store = Some((self.store.clone(), ruleset.vault.clone()));
                Ok(Received::Later(Responding { event: first, received: Timestamp::now(), patience, waiting, store }))
            }
            Begun::Again { first, .. } => {
                tell(&|| Told::Again);
                Ok(Received::Now(Answered { event: Some(first), answer: address.accepted.clone() }))
            }
        }
    }

    /// Stores an event, counts it, and hands its runs over.
    async fn keep(
        self: Arc<Self>,
        accept: Accept,
        rules: Vec<Arc<Rule>>,
        routed: RoutedAddress,
        permits: Option<RunPermits>,
        // Memory for reading the event, until it is in the store; after that, its runs in progress reserve their own.
        _reading: Option<Taken>,
        began: Instant,
    ) -> Result<Begun, Refusal> {
        let (route, vault) = (routed.address().route.text(), &routed.rules.ruleset.vault);
        let doubt = self.worker.doubt(accept.event.id);
        match self.store.accept(accept).await {
            Ok(Accepted::New(event, runs)) => {
                self.ears.hear(&event.address, event.received);
                crash(Point::HandOver);
                let results: Vec<StartResult> = runs.iter().map(|(_, result)| *result).collect();
                doubt.resolved();
                self.counters.accepting.add(began.elapsed());
                self.counters.event(route, rules.iter().map(|rule| &*rule.name).zip(results.iter().copied()));
                self.worker.hand_over(runs, rules, vault, &event, permits);
                Ok(Begun::New(results))
            }
            Ok(Accepted::Again { first, is_same, restarted, answer_state }) => {
                doubt.resolved();
                self.counters.request(Some(route), RequestResult::Repeated);
                if restarted > 0 {
                    self.worker.wake();
                }
                match is_same {
                    true => tracing::info!(event = %first, restarted, "delivery was sent before"),
                    false => tracing::info!(event = %first, restarted, "delivery id was used before, by a different request"),
                }
                Ok(Begun::Again { first, answer_state })
            }
            // Only moments are claimed, and this is a request.
            Ok(Accepted::Claimed) => Err(Refusal::CannotKeep("the store returned an unexpected result".to_owned())),
            Err(e) => {
                if !e.is_unknown() {
                    doubt.resolved();
                }
                Err(Refusal::CannotKeep(e.to_string()))
            }
        }
    }
}

/// What was started by an event that was handed to the store.
enum Begun {
    New(Vec<StartResult>),
    Again { first: EventId, answer_state: AnswerState },
}

fn is_packed(request: &Request) -> bool {
    request.headers.iter().any(|(name, _)| name == "content-encoding")
}

fn is_large(request: &Request) -> bool {
    request.body.len() > LARGE || is_packed(request)
}

/// The answer to an accepted request.
pub enum Received {
    Now(Answered),
    Later(Responding),
}

/// The answer of a rule's `respond`, which has not been given yet.
pub struct Responding {
    event: EventId,
    received: Timestamp,
    patience: Duration,
    waiting: WaitingCaller,
    /// The store is checked as well if the run may belong to another process, or if its first caller is gone.
    store: Option<(Arc<dyn Store>, Arc<Vault>)>,
}

impl Responding {
    /// Waits for the answer, as long as the rule may take.
    pub async fn answer(mut self) -> Answered {
        let since = Timestamp::now().duration_since(self.received).unsigned_abs();
        let late = tokio::time::sleep(self.patience.saturating_sub(since));
        tokio::pin!(late);
        let answer = loop {
            tokio::select! {
                answer = self.waiting.answer() => break answer,
                () = &mut late => break None,
                () = tokio::time::sleep(LOOK), if self.store.is_some() => {}
            }
            let Some((store, vault)) = &self.store else { continue };
            match store.answer(self.event).await {
                Ok(AnswerState { answer: Some(sealed), .. }) => break sealed.open(vault),
                Ok(AnswerState { is_open: false, .. }) => break Some(Answer::unanswered()),
                // The next round asks again; whoever writes to the store reports its errors.
                Ok(_) | Err(_) => {}
            }
        };
        let answer = answer.unwrap_or_else(|| Answer::json(LATE, "late", "The rule did not respond in time; it is still running."));
        Answered { event: Some(self.event), answer }
    }
}

/// The new run of a rule that was started.
pub fn new_run(started: &Started) -> NewRun {
    let Started { rule, step, once, lane } = started;
    NewRun { rule: rule.name.clone(), text: rule.text.clone(), step: *step, lane: lane.clone(), once: once.clone() }
}

/// The sender's own id of a delivery, if it has one.
fn delivery_id(address: &Address, event: &Event, allowance: Allowance) -> Result<Option<String>, Spent> {
    let (vault, saved) = (Vault::default(), Map::new());
    let scope = Scope::new(event, &vault, serde_json::Value::Null, &[], &saved).within(allowance);
    let value = |field: &Field| field.value(&scope).ok()?.filter(|v| !v.is_null() && v.as_str() != Some(""));
    let part = |alternatives: &Vec<Field>| alternatives.iter().find_map(value).map(|value| value.to_string());
    let parts = address.delivery_id.iter().map(part).collect::<Option<Vec<_>>>().filter(|parts| !parts.is_empty());
    scope.budget().spent().map_or_else(|| Ok(parts.map(|parts| parts.join(" "))), Err)
}

/// How to recognise a repeated delivery: by the sender's own id, and by what was signed if the address asks for that.
fn deliveries(address: &Address, called: &str, id: Option<String>, proofs: Vec<String>) -> Vec<Delivery> {
    // Hashed: an id may be as long as its sender likes, and a signature is nobody's business.
    let known_by = |at: &str, key: String| Delivery { key: hash(format!("{at} {key}").as_bytes()), remembered: address.remembered };
    // An id is unique per path (`/orders/{shop}`: per shop); a signed message is valid only once.
    let route = &address.route;
    let path = if route.placeholders().next().is_some() { normal(called) } else { route.text() };
    let by_id = id.map(|id| known_by(path, id));
    by_id.into_iter().chain(proofs.into_iter().map(|p| known_by(route.text(), format!("signed {p}")))).collect()
}
