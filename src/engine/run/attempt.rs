//! One attempt at one step: rendered for its event, then performed. A panic in it is a failed attempt and does not end
//! the run. Rendering is first tried inline with a small budget; if that is not enough, it is done again in a separate
//! thread. [`crate::engine::run::worker`] decides what follows from the outcome.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::action::attempt_context::AttemptContext;
use crate::action::contract::{Effect, Performing};
use crate::action::world::World;
use crate::engine::run::rule_calls::outcome_of;
use crate::engine::run::watchdog::Watchdog;
use crate::engine::task::memory::{LIGHT, MOST_MADE, Memory, Taken};
use crate::engine::task::off_thread::off_thread;
use crate::expr::field::Values;
use crate::expr::template::Unrendered;
use crate::model::answer::Answer;
use crate::model::bodies::BodiesSlot;
use crate::model::budget::{Allowance, weight};
use crate::model::called;
use crate::model::event::{Event, hops};
use crate::model::outcome::{Outcome, Receipt, Success};
use crate::model::run::Run;
use crate::model::trace::{Trace, attempt_span};
use crate::rule::Rule;
use crate::rule::step::TIMEOUT;
use crate::secret::Vault;

/// The message for a step that panicked.
pub const CRASHED: &str = "this step made Doorbell crash; please report it";

/// How long a run waits before it tries again to get memory for what it renders.
const WAIT_FOR_MEMORY: Duration = Duration::from_secs(2);

/// The elements of a `for_each`.
pub type Elements = Arc<Vec<Value>>;

/// A step to be tried.
#[derive(Clone)]
pub struct Try {
    pub rule: Arc<Rule>,
    pub run: Arc<Run>,
    pub event: Arc<Event>,
    pub vault: Arc<Vault>,
    /// The elements, if the step belongs to a `for_each`.
    pub elements: Option<Elements>,
    /// Where what it sends and what comes back is kept, if the step says so.
    pub bodies: Option<BodiesSlot>,
}

/// The result of rendering.
enum Rendered {
    Effect(Box<dyn Effect>),
    Ended(Outcome),
    /// Needs more of the body, or a larger budget.
    NotYet,
}

impl Try {
    pub fn of(rule: &Arc<Rule>, run: Run, event: &Arc<Event>, vault: &Arc<Vault>) -> Self {
        let bodies = rule.step(&run).filter(|step| step.keeps_bodies()).map(|_| BodiesSlot::default());
        let (rule, event, vault) = (rule.clone(), event.clone(), vault.clone());
        Self { rule, run: Arc::new(run), event, vault, elements: None, bodies }
    }

    /// Renders and performs the step. Its output takes memory from `made` until it is done; if there is none, the step is
    /// postponed.
    pub async fn once(&self, world: &World, watchdog: &Arc<Watchdog>, made: &Memory) -> Outcome {
        if self.run.is_settled() {
            return Outcome::Done(Success { said: "completed before the restart".into(), ..Success::default() });
        }
        let run = &self.run;
        // What another rule did for this step, if it has called one.
        if let Some(end) = called::ended_at(&run.saved, run.place) {
            return outcome_of(end);
        }
        if let Some(rule) = called::awaited_at(&run.saved, run.place) {
            return Outcome::Awaits(rule.to_owned());
        }
        let mut rendered = {
            let _mark = watchdog.mark(self.run.id);
            self.render(Allowance::Small)
        };
        if let Rendered::NotYet = rendered {
            let (whole, watchdog) = (self.clone(), watchdog.clone());
            let work = move || {
                let _mark = watchdog.mark(whole.run.id);
                whole.render_whole()
            };
            rendered = off_thread(work).await.unwrap_or(Rendered::Ended(Outcome::failed(CRASHED)));
        }
        let effect = match rendered {
            Rendered::Effect(effect) => effect,
            Rendered::Ended(outcome) => return outcome,
            Rendered::NotYet => return Outcome::failed(CRASHED),
        };
        let Ok(_memory) = room_for(made, effect.bytes()) else { return Outcome::Deferred(WAIT_FOR_MEMORY) };
        let span = world.is_traced.then(|| attempt_span(run, run.place, run.tried + 1));
        let context = AttemptContext {
            trace: Trace::headers(&self.event, span.as_deref()),
            event: self.event.id,
            run: run.id,
            place: run.place,
            replays: run.replays,
            hops: hops(&self.event.headers) + 1,
            is_called: run.given().is_some(),
            is_after_failure: self.event.is_after_failure(),
            at: Timestamp::now(),
            timeout: self.rule.step(run).map_or(TIMEOUT, |s| s.timeout),
            bodies: self.bodies.clone(),
        };
        Unpanicked(effect.perform(world, context)).await
    }

    fn render(&self, allowance: Allowance) -> Rendered {
        let render = || self.render_within(allowance);
        std::panic::catch_unwind(AssertUnwindSafe(render)).unwrap_or_else(|_| Rendered::Ended(Outcome::failed(CRASHED)))
    }

