//! `doorbell try`: shows what the rules would do with a webhook. Nothing is sent or written.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;

use super::ended::Ended;
use super::settings::{Rules, Secrets, headers, read_file};
use super::terminal::stdout;
use crate::expr::condition::trace::aligned;
use crate::model::event::Event;
use crate::operations::alarms::{failure_of, silences_at};
use crate::operations::dry_run::{
    Answers, Branch, NoPreview, Preview, RulePreview, StepEffect, StepPreview, Webhook, possible_senders, preview,
};
use crate::operations::schedules::moments_at;
use crate::problem;
use crate::rule::ruleset::Ruleset;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  doorbell try order.json --path /orders --header 'X-Shop: berlin'\n  doorbell try --at 2026-03-02T09:00\n  doorbell try --failed 'New orders'\n  doorbell try --silent /orders"
)]
pub struct DryRun {
    /// The file with the body of the webhook; `-` reads it from standard input
    #[arg(required_unless_present_any = ["at", "failed", "silent"])]
    file: Option<PathBuf>,
    /// The address that it is sent to, including any query after a `?`
    #[arg(long, value_name = "PATH", required_unless_present_any = ["at", "failed", "silent"])]
    path: Option<String>,
    /// Show what happens at this moment, in place of a webhook: the rules that start by themselves then
    #[arg(long, value_name = "MOMENT", conflicts_with_all = ["file", "path", "method", "headers", "sender"])]
    at: Option<String>,
    /// Show what happens when a run of this rule has failed, in place of a webhook
    #[arg(long, value_name = "RULE", conflicts_with_all = ["at", "file", "path", "method", "headers", "sender"])]
    failed: Option<String>,
    /// Show what happens when nothing came to this address for long enough, in place of a webhook
    #[arg(long, value_name = "PATH", conflicts_with_all = ["at", "failed", "file", "path", "method", "headers", "sender"])]
    silent: Option<String>,
    /// With --silent: show what happens when something comes again
    #[arg(long, requires = "silent")]
    back: bool,
    /// The method of the webhook
    #[arg(long, default_value = "POST")]
    method: String,
    /// A header, `Name: value`; can be repeated
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// Who sends it: the name of an entry of `verify:`; by default, the only sender of the address
    #[arg(long, value_name = "NAME")]
    sender: Option<String>,
    /// Show only this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// A file with the body that the next call answers, or the rows that the next find_row finds, as JSON; can be repeated, once for
    /// each such step with `save_as`
    #[arg(long = "reply", value_name = "FILE")]
    replies: Vec<PathBuf>,
    #[command(flatten)]
    rules: Rules,
}

impl DryRun {
    pub fn run(self) -> anyhow::Result<Ended> {
        let loaded = self.rules.load_options.load(&self.rules.rules, Secrets::Stood)?;
        let mut out = stdout();
        let Some(ruleset) = loaded.ruleset else {
            write!(out, "{}", problem::draw_all(&loaded.problems))?;
            return Ok(Ended::Problems);
        };
        let replies = self.replies()?;
        if let Some(made) = self.made(&ruleset) {
            let events = match made {
                Ok(events) => events,
                Err(why) => {
                    writeln!(out, "{why}")?;
                    return Ok(Ended::Problems);
                }
            };
            let mut ended = Ended::Good;
            for event in &events {
                if matches!(self.show(&mut out, &ruleset, event, &replies)?, Ended::Problems) {
                    ended = Ended::Problems;
                }
            }
            return Ok(ended);
        }
        let (Some(file), Some(path)) = (&self.file, &self.path) else {
            anyhow::bail!("name a file and --path, or use --at, --failed or --silent")
        };
        let webhook = read_webhook(file, &self.method, path, &self.headers)?;
        let event = webhook.into_event(&ruleset, self.sender.as_deref(), Timestamp::now()).map_err(anyhow::Error::msg)?;
        let senders = possible_senders(&ruleset, &event);
        if !senders.is_empty() {
            writeln!(out, "It is not known who sends this; choose one with --sender: {}\n", senders.join(", "))?;
        }
        self.show(&mut out, &ruleset, &event, &replies)
    }

    /// The events that are no webhooks, if the options name some; or why there are none.
    fn made(&self, ruleset: &Ruleset) -> Option<Result<Vec<Event>, String>> {
        let (rule, now) = (self.rule.as_deref(), Timestamp::now());
        if let Some(at) = &self.at {
            return Some(moments_at(ruleset, at, rule, now));
        }
        if let Some(failed) = &self.failed {
            return Some(failure_of(ruleset, failed, rule, now).map(|event| vec![event]));
        }
        self.silent.as_ref().map(|address| silences_at(ruleset, address, rule, self.back, now))
    }

    fn show(&self, out: &mut impl Write, ruleset: &Ruleset, event: &Event, replies: &[Vec<u8>]) -> anyhow::Result<Ended> {
        match preview(ruleset, event, self.rule.as_deref(), Answers::InOrder(replies)) {
            Ok(preview) => {
                write_preview(out, &preview)?;
                let missing = ruleset.missing_for(event);
                if !missing.is_empty() {
                    let missing = missing.join(" and ");
                    writeln!(
                        out,
                        "Conditions compare with {missing}, which this command was not given; pass --env-file to see what they decide."
                    )?;
                }
                Ok(if preview.fails() { Ended::Problems } else { Ended::Good })
            }
            Err(why) => {
                write_no_preview(out, &why)?;
                Ok(Ended::Problems)
            }
        }
    }

    fn replies(&self) -> anyhow::Result<Vec<Vec<u8>>> {
        self.replies.iter().map(|file| read_file(file)).collect()
    }
}

