//! Keeps an event as a test of a rule: adds an entry to the rule's `tests:` with what was sent and what the rule does with it.
//!
//! The entry is written as people would write it, and is returned only if it passes; the caller decides what to do with the
//! text.

use serde_json::Value;

use super::rule_tests::{effects, run};
use crate::action::contract::EffectView;
use crate::action::kind_of;
use crate::model::event::Event;
use crate::model::origin::Origin;
use crate::rule::Rule;
use crate::rule::ruleset::Ruleset;
use crate::rule::schema::RULE;

/// The file of a rule with the new test. `load` compiles all files with this text in place of the rule's own, with stand-ins
/// for secrets. The error is a message for people.
pub fn with_test(rule: &Rule, event: &Event, load: &dyn Fn(&str) -> Result<Option<Ruleset>, String>) -> Result<String, String> {
    let by_hand = || "this rule is not written in lines of its own, so the test has to be written by hand".to_owned();
    let at = Place::of(rule).ok_or_else(by_hand)?;
    let entry = |expect: &str| at.insert(rule, &format!("{}{expect}", sent(rule, event, at.indent)));
    // Only the rule itself knows what it does with what was sent.
    let first = entry(&format!("{}expect: nothing\n", spaces(at.indent + 2)));
    let ruleset = load(&first)?.ok_or("the event cannot be written as a test of this rule")?;
    let found = ruleset.rule(&rule.name).ok_or_else(by_hand)?;
    let test = found.tests.last().ok_or_else(by_hand)?;
    let views = effects(&ruleset, found, test).map_err(|e| format!("{e:#}"))?;
    let text = entry(&expected(&views, at.indent));
    let ruleset = load(&text)?.ok_or("what the rule does cannot be written as a test")?;
    let results = run(&ruleset, std::path::Path::new(""), Some(&rule.name));
    match results.tests.last().and_then(|last| last.differences.clone()) {
        None => Ok(text),
        Some(differences) => Err(format!("the test would not pass:\n{differences}")),
    }
}

/// Where a new test goes.
struct Place {
    /// In bytes, in the file.
    offset: usize,
    /// How far the dash of a test is from the left.
    indent: usize,
    /// Whether the rule has no `tests:` yet; then how far its keys are from the left.
    key: Option<usize>,
}

impl Place {
    fn of(rule: &Rule) -> Option<Self> {
        let (file, own) = (&rule.source.text, rule.own_text());
        let start = file.find(own)?;
        let lines = own.split_inclusive('\n');
        // Its own lines begin after its name, unless it is written in braces.
        let first = lines.clone().find(|line| is_text(line))?;
        let is_key = |line: &str| line.trim_start().split_once(':').is_some_and(|(key, _)| RULE.iter().any(|word| word.name == key));
        let key = Some(indent(first)).filter(|_| is_key(first))?;
        // After the last line that says something: a comment below it belongs to what follows.
        let (mut offset, mut last) = (start, start);
        // The line after the last test, if there are any.
        let (mut dash, mut end) = (None, None);
        let mut is_inside = false;
        for line in lines {
            offset += line.len();
            if !is_text(line) {
                continue;
            }
            last = offset;
            let is_item = line.trim_start().starts_with("- ");
            if indent(line) == key && !is_item {
                is_inside = line.trim() == "tests:";
                if is_inside {
                    end = Some(offset);
                } else if line.trim_start().starts_with("tests:") {
                    return None;
                }
            } else if is_inside {
                dash = dash.or(is_item.then(|| indent(line)));
                end = Some(offset);
            }
        }
        match (end, dash) {
            (Some(offset), dash) => Some(Self { offset, indent: dash.unwrap_or(key + 2), key: None }),
            (None, _) => Some(Self { offset: last, indent: key + 2, key: Some(key) }),
        }
    }

    fn insert(&self, rule: &Rule, entry: &str) -> String {
        let text = &rule.source.text;
        let (before, after) = text.split_at_checked(self.offset).unwrap_or((text, ""));
        let line_end = if before.ends_with('\n') || before.is_empty() { "" } else { "\n" };
        let tests = self.key.map_or_else(String::new, |key| format!("{}tests:\n", spaces(key)));
        format!("{before}{line_end}{tests}{entry}{}", after.strip_prefix('\n').filter(|_| !line_end.is_empty()).unwrap_or(after))
    }
}

