//! `doorbell cancel`: ends runs that wait, so that they are never done. What is being done this very moment is left alone.

use std::io::Write;

use clap::Args;

use super::ended::Ended;
use super::settings::{Data, number};
use crate::operations::command::{Command, Done};
use crate::store::contract::{Cancelled, Waiting};

#[derive(Args)]
#[command(after_help = "Example: doorbell cancel --rule 'New orders'")]
pub struct Cancel {
    /// Ids of events, or their beginnings
    #[arg(required_unless_present = "rule")]
    events: Vec<String>,
    /// Only the runs of this rule; without an event, all of them
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    #[command(flatten)]
    data: Data,
}

impl Cancel {
    pub fn run(self) -> anyhow::Result<Ended> {
        let records = self.data.records()?;
        let mut commands = self.data.commands()?;
        let mut wanted = Vec::new();
        for event in &self.events {
            wanted.push(Some(records.ask(|r| r.find(event))?));
        }
        if wanted.is_empty() {
            wanted.push(None);
        }
        let mut out = std::io::stdout().lock();
        for id in wanted {
            let command = Command::Cancel(Waiting { event: id, rule: self.rule.clone() });
            let done = commands.perform(command).map_err(anyhow::Error::msg)?;
            let Done::Cancelled(Cancelled { runs, busy }) = done else { anyhow::bail!("the Doorbell that serves answered something else") };
            let which = match (&id, &self.rule) {
                (Some(id), _) => id.to_string(),
                (None, Some(rule)) => rule.clone(),
                (None, None) => String::new(),
            };
            match (runs, busy) {
                (0, 0) => writeln!(out, "{which}: nothing waits there")?,
                (n, 0) => writeln!(out, "{which}: {} cancelled", number(n, "run"))?,
                (n, busy) => writeln!(
                    out,
                    "{which}: {} cancelled; {} being done this very moment, ask again in a while",
                    number(n, "run"),
                    if busy == 1 { "1 is".to_owned() } else { format!("{busy} are") }
                )?,
            }
        }
        Ok(Ended::Good)
    }
}
