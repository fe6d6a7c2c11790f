//! What happened, as values: the latest events, and the explanation of one event.
//!
//! An explanation is computed again from the event and the rule files that were current when it arrived; the caller looks
//! up the secrets and variables that they name. Conditions that depend on secrets are shown as they were decided then. It
//! contains no secrets. The caller presents it; changes are in
//! [`super::command`].

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;

use crate::engine::intake::rejections::{Rejection, Rejections};
use crate::expr::condition::trace::{HIDDEN, Outcome, TraceLine};
use crate::expr::names::Resolver;
use crate::expr::outside_use::secrets_not_given;
use crate::model::bodies::Bodies;
use crate::model::called::NEVER;
use crate::model::event::EventId;
use crate::model::place::Place;
use crate::model::run::{Attempt, State};
use crate::model::unfinished::Summary;
use crate::operations::excerpt::Excerpt;
use crate::operations::run_rules::RunRules;
use crate::rule::load::load;
use crate::rule::ruleset::Ruleset;
use crate::rule::{Rule, UNDECIDED};
use crate::store::contract::{Cursor, Dossier, EventFilter, EventPage, Queries, Result, RunPage};
use crate::yaml::source::Source;

/// How long a search may take before it shows what it has found so far.
const PATIENCE: Duration = Duration::from_millis(100);
/// How many events are looked at before the time is checked.
const AT_A_TIME: usize = 2_000;

/// What a search found within its time.
#[derive(Debug, Serialize)]
pub struct EventSearch {
    /// Newest first.
    pub events: Vec<EventLine>,
    /// Where to go on; nothing if all events were looked at.
    pub next: Option<Cursor>,
    /// How many events were looked at, and when the oldest of them was received.
    pub looked: usize,
    pub back_to: Option<Timestamp>,
}

/// An event in a list.
#[derive(Debug, PartialEq, Serialize)]
pub struct EventLine {
    pub id: EventId,
    pub received: Timestamp,
    pub method: String,
    pub address: String,
    /// Who sent it; nothing if the address was open.
    pub sender: Option<Arc<str>>,
    /// The status sent to the sender; nothing while it waits for the answer of a rule.
    pub status: Option<u16>,
    /// How many runs are in each state, in the order of [`State::ALL`]; states without runs are left out.
    pub runs: Vec<RunCount>,
    /// Where the text that was searched for is in its body, if the caller has looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<Excerpt>,
}

/// How many runs of an event are in one state.
#[derive(Debug, PartialEq, Serialize)]
pub struct RunCount {
    pub state: State,
    pub runs: usize,
}

impl EventLine {
    fn of(page: EventPage, now: Timestamp) -> Self {
        let count = |state| RunCount { state, runs: page.runs.iter().filter(|(s, _)| *s == state).map(|(_, n)| n).sum() };
        // A run that failed for its caller is no news beside that one.
        let runs =
            State::ALL.into_iter().filter(|state| *state != State::FailedForCaller).map(count).filter(|count| count.runs > 0).collect();
        let EventPage { id, received, method, address, sender, answered, .. } = page;
        Self { id, received, method, address, sender, status: answered.by(now), runs, excerpt: None }
    }
}

/// Searches the events, newest first, from where an earlier search stopped. Stops when it has found `most`, or when it takes
/// too long.
pub async fn search(queries: &dyn Queries, filter: &EventFilter, from: Option<Cursor>, most: usize) -> Result<EventSearch> {
    let end = Instant::now() + PATIENCE;
    let mut all = EventSearch { events: Vec::new(), next: from, looked: 0, back_to: None };
    loop {
        let left = most - all.events.len();
        let found = queries.search(filter.clone(), all.next, left, AT_A_TIME.max(left)).await?;
        let now = Timestamp::now();
        all.events.extend(found.events.into_iter().map(|page| EventLine::of(page, now)));
        (all.next, all.looked, all.back_to) = (found.next, all.looked + found.looked, found.back_to.or(all.back_to));
        if all.next.is_none() || all.events.len() >= most || Instant::now() >= end {
            return Ok(all);
        }
    }
}