/// A webhook whose body is in a file, or comes from standard input.
pub fn read_webhook(file: &Path, method: &str, target: &str, lines: &[String]) -> anyhow::Result<Webhook> {
    let body = read_file(if file.as_os_str() == "-" { Path::new("/dev/stdin") } else { file })?;
    let mut headers = headers(lines)?;
    if !headers.iter().any(|(n, _)| n == "content-type") {
        let kind = match file.extension().and_then(|e| e.to_str()) {
            Some("txt") => "text/plain",
            Some("form") => "application/x-www-form-urlencoded",
            _ => "application/json",
        };
        headers.push(("content-type".to_owned(), kind.to_owned()));
    }
    Ok(Webhook { method: method.to_owned(), target: target.to_owned(), headers, body })
}

fn write_no_preview(out: &mut impl Write, why: &NoPreview) -> io::Result<()> {
    match why {
        NoPreview::UnknownAddress { address, known, switched_off } => {
            match switched_off.is_empty() {
                true => writeln!(out, "No rule uses {address}: the sender would get 404.")?,
                false => writeln!(out, "Only rules that are switched off use {address}: the sender would get 404.")?,
            }
            write_switched_off(out, switched_off)?;
            writeln!(out, "Addresses: {}", known.join(", "))
        }
        NoPreview::WrongMethod { address, method, methods } => {
            writeln!(out, "{address} accepts {}, not {method}: the sender would get 405.", methods.join(" and "))
        }
        NoPreview::UnknownRule { address, rule } => writeln!(out, "No rule called `{rule}` uses {address}."),
    }
}

fn write_preview(out: &mut impl Write, preview: &Preview) -> io::Result<()> {
    for rule in &preview.rules {
        write_rule(out, rule)?;
    }
    write_switched_off(out, &preview.switched_off)?;
    if let Some(status) = preview.ignored_status {
        writeln!(out, "No rule would run: the sender would get {status}, and the event would be saved.")?;
    }
    writeln!(out, "Nothing was sent or written.")
}

fn write_switched_off(out: &mut impl Write, rules: &[Arc<str>]) -> io::Result<()> {
    rules.iter().try_for_each(|rule| writeln!(out, "– {rule}  is switched off (`enabled: false`)\n"))
}

fn write_rule(out: &mut impl Write, rule: &RulePreview) -> io::Result<()> {
    let (mark, word) = match rule.branch {
        None => ("✗", "would not run"),
        Some(Branch::Then) if rule.fails => ("✗", "would run, and fail"),
        Some(Branch::Else) if rule.fails => ("✗", "would run its `else:`, and fail"),
        Some(Branch::Then) => ("✓", "would run"),
        Some(Branch::Else) => ("✓", "would run its `else:`"),
        Some(Branch::Undecided) => ("✗", "would fail immediately"),
    };
    writeln!(out, "{mark} {}  {word}", rule.rule)?;
    write!(out, "{}", aligned(&rule.trace, 4))?;
    for step in &rule.steps {
        write_step(out, step)?;
    }
    if !rule.on_error.is_empty() && !rule.fails && rule.branch.is_some() {
        writeln!(out, "  if a step fails after all tries: {}", rule.on_error)?;
    }
    writeln!(out)
}

/// A step; those of a rule that another one calls are indented below the step that calls it.
fn write_step(out: &mut impl Write, step: &StepPreview) -> io::Result<()> {
    if step.depth == 0 {
        return write_unindented(out, step);
    }
    let mut text = Vec::new();
    write_unindented(&mut text, step)?;
    let indent = "      ".repeat(step.depth as usize);
    String::from_utf8_lossy(&text).lines().try_for_each(|line| writeln!(out, "{}", format!("{indent}{line}").trim_end()))
}

fn write_unindented(out: &mut impl Write, step: &StepPreview) -> io::Result<()> {
    let element = step.element.map_or_else(String::new, |element| format!(", element {element}"));
    let number = format!("{}{element}", step.number);
    match &step.what {
        StepEffect::Unknown { of } => {
            writeln!(out, "  {number}. {}  depends on the answer of step {of}; pass --reply to see it", step.title())
        }
        StepEffect::Depends { trace } => write!(out, "  {number}. {}  would run if this is true:\n{}", step.title(), aligned(trace, 8)),
        StepEffect::Skipped { trace } => write!(out, "  {number}. {}  would be skipped\n{}", step.title(), aligned(trace, 8)),
        // These two continue the lines of the step that calls the rule.
        StepEffect::NotCalled { trace } => write!(out, "       would not run:\n{}", aligned(trace, 9)),
        StepEffect::CalledIf { trace } => write!(out, "       would run if this is true:\n{}", aligned(trace, 9)),
        StepEffect::Empty { why } => writeln!(out, "  {number}. {}  nothing to do: {why}", step.title()),
        StepEffect::Failed { why } => writeln!(out, "  {number}. {}  would fail\n       {why}", step.title()),
        StepEffect::Done { shown, failed } => {
            let mut lines = shown.lines();
            let name = step.name.as_ref().map_or_else(String::new, |name| format!("{name}: "));
            writeln!(out, "  {number}. {name}{}", lines.next().unwrap_or(""))?;
            let failure = failed.as_deref().map(|why| ["would fail:", why]);
            lines.chain(failure.into_iter().flatten()).try_for_each(|line| writeln!(out, "       {line}"))?;
            match step.on_error.is_empty() || failed.is_some() {
                true => Ok(()),
                false => writeln!(out, "       if it fails after all tries: {}", step.on_error),
            }
        }
    }
}
