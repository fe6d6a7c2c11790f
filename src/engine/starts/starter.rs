//! Makes the event of a rule that starts by itself, saves it, and hands its run over.
//!
//! When that happens is decided by [`super::timekeeper`], or by a person.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::engine::intake::event_lines::{EventLine, EventLines, Told};
use crate::engine::intake::new_run;
use crate::engine::run::worker::Worker;
use crate::engine::tallies::counters::Counters;
use crate::model::budget::Allowance;
use crate::model::event::{Event, EventId, SCHEDULE};
use crate::rule::Rule;
use crate::rule::ruleset::InForce;
use crate::schedule::timetable::Timetable;
use crate::store::answered::NOBODY;
use crate::store::contract::{Accept, Accepted, Error, Moment, Store};

/// What starts a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The moment for which it starts.
    pub planned: Timestamp,
    /// The moment before, if the rule was started then.
    pub previous: Option<Timestamp>,
    /// How many moments were missed.
    pub missed: usize,
    /// Whether somebody asked for it, so that no moment of the schedule is used up.
    pub is_by_hand: bool,
}

/// Starts rules without a request.
#[derive(Clone)]
pub struct Starter {
    pub rules: Arc<ArcSwap<InForce>>,
    pub store: Arc<dyn Store>,
    pub worker: Worker,
    pub counters: Arc<Counters>,
    pub event_lines: Arc<EventLines>,
}

impl Starter {
    /// Starts a rule. Returns its event once that is saved; `None` if the moment was used before, or the rule is not there any
    /// more.
    pub async fn start(&self, name: &str, start: Start) -> Result<Option<EventId>, Error> {
        let in_force = self.rules.load_full();
        let ruleset = &in_force.ruleset;
        let found = ruleset.rule(name).filter(|rule| rule.enabled).and_then(|rule| Some((rule, rule.timetable.as_ref()?)));
        let Some((rule, timetable)) = found else { return Ok(None) };
        let event = made(rule, timetable, start, EventId(Uuid::now_v7()), Timestamp::now());
        let answering = ruleset.answering(&event);
        let decided = ruleset.decided(&event, Allowance::Full).unwrap_or_default();
        let permits = self.worker.room_for(answering.len(), &event);
        let event = Arc::new(event);
        let moment = (!start.is_by_hand).then(|| Moment { rule: rule.name.clone(), planned: start.planned });
        let accept = Accept {
            event: event.clone(),
            runs: answering.iter().map(new_run).collect(),
            moment,
            deliveries: Vec::new(),
            is_vouched: true,
            ruleset: in_force.number,
            status: NOBODY,
            decided,
            taken: permits.is_some(),
        };
        let doubt = self.worker.doubt(event.id);
        match self.store.accept(accept).await {
            Ok(Accepted::New(event, runs)) => {
                doubt.resolved();
                self.counters.moment(name, runs.first().map(|(_, result)| *result));
                let rules = answering.iter().map(|started| started.rule.clone()).collect();
                self.worker.hand_over(runs, rules, &ruleset.vault, &event, permits);
                self.event_lines.tell(|| EventLine {
                    received: event.received,
                    method: event.method.clone(),
                    address: event.address.clone(),
                    what: Told::ByItself { runs: !answering.is_empty() },
                });
                Ok(Some(event.id))
            }
            Ok(Accepted::Claimed | Accepted::Again { .. }) => {
                doubt.resolved();
                Ok(None)
            }
            Err(e) => {
                if !e.is_unknown() {
                    doubt.resolved();
                }
                Err(e)
            }
        }
    }
}

/// The event of a moment, as rules see it.
pub fn made(rule: &Rule, timetable: &Timetable, start: Start, id: EventId, received: Timestamp) -> Event {
    let spelled = |moment: Timestamp| Value::from(timetable.local(moment).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string());
    let mut body = Map::new();
    body.insert("planned".to_owned(), spelled(start.planned));
    if let Some(previous) = start.previous {
        body.insert("previous".to_owned(), spelled(previous));
    }
    body.insert("missed".to_owned(), start.missed.into());
    let body = Value::Object(body);
    Event {
        id,
        received,
        method: SCHEDULE.to_owned(),
        address: rule.name.to_string(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        raw: Bytes::from(body.to_string()),
        body,
        ..Event::nobody()
    }
}
