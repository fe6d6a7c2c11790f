//! Reloading: makes a new ruleset from the rules folder and the secrets; if that fails, the old one stays in use.
//!
//! Folders are watched, never single files: an atomic save or a Kubernetes swap replaces the file, and a watch on the old
//! file would see no more changes. A notification only means "look"; whether anything changed is decided by content. A
//! slow poll covers disks without notifications. Files are read in a separate thread, where a panic is reported like any
//! other problem.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::task::{JoinError, spawn_blocking};

use crate::engine::rules::environment::{RuleFiles, read_rules};
use crate::engine::tallies::counters::Counters;
use crate::planted::{Point, crash};
use crate::problem::{Problem, draw_all};
use crate::rule::Rule;
use crate::rule::load::Loaded;
use crate::rule::ruleset::{InForce, Ruleset};
use crate::secret::Secret;
use crate::store::audit::Audit;
use crate::store::contract::Store;

/// How long to wait after a notification, so that a `git pull` is seen as one change.
const SETTLE: Duration = Duration::from_millis(300);
/// How often to look without a notification.
const POLL: Duration = Duration::from_secs(10);

/// Compiles the rules in files that were read.
pub type Load = Arc<dyn Fn(RuleFiles) -> anyhow::Result<Loaded> + Send + Sync>;

/// The current values of these secrets.
pub type Secrets = Arc<dyn Fn(Vec<String>) -> Vec<Option<Secret>> + Send + Sync>;

/// The errors in the last edit; empty if the current rules are those in the folder.
pub type LastEditProblems = Arc<Mutex<Vec<Problem>>>;

/// Keeps the current rules up to date with a folder.
pub struct Watch {
    pub folder: PathBuf,
    pub load: Load,
    pub rules: Arc<ArcSwap<InForce>>,
    pub store: Arc<dyn Store>,
    pub last_edit: LastEditProblems,
    pub secrets: Secrets,
    /// Requests a reload, whether or not a file was changed.
    pub again: Arc<Notify>,
    /// Who edited a file is not known here; what was changed is.
    pub audit: Arc<Audit>,
    pub counters: Arc<Counters>,
}

/// The files and secrets of the last load attempt; if they are unchanged, there is nothing to do.
///
/// Always built from what a load was given: if the folder were read at another moment, an edit in between would count as
/// loaded.
#[derive(PartialEq)]
struct Tried {
    /// Names, and the hashes of the contents; for an unreadable file, the reason.
    files: BTreeMap<String, String>,
    /// In the order of the names that the current rules use.
    secrets: Vec<Option<Secret>>,
}

impl Tried {
    fn new(files: &RuleFiles, secrets: Vec<Option<Secret>>) -> Self {
        let read = files.sources.iter().map(|s| (s.name.clone(), crate::model::hash::hash(s.text.as_bytes())));
        Self { files: read.chain(files.problems.iter().map(|p| (p.file.clone(), p.message.clone()))).collect(), secrets }
    }

    /// What the current rules were made from.
    fn of(ruleset: &Ruleset) -> Self {
        let files = ruleset.texts.iter().map(|(hash, source)| (source.name.clone(), hash.to_string())).collect();
        let secrets = ruleset.vault.names().iter().map(|name| ruleset.vault.secret(name).cloned()).collect();
        Self { files, secrets }
    }
}

impl Watch {
    /// Watches the folder; never returns.
    pub async fn run(&self) {
        let hints = Hints::of(&self.folder, notify::recommended_watcher);
        let mut tried = Tried::of(&self.rules.load().ruleset);
        let mut asked = false;
        loop {
            crash(Point::Watch);
            self.look(&mut tried, asked).await;
            asked = tokio::select! {
                () = hints.next() => {
                    tokio::time::sleep(SETTLE).await;
                    false
                }
                () = self.again.notified() => true,
                () = tokio::time::sleep(POLL) => false,
            };
        }
    }

    /// Reads the folder, and reloads if it differs from the last attempt, or if a reload was requested.
    async fn look(&self, tried: &mut Tried, asked: bool) {
        let (folder, secrets) = (self.folder.clone(), self.secrets.clone());
        let names = self.rules.load().ruleset.vault.names();
        let (secrets, files) = match spawn_blocking(move || (secrets(names), read_rules(&folder))).await {
            Ok(read) => read,
            Err(e) => return self.crashed(e),
        };
        let now = Tried::new(&files, secrets);
        if asked || now != *tried {
            let is_refused = self.reload(files).await;
            // Anything else that is not in use by now is tried again next time.
            *tried = if is_refused { now } else { Tried::of(&self.rules.load().ruleset) };
        }
    }

