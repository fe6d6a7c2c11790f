//! The health of Doorbell: whether it is ready, for anybody; and the reasons, for operators. The listeners decide who may
//! ask for which.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::accounts::tokens::Tokens;
use crate::action::http::client::Net;
use crate::engine::rules::reload::LastEditProblems;
use crate::engine::task::supervisor::Supervisor;
use crate::problem::Problem;
use crate::rule::ruleset::InForce;
use crate::store::commits::Commits;

/// Whether events are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    #[serde(rename = "ready")]
    Ready,
    /// A background task crashed and is being restarted.
    #[serde(rename = "not ready")]
    NotReady,
    #[serde(rename = "stopping")]
    Stopping,
}

impl Status {
    pub fn word(self) -> &'static str {
        match self {
            Status::Ready => "ready",
            Status::NotReady => "not ready",
            Status::Stopping => "stopping",
        }
    }
}

/// Everything operators want to know. It may contain parts of rule files, paths and the names of internal servers.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    pub status: Status,
    /// The number of current rules.
    pub rules: usize,
    /// The errors in the last edit, which is therefore not used.
    pub problems: Vec<Value>,
    /// Servers that do not respond and are not called for now.
    pub silent: Vec<String>,
    /// Connections that somebody has to look after.
    #[serde(default)]
    pub wanting: Vec<WantingConnection>,
    /// The background tasks that are down.
    pub down: Vec<String>,
    /// Whether the store failed to save something when it last tried.
    #[serde(default)]
    pub cannot_save: bool,
}

/// A connection whose account the other app does not accept any more.
#[derive(Debug, Serialize, Deserialize)]
pub struct WantingConnection {
    pub connection: String,
    pub why: String,
}

/// Where the health report gets its data.
pub struct Health {
    pub rules: Arc<ArcSwap<InForce>>,
    pub last_edit: LastEditProblems,
    pub net: Arc<Net>,
    pub tokens: Arc<Tokens>,
    pub supervisor: Supervisor,
    pub commits: Arc<Commits>,
    /// Set when shutdown begins.
    pub stopping: Arc<AtomicBool>,
}

impl Health {
    pub fn status(&self) -> Status {
        match (self.stopping.load(Ordering::Relaxed), self.supervisor.down().is_empty()) {
            (true, _) => Status::Stopping,
            (false, false) => Status::NotReady,
            (false, true) => Status::Ready,
        }
    }

    /// The connections in the current rule files that somebody has to look after.
    fn wanting(&self) -> Vec<WantingConnection> {
        let connections = self.rules.load().ruleset.connections.clone();
        self.tokens.wanting(&connections).into_iter().map(|(connection, why)| WantingConnection { connection, why }).collect()
    }

    pub fn report(&self) -> Report {
        let last_edit = self.last_edit.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Report {
            status: self.status(),
            rules: self.rules.load().ruleset.rules.len(),
            problems: last_edit.iter().map(Problem::json).collect(),
            silent: self.net.resting(),
            wanting: self.wanting(),
            down: self.supervisor.down().into_iter().map(str::to_owned).collect(),
            cannot_save: self.commits.is_failing(),
        }
    }
}
