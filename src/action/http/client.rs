//! Connections to other apps: one pooled client and its limits.
//!
//! Every address is checked by [`super::guard`] and against the step's `hosts:` before a call and again on every redirect.
//! Nothing that a caller could take for a password leaves for another server. Only this folder uses `reqwest`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::{Client, Url, header, redirect};

use super::guard::{Allowed, Guarded, Refused, Unresolved};
use super::host::{Host, HostState, Hosts, NotNow, Turn};
use super::own_ca::OwnCa;
use super::payload::Payload;
use super::servers::{CallResult, Servers};
use super::sink::Sink;
use super::target::{Target, server_of};
use crate::action::attempt_context::AttemptContext;
use crate::action::files::folder::Unwritten;
use crate::model::event::HOPS;
use crate::model::origin::AFTER_FAILURE;
use crate::tally::Durations;

/// The maximum number of bytes read from a response.
pub const MAX_ANSWER: usize = 1 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that does not respond within this time counts as unresponsive, even if the step's own timeout is shorter.
const PATIENT: Duration = Duration::from_secs(5);
const MAX_REDIRECTS: usize = 3;
/// The headers that are still sent when a redirect leads to another server.
const PLAIN_HEADERS: [&str; 4] = ["accept", "accept-language", "content-type", "user-agent"];
const MAX_IDLE_PER_HOST: usize = 32;

/// A request that is ready to be sent.
pub struct Call {
    pub method: String,
    pub url: Url,
    pub headers: Vec<(String, String)>,
    pub body: Payload,
    /// Where the body of a good response goes, if it is to become a file.
    pub sink: Option<Sink>,
    /// The servers under the step's `hosts:`.
    pub targets: Vec<Target>,
    /// Whether the event chose the server, so that it must be one of `targets`.
    pub is_chosen: bool,
    /// Whether redirects are followed.
    pub follow: bool,
    /// The server as the rule file writes it, for metrics; nothing if something else decides which one it is.
    pub server: Option<Arc<str>>,
}

impl Call {
    /// The same call, for being made once more. What an earlier one has written to the sink stays there.
    pub fn again(&self) -> std::io::Result<Self> {
        let sink =
            self.sink.as_ref().map(|sink| Ok::<_, std::io::Error>(Sink { file: sink.file.try_clone()?, most: sink.most })).transpose()?;
        let Self { method, url, headers, body, targets, server, .. } = self;
        Ok(Self {
            method: method.clone(),
            url: url.clone(),
            headers: headers.clone(),
            body: body.clone(),
            sink,
            targets: targets.clone(),
            server: server.clone(),
            ..*self
        })
    }
}

/// The response of a target.
pub struct Got {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Up to [`MAX_ANSWER`] bytes; none if it went into a [`Sink`].
    pub body: Vec<u8>,
    /// How many bytes went there, or why they are not saved.
    pub sunk: Option<Result<u64, Unwritten>>,
    pub received: Timestamp,
}

impl Got {
    /// How long the server asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        let (_, value) = self.headers.iter().find(|(name, _)| name == "retry-after")?;
        retry_after(value, self.received)
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110, 10.2.3).
fn retry_after(value: &str, received: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(value.trim()).ok()?.timestamp();
    Some(Duration::from_secs(at.as_second().saturating_sub(received.as_second()).max(0) as u64))
}

/// Why there is no response.
pub enum Unsent {
    /// The call was attempted.
    Again(String),
    Never(String),
    /// The server is not responding at present and was not called; why, and for how long it is paused.
    Resting(String, Duration),
    /// Too many calls are waiting for this server; how long to wait before trying again. The call was not attempted.
    Crowded(Duration),
}

/// The client and its limits.
pub struct Net {
    client: OnceLock<Result<Client, String>>,
    allowed: Arc<Allowed>,
    own_ca: OwnCa,
    hosts: Hosts,
    /// How calls go.
    pub servers: Servers,
}

impl Net {
    /// Allows `at_a_time` calls in total, and `each_host` of them to one host.
    pub fn new(allowed: Allowed, at_a_time: usize, each_host: usize) -> Self {
        let (allowed, own_ca) = (Arc::new(allowed), OwnCa::default());
        Self { client: OnceLock::new(), allowed, own_ca, hosts: Hosts::new(at_a_time, each_host), servers: Servers::default() }
    }

