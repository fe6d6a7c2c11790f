//! `doorbell failed`: lists the failed runs.

use std::io::Write;

use clap::Args;

use super::ended::Ended;
use super::settings::Data;
use super::terminal::stdout;
use crate::operations::history;
use crate::text::count::number;
use crate::text::printable::short;

#[derive(Args)]
#[command(after_help = "Example: doorbell failed")]
pub struct Failed {
    /// How many to list
    #[arg(long, default_value = "50", value_name = "N")]
    last: usize,
    #[command(flatten)]
    data: Data,
}

impl Failed {
    pub fn run(self) -> anyhow::Result<Ended> {
        let runs = self.data.queries()?.ask(|r| history::failed(r, self.last))?;
        let mut out = stdout();
        if runs.is_empty() {
            writeln!(out, "No runs have failed.")?;
            return Ok(Ended::Good);
        }
        for run in &runs {
            let time = run.at.strftime("%Y-%m-%d %H:%M:%S");
            let step = if run.step == 0 { "before its first step".to_owned() } else { format!("step {}", run.step) };
            writeln!(out, "{}  {time}  {}, {step}", run.event, short(&run.rule, 200))?;
            writeln!(out, "    {}", short(&run.why, 300))?;
        }
        writeln!(out)?;
        writeln!(out, "{}; `doorbell replay EVENT` continues at the step that failed", number(runs.len(), "failed run"))?;
        Ok(Ended::Good)
    }
}
