//! The set of all rules and addresses, immutable, replaced as a whole: which rules an event starts, and why the others do
//! not.
//!
//! [`Rule`] decides how one rule is started, and [`super::index`] finds the candidates.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Map;

use super::address::Address;
use super::index::Index;
use super::silent::Silence;
use super::{Rule, Started, UNDECIDED};
use crate::action::connections::Connections;
use crate::expr::condition::trace::{self, Decided, Outcome, TraceLine};
use crate::expr::field::part::PathPart;
use crate::expr::field::{Field, Root, Values};
use crate::expr::outside_use::{OutsideUse, is_not_given, is_secret};
use crate::expr::projection::Projection;
use crate::expr::scope::Scope;
use crate::model::budget::Allowance;
use crate::model::event::Event;
use crate::model::run::TextHash;
use crate::model::sealing::Exposed;
use crate::route::{self, Routes};
use crate::schedule::timetable::Timetable;
use crate::secret::Vault;
use crate::yaml::source::Source;

/// Whether a rule was started by an event.
pub struct Verdict<'r> {
    pub rule: &'r Arc<Rule>,
    /// The first step that runs; `None` if the rule does not run.
    pub starts: Option<u32>,
    /// The evaluation of its `if:`.
    pub trace: Vec<TraceLine>,
}

impl Verdict<'_> {
    pub fn runs(&self) -> bool {
        self.starts.is_some()
    }
    /// Whether its run fails immediately, because its `if:` exceeds its limits.
    pub fn is_undecided(&self) -> bool {
        self.starts == Some(UNDECIDED)
    }
    /// Whether its `if:` was false and its `else:` runs instead.
    pub fn is_else(&self) -> bool {
        self.starts.is_some() && self.starts == self.rule.graph.otherwise
    }
}

/// All rules and addresses at one moment.
#[derive(Default)]
pub struct Ruleset {
    pub rules: Vec<Arc<Rule>>,
    pub addresses: Vec<Address>,
    pub vault: Arc<Vault>,
    /// What steps use by name.
    pub connections: Arc<Connections>,
    /// Every file, by the hash of its content.
    pub texts: Vec<(TextHash, Arc<Source>)>,
    index: Index,
    has_cors: bool,
}

/// The current rules, and their number in the store.
pub struct InForce {
    pub ruleset: Ruleset,
    pub number: i64,
}

impl Ruleset {
    pub fn new(rules: Vec<Arc<Rule>>, mut addresses: Vec<Address>, vault: Arc<Vault>, texts: Vec<(TextHash, Arc<Source>)>) -> Self {
        let enabled = rules.iter().enumerate().filter(|(_, r)| r.enabled);
        let called: Routes<(usize, &Rule)> = enabled.flat_map(|(n, r)| r.when.iter().map(move |w| (w.route.clone(), (n, &**r)))).collect();
        for address in &mut addresses {
            // Every rule that some path of this address can start, with any pattern.
            let here: BTreeMap<usize, &Rule> = called.meeting(&address.route).into_iter().map(|(_, called)| *called).collect();
            let fields = here.values().flat_map(|rule| rule.fields());
            address.wanted = Projection::of(fields.chain(address.delivery_id.iter().flatten()));
            address.exposed = exposed(here.values().copied());
            address.decided_outside = here.iter().filter(|(_, rule)| rule.depends_on_outside()).map(|(n, _)| *n).collect();
        }
        let index = Index::new(&rules, &addresses);
        let has_cors = addresses.iter().any(|address| address.cors.is_some());
        Self { rules, addresses, vault, connections: Arc::default(), texts, index, has_cors }
    }

    /// The same rules with these connections.
    pub fn using(self, connections: Connections) -> Self {
        Self { connections: Arc::new(connections), ..self }
    }

    /// The address for a path, if a rule listens there.
    pub fn address(&self, path: &str) -> Option<&Address> {
        self.address_number(path).map(|n| &self.addresses[n])
    }

    /// Whether scripts of web pages may call any address.
    pub fn has_cors(&self) -> bool {
        self.has_cors
    }

    /// The address that an event was sent to; none for the moment of a rule.
    fn address_of(&self, event: &Event) -> Option<&Address> {
        event.is_request().then(|| self.address(&event.address)).flatten()
    }