/// Searches all events, however long that takes; newest first.
pub async fn search_all(queries: &dyn Queries, filter: &EventFilter, most: usize) -> Result<Vec<EventLine>> {
    let (mut events, mut from) = (Vec::new(), None);
    while events.len() < most {
        let found = search(queries, filter, from, most - events.len()).await?;
        events.extend(found.events);
        from = found.next;
        if from.is_none() {
            break;
        }
    }
    Ok(events)
}

/// What an id refers to.
pub enum Found {
    Event(Box<Dossier>),
    /// A request that was rejected and did not become an event.
    Rejection(Rejection),
}

/// Finds an event by its id or the beginning of it, or a rejected request by the id that its sender was given. Rejected
/// requests are stored in the data folder.
pub async fn find(queries: &dyn Queries, data: &Path, id: &str) -> Result<Found> {
    match queries.find(id).await {
        Ok(event) => Ok(Found::Event(Box::new(queries.dossier(event).await?))),
        Err(e) => Rejections::find(data, id).map(Found::Rejection).ok_or(e),
    }
}

/// What happened to one event, and why.
#[derive(Debug, Serialize)]
pub struct Explanation {
    pub event: EventId,
    pub received: Timestamp,
    pub method: String,
    pub address: String,
    /// Who sent it; nothing if the address was open.
    pub sender: Option<Arc<str>>,
    /// The status sent to the sender; nothing while it waits for the answer of a rule.
    pub status: Option<u16>,
    /// How many runs were started.
    pub ran: usize,
    /// The number of rules that listened or the number of runs, whichever is greater.
    pub total: usize,
    /// Every rule that listened at the address, in the order of the files.
    pub rules: Vec<ExplainedRule>,
    /// Runs of other rules: they were started later with newer rule files, or the original files can no longer be read.
    pub others: Vec<ExplainedRun>,
    /// Whether the original rule files can still be read. If not, `rules` is empty, and nothing is known about rules that did
    /// not run.
    pub is_readable: bool,
    /// The secrets that are not known here, if something is therefore hidden or not known.
    pub not_given: Vec<String>,
}

/// What a rule did with the event.
#[derive(Debug, Serialize)]
pub struct ExplainedRule {
    pub rule: Arc<str>,
    /// Empty if it did not run; several if it was started again.
    pub runs: Vec<ExplainedRun>,
    /// Whether its `else:` ran, because its `if:` was false.
    pub is_else: bool,
    /// The evaluation of its `if:`, line by line.
    pub trace: Vec<TraceLine>,
}

/// One run, with every attempt.
#[derive(Debug, Serialize)]
pub struct ExplainedRun {
    pub rule: Arc<str>,
    pub state: State,
    /// The step it is at or ended at, as shown to people: `2`, `2.1`; empty if it failed before its first step.
    pub step: String,
    /// If it is at an element of a `for_each` that waits or has failed: what is known about all of these.
    pub elements: Option<Summary>,
    /// What a waiting run waits for.
    pub waits: Option<Wait>,
    /// How many steps have finished.
    pub steps: usize,
    /// The total duration of all attempts.
    pub took_ms: u64,
    /// How often it was replayed after a failure.
    pub replays: u32,
    pub attempts: Vec<ExplainedAttempt>,
    /// The runs of other rules that its steps called, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub called: Vec<CalledRun>,
}

/// A run that a step of another one called.
#[derive(Debug, Serialize)]
pub struct CalledRun {
    /// The step that called it, as shown to people, and the element of its `for_each`, from 1.
    pub step: String,
    pub element: Option<u32>,
    /// Whether the caller waits, or waited, for its end.
    pub is_awaited: bool,
    pub run: ExplainedRun,
}

/// What a run waits for.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// Its next attempt: when, and which one.
    Retry { due: Timestamp, number: u32 },
    /// The end of a pause: its target did not answer several calls and is left alone until then.
    Pause { due: Timestamp },
    /// The end of a `wait` step.
    Until { due: Timestamp },
    /// The end of a rule that it called.
    Called,
    /// An earlier run of its queue (`one_at_a_time`).
    Turn,
    /// Nothing: the owner of the store is working on it, if that owner is alive.
    InHand,
    /// A worker.
    Worker,
}

