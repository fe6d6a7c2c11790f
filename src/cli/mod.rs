//! The command line: one file for each command.
//!
//! Errors are printed once, here. Exit codes: 0 success, 1 problems in rules, 2 could not run.

mod audit;
mod backup;
mod cancel;
mod check;
mod connections;
mod console;
mod console_options;
mod dry_run;
mod ended;
mod event_printer;
mod events;
mod explain;
mod failed;
mod fix;
mod health;
mod heartbeat_options;
mod json_lines;
mod list;
mod moment;
mod new;
mod old_rules;
mod progress;
mod prune;
mod replay;
mod schedules;
mod schema;
mod senders;
mod serve;
mod settings;
mod signals;
mod telemetry_options;
mod terminal;
mod test;
mod verify;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use ended::Ended;
use terminal::stderr;

/// Doorbell turns incoming webhooks into actions, following rules in YAML files, and loses nothing.
#[derive(Parser)]
#[command(
    name = "doorbell",
    version,
    about,
    after_help = "Without a command, `doorbell` runs `doorbell serve`.\nEvery option can also be set as an environment variable, such as DOORBELL_RULES for --rules."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Serve,
}

#[derive(Subcommand)]
enum Command {
    /// Listen for webhooks and act on them
    Serve(Box<serve::Serve>),
    /// Check the rule files for problems
    Check(check::Check),
    /// Show the rules as sentences
    List(list::List),
    /// List the rules that start by themselves, or start one now
    Schedules(schedules::Schedules),
    /// List the servers and accounts that rules use by name, or try them
    Connections(connections::ListConnections),
    /// Run the tests in the rule files
    Test(test::RunTests),
    /// Show what the rules would do with a webhook, without doing it
    Try(dry_run::DryRun),
    /// Print the link to the console in the browser
    Console(console::PrintLink),
    /// List the latest events
    Events(events::Events),
    /// List the runs that failed and need your attention
    Failed(failed::Failed),
    /// Explain what happened to an event, and why rules did or did not run
    Explain(explain::Explain),
    /// Run an event or its failed runs again
    Replay(replay::Replay),
    /// Cancel runs that are waiting
    Cancel(cancel::Cancel),
    /// Delete old events whose runs have ended
    Prune(prune::Prune),
    /// Copy events and runs into one file, while Doorbell keeps running
    Backup(backup::Backup),
    /// Show what people did to this Doorbell: replays, deletions, changed rules
    Audit(audit::ShowAudit),
    /// Create a rule from a recipe, or from a webhook that was received
    New(new::New),
    /// Print the JSON Schema of rule files, for editors
    Schema(schema::Schema),
    /// List the senders that can be verified by name, and how they sign
    Senders(senders::Senders),
    /// Explain why a captured webhook is denied
    Verify(verify::VerifyRequest),
    /// Check whether Doorbell is healthy
    Health(health::Health),
}

/// Runs the command given by the arguments.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let ended = match cli.command {
        None => cli.serve.run(),
        Some(Command::Serve(c)) => c.run(),
        Some(Command::Check(c)) => c.run(),
        Some(Command::List(c)) => c.run(),
        Some(Command::Schedules(c)) => c.run(),
        Some(Command::Connections(c)) => c.run(),
        Some(Command::Test(c)) => c.run(),
        Some(Command::Try(c)) => c.run(),
        Some(Command::Console(c)) => c.run(),
        Some(Command::Events(c)) => c.run(),
        Some(Command::Failed(c)) => c.run(),
        Some(Command::Explain(c)) => c.run(),
        Some(Command::Replay(c)) => c.run(),
        Some(Command::Cancel(c)) => c.run(),
        Some(Command::Prune(c)) => c.run(),
        Some(Command::Backup(c)) => c.run(),
        Some(Command::Audit(c)) => c.run(),
        Some(Command::New(c)) => c.run(),
        Some(Command::Schema(c)) => c.run(),
        Some(Command::Senders(c)) => c.run(),
        Some(Command::Verify(c)) => c.run(),
        Some(Command::Health(c)) => c.run(),
    };
    match ended {
        Ok(Ended::Good) => ExitCode::SUCCESS,
        Ok(Ended::Problems) => ExitCode::from(1),
        Ok(Ended::Unable) => ExitCode::from(2),
        Err(e) => {
            // A closed pipe (`doorbell events | head`) is not an error.
            if e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe) {
                return ExitCode::SUCCESS;
            }
            let _ = writeln!(stderr(), "doorbell: {e:#}");
            ExitCode::from(2)
        }
    }
}
