//! Microsoft Graph: every change in a body repeats the secret that the subscription was created with. Nothing is signed.
//! Source: microsoft-graph-docs-contrib, `change-notifications-delivery-webhooks.md`.

use std::sync::LazyLock;

use serde_json::Value;

use super::contract::{Scheme, SenderFacts};
use super::guard::Guard;
use super::handshake::Handshake;
use super::secret::{equal, read_secret};
use super::verifier::{MOST_UNPROVEN, Published, Signed, Verify};
use crate::expr::names::Names;
use crate::expr::projection::Projection;
use crate::model::request::Request;
use crate::secret::Secret;
use crate::yaml::fields::Item;

pub struct Graph;

impl Scheme for Graph {
    fn name(&self) -> &'static str {
        "microsoft_graph"
    }
    fn facts(&self) -> Option<SenderFacts> {
        Some(SenderFacts {
            title: "Microsoft Graph".into(),
            delivery_id: Vec::new(),
            remembered: None,
            write: "{ microsoft_graph: \"{{ secret.GRAPH_CLIENT_STATE }}\" }".into(),
            paste: "create a subscription with the address as notificationUrl and the secret as clientState".into(),
            within: "3 seconds".into(),
            note: "the secret is the subscription's clientState, which must be in every change; nothing is signed, and the tokens of notifications with content are not checked".into(),
        })
    }
    fn read(&self, item: &Item, known: &Names, _: Option<&str>) -> Option<Guard> {
        let mut states = Vec::new();
        for item in item.one_or_more("write \"{{ secret.GRAPH_CLIENT_STATE }}\"")? {
            states.push(read_secret(&item, known)?);
        }
        // SharePoint spells it in lower case.
        let greetings = ["validationToken", "validationtoken"].into_iter().filter_map(Handshake::echoing_query);
        Some(Guard::of(States(states)).greeting(greetings))
    }
}

/// Nothing else is built before it is checked.
static WANTED: LazyLock<Projection> = LazyLock::new(|| Projection::at(["/value/*/clientState"]));

struct States(Vec<Secret>);

impl Verify for States {
    fn check(&self, request: &Request, _: Option<&Published>) -> Result<Signed, String> {
        let body = WANTED.read_at_most(&request.body, MOST_UNPROVEN).ok_or("the body is not JSON, or it contains far more than changes")?;
        let changes = body["value"].as_array().filter(|all| !all.is_empty()).ok_or("the body contains no changes")?;
        let is_known = |change: &Value| {
            let sent = change["clientState"].as_str().unwrap_or_default();
            self.0.iter().any(|s| equal(s.reveal().as_bytes(), sent.as_bytes()))
        };
        match changes.iter().position(|c| !is_known(c)) {
            None => Ok(Signed::new()),
            Some(n) => Err(format!("`clientState` of change {} is missing or different", n + 1)),
        }
    }
}