/// One attempt at one step.
#[derive(Debug, Serialize)]
pub struct ExplainedAttempt {
    /// As shown to people: `2`, `2.1`; empty for a failure before the first step.
    pub step: String,
    /// The step's name or verb; empty if the original rule can no longer be read.
    pub title: String,
    /// Which element of its `for_each`, from 1.
    pub element: Option<u32>,
    /// Which attempt, from 1.
    pub number: u32,
    pub at: Timestamp,
    pub took_ms: u64,
    /// `done`, `skipped`, `stopped`, `paused`, `retry`, `failed`.
    pub outcome: String,
    pub said: String,
    /// What was sent and what came back, if the step keeps that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bodies: Option<Box<Bodies>>,
}

/// Explains an event: every rule's verdict, and every run. `lookup` finds the secrets and variables that the original rule
/// files name.
pub fn explain(dossier: &Dossier, lookup: Resolver) -> Explanation {
    let then = rules_of_then(dossier, lookup);
    let is_readable = then.is_some();
    let then = then.unwrap_or_default();
    let event = &dossier.event;
    let explained = then.explained(event, &dossier.decided);
    let run_rules = RunRules::of(dossier, &then);
    // What other runs called is shown there.
    let uncalled = || dossier.runs.iter().filter(|(page, _)| page.called_by.is_none());
    let is_other = |page: &RunPage| explained.iter().all(|(rule, _)| rule.name != page.run.rule);
    let others = uncalled().filter(|(page, _)| is_other(page)).map(|(page, attempts)| explained_run(page, attempts, dossier, &run_rules));
    let others = others.collect();
    Explanation {
        event: event.id,
        received: event.received,
        method: event.method.clone(),
        address: event.address.clone(),
        sender: event.sender.clone(),
        status: dossier.answered.by(Timestamp::now()),
        ran: uncalled().filter(|(page, _)| page.run.state != State::Repeated).count(),
        total: explained.len().max(uncalled().count()),
        not_given: if explained.iter().flat_map(|(_, trace)| trace).any(is_withheld) { secrets_not_given(&then.vault) } else { Vec::new() },
        rules: explained.into_iter().map(|(rule, trace)| explained_rule(rule, trace, dossier, &run_rules)).collect(),
        others,
        is_readable,
    }
}

/// Whether a line could say more if all secrets were known.
fn is_withheld(line: &TraceLine) -> bool {
    match &line.outcome {
        Outcome::NotKnown(_) => true,
        Outcome::No(why) => why.contains(HIDDEN),
        Outcome::Yes | Outcome::Depends(_) | Outcome::NotLookedAt => false,
    }
}

/// The rules that were current when the event arrived.
fn rules_of_then(dossier: &Dossier, lookup: Resolver) -> Option<Ruleset> {
    let sources = dossier.texts.iter().map(|(name, text)| Source::stored(name, text.clone())).collect();
    load(sources, lookup, false).ruleset
}

fn explained_rule(rule: &Rule, trace: Vec<TraceLine>, dossier: &Dossier, run_rules: &RunRules) -> ExplainedRule {
    let mine = || dossier.runs.iter().filter(|(page, _)| page.run.rule == rule.name && page.called_by.is_none());
    // What happened, not what would happen now: the secrets may be others.
    let is_else =
        mine().any(|(page, attempts)| rule.is_in_else(page.run.place.step) || attempts.iter().any(|a| rule.is_in_else(a.place.step)));
    let runs = mine().map(|(page, attempts)| explained_run(page, attempts, dossier, run_rules)).collect();
    ExplainedRule { rule: rule.name.clone(), is_else, runs, trace }
}