    /// A rule by its name.
    pub fn rule(&self, name: &str) -> Option<&Arc<Rule>> {
        self.index.named(name).map(|n| &self.rules[n])
    }

    /// The enabled rules that start by themselves.
    pub fn scheduled(&self) -> impl Iterator<Item = (&Arc<Rule>, &Timetable)> {
        self.rules.iter().filter(|rule| rule.enabled).filter_map(|rule| Some((rule, rule.timetable.as_ref()?)))
    }

    /// Whether any rule starts when others fail.
    pub fn has_rules_on_failure(&self) -> bool {
        !self.index.on_failure().is_empty()
    }

    /// The rules that an event is for, whether their conditions hold or not; it is no request.
    pub fn rules_for(&self, event: &Event) -> Vec<&Arc<Rule>> {
        self.index.candidates(event).into_iter().map(|n| &self.rules[n]).filter(|rule| rule.is_called_by(event)).collect()
    }

    /// The rules that a failed run of this rule starts.
    pub fn on_failure_of<'r>(&'r self, failed: &'r str) -> impl Iterator<Item = &'r Arc<Rule>> {
        let rules = self.index.on_failure().iter().map(|n| &self.rules[*n]);
        rules.filter(move |rule| rule.failed.as_ref().is_some_and(|of| of.include(failed, &rule.name)))
    }

    /// The enabled rules that wait for silence.
    pub fn silences(&self) -> impl Iterator<Item = (&Arc<Rule>, &Silence)> {
        self.rules.iter().filter(|rule| rule.enabled).filter_map(|rule| Some((rule, rule.silence.as_ref()?)))
    }

    /// Its index among the addresses.
    pub fn address_number(&self, path: &str) -> Option<usize> {
        self.index.address(route::normal(path))
    }

    /// The rules that an event starts, in the order of the files.
    pub fn answering(&self, event: &Event) -> Vec<Started> {
        self.answering_within(event, Allowance::Full)
    }

    /// The same within a small budget; `None` if it takes longer.
    pub fn answering_soon(&self, event: &Event) -> Option<Vec<Started>> {
        let all = self.answering_within(event, Allowance::Small);
        all.iter().all(|s| s.step != UNDECIDED).then_some(all)
    }

    fn answering_within(&self, event: &Event, allowance: Allowance) -> Vec<Started> {
        let nothing = Map::new();
        let mut all = Vec::new();
        for rule in self.index.candidates(event).into_iter().map(|n| &self.rules[n]).filter(|r| r.is_called_by(event)) {
            let started = rule.start(&rule.scope(event, &self.vault, &nothing).within(allowance));
            let is_enough = allowance == Allowance::Small && started.as_ref().is_some_and(|s| s.step == UNDECIDED);
            all.extend(started);
            if is_enough {
                break;
            }
        }
        all
    }

