//! `doorbell audit`: what people did to this Doorbell: replays, cancellations, deletions, backups, changed rules, starts.

use std::io::Write;

use anyhow::Context;
use clap::Args;

use super::ended::Ended;
use super::settings::Data;
use super::terminal::stdout;
use crate::store::audit::entries;
use crate::text::printable::one_line;

#[derive(Args)]
#[command(after_help = "Example: doorbell audit --last 100")]
pub struct ShowAudit {
    /// How many entries to show
    #[arg(long, default_value = "50", value_name = "N")]
    last: usize,
    #[command(flatten)]
    data: Data,
}

impl ShowAudit {
    pub fn run(self) -> anyhow::Result<Ended> {
        if !self.data.data.is_dir() {
            anyhow::bail!("there is no folder {}; choose another one with --data", self.data.data.display());
        }
        let list = entries(&self.data.data, self.last).with_context(|| format!("{} cannot be read", self.data.data.display()))?;
        let mut out = stdout();
        if list.is_empty() {
            writeln!(out, "Nothing has been done yet.")?;
        }
        for entry in list {
            let user = entry.user.map_or_else(|| "unknown user".to_owned(), |user| format!("user {user}"));
            writeln!(out, "{}  {user}  {}", entry.at.strftime("%Y-%m-%d %H:%M:%S"), one_line(&entry.did))?;
        }
        Ok(Ended::Good)
    }
}
