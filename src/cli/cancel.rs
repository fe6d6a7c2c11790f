//! `doorbell cancel`: cancels waiting runs. Runs that are in progress at the moment are not changed.

use std::io::Write;

use clap::Args;

use super::ended::Ended;
use super::settings::Data;
use super::terminal::stdout;
use crate::operations::command::{Command, Done};
use crate::store::contract::{Cancelled, WaitingRuns};
use crate::text::count::number;

#[derive(Args)]
#[command(after_help = "Example: doorbell cancel --rule 'New orders'")]
pub struct Cancel {
    /// The ids of events, or the first characters of their ids
    #[arg(required_unless_present = "rule")]
    events: Vec<String>,
    /// Cancel only the runs of this rule; without an event, all of its waiting runs
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    #[command(flatten)]
    data: Data,
}

impl Cancel {
    pub fn run(self) -> anyhow::Result<Ended> {
        let queries = self.data.queries()?;
        let mut commands = self.data.commands()?;
        let mut wanted = Vec::new();
        for event in &self.events {
            wanted.push(Some(queries.ask(|r| r.find(event))?));
        }
        if wanted.is_empty() {
            wanted.push(None);
        }
        let mut out = stdout();
        for id in wanted {
            let command = Command::Cancel(WaitingRuns { event: id, rule: self.rule.clone() });
            let done = commands.perform(command).map_err(anyhow::Error::msg)?;
            let Done::Cancelled(Cancelled { runs, busy }) = done else { anyhow::bail!("the running Doorbell sent an unexpected answer") };
            let which = match (&id, &self.rule) {
                (Some(id), _) => id.to_string(),
                (None, Some(rule)) => rule.clone(),
                (None, None) => String::new(),
            };
            match (runs, busy) {
                (0, 0) => writeln!(out, "{which}: nothing is waiting")?,
                (n, 0) => writeln!(out, "{which}: {} cancelled", number(n, "run"))?,
                (n, busy) => writeln!(
                    out,
                    "{which}: {} cancelled; {} running at the moment, so try again later",
                    number(n, "run"),
                    if busy == 1 { "1 is".to_owned() } else { format!("{busy} are") }
                )?,
            }
        }
        Ok(Ended::Good)
    }
}
