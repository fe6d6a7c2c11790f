//! `doorbell try`: what the rules would do with a webhook. Everything is matched and rendered by the product's own code;
//! nothing is sent or written.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Ended;
use super::settings::{Rules, Secrets};
use crate::condition::trace::{self, Told};
use crate::event::{Event, EventId};
use crate::field::{Found, Names};
use crate::problem;
use crate::request::Request;
use crate::rule::step::Step;
use crate::rule::{Rule, Ruleset};
use crate::scope::Scope;
use crate::signature::contract::{Guard, NotAdmitted};

#[derive(Args)]
#[command(after_help = "Example: doorbell try order.json --path /orders --header 'X-Shop: berlin'")]
pub struct DryRun {
    /// The body of the webhook; `-` reads it from standard input
    file: PathBuf,
    /// The address it is sent to, with what stands behind a `?`
    #[arg(long, value_name = "PATH")]
    path: String,
    #[arg(long, default_value = "POST")]
    method: String,
    /// A header, `Name: value`; can be given several times
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// Only this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// What the next call answers: a file with its body; can be given several times, one for each call with `save_as`
    #[arg(long = "reply", value_name = "FILE")]
    replies: Vec<PathBuf>,
    #[command(flatten)]
    rules: Rules,
}

impl DryRun {
    pub fn run(self) -> anyhow::Result<Ended> {
        let loaded = self.rules.around.load(&self.rules.rules, Secrets::Stood)?;
        let mut out = std::io::stdout().lock();
        let Some(ruleset) = loaded.ruleset else {
            write!(out, "{}", problem::draw_all(&loaded.problems))?;
            return Ok(Ended::Problems);
        };
        let event = self.event()?;
        let Some(address) = ruleset.address(&event.address) else {
            let known: Vec<&str> = ruleset.addresses.iter().map(|a| a.route.text()).collect();
            writeln!(out, "No rule listens at {}: the sender would get 404.", event.address)?;
            writeln!(out, "Addresses: {}", known.join(", "))?;
            return Ok(Ended::Problems);
        };
        if !address.methods.contains(&event.method) {
            writeln!(out, "{} takes {}, not {}: the sender would get 405.", event.address, address.methods.join(" and "), event.method)?;
            return Ok(Ended::Problems);
        }
        let mut replies = Vec::new();
        for file in &self.replies {
            let bytes = std::fs::read(file).with_context(|| format!("the reply {} cannot be read", file.display()))?;
            let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
            replies.push(json!({ "status": 200, "header": {}, "body": body }));
        }
        replies.reverse();
        let verdicts = ruleset.verdicts(&event, true);
        let wanted = |name: &str| self.rule.as_deref().is_none_or(|r| r == name);
        if let Some(name) = &self.rule
            && !verdicts.iter().any(|v| *v.rule.name == **name)
        {
            writeln!(out, "No rule called `{name}` listens at {}.", event.address)?;
            return Ok(Ended::Problems);
        }
        let mut good = true;
        for verdict in verdicts.iter().filter(|v| wanted(&v.rule.name)) {
            let mark = if verdict.runs { "✓" } else { "✗" };
            let word = if verdict.runs { "would run" } else { "would not run" };
            writeln!(out, "{mark} {}  {word}", verdict.rule.name)?;
            write!(out, "{}", drawn(&verdict.told, 4))?;
            if verdict.runs {
                let told = Walk { rule: verdict.rule, ruleset: &ruleset, event: &event }.steps(&mut replies);
                good &= told.1;
                write!(out, "{}", told.0)?;
            }
            writeln!(out)?;
        }
        if verdicts.iter().all(|v| !v.runs) {
            writeln!(out, "No rule would run: the sender would get {} and the event would be kept.", address.ignored.status)?;
        }
        writeln!(out, "Nothing was sent or written.")?;
        Ok(if good { Ended::Good } else { Ended::Problems })
    }

