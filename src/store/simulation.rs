//! The life of runs, simulated: the store's own statements and `Run::after`, driven by a clock, faults and outcomes that all
//! come from one seed. Thousands of seeds are tried; a failing one is done again by
//! `DOORBELL_SEED=4711 cargo test --lib simulation`.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;

use super::claims::QUEUED;
use super::contract::{Accept, Delivery, Fate, NewRun};
use super::jobs::{Job, Kept, MOST_RUNS, restart};
use super::tables;
use crate::course::{Course, Flow, Mend, Next};
use crate::event::{Event, EventId};
use crate::retry::Plan;
use crate::run::{Attempt, Note, Once, Outcome, Place, Run, RunId, State, StepFacts};

/// How many seeds are tried if nobody says.
const SEEDS: u64 = 2_000;
const DAY: Duration = Duration::from_secs(86_400);

/// SplitMix64: all that happens is drawn from it.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }
}

/// What somebody outside saw.
#[derive(Default)]
struct Witness {
    /// Runs that were begun, with their lane.
    begun: HashMap<RunId, Option<String>>,
    /// How often an effect was performed with success, and how often that was recorded.
    performed: HashMap<(RunId, Place), u32>,
    recorded: HashMap<(RunId, Place), u32>,
    /// Effects that were performed and not recorded when the program died.
    lost: HashSet<(RunId, Place)>,
    /// Runs that were done again, which may overtake others of their lane.
    replayed: HashSet<RunId>,
    /// The last run of each lane that was begun to be worked on.
    front: HashMap<String, RunId>,
    deliveries: HashMap<String, (EventId, Timestamp)>,
}

