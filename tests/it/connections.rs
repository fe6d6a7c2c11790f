//! Connections of unusual callers: bytes after a request, several requests at once, half-closed or silent connections, slow
//! bodies.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::harness::{Doorbell, MAX_WAIT, Setup, http2, until};

const RULES: &str = "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then: [ { append: out.txt, text: \"{{ body.n }}\" } ]\n";

fn post(version: &str, extra: &str, n: usize) -> String {
    let body = format!("{{\"n\":{n}}}");
    format!("POST /a HTTP/{version}\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{extra}\r\n{body}", body.len())
}

/// Reads until so many complete answers have arrived; returns their statuses.
fn answers(stream: &mut TcpStream, wanted: usize) -> Vec<u16> {
    stream.set_read_timeout(Some(MAX_WAIT)).unwrap();
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    let statuses =
        |text: &str| text.split("HTTP/1").skip(1).map(|a| a.split(' ').nth(1).unwrap_or("0").parse().unwrap_or(0)).collect::<Vec<u16>>();
    while statuses(&text).len() < wanted || !text.ends_with('}') {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => text.push_str(&String::from_utf8_lossy(&buffer[..length])),
            Err(e) => panic!("no answer arrived: {e}; so far: {text}"),
        }
    }
    statuses(&text)
}

#[test]
fn a_request_is_answered_whatever_bytes_follow_it() {
    let setup = Setup::with(RULES);
    let doorbell = setup.serve();
    let close = "Connection: close\r\n";
    for (n, (request, after)) in [
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
        // In one piece and in two.
        for pieces in [vec![format!("{request}{after}")], vec![request.clone(), after.to_owned()]] {
            let mut stream = TcpStream::connect(&doorbell.address).unwrap();
            pieces.iter().for_each(|piece| drop(stream.write_all(piece.as_bytes())));
            assert_eq!(answers(&mut stream, 1).first(), Some(&200), "request {n} with {after:?} after it");
        }
    }
    until("each is processed", || setup.output("out.txt").lines().count() == 16);
}

#[test]
fn pipelined_requests_are_answered_in_order_even_if_a_later_one_is_invalid() {
    let setup = Setup::with(RULES);
    let doorbell = setup.serve();
    let mut stream = TcpStream::connect(&doorbell.address).unwrap();
    let many: String = (0..20).map(|n| post("1.1", "", n)).collect();
    stream.write_all(many.as_bytes()).unwrap();
    assert_eq!(answers(&mut stream, 20), [200; 20]);
    let mut stream = TcpStream::connect(&doorbell.address).unwrap();
    stream.write_all(format!("{}POST /a HTTP/1.1\r\nBad Header\r\n\r\n", post("1.1", "", 20)).as_bytes()).unwrap();
    assert_eq!(answers(&mut stream, 1)[0], 200);
    until("all are processed", || setup.output("out.txt").lines().count() == 21);
}

#[test]
fn a_connection_that_was_idle_for_a_while_is_served_whatever_it_was_in_the_middle_of() {
    let setup = Setup::with(RULES);
    let doorbell = setup.serve();
    // Idle connections are given up by the HTTP library after half a second, and taken up again.
    let pause = || std::thread::sleep(std::time::Duration::from_millis(1_300));
    let (first, second) = (post("1.1", "", 1), post("1.1", "", 2));
    let (head, body) = second.split_at(second.find("\r\n\r\n").unwrap() + 4);
    let (line, rest) = second.split_at(9);
    let cases: [&[&str]; 6] = [
        &[&first, &second],
        &[&format!("{first}{line}"), rest],
        &[&format!("{first}{head}"), body],
        &[&first, line, rest],
        &[&first, head, body],
        &[&first, "\r\n", &second],
    ];
    let connections: Vec<TcpStream> = cases.iter().map(|_| TcpStream::connect(&doorbell.address).unwrap()).collect();
    for n in 0..3 {
        for (mut stream, pieces) in connections.iter().zip(cases) {
            stream.write_all(pieces.get(n).unwrap_or(&"").as_bytes()).unwrap();
        }
        pause();
    }
    for (n, mut stream) in connections.into_iter().enumerate() {
        assert_eq!(answers(&mut stream, 2), [200, 200], "{:?}", cases[n]);
    }
    until("each is processed", || setup.output("out.txt").lines().count() == 2 * cases.len());
    // One that is idle does not keep Doorbell from stopping.
    let mut idle = TcpStream::connect(&doorbell.address).unwrap();
    idle.write_all(first.as_bytes()).unwrap();
    assert_eq!(answers(&mut idle, 1), [200]);
    pause();
    doorbell.stop();
    assert_eq!(idle.read(&mut [0; 9]).unwrap_or(0), 0, "it is closed");
}

