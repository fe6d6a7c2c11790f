//! Executes runs: renders the step of a run that is due, performs it, and records the result, until the run has ended or
//! is due later.
//!
//! Runs come from the intake, in memory, and from the store, which has the ones that were waiting, or that an earlier
//! process did not finish. The number of runs in progress is limited; the others wait in the store. [`Run::after`]
//! decides what a run does next; this module only supplies the time and the random numbers, and stores the results.
//!
//! Large runs in progress need memory of their own (`run_memory`); a run that finds none waits in the store.
//!
//! If a run is dropped before it has ended or was released, this process has lost track of it ([`RunsInProcess`]), and the
//! leasing loop resumes it from the store.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::action::world::World;
use crate::engine::run::attempt::{AWAITS, CRASHED, Loop, Try, dice, into_record, until};
use crate::engine::run::old_rules::{Ready, RulesOfRuns, Unready};
use crate::engine::run::recorder::{Attempted, NotRecorded, PAUSE, Recorder};
use crate::engine::run::rule_calls::{self, TOO_MANY_RUNS};
use crate::engine::run::run_memory::RunMemory;
use crate::engine::run::runs_in_process::{Doubt, InHand, Lost, RunsInProcess};
use crate::engine::run::told_pauses::ToldPauses;
use crate::engine::run::watchdog::Watchdog;
use crate::engine::task::memory::Taken;
use crate::model::answer::{Answer, SealedAnswer};
use crate::model::event::{Event, EventId, Unread};
use crate::model::outcome::Outcome;
use crate::model::retry::Plan;
use crate::model::run::{Attempt, Run, State, StepFacts};
use crate::model::step_graph::StepGraph;
use crate::planted::{Point, crash};
use crate::rule::{Rule, UNDECIDED};
use crate::secret::Vault;
use crate::store::contract::{Error, StartResult, Store};

/// The maximum number of runs in progress at a time.
const MAX_IN_HAND: usize = 1_024;
/// The maximum number of runs leased from the store at a time.
const MAX_LEASE: usize = 128;
/// How often the store is checked for runs that another process has put there.
const LOOK: Duration = Duration::from_secs(1);

/// Executes runs.
#[derive(Clone)]
pub struct Worker(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    world: World,
    rules: RulesOfRuns,
    watchdog: Arc<Watchdog>,
    permits: Arc<Semaphore>,
    wake: Arc<Notify>,
    in_process: Arc<RunsInProcess>,
    run_memory: Arc<RunMemory>,
    told_pauses: ToldPauses,
    recorder: Recorder,
    /// Set when the store may have leased runs without the reply arriving.
    is_in_doubt: AtomicBool,
}

/// What runs that are about to start need: a permit for each, and memory for their event.
pub struct RunPermits {
    permits: OwnedSemaphorePermit,
    memory: Option<Arc<Taken>>,
}

impl Worker {
    pub fn new(world: World, rules: RulesOfRuns, watchdog: Arc<Watchdog>, recorder: Recorder) -> Self {
        let (permits, wake) = (Arc::new(Semaphore::new(MAX_IN_HAND)), Arc::new(Notify::new()));
        let run_memory = RunMemory::new(wake.clone());
        Self(Arc::new(Inner {
            store: recorder.store.clone(),
            world,
            rules,
            watchdog,
            permits,
            wake,
            in_process: Arc::default(),
            run_memory,
            told_pauses: ToldPauses::default(),
            recorder,
            is_in_doubt: AtomicBool::new(false),
        }))
    }

    /// Reserves room for this many runs of an event, if there is any; otherwise they wait in the store.
    pub fn room_for(&self, runs: usize, event: &Event) -> Option<RunPermits> {
        let permits = self.0.permits.clone().try_acquire_many_owned(u32::try_from(runs).ok()?).ok()?;
        Some(RunPermits { permits, memory: self.0.run_memory.room_for(event).ok()? })
    }

