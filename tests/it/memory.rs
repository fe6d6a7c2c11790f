//! Doorbell decides how much memory it uses, not a sender: bodies with many values, compressed or not, verified or not, and
//! events that wait, all stay within the limits.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::read::GzEncoder;

use crate::harness::{Doorbell, Setup, until};

/// The most memory that it has used, in MB.
pub fn peak(doorbell: &Doorbell) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", doorbell.child.id())).unwrap();
    let line = text.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
}

/// A list of so many numbers, each in two bytes.
fn numbers(many: usize) -> String {
    format!("[{}0]", "0,".repeat(many - 1))
}

/// An app that accepts every call but answers none before `answers` is set.
struct SlowApp {
    address: String,
    answers: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
}

impl SlowApp {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (answers, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (go, count) = (answers.clone(), answered.clone());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (go, count) = (go.clone(), count.clone());
                thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    let (mut line, mut length) = (String::new(), 0);
                    while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                        if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                            length = n.trim().parse().unwrap();
                        }
                        line.clear();
                    }
                    std::io::copy(&mut reader.take(length), &mut std::io::sink()).unwrap();
                    while !go.load(Ordering::Relaxed) {
                        thread::sleep(Duration::from_millis(20));
                    }
                    count.fetch_add(1, Ordering::Relaxed);
                    let _ = (&stream).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                });
            }
        });
        Self { address, answers, answered }
    }
}

#[test]
fn events_for_a_slow_app_stay_within_the_memory_limit_and_delay_no_other_run() {
    /// Parsed into values, all of them take a gigabyte.
    const EVENTS: usize = 80;
    let slow = SlowApp::new();
    let setup = Setup::with(&format!(
        "rules:\n  Call:\n    when: {{ webhook: /call }}\n    then: [ {{ post: \"http://{}/\", json: \"{{{{ body }}}}\", timeout: 10 minutes }} ]\n  Write:\n    when: {{ webhook: /write }}\n    then: [ {{ append: out.txt, text: \"{{{{ body.n }}}}\" }} ]\n",
        slow.address
    ));
    let doorbell = setup.serve();
    let body = numbers(150_000);
    for _ in 0..EVENTS {
        doorbell.deliver("/call", &body);
    }
    doorbell.deliver("/write", "{\"n\": 1}");
    until("other runs continue meanwhile", || setup.output("out.txt") == "1\n");
    let most = peak(&doorbell);
    assert!(most < 600, "{EVENTS} waiting events take {most} MB");
    slow.answers.store(true, Ordering::Relaxed);
    until("all are answered", || slow.answered.load(Ordering::Relaxed) == EVENTS);
    until("no run is left", || !setup.printed(&["events", "--last", "100"]).contains("waiting"));
    let most = peak(&doorbell);
    assert!(most < 600, "{most} MB");
}

#[test]
fn a_body_with_millions_of_values_is_rejected_before_they_are_built() {
    let key = "aa".repeat(32);
    let setup = Setup::with(
        "webhooks:\n  /open: { verify: none, max_body: 100 MB }\n  /adyen: { verify: { adyen: \"{{ secret.ADYEN }}\" }, max_body: 100 MB }\nrules:\n  Open:\n    when: { webhook: /open }\n    then: [ { log: \"{{ count body }}\" } ]\n  Adyen:\n    when: { webhook: /adyen }\n    then: [ log: ok ]\n",
    )
    .env("ADYEN", &key);
    let doorbell = setup.serve();
    let got = doorbell.post("/open", &numbers(14_000_000));
    assert_eq!((got.status, got.body.contains("more than 1000000 values and names")), (400, true), "{got:?}");
    // This sender is not verified, so none of its values are built.
    let got = doorbell.post("/adyen", &format!("{{\"notificationItems\": {}}}", numbers(14_000_000)));
    assert_eq!(got.status, 401, "{got:?}");
    // Compressed, it is only a few KB; several ask for memory at the same time.
    let mut packed = Vec::new();
    GzEncoder::new(numbers(14_000_000).as_bytes(), Compression::best()).read_to_end(&mut packed).unwrap();
    let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let got = doorbell.send("POST", "/open", &headers, &packed);
                assert!([400, 503].contains(&got.status), "{got:?}");
            });
        }
    });
    let most = peak(&doorbell);
    assert!(most < 300, "{most} MB");
}

#[test]
fn a_delivery_whose_id_takes_too_much_work_to_find_is_rejected() {
    let setup = Setup::with(
        "webhooks:\n  /a: { verify: none, delivery_id: \"$..*..*..*..*\" }\n  /b: { verify: none }\nrules:\n  A: { when: { webhook: /a }, then: [ log: a ] }\n  B: { when: { webhook: /b }, then: [ log: b ] }\n",
    );
    let doorbell = setup.serve();
    let deep = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
    let got = doorbell.post("/a", &format!("[{}]", vec![deep; 100].join(",")));
    assert_eq!((got.status, got.body.contains("Finding the id of this delivery")), (400, true), "{got:?}");
    assert_eq!(doorbell.post("/b", "{}").status, 200);
    assert_eq!(doorbell.post("/a", "{\"a\": 1}").status, 200);
}
