//! `doorbell verify SENDER`: why is my webhook denied? Checks a captured request by the code that the server uses.
//!
//! It says which part fails, never the signature that was expected.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;

use super::Ended;
use crate::request::Request;
use crate::route;
use crate::signature;

#[derive(Args)]
#[command(after_help = "Example: doorbell verify stripe --body payload.json --header 'Stripe-Signature: t=…,v1=…' --secret-env STRIPE")]
pub struct VerifyRequest {
    /// The sender, as `doorbell senders` lists it
    sender: String,
    /// The body, exactly as it came
    #[arg(long, value_name = "FILE")]
    body: PathBuf,
    /// A header, `Name: value`; can be given several times
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// The variable that holds the secret
    #[arg(long, value_name = "NAME")]
    secret_env: String,
    /// The whole address that was called, for senders that sign it
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    #[arg(long, default_value = "POST")]
    method: String,
    /// When it came, in Unix seconds; now, if you do not say
    #[arg(long, value_name = "SECONDS")]
    at: Option<i64>,
}

impl VerifyRequest {
    pub fn run(self) -> anyhow::Result<Ended> {
        let secret = std::env::var(&self.secret_env).ok().filter(|s| !s.is_empty());
        let secret = secret.with_context(|| format!("the variable {} is not set, or empty", self.secret_env))?;
        let body = std::fs::read(&self.body).with_context(|| format!("{} cannot be read", self.body.display()))?;
        let mut headers = Vec::new();
        for header in &self.headers {
            let (name, value) = header.split_once(':').with_context(|| format!("a header is written `Name: value`, not `{header}`"))?;
            headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
        let (base, target) = match &self.url {
            Some(url) => {
                let start = url.find("://").map(|n| n + 3).context("an address begins with https://")?;
                let end = url[start..].find(['/', '?']).map_or(url.len(), |n| start + n);
                (Some(&url[..end]), &url[end..])
            }
            None => (None, "/"),
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let verify = signature::verifier(&self.sender, &secret, base).map_err(|why| anyhow::anyhow!(why))?;
        let request = Request {
            method: self.method.to_uppercase(),
            path: route::decode(path),
            target: path.to_owned(),
            query: query.to_owned(),
            headers,
            ip: String::new(),
            body: body.into(),
            received: self.at.map_or_else(|| Ok(Timestamp::now()), Timestamp::from_second)?,
        };
        let mut out = std::io::stdout().lock();
        match verify.check(&request) {
            Ok(()) => {
                writeln!(out, "accepted")?;
                Ok(Ended::Good)
            }
            Err(why) => {
                writeln!(out, "denied: {why}")?;
                Ok(Ended::Problems)
            }
        }
    }
}
