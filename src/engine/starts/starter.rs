//! Saves the event of rules that start without a request, and hands its runs over.
//!
//! When that happens is decided by [`super::timekeeper`], [`super::failure_teller`], [`super::silence_watcher`], or a person.

use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use uuid::Uuid;

use super::made::{self, Start};
use crate::engine::intake::event_lines::{EventLine, EventLines, Told};
use crate::engine::intake::new_run;
use crate::engine::run::worker::Worker;
use crate::engine::tallies::counters::Counters;
use crate::model::budget::Allowance;
use crate::model::event::{Event, EventId};
use crate::model::origin::Origin;
use crate::rule::ruleset::InForce;
use crate::store::answered::NOBODY;
use crate::store::contract::{Accept, Accepted, Error, Store};
use crate::store::starts::{Claim, Moment};

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
        let event = made::moment(rule, timetable, start, EventId(Uuid::now_v7()), Timestamp::now());
        let moment = Moment { rule: rule.name.clone(), planned: start.planned };
        self.begin(&in_force, event, (!start.is_by_hand).then_some(Claim::Moment(moment))).await
    }

    /// Saves an event and starts the rules that it is for. Returns its id; `None` if what it stands for was claimed before.
    pub async fn begin(&self, in_force: &InForce, event: Event, claim: Option<Claim>) -> Result<Option<EventId>, Error> {
        let ruleset = &in_force.ruleset;
        let answering = ruleset.answering(&event);
        let decided = ruleset.decided(&event, Allowance::Full).unwrap_or_default();
        let permits = self.worker.room_for(answering.len(), &event);
        let event = Arc::new(event);
        let accept = Accept {
            event: event.clone(),
            runs: answering.iter().map(new_run).collect(),
            claim,
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
                for rule in ruleset.rules_for(&event) {
                    let started = runs.iter().find(|(run, _)| run.rule == rule.name);
                    self.counters.moment(&rule.name, started.map(|(_, result)| *result));
                }
                let rules = answering.iter().map(|started| started.rule.clone()).collect();
                self.worker.hand_over(runs, rules, &ruleset.vault, &event, permits);
                self.event_lines.tell(|| EventLine {
                    received: event.received,
                    method: event.method.clone(),
                    address: event.address.clone(),
                    what: match event.origin() {
                        Origin::Failure(_) | Origin::Silence(_) => Told::by_itself(&answering),
                        _ => Told::ByItself { runs: !answering.is_empty() },
                    },
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
