//! Handshakes: requests by which senders check an address before they use it. They are answered and make no event.

use std::os::unix::fs::PermissionsExt;

use crate::harness::{Setup, until};
use crate::senders::sign;

/// Rules for one address with this `verify:`.
fn rules(verify: &str) -> String {
    format!(
        "webhooks:\n  /hook: {{ public_url: https://hooks.example.com, verify: {verify} }}\nrules:\n  All:\n    when: {{ webhook: /hook }}\n    then: [{{ log: hi }}]\n"
    )
}

#[test]
fn a_signed_handshake_is_answered_and_makes_no_event() {
    for (sender, secret, signed, headers, body, kind, answer) in [
        (
            "slack",
            "s3",
            "v0:TS:BODY",
            [("x-slack-signature", "v0=SIG"), ("x-slack-request-timestamp", "TS"), ("x", "y")],
            r#"{"type":"url_verification","challenge":"3eZ<b>"}"#,
            "text/plain",
            "3eZ<b>".to_owned(),
        ),
        (
            "zoom",
            "z3",
            "v0:TS:BODY",
            [("x-zm-signature", "v0=SIG"), ("x-zm-request-timestamp", "TS"), ("x", "y")],
            r#"{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8"}}"#,
            "application/json",
            format!(r#"{{"plainToken":"qgg8","encryptedToken":"{}"}}"#, sign(b"z3", "qgg8")),
        ),
        (
            "twitch",
            "t3",
            "m1TSBODY",
            [
                ("twitch-eventsub-message-signature", "sha256=SIG"),
                ("twitch-eventsub-message-timestamp", "TS"),
                ("twitch-eventsub-message-type", "webhook_callback_verification"),
            ],
            r#"{"challenge":"pogchamp"}"#,
            "text/plain",
            "pogchamp".to_owned(),
        ),
    ] {
        let setup = Setup::with(&rules(&format!("{{ {sender}: \"{{{{ secret.HOOK }}}}\" }}"))).env("HOOK", secret);
        let doorbell = setup.serve();
        let now = jiff::Timestamp::now();
        let time = if sender == "twitch" { now.to_string() } else { now.as_second().to_string() };
        let tag = sign(secret.as_bytes(), &signed.replace("TS", &time).replace("BODY", body));
        let filled: Vec<(&str, String)> = headers.iter().map(|(n, v)| (*n, v.replace("SIG", &tag).replace("TS", &time))).collect();
        let mut sent: Vec<(&str, &str)> = filled.iter().map(|(n, v)| (*n, v.as_str())).collect();
        sent.extend([("content-type", "application/json"), ("twitch-eventsub-message-id", "m1")]);
        let got = doorbell.send("POST", "/hook", &sent, body.as_bytes());
        assert_eq!(
            (got.status, got.header("content-type"), &got.body),
            (200, kind, &answer),
            "{sender}: {got:?} {}",
            doorbell.log.lock().unwrap()
        );
        assert_eq!((got.header("x-content-type-options"), got.header("doorbell-event")), ("nosniff", ""));
        // The same handshake without a signature is denied and reveals nothing.
        let got = doorbell.send("POST", "/hook", &[("content-type", "application/json")], body.as_bytes());
        assert_eq!(got.status, 401);
        assert!(!got.body.contains("3eZ") && !got.body.contains("qgg8") && !got.body.contains("pogchamp"));
        assert!(setup.printed(&["events"]).contains("No events have been received yet."));
    }
}

#[test]
fn an_unsigned_handshake_is_answered_only_for_its_own_method() {
    let rules = |sender: &str| rules(&format!("{{ {sender}: \"{{{{ secret.HOOK }}}}\" }}"));
    let setup = Setup::with(&rules("dropbox")).env("HOOK", "x");
    let doorbell = setup.serve();
    let got = doorbell.send("GET", "/hook?challenge=abc%3Cb%3E", &[], b"");
    assert_eq!(
        (got.status, got.header("content-type"), got.header("x-content-type-options"), got.body.as_str()),
        (200, "text/plain", "nosniff", "abc<b>")
    );
    assert_eq!(doorbell.send("GET", &format!("/hook?challenge={}", "a".repeat(1_025)), &[], b"").status, 401);
    assert_eq!(doorbell.send("GET", "/hook", &[], b"").status, 401);
    assert_eq!(doorbell.send("GET", "/hook", &[("x-dropbox-signature", &sign(b"x", ""))], b"").status, 405);
    assert_eq!(doorbell.send("PUT", "/hook?challenge=abc", &[], b"").status, 405);
    assert_eq!(doorbell.send("POST", "/hook?challenge=abc", &[], b"").status, 401);
    assert_eq!(doorbell.send("POST", "/hook", &[("x-dropbox-signature", &sign(b"x", "{}"))], b"{}").status, 200);
    let setup = Setup::with(&rules("trello")).env("HOOK", "x");
    let doorbell = setup.serve();
    assert_eq!(doorbell.send("HEAD", "/hook", &[], b"").status, 200);
    assert_eq!(doorbell.send("GET", "/hook", &[], b"").status, 405);
}

#[test]
fn a_handshake_with_a_verify_token_is_answered_only_for_that_token() {
    let verify = "{ meta: { secret: \"{{ secret.HOOK }}\", verify_token: \"{{ secret.TOKEN }}\" } }";
    let setup = Setup::with(&rules(verify)).env("HOOK", "x").env("TOKEN", "meatyhamhock");
    let doorbell = setup.serve();
    let got = doorbell.send("GET", "/hook?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=meatyhamhock", &[], b"");
    assert_eq!((got.status, got.header("content-type"), got.body.as_str()), (200, "text/plain", "1158201444"));
    let got = doorbell.send("GET", "/hook?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=meatyham", &[], b"");
    assert_eq!((got.status, got.body.contains("1158201444")), (401, false));
    until("the reason is logged", || doorbell.logged("the query parameter hub.verify_token is different from the one in the rule file"));
    assert_eq!(doorbell.send("GET", "/hook?hub.mode=subscribe&hub.challenge=1", &[], b"").status, 401);
    let signature = format!("sha256={}", sign(b"x", "{}"));
    assert_eq!(doorbell.send("POST", "/hook", &[("x-hub-signature-256", &signature)], b"{}").status, 200);
    // Without `verify_token` in the rule file, no handshake is answered.
    let setup = Setup::with(&rules("{ meta: \"{{ secret.HOOK }}\" }")).env("HOOK", "x");
    let got = setup.serve().send("GET", "/hook?hub.mode=subscribe&hub.challenge=1&hub.verify_token=", &[], b"");
    assert_eq!(got.status, 401);
}

#[test]
fn a_validation_token_in_the_query_is_returned_decoded() {
    let setup = Setup::with(&rules("{ microsoft_graph: \"{{ secret.HOOK }}\" }")).env("HOOK", "state");
    let doorbell = setup.serve();
    let got = doorbell.send("POST", "/hook?validationToken=Validation%3A+Testing+client%20%3Cb%3E", &[("content-type", "text/plain")], b"");
    assert_eq!(
        (got.status, got.header("content-type"), got.header("x-content-type-options"), got.body.as_str()),
        (200, "text/plain", "nosniff", "Validation: Testing client <b>")
    );
    let changes = |state: &str| format!("{{\"value\":[{{\"clientState\":\"state\"}},{{\"clientState\":\"{state}\"}}]}}");
    assert_eq!(doorbell.post("/hook", &changes("state")).status, 200);
    assert_eq!(doorbell.post("/hook", &changes("other")).status, 401);
    assert_eq!(doorbell.post("/hook", "{\"value\":[]}").status, 401);
}

#[test]
fn a_handshake_signs_a_token_but_never_an_event() {
    let setup = Setup::with(&rules("{ x: \"{{ secret.HOOK }}\" }")).env("HOOK", "consumer");
    let doorbell = setup.serve();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"consumer");
    let tag = |text: &str| {
        let tag = ring::hmac::sign(&key, text.as_bytes());
        format!("sha256={}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, tag))
    };
    let handshake = |token: &str| doorbell.send("GET", &format!("/hook?crc_token={token}"), &[], b"");
    let got = handshake("challenge");
    assert_eq!((got.status, got.body), (200, format!("{{\"response_token\":\"{}\"}}", tag("challenge"))));
    let post = |body: &str| doorbell.send("POST", "/hook", &[("x-twitter-webhooks-signature", &tag(body))], body.as_bytes()).status;
    assert_eq!(post(r#"{"tweet":"x"}"#), 200);
    // Nobody can get an event signed: text that looks like an event is not signed, and a signed token is not accepted as an event.
    for (token, body) in [("%7B%22tweet%22%3A%22x%22%7D", r#"{"tweet":"x"}"#), ("a%3D1", "a=1"), ("%5B%5D", "[]")] {
        let got = handshake(token);
        assert_eq!((got.status, got.body.contains(&tag(body))), (401, false));
    }
    assert_eq!((handshake("123").status, post("123")), (200, 401));
    until("the reason is logged", || doorbell.logged("only a token is signed, as in the replies to handshakes at this address"));
}

#[test]
fn a_handshake_can_be_described_in_a_rule_file() {
    let verify = r#"
      custom:
        secret: "{{ secret.HOOK }}"
        algorithm: hmac-sha256
        signature: { from: "header:X-Signature" }
      handshake:
        when: { method: GET, query: challenge_code }
        reply: { status: 202, headers: { X-Mine: "{query:challenge_code}" }, json: { challengeResponse: "{sha256_hex(query:challenge_code+url)}", n: 1 } }"#;
    let setup = Setup::with(
        &rules(verify)
            .replace(
                "/hook: { public_url: https://hooks.example.com, verify: ",
                "/hook:\n    public_url: https://hooks.example.com\n    verify: ",
            )
            .replace(" }\nrules:", "\nrules:"),
    )
    .env("HOOK", "se");
    let doorbell = setup.serve();
    let got = doorbell.send("GET", "/hook?challenge_code=a8", &[], b"");
    let expected = doorbell::model::hash::hash(b"a8https://hooks.example.com/hook?challenge_code=a8");
    let expected = format!("{{\"challengeResponse\":\"{expected}\",\"n\":1}}");
    assert_eq!((got.status, got.header("x-mine"), got.body.as_str()), (202, "a8", expected.as_str()));
    // A token with a line break, which could add a header, is denied.
    assert_eq!(doorbell.send("GET", "/hook?challenge_code=a%0d%0ax-evil:1", &[], b"").status, 401);
}

#[test]
fn a_secret_that_a_sender_hands_over_is_saved_once_and_then_used() {
    for (sender, header, body, signature) in [
        ("asana", Some("b537207f20cbfa02"), "{}", "x-hook-signature"),
        ("notion", None, r#"{"verification_token":"b537207f20cbfa02"}"#, "x-notion-signature"),
    ] {
        let setup = Setup::with(&rules(&format!("{{ {sender}: \"{{{{ secret.HOOK_SECRET }}}}\" }}")));
        let said = setup.printed(&["check"]);
        assert!(said.contains("warning: the secret HOOK_SECRET is not set, so this address waits until"), "{said}");
        let doorbell = setup.serve();
        assert_eq!(doorbell.post("/hook", r#"{"events":[]}"#).status, 401);
        let hand_over = |secret: &str| {
            let headers = [("content-type", "application/json"), ("x-hook-secret", secret)];
            doorbell.send("POST", "/hook", &headers[..if header.is_some() { 2 } else { 1 }], body.as_bytes())
        };
        let got = hand_over(header.unwrap_or_default());
        assert_eq!((got.status, got.header("x-hook-secret")), (200, header.unwrap_or_default()), "{got:?}");
        let saved = setup.path("data/secrets/HOOK_SECRET");
        assert_eq!(std::fs::read_to_string(&saved).unwrap(), "b537207f20cbfa02");
        assert_eq!(saved.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        // Nobody can replace it, neither now nor later.
        assert_eq!(hand_over("another").status, 401);
        until("it is logged", || doorbell.logged("and saved in data/secrets/HOOK_SECRET, which only you can read"));
        assert!(!doorbell.logged("b537207f20cbfa02"));
        let tag = sign(b"b537207f20cbfa02", "{\"a\":1}");
        let tag = if sender == "notion" { format!("sha256={tag}") } else { tag };
        until("the secret is used", || doorbell.send("POST", "/hook", &[(signature, &tag)], b"{\"a\":1}").status == 200);
        assert_eq!(hand_over("another").status, 401);
        drop(doorbell);
        let doorbell = setup.serve();
        assert_eq!(doorbell.send("POST", "/hook", &[(signature, &tag)], b"{\"a\":1}").status, 200);
        assert_eq!(hand_over_another(&doorbell, body).status, 401);
    }
}

fn hand_over_another(doorbell: &crate::harness::Doorbell, body: &str) -> crate::harness::Response {
    doorbell.send("POST", "/hook", &[("content-type", "application/json"), ("x-hook-secret", "another")], body.as_bytes())
}

#[test]
fn a_handshake_alone_verifies_no_sender() {
    let setup = Setup::with(&rules("{ handshake: { when: { method: GET, query: challenge }, reply: { text: \"{query:challenge}\" } } }"));
    let said = setup.printed(&["check"]);
    assert!(said.contains("error: a handshake alone proves nothing"), "{said}");
}
