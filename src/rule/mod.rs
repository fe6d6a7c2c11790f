//! The rule language: rules and addresses that are known to be valid.
//!
//! A [`Rule`] is made only by [`compile`]. This file says how an event starts one, and provides what a run needs from it.
//! What a step does is behind [`Action`](crate::action::contract::Action): nothing in this folder names a verb. The set of
//! all rules is in [`ruleset`].

pub mod access;
pub mod accounts;
pub mod address;
pub mod aliases;
mod bounds;
mod by_itself;
mod called;
pub mod compile;
pub mod connections;
pub mod cors;
pub mod each;
pub mod failed;
mod files;
mod foreign;
pub mod index;
pub mod items;
pub mod load;
pub mod ruleset;
pub mod run_policy;
pub mod schema;
pub mod senders;
pub mod sentence;
pub mod set;
pub mod silent;
pub mod step;
mod step_shape;
pub mod steps;
pub mod test;
mod timing;
pub mod wait;
pub mod when;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::expr::condition::All;
use crate::expr::field::{Field, Root, Values};
use crate::expr::outside_use::{OutsideUse, is_outside};
use crate::expr::scope::{Scope, SetName};
use crate::expr::template::Unrendered;
use crate::model::budget::{MOST_MADE, MOST_STEPS};
use crate::model::event::Event;
use crate::model::origin::Origin;
use crate::model::place::Place;
use crate::model::run::{Once, Run, StepFacts, TextHash};
use crate::model::step_graph::StepGraph;
use crate::route;
use crate::schedule::timetable::Timetable;
use crate::secret::Vault;
use crate::text::span;
use crate::yaml::locate::Path;
use crate::yaml::source::Source;

use failed::FailedRules;
use run_policy::{OncePer, OneAtATime};
use silent::Silence;
use step::Step;
use test::Test;
use when::When;

/// The first step of a run whose rule's `if:` exceeds its limits: the run fails immediately, so that somebody notices.
pub const UNDECIDED: u32 = u32::MAX;
/// How long a caller waits for a rule's `respond`.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// One rule, with its name from the rule file.
pub struct Rule {
    pub name: Arc<str>,
    pub enabled: bool,
    /// The addresses that start it.
    pub when: Vec<When>,
    /// The moments that start it.
    pub timetable: Option<Timetable>,
    /// The rules whose failures start it.
    pub failed: Option<FailedRules>,
    /// The silence that starts it.
    pub silence: Option<Silence>,
    /// Whether other rules can call it.
    pub is_callable: bool,
    pub set: Vec<SetName>,
    pub condition: All,
    pub once_per: Option<OncePer>,
    pub one_at_a_time: Option<OneAtATime>,
    /// How long a caller waits for its `respond`.
    pub answer_within: Duration,
    /// All steps in one list; `graph` says in which order they run.
    pub steps: Vec<Step>,
    pub graph: StepGraph,
    pub tests: Vec<Test>,
    /// The file it is in, and where.
    pub source: Arc<Source>,
    pub text: TextHash,
    pub path: Path,
}

/// A rule that an event starts, and how.
#[derive(Clone)]
pub struct Started {
    pub rule: Arc<Rule>,
    /// The first step: of `then:`, or of `else:`; or [`UNDECIDED`].
    pub step: u32,
    pub once: Option<Once>,
    pub lane: Option<Arc<str>>,
}

impl Rule {
    /// The values of the address's placeholders in this event.
    fn path_values(&self, event: &Event) -> Value {
        let has_none = self.when.iter().all(|w| w.route.placeholders().next().is_none());
        if has_none || !event.is_request() {
            return Value::Null;
        }
        let path = route::normal(&event.address);
        self.when.iter().find_map(|w| w.route.fit(path)).map_or(Value::Null, Value::Object)
    }

    /// The names available to a rule, before its first step.
    pub fn scope<'a>(&'a self, event: &'a Event, vault: &'a Vault, saved: &'a Map<String, Value>) -> Scope<'a> {
        Scope::new(event, vault, self.path_values(event), &self.set, saved)
    }

    /// The names available at a place: also those of the step's own `set:`, and of the steps around it.
    pub fn scope_at<'a>(&'a self, place: Place, event: &'a Event, vault: &'a Vault, saved: &'a Map<String, Value>) -> Scope<'a> {
        let scope = self.scope(event, vault, saved).at(place);
        self.sets_of(place.step).into_iter().fold(scope, |scope, (number, set)| scope.and_set(set, number))
    }

