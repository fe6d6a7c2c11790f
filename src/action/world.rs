//! The world that effects act on: connections, files, what rules remember, callers waiting for a response. Rules hold no reference to it.

use std::sync::Arc;

use super::accounts::tokens::Tokens;
use super::connections::CurrentConnections;
use super::files::writer::Files;
use super::http::client::Net;
use super::memory::RuleMemory;
use super::pending_replies::PendingReplies;

/// Everything outside the rules.
pub struct World {
    pub net: Arc<Net>,
    pub files: Files,
    pub pending: Arc<PendingReplies>,
    pub memory: RuleMemory,
    pub connections: CurrentConnections,
    pub tokens: Arc<Tokens>,
    /// Whether tries are recorded as spans of traces, so that calls name theirs.
    pub is_traced: bool,
}
