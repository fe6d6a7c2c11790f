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
use crate::expr::scope::{NotDone, NotKnown};
use crate::expr::template::Unrendered;
use crate::model::called::{self, MOST_NESTED, RuleCall};
use crate::model::event::Event;
use crate::model::outcome::{Outcome, Success};
use crate::model::run::{Run, State};
use crate::model::saved::NOW;
use crate::rule::ruleset::Ruleset;
use crate::rule::step::Step;
use crate::rule::{Rule, UNDECIDED};
use crate::secret::Vault;

/// The maximum number of steps that are followed; a real run has no such limit.
const MOST_STEPS_SHOWN: usize = 20_000;

/// One thing that would happen.
pub struct DryStep<'r> {
    pub rule: &'r Rule,
    pub step: &'r Step,
    /// How many rules are around this one, each of which called the next.
    pub depth: u32,
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
    /// The rule that it calls would not run, because its `if:` is false.
    NotCalled(Vec<TraceLine>),
    /// Whether that rule runs depends on an answer that is not known; what follows shows what it would do.
    CalledIf(Vec<TraceLine>),
    /// Its `for_each` has no elements.
    Empty(String),
    /// It cannot be rendered; the second says which text of it, if that is known.
    Failed(String, Option<Unrendered>),
}

/// The replies of targets.
pub trait Replies {
    /// The answer to what this step asks for next; `None` if it is not known.
    fn next(&mut self, rule: &Rule, step: &Step, asks: Asks) -> Option<MockResponse>;
    /// What is remembered before the run.
    fn remembered(&self) -> DryMemory {
        DryMemory::default()
    }
}

/// A rule that is followed.
pub struct Followed<'r> {
    /// The rules that it can call, and their secrets.
    pub ruleset: &'r Ruleset,
    pub rule: &'r Rule,
    /// The first step.
    pub start: u32,
    /// What it was given, if another rule called it.
    pub given: Option<(String, Value)>,
}

/// Follows a rule from a step on, and the rules that it calls. Returns what would happen, and how the run would end.
pub fn dry_steps_of<'r>(followed: Followed<'r>, event: &Event, replies: &mut dyn Replies) -> (Vec<DryStep<'r>>, State) {
    follow(followed, event, replies, false)
}

/// The same, but a step that cannot be rendered does not end the run, so that what follows it is shown as well.
pub fn all_dry_steps_of<'r>(followed: Followed<'r>, event: &Event, replies: &mut dyn Replies) -> Vec<DryStep<'r>> {
    follow(followed, event, replies, true).0
}

fn follow<'r>(followed: Followed<'r>, event: &Event, replies: &mut dyn Replies, goes_on: bool) -> (Vec<DryStep<'r>>, State) {
    let Followed { ruleset, rule, start, given } = followed;
    let memory = replies.remembered();
    let mut walk = Walk {
        ruleset,
        rule,
        depth: 0,
        event,
        replies,
        goes_on,
        memory,
        not_done: Vec::new(),
        returns_unknown: false,
        dry_steps: Vec::new(),
    };
    let run = walk.follow(start, given);
    (walk.dry_steps, run.state)
}

struct Walk<'r, 'a> {
    ruleset: &'r Ruleset,
    rule: &'r Rule,
    depth: u32,
    event: &'a Event,
    replies: &'a mut dyn Replies,
    /// Whether what cannot be rendered is left out, instead of ending the run.
    goes_on: bool,
    memory: DryMemory,
    /// The values that are not known, because they depend on replies.
    not_done: Vec<NotDone>,
    /// Whether what the rule returns is not known.
    returns_unknown: bool,
    dry_steps: Vec<DryStep<'r>>,
}