    /// The `set:` of a step and of the steps around it, the outermost first, with their numbers.
    fn sets_of(&self, step: u32) -> Vec<(u32, &[SetName])> {
        let mut around = Vec::new();
        let mut step = Some(step);
        while let Some((number, one)) = step.and_then(|number| Some((number, self.steps.get(number as usize)?))) {
            around.push((number, one.set.as_slice()));
            step = self.graph.node(number).and_then(|node| node.within.or(node.handles));
        }
        around.reverse();
        around
    }

    /// Every condition, with the names that it can use.
    fn conditions(&self) -> Vec<(&All, Vec<&SetName>)> {
        let mut all: Vec<(&All, Vec<&SetName>)> = vec![(&self.condition, self.set.iter().collect())];
        for (number, step) in (0..).zip(&self.steps) {
            let own = self.sets_of(number).into_iter().flat_map(|(_, set)| set);
            all.push((&step.condition, self.set.iter().chain(own).collect()));
        }
        all
    }

    /// Whether its steps or conditions mean times of a day.
    fn needs_zone(&self) -> bool {
        self.steps.iter().any(|step| step.waits().is_some()) || self.conditions().iter().any(|(condition, _)| condition.needs_zone())
    }

    /// The rule's own lines of the file, to detect whether it was changed.
    pub fn own_text(&self) -> &str {
        let text = &self.source.text;
        let start = self.source.locate(&self.path).map_or(0, |(line, _)| line_start(text, line));
        let text = span::from(text, start);
        let indent = |l: &str| l.len() - l.trim_start().len();
        let depth = indent(text.lines().next().unwrap_or(""));
        let mut end = 0;
        for line in text.split_inclusive('\n') {
            let blank = line.trim().is_empty() || line.trim_start().starts_with('#');
            if !blank && indent(line) < depth {
                break;
            }
            end += line.len();
        }
        span::before(text, end).trim_end()
    }

    /// Every field that it may need.
    fn fields(&self) -> impl Iterator<Item = &Field> {
        let of_steps = self.steps.iter().flat_map(|step| &step.set);
        let set = self.set.iter().chain(of_steps).flat_map(|s| s.value.fields());
        let steps = self.steps.iter().flat_map(|s| {
            s.action.iter().flat_map(|a| a.fields()).chain(s.condition.fields()).chain(s.for_each.as_ref().map(|each| &each.field))
        });
        let lane = self.one_at_a_time.iter().filter_map(|o| if let OneAtATime::Each(field) = o { Some(field) } else { None });
        set.chain(self.condition.fields()).chain(self.once_per.iter().map(|o| &o.field)).chain(lane).chain(steps)
    }

    /// Whether it makes a difference who sent the event.
    pub fn reads_sender(&self) -> bool {
        self.fields().any(|field| field.root == Root::Sender)
    }

    /// Whether its `if:` depends on a secret or a variable.
    fn depends_on_outside(&self) -> bool {
        let outside = OutsideUse::of(&self.set, &is_outside);
        self.condition.lines().into_iter().any(|line| outside.in_line(line).is_some())
    }

    /// Whether its address and method match the event, or the event is another one that it starts on.
    pub fn is_called_by(&self, event: &Event) -> bool {
        let starts = match event.origin() {
            Origin::Request => {
                let path = route::normal(&event.address);
                let method = |w: &When| w.methods.as_ref().is_none_or(|all| all.contains(&event.method));
                self.when.iter().any(|w| method(w) && w.route.fit(path).is_some())
            }
            Origin::Moment(rule) => self.timetable.is_some() && *self.name == *rule,
            Origin::Silence(rule) => self.silence.is_some() && *self.name == *rule,
            Origin::Failure(of) => self.failed.as_ref().is_some_and(|failed| failed.include(of, &self.name)),
        };
        self.enabled && starts
    }

    /// Whether something else than a request starts it.
    pub fn starts_by_itself(&self) -> bool {
        self.timetable.is_some() || self.failed.is_some() || self.silence.is_some()
    }

    /// Whether only other rules start it.
    pub fn is_only_called(&self) -> bool {
        self.is_callable && self.when.is_empty() && !self.starts_by_itself()
    }

