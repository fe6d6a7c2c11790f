//! Hostile requests: each is answered or its connection is closed, and none crashes Doorbell or makes it hang.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::harness::{MAX_WAIT, Setup, parse_response};

const RULES: &str =
    "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    if: { body.x: 1 }\n    then: [ log: hi ]\n";

#[test]
fn strange_requests_are_answered_or_closed() {
    let setup = Setup::with(RULES);
    let doorbell = setup.serve();
    let json = |body: &str| {
        format!(
            "POST /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    };
    let deep = "[".repeat(100_000);
    let long = format!("POST /{} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "x".repeat(9_000));
    let many: String = (0..2_000).map(|n| format!("x{n}: y\r\n")).collect();
    for (name, bytes, allowed) in [
        ("CONNECT", b"CONNECT host:443 HTTP/1.1\r\nhost: host:443\r\nconnection: close\r\n\r\n".to_vec(), vec![400]),
        ("star", b"OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_vec(), vec![400, 404, 405]),
        ("absolute", b"POST http://x/a HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_vec(), vec![200]),
        ("authority", b"POST foo HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_vec(), vec![400]),
        ("no method", b"\0\0\0\0\r\n\r\n".to_vec(), vec![400, 0]),
        ("deep", json(&deep), vec![400]),
        ("huge number", json("{\"x\": 1e400}"), vec![200]),
        ("digits", json("{\"x\": 12345678901234567890123}"), vec![200]),
        ("surrogate", json("{\"x\": \"\\ud800\"}"), vec![200]),
        ("twice", json("{\"x\": 2, \"x\": 1}"), vec![200]),
        ("not UTF-8", [&json("{\"x\": \"?\"}")[..], b""].concat().iter().map(|b| if *b == b'?' { 0xff } else { *b }).collect(), vec![200]),
        ("long path", long.into_bytes(), vec![400, 404, 414]),
        ("NUL in the path", b"POST /a%00b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_vec(), vec![400]),
        ("dots in the path", b"POST /a/../b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_vec(), vec![404]),
        ("many headers", format!("POST /a HTTP/1.1\r\nhost: x\r\n{many}\r\n").into_bytes(), vec![431, 400, 0]),
        ("two lengths", b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".to_vec(), vec![400, 0]),
        (
            "smuggling",
            b"POST /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
                .to_vec(),
            vec![400, 200],
        ),
        ("too long", b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n".to_vec(), vec![413]),
    ] {
        let got = parse_response(&doorbell.raw(&bytes));
        assert!(allowed.contains(&got.status), "{name}: {got:?}");
    }
    assert_eq!(doorbell.post("/a", r#"{"x": 1}"#).status, 200, "it still answers");
    assert!(!doorbell.logged("panicked"));
}

#[test]
fn an_endless_body_is_cut_off() {
    let setup = Setup::with(RULES);
    let doorbell = setup.serve();
    let mut stream = TcpStream::connect(&doorbell.address).unwrap();
    stream.set_write_timeout(Some(MAX_WAIT)).unwrap();
    stream.write_all(b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
    let mut sent = 0;
    while sent < 64 << 20 && stream.write_all(&chunk).is_ok() {
        sent += chunk.len();
    }
    assert!(sent < 64 << 20, "everything was accepted");
    let mut answer = String::new();
    stream.set_read_timeout(Some(MAX_WAIT)).unwrap();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[test]
fn a_silent_connection_is_closed_and_keeps_nobody_out() {
    let setup = Setup::with(RULES);
    let doorbell = setup.serve();
    let mut silent = TcpStream::connect(&doorbell.address).unwrap();
    let mut half = TcpStream::connect(&doorbell.address).unwrap();
    half.write_all(b"PRI * HT").unwrap();
    for stream in [&mut silent, &mut half] {
        stream.set_read_timeout(Some(MAX_WAIT)).unwrap();
        let mut answer = Vec::new();
        // Doorbell closes or resets the connection; the test itself must not time out.
        match stream.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(e) => assert_ne!(e.kind(), std::io::ErrorKind::WouldBlock),
        }
    }
    assert_eq!(doorbell.post("/a", "{}").status, 200);
}

#[test]
fn doorbell_stops_in_time_despite_a_stalled_sender() {
    let setup = Setup::with(RULES);
    let doorbell = setup.serve_with(&["--grace", "1"]);
    let mut stalled = TcpStream::connect(&doorbell.address).unwrap();
    stalled.write_all(b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc").unwrap();
    doorbell.stop();
}
