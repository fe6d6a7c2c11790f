//! Connections to other apps: one pooled client, its limits, and a guard that keeps calls out of the internal network.
//!
//! Private, loopback and link-local addresses are refused unless explicitly allowed. This is checked for the address in the
//! URL, for the resolved addresses (exactly those that are connected to), and again on every redirect. Only this folder uses
//! `reqwest`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Url, header, redirect};

use super::host::{Hosts, NotNow};
use crate::action::attempt_context::AttemptContext;
use crate::model::event::HOPS;

/// The maximum number of bytes read from a response.
pub const MAX_ANSWER: usize = 1 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that does not respond within this time counts as unresponsive, even if the step's own timeout is shorter.
const PATIENT: Duration = Duration::from_secs(5);
const MAX_REDIRECTS: usize = 3;
/// The headers that are still sent when a redirect leads to another server.
const PLAIN_HEADERS: [&str; 4] = ["accept", "accept-language", "content-type", "user-agent"];
const MAX_IDLE_PER_HOST: usize = 32;

/// Which internal targets may be called.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    pub networks: Vec<IpNet>,
    pub hosts: Vec<String>,
}

impl Allowed {
    fn address(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        !is_inside(ip) || self.networks.iter().any(|n| n.contains(&ip))
    }

    fn host(&self, host: &str) -> bool {
        self.hosts.iter().any(|h| h.eq_ignore_ascii_case(host))
    }

    /// Why an address written in a URL must not be called, if so; what a host name resolves to is only checked at lookup.
    pub fn refuses(&self, url: &str) -> Option<String> {
        let url = Url::parse(url).ok()?;
        let host = url.host_str()?;
        if self.host(host.trim_matches(['[', ']'])) {
            return None;
        }
        match url.host()? {
            url::Host::Ipv4(ip) if !self.address(ip.into()) => Some(refusal(&ip.to_string(), ip.into())),
            url::Host::Ipv6(ip) if !self.address(ip.into()) => Some(refusal(&ip.to_string(), ip.into())),
            url::Host::Domain(name)
                if is_local_name(name) && !self.networks.iter().any(|n| n.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST))) =>
            {
                Some(format!(
                    "`{name}` is this machine, and calls to it are refused; to allow them, start Doorbell with --allow-host {name}"
                ))
            }
            _ => None,
        }
    }
}

fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

fn refusal(host: &str, ip: IpAddr) -> String {
    let width = if ip.is_ipv4() { 32 } else { 128 };
    format!("{host} is in a private network, and calls to it are refused; to allow them, start Doorbell with --allow-network {ip}/{width}")
}

/// Whether an address is not public: RFC 1918, loopback, link-local (cloud metadata), shared, reserved, multicast, and every
/// way to embed one of these in an IPv6 address.
pub fn is_inside(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_broadcast()
                || ip.is_multicast()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && (c == 0 || c == 2))
                || (a == 198 && (b == 18 || b == 19 || (b == 51 && c == 100)))
                || (a == 203 && b == 0 && c == 113)
        }
        IpAddr::V6(ip) => {
            let s = ip.segments();
            let embedded = |hi: u16, lo: u16| is_inside(IpAddr::V4(Ipv4Addr::from((u32::from(hi) << 16) | u32::from(lo))));
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_multicast()
                || (s[0] & 0xfe00) == 0xfc00
                || (s[0] & 0xffc0) == 0xfe80
                || (s[0] & 0xffc0) == 0xfec0
                || (s[0] == 0x2001 && s[1] == 0xdb8)
                || (s[0] == 0x2001 && s[1] == 0)
                || (s[0] == 0x100 && s[1..4] == [0, 0, 0])
                || (s[0] == 0x2002 && embedded(s[1], s[2]))
                || (s[0] == 0x64 && s[1] == 0xff9b && (s[2] == 1 || embedded(s[6], s[7])))
                || (s[..6] == [0; 6] && embedded(s[6], s[7]))
                || (s[..6] == Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0).segments()[..6] && embedded(s[6], s[7]))
        }
    }
}

/// A request that is ready to be sent.
#[derive(Debug)]
pub struct Call {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The allowed hosts, where the host comes from the event.
    pub hosts: Option<Vec<String>>,
    pub follow: bool,
}

/// The response of a target.
pub struct Got {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Up to [`MAX_ANSWER`] bytes.
    pub body: Vec<u8>,
    pub received: Timestamp,
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
    hosts: Hosts,
}

