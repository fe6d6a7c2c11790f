//! More requests than Doorbell can process at a time: it rejects them at once, uses little memory, and processes everything
//! that it has accepted.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::{ClosedPort, Doorbell, MAX_WAIT, Response, Setup, parse_response, unable, until};

const RULES: &str = "webhooks:\n  /a: { verify: none }\nrules:\n  Write:\n    when: { webhook: /a }\n    then: [ { append: out.txt, text: \"{{ body.n }}\" } ]\n";

/// How much memory it uses, in MB.
fn memory(doorbell: &Doorbell) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", doorbell.child.id())).unwrap();
    let line = text.lines().find(|l| l.starts_with("Rss:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
}

/// Raises the limit of open files of this process, and of those it starts, as far as allowed.
fn open_many_files() {
    let text = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = text.lines().find(|l| l.starts_with("Max open files")).unwrap();
    let most = line.split_whitespace().nth(4).unwrap();
    let out = Command::new("prlimit").args(["--pid", &std::process::id().to_string(), &format!("--nofile={most}:{most}")]).output();
    if !out.is_ok_and(|o| o.status.success()) || most.parse().is_ok_and(|n: usize| n < 12_000) {
        unable("can_open_many_files", "12,000 files cannot be open at a time");
    }
}

fn connect(doorbell: &Doorbell) -> TcpStream {
    let stream = TcpStream::connect(&doorbell.address).unwrap();
    stream.set_read_timeout(Some(MAX_WAIT)).unwrap();
    stream
}

/// Sends a request on an open connection; returns the status of the answer.
fn ask(stream: &mut TcpStream, request: &[u8]) -> Option<u16> {
    stream.write_all(request).ok()?;
    let mut answer = [0; 2048];
    let length = stream.read(&mut answer).ok()?;
    std::str::from_utf8(answer.get(9..12).filter(|_| length > 12)?).ok()?.parse().ok()
}

fn order(n: usize) -> Vec<u8> {
    let body = format!("{{\"n\": {n}, \"text\": \"{}\"}}", "x".repeat(1_000));
    format!("POST /a HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[test]
#[cfg_attr(not(can_open_many_files), ignore = "needs 12,000 open files (`ulimit -Hn`) and `prlimit`")]
fn ten_thousand_idle_connections_keep_no_caller_out() {
    /// One connection is left for real callers.
    const MANY: u64 = 9_999;
    open_many_files();
    let setup = Setup::with(RULES);
    let doorbell = setup.serve();
    let live = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut idle: Vec<TcpStream> = Vec::new();
    for _ in 0..MANY {
        // A connection that never sends a request is closed soon.
        let mut stream = connect(&doorbell);
        assert_eq!(ask(&mut stream, live), Some(200));
        idle.push(stream);
    }
    doorbell.deliver("/a", "{\"n\": 1}");
    until("it is written", || setup.output("out.txt") == "1\n");
    until("they take less than 10 KB each", || memory(&doorbell) < 60 + MANY * 10 / 1_024);
    // The first connections may have been idle for too long by now.
    assert_eq!(ask(idle.last_mut().unwrap(), live), Some(200), "the connection is still open");
}

#[test]
fn in_a_burst_each_request_is_accepted_or_rejected_at_once_and_no_accepted_event_is_lost() {
    const BURST: usize = 10_000;
    let setup = Setup::with(RULES);
    let doorbell = setup.serve();
    let (next, accepted) = (AtomicUsize::new(0), Mutex::new(HashSet::new()));
    std::thread::scope(|scope| {
        for _ in 0..200 {
            scope.spawn(|| {
                let mut stream = connect(&doorbell);
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= BURST {
                        return;
                    }
                    match ask(&mut stream, &order(n)) {
                        Some(200) => assert!(accepted.lock().unwrap().insert(n)),
                        Some(429 | 503) => {}
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
    });
    let accepted = accepted.into_inner().unwrap();
    until("every accepted event is processed", || setup.output("out.txt").lines().count() >= accepted.len());
    let out = setup.output("out.txt");
    let written: HashSet<usize> = out.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!((written.len(), out.lines().count()), (accepted.len(), accepted.len()), "once each");
    assert_eq!(written, accepted);
    let all = memory(&doorbell);
    assert!(all < 150, "{all} MB");
}

#[test]
fn runs_that_wait_for_an_unreachable_server_stay_on_disk() {
    const WAITING: usize = 5_000;
    let gone = ClosedPort::new();
    let setup = Setup::with(&format!(
        "webhooks:\n  /a: {{ verify: none }}\n  /b: {{ verify: none }}\nrules:\n  Call:\n    when: {{ webhook: /a }}\n    then: [ {{ post: \"http://{}/\", json: \"{{{{ body }}}}\" }} ]\n  Write:\n    when: {{ webhook: /b }}\n    then: [ {{ append: out.txt, text: \"{{{{ body.n }}}}\" }} ]\n",
        gone.address()
    ));
    let doorbell = setup.serve();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                let mut stream = connect(&doorbell);
                while next.fetch_add(1, Ordering::Relaxed) < WAITING {
                    assert_eq!(ask(&mut stream, &order(0)), Some(200));
                }
            });
        }
    });
    doorbell.deliver("/b", "{\"n\": 1}");
    until("a run that does not need the server continues", || setup.output("out.txt") == "1\n");
    let all = memory(&doorbell);
    assert!(all < 120, "{WAITING} waiting runs take {all} MB");
    assert!(setup.printed(&["events", "--last", "1"]).contains("5001 events in total"), "{}", setup.printed(&["events", "--last", "1"]));
}

/// Sends a body without its last byte, as one of many callers behind a proxy. Returns the connection, or the answer if the
/// body was rejected before its end.
fn send_most_of(length: usize, caller: usize, doorbell: &Doorbell) -> Result<TcpStream, Response> {
    let mut stream = connect(doorbell);
    stream.set_write_timeout(Some(MAX_WAIT)).unwrap();
    let head = format!("POST /large HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 203.0.113.{caller}\r\ncontent-length: {length}\r\n\r\n");
    let part = vec![b'x'; 1 << 20];
    let mut left = length - 1;
    let mut sent = stream.write_all(head.as_bytes());
    while sent.is_ok() && left > 0 {
        let part = &part[..left.min(part.len())];
        sent = stream.write_all(part);
        left -= part.len();
    }
    stream.set_nonblocking(sent.is_ok()).unwrap();
    match stream.peek(&mut [0]) {
        Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(stream),
        _ => {
            stream.set_nonblocking(false).unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            Err(parse_response(&String::from_utf8_lossy(&answer)))
        }
    }
}

#[test]
fn too_many_large_bodies_at_once_are_asked_to_retry() {
    /// Less than one caller may send at a time; all callers together may send 256 MB.
    const LARGE: usize = 60 << 20;
    let setup = Setup::with(
        "webhooks:\n  /large: { verify: none, max_body: 100 MB }\nrules:\n  Never:\n    when: { webhook: /large }\n    if: { method: GET }\n    then: [ log: hi ]\n",
    );
    let doorbell = setup.serve_with(&["--trusted-proxies", "127.0.0.1"]);
    // There is room for two of these. A body that stalls for 10 seconds is dropped and makes room, so a slow machine
    // may need several attempts.
    until("of four large bodies at once, some fit and the others are asked to retry", || {
        let all: Vec<_> = std::thread::scope(|scope| {
            let send = |caller| {
                scope.spawn({
                    let doorbell = &doorbell;
                    move || send_most_of(LARGE, caller, doorbell)
                })
            };
            let sending: Vec<_> = (1..=4).map(send).collect();
            sending.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let rejected: Vec<&Response> = all.iter().filter_map(|sent| sent.as_ref().err()).collect();
        let is_asked_to_retry = |got: &&Response| (got.status, got.header("retry-after")) == (503, "10");
        (1..=3).contains(&rejected.len()) && rejected.iter().all(is_asked_to_retry)
    });
    until("there is room again", || send_most_of(LARGE, 3, &doorbell).is_ok());
}
