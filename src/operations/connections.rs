//! The connections of the rules: what each is, who uses it, and whether it works.

use std::sync::Arc;

use serde::Serialize;

use crate::action::accounts::tokens::Tokens;
use crate::action::connections::Connection;
use crate::action::online::{Tried, try_out};
use crate::rule::ruleset::Ruleset;

/// One connection.
#[derive(Debug, Serialize)]
pub struct ListedConnection {
    pub name: String,
    pub kind: &'static str,
    /// Its server, or what else tells it from others of its kind.
    pub server: String,
    #[serde(skip)]
    joint: &'static str,
    /// The rules that use it.
    pub rules: Vec<String>,
    /// Whether it works, if it was tried: nothing, or why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online: Option<Online>,
}

impl ListedConnection {
    /// What it is: `e-mail (SMTP) at mail.example.com:465`.
    pub fn what(&self) -> String {
        format!("{}{}{}", self.kind, self.joint, self.server)
    }
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Online {
    Works,
    Fails(String),
    /// It only signs calls, so there is no server to ask.
    NotTried,
}

/// All connections, by name.
pub fn listed(ruleset: &Ruleset) -> Vec<ListedConnection> {
    let uses = |name: &str| {
        let rules = ruleset.rules.iter().filter(|rule| {
            let mut used = rule.steps.iter().filter_map(|step| step.action.as_ref()?.uses());
            used.any(|used| used.names.iter().any(|(used, _)| *used == name))
        });
        rules.map(|rule| rule.name.to_string()).collect()
    };
    let one = |(name, connection): (&str, &Arc<Connection>)| ListedConnection {
        name: name.to_owned(),
        kind: connection.way().name,
        server: connection.server(),
        joint: connection.way().joint,
        rules: uses(name),
        online: None,
    };
    ruleset.connections.all().map(one).collect()
}

/// The same, after each was tried: connected, encrypted and logged in; nothing is sent.
pub async fn tried(ruleset: &Ruleset, tokens: &Arc<Tokens>) -> Vec<ListedConnection> {
    let mut all = listed(ruleset);
    for one in &mut all {
        let Some(connection) = ruleset.connections.get(&one.name) else { continue };
        one.online = Some(match try_out(tokens, &one.name, connection).await {
            Tried::Works => Online::Works,
            Tried::Fails(why) => Online::Fails(ruleset.vault.strike(&why)),
            Tried::OnlySigns => Online::NotTried,
        });
    }
    all
}
