//! Reloading: makes a new ruleset from the rules folder and the secrets; if that fails, the old one stays in use.
//!
//! Folders are watched, never single files: an atomic save or a Kubernetes swap replaces the file, and a watch on the old
//! file would see no more changes. A notification only means "look"; whether anything changed is decided by content. A
//! slow poll covers disks without notifications. Files are read in a thread of their own, where a panic is reported like any
//! other problem, and so is a disk that does not answer.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use crate::engine::rules::editors::Editors;
use crate::engine::rules::folder::{RuleFiles, read_rules};
use crate::engine::tallies::counters::Counters;
use crate::engine::task::own_thread::{Ended, own_thread};
use crate::planted::{Point, crash};
use crate::problem::{Problem, Severity, draw_all};
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
/// How long reading the rules and secrets may take before it is reported.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Compiles the rules in files that were read.
pub type Load = Arc<dyn Fn(RuleFiles) -> anyhow::Result<Loaded> + Send + Sync>;

/// The current values of these secrets.
pub type Secrets = Arc<dyn Fn(Vec<String>) -> Vec<Option<Secret>> + Send + Sync>;

/// The errors in the last edit; empty if the current rules are those in the folder.
pub type LastEditProblems = Arc<Mutex<Vec<Problem>>>;

/// Who brought rules that nobody changed through Doorbell, and those that are in the folder at a start.
const IN_THE_FOLDER: &str = "an edit in the rules folder";
pub const AT_START: &str = "the start of Doorbell";

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
    /// See [`PATIENCE`].
    pub patience: Duration,
    /// Who changed files through Doorbell.
    pub editors: Arc<Editors>,
    /// Who edited a file in the folder is not known here; what was changed is.
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
        let errors = files.problems.iter().filter(|p| p.severity == Severity::Error).map(|p| (p.file.clone(), p.message.clone()));
        Self { files: read.chain(errors).collect(), secrets }
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
        let mut hints = Hints::of(&self.folder, notify::recommended_watcher);
        let mut tried = Tried::of(&self.rules.load().ruleset);
        let mut asked = false;
        loop {
            crash(Point::Watch);
            let folders = self.look(&mut tried, asked).await;
            if !folders.is_empty() {
                hints.watch(folders);
            }
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

    /// Reads the folder, and reloads if it differs from the last attempt, or if a reload was requested. Returns the folders
    /// that were read.
    async fn look(&self, tried: &mut Tried, asked: bool) -> Vec<PathBuf> {
        let (folder, secrets) = (self.folder.clone(), self.secrets.clone());
        let names = self.rules.load().ruleset.vault.names();
        let (secrets, mut files) = match self.in_time(move || (secrets(names), read_rules(&folder))).await {
            Ok(read) => read,
            Err(e) => {
                self.crashed(e);
                return Vec::new();
            }
        };
        let (now, folders) = (Tried::new(&files, secrets), std::mem::take(&mut files.folders));
        if asked || now != *tried {
            let is_refused = self.reload(files).await;
            // Anything else that is not in use by now is tried again next time.
            *tried = if is_refused { now } else { Tried::of(&self.rules.load().ruleset) };
        }
        folders
    }

    /// Runs work that may never end. While it takes too long, that is shown in place of the problems in the last edit.
    async fn in_time<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Ended> {
        let mut done = std::pin::pin!(own_thread(work));
        tokio::select! {
            done = &mut done => return done,
            () = tokio::time::sleep(self.patience) => {}
        }
        let before = self.last_edit.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let said = format!("the rules and secrets could not be read within {} seconds", self.patience.as_secs());
        self.refuse(said, "check the disk of the rules folder and the files that contain secrets; Doorbell is still waiting for them");
        let done = done.await;
        tracing::info!("rules and secrets were read after all");
        self.show(before);
        done
    }

    /// Makes the rules in these files the current ones. Returns whether they were rejected: then the old rules stay until
    /// something changes.
    async fn reload(&self, files: RuleFiles) -> bool {
        let (load, editors) = (self.load.clone(), self.editors.take());
        let loaded = match self.in_time(move || load(files)).await {
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
        let by = editors.unwrap_or_else(|| IN_THE_FOLDER.to_owned());
        match in_force(ruleset, by, self.store.as_ref()).await {
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

    /// Reading the rules panicked, or could not begin.
    fn crashed(&self, e: Ended) {
        match e {
            Ended::Panicked(said) => self.refuse(
                format!("the rules could not be read: Doorbell crashed while reading them ({said})"),
                "undo the last edit, and please report this",
            ),
            Ended::NotStarted(_) => self.refuse(
                "the rules could not be read: the system starts no more threads".to_owned(),
                "raise its limit of threads; Doorbell tries again every 10 seconds",
            ),
        }
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

/// Notifies when something in a folder that rules were read from may have changed; never, if the system does not support
/// that. Each folder is watched by itself: watching all below the first one would follow every link, to the whole disk.
struct Hints {
    root: PathBuf,
    /// A channel would also wake up when its sender is gone.
    changed: Arc<Notify>,
    watched: HashSet<PathBuf>,
    watcher: Option<RecommendedWatcher>,
}

/// A watcher's callback.
type Handler = Box<dyn FnMut(notify::Result<notify::Event>) + Send>;

impl Hints {
    fn of(root: &Path, watcher: impl FnOnce(Handler) -> notify::Result<RecommendedWatcher>) -> Self {
        let changed = Arc::new(Notify::new());
        let hint = changed.clone();
        let told = move |event: notify::Result<notify::Event>| {
            // Reading the files is reported too, but is not a change.
            if event.is_ok_and(|e| !matches!(e.kind, EventKind::Access(_))) {
                hint.notify_one();
            }
        };
        let watcher = watcher(Box::new(told));
        let mut hints = Self { root: root.to_owned(), changed, watched: HashSet::new(), watcher: None };
        match watcher {
            Ok(watcher) => {
                hints.watcher = Some(watcher);
                hints.watch(vec![root.to_owned()]);
            }
            Err(e) => hints.cannot_watch(&e),
        }
        hints
    }

    /// Watches these folders, too.
    fn watch(&mut self, folders: Vec<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        let real: HashSet<PathBuf> = folders.into_iter().map(|folder| folder.canonicalize().unwrap_or(folder)).collect();
        // A folder that is gone and comes back must be watched anew.
        let (kept, gone): (HashSet<PathBuf>, HashSet<PathBuf>) = self.watched.drain().partition(|folder| real.contains(folder));
        self.watched = kept;
        for folder in gone {
            // It may not exist any more.
            let _ = watcher.unwatch(&folder);
        }
        let mut failed = None;
        for folder in real {
            if self.watched.contains(&folder) {
                continue;
            }
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(folder);
                    // What changed since it was read was not noticed.
                    self.changed.notify_one();
                }
                // It was removed in the meantime.
                Err(_) if !folder.exists() => {}
                Err(e) => failed = Some(e),
            }
        }
        if let Some(e) = failed {
            self.watcher = None;
            self.cannot_watch(&e);
        }
    }

    fn cannot_watch(&self, e: &notify::Error) {
        tracing::warn!(
            "rules folder {} cannot be watched ({e}), so it is read every {} seconds instead; to apply edits immediately, raise \
             the limits fs.inotify.max_user_instances and fs.inotify.max_user_watches and restart Doorbell, or send SIGHUP after an edit",
            self.root.display(),
            POLL.as_secs(),
        );
    }

    async fn next(&self) {
        self.changed.notified().await;
    }
}

/// Makes rules the current ones: their files are stored first, so that a run can always finish with the rule it began
/// with. `by` is who brought them.
pub async fn in_force(ruleset: Ruleset, by: String, store: &dyn Store) -> Result<InForce, crate::store::contract::Error> {
    let texts = ruleset.texts.iter().map(|(hash, source)| (hash.clone(), source.name.clone(), source.text.clone())).collect();
    let number = store.remember(texts, by, Timestamp::now()).await?;
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
            let rules = in_force(loaded.ruleset.unwrap(), String::new(), store.as_ref()).await.unwrap();
            let secret = self.secret.clone();
            Watch {
                folder: self.folder(),
                load: Arc::new(load),
                rules: Arc::new(ArcSwap::from_pointee(rules)),
                store,
                last_edit: LastEditProblems::default(),
                secrets: Arc::new(move |names| names.iter().map(|_| Some(Secret::new(secret.lock().unwrap().clone()))).collect()),
                again: Arc::default(),
                patience: PATIENCE,
                editors: Arc::default(),
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
    async fn rules_that_take_too_long_to_read_are_reported_until_they_are_read() {
        let fixture = Fixture::new();
        let (reader, (go, wait)) = (fixture.reader(), std::sync::mpsc::channel());
        let wait = Mutex::new(wait);
        let load = move |files| {
            wait.lock().unwrap().recv().unwrap();
            reader(files)
        };
        let watch = Watch { patience: Duration::from_millis(1), ..fixture.watch(load).await };
        let mut tried = Tried::of(&watch.rules.load().ruleset);
        fixture.edit("B");
        let mut look = Box::pin(watch.look(&mut tried, false));
        let shown = || watch.last_edit.lock().unwrap().first().map(|p| p.message.clone());
        while shown().is_none() {
            tokio::select! {
                _ = &mut look => panic!("it did not wait"),
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
            }
        }
        assert_eq!(shown().unwrap(), "the rules and secrets could not be read within 0 seconds");
        assert_eq!(name(&watch), "A");
        go.send(()).unwrap();
        look.await;
        assert_eq!((name(&watch).as_str(), shown()), ("B", None));
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
