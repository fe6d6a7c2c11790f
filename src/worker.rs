//! Due run -> effect -> attempt -> settled, or due later.
//!
//! Runs come from the intake's hand-over, in memory, and from the store, which has those that waited or were left behind.
//! How many are in hand at a time is bounded; what is more waits in the store. What a run does next is decided by
//! [`Run::after`]; this only brings clock, dice and store together.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::action::batch::Verdict;
use crate::action::contract::{Effect, Ticket};
use crate::action::file::{Files, Ledger};
use crate::action::outside::Outside;
use crate::at_work::AtWork;
use crate::course::Course;
use crate::event::Event;
use crate::rule::step::Step;
use crate::rule::{InForce, Rule};
use crate::retry::Plan;
use crate::run::{Answer, Attempt, Intent, Note, Outcome, Receipt, Run, RunId, State, StepFacts, TextHash};
use crate::secret::Vault;
use crate::store::contract::{Fate, Store};

/// The most runs in hand at a time.
const MAX_IN_HAND: usize = 1_024;
/// The most that are taken out of the store at a time.
const MAX_LEASE: usize = 128;
/// How often the store is asked for runs that another process put there.
const LOOK: Duration = Duration::from_secs(1);
/// The pause before the store is asked again after an error.
const PAUSE: Duration = Duration::from_millis(500);
/// The most texts of older rules that are kept compiled.
const MOST_OLD: usize = 1_000;

/// Reads rules of texts that were kept, for runs that began with them.
pub trait OldRules: Send + Sync {
    /// One rule, with the secrets that it names: `file` and `text` are what was kept, `rule` is its name.
    fn read(&self, file: String, text: String, rule: &str) -> Result<(Rule, Vault), Unready>;
    /// Whether secrets are still what they were when these were read.
    fn are_current(&self, secrets: &Vault) -> bool;
}

/// Why a run's rule cannot be had.
pub enum Unready {
    /// Something outside is missing, such as a secret's file; it may come back.
    Missing(String),
    /// Its text cannot be read by this program.
    Unreadable(String),
}

/// Does what runs are there to do.
#[derive(Clone)]
pub struct Worker(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    outside: Outside,
    rules: Arc<ArcSwap<InForce>>,
    at_work: Arc<AtWork>,
    reader: Box<dyn OldRules>,
    /// Rules of texts that are no longer in force. What cannot be read is not kept here: it is looked at again.
    old: Mutex<HashMap<(TextHash, Arc<str>), Ready>>,
    room: Arc<Semaphore>,
    wake: Notify,
    stopping: AtomicBool,
}

/// A rule with the secrets that it was loaded with.
#[derive(Clone)]
struct Ready {
    rule: Arc<Rule>,
    vault: Arc<Vault>,
}

/// The store as the writers of files see it.
pub struct Intents(pub Arc<dyn Store>);

impl Ledger for Intents {
    fn intend(&self, intent: Intent) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async move { self.0.intend(intent).await.map_err(|e| e.to_string()) })
    }
    fn settle(&self, done: Vec<(RunId, u32, u32)>) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async move { self.0.settle(done).await.map_err(|e| e.to_string()) })
    }
    fn forget(&self, file: &str) {
        self.0.forget(file);
    }
}

/// Looks at what a crash left half done, before anything else is done: effects that stand in their files are settled,
/// torn ones are cut away so that they are written again.
pub async fn recover(store: &Arc<dyn Store>, files: &Files) -> anyhow::Result<()> {
    for intent in store.intents().await? {
        if store.still_at(intent.runs.clone()).await? {
            let verdict = files.resolve(&intent).await;
            match verdict.map_err(|why| anyhow::anyhow!("what Doorbell last wrote to {} cannot be looked at: {why}", intent.file))? {
                Verdict::Whole => tracing::info!(file = intent.file, "what was being written when Doorbell stopped is all there"),
                Verdict::Torn => {
                    tracing::warn!(file = intent.file, from = intent.offset, "a half-written end was cut away and is written again");
                }
                Verdict::Absent => tracing::info!(file = intent.file, "what was to be written when Doorbell stopped is written now"),
            }
        }
        store.forget(&intent.file);
    }
    Ok(())
}

impl Worker {
    pub fn new(
        store: Arc<dyn Store>,
        outside: Outside,
        rules: Arc<ArcSwap<InForce>>,
        at_work: Arc<AtWork>,
        reader: Box<dyn OldRules>,
    ) -> Self {
        let room = Arc::new(Semaphore::new(MAX_IN_HAND));
        let (old, wake, stopping) = (Mutex::default(), Notify::new(), AtomicBool::new(false));
        Self(Arc::new(Inner { store, outside, rules, at_work, reader, old, room, wake, stopping }))
    }

