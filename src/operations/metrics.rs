//! Metrics of a running Doorbell, in the text format of Prometheus. The list below is also the one in `docs/operating.md`.
//!
//! Labels are names in rule files and fixed words, so that no sender can make the number of series grow.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::prometheus_text;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::engine::care::health::{Health, Status};
use crate::engine::tallies::counters::{Counters, OTHER};
use crate::engine::tallies::of_address::RequestResult;
use crate::store::commits::Commits;
use crate::store::contract::Queries;
use crate::tally::Distribution;
use crate::text::printable::one_line;

/// What [`Metrics::text`] returns, for the header `Content-Type`.
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;
/// Waiting and failed runs are counted only up to this number.
const MOST_COUNTED: usize = 100_000;

/// What the metrics are read from.
pub struct Metrics {
    pub counters: Arc<Counters>,
    pub health: Arc<Health>,
    pub queries: Arc<dyn Queries>,
    pub commits: Arc<Commits>,
    /// How many bytes of bodies are in memory that are not in the store yet.
    pub bodies: Box<dyn Fn() -> u64 + Send + Sync>,
    pub started: Timestamp,
}

/// The kinds of metrics, as Prometheus names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A metric: its name, its labels and what it means.
#[derive(Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    pub means: &'static str,
}

macro_rules! metrics {
    ($($id:ident = $kind:ident $name:literal [$($label:literal),*] $means:literal;)*) => {
        $(const $id: Metric = Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], means: $means };)*
        /// All metrics, in their order in the docs.
        pub const ALL: &[&Metric] = &[$(&$id),*];
    };
}

metrics! {
    BUILD = Gauge "doorbell_build_info" ["version"] "always 1; the label is the version of Doorbell";
    STARTED = Gauge "doorbell_start_time_seconds" [] "when Doorbell started, in seconds since 1970";
    READY = Gauge "doorbell_ready" [] "1 while Doorbell accepts events, 0 while it stops or a background task is down";
    RULES = Gauge "doorbell_rules" [] "the rules in use";
    PROBLEMS = Gauge "doorbell_last_edit_problems" [] "the problems of the last edit of the rules, which is therefore not in use";
    RELOADS = Counter "doorbell_reloads_total" ["result"] "reloads of the rules: `success` or `failure`";
    REQUESTS = Counter "doorbell_requests_total" ["address", "result"] "requests by what happened to them: `accepted`, `repeated` (the delivery of an earlier event), `handshake`, or refused: `no_address`, `wrong_method`, `denied`, `too_large`, `malformed`, `too_slow`, `too_often`, `other_page` (a script that `cors` does not allow), `loop`, `not_saved`";
    UNREAD = Counter "doorbell_unreadable_requests_total" [] "requests that are not valid HTTP, which have no address";
    EVENTS = Counter "doorbell_events_total" ["address"] "events that were saved";
    ACCEPTING = Histogram "doorbell_accept_duration_seconds" [] "the time from a complete request until its event is on disk";
    BODIES = Gauge "doorbell_bodies_in_memory_bytes" [] "bodies that arrive or are being read, and are not in the store yet";
    RUNS = Counter "doorbell_runs_total" ["rule", "outcome"] "runs that ended: `done`, `handled` (by `on_error`), `failed`, `not_run_again` (because of `once_per`); cancelled runs are not counted";
    ATTEMPTS = Counter "doorbell_attempts_total" ["rule", "outcome"] "tries of steps: `done`, `retry` (failed, and will be tried again), `failed`, `paused`, `skipped`, `stopped`";
    RETRIES = Counter "doorbell_retries_total" ["rule"] "tries of steps that had been tried before";
    WAITING = Gauge "doorbell_waiting_runs" [] "runs that have not ended, at most 100,000";
    FAILED = Gauge "doorbell_failed_runs" [] "failed runs that nobody has replayed, at most 100,000";
    CALLS = Counter "doorbell_calls_total" ["host", "result"] "calls to other apps: `2xx`, `3xx`, `4xx`, `5xx`, `no_answer`, or not made: `paused` (the server does not answer at present), `postponed` (too many calls wait), `refused` (not allowed)";
    CALLING = Histogram "doorbell_call_duration_seconds" ["host"] "how long the calls took that were made, with those that were not answered";
    PAUSED = Gauge "doorbell_paused_servers" ["host"] "servers that calls are kept from because they do not answer";
    COMMITS = Histogram "doorbell_store_commit_duration_seconds" [] "how long the commits of the store take, with the flush to the disk";
    OPERATIONS = Counter "doorbell_store_operations_total" [] "operations of the store that were committed; several share a commit";
    STORE_FAILURES = Counter "doorbell_store_failures_total" [] "operations of the store that failed";
    SPANS = Counter "doorbell_trace_spans_total" ["result"] "spans of traces: `sent` to the collector, or `lost` because it did not take them";
    SIZE = Gauge "doorbell_store_size_bytes" [] "the size of what is stored";
}

