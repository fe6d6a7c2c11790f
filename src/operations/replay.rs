//! Replays: which events a choice selects, and the command that replays one of them. The caller executes the commands one by
//! one, at its own pace, and can show progress.

use serde::Serialize;

use super::command::Command;
use crate::engine::intake::new_run;
use crate::model::event::EventId;
use crate::model::run::State;
use crate::rule::Rule;
use crate::rule::ruleset::Ruleset;
use crate::store::contract::{Choice, Error, NewRun, Queries, Result};

/// How an event is replayed.
pub enum Mode<'r> {
    /// Its failed runs continue at the step that failed.
    GoOn,
    /// These rules start again on it, even if everything was already done.
    StartAnew(&'r Ruleset),
}

impl Mode<'_> {
    /// Whether runs in this state can be replayed in this mode.
    pub fn fits(&self, state: State) -> bool {
        matches!(self, Mode::StartAnew(_)) || state == State::Failed
    }
}

/// The events that a choice selects.
#[derive(Debug, Serialize)]
pub struct Chosen {
    /// The requested state.
    pub state: State,
    /// Oldest first.
    pub events: Vec<ChosenEvent>,
    /// How many runs match, in total.
    pub runs: usize,
}

/// An event with runs that match a choice.
#[derive(Debug, Serialize)]
pub struct ChosenEvent {
    pub event: EventId,
    /// How many of its runs match.
    pub runs: usize,
}

/// Finds the events that a choice selects; changes nothing.
pub async fn choose(queries: &dyn Queries, choice: Choice) -> Result<Chosen> {
    let state = choice.state;
    let found = queries.chosen(choice).await?;
    let runs = found.iter().map(|(_, runs)| runs).sum();
    Ok(Chosen { state, events: found.into_iter().map(|(event, runs)| ChosenEvent { event, runs }).collect(), runs })
}

/// The rules that are started again on an event and that add to what is remembered; they do that once more.
pub async fn adding(queries: &dyn Queries, event: EventId, rule: Option<&str>, mode: &Mode<'_>) -> Result<Vec<String>> {
    let Mode::StartAnew(ruleset) = mode else { return Ok(Vec::new()) };
    let event = queries.dossier(event).await?.event;
    let adds_up = |rule: &Rule| rule.steps.iter().any(|step| step.action.as_ref().is_some_and(|action| action.adds_up()));
    let rules = ruleset.rules.iter().filter(|one| rule.is_none_or(|name| *one.name == *name));
    Ok(rules.filter(|one| one.is_called_by(&event) && adds_up(one)).map(|one| one.name.to_string()).collect())
}

/// The command that replays one event; only for one rule, if one is given.
pub async fn command(queries: &dyn Queries, event: EventId, rule: Option<&str>, mode: &Mode<'_>) -> Result<Command> {
    let Mode::StartAnew(ruleset) = mode else { return Ok(Command::Replay { event, rule: rule.map(str::to_owned) }) };
    let dossier = queries.dossier(event).await?;
    let missing = ruleset.missing_for(&dossier.event);
    if !missing.is_empty() {
        let missing = missing.join(" and ");
        return Err(Error::new(
            format!("rules compare this event with {missing}, which this command was not given; pass --env-file"),
            false,
        ));
    }
    let answering = ruleset.answering(&dossier.event);
    let wanted = answering.iter().filter(|started| rule.is_none_or(|name| name == &*started.rule.name));
    // A replay ignores `once_per`.
    let runs = wanted.map(|started| NewRun { once: None, ..new_run(started) }).collect();
    let texts = ruleset.texts.iter().map(|(hash, source)| (hash.clone(), source.name.clone(), source.text.clone())).collect();
    Ok(Command::StartAnew { event, runs, texts })
}
