//! `doorbell events`: lists the events.

use std::io::Write;

use clap::Args;
use jiff::Timestamp;

use super::ended::Ended;
use super::moment::moment;
use super::settings::Data;
use super::terminal::stdout;
use crate::model::origin::is_request;
use crate::operations::history::{self, EventLine};
use crate::operations::outcomes::{WORDS, outcome};
use crate::store::contract::EventFilter;
use crate::text::count::number;
use crate::text::printable::{one_line, short};

#[derive(Args)]
#[command(
    after_help = "Examples:\n  doorbell events --last 50\n  doorbell events --address /orders --outcome failed\n  doorbell events --text ada@example.com --before '2026-03-14 09:30'"
)]
pub struct Events {
    /// How many to list
    #[arg(long, default_value = "20", value_name = "N")]
    last: usize,
    /// Only events that were sent to this path
    #[arg(long, value_name = "PATH")]
    address: Option<String>,
    /// Only events for which this rule ran
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Only events with this outcome
    #[arg(long, value_name = "OUTCOME", value_parser = WORDS)]
    outcome: Option<String>,
    /// Only events with this text in the body; upper and lower case are the same
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// Only events received before this time: 2026-11-01, '2026-11-01 10:00' (UTC), or '2 days' for two days ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    before: Option<Timestamp>,
    #[command(flatten)]
    data: Data,
}

impl Events {
    pub fn run(self) -> anyhow::Result<Ended> {
        let filter = EventFilter {
            address: self.address,
            rule: self.rule,
            became: self.outcome.as_deref().and_then(outcome),
            text: self.text,
            before: self.before,
        };
        let is_all = filter == EventFilter::default();
        let asked = self.data.queries()?;
        let events = asked.ask(|queries| history::search_all(queries, &filter, self.last))?;
        let mut out = stdout();
        if events.is_empty() {
            writeln!(out, "{}", if is_all { "No events have been received yet." } else { "No event matches." })?;
            return Ok(Ended::Good);
        }
        for event in &events {
            let time = event.received.strftime("%Y-%m-%d %H:%M:%S");
            writeln!(
                out,
                "{}  {time}  {} {}{}  → {}, {}",
                event.id,
                event.method,
                short(&event.address, 60),
                by(event.sender.as_deref()),
                sent(&event.method, event.status),
                states(event)
            )?;
        }
        writeln!(out)?;
        if !is_all {
            let more = if events.len() == self.last { ", the newest; `--last` lists more" } else { "" };
            writeln!(out, "{} found{more}; times are in UTC", number(events.len(), "event"))?;
            return Ok(Ended::Good);
        }
        let counts = asked.ask(|queries| queries.counts(usize::MAX))?;
        let waiting = if counts.waiting > 0 { format!(", {} waiting", number(counts.waiting as usize, "run")) } else { String::new() };
        let failed = if counts.failed > 0 {
            format!(", {} failed (`doorbell failed` lists them)", number(counts.failed as usize, "run"))
        } else {
            String::new()
        };
        writeln!(out, "{} in total{waiting}{failed}; times are in UTC", number(counts.events as usize, "event"))?;
        Ok(Ended::Good)
    }
}

/// Who sent it: ` from github`.
pub fn by(sender: Option<&str>) -> String {
    sender.map_or_else(String::new, |sender| format!(" from {}", one_line(sender)))
}

/// What the sender got: `200`, or that it waits; nobody sends the moments of a rule.
pub fn sent(method: &str, status: Option<u16>) -> String {
    if !is_request(method) {
        return "started by itself".to_owned();
    }
    status.map_or_else(|| "waiting for its answer".to_owned(), |status| status.to_string())
}

/// `2 runs done, 1 run failed`.
fn states(event: &EventLine) -> String {
    let words: Vec<String> = event.runs.iter().map(|c| format!("{} {}", number(c.runs, "run"), c.state.word())).collect();
    if words.is_empty() { "no rule ran".to_owned() } else { words.join(", ") }
}
