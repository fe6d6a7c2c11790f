//! Serves one connection, from its first byte to its last answer.
//!
//! hyper has buffers of 16 KB and more for each connection, also while it waits for the next request, and most connections do
//! nothing but wait. So hyper gets a connection only when bytes have arrived, and it is taken back from hyper once it has been
//! idle for a while ([`Connections`](super::connections::Connections) says when). Which connections there may be, and what is
//! answered, is decided elsewhere.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use warp::http::{Request, Response};

use super::connections::{Asked, Sending, Slot};
use super::door::Door;
use super::first_line::{FirstLine, LastReceived};
use super::head::{MAX_HEAD, MAX_HEADERS};

/// How long a new connection may send nothing, or not enough to tell which version of HTTP it is.
pub const FIRST_BYTES: Duration = Duration::from_secs(10);
/// How long a request's head may take, and how long a connection may be idle: longer than load balancers wait.
const HEAD: Duration = Duration::from_secs(75);
/// What a connection of HTTP/2 begins with (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How hyper is to serve connections.
pub struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Protocols {
    /// With at most this many requests at a time for a connection of HTTP/2.
    pub fn new(most_streams: u32) -> Self {
        let (mut http1, mut http2) = (http1::Builder::new(), http2::Builder::new(TokioExecutor::new()));
        // A caller that has sent its requests and closes its half of the connection still gets its answers. Answers to
        // pipelined requests are not batched: hyper would hold one back as long as another request follows. Short answers are
        // cheaper to write in one piece.
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            .half_close(true)
            .writev(false);
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(most_streams)
            .max_header_list_size(MAX_HEAD as u32)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(10))
            .max_local_error_reset_streams(64);
        Self { http1, http2 }
    }
}

/// Answers the requests of one connection.
#[derive(Clone)]
pub struct Answering<D> {
    pub door: D,
    pub peer: SocketAddr,
    pub slot: Arc<Slot>,
}

impl<D: Door> Service<Request<Incoming>> for Answering<D> {
    type Response = Response<Sent<D::Body>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    /// The future is on the heap, because hyper reserves room for it as long as it has the connection.
    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let Self { door, peer, slot } = self.clone();
        Box::pin(async move {
            let sending = slot.sending();
            let _busy = slot.busy();
            Ok(door.answer(request, peer).await.map(|body| Sent { body, _sending: sending }))
        })
    }
}

/// The body of an answer, until it is sent.
pub struct Sent<B> {
    body: B,
    _sending: Sending,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Sent<B> {
    type Data = Bytes;
    type Error = B::Error;
    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Serves a connection until it is closed. The error is for the log; if it is hyper's, what was received may be no HTTP.
pub async fn serve<S, D>(
    stream: S,
    protocols: &Protocols,
    answering: Answering<D>,
    last: LastReceived,
) -> Result<(), Box<dyn Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    D: Door,
{
    let slot = answering.slot.clone();
    let mut stream = FirstLine::new(stream, last.clone());
    let is_http2 = match tokio::time::timeout(FIRST_BYTES, waiting(&slot, is_http2(&mut stream))).await {
        Ok(Some(decided)) => decided?,
        Ok(None) => return Ok(()),
        Err(_) => return Err("nothing was sent in time".into()),
    };
    if is_http2 {
        let mut connection = Box::pin(protocols.http2.serve_connection(TokioIo::new(stream), answering));
        loop {
            tokio::select! {
                biased;
                ended = &mut connection => return Ok(ended?),
                asked = slot.asked() => match asked {
                    Asked::Rest => {}
                    Asked::End => connection.as_mut().graceful_shutdown(),
                    Asked::Close => return Err("its place is needed for another connection".into()),
                },
            }
        }
    }
    let mut service = answering;
    loop {
        slot.has_begun();
        let mut connection = Box::new(protocols.http1.serve_connection(TokioIo::new(stream), service));
        loop {
            tokio::select! {
                biased;
                ended = &mut *connection => return Ok(ended?),
                asked = slot.asked() => match asked {
                    // What it has received may be a part of a request.
                    Asked::Rest if last.is_answered() => break,
                    Asked::Rest => {}
                    Asked::End => Pin::new(&mut *connection).graceful_shutdown(),
                    Asked::Close => return Err("its place is needed for another connection".into()),
                },
            }
        }
        let http1::Parts { io, read_buf, service: same, .. } = connection.into_parts();
        (stream, service) = (io.into_inner(), same);
        if !read_buf.is_empty() {
            // A part of a request that arrived before the answer to the one before it.
            stream.put_back(&read_buf);
            continue;
        }
        // Empty, but it keeps the buffer.
        drop(read_buf);
        slot.rests();
        let mut first = [0; 64];
        match tokio::time::timeout(HEAD, waiting(&slot, stream.read(&mut first))).await {
            Ok(Some(received)) => match received? {
                0 => return Ok(()),
                length => stream.put_back(&first[..length]),
            },
            Ok(None) => return Ok(()),
            Err(_) => return Err("no further request was sent in time".into()),
        }
    }
}

/// Does this while the connection waits for a caller; `None` if the connection is to end first.
async fn waiting<T>(slot: &Slot, what: impl Future<Output = T>) -> Option<T> {
    let mut what = std::pin::pin!(what);
    loop {
        tokio::select! {
            biased;
            done = &mut what => return Some(done),
            asked = slot.asked() => if asked != Asked::Rest { return None },
        }
    }
}

/// Reads as much as is needed to tell HTTP/2 from HTTP/1, and puts it back.
async fn is_http2<S: AsyncRead + Unpin>(stream: &mut FirstLine<S>) -> std::io::Result<bool> {
    let (mut first, mut length) = ([0; PREFACE.len()], 0);
    while length < PREFACE.len() && PREFACE.starts_with(&first[..length]) {
        match stream.read(&mut first[length..]).await? {
            0 => break,
            read => length += read,
        }
    }
    stream.put_back(&first[..length]);
    Ok(first[..length] == *PREFACE)
}
