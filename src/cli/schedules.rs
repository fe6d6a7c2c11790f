//! `doorbell schedules`: the rules that start by themselves: when each starts next, and starting one now.

use std::io::Write;

use clap::Args;
use jiff::Timestamp;

use super::check::upcoming;
use super::ended::Ended;
use super::settings::{Data, Rules, Secrets};
use super::terminal::stdout;
use crate::operations::control;
use crate::operations::schedules::scheduled_rules;
use crate::problem;

#[derive(Args)]
#[command(after_help = "Examples:\n  doorbell schedules\n  doorbell schedules --start 'Daily report'")]
pub struct Schedules {
    /// Start this rule now, whatever its schedule says
    #[arg(long, value_name = "RULE")]
    start: Option<String>,
    /// Print the list as JSON, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    rules: Rules,
    #[command(flatten)]
    data: Data,
}

impl Schedules {
    pub fn run(self) -> anyhow::Result<Ended> {
        let mut out = stdout();
        if let Some(rule) = &self.start {
            let started = control::start(&self.data.data, rule).ok_or_else(|| {
                anyhow::anyhow!("Doorbell does not run with the data folder {}; start `doorbell serve` first", self.data.data.display())
            })?;
            let event = started.map_err(anyhow::Error::msg)?;
            writeln!(out, "`{rule}` has started; `doorbell explain {event}` shows what it did")?;
            return Ok(Ended::Good);
        }
        let loaded = self.rules.load_options.load(&self.rules.rules, Secrets::Stood)?;
        let Some(ruleset) = loaded.ruleset else {
            write!(out, "{}", problem::draw_all(&loaded.problems))?;
            return Ok(Ended::Problems);
        };
        // Without a data folder, nothing was started yet.
        let progress = match self.data.data.is_dir() {
            true => self.data.queries().and_then(|queries| queries.ask(|queries| queries.schedules())),
            false => Ok(Vec::new()),
        };
        let (progress, unknown) = match progress {
            Ok(progress) => (progress, None),
            Err(e) => (Vec::new(), Some(e)),
        };
        let all = scheduled_rules(&ruleset, &progress, Timestamp::now());
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
            return Ok(Ended::Good);
        }
        for one in &all {
            let off = if one.enabled { String::new() } else { "  (switched off)".to_owned() };
            writeln!(out, "{}{off}\n  {}", one.rule, one.when)?;
            if one.enabled {
                writeln!(out, "  {}", upcoming(one))?;
            }
            match &one.last {
                None if unknown.is_some() => writeln!(out)?,
                Some(last) => writeln!(out, "  last for {last}\n")?,
                None => writeln!(out, "  not started yet\n")?,
            }
        }
        if let Some(why) = unknown {
            writeln!(out, "When they were started last is not known: {why}")?;
        }
        if all.is_empty() {
            writeln!(out, "No rule starts by itself. Write for example: when: {{ at: \"09:00\", days: weekdays }}")?;
        }
        Ok(Ended::Good)
    }
}
