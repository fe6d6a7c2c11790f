//! `doorbell events` and `doorbell failed`: lists of what came in and of what waits for a person.

use std::io::Write;

use clap::Args;

use super::Ended;
use super::settings::{Data, number};
use crate::condition::trace::short;
use crate::rule::UNDECIDED;
use crate::run::State;
use crate::store::contract::EventPage;

#[derive(Args)]
#[command(after_help = "Example: doorbell events --last 50")]
pub struct Events {
    /// How many
    #[arg(long, default_value = "20", value_name = "N")]
    last: usize,
    #[command(flatten)]
    data: Data,
}

#[derive(Args)]
#[command(after_help = "Example: doorbell failed")]
pub struct Failed {
    /// How many
    #[arg(long, default_value = "50", value_name = "N")]
    last: usize,
    #[command(flatten)]
    data: Data,
}

impl Events {
    pub fn run(self) -> anyhow::Result<Ended> {
        let records = self.data.records()?;
        let events = records.ask(|r| r.events(self.last))?;
        let counts = records.ask(|r| r.counts())?;
        let mut out = std::io::stdout().lock();
        if events.is_empty() {
            writeln!(out, "No event has come in yet.")?;
            return Ok(Ended::Good);
        }
        for event in &events {
            let time = event.received.strftime("%Y-%m-%d %H:%M:%S");
            writeln!(out, "{}  {time}  {} {}  → {}, {}", event.id, event.method, short(&event.address, 60), event.status, states(event))?;
        }
        writeln!(out)?;
        let waiting = if counts.waiting > 0 { format!(", {} waiting", number(counts.waiting as usize, "run")) } else { String::new() };
        let failed = if counts.failed > 0 {
            format!(", {} failed (doorbell failed lists them)", number(counts.failed as usize, "run"))
        } else {
            String::new()
        };
        writeln!(out, "{} in all{waiting}{failed}; times are UTC", number(counts.events as usize, "event"))?;
        Ok(Ended::Good)
    }
}

/// `2 runs done, 1 run failed`.
fn states(event: &EventPage) -> String {
    let count = |state: State| event.runs.iter().filter(|(s, _)| *s == state).map(|(_, n)| n).sum::<usize>();
    let words: Vec<String> =
        State::ALL.into_iter().filter(|s| count(*s) > 0).map(|s| format!("{} {}", number(count(s), "run"), s.word())).collect();
    if words.is_empty() { "no rule ran".to_owned() } else { words.join(", ") }
}

impl Failed {
    pub fn run(self) -> anyhow::Result<Ended> {
        let runs = self.data.records()?.ask(|r| r.failed(self.last))?;
        let mut out = std::io::stdout().lock();
        if runs.is_empty() {
            writeln!(out, "No run has failed.")?;
            return Ok(Ended::Good);
        }
        for page in &runs {
            let time = page.ended.unwrap_or(page.received).strftime("%Y-%m-%d %H:%M:%S");
            let step = match page.run.place.step {
                UNDECIDED => "before its first step".to_owned(),
                step => format!("step {}", step + 1),
            };
            writeln!(out, "{}  {time}  {}, {step}", page.run.event, page.run.rule)?;
            writeln!(out, "    {}", short(&page.said, 300))?;
        }
        writeln!(out)?;
        writeln!(out, "{}; doorbell replay EVENT goes on at the step that failed", number(runs.len(), "failed run"))?;
        Ok(Ended::Good)
    }
}
