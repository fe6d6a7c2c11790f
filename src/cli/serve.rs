//! `doorbell serve`: listens for webhooks and acts on them.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use clap::{Args, ValueEnum};
use ipnet::IpNet;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::console_options::ConsoleOptions;
use super::ended::Ended;
use super::event_printer::write_events;
use super::explain::explanation;
use super::heartbeat_options::HeartbeatOptions;
use super::old_rules::{OldRulesOnDisk, secrets_now};
use super::settings::{Data, Rules, Secrets, Trust, counted, length, network};
use super::signals::{is_set, load_again_when_asked, stop};
use super::telemetry_options::TelemetryOptions;
use super::terminal::stdout;
use crate::action::accounts::refresh_tokens::RefreshTokens;
use crate::action::accounts::tokens::Tokens;
use crate::action::connections::CurrentConnections;
use crate::action::files::folder::Output;
use crate::action::files::writer::Files;
use crate::action::http::client::Net;
use crate::action::memory::RuleMemory;
use crate::action::pending_replies::PendingReplies;
use crate::action::world::World;
use crate::disk;
use crate::engine::care::health::Health;
use crate::engine::care::retention::Retention;
use crate::engine::intake::Intake;
use crate::engine::intake::catcher::Catcher;
use crate::engine::intake::ears::Ears;
use crate::engine::intake::event_lines::EventLines;
use crate::engine::intake::key_cache::KeyCache;
use crate::engine::intake::rate_limit::RateLimiter;
use crate::engine::intake::rejections::Rejections;
use crate::engine::rules::editors::Editors;
use crate::engine::rules::environment::HandedOverSecrets;
use crate::engine::rules::reload::{AT_START, LastEditProblems, Load, PATIENCE, Watch, in_force};
use crate::engine::run::failure_watch::FailureWatch;
use crate::engine::run::ledger::{StoreLedger, StoreMemory};
use crate::engine::run::observer::Observer;
use crate::engine::run::old_rules::RulesOfRuns;
use crate::engine::run::recorder::Recorder;
use crate::engine::run::recovery::recover;
use crate::engine::run::watchdog::Watchdog;
use crate::engine::run::worker::Worker;
use crate::engine::starts::starter::Starter;
use crate::engine::starts::{self, Starts};
use crate::engine::tallies::counters::Counters;
use crate::engine::task::memory::{MOST_READ, Memory};
use crate::engine::task::supervisor::Supervisor;
use crate::operations::control::{self, ConsoleAccess, Served};
use crate::operations::editing::Editor;
use crate::operations::metrics::Metrics;
use crate::operations::output_files::OutputFiles;
use crate::problem::Severity;
use crate::store;
use crate::store::audit::{Audit, me};
use crate::web;
use crate::web::body_room::BodyRoom;
use crate::web::client_ip::Proxies;
use crate::web::console::Console;
use crate::web::console::bulk::Bulk;
use crate::web::console::gate::Gate;
use crate::web::console::session::Sessions;
use crate::web::console::settings::Settings;
use crate::web::console::streams::Streams;
use crate::web::listener::{Listener, MAX_STREAMS};
use crate::web::metrics::MetricsDoor;
use crate::web::tls::Tls;
use crate::web::webhook::{self, Hook};

/// How long work that cannot be stopped may take at the very end.
const LAST_WAIT: Duration = Duration::from_secs(5);
/// How long connections to the console and for metrics may take to end when Doorbell stops.
const ASIDE_GRACE: Duration = Duration::from_secs(3);