    /// Takes over new runs, with the rules that matched and the secrets these were loaded with.
    pub fn hand_over(
        &self,
        runs: Vec<(Run, StartResult)>,
        rules: Vec<Arc<Rule>>,
        vault: &Arc<Vault>,
        event: &Arc<Event>,
        given: Option<RunPermits>,
    ) {
        let Some(RunPermits { mut permits, memory }) = given else { return self.wake() };
        let begun = runs.into_iter().zip(rules).filter(|((_, result), _)| *result == StartResult::Begun);
        // All are held before the first one starts.
        let held = |((run, _), rule): ((Run, StartResult), Arc<Rule>)| {
            let mut hand = self.0.in_process.take(&run, permits.split(1));
            hand.memory.extend(memory.clone());
            (hand, run, rule)
        };
        let begun: Vec<(InHand, Run, Arc<Rule>)> = begun.map(held).collect();
        for (hand, run, rule) in begun {
            self.spawn(hand, run, event.clone(), Some(Ready { rule, vault: vault.clone() }));
        }
    }

    /// Called before accepting an event: until the result is known, its runs may belong to this process without it knowing.
    pub fn doubt(&self, event: EventId) -> Doubt {
        self.0.in_process.doubt(event)
    }

    /// Wakes the worker, because there may be something to do in the store.
    pub fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// Takes over a leased run and continues it once there is memory for it and its event is read; or fails it, if it was
    /// lost in a panic.
    fn start(&self, run: Run, event: Unread, permit: Option<OwnedSemaphorePermit>, crashed: bool) {
        let mut hand = self.0.in_process.take(&run, permit);
        let (worker, entry) = (self.clone(), self.0.run_memory.enter(&run, &event));
        tokio::spawn(async move {
            let event = match worker.0.run_memory.read(entry, &mut hand, &run, event).await {
                Ok(event) => Arc::new(event),
                Err(why) => return worker.end_unread(hand, run, &why).await,
            };
            match crashed {
                true => worker.fail(hand, run, event).await,
                false => worker.drive(hand, run, event, None).await,
            }
        });
    }

    /// Drives a run in a task of its own.
    fn spawn(&self, hand: InHand, run: Run, event: Arc<Event>, ready: Option<Ready>) {
        let worker = self.clone();
        // On the heap, because a task is moved several times before it runs, and this one is large.
        tokio::spawn(Box::pin(async move { worker.drive(hand, run, event, ready).await }));
    }

    /// Executes what is due in the store, forever.
    pub async fn work(&self) {
        let inner = &self.0;
        while !inner.recorder.stopping.load(Ordering::Relaxed) {
            if let Err(e) = self.take_up_lost().await {
                self.pause(&e).await;
                continue;
            }
            crash(Point::Lease);
            // Only a part of the permits: new events are handed over in memory and need the rest.
            let mut permits = tokio::select! {
                permits = inner.permits.clone().acquire_owned() => match permits {
                    Ok(permits) => permits,
                    Err(_) => return,
                },
                () = inner.in_process.was_lost() => continue,
            };
            let more = inner.permits.available_permits().min(MAX_LEASE - 1);
            if let Ok(more) = inner.permits.clone().try_acquire_many_owned(more as u32) {
                permits.merge(more);
            }
            let is_full = inner.run_memory.is_full();
            let leased = match inner.store.lease(Timestamp::now(), permits.num_permits(), inner.run_memory.heavy()).await {
                Ok(leased) => leased,
                Err(e) => {
                    drop(permits);
                    self.pause(&e).await;
                    continue;
                }
            };
            let idle = leased.is_empty();
            for (run, event) in leased {
                self.start(run, event, permits.split(1), false);
            }
            drop(permits);
            if idle {
                // Due runs that were not leased may be those there is no memory for; a run that gets memory wakes this loop.
                let due = if is_full { None } else { inner.store.next_due().await.ok().flatten() };
                let wait = due.map_or(LOOK, |d| until(d).min(LOOK));
                tokio::select! {
                    () = tokio::time::sleep(wait.max(Duration::from_millis(1))) => {}
                    () = inner.wake.notified() => {}
                    () = inner.in_process.was_lost() => {}
                }
            }
        }
    }

    /// Starts nothing new and waits until the runs in progress are done, for at most `grace`. The rest stays in the store.
    pub async fn stop(&self, grace: Duration) {
        self.0.recorder.stopping.store(true, Ordering::Relaxed);
        self.0.in_process.close();
        self.wake();
        let all = self.0.permits.acquire_many(MAX_IN_HAND as u32);
        if tokio::time::timeout(grace, all).await.is_err() {
            tracing::warn!("runs did not finish before the shutdown; they continue at the next start");
        }
        self.0.watchdog.close();
    }