struct World {
    dice: Dice,
    sql: Connection,
    now: Timestamp,
    course: Course,
    plan: Plan,
    elements: u32,
    /// Runs that a worker has, with what it has done and could not record yet.
    in_hand: Vec<(Run, Option<Job>)>,
    /// No faults and no crashes any more.
    calm: bool,
    seen: Witness,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let mut sql = Connection::open_in_memory().unwrap();
        tables::migrate(&mut sql).unwrap();
        let steps = 1 + dice.roll(3) as u32;
        let each = dice.roll(u64::from(steps) + 1) as u32;
        let flow = |step: u32, dice: &mut Dice| Flow {
            next: if step + 1 < steps { Next::Step(step + 1) } else { Next::End },
            each: (step == each).then_some(step),
            inside: None,
            within: None,
            mend: if dice.one_in(3) { Mend::Continue } else { Mend::Not },
            mends: None,
        };
        let mut flows: Vec<Flow> = (0..steps).map(|step| flow(step, &mut dice)).collect();
        let on_error = dice.one_in(2).then_some(steps);
        if on_error.is_some() {
            flows.push(Flow { next: Next::End, each: None, inside: None, within: None, mend: Mend::Not, mends: None });
        }
        let course = Course { flows, otherwise: None, on_error };
        let plan = Plan { tries: 1 + dice.roll(4) as u32, first_wait: Duration::from_secs(1 + dice.roll(100)) };
        let elements = dice.roll(4) as u32;
        Self { dice, sql, now: Timestamp::UNIX_EPOCH, course, plan, elements, in_hand: Vec::new(), calm: false, seen: Witness::default() }
    }

    /// Does a job in a transaction, which may fail as a full disk makes it fail.
    fn commit(&mut self, job: &Job) -> Option<Kept> {
        let transaction = self.sql.transaction().unwrap();
        let kept = job.run(&transaction).unwrap();
        if !self.calm && self.dice.one_in(12) {
            return None;
        }
        transaction.commit().unwrap();
        Some(kept)
    }

    fn ring(&mut self) {
        let mut random = [0; 10];
        random.iter_mut().for_each(|b| *b = self.dice.roll(256) as u8);
        let id = EventId::new(self.now, random);
        let event = Event { id, received: self.now, ..Event::nobody() };
        let lane = self.dice.one_in(2).then(|| format!("lane {}", self.dice.roll(3)));
        let once = self.dice.one_in(3).then(|| Once { value: format!("{}", self.dice.roll(5)), within: DAY });
        let run = NewRun { rule: "r".into(), text: "t".into(), step: 0, lane: lane.clone().map(Into::into), once };
        let key = self.dice.one_in(3).then(|| format!("{}", self.dice.roll(20)));
        let deliveries = key.iter().map(|key| Delivery { key: key.clone(), remembered: DAY }).collect();
        let taken = self.dice.one_in(2);
        let runs = vec![run; 1 + self.dice.roll(2) as usize];
        let job = Job::accept(&Accept { event: event.clone(), runs: runs.clone(), deliveries, ruleset: 1, status: 200, taken });
        let Some(kept) = self.commit(&job) else { return };
        match kept {
            Kept::New(first, fates) => {
                if let Some(key) = key {
                    let before = self.seen.deliveries.insert(key, (id, self.now));
                    assert!(before.is_none_or(|(_, at)| at + DAY <= self.now), "a delivery that came before was taken as new");
                }
                for (n, fate) in fates.into_iter().enumerate() {
                    if fate == Fate::Repeated {
                        continue;
                    }
                    let number = first + n as i64;
                    self.seen.begun.insert(number, lane.clone());
                    if fate == Fate::Begun && taken {
                        let run = Run::begin(number, id, "r".into(), "t".into(), 0, self.now);
                        self.take(Run { lane: lane.clone().map(Into::into), ..run });
                    }
                }
            }
            Kept::Again { first, restarted, .. } => {
                let (known, at) = self.seen.deliveries[&key.unwrap()];
                assert!(known == first && at + DAY > self.now, "a delivery was taken for another one");
                if restarted > 0 {
                    let event: i64 = self.sql.query_row("SELECT seq FROM event WHERE id = ?1", [first.0.as_bytes()], |r| r.get(0)).unwrap();
                    self.seen.replayed.extend((0..2).map(|n| event * MOST_RUNS + n));
                }
            }
            _ => unreachable!(),
        }
    }

    fn take(&mut self, run: Run) {
        if let Some(lane) = &run.lane {
            let together = self.in_hand.iter().filter(|(other, _)| other.lane.as_ref() == Some(lane)).count();
            assert_eq!(together, 0, "two runs of one lane at a time");
            let front = self.seen.front.entry(lane.to_string()).or_insert(run.id);
            assert!(*front <= run.id || self.seen.replayed.contains(&run.id), "run {} came behind {front}", run.id);
            *front = (*front).max(run.id);
        }
        assert!(!self.in_hand.iter().any(|(other, _)| other.id == run.id), "one run in two hands");
        self.in_hand.push((run, None));
    }

    fn lease(&mut self) {
        let job = Job::Lease { now: self.now, most: 1 + self.dice.roll(4) as usize };
        if let Some(Kept::Leased(runs)) = self.commit(&job) {
            runs.into_iter().for_each(|(run, _)| self.take(run));
        }
    }

    fn outcome(&mut self) -> Outcome {
        match self.dice.roll(if self.calm { 3 } else { 10 }) {
            0..=4 => Outcome::Done(Note::default()),
            5 => Outcome::Skipped("so".into()),
            6 => Outcome::failed("no"),
            7 => Outcome::Deferred(Duration::from_secs(3)),
            _ => Outcome::retry("later"),
        }
    }

    /// A worker goes one step further with one of its runs.
    fn work(&mut self) {
        if self.in_hand.is_empty() {
            return;
        }
        let chosen = self.dice.roll(self.in_hand.len() as u64) as usize;
        let (run, unrecorded) = self.in_hand.swap_remove(chosen);
        let (job, next, done) = match unrecorded {
            Some(job) => {
                let Job::Record { run: next, attempts, .. } = &job else { unreachable!() };
                let done = attempts.last().is_some_and(|a| a.outcome == "done");
                (Job::Record { run: next.clone(), attempts: attempts.clone(), answer: None }, next.as_ref().clone(), done)
            }
            None => {
                let mut outcome = self.outcome();
                let is_each = self.course.flow(run.place.step).is_some_and(|f| f.each.is_some());
                if is_each && self.elements == 0 {
                    outcome = Outcome::Skipped("the list is empty".into());
                }
                let done = matches!(outcome, Outcome::Done(_));
                if done {
                    *self.seen.performed.entry((run.id, run.place)).or_default() += 1;
                }
                let facts = StepFacts {
                    plan: &self.plan,
                    title: "x",
                    save_as: None,
                    elements: is_each.then_some(self.elements),
                    course: &self.course,
                };
                let next = run.clone().after(&mut outcome, &facts, self.now, 0.5);
                let word = match outcome {
                    Outcome::Done(_) => "done",
                    Outcome::Skipped(_) => "skipped",
                    Outcome::Retry { .. } => "retry",
                    Outcome::Deferred(_) => "deferred",
                    _ => "failed",
                };
                let attempt =
                    Attempt { place: run.place, number: 1, at: self.now, took: Duration::ZERO, outcome: word.into(), said: String::new() };
                let attempts = if word == "deferred" { Vec::new() } else { vec![attempt] };
                // What had no effect is recorded with what follows.
                if word == "skipped" && next.state == State::Waiting {
                    self.in_hand.push((next, None));
                    return;
                }
                (Job::Record { run: next.clone().into(), attempts: attempts.into(), answer: None }, next, done)
            }
        };
        let place = run.place;
        if self.commit(&job).is_none() {
            self.in_hand.push((run, Some(job)));
            return;
        }
        if done {
            let times = self.seen.recorded.entry((next.id, place)).or_default();
            *times += 1;
            // A run that is replayed and fails again does what the rule has for that again, too.
            let is_mend = self.course.on_error == Some(place.step) && self.seen.replayed.contains(&next.id);
            assert!(*times == 1 || is_mend, "a step that is done was done again");
        }
        let Job::Record { attempts, .. } = &job else { unreachable!() };
        let given_back = attempts.last().is_none_or(|a| a.outcome == "retry");
        if next.state == State::Waiting && !given_back {
            self.in_hand.push((next, None));
        }
    }

    /// The program dies and starts again.
    fn crash(&mut self) {
        for (run, unrecorded) in self.in_hand.drain(..) {
            if unrecorded.is_some() {
                self.seen.lost.insert((run.id, run.place));
            }
        }
        self.sql.execute("UPDATE pending SET taken = 0 WHERE taken = 1", []).unwrap();
    }

    /// A person presses "replay".
    fn replay(&mut self) {
        let failed: Option<RunId> = self
            .sql
            .query_row("SELECT id FROM ended WHERE state = 'failed' ORDER BY id LIMIT 1 OFFSET ?1", [self.dice.roll(3) as i64], |r| {
                r.get(0)
            })
            .ok();
        if let Some(run) = failed {
            let sql = self.sql.transaction().unwrap();
            restart(&sql, run, run + 1, self.now.as_millisecond()).unwrap();
            sql.commit().unwrap();
            self.seen.replayed.insert(run);
        }
    }

    fn live(&mut self) {
        for _ in 0..60 {
            match self.dice.roll(20) {
                0..=4 => self.ring(),
                5..=8 => self.lease(),
                9..=15 => self.work(),
                16 => self.crash(),
                17 => self.replay(),
                _ => self.now += Duration::from_millis(self.dice.roll(40_000_000)),
            }
        }
        // Then all is well, and all has to come to an end.
        self.calm = true;
        self.crash();
        for _ in 0..20_000 {
            while !self.in_hand.is_empty() {
                self.work();
            }
            let waiting: i64 = self.sql.query_row("SELECT count(*) FROM pending", [], |r| r.get(0)).unwrap();
            if waiting == 0 {
                return self.judge();
            }
            self.lease();
            if self.in_hand.is_empty() {
                let queued: i64 = self.sql.query_row("SELECT count(*) FROM pending WHERE taken = ?1", [QUEUED], |r| r.get(0)).unwrap();
                assert!(queued < waiting, "every run waits for another one");
                self.now += Duration::from_secs(3_600);
            }
        }
        panic!("it never comes to an end");
    }

    fn judge(&self) {
        for run in self.seen.begun.keys() {
            let state: String = self.sql.query_row("SELECT state FROM ended WHERE id = ?1", [run], |r| r.get(0)).expect("a run was lost");
            assert!(["done", "failed", "handled"].contains(&state.as_str()) || State::read(&state).is_some(), "{state}");
        }
        let ended: i64 =
            self.sql.query_row("SELECT count(*) FROM ended WHERE state <> ?1", [State::Repeated.word()], |r| r.get(0)).unwrap();
        assert_eq!(ended as usize, self.seen.begun.len(), "each run ends once");
        for (effect, times) in &self.seen.performed {
            let is_mend = self.course.on_error == Some(effect.1.step) && self.seen.replayed.contains(&effect.0);
            assert!(
                *times == 1 || is_mend || self.seen.lost.contains(effect),
                "{effect:?} was performed {times} times without any crash meanwhile"
            );
        }
    }
}

#[test]
fn whatever_happens_every_run_ends_once_in_order_and_does_nothing_twice() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let seeds = match number("DOORBELL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("DOORBELL_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let lived = std::panic::catch_unwind(|| World::new(seed).live());
        assert!(lived.is_ok(), "seed {seed} fails; do it again with DOORBELL_SEED={seed} cargo test --lib simulation");
    }
}
