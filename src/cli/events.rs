//! `doorbell events`: lists the events.

use std::io::Write;

use clap::Args;

use super::ended::Ended;
use super::settings::Data;
use super::terminal::stdout;
use crate::model::origin::is_request;
use crate::operations::history::{self, EventLine};
use crate::text::count::number;
use crate::text::printable::{one_line, short};

#[derive(Args)]
#[command(after_help = "Example: doorbell events --last 50")]
pub struct Events {
    /// How many to list
    #[arg(long, default_value = "20", value_name = "N")]
    last: usize,
    #[command(flatten)]
    data: Data,
}

impl Events {
    pub fn run(self) -> anyhow::Result<Ended> {
        let list = self.data.queries()?.ask(|r| history::events(r, self.last))?;
        let mut out = stdout();
        if list.events.is_empty() {
            writeln!(out, "No events have been received yet.")?;
            return Ok(Ended::Good);
        }
        for event in &list.events {
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
        let counts = list.counts;
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