    fn render_within(&self, allowance: Allowance) -> Rendered {
        let Self { rule, run, event, vault, elements, .. } = self;
        let Some(step) = rule.step(run) else { return Rendered::Ended(Outcome::failed(CRASHED)) };
        let scope = rule.scope_at(run.place, event, vault, &run.saved).within(allowance);
        let item = elements.as_ref().and_then(|items| items.get(run.place.element as usize));
        let scope = match item {
            Some(item) => {
                let each = rule.graph.node(run.place.step).and_then(|node| node.each);
                scope.with_item(item, run.place.element as usize + 1, each)
            }
            None => scope,
        };
        let unrendered = match step.condition.holds(&scope) {
            Ok(false) => return Rendered::Ended(Outcome::Skipped("its `if` was not true".into())),
            Ok(true) => {
                let Some(action) = &step.action else { return Rendered::Ended(Outcome::Entered) };
                match action.render(&scope) {
                    Ok(effect) if scope.budget().spent().is_none() => return Rendered::Effect(effect),
                    Ok(_) => Unrendered { message: String::new(), path: step.path.clone() },
                    Err(unrendered) => unrendered,
                }
            }
            Err(_) => Unrendered { message: String::new(), path: step.path.clone() },
        };
        match scope.budget().spent() {
            Some(_) if allowance == Allowance::Small => Rendered::NotYet,
            Some(spent) => Rendered::Ended(Outcome::failed(rule.place_of(&Unrendered { message: spent.to_string(), ..unrendered }))),
            // The message suggests names similar to the missing one, and for that the whole body is needed.
            None if event.is_partial => Rendered::NotYet,
            None => Rendered::Ended(Outcome::failed(rule.place_of(&unrendered))),
        }
    }

    /// Renders with the full budget, and the whole body if needed.
    fn render_whole(mut self) -> Rendered {
        match self.render(Allowance::Full) {
            Rendered::NotYet => {
                let body = crate::body::read_headed(&self.event.headers, &self.event.raw).unwrap_or_default();
                self.event = Arc::new(Event { body, is_partial: false, ..Event::clone(&self.event) });
                self.render(Allowance::Full)
            }
            rendered => rendered,
        }
    }

    /// The elements of a step's `for_each`, in order; the error is a message.
    pub async fn elements_of(&self, each: u32) -> Result<Elements, String> {
        let find = move |one: &Self, allowance| {
            let find = || {
                let scope = one.rule.scope_at(one.run.place, &one.event, &one.vault, &one.run.saved).within(allowance);
                let found = one.rule.elements(each, &scope);
                (found, scope.budget().spent().is_some())
            };
            std::panic::catch_unwind(AssertUnwindSafe(find)).unwrap_or_else(|_| (Err(CRASHED.to_owned()), false))
        };
        let (mut found, is_more) = find(self, Allowance::Small);
        if is_more {
            let one = self.clone();
            found = off_thread(move || find(&one, Allowance::Full).0).await.map_err(|_| CRASHED.to_owned())?;
        }
        found.map(Arc::new)
    }
}

/// No memory is free right now; try again later.
pub struct NoMemory;

/// Memory for something that was rendered, if it is large. Two of these always fit, so that a run that has one gets the
/// other one eventually.
fn room_for(made: &Memory, bytes: usize) -> Result<Option<Taken>, NoMemory> {
    match bytes > LIGHT {
        false => Ok(None),
        true => made.try_take(bytes.min(MOST_MADE / 2)).map(Some).ok_or(NoMemory),
    }
}

/// The elements of a `for_each` while they are iterated.
pub struct Loop {
    pub each: u32,
    /// The error is a message.
    pub elements: Result<Elements, String>,
    _memory: Option<Taken>,
}

impl Loop {
    /// Computes them. If there is no memory for them, the step is postponed.
    pub async fn of(one: &Try, each: u32, made: &Memory) -> Result<Self, Outcome> {
        let elements = one.elements_of(each).await;
        let bytes = elements.as_ref().map_or(0, |all| all.iter().map(weight).sum());
        match room_for(made, bytes) {
            Ok(_memory) => Ok(Self { each, elements, _memory }),
            Err(NoMemory) => Err(Outcome::Deferred(WAIT_FOR_MEMORY)),
        }
    }
}

/// The word for a step that waits for another rule; it is not part of the history.
pub const AWAITS: &str = "awaits";

/// An outcome for the history: its word, its message, and what is passed on.
pub fn into_record(outcome: Outcome) -> (&'static str, String, Option<Answer>, Option<Receipt>) {
    match outcome {
        Outcome::Done(success) => ("done", success.said, success.answer, success.receipt),
        Outcome::Skipped(said) => ("skipped", said, None, None),
        Outcome::Stopped(said) | Outcome::Returned { said, .. } => ("stopped", said, None, None),
        Outcome::Awaits(_) | Outcome::Calls(_) => (AWAITS, String::new(), None, None),
        Outcome::Retry { why, receipt, .. } => ("retry", why, None, receipt),
        Outcome::Failed { why, .. } => ("failed", why, None, None),
        Outcome::Entered => ("entered", String::new(), None, None),
        Outcome::Deferred(_) => ("deferred", String::new(), None, None),
        Outcome::Paused { why, .. } => ("paused", why, None, None),
    }
}

/// An attempt whose panic is a failure of its own and does not end its run.
struct Unpanicked<'a>(Performing<'a>);

impl Future for Unpanicked<'_> {
    type Output = Outcome;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let inner = &mut self.0;
        std::panic::catch_unwind(AssertUnwindSafe(|| inner.as_mut().poll(context)))
            .unwrap_or_else(|_| Poll::Ready(Outcome::failed(CRASHED)))
    }
}

/// How long it is until then.
pub fn until(due: Timestamp) -> Duration {
    Duration::try_from(due.duration_since(Timestamp::now())).unwrap_or_default()
}

/// From 0 to 1, different for every run and try; only used to spread retries over time.
pub fn dice(run: &Run) -> f64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one((run.id, run.tried)) as f64 / u64::MAX as f64
}
