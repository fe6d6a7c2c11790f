//! What a person can ask for: one file for each command.
//!
//! Errors are printed once, here. Exit codes: 0 good, 1 problems in rules, 2 could not run.

mod check;
mod dry_run;
mod settings;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Doorbell turns incoming webhooks into actions, by rules in YAML files, and loses nothing.
#[derive(Parser)]
#[command(name = "doorbell", version, about, after_help = "Without a command, doorbell serves: `doorbell` is `doorbell serve`.\nEvery option can also be set as a variable: --rules is DOORBELL_RULES.")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Look for problems in the rule files
    Check(check::Check),
    /// Show what the rules would do with a webhook, without doing it
    Try(dry_run::DryRun),
}

/// How a command ended, when it could run at all.
pub enum Ended {
    Good,
    /// Problems were found and shown.
    Problems,
}

/// Runs the command that the arguments ask for.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let ended = match cli.command {
        None => Ok(Ended::Good),
        Some(Command::Check(c)) => c.run(),
        Some(Command::Try(c)) => c.run(),
    };
    match ended {
        Ok(Ended::Good) => ExitCode::SUCCESS,
        Ok(Ended::Problems) => ExitCode::from(1),
        Err(e) => {
            // A closed pipe (`doorbell events | head`) is no error.
            if e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe) {
                return ExitCode::SUCCESS;
            }
            eprintln!("doorbell: {e:#}");
            ExitCode::from(2)
        }
    }
}
