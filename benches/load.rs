//! The workloads of docs/performance.md, side by side in one run: a bare warp server as the floor, Doorbell, and Debian's
//! `webhook` as a peer where it is installed.
//!
//!     cargo bench --bench load               # A, B and C
//!     cargo bench --bench load -- A 20       # one of them, 20 seconds each
//!
//! 32 keep-alive connections on one thread ring with an order of 1.5 KB for 3 seconds to warm up and then for 10; ratios
//! of one run are what counts, for the machine is shared with the load.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CONNECTIONS: usize = 32;
const WARM: Duration = Duration::from_secs(3);

/// An order of about 1.5 KB.
fn order() -> String {
    let item = |n: u32| {
        format!(
            r#"{{"sku": "SKU-{n:05}", "title": "Thing number {n}, in a box", "quantity": {n}, "unit_price": 19.9, "attributes": {{"color": "graphite", "size": "M", "warehouse": "LHR-{n}"}}}}"#
        )
    };
    let items: Vec<String> = (1..6).map(item).collect();
    format!(
        r#"{{"id": "ord_1", "event": "order.created", "created_at": "2026-03-14T09:26:53Z", "email": "ada@example.com", "name": "Ada Lovelace", "plan": "pro", "amount": 249.9, "currency": "EUR", "customer": {{"id": "cus_8d1f0c2a", "locale": "en-GB", "vip": true, "tags": ["newsletter", "b2b"], "address": {{"line1": "12 St James's Square", "city": "London", "postal_code": "SW1Y 4JH", "country": "GB"}}}}, "items": [{}], "payment": {{"method": "card", "brand": "visa", "last4": "4242", "status": "captured"}}, "shipping": {{"carrier": "DHL", "tracking": "JD0146000038211"}}, "metadata": {{"source": "web", "campaign": "spring-26"}}}}"#,
        items.join(", ")
    )
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if arguments.first().is_some_and(|a| a == "floor") {
        return floor();
    }
    let wanted = arguments.first().cloned();
    let seconds = arguments.get(1).and_then(|s| s.parse().ok()).unwrap_or(10);
    println!("{:<34} {:>10} {:>9} {:>9} {:>8}", "", "events/s", "p50 ms", "p99 ms", "of warp");
    for job in ["A", "B", "C1000", "C10000"] {
        if wanted.as_ref().is_some_and(|w| !job.starts_with(w.as_str())) {
            continue;
        }
        let bare = measure(&format!("{job}: bare warp"), &mut Server::floor(), seconds, None);
        measure(&format!("{job}: doorbell"), &mut Server::doorbell(job), seconds, Some(bare));
        if !job.starts_with('C')
            && let Some(mut peer) = Server::webhook(job)
        {
            measure(&format!("{job}: webhook, answers after"), &mut peer, seconds, Some(bare));
        }
    }
}