    /// Keeps room for so many runs, if there is any; otherwise they wait in the store.
    pub fn room_for(&self, runs: usize) -> Option<OwnedSemaphorePermit> {
        self.0.room.clone().try_acquire_many_owned(u32::try_from(runs).ok()?).ok()
    }

    /// Takes fresh runs in hand, with the rules that were found for them and the secrets that these were loaded with.
    pub fn hand_over(
        &self,
        runs: Vec<(Run, Fate)>,
        rules: Vec<Arc<Rule>>,
        vault: Arc<Vault>,
        event: Event,
        room: Option<OwnedSemaphorePermit>,
    ) {
        let Some(mut room) = room else {
            self.wake();
            return;
        };
        let event = Arc::new(event);
        for ((run, _), rule) in runs.into_iter().zip(rules).filter(|((_, fate), _)| *fate == Fate::Begun) {
            let Some(permit) = room.split(1) else { return };
            let ready = Ready { rule, vault: vault.clone() };
            self.start(run, event.clone(), Some(ready), permit);
        }
    }

    /// There may be something to do in the store.
    pub fn wake(&self) {
        self.0.wake.notify_one();
    }

    fn start(&self, run: Run, event: Arc<Event>, ready: Option<Ready>, permit: OwnedSemaphorePermit) {
        let worker = self.clone();
        tokio::spawn(async move {
            worker.drive(run, event, ready).await;
            drop(permit);
        });
    }

