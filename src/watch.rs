//! The rules folder and the secrets -> a new ruleset, or the old one stays.
//!
//! Folders are watched, never single files: an atomic save or a Kubernetes swap replaces the file and would leave a
//! watch on it dead. A hint only says "look"; whether anything changed is decided by content. A slow poll serves disks
//! that give no hints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use notify::{EventKind, RecursiveMode, Watcher};
use tokio::sync::{Notify, mpsc};

use crate::problem::{Problem, draw_all};
use crate::rule::load::Loaded;
use crate::rule::{InForce, Rule, Ruleset};
use crate::store::contract::Store;
use crate::surroundings::read_rules;

/// How long after a hint the folder is looked at, so that a `git pull` is seen whole.
const SETTLE: Duration = Duration::from_millis(300);
/// How often the folder is looked at without a hint.
const POLL: Duration = Duration::from_secs(10);

/// Reads the rules folder.
pub type Load = Box<dyn Fn() -> anyhow::Result<Loaded> + Send + Sync>;

/// What these secrets are just now, as hashes: to see that one was changed.
pub type Secrets = Arc<dyn Fn(Vec<String>) -> Vec<Option<String>> + Send + Sync>;

/// What the last edit had wrong; empty when the folder and what is in force agree.
pub type Standing = Arc<Mutex<Vec<Problem>>>;

/// Keeps the rules in force up to date with a folder.
pub struct Watch {
    pub folder: PathBuf,
    pub load: Load,
    pub rules: Arc<ArcSwap<InForce>>,
    pub store: Arc<dyn Store>,
    pub standing: Standing,
    pub secrets: Secrets,
    /// Woken when everything is to be read again, whether or not a file was changed.
    pub again: Arc<Notify>,
}

impl Watch {
    /// Watches for ever. `seen` is the print of what was loaded at the start.
    pub async fn run(self, mut seen: BTreeMap<String, String>) {
        let (hint, mut hints) = mpsc::channel::<()>(1);
        let told = move |event: notify::Result<notify::Event>| {
            // Reading the files is reported too, and is no change.
            if event.is_ok_and(|e| !matches!(e.kind, EventKind::Access(_))) {
                let _ = hint.try_send(());
            }
        };
        let mut watcher = notify::recommended_watcher(told).ok();
        let real = self.folder.canonicalize().unwrap_or_else(|_| self.folder.clone());
        if let Some(watcher) = &mut watcher
            && let Err(e) = watcher.watch(&real, RecursiveMode::Recursive)
        {
            tracing::warn!("changes of the rules folder are only seen every {} seconds: {e}", POLL.as_secs());
        }
        let mut secrets = self.secrets().await;
        loop {
            let asked = tokio::select! {
                hinted = tokio::time::timeout(POLL, hints.recv()) => {
                    if hinted.is_ok() {
                        tokio::time::sleep(SETTLE).await;
                        while hints.try_recv().is_ok() {}
                    }
                    false
                }
                () = self.again.notified() => true,
            };
            let folder = self.folder.clone();
            let Ok(now) = tokio::task::spawn_blocking(move || print(&folder)).await else { continue };
            if asked || now != seen || self.secrets().await != secrets {
                seen = now;
                self.reload().await;
                secrets = self.secrets().await;
            }
        }
    }

    /// What the secrets of the rules in force are just now.
    async fn secrets(&self) -> Vec<Option<String>> {
        let (look, names) = (self.secrets.clone(), self.rules.load().ruleset.vault.names());
        tokio::task::spawn_blocking(move || look(names)).await.unwrap_or_default()
    }

    async fn reload(&self) {
        let loaded = match tokio::task::block_in_place(|| (self.load)()) {
            Ok(loaded) => loaded,
            Err(e) => return tracing::error!("the rules cannot be read, the old ones stay: {e:#}"),
        };
        let Some(ruleset) = loaded.ruleset else {
            tracing::error!("the rules were changed and have problems; the old ones stay in force\n{}", draw_all(&loaded.problems));
            *self.standing.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = loaded.problems;
            return;
        };
        match in_force(ruleset, self.store.as_ref()).await {
            Ok(new) => {
                let said = difference(&self.rules.load().ruleset, &new.ruleset);
                self.rules.store(Arc::new(new));
                self.standing.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
                tracing::info!("rules loaded anew: {said}");
            }
            Err(e) => tracing::error!("the new rules cannot be kept, the old ones stay: {e}"),
        }
    }
}

/// Puts rules in force: their texts are kept first, so that a run can always finish with the rule that it began with.
pub async fn in_force(ruleset: Ruleset, store: &dyn Store) -> Result<InForce, crate::store::contract::Error> {
    let texts = ruleset.texts.iter().map(|(hash, source)| (hash.clone(), source.name.clone(), source.text.clone())).collect();
    let number = store.remember(texts).await?;
    Ok(InForce { ruleset, number })
}

/// The folder's files and the hashes of what they hold.
pub fn print(folder: &Path) -> BTreeMap<String, String> {
    let (sources, problems) = read_rules(folder);
    let good = sources.into_iter().map(|s| (s.name, crate::run::hash(s.text.as_bytes())));
    good.chain(problems.into_iter().map(|p| (p.file, p.message))).collect()
}

/// What a reload changed, for people.
fn difference(old: &Ruleset, new: &Ruleset) -> String {
    let twin = |all: &[Arc<Rule>], rule: &Rule| all.iter().find(|r| r.name == rule.name).cloned();
    let added = new.rules.iter().filter(|r| twin(&old.rules, r).is_none());
    let changed = new.rules.iter().filter(|r| twin(&old.rules, r).is_some_and(|o| o.own_text() != r.own_text()));
    let removed = old.rules.iter().filter(|r| twin(&new.rules, r).is_none());
    let parts = [("added", named(added)), ("changed", named(changed)), ("removed", named(removed))];
    let parts: Vec<String> = parts.into_iter().filter(|(_, n)| !n.is_empty()).map(|(word, n)| format!("{word} {n}")).collect();
    if parts.is_empty() { "no rule changed".to_owned() } else { parts.join("; ") }
}

/// A few names, or how many they are.
fn named<'r>(rules: impl Iterator<Item = &'r Arc<Rule>>) -> String {
    let names: Vec<String> = rules.map(|r| format!("`{}`", r.name)).collect();
    if names.len() > 5 { format!("{} rules", names.len()) } else { names.join(", ") }
}