    /// Resumes lost runs from the store.
    async fn take_up_lost(&self) -> Result<(), Error> {
        let inner = &self.0;
        if inner.is_in_doubt.load(Ordering::Relaxed) {
            let owned = inner.store.owned().await?;
            inner.is_in_doubt.store(false, Ordering::Relaxed);
            inner.in_process.compare(owned);
        }
        while let Some(which) = inner.in_process.first_lost() {
            let held = inner.store.held(which).await?;
            let Some(Lost { crashed, mut permit, .. }) = inner.in_process.take_lost() else { break };
            for (run, event) in held {
                tracing::warn!(event = %run.event, rule = %run.rule, "run was interrupted because its task ended; it continues");
                self.start(run, event, permit.take(), crashed);
            }
        }
        Ok(())
    }

    /// The store cannot be read right now; what it did although its reply did not arrive is looked up later.
    async fn pause(&self, e: &Error) {
        tracing::error!("store cannot be read: {e}");
        if e.is_unknown() {
            self.0.is_in_doubt.store(true, Ordering::Relaxed);
        }
        tokio::time::sleep(PAUSE).await;
    }

    /// A panic counts as a failure of the run's current step; the rule's error handling is run.
    async fn fail(&self, mut hand: InHand, run: Run, event: Arc<Event>) {
        let (at, clock) = (Timestamp::now(), Instant::now());
        let attempt = self.attempt(&run, at, clock, "failed", CRASHED.to_owned());
        tracing::error!(event = %run.event, rule = %run.rule, "step crashed, so it failed");
        let ready = self.0.rules.of(&run, self.0.store.as_ref()).await.ok();
        let mut elements = None;
        if let Some(Ready { rule, vault }) = &ready
            && let Some(each) = rule.graph.node(run.place.step).and_then(|node| node.each)
        {
            let one = Try::of(rule, run.clone(), &event, vault);
            elements = Some(one.elements_of(each).await.map_or(0, |all| all.len() as u32));
        }
        let after = |Ready { rule, .. }: &Ready| {
            Some(run.clone().after(&mut Outcome::failed(CRASHED), &rule.facts(rule.step(&run)?, elements), at, 0.0))
        };
        let next = ready.as_ref().and_then(|ready| std::panic::catch_unwind(AssertUnwindSafe(|| after(ready))).ok().flatten());
        let next =
            next.unwrap_or_else(|| Run { state: State::Failed, place: run.failed_at.unwrap_or(run.place), failed_at: None, ..run.clone() });
        let goes_on = !next.rests(at) && !next.takes_up();
        match self.0.recorder.record(Attempted { goes_on, ..Attempted::new(next, vec![attempt]) }, Some(&event)).await.ok() {
            Some(run) if run.state == State::Waiting && goes_on => {
                hand.turn = run.turn;
                self.drive(hand, run, event, ready).await;
            }
            Some(run) if run.state == State::Waiting => {
                hand.settled();
                self.wake();
            }
            Some(run) => {
                self.ended(&run, ready.as_ref().is_none_or(|ready| ready.rule.responds()), &event);
                hand.settled();
            }
            None => hand.settled(),
        }
    }

