//! Our accept loop: limits, timeouts, TLS, graceful shutdown. What is answered is up to a [`Door`].
//!
//! warp's own server panics on `CONNECT host:443`, has no timeouts and no limit on connections, and waits forever when it
//! stops. So warp provides only the filters, and Doorbell handles the sockets itself.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::time::Sleep;

use super::client_ip::Proxies;
use super::connections::Connections;
use super::door::Door;
use super::first_line::{FirstLine, LastReceived};
use super::head::{MAX_HEAD, MAX_HEADERS};
use super::tls::Tls;

/// How long a new connection may send nothing.
const FIRST_BYTES: Duration = Duration::from_secs(10);
/// How long a request's head may take, and how long a connection may be idle: longer than load balancers wait.
const HEAD: Duration = Duration::from_secs(75);
/// How many requests one connection of HTTP/2 may make at a time.
pub const MAX_STREAMS: u32 = 128;

/// A bound socket with its settings.
pub struct Listener {
    pub listener: TcpListener,
    /// `None`: plain HTTP.
    pub tls: Option<Tls>,
    /// The proxies whose connections are not counted as those of one caller.
    pub proxies: Arc<Proxies>,
    /// The maximum number of connections at a time, and the most per caller; further ones wait in the kernel's queue, or
    /// are closed.
    pub most_connections: usize,
    pub most_connections_each: Option<usize>,
    /// How many requests one connection of HTTP/2 may make at a time.
    pub most_streams: u32,
}

/// The most connections of a listener that is not for senders, and the most of one caller: an office behind one address, with
/// several pages open in every browser.
const MOST_ASIDE: usize = 256;
const MOST_ASIDE_EACH: usize = 64;
/// How many requests one of these connections may make at a time: a browser has one for each open page, and some for what it
/// loads.
const MOST_ASIDE_STREAMS: u32 = 24;

impl Listener {
    /// A listener that is not for senders: for people's browsers, or for metrics.
    pub fn aside(listener: TcpListener, tls: Option<Tls>, proxies: Arc<Proxies>) -> Self {
        let (most_connections, most_connections_each) = (MOST_ASIDE, Some(MOST_ASIDE_EACH));
        Self { listener, tls, proxies, most_connections, most_connections_each, most_streams: MOST_ASIDE_STREAMS }
    }
}

/// Serves until `stop` completes, then finishes the requests in progress, for at most `grace`.
pub async fn serve(bound: Listener, door: impl Door, stop: impl Future<Output = ()>, grace: Duration) {
    let Listener { listener, tls, proxies, most_connections, most_connections_each, most_streams } = bound;
    let graceful = GracefulShutdown::new();
    let connections = Connections::new(most_connections, most_connections_each);
    let mut builder = Builder::new(TokioExecutor::new());
    // A caller that has sent its requests and closes its half of the connection still gets its answers. Answers to
    // pipelined requests are not batched: hyper would hold one back as long as another request follows. Short answers are
    // cheaper to write in one piece.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .half_close(true)
        .writev(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(most_streams)
        .max_header_list_size(MAX_HEAD as u32)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10))
        .max_local_error_reset_streams(64);
    let mut stop = std::pin::pin!(stop);
    loop {
        let room = tokio::select! {
            room = connections.room() => room,
            () = &mut stop => break,
        };
        let Some(room) = room else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(e) => {
                // There are no file handles left, or the caller is already gone: the next attempt may succeed.
                tracing::debug!("connection could not be accepted: {e}");
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let Some(place) = connections.enter(peer.ip(), proxies.is_trusted(&peer.ip()), room) else {
            tracing::debug!(%peer, "connection refused: too many connections from this caller");
            continue;
        };
        let place = Arc::new(place);
        let _ = stream.set_nodelay(true);
        let (answering, of_service) = (door.clone(), place.clone());
        let service = service_fn(move |request| {
            let (door, place) = (answering.clone(), of_service.clone());
            async move {
                let _busy = place.busy();
                Ok::<_, Infallible>(door.answer(request, peer).await)
            }
        });
        let (door, last) = (door.clone(), LastReceived::default());
        let (builder, watcher, tls) = (builder.clone(), graceful.watcher(), tls.clone());
        tokio::spawn(async move {
            let received = last.clone();
            let talk = async {
                match tls {
                    None => {
                        let stream = FirstLine::new(Hurried::new(stream), received);
                        watcher.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned()).await
                    }
                    Some(tls) => match tokio::time::timeout(FIRST_BYTES, tls.accept(stream)).await {
                        Ok(Ok(stream)) => {
                            let stream = FirstLine::new(Hurried::new(stream), received);
                            watcher.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned()).await
                        }
                        Ok(Err(e)) => Err(e.into()),
                        Err(_) => Err("nothing was sent in time".into()),
                    },
                }
            };
            let ended = tokio::select! {
                ended = talk => ended,
                () = place.is_needed() => Err("its place is needed for another connection".into()),
            };
            if let Err(e) = ended {
                // hyper has answered by itself.
                if let Some(e) = e.downcast_ref::<hyper::Error>().filter(|e| e.is_parse()) {
                    let status = if e.is_parse_too_large() { 431 } else { 400 };
                    let why = format!("This is not a valid HTTP request: {e}");
                    door.unread(peer, last.request(), status, &why);
                }
                tracing::debug!(%peer, "connection ended early: {e}");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections did not end in time");
    }
}

/// A connection whose first bytes must arrive in time.
///
/// hyper reads up to 24 bytes to distinguish HTTP/2 from HTTP/1 and has no timeout for that, so a caller that sends nothing,
/// or half a preface, would stay forever.
struct Hurried<S> {
    stream: S,
    /// Until hyper's own timeouts take over: the deadline, and what has been received so far.
    first: Option<(Pin<Box<Sleep>>, Vec<u8>)>,
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl<S> Hurried<S> {
    fn new(stream: S) -> Self {
        Self { stream, first: Some((Box::pin(tokio::time::sleep(FIRST_BYTES)), Vec::new())) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Hurried<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Some((deadline, seen)) = &mut self.first {
            seen.extend_from_slice(&buffer.filled()[before..]);
            let decided = !seen.is_empty() && (!PREFACE.starts_with(seen) || seen.len() >= PREFACE.len());
            if decided {
                self.first = None;
            } else if read.is_pending() && deadline.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Hurried<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
