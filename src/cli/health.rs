//! `doorbell health`: checks whether a running Doorbell is healthy; for people and for a container's health check.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use super::ended::Ended;
use super::settings::Data;
use super::terminal::stdout;
use crate::engine::care::health::Report;
use crate::operations::control;
use crate::text::count::number;
use crate::web::tls::asking_ourselves;

#[derive(Args)]
#[command(after_help = "Example: doorbell health --listen 127.0.0.1:8080")]
pub struct Health {
    /// The address that Doorbell listens on
    #[arg(long, env = "DOORBELL_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDR")]
    listen: SocketAddr,
    /// The certificate that Doorbell uses, if it serves https
    #[arg(long, env = "DOORBELL_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Print the report as JSON, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: Data,
}

const PATIENCE: Duration = Duration::from_secs(3);

impl Health {
    pub fn run(self) -> anyhow::Result<Ended> {
        let mut address = self.listen;
        if address.ip().is_unspecified() {
            address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        let nobody = || format!("no Doorbell answers at {address}; if it listens at another address, name that with --listen");
        let stream = TcpStream::connect_timeout(&address, PATIENCE).with_context(nobody)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let answer = match self.tls_cert {
            Some(_) => ask(asking_ourselves(stream).map_err(anyhow::Error::msg)?, address),
            None => ask(stream, address),
        };
        let answer = answer.with_context(nobody)?;
        let body = answer.split("\r\n\r\n").nth(1).unwrap_or("");
        let body: Value = serde_json::from_str(body).with_context(|| format!("another program answers at {address}"))?;
        let status = body["status"].as_str().unwrap_or("unknown");
        // Anyone may ask whether it is ready; the reason is only available through the socket in the data folder.
        let report = control::health(&self.data.data);
        match &report {
            Some(report) if self.json => writeln!(stdout(), "{}", serde_json::to_string(report)?)?,
            None if self.json => writeln!(stdout(), "{}", serde_json::json!({ "status": status }))?,
            Some(report) => writeln!(stdout(), "{status}, {}", told(report))?,
            None => writeln!(stdout(), "{status}")?,
        }
        if status == "ready" { Ok(Ended::Good) } else { anyhow::bail!("Doorbell at {address} is {status}") }
    }
}

/// The most important facts for operators, in one line.
fn told(report: &Report) -> String {
    let mut said = number(report.rules, "rule");
    if !report.problems.is_empty() {
        let problems = number(report.problems.len(), "problem");
        said += &format!("; the last edit has {problems} and is not in use (`doorbell check` shows them)");
    }
    if !report.silent.is_empty() {
        said += &format!("; no answer from {}, so calls there are paused", report.silent.join(", "));
    }
    for one in &report.wanting {
        said += &format!("; the connection {} needs somebody to look after it: {}", one.connection, one.why);
    }
    if !report.down.is_empty() {
        said += &format!("; crashed and being restarted: {}", report.down.join(", "));
    }
    if report.cannot_save {
        said += "; the latest event or step could not be saved (the log says why)";
    }
    said
}

fn ask(mut stream: impl Read + Write, address: SocketAddr) -> std::io::Result<String> {
    write!(stream, "GET /health/ready HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    stream.flush()?;
    let mut answer = Vec::new();
    match stream.take(1 << 20).read_to_end(&mut answer) {
        // Some servers close a connection without a proper shutdown.
        Err(e) if answer.is_empty() => Err(e),
        _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}
