//! Starts rules at their moments. How far each has come is kept by the store; the rest follows from the calendar, so a restart,
//! a second Doorbell on the same store, or a clock that is set changes nothing about when rules start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::starter::{Start, Starter};
use crate::model::event::EventId;
use crate::rule::ruleset::InForce;
use crate::schedule::timetable::{Look, Timetable};
use crate::store::contract::{Error, ScheduleProgress, WaitingRuns};

/// How often the clock and the rules are looked at, at least: either may change at any time.
const LOOK: Duration = Duration::from_secs(1);

/// Starts rules at their moments.
pub struct Timekeeper {
    pub starter: Starter,
    /// Whether Doorbell is about to end, and starts nothing new.
    pub stopping: Arc<AtomicBool>,
}

/// The rules that start by themselves, with how far each has come and when it starts next.
#[derive(Default)]
struct Agenda {
    /// The rules that this was made for.
    made_for: Option<Arc<InForce>>,
    entries: BTreeMap<String, Entry>,
}

struct Entry {
    progress: ScheduleProgress,
    next: Option<Timestamp>,
    /// The event of the last start.
    event: Option<EventId>,
}

impl Timekeeper {
    /// Starts what is due, again and again; never returns.
    pub async fn run(&self) {
        let mut agenda = Agenda::default();
        let mut is_told = false;
        loop {
            match self.look(&mut agenda, Timestamp::now()).await {
                Ok(()) => is_told = false,
                // What could not be saved is still due.
                Err(e) => {
                    if !std::mem::replace(&mut is_told, true) {
                        tracing::error!("rules that start by themselves wait, because nothing can be saved: {e}");
                    }
                    tokio::time::sleep(LOOK).await;
                }
            }
            let next = agenda.entries.values().filter_map(|entry| entry.next).min();
            let pause = next.map_or(LOOK, |next| next.duration_since(Timestamp::now()).try_into().unwrap_or_default());
            tokio::time::sleep(pause.clamp(Duration::from_millis(1), LOOK)).await;
        }
    }

    async fn look(&self, agenda: &mut Agenda, now: Timestamp) -> Result<(), Error> {
        let in_force = self.starter.rules.load_full();
        if !agenda.made_for.as_ref().is_some_and(|before| Arc::ptr_eq(before, &in_force)) {
            agenda.entries = self.adopt(&in_force, now).await?;
            agenda.made_for = Some(in_force.clone());
        }
        for (rule, timetable) in in_force.ruleset.scheduled() {
            if self.stopping.load(Ordering::Relaxed) {
                return Ok(());
            }
            let Some(entry) = agenda.entries.get_mut(&*rule.name) else { continue };
            if entry.next.is_some_and(|next| next <= now) || entry.progress.since > now {
                self.settle(&rule.name, timetable, entry, now).await?;
            }
        }
        Ok(())
    }

    /// Starts the rule if it is due, and works out when it starts next.
    async fn settle(&self, name: &str, timetable: &Timetable, entry: &mut Entry, now: Timestamp) -> Result<(), Error> {
        match timetable.look(entry.progress.since, now) {
            Look::Later => {}
            Look::GoOnFrom(moment) => {
                let progress = ScheduleProgress { since: moment, ..entry.progress.clone() };
                self.starter.store.set_schedules(vec![progress.clone()], Vec::new()).await?;
                entry.progress = progress;
            }
            Look::Start(due) => {
                let start = Start { planned: due.planned, previous: entry.progress.last, missed: due.missed, is_by_hand: false };
                match self.starter.start(name, start).await? {
                    Some(event) => {
                        entry.progress.since = due.planned;
                        entry.progress.last = Some(due.planned);
                        if let Some(before) = entry.event.replace(event) {
                            self.take_the_place_of(before, name).await?;
                        }
                    }
                    // Somebody else has started it: go on from there.
                    None => {
                        let known = self.starter.store.schedules().await?;
                        match known.into_iter().find(|one| one.rule == name) {
                            Some(progress) if progress.since > entry.progress.since => entry.progress = progress,
                            _ => entry.progress.since = due.planned,
                        }
                    }
                }
            }
        }
        entry.next = timetable.next(entry.progress.since.max(now.min(entry.progress.since)));
        Ok(())
    }

    /// At most one moment of a rule waits for an earlier run of it: a newer one takes its place.
    async fn take_the_place_of(&self, before: EventId, rule: &str) -> Result<(), Error> {
        let waiting = WaitingRuns { event: Some(before), rule: Some(rule.to_owned()), queued: true };
        let cancelled = self.starter.store.cancel(waiting, Timestamp::now()).await?;
        if cancelled.runs > 0 {
            tracing::info!(rule, event = %before, "run was still waiting for the one before it, so the newer one takes its place");
        }
        Ok(())
    }

    /// What these rules go on from. A rule that is new, was switched off, or has another schedule, begins now: it has missed
    /// nothing.
    async fn adopt(&self, in_force: &InForce, now: Timestamp) -> Result<BTreeMap<String, Entry>, Error> {
        let known = self.starter.store.schedules().await?;
        let mut gone: BTreeSet<String> = known.iter().map(|one| one.rule.clone()).collect();
        let mut known: BTreeMap<String, ScheduleProgress> = known.into_iter().map(|one| (one.rule.clone(), one)).collect();
        let (mut entries, mut begun) = (BTreeMap::new(), Vec::new());
        for (rule, timetable) in in_force.ruleset.scheduled() {
            gone.remove(&*rule.name);
            let timing = timetable.fingerprint();
            let before = known.remove(&*rule.name);
            let progress = match before {
                Some(before) if before.timing == timing => before,
                before => {
                    let last = before.and_then(|before| before.last);
                    let progress = ScheduleProgress { rule: rule.name.to_string(), timing, since: now, last };
                    begun.push(progress.clone());
                    progress
                }
            };
            let next = timetable.next(progress.since);
            entries.insert(rule.name.to_string(), Entry { progress, next, event: None });
        }
        if !begun.is_empty() || !gone.is_empty() {
            self.starter.store.set_schedules(begun, gone.into_iter().collect()).await?;
        }
        Ok(entries)
    }
}
