//! The connections of the rules: what each is, who uses it, and whether it works.

use serde::Serialize;

use crate::action::connections::Connection;
use crate::action::http::client::Net;
use crate::action::online::try_out;
use crate::rule::ruleset::Ruleset;

/// One connection.
#[derive(Debug, Serialize)]
pub struct ListedConnection {
    pub name: String,
    pub kind: &'static str,
    pub server: String,
    /// The rules that use it.
    pub rules: Vec<String>,
    /// Whether it works, if it was tried: nothing, or why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online: Option<Online>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Online {
    Works,
    Fails(String),
}

/// All connections, by name.
pub fn listed(ruleset: &Ruleset) -> Vec<ListedConnection> {
    let uses = |name: &str| {
        let rules = ruleset.rules.iter().filter(|rule| {
            rule.steps.iter().any(|step| step.action.as_ref().and_then(|a| a.connection()).is_some_and(|(used, _)| used == name))
        });
        rules.map(|rule| rule.name.to_string()).collect()
    };
    let one = |(name, connection): (&str, &std::sync::Arc<Connection>)| ListedConnection {
        name: name.to_owned(),
        kind: connection.kind(),
        server: connection.server(),
        rules: uses(name),
        online: None,
    };
    ruleset.connections.all().map(one).collect()
}

/// The same, after each was tried: connected, encrypted and logged in; nothing is sent.
pub async fn tried(ruleset: &Ruleset, net: &Net) -> Vec<ListedConnection> {
    let mut all = listed(ruleset);
    for one in &mut all {
        let Some(connection) = ruleset.connections.get(&one.name) else { continue };
        one.online = Some(match try_out(net, connection).await {
            Ok(()) => Online::Works,
            Err(why) => Online::Fails(ruleset.vault.strike(&why)),
        });
    }
    all
}
