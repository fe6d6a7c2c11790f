//! What happens in the simulation, one function for each kind of action.

use super::*;
use crate::store::contract::Heavy;

impl Simulation {
    pub(super) fn receive(&mut self) {
        let mut random = [0; 10];
        random.iter_mut().for_each(|b| *b = self.dice.roll(256) as u8);
        let id = EventId::new(self.now, random);
        // A different body is a different request, even with the same key.
        let raw = Bytes::from_static(if self.dice.one_in(3) { b"another" } else { b"the same" });
        let event = Event { id, received: self.now, raw: raw.clone(), ..Event::nobody() };
        let lane = self.dice.one_in(2).then(|| format!("lane {}", self.dice.roll(3)));
        let once = self.dice.one_in(3).then(|| Once { value: format!("{}", self.dice.roll(5)), within: DAY });
        let run = NewRun { rule: "r".into(), text: "t".into(), step: 0, lane: lane.clone().map(Into::into), once };
        let key = self.dice.one_in(3).then(|| format!("{}", self.dice.roll(20)));
        let deliveries = key.iter().map(|key| Delivery { key: key.clone(), remembered: DAY }).collect();
        let (taken, is_vouched) = (self.dice.one_in(2), self.dice.one_in(2));
        let runs = vec![run; 1 + self.dice.roll(2) as usize];
        let accept =
            Accept { claim: None, event: event.into(), runs, deliveries, is_vouched, ruleset: 1, status: 200, decided: Vec::new(), taken };
        let job = Job::accept(std::sync::Arc::new(accept), &None);
        let mut told = self.commit(&job);
        let was_done = matches!(told, Committed::Unknown);
        if was_done && self.dice.one_in(2) {
            told = self.commit(&job);
        }
        let kept = match told {
            Committed::Did(kept) => kept,
            Committed::Failed => {
                // A repeated accept may fail although the first one was stored.
                self.lost.push(Held::Event(id));
                self.note_begun(id);
                if was_done {
                    self.note_delivery(key, id, raw);
                }
                return;
            }
            Committed::Unknown => {
                self.lost.push(Held::Event(id));
                self.note_begun(id);
                self.note_delivery(key, id, raw);
                return;
            }
        };
        match kept {
            Reply::New(first, results) => {
                self.note_delivery(key, id, raw);
                for (number, result) in (first..).zip(results).filter(|(_, result)| *result != StartResult::Repeated) {
                    self.seen.begun.insert(number);
                    if result == StartResult::Begun {
                        let run = Run::begin(number, id, "r".into(), "t".into(), 0, self.now);
                        self.take(Run { lane: lane.clone().map(Into::into), ..run });
                    }
                }
            }
            Reply::Again { first, is_same, restarted, answer_state } => {
                let (known, at, before) = &self.seen.deliveries[&key.unwrap()];
                assert!(*known == first && *at + DAY > self.now, "a delivery was mistaken for another one");
                assert_eq!(is_same, *before == raw, "a request was mistaken for another one");
                assert!(is_same || answer_state == AnswerState::default(), "a different request got an answer");
                assert!(is_same || is_vouched || restarted == 0, "an unverified request restarted failed runs");
                if restarted > 0 {
                    self.seen.replayed.extend(self.runs_of(first));
                }
            }
            _ => unreachable!(),
        }
    }

    fn note_delivery(&mut self, key: Option<String>, id: EventId, raw: Bytes) {
        let Some(key) = key else { return };
        // A delivery with unknown outcome may have been a repetition of another one.
        let event: i64 = self.sql.query_row("SELECT event FROM delivery WHERE key = ?1", [&key], |r| r.get(0)).unwrap();
        let owner: [u8; 16] = self.sql.query_row("SELECT id FROM event WHERE seq = ?1", [event], |r| r.get(0)).unwrap();
        if owner != *id.0.as_bytes() {
            self.seen.replayed.extend(range(event)[0]..range(event)[0] + 4);
            return;
        }
        let before = self.seen.deliveries.insert(key, (id, self.now, raw));
        assert!(before.is_none_or(|(_, at, _)| at + DAY <= self.latest), "a repeated delivery was accepted as new");
    }

    /// Notes the runs that were started by an event whose accept had an unknown outcome.
    fn note_begun(&mut self, id: EventId) {
        let begun: Vec<RunId> = {
            let text = "SELECT p.id FROM pending p JOIN event e ON e.seq = p.event WHERE e.id = ?1";
            let mut statement = self.sql.prepare(text).unwrap();
            let rows = statement.query_map([id.0.as_bytes()], |r| r.get(0)).unwrap();
            rows.map(Result::unwrap).collect()
        };
        self.seen.begun.extend(begun);
    }

