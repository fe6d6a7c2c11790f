//! The options of `serve` for what others read of it while it runs: its log, its metrics and its traces.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, ValueEnum};
use tokio::net::TcpListener;

use super::ended::Ended;
use super::terminal::{self, stderr};
use crate::action::http::collector::Collector;
use crate::action::http::own_ca::OwnCa;
use crate::engine::run::traces::Traces;
use crate::engine::tallies::counters::Counters;
use crate::problem::{self, Problem, Severity};

#[derive(Args, Clone, Debug)]
pub struct TelemetryOptions {
    /// The address of a listener for Prometheus, such as 127.0.0.1:9464; anyone who reaches it can read /metrics
    #[arg(long, env = "DOORBELL_METRICS", value_name = "ADDR")]
    metrics: Option<SocketAddr>,
    /// A name by which Prometheus calls this listener, such as doorbell.example.com; can be repeated
    #[arg(long, env = "DOORBELL_METRICS_HOST", value_name = "NAME", value_delimiter = ',')]
    metrics_host: Vec<String>,
    /// Where to send traces (OTLP over HTTP, JSON), such as http://127.0.0.1:4318/v1/traces
    #[arg(long, env = "DOORBELL_TRACES", value_name = "URL", value_parser = collector_url)]
    traces: Option<String>,
    /// How to write the log: as text for people, or each line as a JSON object
    #[arg(long, env = "DOORBELL_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    log: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl TelemetryOptions {
    /// Begins to write the log.
    pub fn write_log(&self) {
        match self.log {
            LogFormat::Text => terminal::write_log(),
            LogFormat::Json => terminal::write_json_log(),
        }
    }

    /// Shows problems of the rules before Doorbell starts.
    pub fn show(&self, problems: &[Problem]) {
        match self.log {
            LogFormat::Text => drop(write!(stderr(), "{}", problem::draw_all(problems))),
            LogFormat::Json => problems.iter().for_each(log),
        }
    }

    /// Says that Doorbell does not start because of these problems.
    pub fn end(&self) {
        let said = "Doorbell did not start. Fix the problems above.";
        match self.log {
            LogFormat::Text => drop(writeln!(stderr(), "{said}")),
            LogFormat::Json => tracing::error!("{said}"),
        }
    }

    /// Says why Doorbell ended, if that is not said otherwise.
    pub fn ended(&self, ended: anyhow::Result<Ended>) -> anyhow::Result<Ended> {
        match ended {
            Err(e) if self.log == LogFormat::Json => {
                tracing::error!("{e:#}");
                Ok(Ended::Unable)
            }
            ended => ended,
        }
    }

    /// What sends traces, if they are sent anywhere.
    pub fn traces(&self, counters: &Arc<Counters>, own_ca: &OwnCa) -> anyhow::Result<Option<Arc<Traces>>> {
        let Some(url) = &self.traces else { return Ok(None) };
        let collector = Collector::new(url, own_ca).map_err(|e| anyhow::anyhow!("traces cannot be sent: {e}"))?;
        Ok(Some(Arc::new(Traces::new(collector, counters.clone()))))
    }

    /// The names by which the listener for metrics may be called, besides addresses and private names.
    pub fn metrics_hosts(&self) -> Arc<[String]> {
        self.metrics_host.iter().map(|host| host.to_ascii_lowercase()).collect()
    }

    /// Opens the listener for metrics, if there is one.
    pub async fn listener(&self) -> anyhow::Result<Option<TcpListener>> {
        let Some(address) = self.metrics else { return Ok(None) };
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on {address} for metrics; if another program uses this address, choose another one with --metrics")
        })?;
        if let Ok(address) = listener.local_addr() {
            tracing::info!("metrics are at http://{address}/metrics");
        }
        Ok(Some(listener))
    }
}

fn collector_url(url: &str) -> Result<String, String> {
    Collector::new(url, &OwnCa::default()).map(|_| url.to_owned())
}

fn log(problem: &Problem) {
    let Problem { file, line, message, label, .. } = problem;
    match problem.severity {
        Severity::Error => tracing::error!(file, line, label, "{message}"),
        Severity::Warning | Severity::Note => tracing::warn!(file, line, label, "{message}"),
    }
}