    /// The same, with more certificates that are trusted.
    pub fn trusting(self, own_ca: OwnCa) -> Self {
        Self { own_ca, ..self }
    }

    fn client(&self) -> Result<&Client, Unsent> {
        // Created on the first call, so that it costs nothing if no rule makes calls.
        self.client.get_or_init(|| build(&self.allowed, &self.own_ca)).as_ref().map_err(|e| Unsent::Again(e.clone()))
    }

    /// The certificates that are trusted in addition to the usual ones.
    pub fn own_ca(&self) -> &OwnCa {
        &self.own_ca
    }

    /// The addresses of a server that may be connected to, for other protocols than HTTP.
    pub async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Unsent> {
        self.allowed.resolve(host, port).await.map_err(|no| match no {
            Unresolved::Refused(why) => Unsent::Never(why),
            Unresolved::Unknown(e) => Unsent::Again(format!("{host} cannot be found: {e}")),
        })
    }

    /// A server, by its name and port, and a turn to talk to it: both as for calls.
    pub fn server(&self, name: &str) -> Arc<Host> {
        self.hosts.host(name, None)
    }

    pub async fn turn<'h>(&self, host: &'h Host, now: Instant) -> Result<Turn<'h>, Unsent> {
        let name = &host.name;
        host.turn(now).await.map_err(|e| match e {
            NotNow::Rests(wait) => {
                Unsent::Resting(format!("{name} did not answer several calls in a row, so calls to it are paused for a while"), wait)
            }
            NotNow::Crowded(wait) => Unsent::Crowded(wait),
        })
    }

    /// The state of every server that is remembered.
    pub fn hosts(&self) -> Vec<HostState> {
        self.hosts.states(Instant::now())
    }

    /// The servers that are paused because they do not respond.
    pub fn resting(&self) -> Vec<String> {
        self.hosts.resting()
    }

    /// How many servers are paused at present, by the names in rule files.
    pub fn paused(&self) -> BTreeMap<Option<Arc<str>>, u64> {
        self.hosts.paused()
    }

    /// Sends a call and reads the response, up to the limits.
    pub async fn send(&self, call: Call, context: &AttemptContext) -> Result<Got, Unsent> {
        let mut marks = vec![("idempotency-key", context.idempotency_key()), (HOPS, context.hops.to_string())];
        if context.is_after_failure {
            marks.push((AFTER_FAILURE, "1".to_owned()));
        }
        // A rule may say itself which trace its calls belong to.
        let is_own = |name: &str| call.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        marks.extend(context.trace.iter().filter(|(name, _)| !is_own(name)).cloned());
        self.call(call, &marks, context.timeout).await
    }

    /// Makes a call for Doorbell itself, not for a rule.
    pub async fn ask(&self, call: Call, timeout: Duration) -> Result<Got, Unsent> {
        self.call(call, &[], timeout).await
    }

    /// Makes a call with additional headers set by Doorbell itself, and counts it.
    async fn call(&self, call: Call, marks: &[(&str, String)], timeout: Duration) -> Result<Got, Unsent> {
        let counted = self.servers.of(call.server.as_ref());
        let result = self.in_turn(call, marks, timeout, &counted.took).await;
        counted.count(match &result {
            Ok(got) => CallResult::of_status(got.status),
            Err(Unsent::Again(_)) => CallResult::NoAnswer,
            Err(Unsent::Never(_)) => CallResult::Refused,
            Err(Unsent::Resting(..)) => CallResult::Paused,
            Err(Unsent::Crowded(_)) => CallResult::Postponed,
        });
        result
    }

    /// Makes a call when it is its turn.
    async fn in_turn(&self, call: Call, marks: &[(&str, String)], timeout: Duration, took: &Durations) -> Result<Got, Unsent> {
        self.check(&call.url, &call)?;
        let name = call.url.host_str().unwrap_or("").to_owned();
        let name = call.url.port().map_or(name.clone(), |port| format!("{name}:{port}"));
        let host = self.hosts.host(&name, call.server.as_ref());
        let turn = self.turn(&host, std::time::Instant::now()).await?;
        let began = std::time::Instant::now();
        let answer = self.talk(call, marks, timeout).await;
        took.add(began.elapsed());
        match answer {
            Err(Unsent::Again(why)) => {
                // A call with a short timeout says nothing about the server.
                let hurried = timeout < PATIENT && began.elapsed() >= timeout;
                if !hurried && turn.was_silent() {
                    tracing::warn!(
                        server = name,
                        "server did not answer several calls in a row; calls to it are paused for a while: {why}"
                    );
                }
                Err(Unsent::Again(why))
            }
            Err(other) => Err(other),
            Ok(got) => {
                if turn.answered() {
                    tracing::info!(server = name, "server answers again");
                }
                Ok(got)
            }
        }
    }

    /// Sends a call and follows redirects.
    async fn talk(&self, mut call: Call, marks: &[(&str, String)], timeout: Duration) -> Result<Got, Unsent> {
        let client = self.client()?;
        let deadline = tokio::time::Instant::now() + timeout;
        let mut method = reqwest::Method::from_bytes(call.method.as_bytes()).map_err(|e| Unsent::Never(e.to_string()))?;
        let (mut url, mut body) = (call.url.clone(), std::mem::take(&mut call.body));
        // Once a redirect has led to another server, that server chooses the way, even back to the first one.
        let mut is_first_server = true;
        for hop in 0.. {
            let mut request = client.request(method.clone(), url.clone());
            // Any header may contain a credential; another server receives only those that never do.
            let may_send = |name: &str| is_first_server || PLAIN_HEADERS.iter().any(|h| name.eq_ignore_ascii_case(h));
            for (name, value) in call.headers.iter().filter(|(name, _)| may_send(name)) {
                request = request.header(name, value);
            }
            let is_listed = is_first_server || call.targets.iter().any(|target| target.fits(&url));
            for (name, value) in marks.iter().filter(|(name, _)| is_listed || *name == HOPS) {
                request = request.header(*name, value);
            }
            if !body.is_empty() {
                request = body.put(request);
            } else if matches!(method.as_str(), "POST" | "PUT" | "PATCH") {
                // Some servers answer 411 without it (RFC 9110, 8.6); an empty body alone does not bring it.
                request = request.header(header::CONTENT_LENGTH, "0");
            }
            let answer = tokio::time::timeout_at(deadline, read(request, &mut call.sink)).await;
            let got = answer.map_err(|_| Unsent::Again(format!("no answer within {} seconds", timeout.as_secs_f32())))??;
            let location = got.headers.iter().find(|(n, _)| n == "location").map(|(_, v)| v.clone());
            let Some(to) = location.filter(|_| call.follow && matches!(got.status, 301 | 302 | 303 | 307 | 308)) else { return Ok(got) };
            if hop == MAX_REDIRECTS {
                return Err(Unsent::Never(format!("it was redirected more than {MAX_REDIRECTS} times")));
            }
            let next = url.join(&to).map_err(|e| Unsent::Never(format!("it was redirected to an address that cannot be read: {e}")))?;
            if url.scheme() == "https" && next.scheme() != "https" {
                return Err(Unsent::Never("it was redirected from https to http, which is refused".into()));
            }
            self.check(&next, &call)?;
            is_first_server &= next.origin() == call.url.origin();
            // "See other" means: fetch the result there. All others mean the same request again.
            if got.status == 303 {
                (method, body) = (reqwest::Method::GET, Payload::default());
            }
            if !body.is_empty() && !is_first_server && !call.targets.iter().any(|target| target.fits(&next)) {
                return Err(Unsent::Never(format!(
                    "it was redirected to another server, {0}, which does not get what the step sends; write that address into the step, or list it: hosts: [{0}]",
                    server_of(&next)
                )));
            }
            url = next;
        }
        unreachable!("the loop ends at MAX_REDIRECTS")
    }

    /// Fetches the content at an address for Doorbell itself, not for a rule. Only status 200 counts as success.
    pub async fn fetch(&self, url: &str, timeout: Duration) -> Result<Vec<u8>, String> {
        match self.get(url, timeout).await? {
            got if got.status == 200 => Ok(got.body),
            got => Err(format!("it answered {}", got.status)),
        }
    }

    /// Calls an address for Doorbell itself, whose content does not matter. Any status 2xx counts as success.
    pub async fn visit(&self, url: &str, timeout: Duration) -> Result<(), String> {
        match self.get(url, timeout).await? {
            got if (200..300).contains(&got.status) => Ok(()),
            got => Err(format!("it answered {}", got.status)),
        }
    }

    async fn get(&self, url: &str, timeout: Duration) -> Result<Got, String> {
        let url = Url::parse(url).map_err(|e| format!("its address cannot be read: {e}"))?;
        let (headers, body, targets) = (Vec::new(), Payload::default(), Vec::new());
        let call = Call { method: "GET".into(), url, headers, body, sink: None, targets, is_chosen: false, follow: false, server: None };
        match self.call(call, &[], timeout).await {
            Ok(got) => Ok(got),
            Err(Unsent::Again(why) | Unsent::Never(why) | Unsent::Resting(why, _)) => Err(why),
            Err(Unsent::Crowded(_)) => Err("too many calls to its server are waiting".into()),
        }
    }

    fn check(&self, url: &Url, call: &Call) -> Result<(), Unsent> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Unsent::Never(format!("`{}:` addresses cannot be called, only https and http", url.scheme())));
        }
        if call.is_chosen && !call.targets.iter().any(|target| target.fits(url)) {
            let server = server_of(url);
            return Err(Unsent::Never(format!("the request chose the server {server}, which is not listed under the step's `hosts`")));
        }
        if call.is_chosen && !(url.username().is_empty() && url.password().is_none()) {
            return Err(Unsent::Never("the request chose an address with a user name or a password, which is refused".into()));
        }
        match self.allowed.refuses(url) {
            Some(why) => Err(Unsent::Never(why)),
            None => Ok(()),
        }
    }
}

