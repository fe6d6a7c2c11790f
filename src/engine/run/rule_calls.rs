//! What a step leads to that runs another rule: a new run of the same event, with the rule that is in force now; or a result at
//! once. Later, what the caller makes of how that run ended.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::watchdog::Watchdog;
use crate::engine::task::off_thread::off_thread;
use crate::model::budget::Allowance;
use crate::model::called::{self, CallEnd, How, MOST_NESTED, RuleCall};
use crate::model::event::Event;
use crate::model::outcome::{Outcome, Success};
use crate::model::run::{Run, RunId};
use crate::model::saved::NOW;
use crate::rule::ruleset::InForce;
use crate::rule::{Rule, Started, UNDECIDED};
use crate::store::contract::{NewCall, NewRun};

/// Why a rule that would run does not.
pub const TOO_MANY_RUNS: &str = "this event has so many runs that no other rule can be run for it";

/// Decides what a call leads to, when the step of a run makes it.
pub async fn begin(
    in_force: &Arc<InForce>,
    call: RuleCall,
    run: &Run,
    event: &Arc<Event>,
    watchdog: &Arc<Watchdog>,
    now: Timestamp,
) -> (Outcome, Option<Box<NewCall>>) {
    let RuleCall { rule: name, input, is_awaited, .. } = call;
    let rule = match callable(in_force, &name) {
        Ok(rule) => rule,
        Err(why) => return (Outcome::failed(why), None),
    };
    let depth = run.given().map_or(0, |given| given.depth) + 1;
    if depth > MOST_NESTED {
        let why = format!("rules call each other more than {MOST_NESTED} deep here, so `{name}` was not run");
        return (Outcome::failed(why), None);
    }
    let id = format!("{}-{}-{}", run.id, run.place.step, run.place.element);
    let own = run.saved.get(NOW).filter(|now| now.is_string());
    let given = called::given(input, is_awaited, depth, id, own.or(run.given().and_then(|given| given.now)));
    let Some(started) = start(in_force, &rule, event, given.clone(), run.id, watchdog).await else {
        return (did_not_run(&name, "its `if` was not true"), None);
    };
    let new = NewRun { rule: rule.name.clone(), text: rule.text.clone(), step: started.step, lane: started.lane, once: started.once };
    let outcome = match is_awaited {
        true => Outcome::Awaits(name),
        false => Outcome::Done(Success { said: format!("`{name}` was started"), ..Success::default() }),
    };
    (outcome, Some(Box::new(NewCall { new, place: run.place, is_awaited, given, at: now })))
}

/// The rule of this name; the error says why it cannot be called.
fn callable(in_force: &InForce, name: &str) -> Result<Arc<Rule>, String> {
    match in_force.ruleset.rule(name) {
        None => Err(format!("there is no rule `{name}` any more")),
        Some(rule) if !rule.is_callable => {
            Err(format!("other rules cannot call the rule `{name}`: its `when:` does not say `called: true`"))
        }
        Some(rule) if !rule.enabled => Err(format!("the rule `{name}` is switched off")),
        Some(rule) => Ok(rule.clone()),
    }
}

/// How the rule starts with what it is given, if it does.
async fn start(
    in_force: &Arc<InForce>,
    rule: &Arc<Rule>,
    event: &Arc<Event>,
    given: (String, Value),
    run: RunId,
    watchdog: &Arc<Watchdog>,
) -> Option<Started> {
    let saved: Map<String, Value> = [given].into_iter().collect();
    let (rule, event, in_force, watchdog) = (rule.clone(), event.clone(), in_force.clone(), watchdog.clone());
    let start = move |allowance| {
        let _mark = watchdog.mark(run);
        rule.start(&rule.scope(&event, &in_force.ruleset.vault, &saved).within(allowance))
    };
    match start(Allowance::Small) {
        Some(started) if started.step == UNDECIDED => off_thread(move || start(Allowance::Full)).await.unwrap_or(Some(started)),
        started => started,
    }
}

fn did_not_run(rule: &str, why: &str) -> Outcome {
    let said = format!("`{rule}` did not run: {why}");
    Outcome::Done(Success { said, output: Some(called::result(None)), ..Success::default() })
}

/// What a step makes of how the rule ended that it called.
pub fn outcome_of(end: CallEnd) -> Outcome {
    let CallEnd { rule, how } = end;
    match how {
        How::Returned(value) => {
            let said = match &value {
                Some(value) => format!("`{rule}` returned {}", called::brief(value)),
                None => format!("`{rule}` has run"),
            };
            Outcome::Done(Success { said, output: Some(called::result(value)), ..Success::default() })
        }
        How::DidNotRun(why) => did_not_run(&rule, &why),
        How::Failed(why) => Outcome::failed(format!("`{rule}` failed: {why}")),
    }
}
