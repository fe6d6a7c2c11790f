//! Our accept loop: limits, TLS, graceful shutdown. What is answered is up to a [`Door`]; each connection is served by
//! `keep_alive`.
//!
//! warp's own server panics on `CONNECT host:443`, has no timeouts and no limit on connections, and waits forever when it
//! stops. So warp provides only the filters, and Doorbell handles the sockets itself.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::client_ip::Proxies;
use super::connections::Connections;
use super::door::Door;
use super::first_line::LastReceived;
use super::keep_alive::{Answering, FIRST_BYTES, Protocols, serve as serve_connection};
use super::tls::Tls;

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
    let connections = Connections::new(most_connections, most_connections_each);
    let protocols = Arc::new(Protocols::new(most_streams));
    // Each connection holds one of these until it has ended.
    let (open, mut all_ended) = mpsc::channel::<Infallible>(1);
    let _resting = connections.let_idle_ones_rest();
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
        let Some(slot) = connections.enter(peer.ip(), proxies.is_trusted(&peer.ip()), room) else {
            tracing::debug!(%peer, "connection refused: too many connections from this caller");
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (answering, last) = (Answering { door: door.clone(), peer, slot: Arc::new(slot) }, LastReceived::default());
        let (door, protocols, tls, open) = (door.clone(), protocols.clone(), tls.clone(), open.clone());
        tokio::spawn(async move {
            let _open = open;
            let ended = match tls {
                None => serve_connection(stream, &protocols, answering, last.clone()).await,
                Some(tls) => match tokio::time::timeout(FIRST_BYTES, tls.accept(stream)).await {
                    // On the heap, so that connections without TLS do not reserve room for it.
                    Ok(Ok(stream)) => Box::pin(serve_connection(stream, &protocols, answering, last.clone())).await,
                    Ok(Err(e)) => Err(e.into()),
                    Err(_) => Err("nothing was sent in time".into()),
                },
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
    drop((listener, open));
    connections.end();
    // Nothing is ever sent on it: it closes when the last connection has ended.
    if tokio::time::timeout(grace, all_ended.recv()).await.is_err() {
        tracing::warn!("connections did not end in time");
    }
}
