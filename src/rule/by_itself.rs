//! Checks of a whole rule that starts by itself, or whose tests think so. [`super::when`] reads when that is.

use jiff::Timestamp;

use super::Rule;
use crate::yaml::fields::Item;

/// Reports what cannot be.
pub fn look(rule: &Rule, item: &Item) {
    look_at_moments(rule, item);
    look_at_answer(rule, item);
    look_at_tests(rule, item);
}

/// Reports schedules that no calendar has a moment for, such as 30 February.
fn look_at_moments(rule: &Rule, item: &Item) {
    let Some(timetable) = &rule.timetable else { return };
    for (schedule, said) in &timetable.schedules {
        if schedule.next(Timestamp::UNIX_EPOCH, &timetable.zone.zone).is_none() {
            let draft = item.problem(format!("there is no moment {said}")).at_key();
            draft.label("correct the day or the month: no month that is named has such a day").add();
        }
    }
}

/// Reports an answer for which nobody waits.
fn look_at_answer(rule: &Rule, item: &Item) {
    let Some(answering) = rule.steps.iter().find(|step| step.answers()).filter(|_| rule.when.is_empty() && rule.timetable.is_some()) else {
        return;
    };
    let draft = item.at(&answering.path).problem("nobody waits for an answer, because this rule starts only by itself");
    draft.label("remove this step").add();
}

/// Reports tests that send something by which their rule is never started.
fn look_at_tests(rule: &Rule, item: &Item) {
    for test in &rule.tests {
        let place = item.at(&test.path);
        match (&rule.timetable, &test.send.planned) {
            (None, Some(_)) => {
                let draft = place.problem("this rule does not start by itself, so a test cannot send it a moment");
                draft.label("send a webhook, such as send: { json: { … } }").add();
            }
            (Some(_), None) if rule.when.is_empty() => {
                let draft = place.problem("this rule starts by itself, so its tests send it a moment");
                draft.label("write for example send: { planned: 2026-03-02T09:00 }").add();
            }
            (Some(timetable), Some(text)) => {
                if let Err(why) = timetable.read(text) {
                    place.problem(why).label("write the date, a T and the time").add();
                }
            }
            _ => {}
        }
    }
}