impl<'r> Walk<'r, '_> {
    /// Follows its rule from a step on; returns the run at its end.
    fn follow(&mut self, start: u32, given: Option<(String, Value)>) -> Run {
        let rule = self.rule;
        let mut run = Run::begin(0, self.event.id, rule.name.clone(), rule.text.clone(), start, Timestamp::UNIX_EPOCH);
        run.saved.extend(given);
        if start == UNDECIDED {
            run.state = State::Failed;
        }
        while run.state == State::Waiting && self.dry_steps.len() < MOST_STEPS_SHOWN {
            let Some(step) = rule.step(&run) else { break };
            let (mut outcome, elements) = self.step(step, &run);
            run = run.after(&mut outcome, &rule.facts(step, elements), Timestamp::UNIX_EPOCH, 0.0);
        }
        run
    }

    /// What a step makes of the rule that it calls; the steps of that one come next.
    fn call(&mut self, step: &'r Step, number: Option<usize>, call: RuleCall, run: &Run) -> Outcome {
        let RuleCall { rule: name, mut input, is_awaited, unknown } = call;
        let returned = |value: Option<Value>| Outcome::Done(Success { output: Some(called::result(value)), ..Success::default() });
        let Some(rule) = self.ruleset.rule(&name).filter(|rule| rule.is_callable && rule.enabled) else {
            return Outcome::failed(format!("the rule `{name}` cannot be called"));
        };
        if self.depth >= MOST_NESTED {
            return Outcome::failed(format!("rules call each other more than {MOST_NESTED} deep here"));
        }
        // A placeholder takes the place of what is missing.
        unknown.iter().for_each(|(name, _)| drop(input.as_object_mut().and_then(|given| given.remove(name))));
        let id = format!("{}-{}-{}-{}", rule.name, self.depth, run.place.step, run.place.element);
        let own = run.saved.get(NOW).filter(|now| now.is_string());
        let given = called::given(input, is_awaited, self.depth + 1, id, own.or(run.given().and_then(|given| given.now)));
        let saved = [given.clone()].into_iter().collect();
        let not_done: Vec<NotDone> = unknown.into_iter().map(|(name, step)| NotDone { what: NotKnown::Given(name), step }).collect();
        let vault = &self.ruleset.vault;
        // Each use has a budget of its own.
        let scope = || rule.scope(self.event, vault, &saved).not_done(&not_done);
        let depends = matches!(rule.condition.truth(&scope()), Ok(Truth::Depends(_)));
        let start = if depends { Some(0) } else { rule.start(&scope()).map(|started| started.step) };
        let trace = || trace::explain(&rule.condition, &scope(), vault, true);
        let Some(start) = start else {
            let trace = trace();
            self.show(step, number, What::NotCalled(trace));
            return returned(None);
        };
        if depends {
            let trace = trace();
            self.show(step, number, What::CalledIf(trace));
        }
        let mut inner = Walk {
            ruleset: self.ruleset,
            rule,
            depth: self.depth + 1,
            event: self.event,
            replies: &mut *self.replies,
            goes_on: self.goes_on,
            memory: std::mem::take(&mut self.memory),
            not_done,
            returns_unknown: depends,
            dry_steps: std::mem::take(&mut self.dry_steps),
        };
        let end = inner.follow(start, Some(given));
        let is_unknown = inner.returns_unknown;
        (self.memory, self.dry_steps) = (inner.memory, inner.dry_steps);
        if is_unknown {
            self.has_no_answer(step);
        }
        match end.state {
            _ if !is_awaited => Outcome::Done(Success::default()),
            State::Failed if !depends => Outcome::failed(format!("`{name}` would fail")),
            _ if is_unknown => returned(None),
            _ => returned(called::returned(&end.saved).cloned()),
        }
    }

    fn step(&mut self, step: &'r Step, run: &Run) -> (Outcome, Option<u32>) {
        let vault: &'r Vault = &self.ruleset.vault;
        let scope = self.rule.scope_at(run.place, self.event, vault, &run.saved).not_done(&self.not_done);
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
            let trace = trace::explain(&step.condition, &scope, vault, true);
            let what = if depends { What::Depends(trace) } else { What::Skipped(trace) };
            self.dry_steps.push(DryStep { rule: self.rule, step, depth: self.depth, element: number, what });
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
        let is_unknown = scope.take_unknown().is_some();
        let outcome = self.done(step, run, number, effect.as_ref());
        let ends = matches!(outcome, Outcome::Stopped(_) | Outcome::Returned { .. });
        self.returns_unknown |= ends && (depends || is_unknown);
        match outcome {
            // Whether the run ends here is not known, so what would follow is shown, too.
            Outcome::Stopped(said) | Outcome::Returned { said, .. } if depends => (Outcome::Skipped(said), count),
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
        let reply = asks.and_then(|asks| self.replies.next(self.rule, step, asks));
        let known = reply.is_some() || asks.is_none();
        let outcome = reply.map_or_else(|| effect.assumed(), |reply| effect.answered(reply));
        if !known {
            self.has_no_answer(step);
        }
        match outcome {
            Outcome::Calls(call) => {
                let at = self.dry_steps.len();
                self.shown(step, run, number, effect, Outcome::Done(Success::default()));
                let outcome = self.call(step, number, *call, run);
                if let (Outcome::Failed { why, .. }, Some(DryStep { what: What::Effect { failed, .. }, .. })) =
                    (&outcome, self.dry_steps.get_mut(at))
                {
                    *failed = Some(why.clone());
                }
                outcome
            }
            outcome => self.shown(step, run, number, effect, outcome),
        }
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
        self.not_done.extend(step.save_as.iter().map(|name| NotDone { what: NotKnown::Saved(name.clone()), step: step.number.clone() }));
    }

    fn show(&mut self, step: &'r Step, element: Option<usize>, what: What) {
        self.dry_steps.push(DryStep { rule: self.rule, step, depth: self.depth, element, what });
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