#[derive(Debug, Clone)]
enum Number {
    Whole(u64),
    Time(f64),
    Distribution(Distribution),
}

/// The values of one metric, by the values of its labels.
type Series = BTreeMap<Vec<String>, Number>;

/// The values of all metrics at one moment.
#[derive(Debug, Default)]
struct Snapshot(Vec<(&'static Metric, Series)>);

impl Metrics {
    /// All metrics, as Prometheus reads them.
    pub async fn text(&self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.snapshot().await));
        let mut text = String::new();
        prometheus_text::encode(&mut text, &registry)?;
        Ok(text)
    }

    async fn snapshot(&self) -> Snapshot {
        let mut all = Snapshot::default();
        let report = self.health.report();
        all.one(&BUILD, &[env!("CARGO_PKG_VERSION")], 1);
        all.add(&STARTED, &[], Number::Time(self.started.as_millisecond() as f64 / 1e3));
        all.one(&READY, &[], (report.status == Status::Ready).into());
        all.one(&RULES, &[], report.rules as u64);
        all.one(&PROBLEMS, &[], report.problems.len() as u64);
        self.count_requests(&mut all);
        self.count_runs(&mut all);
        self.count_calls(&mut all);
        self.count_stored(&mut all).await;
        all
    }

    fn count_requests(&self, all: &mut Snapshot) {
        let (counters, listed) = (&self.counters, self.counters.listed());
        all.one(&RELOADS, &["success"], counters.reloads.now());
        all.one(&RELOADS, &["failure"], counters.failed_reloads.now());
        let named = listed.addresses.iter().map(|(address, counted)| (&**address, counted));
        for (address, counted) in named.chain([(OTHER, &listed.other_address)]) {
            for (result, n) in counted.results() {
                all.one(&REQUESTS, &[address, result.word()], n);
                if result == RequestResult::Accepted {
                    all.one(&EVENTS, &[address], n);
                }
            }
        }
        all.one(&SPANS, &["sent"], counters.sent_spans.now());
        all.one(&SPANS, &["lost"], counters.lost_spans.now());
        all.one(&UNREAD, &[], counters.unread.now());
        all.add(&ACCEPTING, &[], Number::Distribution(counters.accepting.now()));
        all.one(&BODIES, &[], (self.bodies)());
    }

    fn count_runs(&self, all: &mut Snapshot) {
        let listed = self.counters.listed();
        let named = listed.rules.iter().map(|(rule, counted)| (&**rule, counted));
        for (rule, counted) in named.chain([(OTHER, &listed.other_rule)]) {
            for (outcome, n) in counted.totals.ends() {
                all.one(&RUNS, &[rule, outcome], n);
            }
            for (outcome, n) in counted.totals.attempts() {
                all.one(&ATTEMPTS, &[rule, outcome], n);
            }
            all.one(&RETRIES, &[rule], counted.totals.retries.now());
        }
    }

    fn count_calls(&self, all: &mut Snapshot) {
        let net = &self.health.net;
        let paused = net.paused();
        for (name, counted) in net.servers.all() {
            let host = name.as_deref().unwrap_or(OTHER);
            for (result, n) in counted.results() {
                all.one(&CALLS, &[host, result.word()], n);
            }
            all.add(&CALLING, &[host], Number::Distribution(counted.took.now()));
            all.one(&PAUSED, &[host], paused.get(&name).copied().unwrap_or_default());
        }
    }

    async fn count_stored(&self, all: &mut Snapshot) {
        match self.queries.counts(MOST_COUNTED).await {
            Ok(counts) => {
                all.one(&WAITING, &[], counts.waiting);
                all.one(&FAILED, &[], counts.failed);
            }
            // The others are still worth having; Prometheus sees that these are missing.
            Err(e) => tracing::warn!("runs cannot be counted for the metrics: {e}"),
        }
        all.add(&COMMITS, &[], Number::Distribution(self.commits.took.now()));
        all.one(&OPERATIONS, &[], self.commits.operations.now());
        all.one(&STORE_FAILURES, &[], self.commits.failed.now());
        match self.queries.size().await {
            Ok(size) => all.one(&SIZE, &[], size),
            Err(e) => tracing::warn!("size of the store is not known for the metrics: {e}"),
        }
    }
}