    /// Does what is due in the store, for ever.
    pub async fn work(&self) {
        let inner = &self.0;
        while !inner.stopping.load(Ordering::Relaxed) {
            // Only a part of the room: what comes in meanwhile is handed over in memory and needs the rest.
            let Ok(mut room) = inner.room.clone().acquire_owned().await else { return };
            let more = inner.room.available_permits().min(MAX_LEASE - 1);
            if let Ok(more) = inner.room.clone().try_acquire_many_owned(more as u32) {
                room.merge(more);
            }
            let leased = match inner.store.lease(Timestamp::now(), room.num_permits()).await {
                Ok(leased) => leased,
                Err(e) => {
                    tracing::error!("the store cannot be read: {e}");
                    drop(room);
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let idle = leased.is_empty();
            for (run, event) in leased {
                let Some(permit) = room.split(1) else { break };
                self.start(run, Arc::new(event), None, permit);
            }
            drop(room);
            if idle {
                let due = inner.store.next_due().await.ok().flatten();
                let wait = due.map_or(LOOK, |d| until(d).min(LOOK));
                let _ = tokio::time::timeout(wait.max(Duration::from_millis(1)), inner.wake.notified()).await;
            }
        }
    }

    /// Begins nothing new and waits until what is in hand is done, at most so long. The rest stays in the store.
    pub async fn stop(&self, grace: Duration) {
        self.0.stopping.store(true, Ordering::Relaxed);
        self.wake();
        let all = self.0.room.acquire_many(MAX_IN_HAND as u32);
        if tokio::time::timeout(grace, all).await.is_err() {
            tracing::warn!("not everything in hand was done in time; it goes on at the next start");
        }
    }

    /// Takes a run from where it is to its end, or to its next pause.
    async fn drive(&self, mut run: Run, event: Arc<Event>, ready: Option<Ready>) {
        let inner = &self.0;
        let ready = match ready {
            Some(ready) => Ok(ready),
            None => self.find(&run).await,
        };
        let Ready { rule, vault } = match ready {
            Ok(ready) => ready,
            Err(unready) => return self.wait_for_rule(run, unready).await,
        };
        let mut attempts = Vec::new();
        let began = run.place.step;
        // The elements of the `for_each` at hand, worked out once.
        let mut elements: Option<(u32, Result<Vec<Value>, String>)> = None;
        while run.state == State::Waiting && !inner.stopping.load(Ordering::Relaxed) {
            let Some(step) = rule.step(&run) else {
                run.state = State::Done;
                break;
            };
            let (at, clock) = (Timestamp::now(), Instant::now());
            let each = rule.course.flow(run.place.step).and_then(|f| f.each);
            if let Some(each) = each
                && elements.as_ref().is_none_or(|(n, _)| *n != each)
            {
                elements = Some((each, rule.elements(each, &rule.scope(&event, &vault, &run.saved))));
            }
            let (count, mut outcome) = match elements.as_ref().filter(|_| each.is_some()).map(|(_, e)| e) {
                Some(Err(why)) => (None, Outcome::failed(why.clone())),
                Some(Ok(items)) if items.is_empty() => (Some(0), Outcome::Skipped("the list is empty".into())),
                Some(Ok(items)) => {
                    let item = items.get(run.place.element as usize);
                    (Some(items.len() as u32), self.try_once(&rule, step, &run, &event, &vault, item).await)
                }
                None => (None, self.try_once(&rule, step, &run, &event, &vault, None).await),
            };
            if matches!(outcome, Outcome::Entered) {
                run = run.after(&mut outcome, &rule.facts(step, count), Timestamp::now(), 0.0);
                continue;
            }
            if matches!(outcome, Outcome::Deferred(_)) {
                run = run.after(&mut outcome, &rule.facts(step, count), Timestamp::now(), 0.0);
                self.record(run, attempts, None, None).await;
                return;
            }
            let number = run.tried + 1;
            let mut next = run.clone().after(&mut outcome, &rule.facts(step, count), Timestamp::now(), dice(&run));
            // A caller who waits is not kept waiting for a retry that comes too late for it.
            if next.state == State::Waiting && next.tried > 0 && self.too_late(&rule, &next, &event) {
                let why = if let Outcome::Retry { why, .. } = &outcome { why.clone() } else { String::new() };
                let status = if let Outcome::Retry { status, .. } = &outcome { *status } else { None };
                let why = format!("{why} (the caller waits for an answer, and another try would come too late)");
                outcome = Outcome::Failed { why, status };
                next = run.clone().after(&mut outcome, &rule.facts(step, count), Timestamp::now(), 0.0);
            }
            let (word, said, answer, receipt) = told(outcome);
            let mut attempt = self.attempt(&run, at, clock, word, vault.strike(&said));
            attempt.number = number;
            if word == "failed" {
                tracing::warn!(event = %event.id, rule = %rule.name, step = step.title(), "{}", attempt.said);
            }
            attempts.push(attempt);
            run = next;
            // What had no effect is recorded together with what follows.
            if word != "skipped" || run.state != State::Waiting {
                let paused = word == "retry";
                if !self.record(run.clone(), std::mem::take(&mut attempts), answer, receipt).await {
                    return;
                }
                if paused {
                    self.wake();
                    break;
                }
            }
        }
        if run.state == State::Waiting {
            return;
        }
        if rule.responds_from(began) && inner.outside.callers.gone(event.id) {
            inner.outside.callers.answer(event.id, Answer::unanswered());
        }
        if run.lane.is_some() {
            // The next run of its lane may begin.
            self.wake();
        }
    }

    /// Notes why a run's rule cannot be had: what may come back is waited for as a step is that failed, the rest is not.
    async fn wait_for_rule(&self, run: Run, unready: Unready) {
        let (at, clock) = (Timestamp::now(), Instant::now());
        let mut outcome = match unready {
            Unready::Missing(what) => Outcome::retry(format!("{what}, which the rule of that time needs")),
            Unready::Unreadable(why) => Outcome::failed(format!(
                "the rule `{}` of that time can no longer be read ({why}); replay the event with --again to use today's",
                run.rule
            )),
        };
        let (plan, course) = (Plan::default(), Course::default());
        let facts = StepFacts { plan: &plan, title: "", save_as: None, elements: None, course: &course };
        let next = run.clone().after(&mut outcome, &facts, at, dice(&run));
        let (word, said, ..) = told(outcome);
        let attempt = self.attempt(&run, at, clock, word, said);
        self.record(next, vec![attempt], None, None).await;
        self.wake();
    }

    fn attempt(&self, run: &Run, at: Timestamp, clock: Instant, outcome: &'static str, said: String) -> Attempt {
        Attempt { place: run.place, number: run.tried + 1, at, took: clock.elapsed(), outcome: outcome.into(), said }
    }

    fn too_late(&self, rule: &Rule, next: &Run, event: &Event) -> bool {
        let before_answer = rule.responds_from(next.place.step);
        let deadline = event.received.checked_add(rule.answer_within).unwrap_or(event.received);
        before_answer && next.due > deadline && self.0.outside.callers.waits(event.id)
    }

    /// Renders and performs the step that a run is at.
    async fn try_once(&self, rule: &Rule, step: &Step, run: &Run, event: &Event, vault: &Vault, item: Option<&Value>) -> Outcome {
        if run.settled {
            return Outcome::Done(Note { said: "was done before the restart".into(), ..Note::default() });
        }
        let effect: Option<Box<dyn Effect>> = {
            let _mark = self.0.at_work.mark(run.id);
            let scope = rule.scope(event, vault, &run.saved).at(run.place);
            let scope = match item {
                Some(item) => scope.with_item(item, run.place.element as usize + 1),
                None => scope,
            };
            if !step.condition.holds(&scope) {
                return Outcome::Skipped("its `if` did not hold".into());
            }
            let Some(action) = &step.action else { return Outcome::Entered };
            let rendered = std::panic::catch_unwind(AssertUnwindSafe(|| action.render(&scope)));
            match rendered {
                Ok(Ok(effect)) => Some(effect),
                Ok(Err(_)) if event.is_partial => None,
                Ok(Err(unrendered)) => return Outcome::failed(rule.place_of(&unrendered)),
                Err(_) => return Outcome::failed("this step made Doorbell stumble; please report it"),
            }
        };
        let Some(effect) = effect else {
            // The message names what is near to what is missing, and for that the whole body is needed.
            let body = crate::body::read(event.content_type(), &event.raw).unwrap_or_default();
            let whole = Event { body, is_partial: false, ..event.clone() };
            return Box::pin(self.try_once(rule, step, run, &whole, vault, item)).await;
        };
        let ticket =
            Ticket { event: event.id, run: run.id, place: run.place, idempotency_key: run.idempotency_key(), timeout: step.timeout };
        Unpanicked(effect.perform(&self.0.outside, ticket)).await
    }

    /// Records until the store takes it: an effect that is done is never done again because of a full disk.
    async fn record(&self, run: Run, attempts: Vec<Attempt>, answer: Option<Answer>, receipt: Option<Receipt>) -> bool {
        let mut told = false;
        let (run, attempts) = (Arc::new(run), Arc::new(attempts));
        loop {
            match self.0.store.record(run.clone(), attempts.clone(), answer.clone()).await {
                Ok(()) => {
                    drop(receipt);
                    return true;
                }
                Err(e) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::error!(event = %run.event, "what was done cannot be recorded yet: {e}");
                    }
                    if self.0.stopping.load(Ordering::Relaxed) {
                        return false;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// The rule as it was when the event came.
    async fn find(&self, run: &Run) -> Result<Ready, Unready> {
        let inner = &self.0;
        {
            let in_force = inner.rules.load();
            if let Some(rule) = in_force.ruleset.rules.iter().find(|r| r.name == run.rule && r.text == run.text) {
                return Ok(Ready { rule: rule.clone(), vault: in_force.ruleset.vault.clone() });
            }
        }
        let key = (run.text.clone(), run.rule.clone());
        let lock = || inner.old.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let known = lock().get(&key).cloned();
        if let Some(ready) = known.filter(|ready| inner.reader.are_current(&ready.vault)) {
            return Ok(ready);
        }
        let (file, text) = loop {
            match inner.store.text(run.text.clone()).await {
                Ok(Some(kept)) => break kept,
                Ok(None) => return Err(Unready::Unreadable("its text is missing in the store".to_owned())),
                Err(e) => tracing::error!(event = %run.event, "the rule of a run cannot be read from the store yet: {e}"),
            }
            tokio::time::sleep(PAUSE).await;
        };
        let (rule, vault) = inner.reader.read(file, text, &run.rule)?;
        let ready = Ready { rule: Arc::new(rule), vault: Arc::new(vault) };
        let mut old = lock();
        if old.len() >= MOST_OLD {
            old.clear();
        }
        old.insert(key, ready.clone());
        Ok(ready)
    }
}

/// An outcome for the history: its word, its sentence, and what has to be handed on.
fn told(outcome: Outcome) -> (&'static str, String, Option<Answer>, Option<Receipt>) {
    match outcome {
        Outcome::Done(note) => ("done", note.said, note.answer, note.receipt),
        Outcome::Skipped(said) => ("skipped", said, None, None),
        Outcome::Stopped(said) => ("stopped", said, None, None),
        Outcome::Retry { why, receipt, .. } => ("retry", why, None, receipt),
        Outcome::Failed { why, .. } => ("failed", why, None, None),
        Outcome::Entered => ("entered", String::new(), None, None),
        Outcome::Deferred(_) => ("deferred", String::new(), None, None),
    }
}

fn until(due: Timestamp) -> Duration {
    Duration::try_from(due.duration_since(Timestamp::now())).unwrap_or_default()
}

/// From 0 to 1, different for every run and try; nothing depends on it but that retries do not come all at once.
fn dice(run: &Run) -> f64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one((run.id, run.tried)) as f64 / u64::MAX as f64
}

/// An attempt whose panic is its own failure, not the end of its run.
struct Unpanicked<'a>(crate::action::contract::Performing<'a>);

impl Future for Unpanicked<'_> {
    type Output = Outcome;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let inner = &mut self.0;
        std::panic::catch_unwind(AssertUnwindSafe(|| inner.as_mut().poll(context)))
            .unwrap_or_else(|_| Poll::Ready(Outcome::failed("this step made Doorbell stumble; please report it")))
    }
}
