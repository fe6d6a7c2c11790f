//! Callers who hang up before they are answered, and callers who wait for a long time: their events are processed all the
//! same, and they do not get in the way of others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::harness::{SetOnDrop, Setup, Target, http2, http2_frame, json, until};

fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn events_of_callers_who_hang_up_at_once_are_processed_without_a_restart() {
    let setup = Setup::with(
        "webhooks:\n  /a: { verify: none }\nrules:\n  Lines:\n    when: { webhook: /a }\n    then: [ { append: out.txt, text: \"{{ body.n }}\" } ]\n  Answer:\n    when: { webhook: /a }\n    one_at_a_time: true\n    then: [ { append: answers.txt, text: \"{{ body.n }}\" }, { respond: 200, text: so } ]\n",
    );
    let doorbell = setup.serve();
    // The last line of the list: how many events there are, and whether any run waits.
    let all = || setup.printed(&["events", "--last", "1"]).lines().last().unwrap_or_default().to_owned();
    let saved = || all().split(' ').next().unwrap().parse::<usize>().unwrap_or(0);
    let next = AtomicUsize::new(0);
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _set = SetOnDrop(&enough);
        for _ in 0..8 {
            scope.spawn(|| {
                while !enough.load(Ordering::Relaxed) {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let mut stream = TcpStream::connect(&doorbell.address).unwrap();
                    let body = format!("{{\"n\": {n}}}");
                    // Some hang up before their event is saved, some just after.
                    let a_little = Duration::from_micros(n as u64 % 50 * 100);
                    if n.is_multiple_of(2) {
                        stream.write_all(post("/a", &body).as_bytes()).unwrap();
                        std::thread::sleep(a_little);
                    } else {
                        let head = [(":method", "POST"), (":scheme", "http"), (":path", "/a"), (":authority", "x")];
                        stream.write_all(&http2(&head, body.as_bytes())).unwrap();
                        std::thread::sleep(a_little);
                        // Cancels the request without closing the connection (RFC 9113, 6.4).
                        stream.write_all(&http2_frame(3, 0, 1, &8u32.to_be_bytes())).unwrap();
                        let _ = stream.peek(&mut [0]);
                    }
                }
            });
        }
        until("many events were saved", || saved() > 500);
    });
    until("no run waits", || !all().contains("waiting"));
    assert!(!doorbell.logged("run was interrupted because its task ended"), "a caller who hangs up ends no task");
    let events = saved();
    for file in ["out.txt", "answers.txt"] {
        let mut lines: Vec<String> = setup.output(file).lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), events, "each event was processed: {file}");
        lines.sort();
        lines.dedup();
        assert_eq!(lines.len(), events, "and once: {file}");
    }
}

#[test]
fn callers_who_wait_for_an_answer_leave_room_for_the_bodies_of_others() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::with(&format!(
        "webhooks:\n  /slow: {{ verify: none }}\n  /a: {{ verify: none }}\nrules:\n  Slow:\n    when: {{ webhook: /slow }}\n    answer_within: 5 minutes\n    then: [ {{ get: \"http://{}/\", timeout: 4 minutes }}, {{ respond: 200 }} ]\n  Fast:\n    when: {{ webhook: /a }}\n    then: [ {{ append: out.txt, text: x }} ]\n",
        silent.local_addr().unwrap()
    ));
    let doorbell = setup.serve();
    // A chunked body may become as large as the address allows: 1 MB each, of 256 MB for all bodies.
    let chunked =
        "POST /slow HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    let mut waiting = Vec::new();
    for accepted in [100, 200, 300] {
        for _ in 0..100 {
            let mut stream = TcpStream::connect(&doorbell.address).unwrap();
            stream.write_all(chunked.as_bytes()).unwrap();
            waiting.push(stream);
        }
        until("they were accepted", || setup.printed(&["events", "--last", "1"]).contains(&format!("{accepted} events in total")));
    }
    assert_eq!(doorbell.post("/a", "{}").status, 200);
    for stream in &mut waiting {
        stream.set_nonblocking(true).unwrap();
        assert!(stream.read(&mut [0; 1]).is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock), "the caller still waits");
    }
}

#[test]
fn a_caller_who_hung_up_gets_the_answer_when_it_sends_the_request_again() {
    let target = Target::new(&[&json(503, "{}"), &json(200, "{}")]);
    let setup = Setup::with(&format!(
        "webhooks:\n  /a: {{ verify: none, delivery_id: body.id }}\nrules:\n  Answer:\n    when: {{ webhook: /a }}\n    then: [ {{ get: \"{}\", first_wait: 1 second }}, {{ respond: 201, text: \"made {{{{ body.id }}}}\" }} ]\n",
        target.url("/")
    ));
    let doorbell = setup.serve();
    let mut stream = TcpStream::connect(&doorbell.address).unwrap();
    stream.write_all(post("/a", "{\"id\": 7}").as_bytes()).unwrap();
    until("its run has started", || !target.calls().is_empty());
    drop(stream);
    let got = doorbell.post("/a", "{\"id\": 7}");
    assert_eq!((got.status, got.body.as_str()), (201, "made 7"));
    let got = doorbell.post("/a", "{\"id\": 7}");
    assert_eq!((got.status, got.body.as_str()), (201, "made 7"));
    assert_eq!(target.calls().len(), 2);
}
