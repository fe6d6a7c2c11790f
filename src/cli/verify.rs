//! `doorbell verify SENDER`: explains why a webhook is denied. Checks a captured request with the same code as the server.
//!
//! It shows which part fails and what has to be signed, but never the expected signature.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;

use super::ended::Ended;
use super::settings::{Rules, Secrets, Trust, headers, read_file};
use super::terminal::stdout;
use crate::action::http::client::Net;
use crate::engine::intake::key_cache::KeyCache;
use crate::model::request::Request;
use crate::operations::verification::{self, Verification};
use crate::problem;
use crate::route;
use crate::text::printable::one_line;
use crate::verify;
use crate::verify::guard::{Guard, Keys};
use crate::verify::verifier::{KeyAt, Published};

#[derive(Args)]
#[command(after_help = "Example: doorbell verify stripe --body payload.json --header 'Stripe-Signature: t=…,v1=…' --secret-env STRIPE")]
pub struct VerifyRequest {
    /// The sender, as listed by `doorbell senders`; or an address of your rules, such as /orders, to use its `verify:`
    #[arg(value_name = "SENDER|/ADDRESS")]
    sender: String,
    /// The file with the body, exactly as it was received
    #[arg(long, value_name = "FILE")]
    body: PathBuf,
    /// A header, `Name: value`; can be repeated
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// The variable that contains the secret; not needed for an address of your rules
    #[arg(long, value_name = "NAME", required_unless_present = "rules")]
    secret_env: Option<String>,
    /// The full address that was called, for senders that sign it
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The method of the request
    #[arg(long, default_value = "POST")]
    method: String,
    /// When the request was received, in Unix seconds; now by default
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    at: Option<i64>,
    /// A file with the key or certificate that the sender publishes; without this option, it is fetched
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    trust: Trust,
    #[command(flatten)]
    rules: Rules,
}

impl VerifyRequest {
    pub fn run(self) -> anyhow::Result<Ended> {
        let body = read_file(&self.body)?;
        let headers = headers(&self.headers)?;
        let (base, target) = match &self.url {
            Some(url) => {
                let start = url.find("://").map(|n| n + 3).context("an address begins with https://")?;
                let end = url[start..].find(['/', '?']).map_or(url.len(), |n| start + n);
                (Some(&url[..end]), &url[end..])
            }
            None => (None, if self.sender.starts_with('/') { self.sender.as_str() } else { "/" }),
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let request = Request {
            method: self.method.to_uppercase(),
            path: route::decode(path),
            target: path.to_owned(),
            query: query.to_owned(),
            headers,
            body: body.into(),
            received: self.at.map_or_else(|| Ok(Timestamp::now()), Timestamp::from_second)?,
            ..Request::nobody()
        };
        match self.sender.starts_with('/') {
            true => {
                let loaded = self.rules.load_options.load(&self.rules.rules, Secrets::Real)?;
                let Some(ruleset) = loaded.ruleset else {
                    eprint!("{}", problem::draw_all(&loaded.problems));
                    return Ok(Ended::Problems);
                };
                let path = route::decode(self.sender.split('?').next().unwrap_or_default());
                let number = ruleset.address_number(&path).with_context(|| format!("no rule uses {path}"))?;
                self.judge(&ruleset.addresses[number].guard, &request)
            }
            false => {
                let name = self.secret_env.as_deref().context("use --secret-env to name the variable that contains the secret")?;
                let secret = std::env::var(name).ok().filter(|s| !s.is_empty());
                let secret = secret.with_context(|| format!("the variable {name} is not set, or empty"))?;
                let guard = verify::guard_for(&self.sender, &secret, base).map_err(anyhow::Error::msg)?;
                self.judge(&guard, &request)
            }
        }
    }

    fn judge(&self, guard: &Guard, request: &Request) -> anyhow::Result<Ended> {
        let mut out = stdout();
        let keys = if guard.is_open() { Ok(Keys::new()) } else { self.keys(guard.keys_at(request))? };
        let Verification { denied, is_open, sender, signed } = verification::verify(guard, request, keys);
        let Some(why) = denied else {
            match sender {
                _ if is_open => writeln!(out, "accepted: this address accepts every sender")?,
                Some(name) => writeln!(out, "accepted; rules see the sender {}", one_line(&name))?,
                None => writeln!(out, "accepted")?,
            }
            return Ok(Ended::Good);
        };
        writeln!(out, "denied: {why}")?;
        if let Some((signed, bytes)) = signed {
            writeln!(out, "the content that has to be signed, {bytes} bytes:\n{signed}")?;
        }
        Ok(Ended::Problems)
    }

    /// The keys that the sender publishes.
    fn keys(&self, at: Vec<KeyAt>) -> anyhow::Result<Result<Keys, String>> {
        if at.is_empty() {
            return Ok(Ok(Keys::new()));
        }
        if let Some(file) = &self.key {
            let bytes = read_file(file)?;
            let key = Published::read(&bytes).map_err(anyhow::Error::msg)?;
            return Ok(Ok(at.into_iter().map(|at| (at.address().to_owned(), key.clone())).collect()));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let key_cache = KeyCache::new(Arc::new(Net::new(self.rules.load_options.allowed(), 1, 1).trusting(self.trust.own_ca()?)));
        Ok(runtime.block_on(key_cache.keys(&at, "")))
    }
}
