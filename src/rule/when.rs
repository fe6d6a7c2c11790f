//! `when:`: what starts a rule: webhooks, moments (read by `timing.rs`), failures (`failed.rs`), silence (`silent.rs`) and
//! other rules.

use super::address::read_methods;
use super::failed::{self, FailedRules};
use super::silent::{self, Silence};
use super::timing::{self, TIMING};
use crate::route::Route;
use crate::schedule::timetable::{Missed, Timetable};
use crate::schedule::zone::{self, Named};
use crate::schedule::{Schedule, clock, cron};
use crate::yaml::Node;
use crate::yaml::fields::{Fields, Item};
use crate::yaml::place::scalar;

/// The most schedules of one rule.
const MOST_SCHEDULES: usize = 20;

/// One `webhook:` of a rule.
#[derive(Debug, Clone)]
pub struct When {
    pub route: Route,
    /// Narrower than those of the address, if the rule says so.
    pub methods: Option<Vec<String>>,
}

/// Everything that starts a rule.
pub struct Starts<'a> {
    pub webhooks: Vec<When>,
    pub timetable: Option<Timetable>,
    pub failed: FailedRules,
    pub silence: Option<Silence>,
    /// Whether other rules can call it.
    pub is_callable: bool,
    /// The time zone of the rule.
    pub zone: Named,
    /// `timezone:` of a rule that does not start by itself: only steps can need it.
    pub idle_zone: Option<Item<'a>>,
}

/// Reads `when:`, `timezone:` and `missed:` of a rule; problems have been reported.
///
/// `zone` is the time zone of the file, or of this Doorbell.
pub fn read<'a>(fields: &mut Fields<'a>, zone: &Named) -> Starts<'a> {
    let (when, own, missed) = (fields.must("when"), fields.may("timezone"), fields.may("missed"));
    let own_zone = own.as_ref().and_then(read_zone);
    let zone = own_zone.unwrap_or_else(|| zone.clone());
    let mut starts = Starts {
        webhooks: Vec::new(),
        timetable: None,
        failed: FailedRules::default(),
        silence: None,
        is_callable: false,
        zone,
        idle_zone: None,
    };
    let mut schedules = Vec::new();
    let (mut is_timed, mut is_silent) = (false, false);
    if let Some(item) = when {
        for one in item.one_or_more("write what starts the rule, such as { webhook: /path }").unwrap_or_default() {
            is_timed |= TIMING.iter().any(|key| one.node.has(key));
            is_silent |= one.node.has("silent");
            read_one(&one, &mut starts, &mut schedules);
        }
        if schedules.len() > MOST_SCHEDULES {
            item.problem(format!("a rule can have at most {MOST_SCHEDULES} schedules")).label("split it into two rules").add();
        }
    }
    let missed_is = missed.as_ref().map(read_missed);
    // What is wrong with a schedule was reported there.
    if let Some(item) = missed.as_ref().filter(|_| !is_timed) {
        no_effect(item, "missed");
    }
    if !is_timed && !is_silent {
        return Starts { idle_zone: own, ..starts };
    }
    if !schedules.is_empty() {
        starts.timetable = Some(Timetable { schedules, zone: starts.zone.clone(), missed: missed_is.flatten().unwrap_or_default() });
    }
    starts
}

/// Reports a key that only matters to rules that start by themselves.
pub fn no_effect(item: &Item, key: &str) {
    let draft = item.problem(format!("`{key}:` has no effect, because the rule does not start by itself")).at_key();
    draft.label("remove it, or add a time under `when:`, such as at: \"09:00\"").add();
}

/// A `timezone:` of a rule or of a file.
pub fn read_zone(item: &Item) -> Option<Named> {
    let name = item.text()?;
    match zone::place(&name) {
        Ok(zone) => Some(zone),
        Err(no) => {
            let draft = item.problem(&no.why).label("write a place, such as Europe/Berlin, or UTC");
            match no.meant {
                Some(meant) => draft.write(&meant).add(),
                None => draft.add(),
            }
            None
        }
    }
}

fn read_missed(item: &Item) -> Option<Missed> {
    match item.text()?.as_str() {
        "once" => Some(Missed::Once),
        "skip" => Some(Missed::Skip),
        other => {
            let draft = item.problem(format!("`{other}` is not a way to treat missed moments"));
            draft.label("write `once` (one start when Doorbell is back) or `skip`").add();
            None
        }
    }
}

