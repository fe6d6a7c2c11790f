//! Servers that Doorbell calls and that hang, are slow, interrupt the connection or cannot be reached: they are given up in
//! time and delay nothing else.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::harness::{ClosedPort, Setup, Target, until};

fn rules(url: &str, more: &str) -> String {
    format!(
        "webhooks:\n  /call: {{ verify: none }}\n  /write: {{ verify: none }}\nrules:\n  Call:\n    when: {{ webhook: /call }}\n    then: [ {{ get: \"{url}\"{more} }} ]\n  Write:\n    when: {{ webhook: /write }}\n    then: [ {{ append: out.txt, text: \"{{{{ body.n }}}}\" }} ]\n"
    )
}

#[test]
fn a_server_that_hangs_delays_only_the_runs_that_call_it() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::with(&rules(&format!("http://{}/", silent.local_addr().unwrap()), ""));
    let doorbell = setup.serve_with(&["--calls-per-host", "2"]);
    // Far more than can be processed at a time.
    for n in 0..1_500 {
        doorbell.deliver("/call", &format!("{{\"n\": {n}}}"));
    }
    for n in 0..20 {
        doorbell.deliver("/write", &format!("{{\"n\": {n}}}"));
    }
    until("all others are done", || setup.output("out.txt").lines().count() == 20);
    // A line may be in its file a moment before its run is recorded as done.
    until("only those who need it wait", || setup.printed(&["events"]).contains("1500 runs waiting"));
    drop(doorbell);
    // The same after a restart, when all of them are due.
    let doorbell = setup.serve_with(&["--calls-per-host", "2"]);
    doorbell.deliver("/write", "{\"n\": 20}");
    until("the next one is done too", || setup.output("out.txt").lines().count() == 21);
}

/// A server that answers no call until it is released, and then answers all of them.
#[derive(Clone, Default)]
struct HangingServer(Arc<Mutex<Calls>>);

#[derive(Default)]
struct Calls {
    is_released: bool,
    waiting: Vec<std::net::TcpStream>,
    /// The paths that were called, in order.
    called: Vec<String>,
}

impl HangingServer {
    fn start(&self) -> std::net::SocketAddr {
        let (listener, calls) = (TcpListener::bind("127.0.0.1:0").unwrap(), self.0.clone());
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut line = String::new();
                if BufReader::new(&stream).read_line(&mut line).unwrap_or(0) == 0 {
                    continue;
                }
                let mut calls = calls.lock().unwrap();
                calls.called.push(line.split(' ').nth(1).unwrap_or_default().to_owned());
                if calls.is_released { Self::answer(&stream) } else { calls.waiting.push(stream) }
            }
        });
        address
    }

    fn answer(mut stream: &std::net::TcpStream) {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    }

    fn waiting(&self) -> usize {
        self.0.lock().unwrap().waiting.len()
    }

    fn release(&self) {
        let mut calls = self.0.lock().unwrap();
        calls.is_released = true;
        calls.waiting.drain(..).for_each(|stream| Self::answer(&stream));
    }
}