/// Sends a request and reads the response; the body of a good one goes into the sink, if there is one.
async fn read(request: reqwest::RequestBuilder, sink: &mut Option<Sink>) -> Result<Got, Unsent> {
    let again = |e: reqwest::Error| sort_out(&e);
    let mut response = request.send().await.map_err(again)?;
    let status = response.status().as_u16();
    let text = |v: &header::HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
    let headers = response.headers().iter().map(|(n, v)| (n.as_str().to_owned(), text(v))).collect();
    let mut body = Vec::new();
    if let Some(sink) = sink.take_if(|_| Sink::takes(status)) {
        let sunk = Some(sink.fill(&mut response).await.map_err(again)?);
        return Ok(Got { status, headers, body, sunk, received: Timestamp::now() });
    }
    while let Some(chunk) = response.chunk().await.map_err(again)? {
        let left = MAX_ANSWER - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(left)]);
        if body.len() >= MAX_ANSWER {
            break;
        }
    }
    Ok(Got { status, headers, body, sunk: None, received: Timestamp::now() })
}

/// A refused target will never respond; any other connection error may be temporary.
fn sort_out(error: &reqwest::Error) -> Unsent {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    let mut last = error.to_string();
    while let Some(e) = cause {
        if let Some(Refused(why)) = e.downcast_ref::<Refused>() {
            return Unsent::Never(why.clone());
        }
        last = e.to_string();
        cause = e.source();
    }
    if error.is_builder() {
        return Unsent::Never(format!("the request could not be made: {last}"));
    }
    let what = if error.is_connect() { "the connection failed" } else { "the connection was interrupted" };
    Unsent::Again(format!("{what}: {last}"))
}

fn build(allowed: &Arc<Allowed>, own_ca: &OwnCa) -> Result<Client, String> {
    // It fails only if another caller has already installed the same provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        Client::builder()
            .dns_resolver(Guarded(allowed.clone()))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
            .tcp_keepalive(Duration::from_secs(15))
            .user_agent(concat!("doorbell/", env!("CARGO_PKG_VERSION")))
    };
    with_certificates(builder, own_ca)
}

/// A client with the certificates of the system, and the operator's own; if the system has none (a minimal container), with the
/// built-in ones.
pub(super) fn with_certificates(builder: impl Fn() -> reqwest::ClientBuilder, own_ca: &OwnCa) -> Result<Client, String> {
    let own = || own_ca.certificates().filter_map(|der| reqwest::Certificate::from_der(der).ok());
    builder().tls_certs_merge(own()).build().or_else(|_| {
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().filter_map(|der| reqwest::Certificate::from_der(der).ok());
        builder().tls_certs_only(roots.chain(own())).build().map_err(|e| format!("TLS cannot be set up: {e}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date() {
        let now: Timestamp = "1994-11-06T08:49:00Z".parse().unwrap();
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(37)));
        assert_eq!(retry_after("soon", now), None);
    }
}