/// Reads one map under `when:`.
fn read_one(one: &Item, starts: &mut Starts, schedules: &mut Vec<(Schedule, String)>) {
    match one.node {
        Node::Bool(_) => {
            one.problem("`when:` must say what starts the rule").label("write { webhook: /path }, or { at: \"09:00\" }").add();
            return;
        }
        Node::Text(text) => {
            only_text(one, text);
            return;
        }
        _ => {}
    }
    let Some(mut when) = one.fields("`when:`") else { return };
    let is_timed = TIMING.iter().any(|key| when.has(key));
    let is_foreign = FOREIGN.iter().any(|(key, _)| when.has(key));
    let has_other = is_timed || ["failed", "silent", "called"].iter().any(|key| when.has(key)) || is_foreign;
    let address = if has_other { when.may("webhook") } else { when.must("webhook") };
    let methods = when.may("method").map(|i| read_methods(&i));
    if let Some(address) = address.as_ref().filter(|_| is_timed) {
        let draft = address.problem("a webhook and a time are two ways to start, so each is an entry of its own").at_key();
        draft.label("write a list: when: [{ webhook: /path }, { at: \"09:00\" }]").add();
    }
    schedules.extend(timing::read(&mut when));
    if let Some(called) = when.may("called") {
        if is_timed || address.is_some() || when.has("failed") || when.has("silent") {
            let draft = called.problem("another rule and something else are two ways to start, so each is an entry of its own").at_key();
            draft.label("write a list: when: [{ webhook: /path }, { called: true }]").add();
        }
        read_called(&called, starts);
    }
    if let Some(failed) = when.may("failed") {
        if is_timed || address.is_some() {
            let other = if is_timed { "a time" } else { "a webhook" };
            let draft = failed.problem(format!("{other} and a failure are two ways to start, so each is an entry of its own")).at_key();
            draft.label("write a list: when: [{ webhook: /path }, { failed: any }]").add();
        }
        failed::read(&failed, &mut starts.failed);
    }
    match &when.may("silent") {
        Some(silent) => {
            if let Some(other) = address.as_ref().or((is_timed || when.has("failed")).then_some(silent)) {
                let draft = other.problem("a silence and something else are two ways to start, so each is an entry of its own").at_key();
                draft.label("write a list: when: [{ silent: /path, for: 6 hours }, { webhook: /path }]").add();
            }
            let silence = silent::read(silent, &mut when, &starts.zone);
            if silence.is_some() && starts.silence.is_some() {
                silent.problem("a rule waits for one silence").at_key().label("write a rule of its own for this one").add();
            }
            starts.silence = silence.or(starts.silence.take());
        }
        None => silent::look_at_keys(&mut when),
    }
    if let Some(address) = &address
        && let Node::List(addresses) = address.node
    {
        let each = |node: &Node| if let Node::Text(t) = node { Some(format!("{{ webhook: {} }}", scalar(t))) } else { None };
        let all: Option<Vec<String>> = addresses.iter().map(each).collect();
        let draft = address.problem("`webhook:` takes one address").label("write several as a list of `{ webhook: … }`");
        match all {
            Some(all) => {
                let list = format!("[{}]", all.join(", "));
                draft.change(format!("write when: {list}"), one.raw().and_then(|raw| one.span_within(raw)), list).add();
            }
            None => draft.add(),
        }
    } else if let Some(address) = address
        && let Some(text) = address.text()
    {
        match Route::read(&text) {
            Ok(route) => starts.webhooks.push(When { route, methods: methods.filter(|m| !m.is_empty()) }),
            Err(no) => {
                let draft = address.problem(no.message).label(no.label);
                match no.meant {
                    Some(meant) => draft.write(&scalar(&meant)).add(),
                    None => draft.add(),
                }
            }
        }
    }
    for key in ["timezone", "missed"] {
        if let Some(value) = when.take(key) {
            let draft = value.problem(format!("`{key}:` belongs to the rule, beside `when:`")).at_key();
            draft.one_level_out().label("write it one level further out").add();
        }
    }
    when.done(&FOREIGN);
}

/// Reads `called: true`.
fn read_called(item: &Item, starts: &mut Starts) {
    match item.node {
        Node::Bool(true) => starts.is_callable = true,
        Node::Bool(false) => {
            let draft = item.problem("a rule that other rules must not call has no `called:`").write("true");
            draft.label("write `called: true`, or remove this entry").add();
        }
        Node::Text(_) | Node::List(_) => {
            let draft = item.problem("a rule does not say which rules call it").write("true");
            draft.label("write `called: true`; the other rule has a step `- run_rule: NAME`").add();
        }
        _ => drop(item.flag()),
    }
}

/// Words of other tools in `when:`.
const FOREIGN: [(&str, &str); 29] = [
    ("path", "webhook"),
    ("url", "webhook"),
    ("address", "webhook"),
    ("hook", "webhook"),
    ("event", "write `webhook:` and the address; which event it is, is compared under `if:`"),
    ("schedule", "write every: 15 minutes, or at: \"09:00\" with days: weekdays"),
    ("interval", "every"),
    ("time", "at"),
    ("times", "at"),
    ("daily", "write at: \"09:00\""),
    ("hourly", "write every: 1 hour"),
    ("weekly", "write at: \"09:00\" with days: [monday]"),
    ("monthly", "write at: \"09:00\" with days: first day of month"),
    ("weekday", "days"),
    ("weekdays", "days"),
    ("day", "days"),
    ("crontab", "cron"),
    ("call", "called"),
    ("called_by", "called"),
    ("callable", "called"),
    ("workflow_call", "called"),
    ("subflow", "called"),
    ("rule", "called"),
    ("silence", "silent"),
    ("quiet", "silent"),
    ("error", "failed"),
    ("on_error", "failed"),
    ("failure", "failed"),
    ("on_failure", "failed"),
];

/// `when: /orders`, `when: POST /orders` and `when: every 5 minutes`.
fn only_text(item: &Item, text: &str) {
    let draft = item.problem("`when:` must say what starts the rule").label("write { webhook: /path }, or { at: \"09:00\" }");
    let timed = || {
        let (key, value) = text.split_once([' ', ':'])?;
        let value = match (key, clock::read(value.trim()).err().and_then(|no| no.meant)) {
            ("at", Some(meant)) => clock::spell(meant),
            _ => value.trim().to_owned(),
        };
        TIMING.contains(&key).then(|| format!("{{ {key}: {} }}", if key == "at" { format!("\"{value}\"") } else { scalar(&value) }))
    };
    let timed = || if cron::read(text).is_ok() { Some(format!("{{ cron: \"{text}\" }}")) } else { timed() };
    match text.split_whitespace().next_back().filter(|path| path.starts_with('/')) {
        Some(path) => draft.write(&format!("{{ webhook: {} }}", scalar(path))).add(),
        None => match timed() {
            Some(meant) => draft.write(&meant).add(),
            None => draft.add(),
        },
    }
}
