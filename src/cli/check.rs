//! `doorbell check`: reports every problem of every rule file, in one pass.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::ended::Ended;
use super::fix;
use super::settings::{LoadOptions, Secrets, counted, counted_problems};
use super::terminal::stdout;
use crate::problem;

#[derive(Args)]
#[command(after_help = "Example: doorbell check rules/orders.yaml")]
pub struct Check {
    /// A rule file, or a folder of rule files
    #[arg(env = "DOORBELL_RULES", default_value = "rules")]
    path: PathBuf,
    /// The format of the problems
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Do not require secrets and variables; use the word secret.NAME for each of them
    #[arg(long)]
    no_secrets: bool,
    /// Write proven corrections into the files; each is shown first, and the old file is kept
    #[arg(long)]
    fix: bool,
    /// Do not ask before each correction
    #[arg(long, requires = "fix")]
    yes: bool,
    #[command(flatten)]
    load_options: LoadOptions,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Check {
    pub fn run(self) -> anyhow::Result<Ended> {
        let secrets = if self.no_secrets { Secrets::Stood } else { Secrets::Real };
        let load = || self.load_options.load(&self.path, secrets);
        let loaded = if self.fix { fix::run(load, self.yes)? } else { load()? };
        let mut out = stdout();
        match self.format {
            Format::Json => {
                let all: Vec<_> = loaded.problems.iter().map(problem::Problem::json).collect();
                writeln!(out, "{}", serde_json::to_string_pretty(&serde_json::json!({ "problems": all }))?)?;
            }
            Format::Text => {
                write!(out, "{}", problem::draw_all(&loaded.problems))?;
                match &loaded.ruleset {
                    Some(ruleset) if ruleset.rules.is_empty() && loaded.problems.is_empty() => writeln!(out, "{}", counted(ruleset))?,
                    Some(ruleset) if loaded.problems.is_empty() => writeln!(out, "{}: valid", counted(ruleset))?,
                    Some(ruleset) => writeln!(out, "{}: valid, with {}", counted(ruleset), counted_problems(&loaded.problems))?,
                    None => writeln!(out, "{}", counted_problems(&loaded.problems))?,
                }
            }
        }
        Ok(if loaded.ruleset.is_some() { Ended::Good } else { Ended::Problems })
    }
}
