//! Events for dry runs of rules that start when something has failed, or did not come.

use jiff::Timestamp;
use serde_json::Map;

use crate::engine::starts::made;
use crate::model::event::{Event, EventId};
use crate::route::Route;
use crate::rule::ruleset::Ruleset;

/// The event that a failed run of a rule would make. The error is a message for people.
pub fn failure_of(ruleset: &Ruleset, failed: &str, rule: Option<&str>, now: Timestamp) -> Result<Event, String> {
    if ruleset.rule(failed).is_none() {
        return Err(format!("no rule is called `{failed}`; `doorbell list` shows all rules"));
    }
    if !ruleset.on_failure_of(failed).any(|one| rule.is_none_or(|name| *one.name == *name)) {
        return Err(match rule {
            Some(rule) => format!("a failed run of `{failed}` does not start `{rule}`"),
            None => format!("a failed run of `{failed}` starts no rule; write for example when: {{ failed: any }}"),
        });
    }
    Ok(made::failure(failed, made::sample_failure(failed), EventId::new(now, [0; 10]), now))
}

/// The events that a silence at an address would make, or its end; only of one rule, if one is given. The error is a message for
/// people.
pub fn silences_at(ruleset: &Ruleset, address: &str, rule: Option<&str>, is_back: bool, now: Timestamp) -> Result<Vec<Event>, String> {
    let route = Route::read(address).map_err(|no| format!("{}; {}", no.message, no.label))?;
    let given = Map::from_iter(is_back.then(|| ("back".to_owned(), true.into())));
    let events: Vec<Event> = ruleset
        .silences()
        .filter(|(one, silence)| silence.route.same(&route) && (silence.back || !is_back) && rule.is_none_or(|name| *one.name == *name))
        .map(|(rule, silence)| made::sample_silence(rule, silence, &given, EventId::new(now, [0; 10]), now))
        .collect();
    match (events.is_empty(), is_back) {
        (false, _) => Ok(events),
        (true, false) => {
            Err(format!("no rule waits for silence at {address}; write for example when: {{ silent: {address}, for: 6 hours }}"))
        }
        (true, true) => Err(format!("no rule starts when something comes to {address} again; that needs `back: true` beside `silent:`")),
    }
}