impl Net {
    /// Allows `at_a_time` calls in total, and `each_host` of them to one host.
    pub fn new(allowed: Allowed, at_a_time: usize, each_host: usize) -> Self {
        Self { client: OnceLock::new(), allowed: Arc::new(allowed), hosts: Hosts::new(at_a_time, each_host) }
    }

    fn client(&self) -> Result<&Client, Unsent> {
        // Created on the first call, so that it costs nothing if no rule makes calls.
        self.client.get_or_init(|| build(&self.allowed)).as_ref().map_err(|e| Unsent::Again(e.clone()))
    }

    /// The servers that are paused because they do not respond.
    pub fn resting(&self) -> Vec<String> {
        self.hosts.resting()
    }

    /// Sends a call and reads the response, up to the limits.
    pub async fn send(&self, call: Call, context: &AttemptContext) -> Result<Got, Unsent> {
        let marks = [("idempotency-key", context.idempotency_key.clone()), (HOPS, context.hops.to_string())];
        self.call(call, &marks, context.timeout).await
    }

    /// Makes a call with additional headers set by Doorbell itself.
    async fn call(&self, call: Call, marks: &[(&str, String)], timeout: Duration) -> Result<Got, Unsent> {
        let url = Url::parse(&call.url).map_err(|e| Unsent::Never(format!("this address cannot be read: {e}")))?;
        self.check(&url, &call)?;
        let name = url.host_str().unwrap_or("").to_owned();
        let name = url.port().map_or(name.clone(), |port| format!("{name}:{port}"));
        let host = self.hosts.host(&name);
        let turn = host.turn(std::time::Instant::now()).await.map_err(|e| match e {
            NotNow::Rests(wait) => {
                Unsent::Resting(format!("{name} did not answer several calls in a row, so calls to it are paused for a while"), wait)
            }
            NotNow::Crowded(wait) => Unsent::Crowded(wait),
        })?;
        let began = std::time::Instant::now();
        match self.talk(url, call, marks, timeout).await {
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
    async fn talk(&self, mut url: Url, call: Call, marks: &[(&str, String)], timeout: Duration) -> Result<Got, Unsent> {
        let client = self.client()?;
        let deadline = tokio::time::Instant::now() + timeout;
        let mut method = reqwest::Method::from_bytes(call.method.as_bytes()).map_err(|e| Unsent::Never(e.to_string()))?;
        let mut body = Some(call.body.clone());
        let origin = url.origin();
        for hop in 0.. {
            let mut request = client.request(method.clone(), url.clone());
            for (name, value) in &call.headers {
                // Any header may contain a credential; another server receives only those that never do.
                let is_plain = PLAIN_HEADERS.iter().any(|h| name.eq_ignore_ascii_case(h));
                if is_plain || url.origin() == origin {
                    request = request.header(name, value);
                }
            }
            for (name, value) in marks {
                request = request.header(*name, value);
            }
            if let Some(body) = body.as_ref().filter(|b| !b.is_empty()) {
                request = request.body(body.clone());
            }
            let answer = tokio::time::timeout_at(deadline, read(request)).await;
            let got = answer.map_err(|_| Unsent::Again(format!("no answer within {} seconds", timeout.as_secs_f32())))??;
            let location = got.headers.iter().find(|(n, _)| n == "location").map(|(_, v)| v.clone());
            match location {
                Some(to) if call.follow && matches!(got.status, 301 | 302 | 303 | 307 | 308) => {
                    if hop == MAX_REDIRECTS {
                        return Err(Unsent::Never(format!("it was redirected more than {MAX_REDIRECTS} times")));
                    }
                    let next =
                        url.join(&to).map_err(|e| Unsent::Never(format!("it was redirected to an address that cannot be read: {e}")))?;
                    if url.scheme() == "https" && next.scheme() != "https" {
                        return Err(Unsent::Never("it was redirected from https to http, which is refused".into()));
                    }
                    url = next;
                    self.check(&url, &call)?;
                    if got.status == 303 || (matches!(got.status, 301 | 302) && method == reqwest::Method::POST) {
                        method = reqwest::Method::GET;
                        body = None;
                    }
                }
                _ => return Ok(got),
            }
        }
        unreachable!("the loop ends at MAX_REDIRECTS")
    }

    /// Fetches the content at an address for Doorbell itself, not for a rule. Only status 200 counts as success.
    pub async fn fetch(&self, url: &str, timeout: Duration) -> Result<Vec<u8>, String> {
        let call = Call { method: "GET".into(), url: url.to_owned(), headers: Vec::new(), body: Vec::new(), hosts: None, follow: false };
        match self.call(call, &[], timeout).await {
            Ok(got) if got.status == 200 => Ok(got.body),
            Ok(got) => Err(format!("it answered {}", got.status)),
            Err(Unsent::Again(why) | Unsent::Never(why) | Unsent::Resting(why, _)) => Err(why),
            Err(Unsent::Crowded(_)) => Err("too many calls to its server are waiting".into()),
        }
    }

    fn check(&self, url: &Url, call: &Call) -> Result<(), Unsent> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Unsent::Never(format!("`{}:` addresses cannot be called, only https and http", url.scheme())));
        }
        let host = url.host_str().unwrap_or("").to_lowercase();
        if let Some(hosts) = &call.hosts {
            let fits = |h: &String| match h.strip_prefix("*.") {
                Some(parent) => host.strip_suffix(parent).is_some_and(|sub| sub.ends_with('.') && sub.len() > 1),
                None => *h == host,
            };
            if !hosts.iter().any(fits) {
                return Err(Unsent::Never(format!("the request chose the server {host}, which is not listed under the step's `hosts`")));
            }
        }
        match self.allowed.refuses(url.as_str()) {
            Some(why) => Err(Unsent::Never(why)),
            None => Ok(()),
        }
    }
}