    /// Makes the rules in these files the current ones. Returns whether they were rejected: then the old rules stay until
    /// something changes.
    async fn reload(&self, files: RuleFiles) -> bool {
        let load = self.load.clone();
        let loaded = match spawn_blocking(move || load(files)).await {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(e)) => {
                self.refuse(format!("the rules could not be read: {e:#}"), "fix this, then save a rule file or send SIGHUP");
                return true;
            }
            Err(e) => {
                self.crashed(e);
                return true;
            }
        };
        let Some(ruleset) = loaded.ruleset else {
            tracing::error!("rules have problems after an edit; the old rules stay in use\n{}", draw_all(&loaded.problems));
            self.counters.failed_reloads.one();
            self.show(loaded.problems);
            return true;
        };
        match in_force(ruleset, self.store.as_ref()).await {
            Ok(new) => {
                let said = difference(&self.rules.load().ruleset, &new.ruleset);
                self.counters.adopt(&new.ruleset, Timestamp::now());
                self.counters.reloads.one();
                self.rules.store(Arc::new(new));
                self.show(Vec::new());
                tracing::info!("rules reloaded: {said}");
                self.audit.write(Timestamp::now(), None, format!("reloaded the rules: {said}"));
            }
            Err(e) => {
                let help = format!("check the disk of the data folder; Doorbell tries again every {} seconds", POLL.as_secs());
                self.refuse(format!("the new rules could not be saved: {e}"), &help);
            }
        }
        false
    }

    /// Reading the rules panicked, or the program is ending.
    fn crashed(&self, e: JoinError) {
        let Ok(panic) = e.try_into_panic() else { return };
        let said =
            panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        self.refuse(
            format!("the rules could not be read: Doorbell crashed while reading them ({said})"),
            "undo the last edit, and please report this",
        );
    }

    fn refuse(&self, message: String, help: &str) {
        tracing::error!("{message}; the old rules stay in use; {help}");
        self.counters.failed_reloads.one();
        self.show(vec![Problem::of_file(&self.folder.to_string_lossy(), message, help)]);
    }

    fn show(&self, problems: Vec<Problem>) {
        *self.last_edit.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = problems;
    }
}

/// Notifies when something below a folder may have changed; never, if the system does not support that.
struct Hints {
    /// A channel would also wake up when its sender is gone.
    changed: Arc<Notify>,
    _watcher: Option<RecommendedWatcher>,
}

/// A watcher's callback.
type Handler = Box<dyn FnMut(notify::Result<notify::Event>) + Send>;

impl Hints {
    fn of(folder: &Path, watcher: impl FnOnce(Handler) -> notify::Result<RecommendedWatcher>) -> Self {
        let changed = Arc::new(Notify::new());
        let hint = changed.clone();
        let told = move |event: notify::Result<notify::Event>| {
            // Reading the files is reported too, but is not a change.
            if event.is_ok_and(|e| !matches!(e.kind, EventKind::Access(_))) {
                hint.notify_one();
            }
        };
        let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let (watcher, error) = match watcher(Box::new(told)) {
            Ok(mut watcher) => {
                let error = watcher.watch(&real, RecursiveMode::Recursive).err();
                (Some(watcher), error)
            }
            Err(e) => (None, Some(e)),
        };
        if let Some(e) = error {
            tracing::warn!(
                "rules folder {} cannot be watched ({e}), so it is read every {} seconds instead; to apply edits immediately, raise \
                 the limits fs.inotify.max_user_instances and fs.inotify.max_user_watches and restart Doorbell, or send SIGHUP after an edit",
                folder.display(),
                POLL.as_secs(),
            );
        }
        Self { changed, _watcher: watcher }
    }

    async fn next(&self) {
        self.changed.notified().await;
    }
}

