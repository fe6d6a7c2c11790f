//! `doorbell prune`: deletes old events whose runs have ended, whether or not `serve` is running.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::ended::Ended;
use super::progress::Progress;
use super::settings::{Data, length};
use super::terminal::stdout;
use crate::operations::command::{Command, Done};
use crate::store::contract::Pruning;
use crate::text::count::number;

/// How many events are checked at a time, and the pause after each batch.
const AT_A_TIME: usize = 200;
const BREATH: Duration = Duration::from_millis(10);

#[derive(Args)]
#[command(after_help = "Example: doorbell prune --older-than '7 days' --dry-run")]
pub struct Prune {
    /// Delete events that are older than this, such as '7 days'
    #[arg(long, value_name = "TIME", value_parser = length)]
    older_than: Duration,
    /// Also delete events with failed runs, which can then no longer be replayed
    #[arg(long)]
    failed: bool,
    /// Only show how many events would be deleted
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    data: Data,
}

impl Prune {
    pub fn run(self) -> anyhow::Result<Ended> {
        let counts = self.data.queries()?.ask(|r| r.counts(usize::MAX))?;
        let mut commands = self.data.commands()?;
        let what = Pruning { before: Timestamp::now().checked_sub(self.older_than)?, failed: self.failed, is_dry_run: self.dry_run };
        let (mut events, mut after) = (0, 0);
        let mut progress = Progress::new("checking events", counts.events);
        let mut seen = 0;
        loop {
            let done = commands.perform(Command::Prune { what, after, most: AT_A_TIME }).map_err(anyhow::Error::msg)?;
            let Done::Pruned(pruned) = done else { anyhow::bail!("the running Doorbell sent an unexpected answer") };
            events += pruned.events;
            after = pruned.after;
            seen += AT_A_TIME as u64;
            progress.at(seen);
            if pruned.is_all {
                break;
            }
            if !self.dry_run {
                std::thread::sleep(BREATH);
            }
        }
        drop(progress);
        let word = if self.dry_run { "would be deleted" } else { "deleted" };
        writeln!(
            stdout(),
            "{} {word}; events with waiting{} runs are kept",
            number(events, "event"),
            if self.failed { "" } else { " or failed" }
        )?;
        Ok(Ended::Good)
    }
}
