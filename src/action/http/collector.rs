//! A server that the operator chose to send telemetry to. Unlike the servers of rules it may be anywhere, also in a private
//! network.

use std::time::Duration;

use reqwest::{Client, Url, header, redirect};

use super::client::with_certificates;
use super::own_ca::OwnCa;

/// How long sending may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The client for one address.
pub struct Collector {
    client: Client,
    url: Url,
}

impl Collector {
    /// The error is a message for people.
    pub fn new(url: &str, own_ca: &OwnCa) -> Result<Self, String> {
        let url = Url::parse(url).map_err(|e| format!("this address is not valid: {e}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("the address begins with https:// or http://".to_owned());
        }
        // It fails only if another caller has already installed the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let agent = concat!("doorbell/", env!("CARGO_PKG_VERSION"));
        let builder = || Client::builder().redirect(redirect::Policy::none()).no_proxy().timeout(TIMEOUT).user_agent(agent);
        Ok(Self { client: with_certificates(builder, own_ca)?, url })
    }

    /// Sends JSON. The error is a message for people, without the address, which may contain a password.
    pub async fn post(&self, json: String) -> Result<(), String> {
        let request = self.client.post(self.url.clone()).header(header::CONTENT_TYPE, "application/json").body(json);
        let answer = request.send().await.map_err(|e| last_cause(&e.without_url()))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("it answered {}", status.as_u16())),
        }
    }
}

fn last_cause(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |e| e.source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}
