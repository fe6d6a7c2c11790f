//! `doorbell failed`: lists the failed runs, one by one or gathered by what failed.

use std::io::Write;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::ended::Ended;
use super::settings::Data;
use super::terminal::stdout;
use crate::operations::failures::groups;
use crate::operations::open_runs::{self, FailedRun};
use crate::text::count::number;
use crate::text::printable::{escaped, short};

/// How many failed runs are gathered.
const MOST: usize = 10_000;

/// How the list is printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    /// One JSON object on each line.
    Json,
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  doorbell failed --groups\n  doorbell failed --rule 'New orders' --last 1000 --format json > failed.jsonl"
)]
pub struct Failed {
    /// How many to list; with --groups, how many groups
    #[arg(long, default_value = "50", value_name = "N")]
    last: usize,
    /// Only runs of this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Gather runs of one rule that failed at the same step for the same reason
    #[arg(long)]
    groups: bool,
    /// How to print the list; json is one object on each line
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    data: Data,
}

impl Failed {
    pub fn run(self) -> anyhow::Result<Ended> {
        let is_whole = !self.groups && self.rule.is_none();
        let mut runs = self.data.queries()?.ask(|r| open_runs::failed(r, if is_whole { self.last } else { MOST }))?;
        if let Some(rule) = &self.rule {
            runs.retain(|run| *run.rule == **rule);
        }
        let mut out = stdout();
        if self.format == Format::Text && runs.is_empty() {
            writeln!(out, "No runs have failed.")?;
            return Ok(Ended::Good);
        }
        if self.groups {
            let mut found = groups(&runs);
            found.truncate(self.last);
            if self.format == Format::Json {
                return lines(&mut out, &found);
            }
            for group in &found {
                let (count, times) = (number(group.runs, "run"), between(group.first, group.last));
                writeln!(out, "{count}  {}, {}, {times}", short(&group.rule, 200), at(&group.at_step))?;
                writeln!(out, "    {}", short(&group.why, 300))?;
                writeln!(out, "    the latest event: {}", group.event)?;
            }
            writeln!(out)?;
            writeln!(
                out,
                "{}; `doorbell replay --state failed --rule NAME` continues all runs of a rule",
                number(runs.len(), "failed run")
            )?;
            return Ok(Ended::Good);
        }
        runs.truncate(self.last);
        if self.format == Format::Json {
            return lines(&mut out, &runs);
        }
        for FailedRun { event, rule, at_step, at: when, why, .. } in &runs {
            writeln!(out, "{event}  {}  {}, {}", when.strftime(TIME), short(rule, 200), at(at_step))?;
            writeln!(out, "    {}", short(why, 300))?;
        }
        writeln!(out)?;
        writeln!(out, "{}; `doorbell replay EVENT` continues at the step that failed", number(runs.len(), "failed run"))?;
        Ok(Ended::Good)
    }
}

const TIME: &str = "%Y-%m-%d %H:%M:%S";

fn at(step: &str) -> String {
    if step.is_empty() { "before its first step".to_owned() } else { format!("step {step}") }
}

fn between(first: jiff::Timestamp, last: jiff::Timestamp) -> String {
    match first == last {
        true => first.strftime(TIME).to_string(),
        false => format!("{} to {}", first.strftime(TIME), last.strftime(TIME)),
    }
}

fn lines(out: &mut impl Write, all: &[impl Serialize]) -> anyhow::Result<Ended> {
    for one in all {
        writeln!(out, "{}", escaped(&serde_json::to_string(one)?))?;
    }
    Ok(Ended::Good)
}
