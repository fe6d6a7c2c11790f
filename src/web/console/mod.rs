//! The console: pages in the browser that show what happened and change rules, and the same as JSON. It has a listener of its
//! own and is never at the address that senders call.
//!
//! Pages are HTML made here; a small script adds what is live. They show values of `operations/` and send it commands, as the
//! command line does; nothing is worked out twice. Who may is decided in [`gate`].

mod answer;
mod api;
mod ask;
mod assets;
mod bars;
pub mod bulk;
mod download;
mod draw;
mod fault;
mod frame;
pub mod gate;
mod live;
mod pages;
mod picture;
mod preview;
mod seen;
pub mod session;
pub mod settings;
pub mod streams;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::engine::care::health::Health;
use crate::engine::intake::Intake;
use crate::engine::intake::rejections::Rejections;
use crate::engine::rules::editors::Editors;
use crate::engine::starts::starter::Starter;
use crate::model::event::EventId;
use crate::operations::command::{Command, Done};
use crate::operations::control;
use crate::operations::editing::Editor;
use crate::operations::history::Explanation;
use crate::operations::metrics::Metrics;
use crate::operations::output_files::OutputFiles;
use crate::store::audit::Audit;
use crate::store::contract::{Dossier, Queries, Store};
use crate::web::client_ip::Proxies;
use bulk::Bulk;
use fault::Fault;
use session::{Sessions, Visitor};
use settings::Settings;
use streams::Streams;

/// Explains an event with the secrets that `serve` has.
pub type Explain = Box<dyn Fn(&Dossier) -> anyhow::Result<Explanation> + Send + Sync>;

/// Whether a secret is set; never what it is.
pub type HasSecret = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// What the console looks at and changes.
pub struct Console {
    pub settings: Settings,
    pub sessions: Sessions,
    pub queries: Arc<dyn Queries>,
    pub store: Arc<dyn Store>,
    pub intake: Arc<Intake>,
    pub starter: Starter,
    pub health: Arc<Health>,
    pub rejections: Arc<Rejections>,
    pub audit: Arc<Audit>,
    /// Those who change rule files here.
    pub editors: Arc<Editors>,
    pub metrics: Arc<Metrics>,
    pub explain: Explain,
    pub has_secret: HasSecret,
    pub editor: Editor,
    pub files: OutputFiles,
    /// The failed runs that somebody goes on with.
    pub bulk: Bulk,
    /// The pages that change while somebody looks at them.
    pub streams: Streams,
    /// Makes the rules be read again at once.
    pub reload: Arc<Notify>,
    /// The proxies whose word about a caller is trusted.
    pub proxies: Arc<Proxies>,
    /// The data folder.
    pub data: PathBuf,
}

impl Console {
    /// The address of a page.
    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.settings.base)
    }

    /// Does what a visitor asks for, and notes it in the audit log.
    async fn perform(&self, visitor: &Visitor, command: Command) -> Result<Done, Fault> {
        let by = format!("in the console, from {}", visitor.ip);
        let done = control::perform(command, self.store.as_ref(), &self.audit, None, Some(&by)).await;
        self.intake.worker.wake();
        done.map_err(Fault::Failed)
    }

    /// Starts a rule now that starts by itself.
    async fn start_rule(&self, visitor: &Visitor, rule: &str) -> Result<EventId, Fault> {
        let by = format!("in the console, from {}", visitor.ip);
        control::start_rule(rule, &self.starter, &self.audit, None, Some(&by)).await.map_err(Fault::Bad)
    }
}
