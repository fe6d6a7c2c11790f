//! `doorbell try`: what the rules would do with a webhook. Everything is matched and rendered by the product's own code;
//! nothing is sent or written.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use super::Ended;
use super::settings::{Rules, Secrets};
use crate::action::contract::Pretended;
use crate::condition::trace::Told;
use crate::event::{Event, EventId};
use crate::problem;
use crate::rehearsal::{Replies, Scene, What, json_reply, rehearse};
use crate::request::Request;
use crate::run::State;
use crate::signature::contract::Guard;

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
        let mut replies = FromFiles(Vec::new());
        for file in &self.replies {
            let bytes = std::fs::read(file).with_context(|| format!("the reply {} cannot be read", file.display()))?;
            let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
            replies.0.push(json_reply(200, Vec::new(), &body));
        }
        replies.0.reverse();
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
            let mark = if verdict.runs() { "✓" } else { "✗" };
            let word = match verdict.starts {
                None => "would not run",
                Some(_) if verdict.is_undecided() => "would fail at once",
                Some(_) if verdict.is_else() => "would do its `else:`",
                Some(_) => "would run",
            };
            writeln!(out, "{mark} {}  {word}", verdict.rule.name)?;
            write!(out, "{}", drawn(&verdict.told, 4))?;
            if let Some(start) = verdict.starts {
                let (scenes, state) = rehearse(verdict.rule, start, &event, &ruleset.vault, &mut replies);
                good &= state != State::Failed;
                let told: String = scenes.iter().map(scene).collect();
                write!(out, "{}", ruleset.vault.strike(&told))?;
            }
            writeln!(out)?;
        }
        if verdicts.iter().all(|v| !v.runs()) {
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
            target: path.to_owned(),
            query: query.to_owned(),
            headers,
            ip: "127.0.0.1".to_owned(),
            body: body.into(),
            received: Timestamp::now(),
        };
        let id = EventId::new(request.received, [0; 10]);
        Guard::rehearse(request, id).map_err(anyhow::Error::msg)
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

/// The answers that were handed in, for the calls whose answers are saved.
struct FromFiles(Vec<Pretended>);

impl Replies for FromFiles {
    fn next(&mut self, saves: bool) -> Option<Pretended> {
        if saves { self.0.pop() } else { None }
    }
}

/// What a step would do, in lines.
fn scene(scene: &Scene) -> String {
    let step = scene.step;
    let number = match scene.element {
        Some(element) => format!("{}, element {element}", step.number),
        None => step.number.clone(),
    };
    match &scene.what {
        What::Skipped(told) => format!("  {number}. {}  would be skipped\n{}", step.title(), drawn(told, 8)),
        What::Empty(why) => format!("  {number}. {}  nothing to do: {why}\n", step.title()),
        What::Failed(why) => format!("  {number}. {}  would fail\n       {why}\n", step.title()),
        What::Effect { shown, failed, .. } => {
            let mut lines = shown.lines();
            let name = step.name.as_ref().map_or(String::new(), |n| format!("{n}: "));
            let mut out = format!("  {number}. {name}{}\n", lines.next().unwrap_or(""));
            for line in lines.chain(failed.as_deref().map(|_| "would fail:")).chain(failed.as_deref()) {
                out.push_str(&format!("       {line}\n"));
            }
            out
        }
    }
}
