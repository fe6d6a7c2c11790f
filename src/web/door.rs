//! What a listener hands its requests to: the webhooks, the console, the metrics. One contract, so that each of them gets the
//! same limits, timeouts and graceful end.

use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use warp::http::{Request, Response};

/// Answers the requests of one listener.
pub trait Door: Clone + Send + Sync + 'static {
    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static;

    /// Answers a request; every request has an answer.
    fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> impl Future<Output = Response<Self::Body>> + Send;

    /// Notes a request that is not valid HTTP, which hyper has answered by itself: its method and path as far as they could
    /// be read, the status, and why.
    fn unread(&self, peer: SocketAddr, called: (String, String), status: u16, why: &str);
}
