//! Bad neighbours: servers that hang, dawdle, break off or are gone. They are given up in time and hold up nobody else.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::world::{Gone, Target, World, until};

fn rules(url: &str, more: &str) -> String {
    format!(
        "webhooks:\n  /call: {{ verify: none }}\n  /write: {{ verify: none }}\nrules:\n  Call:\n    when: {{ webhook: /call }}\n    then: [ {{ get: \"{url}\"{more} }} ]\n  Write:\n    when: {{ webhook: /write }}\n    then: [ {{ append: out.txt, text: \"{{{{ body.n }}}}\" }} ]\n"
    )
}

#[test]
fn a_server_that_hangs_holds_up_nobody_who_does_not_need_it() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let world = World::with(&rules(&format!("http://{}/", silent.local_addr().unwrap()), ""));
    let doorbell = world.serve_with(&["--calls-per-host", "2"]);
    // Far more than there is room for in hand.
    for n in 0..1_500 {
        doorbell.ring("/call", &format!("{{\"n\": {n}}}"));
    }
    for n in 0..20 {
        doorbell.ring("/write", &format!("{{\"n\": {n}}}"));
    }
    until("all others are done", || world.output("out.txt").lines().count() == 20);
    // A line may be in its file a moment before its run is recorded as done.
    until("only those who need it wait", || world.said(&["events"]).contains("1500 runs waiting"));
    drop(doorbell);
    // Nor after a restart, when all of them are due.
    let doorbell = world.serve_with(&["--calls-per-host", "2"]);
    doorbell.ring("/write", "{\"n\": 20}");
    until("the next one is done too", || world.output("out.txt").lines().count() == 21);
}

/// A server that takes calls and answers none of them until it is let go; then it answers all.
#[derive(Clone, Default)]
struct Hung(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    is_free: bool,
    waiting: Vec<std::net::TcpStream>,
    /// The paths that were called, in order.
    called: Vec<String>,
}

impl Hung {
    fn start(&self) -> std::net::SocketAddr {
        let (listener, held) = (TcpListener::bind("127.0.0.1:0").unwrap(), self.0.clone());
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut line = String::new();
                if BufReader::new(&stream).read_line(&mut line).unwrap_or(0) == 0 {
                    continue;
                }
                let mut held = held.lock().unwrap();
                held.called.push(line.split(' ').nth(1).unwrap_or_default().to_owned());
                if held.is_free { Self::answer(&stream) } else { held.waiting.push(stream) }
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

    fn let_go(&self) {
        let mut held = self.0.lock().unwrap();
        held.is_free = true;
        held.waiting.drain(..).for_each(|stream| Self::answer(&stream));
    }
}

#[test]
fn servers_that_hang_take_no_room_from_those_that_answer_and_nothing_is_lost() {
    const EACH: usize = 100;
    let hung: [Hung; 4] = std::array::from_fn(|_| Hung::default());
    let healthy = Target::new(&["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]);
    let rule = |n: usize, address: &str| {
        // Nothing times out while this test waits.
        format!("  R{n}: {{ when: {{ webhook: /{n} }}, then: [ {{ get: \"http://{address}/{{{{ body.n }}}}\", timeout: 5 minutes }} ] }}\n")
    };
    let hanging: String = hung.iter().enumerate().map(|(n, one)| rule(n, &one.start().to_string())).collect();
    let world = World::with(&format!("rules:\n{hanging}{}", rule(4, &healthy.address)));
    let doorbell = world.serve();
    // Together they have more calls than there is room for, and more than may wait in hand.
    for n in 0..EACH {
        for server in 0..hung.len() {
            doorbell.ring(&format!("/{server}"), &format!("{{\"n\": {n}}}"));
        }
    }
    until("each of them hangs with several calls", || hung.iter().all(|one| one.waiting() >= 8));
    let before: Vec<usize> = hung.iter().map(Hung::waiting).collect();
    for n in 0..10 {
        doorbell.ring("/4", &format!("{{\"n\": {n}}}"));
    }
    until("the server that answers is called", || healthy.calls.lock().unwrap().len() == 10);
    assert!(hung.iter().zip(before).all(|(one, before)| one.waiting() >= before), "the others hang as before");
    hung.iter().for_each(Hung::let_go);
    until("every run is done", || !world.said(&["events"]).contains("waiting"));
    let all: BTreeSet<String> = (0..EACH).map(|n| format!("/{n}")).collect();
    for one in &hung {
        let called = one.0.lock().unwrap().called.clone();
        assert_eq!((called.len(), called.into_iter().collect::<BTreeSet<_>>()), (EACH, all.clone()), "each once");
    }
}

#[test]
fn a_server_that_is_gone_is_left_alone_and_everybody_can_see_it() {
    let server = Gone::new();
    let gone = server.address();
    let world = World::with(&rules(&format!("http://{gone}/"), ", tries: 3"));
    let doorbell = world.serve();
    for n in 0..10 {
        doorbell.ring("/call", &format!("{{\"n\": {n}}}"));
    }
    let seen = format!("ready, 2 rules; no answer from {gone}, so calls there are paused\n");
    until("it is seen", || world.said(&["health", "--listen", &doorbell.address]) == seen);
    until("it is told", || {
        doorbell.logged("server did not answer several calls in a row; calls to it are paused for a while: the connection failed")
    });
    let event = doorbell.ring("/call", "{}");
    until("who comes now is told", || {
        world.said(&["explain", &event]).contains("did not answer several calls in a row, so calls to it are paused for a while")
    });
    doorbell.ring("/write", "{\"n\": 1}");
    until("others go on", || world.output("out.txt") == "1\n");
}

#[test]
fn who_dawdles_or_breaks_off_is_given_up_in_time() {
    type Talk = fn(std::net::TcpStream);
    let byte_by_byte: Talk = |mut stream| {
        let _ = stream.read(&mut [0; 1_000]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    };
    let half: Talk = |mut stream| {
        let _ = stream.read(&mut [0; 1_000]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
    };
    let garbage: Talk = |mut stream| {
        let _ = stream.read(&mut [0; 1_000]);
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n");
    };
    // Only who dawdles is waited for so long; who breaks off is given up at once, however busy the machine is.
    for (talk, timeout, said) in [
        (byte_by_byte, "300 milliseconds", "no answer within 0.3 seconds (given up after 1 try)"),
        (half, "2 minutes", "the connection was interrupted: "),
        (garbage, "2 minutes", "the connection was interrupted: "),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(talk));
        let world = World::with(&rules(&format!("http://{address}/"), &format!(", timeout: {timeout}, tries: 1")));
        let doorbell = world.serve();
        doorbell.ring("/call", "{}");
        until(said, || world.said(&["failed"]).contains(said));
    }
    // A server that speaks no TLS.
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = plain.local_addr().unwrap();
    thread::spawn(move || plain.incoming().map_while(Result::ok).for_each(garbage));
    let world = World::with(&rules(&format!("https://{address}/"), ", tries: 1"));
    let doorbell = world.serve();
    doorbell.ring("/call", "{}");
    until("it is given up", || world.said(&["failed"]).contains("the connection failed: "));
}