    fn runs_of(&self, event: EventId) -> std::ops::Range<RunId> {
        let event: i64 = self.sql.query_row("SELECT seq FROM event WHERE id = ?1", [event.0.as_bytes()], |r| r.get(0)).unwrap();
        range(event)[0]..range(event)[0] + 4
    }

    fn take(&mut self, run: Run) {
        if let Some(lane) = &run.lane {
            let together = self.held_runs.iter().filter(|held| held.run.lane.as_ref() == Some(lane) && !held.is_over()).count();
            assert_eq!(together, 0, "two runs of one lane at a time");
            let front = self.seen.front.entry(lane.to_string()).or_insert(run.id);
            assert!(*front <= run.id || self.seen.replayed.contains(&run.id), "run {} started after {front}", run.id);
            *front = (*front).max(run.id);
        }
        assert!(!self.held_runs.iter().any(|held| held.run.id == run.id && !held.is_over()), "one run is held twice");
        assert_eq!(&run.saved, self.seen.saved.entry(run.id).or_default(), "saved values were not read back");
        self.held_runs.push(HeldRun { run, unrecorded: None, is_result_unknown: false });
    }

    pub(super) fn lease(&mut self) {
        let job = Job::Lease { now: self.now, most: 1 + self.dice.roll(4) as usize, heavy: Heavy::ANY };
        match self.commit(&job) {
            Committed::Did(Reply::Runs(runs)) => runs.into_iter().for_each(|(run, _)| self.take(run)),
            Committed::Unknown => self.look_for_owned(),
            _ => {}
        }
    }

    /// Resumes what a task that panicked was working on, or an event with unknown outcome.
    pub(super) fn take_up_lost(&mut self) {
        let Some(which) = self.lost.pop() else { return };
        match self.commit(&Job::Held(which)) {
            Committed::Did(Reply::Runs(runs)) => runs.into_iter().for_each(|(run, _)| self.take(run)),
            Committed::Unknown => {
                self.lost.push(which);
                self.look_for_owned();
            }
            _ => self.lost.push(which),
        }
    }

    /// Runs may belong to this owner without any of its tasks knowing.
    fn look_for_owned(&mut self) {
        let had_no_faults = std::mem::replace(&mut self.no_faults, true);
        if let Committed::Did(Reply::Owned(owned)) = self.commit(&Job::Owned) {
            let held_runs = &self.held_runs;
            let is_held = |run: RunId| held_runs.iter().any(|held| held.run.id == run && !held.is_over());
            let owned: Vec<_> = owned.into_iter().filter(|(run, _)| !is_held(*run)).collect();
            self.lost.retain(|lost| !matches!(lost, Held::Run(run, _) if owned.iter().any(|(owned, _)| owned == run)));
            self.lost.extend(owned.into_iter().map(|(run, turn)| Held::Run(run, turn)));
        }
        self.no_faults = had_no_faults;
    }

    fn outcome(&mut self, run: &Run) -> Outcome {
        let success = || Success { output: Some(Value::from(run.id * 1_000 + i64::from(run.place.element))), ..Success::default() };
        match self.dice.roll(if self.no_faults { 3 } else { 10 }) {
            0..=4 => Outcome::Done(success()),
            5 => Outcome::Skipped("so".into()),
            6 => Outcome::failed("no"),
            7 => Outcome::Deferred(Duration::from_secs(3)),
            _ => Outcome::retry("later"),
        }
    }

    /// Tries a run's current step; returns the run's new state, and what is to be recorded.
    fn try_once(&mut self, run: Run) -> (Run, Option<Record>) {
        let is_each = self.graph.node(run.place.step).is_some_and(|f| f.each.is_some());
        let mut outcome = match () {
            () if run.is_settled() => Outcome::Done(Success::default()),
            () if is_each && self.elements == 0 => Outcome::Skipped("the list is empty".into()),
            () => self.outcome(&run),
        };
        if matches!(outcome, Outcome::Done(_)) && !run.is_settled() {
            *self.seen.performed.entry((run.id, run.place)).or_default() += 1;
        }
        let name = format!("step {}", run.place.step);
        let facts = StepFacts {
            plan: &self.plan,
            title: "x",
            save_as: (run.id % 2 == 0).then_some(name.as_str()),
            elements: is_each.then_some(self.elements),
            graph: &self.graph,
        };
        let (place, mut next) = (run.place, run.after(&mut outcome, &facts, self.now, 0.5));
        let word = match outcome {
            Outcome::Done(_) => "done",
            Outcome::Skipped(_) => "skipped",
            Outcome::Retry { .. } => "retry",
            Outcome::Deferred(_) => "deferred",
            _ => "failed",
        };
        // An attempt without effect is recorded together with the next one.
        if word == "skipped" && next.state == State::Waiting {
            return (next, None);
        }
        let attempt =
            Attempt { place, number: 1, at: self.now, took: Duration::ZERO, outcome: word.into(), said: String::new(), bodies: None };
        let attempts = if word == "deferred" { Vec::new() } else { vec![attempt] };
        let goes_on = word != "deferred" && !next.rests(self.now) && !next.takes_up();
        let record = Record { run: next.clone().into(), attempts: attempts.into(), answer: None, also: None, goes_on };
        next.unsaved.clear();
        next.turn += 1;
        (next, Some(record))
    }

