//! A run without side effects: what a rule would do with an event, step by step; nothing is sent or written.
//!
//! `doorbell try` and `doorbell test` show and compare it. Matching, rendering, evaluating replies and the order of steps
//! use the production code; only the attempts are left out.

use jiff::Timestamp;
use serde_json::Value;

use crate::action::contract::{Asks, Effect, EffectView, MockResponse};
use crate::action::memory::DryMemory;
use crate::expr::condition::Truth;
use crate::expr::condition::trace::{self, TraceLine};
use crate::expr::field::Values;
use crate::expr::scope::NotDone;
use crate::expr::template::Unrendered;
use crate::model::event::Event;
use crate::model::outcome::{Outcome, Success};
use crate::model::run::{Run, State};
use crate::rule::step::Step;
use crate::rule::{Rule, UNDECIDED};
use crate::secret::Vault;

/// The maximum number of steps that are followed; a real run has no such limit.
const MOST_STEPS_SHOWN: usize = 20_000;

/// One thing that would happen.
pub struct DryStep<'r> {
    pub step: &'r Step,
    /// Which element of its `for_each`, from 1.
    pub element: Option<usize>,
    pub what: What,
}

pub enum What {
    /// The effect, and why it would have failed with the given reply.
    Effect { shown: String, view: EffectView, failed: Option<String> },
    /// Its `if:` depends on an answer that is not known; what follows shows what it would do if it is true.
    Depends(Vec<TraceLine>),
    /// It cannot be shown without the answer of the step with this number.
    Unknown(String),
    /// Its `if:` is false.
    Skipped(Vec<TraceLine>),
    /// Its `for_each` has no elements.
    Empty(String),
    /// It cannot be rendered; the second says which text of it, if that is known.
    Failed(String, Option<Unrendered>),
}

/// The replies of targets.
pub trait Replies {
    /// The answer to what this step asks for next; `None` if it is not known.
    fn next(&mut self, step: &Step, asks: Asks) -> Option<MockResponse>;
    /// What is remembered before the run.
    fn remembered(&self) -> DryMemory {
        DryMemory::default()
    }
}

/// Follows a rule from a step on. Returns what would happen, and how the run would end.
pub fn dry_steps_of<'r>(rule: &'r Rule, start: u32, event: &Event, vault: &Vault, replies: &mut dyn Replies) -> (Vec<DryStep<'r>>, State) {
    follow(rule, start, event, vault, replies, false)
}

/// The same, but a step that cannot be rendered does not end the run, so that what follows it is shown as well.
pub fn all_dry_steps_of<'r>(rule: &'r Rule, start: u32, event: &Event, vault: &Vault, replies: &mut dyn Replies) -> Vec<DryStep<'r>> {
    follow(rule, start, event, vault, replies, true).0
}

fn follow<'r>(
    rule: &'r Rule,
    start: u32,
    event: &Event,
    vault: &Vault,
    replies: &mut dyn Replies,
    goes_on: bool,
) -> (Vec<DryStep<'r>>, State) {
    if start == UNDECIDED {
        return (Vec::new(), State::Failed);
    }
    let memory = replies.remembered();
    let mut walk = Walk { rule, memory, event, vault, replies, goes_on, not_done: Vec::new(), dry_steps: Vec::new() };
    let mut run = Run::begin(0, event.id, rule.name.clone(), rule.text.clone(), start, Timestamp::UNIX_EPOCH);
    while run.state == State::Waiting && walk.dry_steps.len() < MOST_STEPS_SHOWN {
        let Some(step) = rule.step(&run) else { break };
        let (mut outcome, elements) = walk.step(step, &run);
        run = run.after(&mut outcome, &rule.facts(step, elements), Timestamp::UNIX_EPOCH, 0.0);
    }
    let dry_steps = walk.dry_steps;
    (dry_steps, run.state)
}

struct Walk<'r, 'a> {
    rule: &'r Rule,
    event: &'a Event,
    vault: &'a Vault,
    replies: &'a mut dyn Replies,
    /// Whether what cannot be rendered is left out, instead of ending the run.
    goes_on: bool,
    memory: DryMemory,
    /// The steps whose replies are not known.
    not_done: Vec<NotDone>,
    dry_steps: Vec<DryStep<'r>>,
}

