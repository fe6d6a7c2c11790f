//! `failed: any` and `failed: [Orders]`: a rule that starts when a run of another rule has failed for good.

use crate::yaml::fields::Item;
use crate::yaml::locate::Path;

/// The word for all rules.
const ANY: &str = "any";

/// The rules whose failures start a rule.
#[derive(Debug, Clone, Default)]
pub struct FailedRules {
    /// All others.
    any: bool,
    /// These, and where they are named.
    named: Vec<(String, Path)>,
}

impl FailedRules {
    /// Whether a failed run of this rule is one of them; a rule never starts because it has failed itself.
    pub fn include(&self, failed: &str, own: &str) -> bool {
        failed != own && (self.any || self.named.iter().any(|(name, _)| name == failed))
    }

    /// `a run of any other rule fails`
    pub fn said(&self) -> String {
        if self.any {
            return "a run of any other rule fails".to_owned();
        }
        let names: Vec<String> = self.named.iter().map(|(name, _)| format!("`{name}`")).collect();
        format!("a run of {} fails", names.join(" or "))
    }

    /// The first rule that it names.
    pub fn example(&self) -> &str {
        self.named.first().map_or("New orders", |(name, _)| name)
    }

    /// The names, and where they are.
    pub(super) fn named(&self) -> &[(String, Path)] {
        &self.named
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.any && self.named.is_empty()
    }
}

/// Reads `failed:` of one map under `when:`, and adds what it names.
pub(super) fn read(item: &Item, all: &mut FailedRules) {
    for one in item.one_or_more("write `any`, or the names of rules: [New orders, Refunds]").unwrap_or_default() {
        let Some(name) = one.text() else { continue };
        match name == ANY && one.path == item.path {
            true => all.any = true,
            false => all.named.push((name, one.path.clone())),
        }
    }
}