#[test]
fn a_caller_that_half_closes_its_connection_is_answered() {
    let setup = Setup::with(RULES);
    let doorbell = setup.serve();
    for n in 0..20 {
        let mut stream = TcpStream::connect(&doorbell.address).unwrap();
        stream.write_all(post("1.1", "", n).as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(answers(&mut stream, 1), [200]);
    }
    until("each is processed", || setup.output("out.txt").lines().count() == 20);
}

#[test]
fn a_request_must_name_exactly_one_host() {
    let setup = Setup::with(RULES);
    let doorbell = setup.serve();
    let post = |version: &str, hosts: &[&str]| {
        let hosts: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
        let head = format!("POST /a HTTP/{version}\r\n{hosts}Connection: close\r\nContent-Length: 2\r\n\r\n{{}}");
        crate::harness::parse_response(&doorbell.raw(head.as_bytes())).status
    };
    for (version, hosts, status) in [
        ("1.1", vec!["x"], 200),
        ("1.1", vec!["x:8080"], 200),
        ("1.1", vec!["[::1]:8080"], 200),
        ("1.1", vec![""], 200),
        ("1.0", vec![], 200),
        ("1.0", vec!["x"], 200),
        ("1.1", vec![], 400),
        ("1.1", vec!["x", "x"], 400),
        ("1.1", vec!["x", "y"], 400),
        ("1.1", vec!["x y"], 400),
        ("1.1", vec!["x, y"], 400),
        ("1.0", vec!["x", "y"], 400),
    ] {
        assert_eq!(post(version, &hosts), status, "HTTP/{version} {hosts:?}");
    }
    let said = "{\"status\":\"refused\",\"message\":\"The request must name one host, in one Host header.\"}";
    assert!(doorbell.raw(b"POST /a HTTP/1.1\r\nConnection: close\r\n\r\n").ends_with(said));
}

/// The status of a request over HTTP/2, or how it ended without one.
fn over_http2(doorbell: &Doorbell, headers: &[(&str, &str)]) -> String {
    let mut stream = TcpStream::connect(&doorbell.address).unwrap();
    stream.set_read_timeout(Some(MAX_WAIT)).unwrap();
    stream.write_all(&http2(headers, b"{}")).unwrap();
    // HPACK encodes a common status as an index (RFC 7541, appendix A).
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).is_err() {
            return "closed".to_owned();
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).unwrap();
        match (head[3], payload.first()) {
            (1, Some(0x88)) => return "200".to_owned(),
            (1, Some(0x8c)) => return "400".to_owned(),
            (1, _) => return "another".to_owned(),
            (3, _) => return "reset".to_owned(),
            (7, _) => return "closed".to_owned(),
            _ => {}
        }
    }
}

#[test]
fn requests_over_http_2_follow_the_same_rules_as_over_http_1() {
    let setup = Setup::with(RULES);
    let doorbell = setup.serve();
    let ask = |more: &[(&str, &str)]| {
        let mut headers = vec![(":method", "POST"), (":scheme", "http"), (":path", "/a")];
        headers.extend(more);
        over_http2(&doorbell, &headers)
    };
    assert_eq!(ask(&[(":authority", "x")]), "200");
    assert_eq!(ask(&[("host", "x")]), "200");
    assert_eq!(ask(&[(":authority", "x"), ("host", "X")]), "200");
    for more in [vec![], vec![("host", "x"), ("host", "x")], vec![(":authority", "x"), ("host", "y")]] {
        assert_eq!(ask(&more), "400", "{more:?}");
    }
    let names: Vec<String> = (0..101).map(|n| format!("x-{n}")).collect();
    let many = |count: usize| {
        let mut headers = vec![(":authority", "x")];
        headers.extend(names.iter().take(count).map(|name| (name.as_str(), "v")));
        ask(&headers)
    };
    assert_eq!(many(100), "200", "100 headers are accepted");
    assert_ne!(many(101), "200");
}

