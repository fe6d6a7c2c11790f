//! `doorbell list`: shows the rules as sentences.

use std::io::Write;

use clap::Args;

use super::ended::Ended;
use super::settings::{Rules, Secrets, counted};
use super::terminal::stdout;
use crate::problem;
use crate::rule::sentence::Sentence;

#[derive(Args)]
#[command(after_help = "Example: doorbell list --path /orders")]
pub struct List {
    /// Show only the rules of this address
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Print the rules as JSON, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    rules: Rules,
}

impl List {
    pub fn run(self) -> anyhow::Result<Ended> {
        let loaded = self.rules.load_options.load(&self.rules.rules, Secrets::Stood)?;
        let mut out = stdout();
        let Some(ruleset) = loaded.ruleset else {
            write!(out, "{}", problem::draw_all(&loaded.problems))?;
            return Ok(Ended::Problems);
        };
        let all = ruleset.rules.iter().filter(|rule| self.path.as_ref().is_none_or(|path| rule.listens_at(path)));
        let all: Vec<(&str, Sentence)> = all.map(|rule| (rule.source.name.as_str(), Sentence::of(rule, &ruleset.vault))).collect();
        if self.json {
            let all: Vec<&Sentence> = all.iter().map(|(_, sentence)| sentence).collect();
            writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
            return Ok(Ended::Good);
        }
        for (file, sentence) in &all {
            let off = if sentence.enabled { "" } else { ", switched off" };
            writeln!(out, "{}  ({file}{off})\n  {}\n", sentence.rule, sentence.text())?;
        }
        match &self.path {
            Some(path) if all.is_empty() => writeln!(out, "No rule uses {path}.")?,
            Some(_) => {}
            None => writeln!(out, "{}", counted(&ruleset))?,
        }
        Ok(Ended::Good)
    }
}
