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

/// Starts rules until Doorbell ends.
///
/// `ears` hear what is accepted.
pub fn keep(
    supervisor: &Supervisor,
    (starter, failures, (ears, queries)): (Starter, Arc<FailureWatch>, (Arc<Ears>, Arc<dyn Queries>)),
    stopping: &Arc<AtomicBool>,
) {
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