/// Makes rules the current ones: their files are stored first, so that a run can always finish with the rule it began
/// with.
pub async fn in_force(ruleset: Ruleset, store: &dyn Store) -> Result<InForce, crate::store::contract::Error> {
    let texts = ruleset.texts.iter().map(|(hash, source)| (hash.clone(), source.name.clone(), source.text.clone())).collect();
    let number = store.remember(texts, Timestamp::now()).await?;
    Ok(InForce { ruleset, number })
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

/// A few names, or how many there are.
fn named<'r>(rules: impl Iterator<Item = &'r Arc<Rule>>) -> String {
    let names: Vec<String> = rules.map(|r| format!("`{}`", r.name)).collect();
    if names.len() > 5 { format!("{} rules", names.len()) } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Waker};

    use super::*;
    use crate::expr::names::Resolver;
    use crate::rule::load::load;

    /// A folder with one rule, which is in force.
    struct Fixture {
        dir: tempfile::TempDir,
        /// The current value of the secret.
        secret: Arc<Mutex<String>>,
    }

    impl Fixture {
        fn new() -> Self {
            let fixture = Self { dir: tempfile::tempdir().unwrap(), secret: Arc::new(Mutex::new("one".into())) };
            std::fs::create_dir(fixture.folder()).unwrap();
            fixture.edit("A");
            fixture
        }

        fn folder(&self) -> PathBuf {
            self.dir.path().join("rules")
        }

        /// Replaces the rule file by one with a rule of this name.
        fn edit(&self, name: &str) {
            save(&self.folder(), name);
        }

        fn reader(&self) -> impl Fn(RuleFiles) -> anyhow::Result<Loaded> + Send + Sync + use<> {
            let secret = self.secret.clone();
            move |files| {
                let secret = |_: &str| Some(secret.lock().unwrap().clone());
                Ok(load(files.sources, Resolver::new(&secret, &|_| None, &|_| None), false))
            }
        }

        async fn watch(&self, load: impl Fn(RuleFiles) -> anyhow::Result<Loaded> + Send + Sync + 'static) -> Watch {
            let store = crate::store::open(self.dir.path(), &None).unwrap();
            let loaded = self.reader()(read_rules(&self.folder())).unwrap();
            let rules = in_force(loaded.ruleset.unwrap(), store.as_ref()).await.unwrap();
            let secret = self.secret.clone();
            Watch {
                folder: self.folder(),
                load: Arc::new(load),
                rules: Arc::new(ArcSwap::from_pointee(rules)),
                store,
                last_edit: LastEditProblems::default(),
                secrets: Arc::new(move |names| names.iter().map(|_| Some(Secret::new(secret.lock().unwrap().clone()))).collect()),
                again: Arc::default(),
                audit: Arc::new(Audit::of(self.dir.path())),
                counters: Arc::default(),
            }
        }
    }

    fn save(folder: &Path, name: &str) {
        let text = format!("rules: {{ {name}: {{ when: {{ webhook: /a }}, then: [ log: \"{{{{ secret.S }}}}\" ] }} }}\n");
        std::fs::write(folder.join("a.yaml"), text).unwrap();
    }

    fn name(watch: &Watch) -> String {
        watch.rules.load().ruleset.rules[0].name.to_string()
    }

    #[tokio::test]
    async fn an_edit_before_the_first_look_takes_effect() {
        let fixture = Fixture::new();
        let watch = fixture.watch(fixture.reader()).await;
        let mut tried = Tried::of(&watch.rules.load().ruleset);
        fixture.edit("B");
        watch.look(&mut tried, false).await;
        assert_eq!(name(&watch), "B");
    }

    #[tokio::test]
    async fn an_edit_while_files_are_loaded_takes_effect_at_the_next_look() {
        let fixture = Fixture::new();
        let (reader, folder, loads) = (fixture.reader(), fixture.folder(), Arc::new(AtomicUsize::new(0)));
        let (counted, secret) = (loads.clone(), fixture.secret.clone());
        let watch = fixture
            .watch(move |files| {
                if counted.fetch_add(1, Ordering::Relaxed) == 0 {
                    save(&folder, "C");
                    *secret.lock().unwrap() = "two".into();
                }
                reader(files)
            })
            .await;
        let mut tried = Tried::of(&watch.rules.load().ruleset);
        fixture.edit("B");
        watch.look(&mut tried, false).await;
        assert_eq!(name(&watch), "B", "the files are loaded as they were read");
        watch.look(&mut tried, false).await;
        assert_eq!(name(&watch), "C");
        assert_eq!(watch.rules.load().ruleset.vault.secret("S").unwrap().reveal(), "two");
        watch.look(&mut tried, false).await;
        assert_eq!(loads.load(Ordering::Relaxed), 2, "rules that are in force are not loaded again");
    }

    #[tokio::test]
    async fn a_panic_on_a_file_is_shown_and_the_old_rules_stay_until_the_next_edit() {
        let fixture = Fixture::new();
        let (reader, loads) = (fixture.reader(), Arc::new(AtomicUsize::new(0)));
        let counted = loads.clone();
        let watch =
            fixture.watch(move |files| if counted.fetch_add(1, Ordering::Relaxed) == 0 { panic!("at {}", 7) } else { reader(files) }).await;
        let mut tried = Tried::of(&watch.rules.load().ruleset);
        fixture.edit("B");
        for _ in 0..3 {
            watch.look(&mut tried, false).await;
        }
        assert_eq!((name(&watch).as_str(), loads.load(Ordering::Relaxed)), ("A", 1));
        assert_eq!(watch.last_edit.lock().unwrap()[0].message, "the rules could not be read: Doorbell crashed while reading them (at 7)");
        fixture.edit("C");
        watch.look(&mut tried, false).await;
        assert_eq!(name(&watch), "C");
        assert!(watch.last_edit.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn without_hints_from_the_system_nobody_is_woken() {
        let hints = Hints::of(Path::new("."), |_| Err(notify::Error::generic("no instance is left")));
        let mut next = Box::pin(hints.next());
        let mut context = Context::from_waker(Waker::noop());
        let woken = (0..1_000).filter(|_| next.as_mut().poll(&mut context).is_ready()).count();
        assert_eq!(woken, 0);
    }
}
