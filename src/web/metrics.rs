//! The listener for Prometheus: `/metrics` and nothing else. Whoever can reach it can read the names of rules, addresses and
//! servers, so it is off unless the operator gives it an address.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use warp::http::header::{ALLOW, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use warp::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};

use super::door::Door;
use crate::operations::metrics::{CONTENT_TYPE as METRICS_TYPE, Metrics};

/// The door of the listener.
#[derive(Clone)]
pub struct MetricsDoor(pub Arc<Metrics>);

impl Door for MetricsDoor {
    type Body = Full<Bytes>;

    async fn answer(&self, request: Request<Incoming>, _: SocketAddr) -> Response<Full<Bytes>> {
        let is_head = *request.method() == Method::HEAD;
        let (status, text) = match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/metrics") => match self.0.text().await {
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
