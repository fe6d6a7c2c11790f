//! Connections as all kinds of callers use them: what stands behind a request, several at once, closed by half.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::world::{World, until};

const RULES: &str = "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then: [ { append: out.txt, text: \"{{ body.n }}\" } ]\n";

fn post(version: &str, extra: &str, n: usize) -> String {
    let body = format!("{{\"n\":{n}}}");
    format!("POST /a HTTP/{version}\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{extra}\r\n{body}", body.len())
}

/// Reads until so many answers have come whole; gives their statuses.
fn answers(stream: &mut TcpStream, wanted: usize) -> Vec<u16> {
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    let statuses =
        |text: &str| text.split("HTTP/1").skip(1).map(|a| a.split(' ').nth(1).unwrap_or("0").parse().unwrap_or(0)).collect::<Vec<u16>>();
    while statuses(&text).len() < wanted || !text.ends_with('}') {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => text.push_str(&String::from_utf8_lossy(&buffer[..length])),
            Err(e) => panic!("no answer came: {e}; so far: {text}"),
        }
    }
    statuses(&text)
}

#[test]
fn a_request_is_answered_whatever_stands_behind_it() {
    let world = World::with(RULES);
    let doorbell = world.serve();
    let close = "Connection: close\r\n";
    for (n, (request, behind)) in [
        (post("1.1", close, 0), "\r\n"),
        (post("1.1", close, 1), "\n"),
        (post("1.1", "", 2), "\r\n"),
        (post("1.1", "", 3), "\r\n\r\n"),
        (post("1.0", "", 4), "\r\n"),
        (post("1.1", close, 5), "POST /a HTTP/1.1\r\n"),
        (post("1.1", "", 6), "POST /a HT"),
        (post("1.1", "", 7), "\0\u{1}garbage"),
    ]
    .into_iter()
    .enumerate()
    {
        // In one piece, and in two.
        for pieces in [vec![format!("{request}{behind}")], vec![request.clone(), behind.to_owned()]] {
            let mut stream = TcpStream::connect(&doorbell.address).unwrap();
            pieces.iter().for_each(|piece| drop(stream.write_all(piece.as_bytes())));
            assert_eq!(answers(&mut stream, 1).first(), Some(&200), "request {n} with {behind:?} behind it");
        }
    }
    until("each is done", || world.output("out.txt").lines().count() == 16);
}

#[test]
fn requests_in_one_go_are_answered_in_order_and_a_bad_one_does_not_take_the_answers_of_those_before() {
    let world = World::with(RULES);
    let doorbell = world.serve();
    let mut stream = TcpStream::connect(&doorbell.address).unwrap();
    let many: String = (0..20).map(|n| post("1.1", "", n)).collect();
    stream.write_all(many.as_bytes()).unwrap();
    assert_eq!(answers(&mut stream, 20), [200; 20]);
    let mut stream = TcpStream::connect(&doorbell.address).unwrap();
    stream.write_all(format!("{}POST /a HTTP/1.1\r\nBad Header\r\n\r\n", post("1.1", "", 20)).as_bytes()).unwrap();
    assert_eq!(answers(&mut stream, 1)[0], 200);
    until("all are done", || world.output("out.txt").lines().count() == 21);
}

#[test]
fn a_caller_who_closes_its_half_is_answered() {
    let world = World::with(RULES);
    let doorbell = world.serve();
    for n in 0..20 {
        let mut stream = TcpStream::connect(&doorbell.address).unwrap();
        stream.write_all(post("1.1", "", n).as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(answers(&mut stream, 1), [200]);
    }
    until("each is done", || world.output("out.txt").lines().count() == 20);
}
