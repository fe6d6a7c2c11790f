//! Checks of a whole rule that starts by itself, or whose tests think so. [`super::when`] reads when that is.

use std::collections::HashSet;

use jiff::Timestamp;

use super::Rule;
use crate::route::Routes;
use crate::text::nearest::nearest;
use crate::yaml::fields::Item;
use crate::yaml::place::scalar;

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
    let Some(answering) = rule.steps.iter().find(|step| step.answers()) else { return };
    if rule.is_only_called() {
        let draft = item.at(&answering.path).problem("nobody waits for an answer, because only other rules start this one");
        draft.label("to give the calling rule a result, write `return:`").add();
    }
    if !rule.when.is_empty() || !rule.starts_by_itself() {
        return;
    }
    let draft = item.at(&answering.path).problem("nobody waits for an answer, because this rule starts only by itself");
    draft.label("remove this step").add();
}

/// Reports tests that send something by which their rule is never started.
fn look_at_tests(rule: &Rule, item: &Item) {
    for test in &rule.tests {
        let place = item.at(&test.path);
        let send = &test.send;
        match (&rule.timetable, &send.planned) {
            (None, Some(_)) => {
                let draft = place.problem("this rule does not start by itself, so a test cannot send it a moment");
                draft.label("send a webhook, such as send: { json: { … } }").add();
            }
            (Some(timetable), Some(text)) => {
                if let Err(why) = timetable.read(text) {
                    place.problem(why).label("write the date, a T and the time").add();
                }
            }
            _ => {}
        }
        if send.failed.is_some() && rule.failed.is_none() {
            let draft = place.problem("failures do not start this rule, so a test cannot send it one");
            draft.label("send a webhook, such as send: { json: { … } }").add();
        }
        if send.silent.is_some() && rule.silence.is_none() {
            let draft = place.problem("this rule does not wait for silence, so a test cannot send it one");
            draft.label("send a webhook, such as send: { json: { … } }").add();
        }
        if send.input.is_some() && !rule.is_callable {
            let draft = place.problem("other rules cannot call this rule, so a test cannot give it an input");
            draft.label("send a webhook, such as send: { json: { … } }").add();
        }
        if !rule.when.is_empty() || send.is_made() {
            continue;
        }
        if rule.timetable.is_some() {
            let draft = place.problem("this rule starts by itself, so its tests send it a moment");
            draft.label("write for example send: { planned: 2026-03-02T09:00 }").add();
        } else if let Some(failed) = &rule.failed {
            let draft = place.problem("this rule starts when others fail, so its tests send it a failure");
            draft.label(format!("write for example send: {{ failed: {{ rule: {}, message: it answered 500 }} }}", failed.example())).add();
        } else if rule.is_callable {
            let draft = place.problem("only other rules start this rule, so its tests give it an input");
            draft.label("write for example send: { input: { number: 17 } }").add();
        } else if rule.silence.is_some() {
            let draft = place.problem("this rule waits for silence, so its tests send it one");
            draft.label("write for example send: { silent: { last: 2026-03-02T09:00:00Z } }").add();
        }
    }
}

/// Reports what cannot be once all rules are known: their names, and their addresses.
pub fn look_together(rule: &Rule, item: &Item, names: &HashSet<&str>, called: &Routes<bool>) {
    look_at_names(rule, item, names);
    look_at_silence(rule, item, called);
}

/// Reports names that no rule has.
fn look_at_names(rule: &Rule, item: &Item, names: &HashSet<&str>) {
    for (name, path) in rule.failed.iter().flat_map(|failed| failed.named()) {
        let place = item.at(path);
        if *name == *rule.name {
            let draft = place.problem("a rule never starts because one of its own runs has failed").together();
            draft.label("name another rule; steps for its own failures belong under `on_error:`").add();
        } else if !names.contains(&**name) {
            let draft = place.problem(format!("no rule is called `{name}`")).together();
            match nearest(name, names.iter().copied()) {
                Some(near) => draft.label("write the name of a rule").write(&scalar(near)).add(),
                None if matches!(&**name, "all" | "*" | "every" | "any") => {
                    draft.label("for all rules, write `failed: any`").add();
                }
                None => draft.label("write the name of a rule, or `failed: any`").add(),
            }
        }
    }
}

/// Reports a silence where nothing can ever come; `called` are the addresses of all rules.
fn look_at_silence(rule: &Rule, item: &Item, called: &Routes<bool>) {
    let Some(silence) = &rule.silence else { return };
    if !called.meeting(&silence.route).is_empty() {
        return;
    }
    let route = silence.route.text();
    let draft = item.at(&silence.path).problem(format!("no rule uses {route}, so nothing is ever accepted there")).together();
    let draft = draft.label("write the address of a rule; to only notice that nothing comes, a rule with `- log: …` is enough");
    match nearest(route, called.iter().map(|(route, _)| route.text())) {
        Some(near) => draft.write(&scalar(near)).add(),
        None => draft.add(),
    }
}
