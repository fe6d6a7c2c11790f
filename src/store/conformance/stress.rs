//! Many tasks do random operations at the same time. Whatever happens, every run must end once and be alone in its lane.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use super::database::Database;
use super::samples::{
    accept, done, event, expect_lease_lost, failed, in_lane, left, much_later, once, postponed, record, run, stepped, taken,
};
use crate::model::event::EventId;
use crate::model::run::{Run, RunId, State};
use crate::store::contract::{Heavy, NewRun, Recorded, StartResult, Store, WaitingRuns};
use crate::store::dice::Dice;

/// What all tasks together observe.
#[derive(Default)]
struct Observed {
    in_hand: HashSet<RunId>,
    /// The run of each lane that is in progress.
    busy: HashMap<String, RunId>,
    begun: HashSet<RunId>,
    /// How often each run was recorded.
    recorded: HashMap<RunId, usize>,
    events: Vec<EventId>,
}

impl Observed {
    fn take(&mut self, run: &Run) {
        assert!(self.in_hand.insert(run.id), "run {} is held twice", run.id);
        self.begun.insert(run.id);
        if let Some(lane) = &run.lane {
            let before = self.busy.insert(lane.to_string(), run.id);
            assert_eq!(before, None, "two runs of one lane are in progress");
        }
    }
    /// Called before the store records it: from then on another owner may have the run.
    fn give(&mut self, run: &Run) {
        assert!(self.in_hand.remove(&run.id));
        if let Some(lane) = &run.lane {
            self.busy.remove(&**lane);
        }
    }
}

struct Worker {
    store: Arc<dyn Store>,
    seen: Arc<Mutex<Observed>>,
    dice: Dice,
    runs: Vec<Run>,
}

impl Worker {
    async fn act(mut self) -> Self {
        for _ in 0..60 {
            match self.dice.roll(8) {
                0 | 1 => self.receive().await,
                2 | 3 => self.lease().await,
                4 => self.command().await,
                _ => self.work().await,
            }
        }
        self
    }

    /// Executes everything that remains, for any owner.
    async fn finish(mut self) {
        loop {
            while !self.runs.is_empty() {
                self.work().await;
            }
            self.lease().await;
            if self.runs.is_empty() && self.store.next_due().await.unwrap().is_none() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn receive(&mut self) {
        let new: Vec<NewRun> = (0..1 + self.dice.roll(3))
            .map(|_| match self.dice.roll(4) {
                0 => run("plain"),
                1 => once(&self.dice.roll(30).to_string()),
                _ => in_lane(&self.dice.roll(3).to_string()),
            })
            .collect();
        let one = event(0);
        let id = one.id;
        let all = if self.dice.roll(2) == 0 { taken(one, new) } else { left(one, new) };
        for (run, result) in accept(&self.store, all).await {
            let mut seen = self.seen.lock().unwrap();
            match result {
                StartResult::Begun => {
                    seen.take(&run);
                    self.runs.push(run);
                }
                StartResult::Queued => drop(seen.begun.insert(run.id)),
                StartResult::Repeated => {}
            }
        }
        self.seen.lock().unwrap().events.push(id);
    }

    async fn lease(&mut self) {
        let most = 1 + self.dice.roll(3) as usize;
        for (run, _) in self.store.lease(much_later(), most, Heavy::ANY).await.unwrap() {
            self.seen.lock().unwrap().take(&run);
            self.runs.push(run);
        }
    }

    async fn work(&mut self) {
        if self.runs.is_empty() {
            return;
        }
        let run = self.runs.swap_remove(self.dice.roll(self.runs.len() as u64) as usize);
        match self.dice.roll(6) {
            0 => {
                self.runs.push(record(&self.store, stepped(&run)).await);
                self.recorded(&run);
            }
            1 => {
                self.seen.lock().unwrap().give(&run);
                record(&self.store, postponed(&run, much_later())).await;
                self.recorded(&run);
            }
            end => {
                let ended = if end == 2 { failed(&run) } else { done(&run) };
                self.seen.lock().unwrap().give(&run);
                record(&self.store, ended.clone()).await;
                assert_eq!(self.store.record(ended).await.unwrap(), Recorded::LeaseLost);
                self.recorded(&run);
            }
        }
    }

    fn recorded(&self, run: &Run) {
        *self.seen.lock().unwrap().recorded.entry(run.id).or_default() += 1;
    }

    /// Cancels or replays an event.
    async fn command(&mut self) {
        let event = {
            let seen = self.seen.lock().unwrap();
            let n = self.dice.roll(seen.events.len().max(1) as u64) as usize;
            seen.events.get(n).copied()
        };
        let Some(event) = event else { return };
        if self.dice.roll(2) == 0 {
            self.store.replay(event, None, much_later()).await.unwrap();
        } else {
            self.store.cancel(WaitingRuns { event: Some(event), rule: None }, much_later()).await.unwrap();
        }
    }
}

pub(super) async fn under_stress_every_run_ends_once_and_alone_in_its_lane(database: &dyn Database) {
    let owners = database.owners().await;
    let seed = std::env::var("DOORBELL_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let seen = Arc::new(Mutex::new(Observed::default()));
    let workers: Vec<_> = (0..6)
        .map(|n| {
            let (store, seen) = (owners[n % owners.len()].clone(), seen.clone());
            tokio::spawn(Worker { store, seen, dice: Dice(seed + n as u64), runs: Vec::new() }.act())
        })
        .collect();
    let mut acted = Vec::new();
    for worker in workers {
        acted.push(worker.await.unwrap());
    }
    // One owner dies while it has runs. Its successor and the others execute the rest.
    let (mut late, dead) = (Vec::new(), &owners[0]);
    for worker in acted.iter_mut().filter(|worker| Arc::ptr_eq(&worker.store, dead)) {
        worker.runs.iter().for_each(|run| seen.lock().unwrap().give(run));
        late.append(&mut worker.runs);
    }
    let successor = database.successor(dead).await;
    let left: Vec<_> = acted
        .into_iter()
        .map(|worker| {
            let store = if Arc::ptr_eq(&worker.store, dead) { successor.clone() } else { worker.store.clone() };
            tokio::spawn(Worker { store, ..worker }.finish())
        })
        .collect();
    for worker in left {
        worker.await.unwrap();
    }
    for run in late {
        expect_lease_lost(dead, done(&run)).await;
    }
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    let counts = database.queries().await.counts(usize::MAX).await.unwrap();
    assert_eq!((counts.waiting, counts.events as usize), (0, seen.events.len()));
    assert!(seen.in_hand.is_empty() && seen.begun.len() > 50);
    // The history shows what was recorded, and nothing else.
    let mut told = 0;
    for event in &seen.events {
        for (page, attempts) in database.queries().await.dossier(*event).await.unwrap().runs {
            let recorded = seen.recorded.get(&page.run.id).copied().unwrap_or_default();
            assert!(page.run.state == State::Repeated || attempts.len() == recorded, "{page:?} {recorded}");
            told += recorded;
        }
    }
    assert_eq!(told, seen.recorded.values().sum::<usize>());
}
