//! What a store keeps for rules that start without a request: how far their schedules have come, the failures that no event
//! stands for yet, and the silences that rules were told of. An event that starts such a rule claims what it stands for, in the
//! transaction that stores it, so that each is used once, by one of many owners.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::model::event::EventId;
use crate::model::hash::hash;

/// What an event stands for, if it is no request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// A moment of a rule. It takes the place of an earlier one whose run still waits for another run of its lane.
    Moment(Moment),
    /// So many failures of one kind. `told` is when rules were told of that kind the last time, and `now` replaces it.
    Failures { key: String, count: u64, told: Option<Timestamp>, now: Timestamp },
    /// The silence that a rule waits for, if nothing was heard after `last`.
    Silence { rule: Arc<str>, last: Option<Timestamp>, now: Timestamp },
    /// The end of a silence that a rule was told of.
    Sound { rule: Arc<str>, last: Timestamp },
}

/// A moment at which a rule starts by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    pub rule: Arc<str>,
    pub planned: Timestamp,
}

/// How far a rule that starts by itself has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleProgress {
    pub rule: String,
    /// Its schedules, as text that is different for different ones.
    pub timing: String,
    /// Everything until then is settled: moments were started, or do not count.
    pub since: Timestamp,
    /// The last moment that was started.
    pub last: Option<Timestamp>,
}

/// What is known about the silence that a rule waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilenceProgress {
    pub rule: String,
    /// What it waits for, as text that is different for different silences.
    pub timing: String,
    /// When an event was last accepted there, as far as it was noted.
    pub last: Option<Timestamp>,
    /// When the rule was told of the silence that still goes on.
    pub told: Option<Timestamp>,
}

/// A run that has failed for good, for the rules that start then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureReport {
    /// The same for failures of one rule for one reason.
    pub key: String,
    pub rule: Arc<str>,
    /// What rules are told, as JSON.
    pub body: String,
}

/// What is known about a failed run.
pub struct FailedRun<'a> {
    pub rule: &'a Arc<str>,
    /// The step that failed, as it is called in `error.step`.
    pub step: &'a str,
    pub message: &'a str,
    pub status: Option<u16>,
    pub tries: u32,
    pub event: EventId,
    pub address: &'a str,
}

impl FailureReport {
    pub fn of(run: &FailedRun) -> Self {
        let mut body = Map::new();
        body.insert("rule".to_owned(), run.rule.to_string().into());
        body.insert("step".to_owned(), run.step.into());
        body.insert("message".to_owned(), run.message.into());
        if let Some(status) = run.status {
            body.insert("status".to_owned(), status.into());
        }
        body.insert("tries".to_owned(), run.tries.into());
        body.insert("event".to_owned(), run.event.to_string().into());
        body.insert("address".to_owned(), run.address.into());
        let key = json!([&**run.rule, run.step, run.status, reason(run.message)]).to_string();
        Self { key: hash(key.as_bytes()), rule: run.rule.clone(), body: Value::Object(body).to_string() }
    }
}

/// A message without what differs from event to event: words with digits, and addresses.
fn reason(message: &str) -> String {
    let words = message.split_whitespace().map(|word| {
        let varies = word.bytes().any(|byte| byte.is_ascii_digit()) || word.contains("://");
        if varies { "#" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Failures of one rule for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failures {
    pub key: String,
    pub rule: String,
    /// How many of them no event stands for yet.
    pub count: u64,
    /// The newest one, as in its report.
    pub body: String,
    /// When rules were last told of this kind.
    pub told: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(message: &str, status: Option<u16>) -> FailureReport {
        let (rule, event) = (Arc::from("Orders"), EventId(uuid::Uuid::nil()));
        FailureReport::of(&FailedRun { rule: &rule, step: "post", message, status, tries: 11, event, address: "/orders" })
    }

    #[test]
    fn one_reason_is_the_same_whatever_numbers_and_addresses_are_in_its_message() {
        let one = report("https://crm.example.com/orders/17 answered 500 (given up after 11 tries)", Some(500));
        let other = report("https://crm.example.com/orders/18?x=y answered 500 (given up after 6 tries)", Some(500));
        assert_eq!(one.key, other.key);
        assert_ne!(one.key, report("https://crm.example.com/orders/17 answered 500 (given up after 11 tries)", Some(503)).key);
        assert_ne!(one.key, report("it does not answer", None).key);
        let body = r#"{"rule":"Orders","step":"post","message":"no","tries":11,"event":"00000000-0000-0000-0000-000000000000","address":"/orders"}"#;
        assert_eq!(serde_json::from_str::<Value>(&report("no", None).body).unwrap(), serde_json::from_str::<Value>(body).unwrap());
    }
}
