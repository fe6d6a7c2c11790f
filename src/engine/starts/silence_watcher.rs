//! Starts rules when nothing came to an address for so long, and when something comes again. Only time counts during which
//! Doorbell ran, since the rule was loaded or something was last accepted there. What rules were told is in the store, so that a
//! restart repeats nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::made::{self, Quiet};
use super::starter::Starter;
use crate::engine::intake::ears::{Ear, Ears};
use crate::model::event::EventId;
use crate::model::origin::is_request;
use crate::rule::Rule;
use crate::rule::ruleset::InForce;
use crate::rule::silent::Silence;
use crate::store::contract::{Error, EventFilter, Queries};
use crate::store::starts::{Claim, SilenceProgress};

/// How often the clock and the rules are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long what was heard is known only in memory.
const NOTE_AFTER: SignedDuration = SignedDuration::from_secs(5);
/// How many of the latest events are looked at for one that was not noted before a crash, or that another Doorbell accepted.
const LATEST: usize = 2_000;

/// Waits for silence.
pub struct SilenceWatcher {
    pub starter: Starter,
    pub queries: Arc<dyn Queries>,
    pub ears: Arc<Ears>,
    /// Whether Doorbell is about to end, and starts nothing new.
    pub stopping: Arc<AtomicBool>,
}

/// The rules that wait for silence.
#[derive(Default)]
struct Agenda {
    /// The rules that this was made for.
    made_for: Option<Arc<InForce>>,
    entries: BTreeMap<String, Entry>,
    /// When what was heard was noted.
    noted: Option<Timestamp>,
}

struct Entry {
    ear: Arc<Ear>,
    /// When the rule was loaded, or Doorbell was started.
    begin: Timestamp,
    /// As it is in the store.
    progress: SilenceProgress,
    /// When the silence is long enough, if it begins at the moment before.
    end: Option<(Timestamp, Option<Timestamp>)>,
}

impl Entry {
    /// When something was last heard, as far as this Doorbell knows.
    fn last(&self) -> Option<Timestamp> {
        self.ear.last().max(self.progress.last)
    }

    /// Since when the silence lasts. A clock that was ahead does not count.
    fn since(&self, now: Timestamp) -> Timestamp {
        let begin = if self.begin > now { now } else { self.begin };
        self.last().filter(|last| *last <= now).map_or(begin, |last| last.max(begin))
    }
}

