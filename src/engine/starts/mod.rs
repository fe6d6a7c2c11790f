//! Rules that start without a request: [`timekeeper`] knows when it is time, [`failure_teller`] when others have failed, and
//! [`silence_watcher`] when nothing came; [`made`]
//! makes the event, and [`starter`] saves it and starts the rules.

pub mod failure_teller;
pub mod made;
pub mod silence_watcher;
pub mod starter;
pub mod timekeeper;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::intake::ears::Ears;
use super::run::failure_watch::FailureWatch;
use super::task::supervisor::Supervisor;
use crate::store::contract::Queries;
use failure_teller::FailureTeller;
use silence_watcher::SilenceWatcher;
use starter::Starter;
use timekeeper::Timekeeper;

/// What starting rules needs.
pub struct Starts {
    pub starter: Starter,
    pub failures: Arc<FailureWatch>,
    /// They hear what is accepted.
    pub ears: Arc<Ears>,
    pub queries: Arc<dyn Queries>,
}

/// Starts rules until Doorbell ends.
pub fn keep(supervisor: &Supervisor, starts: Starts, stopping: &Arc<AtomicBool>) {
    let Starts { starter, failures, ears, queries } = starts;
    let timekeeper = Arc::new(Timekeeper { starter: starter.clone(), stopping: stopping.clone() });
    supervisor.keep("starting rules on time", move || {
        let timekeeper = timekeeper.clone();
        async move { timekeeper.run().await }
    });
    let teller = Arc::new(FailureTeller { starter: starter.clone(), watch: failures, stopping: stopping.clone() });
    supervisor.keep("starting rules when others fail", move || {
        let teller = teller.clone();
        async move { teller.run().await }
    });
    let watcher = Arc::new(SilenceWatcher { starter: starter.clone(), queries, ears, stopping: stopping.clone() });
    supervisor.keep("starting rules on silence", move || {
        let watcher = watcher.clone();
        async move { watcher.run().await }
    });
}