    /// A worker advances one of its runs by one step.
    pub(super) fn work(&mut self) {
        if self.held_runs.is_empty() {
            return;
        }
        let chosen = self.dice.roll(self.held_runs.len() as u64) as usize;
        let HeldRun { run, unrecorded, is_result_unknown } = self.held_runs.swap_remove(chosen);
        let (next, record) = match unrecorded {
            Some(record) => (Run { unsaved: Vec::new(), turn: record.run.turn + 1, ..(*record.run).clone() }, Some(record)),
            None => self.try_once(run.clone()),
        };
        let Some(record) = record else {
            self.held_runs.push(HeldRun { run: next, unrecorded: None, is_result_unknown: false });
            return;
        };
        match self.commit(&Job::record(record.clone(), &None)) {
            Committed::Did(Reply::Recorded(Recorded::Recorded)) => self.recorded(&record, next, is_result_unknown),
            // A record that was already made with unknown outcome gives nothing, or the same again.
            Committed::Did(Reply::Recorded(Recorded::LeaseLost)) => {
                assert!(
                    HeldRun { run, unrecorded: Some(record), is_result_unknown }.is_over(),
                    "the lease was lost although nobody took the run"
                );
            }
            Committed::Unknown => {
                self.recorded(&record, next, is_result_unknown);
                self.held_runs.retain(|held| held.run.id != run.id || held.is_over());
                self.held_runs.push(HeldRun { run, unrecorded: Some(record), is_result_unknown: true });
            }
            _ => self.held_runs.push(HeldRun { run, unrecorded: Some(record), is_result_unknown }),
        }
    }

    /// Notes that a record is in the store; `again` if it already was.
    fn recorded(&mut self, record: &Record, next: Run, again: bool) {
        self.seen.saved.insert(next.id, next.saved.clone());
        if let Some(done) = record.attempts.last().filter(|a| a.outcome == "done" && !again) {
            let effect = (next.id, done.place);
            let times = self.seen.recorded.entry(effect).or_default();
            *times += 1;
            assert!(*times == 1 || self.may_repeat(&effect), "a finished step was repeated");
        }
        if next.state != State::Waiting {
            self.seen.ended.insert(next.id);
            if next.state != State::Failed {
                self.seen.saved.remove(&next.id);
            }
        } else if record.goes_on {
            self.held_runs.push(HeldRun { run: next, unrecorded: None, is_result_unknown: false });
        }
    }

    /// A run that is replayed and fails again also repeats the rule's error handling.
    pub(super) fn may_repeat(&self, effect: &Effect) -> bool {
        let is_error_handling = self.graph.on_error.is_some_and(|first| effect.1.step >= first) && self.seen.replayed.contains(&effect.0);
        is_error_handling || self.seen.lost.contains(effect)
    }

    /// A task panics while it holds a run: its effects are not repeated unless they were not recorded.
    pub(super) fn panic(&mut self) {
        if self.held_runs.is_empty() {
            return;
        }
        let chosen = self.dice.roll(self.held_runs.len() as u64) as usize;
        let held = self.held_runs.swap_remove(chosen);
        self.mark_lost(&held);
        self.lost.push(Held::Run(held.run.id, held.run.turn));
    }

    fn mark_lost(&mut self, held: &HeldRun) {
        if let Some(record) = held.unrecorded.as_ref().filter(|_| !held.is_result_unknown) {
            self.seen.lost.extend(record.attempts.iter().map(|a| (held.run.id, a.place)));
        }
    }

