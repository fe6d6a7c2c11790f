//! The addresses and rules that the current rule files name, each with its counters.

use std::collections::HashMap;
use std::sync::Arc;

use super::of_address::OfAddress;
use super::of_rule::{AtAddress, OfRule};
use crate::rule::ruleset::Ruleset;

/// The addresses and rules of the current rule files.
#[derive(Debug, Default)]
pub struct Listed {
    pub addresses: HashMap<Arc<str>, Arc<OfAddress>>,
    pub rules: HashMap<Arc<str>, OfRule>,
    pub other_address: Arc<OfAddress>,
    pub other_rule: OfRule,
}

impl Listed {
    pub(super) fn address(&self, route: &str) -> &OfAddress {
        self.addresses.get(route).unwrap_or(&self.other_address)
    }

    pub(super) fn rule(&self, name: &str) -> &OfRule {
        self.rules.get(name).unwrap_or(&self.other_rule)
    }

    /// The lists for new rules; what is in both keeps its numbers.
    pub(super) fn next(&self, ruleset: &Ruleset) -> Self {
        let addresses = ruleset.addresses.iter().map(|address| {
            let text: Arc<str> = address.route.text().into();
            let counted = self.addresses.get(&text).cloned().unwrap_or_default();
            (text, counted)
        });
        let rules = ruleset.rules.iter().map(|rule| {
            let before = self.rules.get(&rule.name);
            let at = rule.when.iter().filter(|_| rule.enabled).map(|when| {
                let known = before.and_then(|rule| rule.at.iter().find(|(route, _)| route.text() == when.route.text()));
                (when.route.clone(), known.map_or_else(Arc::<AtAddress>::default, |(_, at)| at.clone()))
            });
            let totals = before.map(|rule| rule.totals.clone()).unwrap_or_default();
            let by_itself = before.map(|rule| rule.by_itself.clone()).unwrap_or_default();
            (rule.name.clone(), OfRule { totals, at: at.collect(), by_itself })
        });
        Self {
            addresses: addresses.collect(),
            rules: rules.collect(),
            other_address: self.other_address.clone(),
            other_rule: OfRule { totals: self.other_rule.totals.clone(), ..OfRule::default() },
        }
    }
}