#[derive(Args, Clone)]
#[command(after_help = "Example: doorbell serve --rules rules --data data --output output --listen 127.0.0.1:8080")]
pub struct Serve {
    #[command(flatten)]
    rules: Rules,
    #[command(flatten)]
    data: Data,
    /// The folder that rules write files to
    #[arg(long, env = "DOORBELL_OUTPUT", default_value = "output", value_name = "FOLDER")]
    output: PathBuf,
    /// The address to listen on; with port 0, any free port is used
    #[arg(long, env = "DOORBELL_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDR")]
    listen: SocketAddr,
    #[command(flatten)]
    trust: Trust,
    /// The maximum number of calls to other apps at a time
    #[arg(long, env = "DOORBELL_CALLS", default_value = "64", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    calls: u16,
    /// The maximum number of calls to one host at a time
    #[arg(long, env = "DOORBELL_CALLS_PER_HOST", default_value = "16", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    calls_per_host: u16,
    /// Trusted proxies, which report the caller's address, such as 10.0.0.0/8
    #[arg(long, env = "DOORBELL_TRUSTED_PROXIES", value_name = "CIDR", value_delimiter = ',', value_parser = network)]
    trusted_proxies: Vec<IpNet>,
    /// The maximum number of connections at a time
    #[arg(long, env = "DOORBELL_MAX_CONNECTIONS", default_value = "10000", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    max_connections: u32,
    /// The maximum number of connections from one caller at a time; trusted proxies are not limited
    #[arg(long, env = "DOORBELL_MAX_CONNECTIONS_PER_CALLER", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_connections_per_caller: Option<u32>,
    /// The header in which these proxies report the caller's address, such as X-Forwarded-For, Forwarded or X-Real-IP
    #[arg(long, env = "DOORBELL_CLIENT_IP_HEADER", default_value = "X-Forwarded-For", value_name = "NAME")]
    client_ip_header: String,
    /// The certificate for https, as PEM, including intermediate certificates; read again when it is renewed
    #[arg(long, env = "DOORBELL_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, as PEM
    #[arg(long, env = "DOORBELL_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// How long to keep events whose runs have ended, such as '30 days', or 'forever'
    #[arg(long, env = "DOORBELL_KEEP", default_value = "30 days", value_name = "TIME", value_parser = keep)]
    keep: Keep,
    /// The maximum size of the data folder in MB; above that, the oldest events whose runs have ended are deleted
    #[arg(long, env = "DOORBELL_KEEP_MB", value_name = "MB")]
    keep_mb: Option<u64>,
    /// What to keep of requests that are refused: the reason, or also headers and body where the sender could not be verified
    #[arg(long, env = "DOORBELL_KEEP_REFUSED", value_name = "WHAT", default_value = "reasons")]
    keep_refused: KeepRefused,
    #[command(flatten)]
    console: ConsoleOptions,
    #[command(flatten)]
    heartbeat: HeartbeatOptions,
    #[command(flatten)]
    telemetry: TelemetryOptions,
    /// How long runs in progress may take when Doorbell stops, in seconds
    #[arg(long, env = "DOORBELL_GRACE", default_value = "25", value_name = "SECONDS")]
    grace: u64,
    /// Do not print a line for each event
    #[arg(long, env = "DOORBELL_QUIET", value_parser = clap::builder::FalseyValueParser::new(), num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    quiet: bool,
}

/// What is kept of refused requests.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum KeepRefused {
    Reasons,
    Bodies,
}

impl Serve {
    pub fn run(self) -> anyhow::Result<Ended> {
        let telemetry = self.telemetry.clone();
        telemetry.write_log();
        telemetry.ended(self.load_and_serve())
    }

    fn load_and_serve(mut self) -> anyhow::Result<Ended> {
        let key = self.data.key()?;
        self.rules.load_options.handed = Some((self.data.data.clone(), key));
        let loaded = self.rules.load_options.load(&self.rules.rules, Secrets::Real)?;
        let serious: Vec<_> = loaded.problems.iter().filter(|p| p.severity != Severity::Note).cloned().collect();
        self.telemetry.show(&serious);
        let Some(ruleset) = loaded.ruleset else {
            self.telemetry.end();
            return Ok(Ended::Problems);
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("Doorbell cannot start its threads")?;
        let served = runtime.block_on(self.serve(ruleset));
        // A disk that does not answer must not keep Doorbell from ending.
        runtime.shutdown_timeout(LAST_WAIT);
        served?;
        Ok(Ended::Good)
    }

    /// Closes the data folder to others, and tells who else could read what is secret.
    fn tell_who_can_read(&self) {
        let data = &self.data.data;
        // People must still reach the rules and the output, even where these are inside it.
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let is_shared = [&self.rules.rules, &self.output].iter().any(|folder| real(folder).starts_with(real(data)));
        if is_shared && disk::is_open_to(data, 0o077) {
            tracing::warn!(
                "other users may be able to read the data folder {}, because it contains the rules or the output; give it a folder of its own with --data",
                data.display()
            );
        } else if let Err(e) = disk::private_folder(data) {
            tracing::warn!(
                "other users may be able to read the data folder {}, which cannot be changed: {}",
                data.display(),
                disk::error_sentence(&e)
            );
        }
        if let Some(file) = &self.rules.load_options.env_file
            && disk::is_open_to(file, 0o004)
        {
            tracing::warn!("every user can read the secrets in {0}; to change that, run: chmod 600 {0}", file.display());
        }
        // The owner of this process, where the system shows it.
        if std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0) {
            tracing::warn!("Doorbell runs as root, which it never needs; run it as a user of its own");
        }
    }

