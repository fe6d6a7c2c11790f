//! The rule that a run began with: still current, or compiled again from its stored file.
//!
//! Compiled rules are cached while the secrets in them are unchanged. Failures are not cached: a secret's file that is
//! missing for a moment must not make the run fail.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use crate::model::run::{Run, TextHash};
use crate::rule::Rule;
use crate::rule::ruleset::InForce;
use crate::secret::Vault;
use crate::store::contract::{Error, Store};

/// The maximum number of compiled rules in the cache; above that it is emptied.
const MOST: usize = 1_000;

/// Compiles rules from stored files, for runs that began with them.
pub trait OldRules: Send + Sync {
    /// One rule, with the secrets that it names: `file` and `text` are the stored file's name and content, `rule` is the
    /// rule's name.
    fn read(&self, file: String, text: String, rule: &str) -> Result<(Rule, Vault), Unready>;
    /// Whether secrets still have the values they had when the rule was compiled.
    fn are_current(&self, secrets: &Vault) -> bool;
}

/// Why a run's rule is not available.
pub enum Unready {
    /// Something outside Doorbell is missing, such as a secret's file; it may come back.
    Missing(String),
    /// This version of Doorbell cannot read its file.
    Unreadable(String),
    /// The store cannot be read right now.
    Store(Error),
}

/// A rule with the secrets that it was loaded with.
#[derive(Clone)]
pub struct Ready {
    pub rule: Arc<Rule>,
    pub vault: Arc<Vault>,
}

/// The current rules, and cached rules from older files.
pub struct RulesOfRuns {
    in_force: Arc<ArcSwap<InForce>>,
    reader: Box<dyn OldRules>,
    /// By file hash and rule name.
    old: Mutex<HashMap<(TextHash, Arc<str>), Ready>>,
}

impl RulesOfRuns {
    pub fn new(in_force: Arc<ArcSwap<InForce>>, reader: Box<dyn OldRules>) -> Self {
        Self { in_force, reader, old: Mutex::default() }
    }

    /// The current rules.
    pub fn in_force(&self) -> Arc<InForce> {
        self.in_force.load_full()
    }

    /// The rule of a run, as it was when its event arrived.
    pub async fn of(&self, run: &Run, store: &dyn Store) -> Result<Ready, Unready> {
        {
            let in_force = self.in_force.load();
            if let Some(rule) = in_force.ruleset.rules.iter().find(|r| r.name == run.rule && r.text == run.text) {
                return Ok(Ready { rule: rule.clone(), vault: in_force.ruleset.vault.clone() });
            }
        }
        let key = (run.text.clone(), run.rule.clone());
        let lock = || self.old.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let known = lock().get(&key).cloned();
        if let Some(ready) = known.filter(|ready| self.reader.are_current(&ready.vault)) {
            return Ok(ready);
        }
        let kept = store.text(run.text.clone()).await.map_err(Unready::Store)?;
        let (file, text) = kept.ok_or_else(|| Unready::Unreadable("its text is missing from the store".to_owned()))?;
        let (rule, vault) = self.reader.read(file, text, &run.rule)?;
        let ready = Ready { rule: Arc::new(rule), vault: Arc::new(vault) };
        let mut old = lock();
        if old.len() >= MOST {
            old.clear();
        }
        old.insert(key, ready.clone());
        Ok(ready)
    }
}