    /// Takes a run from where it is to its end, or to its next pause.
    async fn drive(&self, mut hand: InHand, mut run: Run, event: Arc<Event>, ready: Option<Ready>) {
        let inner = &self.0;
        let ready = match ready {
            Some(ready) => Ok(ready),
            None => inner.rules.of(&run, inner.store.as_ref()).await,
        };
        let Ready { rule, vault } = match ready {
            Ok(ready) => ready,
            Err(unready) => return self.wait_for_rule(hand, run, unready).await,
        };
        let mut attempts = Vec::new();
        let began = run.place.step;
        // The elements of the current `for_each`, computed once.
        let mut gone_through: Option<Loop> = None;
        let plan = Plan::default();
        run = run.opened(&rule.graph, Timestamp::now());
        let mut has_room = true;
        while run.state == State::Waiting && !inner.recorder.stopping.load(Ordering::Relaxed) {
            let step = rule.step(&run);
            if step.is_none() && run.place.step != UNDECIDED {
                run.state = State::Done;
                break;
            }
            crash(Point::Step);
            let (at, clock) = (Timestamp::now(), Instant::now());
            let mut bodies = None;
            let (facts, outcome) = if let Some(step) = step {
                let each = rule.graph.node(run.place.step).and_then(|f| f.each);
                let mut one = Try::of(&rule, run, &event, &vault);
                let mut postponed = None;
                if let Some(each) = each
                    && gone_through.as_ref().is_none_or(|l| l.each != each)
                {
                    gone_through = None;
                    match Loop::of(&one, each, &inner.run_memory.made).await {
                        Ok(found) => gone_through = Some(found),
                        Err(deferred) => postponed = Some(deferred),
                    }
                }
                let elements = gone_through.as_ref().filter(|_| each.is_some()).map(|l| &l.elements);
                let (count, outcome) = match (postponed, elements) {
                    (Some(deferred), _) => (None, deferred),
                    (None, Some(Err(why))) => (None, Outcome::failed(why.clone())),
                    (None, Some(Ok(items))) if items.is_empty() => (Some(0), Outcome::Skipped("the list is empty".into())),
                    (None, items) => {
                        one.elements = items.and_then(|items| items.as_ref().ok()).cloned();
                        let count = one.elements.as_ref().map(|items| items.len() as u32);
                        (count, one.once(&inner.world, &inner.watchdog, &inner.run_memory.made).await)
                    }
                };
                (run, bodies) = (Arc::unwrap_or_clone(one.run), one.bodies);
                (rule.facts(step, count), outcome)
            } else {
                let facts = StepFacts { plan: &plan, title: "if", save_as: None, elements: None, graph: &rule.graph };
                (facts, Outcome::failed(rule.why_undecided()))
            };
            let (outcome, calls) = match outcome {
                Outcome::Calls(_) if !has_room => (Outcome::failed(TOO_MANY_RUNS), None),
                Outcome::Calls(call) => rule_calls::begin(&inner.rules.in_force(), *call, &run, &event, &inner.watchdog, at).await,
                outcome => (outcome, None),
            };
            // Where to go on if no run can be begun.
            let before = calls.is_some().then(|| (run.clone(), attempts.clone()));
            let mut outcome = outcome.for_history(&vault, facts.save_as.is_some());
            let memory = if let Outcome::Done(success) = &mut outcome { success.memory.take() } else { None };
            if matches!(outcome, Outcome::Entered) {
                run = run.after(&mut outcome, &facts, Timestamp::now(), 0.0);
                continue;
            }
            if matches!(outcome, Outcome::Deferred(_)) {
                run = run.after(&mut outcome, &facts, Timestamp::now(), 0.0);
                let _ = inner.recorder.record(Attempted::new(run, attempts), Some(&event)).await;
                return hand.settled();
            }
            let (now, dice) = (Timestamp::now(), dice(&run));
            // No waiting caller has to wait for a try that would come too late.
            if let Some(due) = run.retry_at(&outcome, facts.plan, now, dice)
                && self.too_late(&rule, run.place.step, due, &event)
            {
                outcome = outcome.given_up_for_caller();
            }
            if inner.told_pauses.is_over(&run, now) {
                outcome = outcome.given_up_after_pause();
            }
            let is_told = inner.told_pauses.tells(&run, &outcome, now);
            let attempt = self.attempt(&run, at, clock, "", String::new());
            run = run.after(&mut outcome, &facts, now, dice);
            let status = if let Outcome::Failed { status, .. } = &outcome { *status } else { None };
            let (word, said, answer, receipt) = into_record(outcome);
            let bodies = bodies.and_then(|kept| kept.take(&vault));
            let attempt = Attempt { outcome: word.into(), said, bodies, ..attempt };
            if word == "failed" {
                tracing::warn!(event = %event.id, rule = %rule.name, step = facts.title, "step failed: {}", attempt.said);
            }
            // However long a pause is, it is one line of the history.
            if is_told && word != AWAITS {
                attempts.push(attempt);
            }
            // The effect of an element in a file may have been found to be done since it was set aside: it is read again.
            let rests = run.rests(now) || run.takes_up() && !rule.step(&run).is_some_and(|step| step.calls());
            // An attempt without effect is recorded together with the next one.
            if !matches!(word, "skipped" | "paused") || rests || run.state != State::Waiting {
                // Saved values need memory as well; if there is none, the run waits in the store.
                let paused = rests || !inner.run_memory.holds_saved(&mut hand, &run);
                let answer = answer.and_then(|answer| SealedAnswer::of(&answer, &vault));
                let recorded = std::mem::take(&mut attempts);
                let attempted = Attempted { run, attempts: recorded, answer, goes_on: !paused, receipt, status, memory, calls };
                crash(Point::Record);
                match inner.recorder.record(attempted, Some(&event)).await {
                    Ok(recorded) => {
                        hand.turn = recorded.turn;
                        run = recorded;
                    }
                    Err(NotRecorded::Gone) => return hand.settled(),
                    Err(NotRecorded::Full) if let Some((unchanged, unrecorded)) = before => {
                        (run, attempts, has_room) = (unchanged, unrecorded, false);
                        continue;
                    }
                    // It is taken up again from the store, as a lost one.
                    Err(NotRecorded::Changed | NotRecorded::Full) => return,
                }
                crash(Point::Recorded);
                if paused || before.is_some() {
                    self.wake();
                }
                if paused {
                    break;
                }
            }
        }
        if run.state != State::Waiting {
            inner.told_pauses.forget(run.id);
            self.ended(&run, rule.responds_from(began), &event);
        }
        // The waiting run was released; or Doorbell stops, and the next process continues it.
        hand.settled();
    }