    async fn serve(self, ruleset: crate::rule::ruleset::Ruleset) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.data.data)
            .with_context(|| format!("the data folder {} cannot be created", self.data.data.display()))?;
        let _data_lock = disk::lock(&self.data.data, "data").map_err(anyhow::Error::msg)?;
        self.tell_who_can_read();
        let output = Output::open(&self.output, &[&self.rules.rules, &self.data.data]).map_err(anyhow::Error::msg)?;
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => Some(Tls::read(cert, key).map_err(anyhow::Error::msg)?),
            _ => None,
        };
        // Open the socket first: callers that connect during startup wait briefly instead of being refused.
        let listener = TcpListener::bind(self.listen).await.with_context(|| {
            format!("cannot listen on {}; if another program uses this address, choose another one with --listen", self.listen)
        })?;
        let console = match self.console.address() {
            None => None,
            // Senders matter more than the console.
            Some(address) => TcpListener::bind(address)
                .await
                .inspect_err(|e| {
                    tracing::warn!("console cannot listen on {address} ({e}), so there is none; choose another address with --console")
                })
                .ok(),
        };
        let metrics_listener = self.telemetry.listener().await?;
        let key = self.rules.load_options.handed.as_ref().and_then(|(_, key)| key.clone());
        let store = store::open(&self.data.data, &key)?;
        let folder = output.id().to_owned();
        let files = Files::new(output, Arc::new(StoreLedger { store: store.clone(), folder: folder.clone() }));
        recover(&store, &files, &folder).await?;
        let (watchdog, marked) = Watchdog::open(&self.data.data).context("the data folder cannot be written to")?;
        for (event, rule) in store.crashed_with(marked, Timestamp::now()).await? {
            tracing::error!(%event, rule, "run made Doorbell crash or hang three times and is quarantined: it does not run again until you replay it; `doorbell failed` lists it");
        }
        let watchdog = Arc::new(watchdog);
        watchdog.guard().context("Doorbell cannot start its threads")?;
        let said = counted(&ruleset);
        let counters = Arc::new(Counters::default());
        counters.adopt(&ruleset, Timestamp::now());
        let rules = Arc::new(ArcSwap::from_pointee(in_force(ruleset, AT_START.to_owned(), store.as_ref()).await?));
        let pending = Arc::new(PendingReplies::default());
        let net = Net::new(self.rules.load_options.allowed(), self.calls.into(), self.calls_per_host.into());
        let own_ca = self.trust.own_ca()?;
        let traces = self.telemetry.traces(&counters, &own_ca)?;
        let net = Arc::new(net.trusting(own_ca));
        let key_cache = KeyCache::new(net.clone());
        let current = rules.clone();
        let connections: CurrentConnections = Box::new(move || current.load().ruleset.connections.clone());
        let memory = RuleMemory::new(StoreMemory(store.clone()));
        let tokens = Tokens::new(net.clone(), RefreshTokens::of(&self.data.data, key.clone()));
        let is_traced = traces.is_some();
        let world = World { net: net.clone(), files, pending: pending.clone(), memory, connections, tokens: tokens.clone(), is_traced };
        let failures = Arc::new(FailureWatch::new(rules.clone()));
        let observer = Observer { counters: counters.clone(), traces: traces.clone() };
        let recorder = Recorder { store: store.clone(), observer, failures: failures.clone(), stopping: AtomicBool::new(false) };
        let worker = Worker::new(
            world,
            RulesOfRuns::new(rules.clone(), Box::new(OldRulesOnDisk(self.rules.load_options.clone()))),
            watchdog,
            recorder,
        );
        let queries = store::queries(&self.data.data, &key)?;
        let (last_edit, supervisor) = (LastEditProblems::default(), Supervisor::default());
        let handed = HandedOverSecrets::of(&self.data.data, key);
        let audit = Arc::new(Audit::of(&self.data.data));
        let editors = Arc::new(Editors::default());
        let watch = {
            let load_options = self.rules.load_options.clone();
            let load = Arc::new(move |files| load_options.load_files(files, Secrets::Real));
            Watch {
                folder: self.rules.rules.clone(),
                load,
                rules: rules.clone(),
                store: store.clone(),
                last_edit: last_edit.clone(),
                secrets: secrets_now(self.rules.load_options.clone()),
                again: handed.changed(),
                patience: PATIENCE,
                editors: editors.clone(),
                audit: audit.clone(),
                counters: counters.clone(),
            }
        };
        let (again, again_now) = (handed.changed(), handed.changed());
        supervisor.keep("listening for SIGHUP", move || load_again_when_asked(again.clone()));
        let watch = Arc::new(watch);
        supervisor.keep("watching the rules folder", move || {
            let watch = watch.clone();
            async move { watch.run().await }
        });
        supervisor.keep("running what is due", {
            let worker = worker.clone();
            move || {
                let worker = worker.clone();
                async move { worker.work().await }
            }
        });
        let retention = Retention { time: self.keep.0, bytes: self.keep_mb.map(|mb| mb << 20) };
        supervisor.keep("deleting old events", {
            let store = store.clone();
            move || retention.keep(store.clone())
        });
        if let Some(traces) = traces.clone() {
            supervisor.keep("sending traces", move || traces.clone().send());
        }
        supervisor.keep("writing the hourly counts", {
            let (counters, store) = (counters.clone(), store.clone());
            move || counters.clone().keep_hours(store.clone())
        });
        if let Some(tls) = tls.clone() {
            supervisor.keep("renewing the certificate", move || tls.clone().renew());
        }
        let stopping = Arc::new(AtomicBool::new(false));
        let health = Arc::new(Health {
            rules: rules.clone(),
            last_edit,
            net,
            tokens,
            supervisor: supervisor.clone(),
            commits: store.commits(),
            stopping: stopping.clone(),
        });
        let (scheme, address) = (if tls.is_some() { "https" } else { "http" }, listener.local_addr()?);
        let console = match console {
            None => None,
            Some(listener) => {
                let at = listener.local_addr()?;
                let tls = tls.clone().filter(|_| !at.ip().is_loopback());
                let environment = self.rules.load_options.environment()?;
                let webhooks = format!("{scheme}://{address}");
                let (settings, sessions) = self.console.read(&environment, &self.data.data, at, tls.is_some(), webhooks)?;
                Some((listener, tls, settings, sessions))
            }
        };
        let access =
            console.as_ref().map(|(listener, tls, settings, sessions)| console_access(listener, tls.is_some(), settings, sessions));
        let event_lines = Arc::new(if self.quiet { EventLines::default() } else { write_events() });
        let starter = Starter {
            rules: rules.clone(),
            store: store.clone(),
            worker: worker.clone(),
            counters: counters.clone(),
            event_lines: event_lines.clone(),
        };
        let ears = Arc::new(Ears::default());
        let starts = Starts { starter: starter.clone(), failures, ears: ears.clone(), queries: queries.clone() };
        let socket = Arc::new(control::listen(&self.data.data).context("the socket for commands cannot be created in the data folder")?);
        supervisor.keep("accepting commands", {
            let worker = worker.clone();
            let served = Arc::new(Served {
                store: store.clone(),
                health: health.clone(),
                audit: audit.clone(),
                starter: starter.clone(),
                console: access.clone(),
            });
            move || {
                let worker = worker.clone();
                control::serve(socket.clone(), served.clone(), move || worker.wake())
            }
        });
        self.heartbeat.keep(&supervisor, &health, &store);
        audit.write(Timestamp::now(), me(), format!("started Doorbell {}", env!("CARGO_PKG_VERSION")));
        let intake = Arc::new(Intake {
            ears,
            rules,
            store: store.clone(),
            worker: worker.clone(),
            pending,
            key_cache,
            rate_limiter: RateLimiter::default(),
            handed,
            reading: Memory::new(MOST_READ),
            counters: counters.clone(),
            catcher: Catcher::default(),
            event_lines,
        });
        let bodies = Arc::new(BodyRoom::default());
        let metrics = Arc::new(Metrics {
            counters: counters.clone(),
            health: health.clone(),
            queries: queries.clone(),
            commits: store.commits(),
            bodies: {
                let bodies = bodies.clone();
                Box::new(move || bodies.bytes())
            },
            started: Timestamp::now(),
        });
        let rejections = Rejections::of(&self.data.data);
        let rejections = Arc::new(match self.keep_refused {
            KeepRefused::Reasons => rejections,
            KeepRefused::Bodies => rejections.keeping_requests(),
        });
        let proxies = Arc::new(Proxies { trusted: self.trusted_proxies, header: self.client_ip_header.to_ascii_lowercase() });
        let (stopped, stopping_now) = watch::channel(false);
        let console = console.map(|(listener, tls, settings, sessions)| {
            let load_options = self.rules.load_options.clone();
            let for_secrets = load_options.clone();
            let loads = |secrets| -> Load {
                let load_options = load_options.clone();
                Arc::new(move |files| load_options.load_files(files, secrets))
            };
            let editor =
                Editor { folder: self.rules.rules.clone(), load: loads(Secrets::Real), load_with_stand_ins: loads(Secrets::Words) };
            let files = OutputFiles { folder: self.output.clone(), hidden: vec![self.rules.rules.clone(), self.data.data.clone()] };
            let console = Console {
                settings,
                sessions,
                queries,
                store: store.clone(),
                intake: intake.clone(),
                starter,
                health: health.clone(),
                rejections: rejections.clone(),
                audit: audit.clone(),
                editors,
                metrics: metrics.clone(),
                explain: Box::new(move |dossier| explanation(&load_options, dossier)),
                has_secret: Box::new(move |name| for_secrets.environment().is_ok_and(|environment| environment.has_secret(name))),
                editor,
                reload: again_now,
                files,
                bulk: Bulk::default(),
                streams: Streams::default(),
                proxies: proxies.clone(),
                data: self.data.data.clone(),
            };
            let stop = is_set(stopping_now.clone());
            tokio::spawn(web::listener::serve(Listener::aside(listener, tls, proxies.clone()), Gate(Arc::new(console)), stop, ASIDE_GRACE))
        });
        let metrics = metrics_listener.map(|listener| {
            let (stop, door) = (is_set(stopping_now), MetricsDoor { metrics, hosts: self.telemetry.metrics_hosts() });
            tokio::spawn(web::listener::serve(Listener::aside(listener, None, proxies.clone()), door, stop, ASIDE_GRACE))
        });
        let hook = Hook { intake, bodies, rejections, health };
        // The process that started Doorbell may have stopped reading its output; that is no reason not to serve.
        let _ = writeln!(stdout(), "listening on {scheme}://{address}\n{said}; files are written to {}", self.output.display());
        starts::keep(&supervisor, starts, &stopping);
        match access {
            // The link lets anybody in who sees it, so it is not for logs.
            Some(access) if std::io::stdout().is_terminal() => drop(writeln!(stdout(), "console: {}", access.link)),
            Some(_) => drop(writeln!(stdout(), "console: `doorbell console` prints the link")),
            None => {}
        }
        let grace = Duration::from_secs(self.grace);
        let listener = Listener {
            listener,
            tls,
            proxies: proxies.clone(),
            most_connections: self.max_connections as usize,
            most_connections_each: self.max_connections_per_caller.map(|n| n as usize),
            most_streams: MAX_STREAMS,
        };
        web::listener::serve(listener, webhook::door(hook, proxies), stop(stopping, stopped, store.news()), grace).await;
        for aside in [console, metrics].into_iter().flatten() {
            let _ = aside.await;
        }
        worker.stop(grace).await;
        counters.write_hours(store.as_ref(), Timestamp::now()).await;
        if let Some(traces) = traces {
            traces.end().await;
        }
        audit.write(Timestamp::now(), None, "stopped Doorbell");
        tracing::info!("Doorbell stopped");
        Ok(())
    }
}

/// Where the console is, for those who may use the data folder.
fn console_access(listener: &TcpListener, has_tls: bool, settings: &Settings, sessions: &Sessions) -> ConsoleAccess {
    let address = listener.local_addr().map(|a| a.to_string()).unwrap_or_default();
    let scheme = if has_tls { "https" } else { "http" };
    let key = if sessions.has_link() { format!("/login?key={}", sessions.link_key()) } else { "/".to_owned() };
    ConsoleAccess { link: format!("{scheme}://{address}{}{key}", settings.base), api_key: sessions.api_key() }
}

/// How long something is stored; `None` means forever.
#[derive(Clone, Copy)]
struct Keep(Option<Duration>);

fn keep(text: &str) -> Result<Keep, String> {
    if text == "forever" { Ok(Keep(None)) } else { length(text).map(|time| Keep(Some(time))) }
}
