//! What a sender gets as an answer: success, the reason for a rejection, or an answer of the address; and `doorbell health`.

use crate::harness::{Setup, until};

const OPEN: &str = "webhooks:\n  /a: { verify: none, max_body: 100 bytes }\nrules:\n  A:\n    when: { webhook: /a }\n    if: { body.kind: order }\n    then: [ { append: a.log, text: \"{{ body.id }}\" } ]\n";

#[test]
fn an_event_is_answered_once_it_is_saved_and_ignored_if_no_rule_wants_it() {
    let setup = Setup::with(OPEN);
    let doorbell = setup.serve();
    let got = doorbell.post("/a", r#"{"kind": "order", "id": 7}"#);
    assert_eq!((got.status, got.body.as_str()), (200, r#"{"status":"success"}"#));
    assert_eq!(got.header("doorbell-event").len(), 36);
    let got = doorbell.post("/a/", r#"{"kind": "other"}"#);
    assert_eq!((got.status, got.body.as_str()), (200, r#"{"status":"ignored"}"#));
    until("the line is written", || setup.output("a.log") == "7\n");
}

#[test]
fn a_request_that_cannot_be_accepted_is_rejected_with_the_reason() {
    let setup = Setup::with(OPEN);
    let doorbell = setup.serve();
    let rejected = |said: &str| serde_json::json!({"status": "refused", "message": said}).to_string();
    let json = [("content-type", "application/json")];
    for (method, path, body, status, said) in [
        ("POST", "/b", "{}", 404, "No rule uses this address."),
        ("GET", "/a", "", 405, "This address accepts POST."),
        ("POST", "/a", "{\"a\":\n x}", 400, "The body is declared as JSON, but it cannot be read: expected value, at line 2 column 2."),
        ("POST", "/a", &"x".repeat(101), 413, "The body is larger than 100 bytes."),
    ] {
        let got = doorbell.send(method, path, &json, body.as_bytes());
        assert_eq!((got.status, got.body.as_str()), (status, rejected(said).as_str()), "{method} {path}");
        assert_eq!(got.header("doorbell-request").len(), 36);
    }
    assert_eq!(doorbell.send("GET", "/a", &[], b"").header("allow"), "POST");
    assert_eq!(doorbell.send("POST", "/a", &json, "x".repeat(100).as_bytes()).status, 400, "a body as large as the limit is accepted");
}

#[test]
fn a_sender_that_cannot_be_verified_is_denied_without_a_reason() {
    let rules = "webhooks:\n  /bearer: { verify: { bearer: \"{{ secret.TOKEN }}\" } }\n  /basic: { verify: { basic: { user: shop, password: \"{{ secret.TOKEN }}\" } } }\n  /token: { verify: { token: { header: X-Token, value: \"{{ secret.TOKEN }}\" } } }\n  /github: { verify: { github: \"{{ secret.HOOK }}\" } }\n  /two: { verify: [ { bearer: \"{{ secret.TOKEN }}\" }, { bearer: \"{{ secret.HOOK }}\" } ] }\nrules:\n  A:\n    when: [ { webhook: /bearer }, { webhook: /basic }, { webhook: /token }, { webhook: /github }, { webhook: /two } ]\n    then: [ log: hi ]\n";
    let setup = Setup::with(rules).env("TOKEN", "open sesame").env("HOOK", "It's a Secret to Everybody");
    let doorbell = setup.serve();
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let body = b"Hello, World!";
    for (path, header, value, status) in [
        ("/bearer", "Authorization", "Bearer open sesame", 200),
        ("/bearer", "Authorization", "bearer open sesame", 200),
        ("/bearer", "Authorization", "Bearer open sesam", 401),
        ("/bearer", "Authorization", "open sesame", 401),
        ("/bearer", "X", "y", 401),
        ("/basic", "Authorization", "Basic c2hvcDpvcGVuIHNlc2FtZQ==", 200),
        ("/basic", "Authorization", "Basic c2hvcDpvcGVuIHNlc2FtZT==", 401),
        ("/token", "x-token", "open sesame", 200),
        ("/token", "x-token", "", 401),
        ("/github", "X-Hub-Signature-256", signature, 200),
        ("/github", "X-Hub-Signature-256", &signature.replace("75", "76"), 401),
        ("/github", "X-Hub-Signature", "sha1=00", 401),
        ("/two", "Authorization", "Bearer It's a Secret to Everybody", 200),
    ] {
        let got = doorbell.send("POST", path, &[(header, value)], body);
        assert_eq!(got.status, status, "{path} {header}: {value}");
        if status == 401 {
            assert_eq!(got.body, r#"{"status":"refused","message":"denied"}"#);
        }
    }
    // The sender is verified before the body is read.
    let got = doorbell.send("POST", "/bearer", &[("content-type", "application/json")], b"{broken");
    assert_eq!(got.status, 401);
    until("the reason is in the log", || doorbell.logged("the header authorization contains a different secret"));
    assert!(!doorbell.logged("open sesame"));
}

#[test]
fn an_address_can_have_its_own_answer() {
    let rules = "webhooks:\n  /a: { verify: none, method: [PUT, POST], answer: { status: 202, json: { ok: true, status: taken }, headers: { X-Shop: berlin } } }\n  /t: { verify: none, answer: { text: thanks } }\nrules:\n  A:\n    when: [ { webhook: /a }, { webhook: /t } ]\n    if: { body.x: 1 }\n    then: [ log: hi ]\n";
    let setup = Setup::with(rules);
    let doorbell = setup.serve();
    let got = doorbell.send("PUT", "/a", &[("content-type", "application/json")], br#"{"x": 1}"#);
    assert_eq!((got.status, got.body.as_str(), got.header("x-shop")), (202, r#"{"ok":true,"status":"taken"}"#, "berlin"));
    assert_eq!(doorbell.post("/a", "{}").body, r#"{"ok":true,"status":"ignored"}"#);
    let got = doorbell.post("/t", r#"{"x": 1}"#);
    assert_eq!((got.body.as_str(), got.header("content-type")), ("thanks", "text/plain; charset=utf-8"));
}

#[test]
fn health_shows_whether_doorbell_is_ready() {
    let setup = Setup::with(OPEN);
    let doorbell = setup.serve();
    assert_eq!(doorbell.send("GET", "/health/live", &[], b"").status, 200);
    let got = doorbell.send("GET", "/health/ready", &[], b"");
    assert_eq!((got.status, got.body.as_str()), (200, r#"{"status":"ready"}"#));
    let health = |more: &[&str]| setup.printed(&[&["health", "--listen", &doorbell.address], more].concat());
    assert_eq!(health(&[]), "ready, 1 rule\n");
    assert_eq!(
        health(&["--json"]),
        "{\"status\":\"ready\",\"rules\":1,\"problems\":[],\"silent\":[],\"wanting\":[],\"down\":[],\"cannot_save\":false}\n"
    );
    assert_eq!(health(&["--data", "elsewhere"]), "ready\n", "without the data folder, the command shows only what everybody may see");
    let address = doorbell.address.clone();
    doorbell.stop();
    let out = setup.run(&["health", "--listen", &address]);
    assert_eq!(out.status.code(), Some(2));
}

#[test]
fn two_doorbells_cannot_use_the_same_folder() {
    let setup = Setup::with(OPEN);
    let first = setup.serve();
    let out = setup.run(&["serve", "--listen", "127.0.0.1:0", "--output", "other"]);
    let said = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(2));
    let id = first.child.id();
    assert_eq!(
        said,
        format!("doorbell: another Doorbell (process {id}) is using the data folder data; stop it, or choose another folder with --data\n")
    );
    let out = setup.run(&["serve", "--listen", "127.0.0.1:0", "--data", "other"]);
    assert!(String::from_utf8(out.stderr).unwrap().contains("is using the output folder"));
}
