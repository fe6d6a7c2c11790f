//! One attempt at one step: rendered for its event, performed in the world. A panic in it is its failure, and not the end of
//! its run. What follows from its outcome is for [`crate::worker`].

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use serde_json::Value;

use crate::action::contract::{Performing, Ticket};
use crate::action::outside::Outside;
use crate::answer::Answer;
use crate::at_work::AtWork;
use crate::event::{Event, hops};
use crate::rule::Rule;
use crate::rule::step::Step;
use crate::run::{Note, Outcome, Receipt, Run};
use crate::secret::Vault;

/// What is said of a step that panicked.
pub const CRASHED: &str = "this step made Doorbell crash; please report it";

/// A step that is to be tried.
pub struct Try<'a> {
    pub rule: &'a Rule,
    pub step: &'a Step,
    pub run: &'a Run,
    pub event: &'a Event,
    pub vault: &'a Vault,
    /// The element, where the step belongs to a `for_each`.
    pub item: Option<&'a Value>,
}

impl Try<'_> {
    /// Renders and performs it.
    pub async fn once(&self, outside: &Outside, at_work: &AtWork) -> Outcome {
        let Self { rule, step, run, event, vault, item } = *self;
        if run.settled {
            return Outcome::Done(Note { said: "was done before the restart".into(), ..Note::default() });
        }
        let effect = {
            let _mark = at_work.mark(run.id);
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
                Err(_) => return Outcome::failed(CRASHED),
            }
        };
        let Some(effect) = effect else {
            // The message names what is near to what is missing, and for that the whole body is needed.
            let body = crate::body::read(event.content_type(), &event.raw).unwrap_or_default();
            let whole = Event { body, is_partial: false, ..event.clone() };
            return Box::pin(Try { event: &whole, ..*self }.once(outside, at_work)).await;
        };
        let ticket = Ticket {
            event: event.id,
            run: run.id,
            place: run.place,
            idempotency_key: run.idempotency_key(),
            hops: hops(&event.headers) + 1,
            timeout: step.timeout,
        };
        Unpanicked(effect.perform(outside, ticket)).await
    }
}

/// An outcome for the history: its word, its sentence, and what has to be handed on.
pub fn told(outcome: Outcome) -> (&'static str, String, Option<Answer>, Option<Receipt>) {
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

/// An attempt whose panic is its own failure, not the end of its run.
struct Unpanicked<'a>(Performing<'a>);

impl Future for Unpanicked<'_> {
    type Output = Outcome;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let inner = &mut self.0;
        std::panic::catch_unwind(AssertUnwindSafe(|| inner.as_mut().poll(context)))
            .unwrap_or_else(|_| Poll::Ready(Outcome::failed(CRASHED)))
    }
}