/// A server under load, in a folder of its own.
struct Server {
    child: Child,
    address: String,
    path: &'static str,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(mut command: Command, folder: tempfile::TempDir, path: &'static str) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it has an output")).read_line(&mut line).expect("it says where it listens");
        let address = line.trim().rsplit('/').next().unwrap_or("").to_owned();
        Self { child, address, path, _folder: folder }
    }

    fn floor() -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg("floor");
        Self::start(command, tempfile::tempdir().expect("a folder"), "/webhook")
    }

    fn doorbell(job: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let step = match job {
            "B" => {
                format!("post: http://{}/\n        json: {{ order: \"{{{{ body.id }}}}\", text: \"Hello {{{{ body.name }}}}\" }}", sink())
            }
            _ => "append: out.log\n        text: \"{{ body.name }} <{{ body.email }}>\"".to_owned(),
        };
        let rule = |name: &str, field: &str, value: &str| {
            format!("  {name}:\n    when: {{ webhook: /webhook }}\n    if: {{ {field}: {value} }}\n    then:\n      - {step}\n")
        };
        let mut rules = "webhooks:\n  /webhook: { verify: none }\nrules:\n".to_owned();
        match job.strip_prefix('C').and_then(|n| n.parse::<usize>().ok()) {
            None => rules += &rule("All", "body.plan", "pro"),
            Some(count) => {
                rules += &rule("This", "body.metadata.campaign", "spring-26");
                (1..count).for_each(|n| rules += &rule(&format!("Other {n}"), "body.metadata.campaign", &format!("other-{n}")));
            }
        }
        std::fs::create_dir(folder.path().join("rules")).expect("a folder");
        std::fs::write(folder.path().join("rules/bench.yaml"), rules).expect("a rule file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_doorbell"));
        command.current_dir(folder.path()).args(["serve", "--listen", "127.0.0.1:0", "--allow-network", "127.0.0.0/8"]);
        Self::start(command, folder, "/webhook")
    }

    /// github.com/adnanh/webhook, as Debian packages it; answers when its command has ended.
    fn webhook(job: &str) -> Option<Self> {
        let found = Path::new("/usr/bin/webhook");
        if !found.exists() {
            println!("{job}: webhook is not installed, so there is no peer to compare with (apt-get install webhook curl)");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let act = match job {
            "B" => {
                format!("exec curl -s -o /dev/null -d \"{{\\\"order\\\":\\\"$1\\\",\\\"text\\\":\\\"Hello $2\\\"}}\" http://{}/\n", sink())
            }
            _ => format!("printf '%s <%s>\\n' \"$2\" \"$3\" >> {}\n", folder.path().join("out.log").display()),
        };
        let script = folder.path().join("act.sh");
        std::fs::write(&script, format!("#!/bin/sh\n{act}")).expect("a script");
        Command::new("chmod").arg("+x").arg(&script).status().expect("chmod");
        let value = |name: &str| serde_json::json!({"source": "payload", "name": name});
        let hooks = serde_json::json!([{
            "id": "bench", "execute-command": script, "include-command-output-in-response": true,
            "pass-arguments-to-command": [value("id"), value("name"), value("email")],
            "trigger-rule": {"match": {"type": "value", "value": "pro", "parameter": value("plan")}},
        }]);
        std::fs::write(folder.path().join("hooks.json"), hooks.to_string()).expect("hooks");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let child = Command::new(found)
            .current_dir(folder.path())
            .args(["-hooks", "hooks.json", "-ip", "127.0.0.1", "-port", &port.to_string(), "-urlprefix", ""])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let address = format!("127.0.0.1:{port}");
        while std::net::TcpStream::connect(&address).is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(Self { child, address, path: "/bench", _folder: folder })
    }
}

/// Rings for a while; prints and returns the events per second.
fn measure(name: &str, server: &mut Server, seconds: u64, bare: Option<f64>) -> f64 {
    let body = order();
    let request: Arc<[u8]> = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        server.path,
        body.len()
    )
    .into_bytes()
    .into();
    let (counting, stop, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (mut times, took) = runtime.block_on(async {
        let callers: Vec<_> = (0..CONNECTIONS)
            .map(|_| tokio::spawn(call(server.address.clone(), request.clone(), counting.clone(), stop.clone(), refused.clone())))
            .collect();
        tokio::time::sleep(WARM).await;
        counting.store(true, Ordering::Relaxed);
        let clock = Instant::now();
        tokio::time::sleep(Duration::from_secs(seconds)).await;
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
    let refused = refused.load(Ordering::Relaxed);
    let note = if refused > 0 { format!("  {refused} were not answered with 200") } else { String::new() };
    println!("{name:<34} {rate:>10.0} {:>9.2} {:>9.2} {of:>8}{note}", at(0.5), at(0.99));
    std::io::stdout().flush().expect("an output");
    rate
}

/// One connection: rings, waits for the answer, rings again. Gives the times in microseconds.
async fn call(address: String, request: Arc<[u8]>, counting: Arc<AtomicBool>, stop: Arc<AtomicBool>, refused: Arc<AtomicU64>) -> Vec<u32> {
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
            if whole(&answer[..length]) {
                break;
            }
        }
        if !answer.starts_with(b"HTTP/1.1 200") {
            refused.fetch_add(1, Ordering::Relaxed);
        } else if counting.load(Ordering::Relaxed) {
            times.push(clock.elapsed().as_micros() as u32);
        }
    }
    times
}

/// Whether an answer with a length is all there.
fn whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")).and_then(|l| l.trim().parse::<usize>().ok());
    body.len() >= length.unwrap_or(0)
}

/// A bare warp server: reads the body, answers, does nothing.
fn floor() {
    use hyper_util::rt::{TokioExecutor, TokioIo};
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
                let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
}

/// An app that takes calls and forgets them; gives its address.
fn sink() -> String {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            tell.send(listener.local_addr().expect("an address").to_string()).expect("somebody listens");
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut bytes = vec![0; 8192];
                    while let Ok(length) = stream.read(&mut bytes).await {
                        if length == 0 || stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
    });
    told.recv().expect("the sink listens")
}