    /// Whether it listens at this path, enabled or not.
    pub fn listens_at(&self, path: &str) -> bool {
        self.when.iter().any(|w| w.route.fit(route::normal(path)).is_some())
    }

    /// Whether a step answers the caller.
    pub fn responds(&self) -> bool {
        self.steps.iter().any(Step::answers)
    }

    /// Whether a run that began at this step may answer the caller.
    pub fn responds_from(&self, step: u32) -> bool {
        // The caller of an undecided rule gets an answer that says so.
        if step == UNDECIDED {
            return self.responds();
        }
        let all = self.steps.len() as u32;
        let on_error = self.graph.on_error.unwrap_or(all);
        let end = match self.graph.otherwise {
            _ if step >= on_error => all,
            Some(otherwise) if step < otherwise => otherwise,
            _ => on_error,
        };
        let answers = |from: u32, to: u32| self.steps.iter().take(to as usize).skip(from as usize).any(Step::answers);
        answers(step, end) || answers(on_error, all)
    }

    /// Whether a step belongs to `else:`.
    pub fn is_in_else(&self, step: u32) -> bool {
        let end = self.graph.on_error.unwrap_or(self.steps.len() as u32);
        self.graph.otherwise.is_some_and(|first| (first..end).contains(&step))
    }

    /// How an event starts it, if it does.
    pub fn start(self: &Arc<Self>, scope: &Scope) -> Option<Started> {
        let started = self.started(scope);
        match scope.budget().spent() {
            None => started,
            Some(_) => Some(Started { rule: self.clone(), step: UNDECIDED, once: None, lane: None }),
        }
    }

    fn started(self: &Arc<Self>, scope: &Scope) -> Option<Started> {
        let lane = self.one_at_a_time.as_ref().map(|o| o.lane(&self.name, scope));
        if !self.condition.holds(scope).ok()? {
            return self.graph.otherwise.map(|step| Started { rule: self.clone(), step, once: None, lane });
        }
        let once = match &self.once_per {
            Some(once_per) => Some(once_per.claim(scope).ok()?),
            None => None,
        };
        Some(Started { rule: self.clone(), step: 0, once, lane })
    }

    /// Why a run that is [`UNDECIDED`] fails, with the rule's place.
    pub fn why_undecided(&self) -> String {
        let message = format!(
            "Doorbell could not evaluate whether the rule runs for this request: its `if:`, `once_per:` and `one_at_a_time:` take more than {} million steps or produce more than {} MB of values; name the fields they need instead of searching with `..`, filters or `[*]`",
            MOST_STEPS / 1_000_000,
            MOST_MADE >> 20
        );
        self.place_of(&Unrendered { message, path: self.path.clone() })
    }

    /// The step that a run is at.
    pub fn step(&self, run: &Run) -> Option<&Step> {
        self.steps.get(run.place.step as usize)
    }

    /// What the run needs to know about its step.
    pub fn facts<'a>(&'a self, step: &'a Step, elements: Option<u32>) -> StepFacts<'a> {
        StepFacts { plan: &step.plan, title: step.title(), save_as: step.save_as.as_deref(), elements, graph: &self.graph }
    }

    /// The elements of a step's `for_each`, in order; the error is a message.
    pub fn elements(&self, each: u32, scope: &Scope) -> Result<Vec<Value>, String> {
        let for_each = self.steps.get(each as usize).and_then(|s| s.for_each.as_ref());
        for_each.map_or(Ok(Vec::new()), |for_each| for_each.elements(scope))
    }

    /// The number of a step as shown to people: `2`, `2.1`, `else 1`.
    pub fn number_of(&self, step: u32) -> String {
        self.steps.get(step as usize).map_or_else(|| step.saturating_add(1).to_string(), |s| s.number.clone())
    }

    /// A failed rendering with its place: `rules/orders.yaml:12:15: there is no body.id in this request`.
    pub fn place_of(&self, unrendered: &Unrendered) -> String {
        match self.source.locate(&unrendered.path) {
            Some((line, column)) => format!("{}:{line}:{column}: {}", self.source.name, unrendered.message),
            None => format!("{}: {}", self.source.name, unrendered.message),
        }
    }
}

/// Where a line begins, in bytes.
fn line_start(text: &str, line: usize) -> usize {
    text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum()
}
