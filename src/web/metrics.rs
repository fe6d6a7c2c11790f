//! The listener for Prometheus: `/metrics` and nothing else. Whoever can reach it can read the names of rules, addresses and
//! servers, so it is off unless the operator gives it an address. It must be called by a name that no stranger's web page can
//! have: otherwise a page could read it with the browser of somebody who can reach it (DNS rebinding).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use warp::http::header::{ALLOW, CONTENT_TYPE, HOST, X_CONTENT_TYPE_OPTIONS};
use warp::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};

use super::door::Door;
use crate::operations::metrics::{CONTENT_TYPE as METRICS_TYPE, Metrics};

/// The endings of names that nobody can register in the public DNS.
const PRIVATE: [&str; 4] = [".local", ".internal", ".svc", ".localhost"];

/// The door of the listener.
#[derive(Clone)]
pub struct MetricsDoor {
    pub metrics: Arc<Metrics>,
    /// Further names by which it may be called, in lower case.
    pub hosts: Arc<[String]>,
}

impl MetricsDoor {
    /// Whether it may be called by this name: an address, a name without a dot (of a service in Compose or Kubernetes), one with
    /// a private ending, or one that the operator lists. Without a name it is no browser.
    fn is_own(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let bare = match host.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() => name,
            _ => &host,
        };
        let is_address = bare.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
        let name = bare.trim_end_matches('.');
        let is_private = !name.contains('.') || PRIVATE.iter().any(|ending| name.ends_with(ending));
        is_address || is_private || self.hosts.iter().any(|own| *own == host || own == name)
    }
}

impl Door for MetricsDoor {
    type Body = Full<Bytes>;

    async fn answer(&self, request: Request<Incoming>, _: SocketAddr) -> Response<Full<Bytes>> {
        let is_head = *request.method() == Method::HEAD;
        let named = || request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let host = request.uri().authority().map_or_else(named, |authority| authority.as_str());
        let (status, text) = match (request.method(), request.uri().path()) {
            _ if !self.is_own(host) => (
                StatusCode::MISDIRECTED_REQUEST,
                "The metrics are not known by this name. Call them by their address, or start Doorbell with --metrics-host NAME.\n"
                    .to_owned(),
            ),
            (&Method::GET | &Method::HEAD, "/metrics") => match self.metrics.text().await {
                Ok(text) => (StatusCode::OK, text),
                Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "The metrics could not be written.\n".to_owned()),
            },
            (&Method::GET | &Method::HEAD, _) => (StatusCode::NOT_FOUND, "The metrics are at /metrics.\n".to_owned()),
            _ => (StatusCode::METHOD_NOT_ALLOWED, "Use GET.\n".to_owned()),
        };
        let mut response = Response::new(Full::new(if is_head { Bytes::new() } else { text.into() }));
        *response.status_mut() = status;
        let mut set = |name: HeaderName, value| response.headers_mut().insert(name, HeaderValue::from_static(value));
        set(CONTENT_TYPE, if status == StatusCode::OK { METRICS_TYPE } else { "text/plain; charset=utf-8" });
        set(X_CONTENT_TYPE_OPTIONS, "nosniff");
        if status == StatusCode::METHOD_NOT_ALLOWED {
            set(ALLOW, "GET, HEAD");
        }
        response
    }

    fn unread(&self, peer: SocketAddr, (method, path): (String, String), status: u16, why: &str) {
        tracing::debug!(%peer, method, path, status, "request for the metrics refused: {why}");
    }
}
