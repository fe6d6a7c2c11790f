//! The options of `serve` for a service that watches whether Doorbell lives.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use url::Url;

use super::settings::length;
use crate::engine::care::health::Health;
use crate::engine::care::heartbeat::Heartbeat;
use crate::engine::task::supervisor::Supervisor;
use crate::store::contract::Store;

/// The shortest time between two signs of life.
const SHORTEST: Duration = Duration::from_secs(1);

#[derive(Args, Clone)]
pub struct HeartbeatOptions {
    /// The address to call at an interval while Doorbell works, so that a service that watches it notices when it does not
    #[arg(long, env = "DOORBELL_HEARTBEAT", value_name = "URL", value_parser = address, hide_env_values = true)]
    heartbeat: Option<Url>,
    /// How often to call it
    #[arg(long, env = "DOORBELL_HEARTBEAT_EVERY", value_name = "TIME", default_value = "1 minute", value_parser = interval)]
    heartbeat_every: Duration,
}

impl HeartbeatOptions {
    /// Sends signs of life from now on, if an address is given.
    pub fn keep(&self, supervisor: &Supervisor, health: &Arc<Health>, store: &Arc<dyn Store>) {
        let Some(url) = self.heartbeat.clone() else { return };
        let heartbeat = Arc::new(Heartbeat { url, every: self.heartbeat_every, health: health.clone(), store: store.clone() });
        supervisor.keep("sending the heartbeat", move || {
            let heartbeat = heartbeat.clone();
            async move { heartbeat.run().await }
        });
    }
}

fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| "write an address that begins with https://".to_owned())
}

fn interval(text: &str) -> Result<Duration, String> {
    let every = length(text)?;
    if every < SHORTEST { Err("write a longer time, such as `1 minute`".to_owned()) } else { Ok(every) }
}