fn explained_run(page: &RunPage, attempts: &[Attempt], dossier: &Dossier, run_rules: &RunRules) -> ExplainedRun {
    let (run, rule) = (&page.run, run_rules.of_run(&page.run));
    let took: Duration = attempts.iter().map(|a| a.took).sum();
    let ended: BTreeSet<u32> = attempts.iter().filter(|a| !matches!(&*a.outcome, "retry" | "paused")).map(|a| a.place.step).collect();
    let called = dossier.runs.iter().filter_map(|(other, attempts)| {
        let by = other.called_by.filter(|by| by.run == run.id)?;
        let (step, element) = (number_of(rule, by.place.step), element_of(rule, by.place));
        Some(CalledRun { step, element, is_awaited: by.is_awaited, run: explained_run(other, attempts, dossier, run_rules) })
    });
    ExplainedRun {
        rule: run.rule.clone(),
        state: run.state,
        step: number_of(rule, run.place.step),
        elements: run.unfinished.summary_at(run.place, run.replays),
        waits: (run.state == State::Waiting).then(|| wait(page, attempts)),
        steps: ended.len(),
        took_ms: took.as_millis() as u64,
        replays: run.replays,
        attempts: attempts.iter().map(|attempt| explained_attempt(attempt, rule)).collect(),
        called: called.collect(),
    }
}

/// What an unfinished run waits for.
pub(super) fn wait(page: &RunPage, attempts: &[Attempt]) -> Wait {
    let run = &page.run;
    let is_paused = attempts.last().is_some_and(|a| a.outcome == "paused");
    match () {
        () if page.is_in_hand => Wait::InHand,
        () if page.is_queued => Wait::Turn,
        () if run.due == NEVER => Wait::Called,
        () if is_paused => Wait::Pause { due: run.due },
        () if run.tried > 0 => Wait::Retry { due: run.due, number: run.tried + 1 },
        () if run.due > Timestamp::now() => Wait::Until { due: run.due },
        () => Wait::Worker,
    }
}

fn explained_attempt(attempt: &Attempt, rule: Option<&Rule>) -> ExplainedAttempt {
    let place = attempt.place;
    let step = rule.and_then(|r| r.steps.get(place.step as usize));
    ExplainedAttempt {
        step: number_of(rule, place.step),
        title: step.map_or_else(String::new, |s| s.title().to_owned()),
        element: element_of(rule, place),
        number: attempt.number,
        at: attempt.at,
        took_ms: attempt.took.as_millis() as u64,
        outcome: attempt.outcome.to_string(),
        said: attempt.said.clone(),
        bodies: attempt.bodies.clone(),
    }
}

/// Which element of a `for_each` a step belongs to, from 1.
fn element_of(rule: Option<&Rule>, place: Place) -> Option<u32> {
    let is_one_of_many = rule.and_then(|r| r.graph.node(place.step)).is_some_and(|node| node.each.is_some());
    is_one_of_many.then_some(place.element + 1)
}