async fn read(request: reqwest::RequestBuilder) -> Result<Got, Unsent> {
    let again = |e: reqwest::Error| sort_out(&e);
    let mut response = request.send().await.map_err(again)?;
    let status = response.status().as_u16();
    let text = |v: &header::HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
    let headers = response.headers().iter().map(|(n, v)| (n.as_str().to_owned(), text(v))).collect();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(again)? {
        let left = MAX_ANSWER - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(left)]);
        if body.len() >= MAX_ANSWER {
            break;
        }
    }
    Ok(Got { status, headers, body, received: Timestamp::now() })
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

fn build(allowed: &Arc<Allowed>) -> Result<Client, String> {
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
    builder().build().or_else(|_| {
        // The system has no certificates (a minimal container): use the built-in ones instead.
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().filter_map(|der| reqwest::Certificate::from_der(der).ok());
        builder().tls_certs_only(roots).build().map_err(|e| format!("TLS cannot be set up: {e}"))
    })
}

/// Resolves host names and drops the addresses that must not be called.
struct Guarded(Arc<Allowed>);

/// A name that resolves only to refused addresses.
#[derive(Debug)]
struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for Refused {}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.0.clone();
        Box::pin(async move {
            let all: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let good: Vec<SocketAddr> = match allowed.host(name.as_str()) {
                true => all.clone(),
                false => all.iter().copied().filter(|a| allowed.address(a.ip())).collect(),
            };
            match (good.is_empty(), all.first()) {
                (true, Some(first)) => {
                    let why = format!(
                        "{} resolves to {}, which is in a private network, and calls to it are refused; to allow them, start Doorbell with --allow-host {0}",
                        name.as_str(),
                        first.ip()
                    );
                    Err(Refused(why).into())
                }
                _ => Ok(Box::new(good.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_private_address_is_rejected() {
        let none = Allowed::default();
        for url in [
            "http://127.0.0.1/",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://017700000001/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::127.0.0.1]/",
            "http://[64:ff9b::10.0.0.1]/",
            "http://[2002:7f00:1::]/",
            "http://[fd00::1]/",
            "http://[fe80::1]/",
            "http://169.254.169.254/latest",
            "http://10.1.2.3/",
            "http://192.168.1.1/",
            "http://172.31.0.1/",
            "http://100.64.0.1/",
            "http://0.0.0.0/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
            "http://localhost/",
            "http://a.localhost./",
            "http://[::]/",
        ] {
            assert!(none.refuses(url).is_some(), "{url}");
        }
        for url in ["http://93.184.216.34/", "http://[2606:2800:220:1::1]/", "https://example.com/", "http://172.32.0.1/"] {
            assert_eq!(none.refuses(url), None, "{url}");
        }
        let some = Allowed { networks: vec!["127.0.0.0/8".parse().unwrap()], hosts: vec!["10.0.0.9".into()] };
        assert_eq!(some.refuses("http://127.0.0.1/"), None);
        assert_eq!(some.refuses("http://10.0.0.9/"), None);
        assert!(some.refuses("http://10.0.0.8/").is_some_and(|why| why.ends_with("--allow-network 10.0.0.8/32")));
    }
}
