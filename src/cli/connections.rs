//! `doorbell connections`: the servers and accounts that rules use by name, and whether they work.

use std::io::Write;
use std::sync::Arc;

use clap::Args;

use super::ended::Ended;
use super::settings::{Data, LoadOptions, Rules, Secrets, Trust};
use super::terminal::stdout;
use crate::action::accounts::refresh_tokens::RefreshTokens;
use crate::action::accounts::tokens::Tokens;
use crate::action::http::client::Net;
use crate::operations::connections::{ListedConnection, Online, listed, tried};
use crate::problem;
use crate::rule::ruleset::Ruleset;

#[derive(Args)]
#[command(after_help = "Examples:\n  doorbell connections\n  doorbell connections --online")]
pub struct ListConnections {
    /// Try each: connect, encrypt and log in; nothing is sent
    #[arg(long)]
    online: bool,
    /// Print the list as JSON, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: Trust,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    rules: Rules,
}

impl ListConnections {
    pub fn run(self) -> anyhow::Result<Ended> {
        let secrets = if self.online { Secrets::Real } else { Secrets::Stood };
        let loaded = self.rules.load_options.load(&self.rules.rules, secrets)?;
        let mut out = stdout();
        let Some(ruleset) = loaded.ruleset else {
            write!(out, "{}", problem::draw_all(&loaded.problems))?;
            return Ok(Ended::Problems);
        };
        let all = match self.online {
            true => try_all(&ruleset, &self.rules.load_options, &self.trust, &self.data)?,
            false => listed(&ruleset),
        };
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
            return Ok(ended(&all));
        }
        for one in &all {
            let rules = if one.rules.is_empty() { "no rule".to_owned() } else { one.rules.join(", ") };
            writeln!(out, "{}  {}\n  used by: {rules}", one.name, one.what())?;
            if let Some(state) = state(one) {
                writeln!(out, "  {state}")?;
            }
            writeln!(out)?;
        }
        if all.is_empty() {
            writeln!(out, "There are no connections. Write for example: connections: {{ mail: {{ smtp: smtps://mail.example.com, … }} }}")?;
        }
        Ok(ended(&all))
    }
}

/// Tries all connections. A new refresh token goes into the data folder, as it does in `serve`.
pub fn try_all(ruleset: &Ruleset, options: &LoadOptions, trust: &Trust, data: &Data) -> anyhow::Result<Vec<ListedConnection>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let net = Arc::new(Net::new(options.allowed(), 8, 8).trusting(trust.own_ca()?));
    let tokens = Tokens::new(net, RefreshTokens::of(&data.data, data.key()?));
    Ok(runtime.block_on(tried(ruleset, &tokens)))
}

/// Whether it works, if it was tried.
pub fn state(one: &ListedConnection) -> Option<String> {
    one.online.as_ref().map(|online| match online {
        Online::Works => "works".to_owned(),
        Online::Fails(why) => format!("does not work: {why}"),
        Online::NotTried => "is not tried, because it only signs calls".to_owned(),
    })
}

pub fn ended(all: &[ListedConnection]) -> Ended {
    let fails = |one: &ListedConnection| matches!(one.online, Some(Online::Fails(_)));
    if all.iter().any(fails) { Ended::Problems } else { Ended::Good }
}