fn number_of(rule: Option<&Rule>, step: u32) -> String {
    match rule {
        _ if step == UNDECIDED => String::new(),
        Some(rule) => rule.number_of(step),
        None => (step + 1).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::answer::Answered;
    use crate::model::event::Event;
    use crate::model::run::Run;

    const RULES: &str = r#"
webhooks:
  /orders: { verify: none }
rules:
  Every order:
    when: { webhook: /orders }
    then:
      - post: https://crm.example.com/orders
        for_each: body.items
      - do:
          - log: ok
  Big orders:
    when: { webhook: /orders }
    if: { body.total: { over: 1000 }, body.token: "{{ secret.TOKEN }}" }
    then:
      - log: big
"#;

    /// An event with one run, of `rule`, whose first step has been tried twice.
    fn dossier(rule: &str, state: State, texts: &str) -> Dossier {
        let mut event = Event::nobody();
        (event.method, event.address) = ("POST".into(), "/orders".into());
        event.body = json!({ "total": 2000, "token": "not s3cr3t-t0ken", "items": [1, 2] });
        let due = Timestamp::from_second(60).unwrap();
        let run = Run { state, tried: 2, due, ..Run::begin(1, event.id, rule.into(), "".into(), 0, due) };
        let attempt = |number, outcome: &'static str| Attempt {
            place: Place { step: 0, element: 1 },
            number,
            at: due,
            took: Duration::from_millis(700),
            outcome: outcome.into(),
            said: "answered 503".into(),
            bodies: None,
        };
        let page = RunPage { run, said: String::new(), received: due, ended: None, is_queued: false, is_in_hand: false, called_by: None };
        let attempts = vec![attempt(1, "retry"), attempt(2, "retry")];
        Dossier {
            event,
            answered: Answered::With(200),
            runs: vec![(page, attempts)],
            decided: Vec::new(),
            texts: vec![("rules/a.yaml".into(), texts.into())],
            later_texts: Vec::new(),
        }
    }

    fn explained(dossier: &Dossier) -> Explanation {
        let secret = |_: &str| Some("s3cr3t-t0ken".to_owned());
        explain(dossier, Resolver::new(&secret, &|_| None, &|_| None))
    }

    #[test]
    fn every_rule_of_that_time_has_its_runs_or_the_conditions_that_prevented_them() {
        let explanation = explained(&dossier("Every order", State::Waiting, RULES));
        assert_eq!((explanation.ran, explanation.total, explanation.others.len(), explanation.is_readable), (1, 2, 0, true));
        let [every, big] = explanation.rules.as_slice() else { panic!("{explanation:?}") };
        let run = &every.runs[0];
        assert_eq!(run.waits, Some(Wait::Retry { due: Timestamp::from_second(60).unwrap(), number: 3 }));
        assert_eq!((run.steps, run.took_ms), (0, 1400), "no step has ended");
        assert_eq!((run.attempts[1].title.as_str(), run.attempts[1].element, run.attempts[1].number), ("post", Some(2), 2));
        assert!(big.runs.is_empty() && !big.is_else);
        let outcomes: Vec<String> = big.trace.iter().map(|line| line.outcome.text()).collect();
        assert_eq!(outcomes, ["yes", "NO, it was not ***"]);
        assert!(!serde_json::to_string(&explanation).unwrap().contains("s3cr3t"), "{explanation:?}");
    }

    #[test]
    fn runs_are_listed_without_their_rules_if_these_are_unknown() {
        let explanation = explained(&dossier("Later", State::Done, RULES));
        assert_eq!((explanation.rules.len(), explanation.others.len(), explanation.is_readable), (2, 1, true));
        let explanation = explained(&dossier("Every order", State::Failed, "rules: ["));
        assert_eq!((explanation.ran, explanation.total, explanation.rules.len(), explanation.is_readable), (1, 1, 0, false));
        let run = &explanation.others[0];
        assert_eq!((run.step.as_str(), run.attempts[0].title.as_str(), run.attempts[0].element), ("1", "", None));
    }

    #[test]
    fn runs_of_later_rules_are_explained_with_the_text_that_they_began_with() {
        let later = "rules:\n  Later:\n    when: { webhook: /b }\n    then:\n      - log: \"{{ secret.NEW }}\"\n        name: tell\n  Every order:\n    when: { webhook: /orders }\n    then:\n      - respond: 201\n";
        for (rule, title) in [("Later", "tell"), ("Every order", "respond")] {
            let mut dossier = dossier(rule, State::Done, RULES);
            dossier.later_texts = vec![("rules/b.yaml".into(), "rules: [".into()), ("rules/b.yaml".into(), later.into())];
            dossier.runs[0].0.run.text = crate::model::hash::hash(later.as_bytes()).into();
            let explanation = explained(&dossier);
            let runs = explanation.rules.iter().flat_map(|rule| &rule.runs).chain(&explanation.others);
            assert_eq!(runs.map(|run| run.attempts[0].title.as_str()).collect::<Vec<_>>(), [title]);
        }
    }

    #[test]
    fn a_list_always_names_states_in_the_same_order() {
        let runs = vec![(State::Failed, 1), (State::Waiting, 0), (State::Done, 2)];
        let id = Event::nobody().id;
        let page = EventPage {
            id,
            received: Timestamp::UNIX_EPOCH,
            method: String::new(),
            address: String::new(),
            sender: None,
            answered: Answered::With(200),
            runs,
        };
        let expected = [RunCount { state: State::Done, runs: 2 }, RunCount { state: State::Failed, runs: 1 }];
        assert_eq!(EventLine::of(page, Timestamp::UNIX_EPOCH).runs, expected);
    }
}
