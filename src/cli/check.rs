//! `doorbell check`: reports every problem of every rule file, in one pass.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::connections::{ended, state, try_all};
use super::dry_run::read_webhook;
use super::ended::Ended;
use super::fix;
use super::settings::{Data, LoadOptions, Secrets, Trust, counted, counted_problems};
use super::terminal::stdout;
use crate::operations::experience::{Webhooks, learned};
use crate::operations::schedules::{ScheduledRule, scheduled_rules};
use crate::problem;
use crate::rule::ruleset::Ruleset;

#[derive(Args)]
#[command(after_help = "Example: doorbell check rules/orders.yaml")]
pub struct Check {
    /// Rule files, or folders of rule files
    paths: Vec<PathBuf>,
    /// The folder with the rule files, if no other is given
    #[arg(long, env = "DOORBELL_RULES", default_value = "rules", value_name = "FOLDER")]
    rules: PathBuf,
    /// The format of the problems
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Do not require secrets and variables; use the word secret.NAME for each of them
    #[arg(long)]
    no_secrets: bool,
    /// A file with the body of a webhook, to check the rules with; `-` reads it from standard input
    #[arg(long, value_name = "FILE")]
    with: Option<PathBuf>,
    /// The address that this webhook is sent to, if there are several
    #[arg(long, value_name = "PATH", requires = "with")]
    path: Option<String>,
    /// A header of this webhook, `Name: value`; can be repeated
    #[arg(long = "header", value_name = "HEADER", requires = "with")]
    headers: Vec<String>,
    #[command(flatten)]
    data: Data,
    /// Also try each connection: connect, encrypt and log in; nothing is sent
    #[arg(long, conflicts_with = "no_secrets")]
    online: bool,
    #[command(flatten)]
    trust: Trust,
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
        let paths = if self.paths.is_empty() { vec![self.rules.clone()] } else { self.paths.clone() };
        let load = || self.load_options.load_all(&paths, secrets);
        let mut loaded = if self.fix { fix::run(load, self.yes)? } else { load()? };
        if let Some(ruleset) = &loaded.ruleset {
            let webhooks = match &self.with {
                Some(file) => Some(sample(ruleset, file, self.path.as_deref(), &self.headers)?),
                None => self.data.received(),
            };
            loaded.problems.extend(webhooks.into_iter().flat_map(|webhooks| learned(ruleset, &webhooks)));
            problem::sort(&mut loaded.problems);
        }
        let scheduled = loaded.ruleset.as_ref().map_or_else(Vec::new, |ruleset| scheduled_rules(ruleset, &[], Timestamp::now()));
        let connections = match &loaded.ruleset {
            Some(ruleset) if self.online => try_all(ruleset, &self.load_options, &self.trust, &self.data)?,
            _ => Vec::new(),
        };
        let mut out = stdout();
        match self.format {
            Format::Json => {
                let all: Vec<_> = loaded.problems.iter().map(problem::Problem::json).collect();
                let mut found = serde_json::json!({ "problems": all });
                if !scheduled.is_empty() {
                    found["schedules"] = serde_json::to_value(&scheduled)?;
                }
                if self.online {
                    found["connections"] = serde_json::to_value(&connections)?;
                }
                writeln!(out, "{}", serde_json::to_string_pretty(&found)?)?;
            }
            Format::Text => {
                write!(out, "{}", problem::draw_all(&loaded.problems))?;
                match &loaded.ruleset {
                    Some(ruleset) if ruleset.rules.is_empty() && loaded.problems.is_empty() => writeln!(out, "{}", counted(ruleset))?,
                    Some(ruleset) if loaded.problems.is_empty() => writeln!(out, "{}: valid", counted(ruleset))?,
                    Some(ruleset) => writeln!(out, "{}: valid, with {}", counted(ruleset), counted_problems(&loaded.problems))?,
                    None => writeln!(out, "{}", counted_problems(&loaded.problems))?,
                }
                for one in scheduled.iter().filter(|one| one.enabled) {
                    writeln!(out, "`{}` starts {}: {}", one.rule, one.when, upcoming(one))?;
                }
                for one in &connections {
                    writeln!(out, "The connection `{}` ({}) {}", one.name, one.server, state(one).unwrap_or_default())?;
                }
            }
        }
        Ok(if loaded.ruleset.is_some() { ended(&connections) } else { Ended::Problems })
    }
}

/// When a rule starts next: `next on Sat 2026-11-28 09:00, then …`.
pub fn upcoming(rule: &ScheduledRule) -> String {
    match rule.next.as_slice() {
        [] => "never".to_owned(),
        [only] => format!("next on {only}"),
        [first, rest @ ..] => format!("next on {first}, then {}", rest.join(", ")),
    }
}

/// A webhook from a file, for the address that is named, or the only one.
fn sample(ruleset: &Ruleset, file: &Path, path: Option<&str>, headers: &[String]) -> anyhow::Result<Webhooks> {
    let known: Vec<&str> = ruleset.addresses.iter().map(|a| a.route.text()).collect();
    let address = match (path, known.as_slice()) {
        (Some(path), _) => path,
        (None, [only]) if !only.contains('{') => only,
        _ => anyhow::bail!("name the address that {} is sent to with --path; addresses: {}", file.display(), known.join(", ")),
    };
    let found = ruleset.address(address.split('?').next().unwrap_or(address));
    let found = found.ok_or_else(|| anyhow::anyhow!("no rule uses {address}; addresses: {}", known.join(", ")))?;
    let method = found.methods.first().map_or("POST", String::as_str);
    let event = read_webhook(file, method, address, headers)?.into_event(ruleset, None, Timestamp::now()).map_err(anyhow::Error::msg)?;
    Ok(Webhooks { events: vec![event], name: Some(file.display().to_string()) })
}
