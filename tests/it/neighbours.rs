//! Bad neighbours: servers that hang, dawdle, break off or are gone. They are given up in time and hold up nobody else.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use crate::world::{Gone, World, until};

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

#[test]
fn a_server_that_is_gone_is_left_alone_and_everybody_can_see_it() {
    let server = Gone::new();
    let gone = server.address();
    let world = World::with(&rules(&format!("http://{gone}/"), ", tries: 3"));
    let doorbell = world.serve();
    for n in 0..10 {
        doorbell.ring("/call", &format!("{{\"n\": {n}}}"));
    }
    let seen = format!("ready, 2 rules; no answer from {gone}, so calls there wait\n");
    until("it is seen", || world.said(&["health", "--listen", &doorbell.address]) == seen);
    until("it is told", || doorbell.logged("it did not answer several times and is left alone for a while: no connection"));
    let event = doorbell.ring("/call", "{}");
    until("who comes now is told", || {
        world.said(&["explain", &event]).contains("did not answer several times, so it is left alone for a while")
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
        (half, "2 minutes", "the connection broke: "),
        (garbage, "2 minutes", "the connection broke: "),
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
    until("it is given up", || world.said(&["failed"]).contains("no connection: "));
}