impl<'r> Walk<'r, '_> {
    fn step(&mut self, step: &'r Step, run: &Run) -> (Outcome, Option<u32>) {
        let scope = self.rule.scope_at(run.place, self.event, self.vault, &run.saved).not_done(&self.not_done);
        let each = self.rule.graph.node(run.place.step).and_then(|f| f.each);
        let elements = each.map(|each| self.rule.elements(each, &scope));
        let unknown = scope.take_unknown();
        let elements = match elements {
            None => None,
            Some(Ok(items)) => Some(items),
            Some(Err(why)) => {
                self.show(step, None, What::Failed(why.clone(), None));
                return (Outcome::failed(why), None);
            }
        };
        let count = elements.as_ref().map(|e| e.len() as u32);
        let item = elements.as_ref().map(|items| items.get(run.place.element as usize));
        let number = elements.is_some().then_some(run.place.element as usize + 1);
        let scope = match item {
            Some(None) => {
                let name = step.for_each.as_ref().map_or("the list", |each| each.field.text());
                self.show(step, None, What::Empty(format!("{name} is empty")));
                return (Outcome::Skipped(String::new()), count);
            }
            Some(Some(item)) => scope.with_item(item, run.place.element as usize + 1, each).of_unknown(unknown.as_deref()),
            None => scope,
        };
        let truth = match step.condition.truth(&scope) {
            Ok(truth) => truth,
            Err(spent) => {
                let unrendered = Unrendered { message: spent.to_string(), path: step.path.clone() };
                let why = self.rule.place_of(&unrendered);
                self.show(step, number, What::Failed(why.clone(), Some(unrendered)));
                if self.goes_on {
                    self.has_no_answer(step);
                }
                return (Outcome::failed(why), count);
            }
        };
        let depends = matches!(truth, Truth::Depends(_));
        if truth == Truth::No || depends && run.tried == 0 {
            let trace = trace::explain(&step.condition, &scope, self.vault, true);
            let what = if depends { What::Depends(trace) } else { What::Skipped(trace) };
            self.dry_steps.push(DryStep { step, element: number, what });
        }
        if truth == Truth::No {
            return (Outcome::Skipped(String::new()), count);
        }
        let Some(action) = &step.action else { return (Outcome::Entered, count) };
        scope.take_unknown();
        let effect = match action.render(&scope) {
            Ok(effect) => effect,
            Err(unrendered) => {
                // A helper that cannot work with the placeholder may well work with the answer.
                if let Some(of) = scope.take_unknown() {
                    self.show(step, number, What::Unknown(of));
                    return (Outcome::Skipped(String::new()), count);
                }
                let why = self.rule.place_of(&unrendered);
                self.show(step, number, What::Failed(why.clone(), Some(unrendered)));
                if self.goes_on && step.save_as.is_some() {
                    // As if it was done: later steps have a placeholder for its answer.
                    self.has_no_answer(step);
                    return (Outcome::Done(Success { output: Some(Value::Null), ..Success::default() }), count);
                }
                return (if depends || self.goes_on { Outcome::Skipped(why) } else { Outcome::failed(why) }, count);
            }
        };
        match self.done(step, run, number, effect.as_ref()) {
            // Whether the run ends here is not known, so what would follow is shown, too.
            Outcome::Stopped(said) if depends => (Outcome::Skipped(said), count),
            outcome => (outcome, count),
        }
    }

    fn done(&mut self, step: &'r Step, run: &Run, number: Option<usize>, effect: &dyn Effect) -> Outcome {
        if let Some(outcome) = effect.in_memory(&mut self.memory) {
            if outcome.is_none() {
                self.has_no_answer(step);
            }
            return self.shown(step, run, number, effect, outcome.unwrap_or_else(|| effect.assumed()));
        }
        let asks = effect.asks();
        let reply = asks.and_then(|asks| self.replies.next(step, asks));
        let known = reply.is_some() || asks.is_none();
        let outcome = reply.map_or_else(|| effect.assumed(), |reply| effect.answered(reply));
        if !known {
            self.has_no_answer(step);
        }
        self.shown(step, run, number, effect, outcome)
    }

    /// Shows an effect, with its outcome.
    fn shown(&mut self, step: &'r Step, run: &Run, number: Option<usize>, effect: &dyn Effect, outcome: Outcome) -> Outcome {
        let view = effect.view();
        let failed = match &outcome {
            Outcome::Failed { why, .. } => Some(why.clone()),
            _ => None,
        };
        // A retry of the same call is not another effect.
        if run.tried == 0 {
            self.show(step, number, What::Effect { shown: effect.to_string(), view, failed });
        }
        outcome
    }

    /// What a step would save is not known.
    fn has_no_answer(&mut self, step: &Step) {
        self.not_done.extend(step.save_as.iter().map(|name| NotDone { name: name.clone(), step: step.number.clone() }));
    }

    fn show(&mut self, step: &'r Step, element: Option<usize>, what: What) {
        self.dry_steps.push(DryStep { step, element, what });
    }
}

/// A reply with a JSON body.
pub fn json_reply(status: u16, headers: Vec<(String, String)>, body: &Value) -> MockResponse {
    let mut headers = headers;
    let text = match body {
        Value::String(text) => text.clone(),
        other => {
            if !headers.iter().any(|(n, _)| n == "content-type") {
                headers.push(("content-type".into(), "application/json".into()));
            }
            other.to_string()
        }
    };
    MockResponse { status, headers, body: text.into_bytes() }
}
