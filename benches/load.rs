//! The workloads of docs/performance.md, for three servers in one run: a bare warp server as the baseline, Doorbell, and
//! Debian's `webhook` if it is installed.
//!
//!     cargo bench --bench load               # A, B and C, and A with 1 and 256 connections
//!     cargo bench --bench load -- A 20       # one of them, 20 seconds each
//!
//! 32 keep-alive connections on one thread send an order of 1.5 KB, for 3 seconds to warm up and then for 10. Compare only the
//! ratios within one run, because the load runs on the same machine.

mod bench;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use bench::{Server, is_complete, request};

const CONNECTIONS: usize = 32;
const WARM: Duration = Duration::from_secs(3);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if arguments.first().is_some_and(|a| a == "baseline") {
        return baseline();
    }
    let wanted = arguments.first().cloned();
    let seconds = arguments.get(1).and_then(|s| s.parse().ok()).unwrap_or(10);
    println!("{:<34} {:>10} {:>9} {:>9} {:>8}", "", "events/s", "p50 ms", "p99 ms", "of warp");
    for (job, connections) in
        [("A", CONNECTIONS), ("A", 1), ("A", 256), ("B", CONNECTIONS), ("C1000", CONNECTIONS), ("C10000", CONNECTIONS)]
    {
        if wanted.as_ref().is_some_and(|w| !job.starts_with(w.as_str())) {
            continue;
        }
        let name = |server: &str| match connections {
            CONNECTIONS => format!("{job}: {server}"),
            1 => format!("{job}, 1 connection: {server}"),
            n => format!("{job}, {n} connections: {server}"),
        };
        let load = Load { seconds, connections };
        let bare = load.measure(&name("bare warp"), &Server::baseline(), None);
        load.measure(&name("doorbell"), &Server::doorbell(job), Some(bare));
        if !job.starts_with('C')
            && connections == CONNECTIONS
            && let Some(peer) = Server::webhook(job)
        {
            load.measure(&name("webhook, answers after"), &peer, Some(bare));
        }
    }
}

struct Load {
    seconds: u64,
    connections: usize,
}

impl Load {
    /// Sends requests for so many seconds; prints and returns the events per second.
    fn measure(&self, name: &str, server: &Server, bare: Option<f64>) -> f64 {
        let request: Arc<[u8]> = request(server.path).into();
        let (counting, stop, rejected) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (mut times, took) = runtime.block_on(async {
            let callers: Vec<_> = (0..self.connections)
                .map(|_| tokio::spawn(call(server.address.clone(), request.clone(), counting.clone(), stop.clone(), rejected.clone())))
                .collect();
            tokio::time::sleep(WARM).await;
            counting.store(true, Ordering::Relaxed);
            let clock = Instant::now();
            tokio::time::sleep(Duration::from_secs(self.seconds)).await;
            let took = clock.elapsed();
            stop.store(true, Ordering::Relaxed);
            let mut times = Vec::new();
            for caller in callers {
                times.extend(caller.await.expect("a caller"));
            }
            (times, took)
        });
        times.sort_unstable();
        let at = |share: f64| times.get((times.len() as f64 * share) as usize).map_or(0.0, |t| *t as f64 / 1000.0);
        let rate = times.len() as f64 / took.as_secs_f64();
        let of = bare.map_or(String::new(), |b| format!("{:.3}", rate / b));
        let rejected = rejected.load(Ordering::Relaxed);
        let note = if rejected > 0 { format!("  {rejected} were not answered with 200") } else { String::new() };
        println!("{name:<34} {rate:>10.0} {:>9.2} {:>9.2} {of:>8}{note}", at(0.5), at(0.99));
        std::io::stdout().flush().expect("an output");
        rate
    }
}

/// Sends on one connection, each request after the answer to the one before. Returns the times in microseconds.
async fn call(address: String, request: Arc<[u8]>, counting: Arc<AtomicBool>, stop: Arc<AtomicBool>, rejected: Arc<AtomicU64>) -> Vec<u32> {
    let mut times = Vec::new();
    let mut stream = tokio::net::TcpStream::connect(&address).await.expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    let mut answer = vec![0u8; 4096];
    while !stop.load(Ordering::Relaxed) {
        let clock = Instant::now();
        stream.write_all(&request).await.expect("it is sent");
        let mut length = 0;
        loop {
            length += stream.read(&mut answer[length..]).await.expect("it is answered");
            if is_complete(&answer[..length]) {
                break;
            }
        }
        if !answer.starts_with(b"HTTP/1.1 200") {
            rejected.fetch_add(1, Ordering::Relaxed);
        } else if counting.load(Ordering::Relaxed) {
            times.push(clock.elapsed().as_micros() as u32);
        }
    }
    times
}

/// A bare warp server, which reads the body and answers.
fn baseline() {
    use hyper_util::rt::TokioIo;
    use warp::Filter;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("listening on http://{}", listener.local_addr().expect("an address"));
        let routes = warp::post().and(warp::body::bytes()).map(|_: bytes::Bytes| "{\"status\":\"success\"}".to_owned());
        let service = hyper_util::service::TowerToHyperService::new(warp::service(routes));
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::spawn(async move {
                let server = hyper::server::conn::http1::Builder::new();
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
}