#[test]
fn announcing_a_large_body_takes_no_room_from_others() {
    let setup = Setup::with(
        &RULES
            .replace("rules:\n", "  /big: { verify: none, max_body: 100 MB }\nrules:\n")
            .replace("when: { webhook: /a }", "when: [ { webhook: /a }, { webhook: /big } ]"),
    );
    let doorbell = setup.serve();
    let claim = |path: &str, size: &str| {
        let mut stream = TcpStream::connect(&doorbell.address).unwrap();
        write!(stream, "POST {path} HTTP/1.1\r\nHost: x\r\n{size}\r\n\r\n").unwrap();
        stream
    };
    let mut claims: Vec<TcpStream> = (0..260).map(|_| claim("/a", "Content-Length: 1048576")).collect();
    claims.extend((0..260).map(|_| claim("/a", "Transfer-Encoding: chunked")));
    claims.extend((0..5).map(|_| claim("/big", "Content-Length: 104857600")));
    claims.extend((0..5).map(|_| claim("/big", "Transfer-Encoding: chunked")));
    // These callers come after all of those and are still answered.
    assert_eq!(doorbell.post("/a", "{\"n\": 1}").status, 200);
    assert_eq!(doorbell.post("/big", &format!("{{\"n\": \"{}\"}}", "x".repeat(3 << 20))).status, 200);
    drop(claims);
}

#[test]
fn one_slow_caller_with_large_bodies_leaves_room_for_others() {
    let setup = Setup::with(RULES);
    let doorbell = setup.serve_with(&["--trusted-proxies", "127.0.0.1"]);
    let send = |ip: &str, body: &[u8], length: usize| {
        let mut stream = TcpStream::connect(&doorbell.address).unwrap();
        let head = format!("POST /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-For: {ip}\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let _ = stream.write_all(body);
        stream
    };
    let most = vec![b'x'; (1 << 20) - 1];
    let is_rejected = |stream: &TcpStream| {
        stream.set_nonblocking(true).unwrap();
        let mut head = [0; 12];
        stream.peek(&mut head).is_ok_and(|n| head[..n].ends_with(b"503"))
    };
    // One caller may send 128 MB at a time; each of these sends a MB without its last byte. A body that stalls for 10 seconds is
    // dropped, so a slow machine needs more of them.
    let mut slow: Vec<TcpStream> = Vec::new();
    until("bodies above its share are rejected", || {
        slow.extend((0..16).map(|_| send("203.0.113.1", &most, 1 << 20)));
        slow.iter().filter(|stream| is_rejected(stream)).count() >= 16
    });
    let mut other = send("203.0.113.2", &[most.as_slice(), b"x"].concat(), 1 << 20);
    assert_eq!(answers(&mut other, 1), [200]);
}

#[test]
fn silent_connections_keep_nobody_out() {
    let setup = Setup::with(RULES);
    let doorbell = setup.serve_with(&["--max-connections", "40"]);
    let connect = |first: &str| {
        let mut stream = TcpStream::connect(&doorbell.address).unwrap();
        stream.write_all(first.as_bytes()).unwrap();
        stream
    };
    // Silent, in the middle of the headers, or in the middle of the HTTP/2 preface.
    let idle: Vec<TcpStream> = (0..120).map(|n| connect(["", "POST /a HTTP/1.1\r\nA: ", "PRI * HT"][n % 3])).collect();
    for n in 0..10 {
        assert_eq!(doorbell.post("/a", &format!("{{\"n\": {n}}}")).status, 200);
    }
    drop(idle);
    until("each is processed", || setup.output("out.txt").lines().count() == 10);
}

#[test]
fn one_caller_cannot_open_more_connections_than_allowed() {
    let setup = Setup::with(RULES);
    let doorbell = setup.serve_with(&["--max-connections-per-caller", "5"]);
    let mut all: Vec<TcpStream> = (0..5).map(|_| TcpStream::connect(&doorbell.address).unwrap()).collect();
    all[0].write_all(post("1.1", "", 1).as_bytes()).unwrap();
    assert_eq!(answers(&mut all[0], 1), [200]);
    let mut sixth = TcpStream::connect(&doorbell.address).unwrap();
    let _ = sixth.write_all(post("1.1", "", 2).as_bytes());
    assert_eq!(answers_or_none(&mut sixth), Vec::<u16>::new(), "it is closed");
    drop(all.pop());
    until("another connection is allowed", || {
        let mut another = TcpStream::connect(&doorbell.address).unwrap();
        let _ = another.write_all(post("1.1", "", 3).as_bytes());
        answers_or_none(&mut another) == [200]
    });
}

/// Like `answers` for one answer, but the connection may be closed instead.
fn answers_or_none(stream: &mut TcpStream) -> Vec<u16> {
    stream.set_read_timeout(Some(MAX_WAIT)).unwrap();
    let mut buffer = [0; 4096];
    match stream.read(&mut buffer) {
        Ok(length) => String::from_utf8_lossy(&buffer[..length]).split(' ').nth(1).and_then(|s| s.parse().ok()).into_iter().collect(),
        Err(_) => Vec::new(),
    }
}