    /// The owner dies or is paused, and the next one takes over.
    pub(super) fn change_owner(&mut self) {
        let held_runs = std::mem::take(&mut self.held_runs);
        self.lost.clear();
        let before = std::mem::replace(&mut self.owner, Owner::take_over(&self.sql).unwrap());
        let mut settled = Vec::new();
        for held in &held_runs {
            self.mark_lost(held);
            // A file shows what was written to it; the effect of a call cannot be checked.
            let done = held.unrecorded.as_ref().and_then(|r| r.attempts.last());
            if let Some(done) = done.filter(|a| a.outcome == "done" && !held.is_result_unknown)
                && self.dice.one_in(2)
            {
                settled.push((held.run.id, done.place.step, done.place.element));
            }
        }
        let had_no_faults = std::mem::replace(&mut self.no_faults, true);
        self.commit(&Job::Settle(settled));
        self.no_faults = had_no_faults;
        self.paused = self.dice.one_in(2).then_some((before, held_runs));
    }

    /// An owner that was paused wakes up and continues as if nothing had happened: it can change nothing any more.
    pub(super) fn wake_up(&mut self) {
        let Some((owner, held_runs)) = self.paused.take() else { return };
        for held in held_runs {
            let record = held.unrecorded.unwrap_or_else(|| Record {
                run: Run { state: State::Done, ..held.run.clone() }.into(),
                attempts: Vec::new().into(),
                answer: None,
                also: None,
                goes_on: false,
            });
            let transaction = self.sql.transaction().unwrap();
            assert!(!owner.is_current(&transaction).unwrap());
            let (job, changes) = (Job::record(record, &None), transaction.total_changes());
            assert!(matches!(job.refused(), Ok(Reply::Recorded(Recorded::LeaseLost))));
            // Once another owner has the run, not even the record itself would find it, as in a store with many owners.
            let theirs = "SELECT 1 FROM pending WHERE id = ?1 AND owner = ?2";
            if transaction.prepare(theirs).unwrap().exists([held.run.id, owner.epoch]).unwrap() {
                continue;
            }
            let kept = job.run(&transaction, &mut Statements::of(&transaction), &owner).unwrap();
            assert!(matches!(kept, Reply::Recorded(Recorded::LeaseLost)), "a lost lease was recorded");
            assert_eq!(transaction.total_changes(), changes, "a lost lease changed something");
        }
    }

    /// A command replays, starts rules again for an event, cancels, or prunes.
    pub(super) fn command(&mut self) {
        let event = |sql: &Connection, n: u64| -> Option<EventId> {
            let text = "SELECT id FROM event ORDER BY seq LIMIT 1 OFFSET ?1";
            sql.query_row(text, [n as i64], |r| r.get(0)).ok().map(|id| EventId(uuid::Uuid::from_bytes(id)))
        };
        let n = self.dice.roll(8);
        let Some(chosen) = event(&self.sql, n) else { return };
        let which = match self.dice.roll(5) {
            0 | 1 => Job::Replay { event: chosen, rule: None, now: self.now },
            2 => {
                let run = NewRun { rule: "r".into(), text: "t".into(), step: 0, lane: Some("lane 1".into()), once: None };
                Job::StartAnew { event: chosen, runs: vec![run], texts: Vec::new(), now: self.now }
            }
            3 => Job::Cancel(WaitingRuns { event: Some(chosen), rule: None }, self.now),
            _ => Job::Prune { what: Pruning { before: self.now, failed: self.dice.one_in(2), is_dry_run: false }, after: 0, most: 5 },
        };
        let before = self.pending();
        if matches!(self.commit(&which), Committed::Failed) {
            return;
        }
        let after = self.pending();
        match which {
            Job::Replay { .. } => self.seen.replayed.extend(self.runs_of(chosen)),
            Job::StartAnew { .. } => {
                self.seen.begun.extend(after.difference(&before));
                self.seen.replayed.extend(after.difference(&before));
            }
            Job::Cancel(..) => {
                let ended: Vec<RunId> = before.difference(&after).copied().collect();
                assert!(
                    !self.held_runs.iter().any(|held| ended.contains(&held.run.id) && !held.is_over()),
                    "a run in progress was cancelled"
                );
                ended.iter().for_each(|run| drop(self.seen.saved.remove(run)));
                self.seen.ended.extend(ended);
            }
            _ => {
                assert_eq!(before, after, "a waiting run was deleted");
                // A delivery is deleted with its event.
                let kept = |id: &EventId| self.sql.prepare("SELECT 1 FROM event WHERE id = ?1").unwrap().exists([id.0.as_bytes()]).unwrap();
                let deliveries = std::mem::take(&mut self.seen.deliveries);
                self.seen.deliveries = deliveries.into_iter().filter(|(_, (id, ..))| kept(id)).collect();
            }
        }
        self.seen.ended.retain(|run| !after.contains(run));
    }

    pub(super) fn pending(&self) -> HashSet<RunId> {
        let mut statement = self.sql.prepare("SELECT id FROM pending").unwrap();
        statement.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect()
    }
}