    /// Every rule that listens at the event's address, and the evaluation of its conditions.
    pub fn verdicts(&self, event: &Event, every_line: bool) -> Vec<Verdict<'_>> {
        let nothing = Map::new();
        let verdict = |rule| -> Verdict<'_> {
            let rule: &Arc<Rule> = rule;
            let scope = || rule.scope(event, &self.vault, &nothing);
            // Each has a budget of its own, because explaining evaluates more than deciding does.
            let mut trace = trace::explain(&rule.condition, &scope(), &self.vault, every_line);
            add_once_per(&mut trace, rule, &scope());
            Verdict { rule, starts: rule.start(&scope()).map(|s| s.step), trace }
        };
        self.rules.iter().filter(|r| r.is_called_by(event)).map(verdict).collect()
    }

    /// The rules that an event may start and whose `if:` depends on secrets or variables.
    fn decided_outside<'s>(&'s self, event: &'s Event) -> impl Iterator<Item = &'s Arc<Rule>> {
        let by_itself = if event.is_request() { Vec::new() } else { self.index.candidates(event) };
        let by_itself = by_itself.into_iter().map(|n| &self.rules[n]).filter(|rule| rule.depends_on_outside());
        let numbers = self.address_of(event).map_or(&[][..], |address| &address.decided_outside);
        let called = numbers.iter().map(|n| &self.rules[*n]);
        called.chain(by_itself).filter(|rule| rule.is_called_by(event))
    }

    /// How the conditions that depend on secrets and variables are decided now, so that nobody has to know these later. `None` if
    /// that takes longer than the budget.
    pub fn decided(&self, event: &Event, allowance: Allowance) -> Option<Vec<Decided>> {
        let nothing = Map::new();
        let decided = |rule: &Arc<Rule>| {
            let scope = rule.scope(event, &self.vault, &nothing).within(allowance);
            let mut lines = trace::explain_to_keep(&rule.condition, &scope, &self.vault, &OutsideUse::of(&rule.set, &is_secret));
            add_once_per(&mut lines, rule, &scope);
            let is_spent = allowance == Allowance::Small && scope.budget().spent().is_some();
            (!is_spent).then(|| Decided { rule: rule.name.clone(), lines })
        };
        self.decided_outside(event).map(decided).collect()
    }

    /// The event as steps see it and as it is stored: without secrets in what conditions compare with them.
    pub fn sealed(&self, mut event: Event) -> Event {
        if let Some(address) = self.address_of(&event) {
            event.seal(&address.exposed, &self.vault);
        }
        event
    }

    /// The secrets and variables that have to be known to decide which rules an event starts, and that are only placeholders.
    pub fn missing_for(&self, event: &Event) -> Vec<String> {
        let is_wanted = |root: &Root| is_not_given(root, &self.vault);
        let mut missing = Vec::new();
        for rule in self.decided_outside(event) {
            let not_given = OutsideUse::of(&rule.set, &is_wanted);
            let fields = rule.condition.lines().into_iter().filter_map(|line| not_given.in_line(line));
            missing.extend(fields.map(|field| field.text().to_owned()));
        }
        missing.sort();
        missing.dedup();
        missing
    }

    /// Every rule that listened at the address of an event of the past, and how its conditions were decided, as far as it is
    /// known: `decided` was stored with the event.
    pub fn explained(&self, event: &Event, decided: &[Decided]) -> Vec<(&Arc<Rule>, Vec<TraceLine>)> {
        let nothing = Map::new();
        let is_wanted = |root: &Root| is_not_given(root, &self.vault);
        let explained = |rule| -> (&Arc<Rule>, Vec<TraceLine>) {
            let rule: &Arc<Rule> = rule;
            if let Some(then) = decided.iter().find(|one| one.rule == rule.name) {
                return (rule, then.lines.clone());
            }
            let scope = rule.scope(event, &self.vault, &nothing);
            let not_given = OutsideUse::of(&rule.set, &is_wanted);
            let mut lines = trace::explain_without(&rule.condition, &scope, &self.vault, &not_given);
            add_once_per(&mut lines, rule, &rule.scope(event, &self.vault, &nothing));
            (rule, lines)
        };
        self.rules.iter().filter(|r| r.is_called_by(event)).map(explained).collect()
    }
}

/// If the condition is true, the next thing that could prevent a run.
fn add_once_per(trace: &mut Vec<TraceLine>, rule: &Rule, scope: &Scope) {
    if trace.iter().all(|line| line.depth > 0 || line.outcome == Outcome::Yes) {
        trace.extend(rule.once_per.as_ref().and_then(|once_per| once_per.trace(scope)));
    }
}

/// The values that rules with secrets read, because they may compare them.
fn exposed<'r>(rules: impl Iterator<Item = &'r Rule>) -> Exposed {
    let mut exposed = Exposed::default();
    for rule in rules {
        let fields: Vec<&Field> = rule.fields().collect();
        if !fields.iter().any(|field| matches!(field.root, Root::Secret(_))) {
            continue;
        }
        for field in fields {
            match &field.root {
                Root::Header(Some(name)) => drop(exposed.headers.insert(name.to_ascii_lowercase())),
                Root::Header(None) => exposed.all_headers = true,
                Root::Query => exposed.query = true,
                _ => {}
            }
        }
        for (condition, set) in rule.conditions() {
            let secrets = OutsideUse::of(set, &is_secret);
            for field in condition.lines().into_iter().flat_map(|line| secrets.compared_in(line)) {
                match (&field.root, field.parts().first()) {
                    (Root::Header(Some(name)), _) => drop(exposed.compared_headers.insert(name.to_ascii_lowercase())),
                    (Root::Query, Some(PathPart::Name(name))) => drop(exposed.compared_query.insert(name.clone())),
                    _ => {}
                }
            }
        }
    }
    exposed
}