    /// Ends a run whose event can no longer be read.
    async fn end_unread(&self, hand: InHand, run: Run, why: &str) {
        let (at, clock) = (Timestamp::now(), Instant::now());
        let said =
            format!("the body of the event can no longer be read ({why}); restore a backup, or ask the sender to send the event again");
        tracing::error!(event = %run.event, rule = %run.rule, "run failed: {said}");
        let attempt = self.attempt(&run, at, clock, "failed", said);
        let _ = self.0.recorder.record(Attempted::new(Run { state: State::Failed, ..run }, vec![attempt]), None).await;
        hand.settled();
        self.wake();
    }

    /// What happens after a run has ended: to a caller who may still be waiting for its answer, and to the next run of
    /// its lane.
    fn ended(&self, run: &Run, may_answer: bool, event: &Event) {
        let pending = &self.0.world.pending;
        let is_called = run.given().is_some();
        if may_answer && !is_called && pending.gone(event.id) {
            pending.answer(event.id, Answer::unanswered());
        }
        // The next one of its lane, and the one that called it, may be due.
        if run.lane.is_some() || is_called {
            self.wake();
        }
    }

    /// Records why a run's rule is not available: if it may come back, the run waits as after a failed step; otherwise it
    /// fails.
    async fn wait_for_rule(&self, hand: InHand, run: Run, unready: Unready) {
        let (at, clock) = (Timestamp::now(), Instant::now());
        let mut outcome = match unready {
            Unready::Missing(what) => Outcome::retry(format!("{what}, which the rule of this run needs")),
            Unready::Unreadable(why) => Outcome::failed(format!(
                "the version of the rule `{}` that this run began with can no longer be read ({why}); to use the current rule, replay the event with --again",
                run.rule
            )),
            Unready::Store(e) => {
                // The run is resumed later, like any lost run.
                tracing::error!(event = %run.event, "rule of the run cannot be read from the store yet: {e}");
                return tokio::time::sleep(PAUSE).await;
            }
        };
        let (plan, graph) = (Plan::default(), StepGraph::default());
        let facts = StepFacts { plan: &plan, title: "", save_as: None, elements: None, graph: &graph };
        let dice = dice(&run);
        let attempt = self.attempt(&run, at, clock, "", String::new());
        let next = run.after(&mut outcome, &facts, at, dice);
        let (word, said, ..) = into_record(outcome);
        let _ = self.0.recorder.record(Attempted::new(next, vec![Attempt { outcome: word.into(), said, ..attempt }]), None).await;
        hand.settled();
        self.wake();
    }

    fn attempt(&self, run: &Run, at: Timestamp, clock: Instant, outcome: &'static str, said: String) -> Attempt {
        Attempt { place: run.place, number: run.tried + 1, at, took: clock.elapsed(), outcome: outcome.into(), said, bodies: None }
    }

    fn too_late(&self, rule: &Rule, step: u32, due: Timestamp, event: &Event) -> bool {
        let deadline = event.received.checked_add(rule.answer_within).unwrap_or(event.received);
        rule.responds_from(step) && due > deadline && self.0.world.pending.waits(event.id)
    }
}