impl Snapshot {
    fn one(&mut self, metric: &'static Metric, labels: &[&str], n: u64) {
        self.add(metric, labels, Number::Whole(n));
    }

    /// Adds a value. Two of the same name, such as a rule that is called "other", are one series.
    fn add(&mut self, metric: &'static Metric, labels: &[&str], number: Number) {
        let at = self.0.iter().position(|(known, _)| known.name == metric.name).unwrap_or_else(|| {
            self.0.push((metric, Series::new()));
            self.0.len() - 1
        });
        let labels = labels.iter().map(|label| one_line(label).into_owned()).collect();
        let known = self.0[at].1.entry(labels);
        known.and_modify(|known| known.add(&number)).or_insert(number);
    }
}

impl Number {
    fn add(&mut self, more: &Number) {
        match (self, more) {
            (Number::Whole(known), Number::Whole(more)) => *known += more,
            (Number::Distribution(known), Number::Distribution(more)) => {
                known.sum += more.sum;
                known.count += more.count;
                for ((_, known), (_, more)) in known.classes.iter_mut().zip(&more.classes) {
                    *known += more;
                }
            }
            // Times have no labels, so there is only one.
            _ => {}
        }
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        for metric in ALL {
            let Some((_, series)) = self.0.iter().find(|(known, _)| known.name == metric.name) else { continue };
            let (name, kind) = match metric.kind {
                // The encoder adds the suffix.
                Kind::Counter => (metric.name.strip_suffix("_total").unwrap_or(metric.name), MetricType::Counter),
                Kind::Gauge => (metric.name, MetricType::Gauge),
                Kind::Histogram => (metric.name, MetricType::Histogram),
            };
            let mut encoder = encoder.encode_descriptor(name, metric.means, None, kind)?;
            for (values, number) in series {
                let labels: Vec<(&str, &str)> = metric.labels.iter().copied().zip(values.iter().map(String::as_str)).collect();
                let mut one = encoder.encode_family(&labels)?;
                match (number, metric.kind) {
                    (Number::Whole(n), Kind::Counter) => one.encode_counter::<NoLabelSet, u64, f64>(n, None)?,
                    (Number::Whole(n), _) => one.encode_gauge(n)?,
                    (Number::Time(n), _) => one.encode_gauge(n)?,
                    (Number::Distribution(d), _) => one.encode_histogram::<NoLabelSet>(d.sum, d.count, &d.classes, None)?,
                }
            }
        }
        Ok(())
    }
}
