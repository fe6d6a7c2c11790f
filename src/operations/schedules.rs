//! The rules that start by themselves: when each starts next and was started last, and events for dry runs of them.

use jiff::{Timestamp, Zoned};
use serde::Serialize;

use crate::engine::starts::made::{self, Start};
use crate::model::event::{Event, EventId};
use crate::rule::Rule;
use crate::rule::ruleset::Ruleset;
use crate::schedule::timetable::Timetable;
use crate::store::starts::ScheduleProgress;

/// How many moments are shown ahead.
pub const AHEAD: usize = 3;

/// A rule that starts by itself.
#[derive(Debug, Serialize)]
pub struct ScheduledRule {
    pub rule: String,
    /// `every day at 09:00 (Europe/Berlin)`
    pub when: String,
    pub timezone: String,
    /// The next moments, in its time zone; none if it is switched off, or never starts.
    pub next: Vec<String>,
    /// The last moment for which it was started.
    pub last: Option<String>,
    pub enabled: bool,
}

/// All rules that start by themselves, in the order of the files.
pub fn scheduled_rules(ruleset: &Ruleset, progress: &[ScheduleProgress], now: Timestamp) -> Vec<ScheduledRule> {
    let all = ruleset.rules.iter().filter_map(|rule| Some((rule, rule.timetable.as_ref()?)));
    all.map(|(rule, timetable)| scheduled_rule(rule, timetable, progress, now)).collect()
}

/// One of them.
pub fn scheduled_rule(rule: &Rule, timetable: &Timetable, progress: &[ScheduleProgress], now: Timestamp) -> ScheduledRule {
    let last = progress.iter().find(|one| one.rule == *rule.name).and_then(|one| one.last);
    let has_seconds = timetable.has_seconds();
    let next = if rule.enabled { timetable.upcoming(now, AHEAD) } else { Vec::new() };
    ScheduledRule {
        rule: rule.name.to_string(),
        when: timetable.said(),
        timezone: timetable.zone.name.clone(),
        next: next.iter().map(|moment| spelled(moment, has_seconds)).collect(),
        last: last.map(|last| spelled(&timetable.local(last), has_seconds)),
        enabled: rule.enabled,
    }
}

/// A moment as people read it: `Sat 2026-11-28 09:00`.
fn spelled(moment: &Zoned, has_seconds: bool) -> String {
    moment.strftime(if has_seconds { "%a %Y-%m-%d %H:%M:%S" } else { "%a %Y-%m-%d %H:%M" }).to_string()
}

/// The events of the rules that start at a moment, as it is written; only of one rule, if one is given. The error is a message
/// for people.
pub fn moments_at(ruleset: &Ruleset, text: &str, rule: Option<&str>, now: Timestamp) -> Result<Vec<Event>, String> {
    let mut others = Vec::new();
    let mut events = Vec::new();
    for (one, timetable) in ruleset.scheduled().filter(|(one, _)| rule.is_none_or(|name| *one.name == *name)) {
        let planned = timetable.read(text)?;
        if timetable.has(planned) {
            let start = Start { planned, previous: None, missed: 0, is_by_hand: false };
            events.push(made::moment(one, timetable, start, EventId::new(now, [0; 10]), planned));
        } else {
            others.push(format!("`{}`: {}", one.name, not_a_moment(timetable, text, planned)));
        }
    }
    match (events.is_empty(), others.is_empty(), rule) {
        (false, ..) => Ok(events),
        (true, false, _) => Err(others.join("\n")),
        (true, true, Some(rule)) => Err(format!("no rule called `{rule}` starts by itself; `doorbell schedules` lists those that do")),
        (true, true, None) => Err("no rule starts by itself; write for example when: { at: \"09:00\" }".to_owned()),
    }
}

/// Why a rule does not start at a moment.
pub fn not_a_moment(timetable: &Timetable, text: &str, moment: Timestamp) -> String {
    let next = timetable
        .next(moment)
        .map(|next| format!("; after that, it starts on {}", spelled(&timetable.local(next), timetable.has_seconds())));
    format!("the rule does not start at {text} ({}){}", timetable.zone.name, next.unwrap_or_default())
}