#[test]
fn several_hanging_servers_delay_no_calls_to_others_and_lose_nothing() {
    const EACH: usize = 100;
    let hung: [HangingServer; 4] = std::array::from_fn(|_| HangingServer::default());
    let healthy = Target::new(&["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]);
    let rule = |n: usize, address: &str| {
        // The timeout is longer than this test takes.
        format!("  R{n}: {{ when: {{ webhook: /{n} }}, then: [ {{ get: \"http://{address}/{{{{ body.n }}}}\", timeout: 5 minutes }} ] }}\n")
    };
    let hanging: String = hung.iter().enumerate().map(|(n, one)| rule(n, &one.start().to_string())).collect();
    let setup = Setup::with(&format!("rules:\n{hanging}{}", rule(4, &healthy.address)));
    let doorbell = setup.serve();
    // Together they have more calls than can be made at a time, and more than may wait in memory.
    for n in 0..EACH {
        for server in 0..hung.len() {
            doorbell.deliver(&format!("/{server}"), &format!("{{\"n\": {n}}}"));
        }
    }
    until("each of them hangs with several calls", || hung.iter().all(|one| one.waiting() >= 8));
    let before: Vec<usize> = hung.iter().map(HangingServer::waiting).collect();
    for n in 0..10 {
        doorbell.deliver("/4", &format!("{{\"n\": {n}}}"));
    }
    until("the server that answers is called", || healthy.calls.lock().unwrap().len() == 10);
    assert!(hung.iter().zip(before).all(|(one, before)| one.waiting() >= before), "the others still hang");
    hung.iter().for_each(HangingServer::release);
    until("every run is done", || !setup.printed(&["events"]).contains("waiting"));
    let all: BTreeSet<String> = (0..EACH).map(|n| format!("/{n}")).collect();
    for one in &hung {
        let called = one.0.lock().unwrap().called.clone();
        assert_eq!((called.len(), called.into_iter().collect::<BTreeSet<_>>()), (EACH, all.clone()), "each run made one call");
    }
}

#[test]
fn calls_to_an_unreachable_server_are_paused_and_health_shows_it() {
    let server = ClosedPort::new();
    let gone = server.address();
    let setup = Setup::with(&rules(&format!("http://{gone}/"), ", tries: 3"));
    let doorbell = setup.serve();
    for n in 0..10 {
        doorbell.deliver("/call", &format!("{{\"n\": {n}}}"));
    }
    let expected = format!("ready, 2 rules; no answer from {gone}, so calls there are paused\n");
    until("health shows it", || setup.printed(&["health", "--listen", &doorbell.address]) == expected);
    until("it is logged", || {
        doorbell.logged("server did not answer several calls in a row; calls to it are paused for a while: the connection failed")
    });
    let event = doorbell.deliver("/call", "{}");
    until("a new event shows it", || {
        setup.printed(&["explain", &event]).contains("did not answer several calls in a row, so calls to it are paused for a while")
    });
    doorbell.deliver("/write", "{\"n\": 1}");
    until("other runs continue", || setup.output("out.txt") == "1\n");
}

#[test]
fn a_pause_is_not_a_try_and_a_waiting_caller_still_gets_the_answer() {
    let server = ClosedPort::new();
    let gone = server.address();
    let rules = format!(
        "{}  Ask:\n    when: {{ webhook: /ask }}\n    answer_within: 3 seconds\n    then:\n      - get: \"http://{gone}/\"\n        tries: 2\n        first_wait: 5 milliseconds\n        on_error: [ {{ respond: 503, text: \"{{{{ error.message }}}}\" }} ]\n",
        rules(&format!("http://{gone}/"), ", tries: 6, first_wait: 1 millisecond")
    );
    let setup = Setup::with(&rules.replace("webhooks:\n", "webhooks:\n  /ask: { verify: none }\n"));
    let doorbell = setup.serve();
    // Five calls in a row go unanswered, and the sixth try is not made.
    let first = doorbell.deliver("/call", "{}");
    let waits = "waits until ";
    let paused = |event: &str| setup.printed(&["explain", event]).contains("because calls to its server are paused");
    until("the first one waits for the end of the pause", || paused(&first));
    let second = doorbell.deliver("/call", "{}");
    until("so does one without a try of its own", || paused(&second));
    let told = setup.printed(&["explain", &first]);
    assert!(told.contains(waits) && told.contains(", try 6  paused: GET http://"), "{told}");
    let answer = doorbell.post("/ask", "{}");
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("are paused for a while (not waited for, because the caller is waiting"), "{}", answer.body);
    // The pause of ten seconds ends, and one of them calls again.
    until("one of them calls again", || {
        let told = [&first, &second].map(|event| setup.printed(&["explain", event]));
        assert_eq!(told[0].matches(", try 6  paused: ").count(), 1, "the history says it once: {}", told[0]);
        told[0].contains("given up after 6 tries") || told[1].contains("retry: ")
    });
}

#[test]
fn slow_and_interrupted_answers_are_given_up_in_time() {
    type Answer = fn(std::net::TcpStream);
    let byte_by_byte: Answer = |mut stream| {
        let _ = stream.read(&mut [0; 1_000]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    };
    let half: Answer = |mut stream| {
        let _ = stream.read(&mut [0; 1_000]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
    };
    let garbage: Answer = |mut stream| {
        let _ = stream.read(&mut [0; 1_000]);
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n");
    };
    // Only the slow answer runs into its timeout; an interrupted one is given up at once, however busy the machine is.
    for (answer, timeout, said) in [
        (byte_by_byte, "300 milliseconds", "no answer within 0.3 seconds (given up after 1 try)"),
        (half, "2 minutes", "the connection was interrupted: "),
        (garbage, "2 minutes", "the connection was interrupted: "),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(answer));
        let setup = Setup::with(&rules(&format!("http://{address}/"), &format!(", timeout: {timeout}, tries: 1")));
        let doorbell = setup.serve();
        doorbell.deliver("/call", "{}");
        until(said, || setup.printed(&["failed"]).contains(said));
    }
    // A server without TLS.
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = plain.local_addr().unwrap();
    thread::spawn(move || plain.incoming().map_while(Result::ok).for_each(garbage));
    let setup = Setup::with(&rules(&format!("https://{address}/"), ", tries: 1"));
    let doorbell = setup.serve();
    doorbell.deliver("/call", "{}");
    until("it is given up", || setup.printed(&["failed"]).contains("the connection failed: "));
}
