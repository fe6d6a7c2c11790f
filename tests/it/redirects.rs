//! Redirects: when they are followed, and what another server gets.

use crate::harness::{Setup, Target, json, until};

fn rules(step: &str) -> String {
    format!("webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n{step}")
}

fn moved(status: u16, to: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
}

#[test]
fn redirects_are_reported_or_followed() {
    let target = Target::new(&[&moved(307, "/there"), &moved(307, "/there"), &json(200, "{}")]);
    let url = target.url("/here");
    let setup = Setup::with(&rules(&format!(
        "      - post: {url}\n        json: {{ a: 1 }}\n        on_error: continue\n      - post: {url}\n        json: {{ a: 2 }}\n        follow_redirects: true\n"
    )));
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", "{}");
    until("three calls arrived", || target.calls().len() == 3);
    assert_eq!((target.calls()[2].line.as_str(), target.calls()[2].body.as_str()), ("POST /there HTTP/1.1", r#"{"a":2}"#));
    until("it is shown", || {
        setup.printed(&["explain", &event]).contains("it has moved to /there; write that address, or `follow_redirects: true`")
    });
}

#[test]
fn only_see_other_turns_a_call_into_a_get() {
    for (status, line, body) in [
        (301, "POST /there HTTP/1.1", "hi"),
        (302, "POST /there HTTP/1.1", "hi"),
        (303, "GET /there HTTP/1.1", ""),
        (307, "POST /there HTTP/1.1", "hi"),
        (308, "POST /there HTTP/1.1", "hi"),
    ] {
        let target = Target::new(&[&moved(status, "/there"), &json(200, "{}")]);
        let setup =
            Setup::with(&rules(&format!("      - post: {}\n        text: hi\n        follow_redirects: true\n", target.url("/here"))));
        let doorbell = setup.serve();
        doorbell.deliver("/a", "{}");
        until("both calls arrived", || target.calls().len() == 2);
        let call = &target.calls()[1];
        assert_eq!((call.line.as_str(), call.body.as_str()), (line, body), "{status}");
        assert_eq!(call.header("idempotency-key"), target.calls()[0].header("idempotency-key"), "{status}");
    }
}

#[test]
fn another_server_gets_the_content_only_if_it_is_listed_and_never_the_credentials() {
    let step = |target: &Target, more: &str| {
        let url = target.url("/here");
        format!(
            "      - post: {url}\n        text: hi\n        headers: {{ X-Api-Key: k3y, Accept: text/csv }}\n        auth: {{ bearer: t0ken }}\n        tries: 1\n        follow_redirects: true\n{more}"
        )
    };
    let other = Target::new(&[&json(200, "{}")]);
    let target = Target::new(&[&moved(307, &other.url("/there"))]);
    let setup = Setup::with(&rules(&step(&target, "")));
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", "{}");
    let server = format!("http://{}", other.address);
    let why = format!(
        "it was redirected to another server, {server}, which does not get what the step sends; write that address into the step, or list it: hosts: [{server}]"
    );
    until("it has failed", || setup.printed(&["explain", &event]).contains(&why));
    assert_eq!(other.calls().len(), 0);
    doorbell.stop();

    // As the message says.
    setup.write("rules/rules.yaml", &rules(&step(&target, &format!("        hosts: [{server}]\n"))));
    let doorbell = setup.serve();
    doorbell.deliver("/a", "{}");
    until("the call arrived", || other.calls().len() == 1);
    let call = &other.calls()[0];
    assert_eq!((call.body.as_str(), call.header("accept")), ("hi", "text/csv"));
    assert!(!call.header("idempotency-key").is_empty());
    assert!(call.headers.iter().all(|(n, v)| n != "x-api-key" && n != "authorization" && !v.contains("k3y") && !v.contains("t0ken")));
}

#[test]
fn a_get_follows_to_another_server_without_key_and_credentials_and_gets_none_back_after_a_detour() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let target = Target::new(&[&moved(302, &format!("http://{address}/there")), &json(200, "{}")]);
    let back = target.url("/back");
    let detour = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = other.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        stream.write_all(moved(302, &back).as_bytes()).unwrap();
        String::from_utf8(request).unwrap().to_ascii_lowercase()
    });
    let setup = Setup::with(&rules(&format!(
        "      - get: {}\n        headers: {{ X-Api-Key: k3y }}\n        auth: {{ bearer: t0ken }}\n        follow_redirects: true\n",
        target.url("/here")
    )));
    let doorbell = setup.serve();
    doorbell.deliver("/a", "{}");
    until("the call came back", || target.calls().len() == 2);
    assert_eq!((target.calls()[0].header("authorization"), target.calls()[0].header("x-api-key")), ("Bearer t0ken", "k3y"));
    let seen = detour.join().unwrap();
    for name in ["authorization", "x-api-key", "idempotency-key"] {
        assert!(!seen.contains(name), "{seen}");
        assert!(target.calls()[1].headers.iter().all(|(n, _)| !n.eq_ignore_ascii_case(name)), "{name}");
    }
}

#[test]
fn no_redirect_leads_to_a_private_network_or_goes_on_for_ever() {
    let target = Target::new(&[
        &moved(307, "http://169.254.169.254/latest"),
        &moved(307, "http://[::ffff:10.0.0.1]/"),
        &moved(307, "file:///etc/passwd"),
        &moved(307, "/circle"),
    ]);
    let setup = Setup::with(&rules(&format!("      - post: {}\n        text: hi\n        follow_redirects: true\n", target.url("/here"))));
    let doorbell = setup.serve();
    for why in [
        "169.254.169.254 is in a private network",
        "10.0.0.1 is in a private network",
        "`file:` addresses cannot be called, only https and http",
        "it was redirected more than 3 times",
    ] {
        let event = doorbell.deliver("/a", "{}");
        until(why, || setup.printed(&["explain", &event]).contains(why));
    }
}