impl SilenceWatcher {
    /// Watches; never returns.
    pub async fn run(&self) {
        let mut agenda = Agenda::default();
        let mut is_told = false;
        loop {
            match self.look(&mut agenda, Timestamp::now()).await {
                Ok(()) => is_told = false,
                Err(e) => {
                    if !std::mem::replace(&mut is_told, true) {
                        tracing::error!("rules that wait for silence wait longer, because nothing can be saved: {e}");
                    }
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn look(&self, agenda: &mut Agenda, now: Timestamp) -> Result<(), Error> {
        let in_force = self.starter.rules.load_full();
        if !agenda.made_for.as_ref().is_some_and(|before| Arc::ptr_eq(before, &in_force)) {
            self.adopt(agenda, &in_force, now).await?;
            agenda.made_for = Some(in_force.clone());
        }
        for (rule, silence) in in_force.ruleset.silences() {
            if self.stopping.load(Ordering::Relaxed) {
                break;
            }
            if let Some(entry) = agenda.entries.get_mut(&*rule.name) {
                self.watch(&in_force, rule, silence, entry, now).await?;
            }
        }
        // A clock that is set back must not keep anything from being noted.
        let is_due = agenda.noted.is_none_or(|noted| now.duration_since(noted).abs() >= NOTE_AFTER);
        if is_due && !agenda.entries.is_empty() {
            agenda.noted = Some(now);
            let is_waiting = |entry: &&Entry| entry.progress.told.is_none() && entry.ear.last() > entry.progress.last;
            let heard: Vec<SilenceProgress> = agenda.entries.values().filter(is_waiting).map(Self::heard).collect();
            if !heard.is_empty() {
                self.starter.store.set_silences(heard, Vec::new()).await?;
                self.refresh(agenda.entries.values_mut()).await?;
            }
        }
        Ok(())
    }

    fn heard(entry: &Entry) -> SilenceProgress {
        SilenceProgress { last: entry.last(), ..entry.progress.clone() }
    }

    /// Starts the rule if its silence has lasted long enough, or has ended.
    async fn watch(&self, in_force: &InForce, rule: &Rule, silence: &Silence, entry: &mut Entry, now: Timestamp) -> Result<(), Error> {
        let last = entry.last();
        let Some(told) = entry.progress.told else {
            let since = entry.since(now);
            if entry.end.is_none_or(|(before, _)| before != since) {
                entry.end = Some((since, silence.end(since)));
            }
            let is_over = entry.end.is_some_and(|(_, end)| end.is_some_and(|end| end <= now));
            if !is_over || self.was_heard_elsewhere(entry).await? {
                return Ok(());
            }
            let quiet = Quiet { address: silence.route.text(), last, previous: None };
            let event = made::silence(rule, quiet, &silence.zone, EventId(Uuid::now_v7()), now);
            let claim = Claim::Silence { rule: rule.name.clone(), last, now };
            self.starter.begin(in_force, event, Some(claim)).await?;
            return self.refresh(std::iter::once(entry)).await;
        };
        // What came before it was told does not end it.
        let Some(last) = entry.ear.last().filter(|last| *last > told) else { return Ok(()) };
        if silence.back {
            let quiet = Quiet { address: silence.route.text(), last: Some(last), previous: Some(entry.progress.last) };
            let event = made::silence(rule, quiet, &silence.zone, EventId(Uuid::now_v7()), now);
            self.starter.begin(in_force, event, Some(Claim::Sound { rule: rule.name.clone(), last })).await?;
        } else {
            self.starter.store.set_silences(vec![Self::heard(entry)], Vec::new()).await?;
        }
        self.refresh(std::iter::once(entry)).await
    }

    /// Whether another Doorbell on this store accepted something there.
    async fn was_heard_elsewhere(&self, entry: &mut Entry) -> Result<bool, Error> {
        let before = entry.last();
        self.hear_latest(std::slice::from_ref(&entry.ear)).await?;
        self.refresh(std::iter::once(&mut *entry)).await?;
        Ok(entry.last() > before || entry.progress.told.is_some())
    }

    /// Hears the latest events in the store.
    async fn hear_latest(&self, ears: &[Arc<Ear>]) -> Result<(), Error> {
        let found = self.queries.search(EventFilter::default(), None, LATEST, LATEST).await?;
        for event in found.events.iter().filter(|event| is_request(&event.method)) {
            ears.iter().for_each(|ear| ear.hear(&event.address, event.received));
        }
        Ok(())
    }

    /// Reads again what is in the store.
    async fn refresh<'e>(&self, entries: impl Iterator<Item = &'e mut Entry>) -> Result<(), Error> {
        let mut known: BTreeMap<String, SilenceProgress> =
            self.starter.store.silences().await?.into_iter().map(|one| (one.rule.clone(), one)).collect();
        for entry in entries {
            if let Some(progress) = known.remove(&entry.progress.rule) {
                entry.progress = progress;
            }
        }
        Ok(())
    }

    /// What these rules go on from. A rule that is new, was switched off, or waits for something else, begins now.
    async fn adopt(&self, agenda: &mut Agenda, in_force: &InForce, now: Timestamp) -> Result<(), Error> {
        let is_first = agenda.made_for.is_none();
        if !is_first && agenda.entries.is_empty() && in_force.ruleset.silences().next().is_none() {
            return Ok(());
        }
        let known = self.starter.store.silences().await?;
        let mut gone: BTreeSet<String> = known.iter().map(|one| one.rule.clone()).collect();
        let mut entries = BTreeMap::new();
        for (rule, silence) in in_force.ruleset.silences() {
            gone.remove(&*rule.name);
            let timing = silence.fingerprint();
            let before = agenda.entries.remove(&*rule.name).filter(|before| before.progress.timing == timing);
            let entry = before.unwrap_or_else(|| Entry {
                ear: Arc::new(Ear::new(silence.route.clone())),
                begin: now,
                progress: SilenceProgress { rule: rule.name.to_string(), timing, last: None, told: None },
                end: None,
            });
            entries.insert(rule.name.to_string(), entry);
        }
        let noted = entries.values().map(|entry: &Entry| SilenceProgress { last: None, ..entry.progress.clone() }).collect();
        self.starter.store.set_silences(noted, gone.into_iter().collect()).await?;
        self.refresh(entries.values_mut()).await?;
        agenda.entries = entries;
        // They listen before the latest event is looked for, so that none is missed in between.
        let ears: Vec<Arc<Ear>> = agenda.entries.values().map(|entry| entry.ear.clone()).collect();
        self.ears.replace(ears.clone());
        if ears.is_empty() { Ok(()) } else { self.hear_latest(&ears).await }
    }
}