    fn event(&self) -> anyhow::Result<Event> {
        let body = if self.file.as_os_str() == "-" {
            let mut body = Vec::new();
            std::io::Read::read_to_end(&mut std::io::stdin(), &mut body)?;
            body
        } else {
            std::fs::read(&self.file).with_context(|| format!("{} cannot be read", self.file.display()))?
        };
        let mut headers = Vec::new();
        for header in &self.headers {
            let (name, value) = header.split_once(':').with_context(|| format!("a header is written `Name: value`, not `{header}`"))?;
            headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
        if !headers.iter().any(|(n, _)| n == "content-type") {
            let kind = match self.file.extension().and_then(|e| e.to_str()) {
                Some("txt") => "text/plain",
                Some("form") => "application/x-www-form-urlencoded",
                _ => "application/json",
            };
            headers.push(("content-type".to_owned(), kind.to_owned()));
        }
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let request = Request {
            method: self.method.to_uppercase(),
            path: crate::route::decode(path),
            query: query.to_owned(),
            headers,
            ip: "127.0.0.1".to_owned(),
            body: body.into(),
            received: Timestamp::now(),
        };
        let id = EventId::new(request.received, [0; 10]);
        Guard::open().admit(request, id, None).map_err(|e| match e {
            NotAdmitted::Denied(why) => anyhow::anyhow!(why),
            NotAdmitted::Malformed(why) => anyhow::anyhow!("{why} The sender would get 400."),
        })
    }
}

/// Trace lines with their outcomes in one column.
pub fn drawn(told: &[Told], indent: usize) -> String {
    let width = told.iter().map(|t| t.words.chars().count() + 2 * t.depth).max().unwrap_or(0).min(60);
    let line = |t: &Told| {
        let words = format!("{}{}", "  ".repeat(t.depth), t.words);
        let gap = " ".repeat(width.saturating_sub(words.chars().count()) + 2);
        format!("{}{words}{gap}{}\n", " ".repeat(indent), t.outcome.words())
    };
    told.iter().map(line).collect()
}

/// Walks through the steps of one rule.
struct Walk<'a> {
    rule: &'a Rule,
    ruleset: &'a Ruleset,
    event: &'a Event,
}

impl Walk<'_> {
    /// What each step would do, and whether all could be rendered.
    fn steps(&self, replies: &mut Vec<Value>) -> (String, bool) {
        let mut out = String::new();
        let mut saved = Map::new();
        let mut not_done: Vec<String> = Vec::new();
        let mut good = true;
        for (n, step) in self.rule.steps.iter().enumerate() {
            let names = not_done.clone();
            let scope = self.rule.scope(self.event, &self.ruleset.vault, &saved).not_done(&names);
            let (text, ended) = self.step(n + 1, step, &scope, &mut good);
            out.push_str(&text);
            if ended {
                break;
            }
            if let Some(name) = &step.save_as {
                match replies.pop() {
                    Some(reply) => {
                        saved.insert(name.clone(), reply);
                    }
                    None => not_done.push(name.clone()),
                }
            }
        }
        (self.ruleset.vault.strike(&out), good)
    }

    fn step(&self, number: usize, step: &Step, scope: &Scope, good: &mut bool) -> (String, bool) {
        let Some(field) = &step.for_each else {
            return self.one(&number.to_string(), step, scope, good);
        };
        let items = match field.find(scope as &dyn Names) {
            Ok(Found::Missing) => {
                *good = false;
                return (format!("  {number}. {}  would fail: {}\n", step.title(), field.why_missing(scope)), true);
            }
            Ok(found) => match found.into_value() {
                Some(Value::Array(items)) => items,
                Some(Value::Null) | None => Vec::new(),
                Some(one) => vec![one],
            },
            Err(why) => {
                *good = false;
                return (format!("  {number}. {}  would fail: {why}\n", step.title()), true);
            }
        };
        if items.is_empty() {
            return (format!("  {number}. {}  nothing to do: {} is empty\n", step.title(), field.text()), false);
        }
        let mut out = String::new();
        for (n, item) in items.iter().enumerate() {
            let (text, ended) = self.one(&format!("{number}, element {}", n + 1), step, &scope.with_item(item, n + 1), good);
            out.push_str(&text);
            if ended {
                return (out, true);
            }
        }
        (out, false)
    }

    fn one(&self, number: &str, step: &Step, scope: &Scope, good: &mut bool) -> (String, bool) {
        if !step.condition.holds(scope) {
            let told = drawn(&trace::tell(&step.condition, scope, true), 8);
            return (format!("  {number}. {}  would be skipped\n{told}", step.title()), false);
        }
        match step.action.render(scope) {
            Ok(effect) => {
                let text = effect.to_string();
                let mut lines = text.lines();
                let name = step.name.as_ref().map_or(String::new(), |n| format!("{n}: "));
                let mut out = format!("  {number}. {name}{}\n", lines.next().unwrap_or(""));
                for line in lines {
                    out.push_str(&format!("       {line}\n"));
                }
                (out, effect.kind() == "stop")
            }
            Err(unrendered) => {
                *good = false;
                (format!("  {number}. {}  would fail\n       {}\n", step.title(), self.rule.place_of(&unrendered)), true)
            }
        }
    }
}
