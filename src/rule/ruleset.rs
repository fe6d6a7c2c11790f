//! The set of all rules and addresses, immutable, replaced as a whole: which rules an event starts, and why the others do
//! not.
//!
//! [`Rule`] decides how one rule is started, and [`super::index`] finds the candidates.

use std::sync::Arc;

use serde_json::Map;

use super::address::Address;
use super::index::Index;
use super::{Rule, Started, UNDECIDED};
use crate::expr::condition::trace::{self, TraceLine};
use crate::expr::projection::Projection;
use crate::model::budget::Allowance;
use crate::model::event::Event;
use crate::model::run::TextHash;
use crate::route::{self, Routes};
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
    /// Every file, by the hash of its content.
    pub texts: Vec<(TextHash, Arc<Source>)>,
    index: Index,
}

/// The current rules, and their number in the store.
pub struct InForce {
    pub ruleset: Ruleset,
    pub number: i64,
}

impl Ruleset {
    pub fn new(rules: Vec<Arc<Rule>>, mut addresses: Vec<Address>, vault: Arc<Vault>, texts: Vec<(TextHash, Arc<Source>)>) -> Self {
        let enabled = rules.iter().filter(|r| r.enabled);
        let called: Routes<&Rule> = enabled.flat_map(|r| r.when.iter().map(|w| (w.route.clone(), &**r))).collect();
        for address in &mut addresses {
            // Every rule that some path of this address can start, with any pattern.
            let fields = called.meeting(&address.route).into_iter().flat_map(|(_, rule)| rule.fields());
            address.wanted = Projection::of(fields.chain(&address.delivery_id));
        }
        let index = Index::new(&rules, &addresses);
        Self { rules, addresses, vault, texts, index }
    }

    /// The address for a path, if a rule listens there.
    pub fn address(&self, path: &str) -> Option<&Address> {
        self.address_number(path).map(|n| &self.addresses[n])
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
            if rule.condition.holds(&scope()) == Ok(true) {
                trace.extend(rule.once_per.as_ref().and_then(|o| o.trace(&scope())));
            }
            Verdict { rule, starts: rule.start(&scope()).map(|s| s.step), trace }
        };
        self.rules.iter().filter(|r| r.is_called_by(event)).map(verdict).collect()
    }
}