fn is_text(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn spaces(n: usize) -> String {
    " ".repeat(n)
}

/// The name of the test, and what is sent: of the headers and the query only what the rule reads.
fn sent(rule: &Rule, event: &Event, indent: usize) -> String {
    let own = rule.own_text().to_lowercase();
    let (dash, key, inside) = (spaces(indent), spaces(indent + 2), spaces(indent + 4));
    let mut out = format!("{dash}- name: {}\n{key}send:\n", quoted(&format!("event {}", event.id)));
    if matches!(event.origin(), Origin::Failure(_)) {
        return out + &format!("{inside}failed: {}\n", event.body);
    }
    if matches!(event.origin(), Origin::Silence(_)) {
        let own = ["last", "previous", "back"].map(|name| event.body.get(name).map(|value| format!("{name}: {value}")));
        let own: Vec<String> = own.into_iter().flatten().collect();
        return out + &format!("{inside}silent: {{ {} }}\n", own.join(", "));
    }
    if matches!(event.origin(), Origin::Moment(_)) {
        let field = |name: &str| event.body.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), quoted));
        let planned = field("planned").unwrap_or_default();
        let missed = field("missed").filter(|missed| missed != "0").map(|missed| format!("{inside}missed: {missed}\n"));
        return out + &format!("{inside}planned: {planned}\n{}", missed.unwrap_or_default());
    }
    let mut lines: Vec<(&str, String)> = Vec::new();
    if event.method != "POST" {
        lines.push(("method", quoted(&event.method)));
    }
    if rule.when.iter().all(|when| when.route.literal().is_none()) || rule.when.len() > 1 {
        lines.push(("path", quoted(&event.address)));
    }
    let is_json = event.body.is_object() || event.body.is_array();
    let is_wanted = |name: &str| own.contains(&format!("header.{name}")) || (name == "content-type" && !is_json);
    let pairs = |pairs: Vec<(String, String)>| {
        let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{}: {}", quoted(name), quoted(value))).collect();
        format!("{{ {} }}", pairs.join(", "))
    };
    let headers: Vec<(String, String)> = event.headers.iter().filter(|(name, _)| is_wanted(name)).cloned().collect();
    if !headers.is_empty() {
        lines.push(("headers", pairs(headers)));
    }
    if own.contains("query.") && !event.query.is_empty() {
        lines.push(("query", pairs(form_urlencoded::parse(event.query.as_bytes()).into_owned().collect())));
    }
    if let Some(sender) = event.sender.as_ref().filter(|_| own.contains("sender")) {
        lines.push(("sender", quoted(sender)));
    }
    match (is_json, event.raw.is_empty()) {
        (true, _) => {
            let pretty = serde_json::to_string_pretty(&event.body).unwrap_or_default();
            lines.push(("json", pretty.replace('\n', &format!("\n{inside}"))));
        }
        (false, false) => lines.push(("text", quoted(&String::from_utf8_lossy(&event.raw)))),
        (false, true) if lines.is_empty() => lines.push(("headers", "{}".to_owned())),
        (false, true) => {}
    }
    for (name, value) in lines {
        out += &format!("{inside}{name}: {value}\n");
    }
    out
}

/// What the rule does, as `expect:`.
fn expected(views: &[EffectView], indent: usize) -> String {
    let (key, dash, inside) = (spaces(indent + 2), spaces(indent + 4), spaces(indent + 6));
    let told: Vec<&EffectView> = views.iter().filter(|view| !kind_of(&view.verb).is_some_and(|kind| kind.is_quiet())).collect();
    if told.is_empty() {
        return format!("{key}expect: nothing\n");
    }
    let mut out = format!("{key}expect:\n");
    for view in told {
        // A number, such as the status of an answer, stays one.
        let what = if view.what.parse::<u32>().is_ok() { view.what.clone() } else { quoted(&view.what) };
        out += &format!("{dash}- {}: {what}\n", view.verb);
        let known = kind_of(&view.verb).map(|kind| kind.expected()).unwrap_or_default();
        for (name, value) in view.fields.iter().filter(|(name, _)| *name != "headers" && known.iter().any(|word| word.name == **name)) {
            out += &format!("{inside}{name}: {value}\n");
        }
    }
    out
}

/// Text for YAML, in quotes.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
