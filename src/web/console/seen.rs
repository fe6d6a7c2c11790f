//! What a visitor gets to see of events: secrets are struck, and with `--console-hide-bodies` nothing of what arrived is shown.
//! Pages ask here, never the store itself, so that none of them can forget it.

use crate::expr::condition::trace::{Outcome, TraceLine};
use crate::model::event::{Event, EventId};
use crate::model::request::Request;
use crate::operations::excerpt::excerpt;
use crate::operations::history::{self, EventSearch, ExplainedRun, Explanation};
use crate::operations::open_runs::{self, FailedRun, WaitingRun};
use crate::secret::Vault;
use crate::store::body_text::BodyText;
use crate::store::contract::{Cursor, Dossier, EventFilter};

use super::ask::Ask;
use super::fault::Fault;

/// What stands in the place of something hidden.
const HIDDEN: &str = "hidden in this console";

impl Ask {
    /// Whether what arrived is shown in this console.
    pub fn shows_bodies(&self) -> bool {
        !self.console.settings.hides_bodies
    }

    /// Refuses what cannot be done without showing what arrived.
    pub fn must_show_bodies(&self) -> Result<(), Fault> {
        let hidden = || Fault::Forbidden("What arrived is hidden in this console (--console-hide-bodies).".to_owned());
        self.shows_bodies().then_some(()).ok_or_else(hidden)
    }

    /// The event whose id this is, or begins so.
    pub async fn event_id(&self, id: &str) -> Result<EventId, Fault> {
        self.console.queries.find(id).await.map_err(|e| if e.is_transient() { e.into() } else { Fault::no_event(id, &e.to_string()) })
    }

    /// The content of an event, without secrets.
    pub async fn content(&self, id: EventId) -> Result<Event, Fault> {
        self.must_show_bodies()?;
        let event = self.console.queries.dossier(id).await?.event;
        Ok(struck(event, &self.console.health.rules.load().ruleset.vault))
    }

    /// A request that was refused, if it is kept, without secrets.
    pub fn refused_request(&self, id: &str) -> Option<Request> {
        let kept = self.console.rejections.kept.as_ref().filter(|_| self.shows_bodies())?.find(id)?;
        let vault = self.console.health.rules.load().ruleset.vault.clone();
        let body = vault.strike(&String::from_utf8_lossy(&kept.body)).into_bytes().into();
        let headers = kept.headers.iter().map(|(name, value)| (name.clone(), vault.strike(value))).collect();
        Some(Request { body, headers, ..Request::clone(&kept) })
    }

    /// Searches the events. Each that has a text comes with what is around it, without secrets; one that has it only in a
    /// secret is left out, so that nobody finds a secret by searching for parts of it.
    pub async fn events(&self, filter: &EventFilter, from: Option<Cursor>, most: usize) -> Result<EventSearch, Fault> {
        let mut found = history::search(self.console.queries.as_ref(), filter, from, most).await?;
        let Some(text) = filter.text.as_deref().map(BodyText::new) else { return Ok(found) };
        let mut shown = Vec::with_capacity(found.events.len());
        for mut line in found.events {
            // It may have been deleted since it was found.
            let Ok(event) = self.content(line.id).await else { continue };
            line.excerpt = excerpt(&String::from_utf8_lossy(&event.raw), &text);
            shown.extend(line.excerpt.is_some().then_some(line));
        }
        found.events = shown;
        Ok(found)
    }

    /// What became of an event, and why.
    pub fn explanation(&self, dossier: &Dossier) -> Result<Explanation, Fault> {
        let mut told = (self.console.explain)(dossier).map_err(|e| Fault::Failed(format!("{e:#}")))?;
        if !self.shows_bodies() {
            for rule in &mut told.rules {
                hide_found(&mut rule.trace);
                rule.runs.iter_mut().for_each(hide_said);
            }
            told.others.iter_mut().for_each(hide_said);
        }
        Ok(told)
    }

    /// The failed runs, newest first. What servers answered and the addresses that were called can repeat what arrived.
    pub async fn failed_runs(&self, most: usize) -> Result<Vec<FailedRun>, Fault> {
        let mut runs = open_runs::failed(self.console.queries.as_ref(), most).await?;
        if !self.shows_bodies() {
            runs.iter_mut().for_each(|run| hide(&mut run.why));
        }
        Ok(runs)
    }

    /// The unfinished runs, oldest first.
    pub async fn waiting_runs(&self, most: usize) -> Result<Vec<WaitingRun>, Fault> {
        let mut runs = open_runs::waiting(self.console.queries.as_ref(), most).await?;
        if !self.shows_bodies() {
            runs.iter_mut().for_each(|run| hide(&mut run.why));
        }
        Ok(runs)
    }
}

fn hide(text: &mut String) {
    if !text.is_empty() {
        HIDDEN.clone_into(text);
    }
}

/// The conditions stay, and how they were decided; the values that were found do not.
fn hide_found(trace: &mut [TraceLine]) {
    for line in trace {
        if let Outcome::No(found) = &mut line.outcome {
            hide(found);
        }
    }
}

fn hide_said(run: &mut ExplainedRun) {
    for attempt in &mut run.attempts {
        hide(&mut attempt.said);
        attempt.bodies = None;
    }
}

/// An event in which the names of secrets stand in their places.
pub fn struck(event: Event, vault: &Vault) -> Event {
    let raw = match std::str::from_utf8(&event.raw) {
        Ok(text) => vault.strike(text).into_bytes().into(),
        Err(_) => event.raw,
    };
    let headers = event.headers.into_iter().map(|(name, value)| (name, vault.strike(&value))).collect();
    Event { body: vault.strike_value(event.body), query: vault.strike(&event.query), headers, raw, ..event }
}
