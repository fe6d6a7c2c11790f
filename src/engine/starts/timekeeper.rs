//! Starts rules at their moments. How far each has come is kept by the store; the rest follows from the calendar, so a restart,
//! a second Doorbell on the same store, or a clock that is set changes nothing about when rules start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::{JoinError, JoinSet};

use super::made::Start;
use super::starter::Starter;
use crate::model::event::EventId;
use crate::rule::ruleset::InForce;
use crate::schedule::timetable::{Due, Look};
use crate::store::contract::Error;
use crate::store::starts::ScheduleProgress;

/// How often the clock and the rules are looked at, at least: either may change at any time.
const LOOK: Duration = Duration::from_secs(1);
/// How many rules are started at the same time: the store saves their events together.
const AT_A_TIME: usize = 64;

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
}

/// A rule that was to be started, and its event: nothing if the moment was used before.
type Started = (String, Due, Result<Option<EventId>, Error>);

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

    /// Starts everything that is due; an error of one rule holds up no other.
    async fn look(&self, agenda: &mut Agenda, now: Timestamp) -> Result<(), Error> {
        let in_force = self.starter.rules.load_full();
        if !agenda.made_for.as_ref().is_some_and(|before| Arc::ptr_eq(before, &in_force)) {
            agenda.entries = self.adopt(&in_force, now).await?;
            agenda.made_for = Some(in_force.clone());
        }
        let mut starting: JoinSet<Started> = JoinSet::new();
        let mut result = Ok(());
        for (rule, timetable) in in_force.ruleset.scheduled() {
            if self.stopping.load(Ordering::Relaxed) {
                break;
            }
            let Some(entry) = agenda.entries.get_mut(&*rule.name) else { continue };
            if entry.next.is_none_or(|next| next > now) && entry.progress.since <= now {
                continue;
            }
            match timetable.look(entry.progress.since, now) {
                Look::Later => entry.next = timetable.next(entry.progress.since),
                Look::GoOnFrom(moment) => {
                    if entry.progress.since > moment {
                        tracing::warn!(rule = %rule.name, "clock was more than a day ahead; the rule goes on from now");
                    }
                    let progress = ScheduleProgress { since: moment, ..entry.progress.clone() };
                    match self.starter.store.set_schedules(vec![progress.clone()], Vec::new()).await {
                        Ok(()) => (entry.progress, entry.next) = (progress, timetable.next(moment)),
                        Err(e) => result = Err(e),
                    }
                }
                Look::Start(due) => {
                    let start = Start { planned: due.planned, previous: entry.progress.last, missed: due.missed, is_by_hand: false };
                    let (starter, name) = (self.starter.clone(), rule.name.to_string());
                    starting.spawn(async move {
                        let started = starter.start(&name, start).await;
                        (name, due, started)
                    });
                }
            }
            if starting.len() >= AT_A_TIME
                && let Some(started) = starting.join_next().await
            {
                result = self.settle(&in_force, &mut agenda.entries, started).await.and(result);
            }
        }
        while let Some(started) = starting.join_next().await {
            result = self.settle(&in_force, &mut agenda.entries, started).await.and(result);
        }
        result
    }

    /// Notes how far a rule has come, and when it starts next.
    async fn settle(
        &self,
        in_force: &InForce,
        entries: &mut BTreeMap<String, Entry>,
        started: Result<Started, JoinError>,
    ) -> Result<(), Error> {
        let (name, due, started) = started.map_err(|_| Error::new("Doorbell crashed while starting a rule; please report it", true))?;
        let timetable = in_force.ruleset.rule(&name).and_then(|rule| rule.timetable.as_ref());
        let (Some(entry), Some(timetable)) = (entries.get_mut(&name), timetable) else { return Ok(()) };
        match started? {
            Some(_) => {
                entry.progress.since = due.planned;
                entry.progress.last = Some(due.planned);
            }
            None => self.catch_up(entry, due.planned).await?,
        }
        entry.next = timetable.next(entry.progress.since);
        Ok(())
    }

    /// The moment was used before, by another Doorbell on this store: go on from there.
    async fn catch_up(&self, entry: &mut Entry, planned: Timestamp) -> Result<(), Error> {
        let known = self.starter.store.schedules().await?;
        match known.into_iter().find(|one| one.rule == entry.progress.rule) {
            Some(progress) if progress.since >= planned => entry.progress = progress,
            Some(_) => entry.progress.since = planned,
            // One that does not have this rule has forgotten it. Whether it was started for this moment is not known, so it is not.
            None => {
                tracing::warn!(rule = entry.progress.rule, moment = %planned, "another Doorbell on this store does not have this rule; it goes on with its next moment");
                entry.progress.since = planned;
                self.starter.store.set_schedules(vec![entry.progress.clone()], Vec::new()).await?;
            }
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
            let progress = match known.remove(&*rule.name) {
                Some(same) if same.timing == timing => same,
                other => {
                    let last = other.and_then(|other| other.last);
                    let progress = ScheduleProgress { rule: rule.name.to_string(), timing, since: now, last };
                    begun.push(progress.clone());
                    progress
                }
            };
            let next = timetable.next(progress.since);
            entries.insert(rule.name.to_string(), Entry { progress, next });
        }
        if !begun.is_empty() || !gone.is_empty() {
            self.starter.store.set_schedules(begun, gone.into_iter().collect()).await?;
        }
        Ok(entries)
    }
}
