//! Deliveries that a sender repeats: they get the first answer and make no second event.

use std::collections::HashSet;

use crate::harness::{Doorbell, Setup, Target, json, until};
use crate::senders::sign;

/// The answer of a rule at an open address, and the plain answer to a delivery that is already known.
const MADE: (u16, &str) = (201, r#"{"made":"for Ada"}"#);
const PLAIN: (u16, &str) = (200, r#"{"status":"success"}"#);
const OPEN: &str = "webhooks:\n  /orders/{shop}: { verify: none, method: [POST, PUT], delivery_id: body.id }\nrules:\n  Make:\n    when: { webhook: \"/orders/{shop}\" }\n    then: [ { respond: 201, json: { made: \"for {{ body.name }}\" } } ]\n";

/// Sends a request that only the sender of the first delivery can repeat exactly.
fn order(doorbell: &Doorbell) -> (u16, String) {
    let got = doorbell.post("/orders/1?from=shop", r#"{"id": 7, "name": "Ada"}"#);
    (got.status, got.body)
}

#[test]
fn a_redelivery_gets_the_first_answer_and_runs_nothing() {
    let rules = "webhooks:\n  /a: { verify: none, delivery_id: header.X-Id }\n  /r: { verify: none, delivery_id: body.id }\nrules:\n  A:\n    when: { webhook: /a }\n    then:\n      - append: a.log\n        text: \"{{ body.n }}\"\n  R:\n    when: { webhook: /r }\n    then:\n      - respond: 201\n        json: { n: \"{{ body.n }}\" }\n";
    let setup = Setup::with(rules);
    let doorbell = setup.serve();
    let send = |id: &str, n: u32| {
        doorbell.send("POST", "/a", &[("content-type", "application/json"), ("X-Id", id)], format!(r#"{{"n": {n}}}"#).as_bytes())
    };
    let first = send("one", 1);
    let again = send("one", 1);
    assert_eq!((again.status, again.header("doorbell-event")), (200, first.header("doorbell-event")));
    send("two", 3);
    until("two lines are written", || setup.output("a.log").lines().count() == 2);
    // The two runs do not wait for each other.
    assert!(["1\n3\n", "3\n1\n"].contains(&setup.output("a.log").as_str()));
    let first = doorbell.post("/r", r#"{"id": 7, "n": 1}"#);
    let again = doorbell.post("/r", r#"{"id": 7, "n": 1}"#);
    assert_eq!((first.status, first.body.as_str()), (201, r#"{"n":1}"#));
    assert_eq!((again.status, again.body.as_str()), (201, r#"{"n":1}"#));
}

#[test]
fn a_redelivery_continues_failed_runs_and_starts_rules_that_match_now() {
    let target = Target::new(&[&json(400, "{}"), &json(200, "{}")]);
    let rules = |wanted: u32| {
        format!(
            "webhooks:\n  /a: {{ verify: none, delivery_id: body.id }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    if: {{ body.n: {wanted} }}\n    then:\n      - post: {}\n      - append: a.log\n        text: \"{{{{ body.id }}}}\"\n",
            target.url("/x")
        )
    };
    let setup = Setup::with(&rules(1));
    let doorbell = setup.serve();
    doorbell.deliver("/a", r#"{"id": "x", "n": 1}"#);
    until("it has failed", || setup.printed(&["failed"]).contains("1 failed run"));
    doorbell.deliver("/a", r#"{"id": "x", "n": 1}"#);
    until("it was done", || setup.output("a.log") == "x\n");
    assert_eq!(doorbell.post("/a", r#"{"id": "y", "n": 2}"#).body, r#"{"status":"ignored"}"#);
    setup.write("rules/rules.yaml", &rules(2));
    until("the new rule is in force", || doorbell.logged("changed `A`"));
    doorbell.deliver("/a", r#"{"id": "y", "n": 2}"#);
    until("it runs now", || setup.output("a.log") == "x\ny\n");
}

#[test]
fn a_redelivery_during_the_first_run_gets_the_same_answer() {
    let target = Target::new(&[&json(500, "{}"), &json(200, "{}")]);
    let rules = format!(
        "webhooks:\n  /a: {{ verify: none, delivery_id: body.id }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n      - post: {}\n        first_wait: 1 second\n      - respond: 201\n        json: {{ n: \"{{{{ body.n }}}}\" }}\n",
        target.url("/x")
    );
    let setup = Setup::with(&rules);
    let doorbell = setup.serve();
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| doorbell.post("/a", r#"{"id": 7, "n": 1}"#));
        until("the first run has started", || !target.calls().is_empty());
        let second = scope.spawn(|| doorbell.post("/a", r#"{"id": 7, "n": 1}"#));
        (first.join().unwrap(), second.join().unwrap())
    });
    assert_eq!((first.status, first.body.as_str()), (201, r#"{"n":1}"#));
    assert_eq!((second.status, second.body.as_str()), (201, r#"{"n":1}"#));
    assert_eq!(first.header("doorbell-event"), second.header("doorbell-event"));
}

#[test]
fn simultaneous_deliveries_make_one_run() {
    let setup = Setup::with(
        "webhooks:\n  /a: { verify: none, delivery_id: header.X-Id }\nrules:\n  A:\n    when: { webhook: /a }\n    then: [ { append: out.txt, text: \"{{ header.X-Id }}\" } ]\n",
    );
    let doorbell = setup.serve();
    for round in 0..5 {
        let id = round.to_string();
        let together = std::sync::Barrier::new(16);
        let events: HashSet<String> = std::thread::scope(|scope| {
            let send = || {
                together.wait();
                let got = doorbell.send("POST", "/a", &[("x-id", &id)], b"{}");
                assert_eq!(got.status, 200);
                got.header("doorbell-event").to_owned()
            };
            let all: Vec<_> = (0..16).map(|_| scope.spawn(send)).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(events.len(), 1, "all get the id of the same event");
    }
    until("all are written", || setup.output("out.txt").lines().count() == 5);
    assert!(setup.printed(&["events"]).contains("5 events in total"));
    let mut lines: Vec<String> = setup.output("out.txt").lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["0", "1", "2", "3", "4"]);
}

#[test]
fn guessing_a_delivery_id_does_not_reveal_the_answer() {
    let setup = Setup::with(OPEN);
    let doorbell = setup.serve();
    let made = (MADE.0, MADE.1.to_owned());
    assert_eq!(order(&doorbell), made);
    let first = doorbell.post("/orders/1?from=shop", r#"{"id": 7, "name": "Ada"}"#);
    for (method, path, body) in [
        ("POST", "/orders/1?from=shop", r#"{"id": 7}"#),
        ("POST", "/orders/1?from=shop", r#"{"id": 7, "name": "Eve"}"#),
        ("POST", "/orders/1?from=shop", r#"{"id": 7, "name": "Ada"} "#),
        ("POST", "/orders/1", r#"{"id": 7, "name": "Ada"}"#),
        ("POST", "/orders/1?from=shop&", r#"{"id": 7, "name": "Ada"}"#),
        ("PUT", "/orders/1?from=shop", r#"{"id": 7, "name": "Ada"}"#),
    ] {
        let got = doorbell.send(method, path, &[("content-type", "application/json")], body.as_bytes());
        assert_eq!((got.status, got.body.as_str()), PLAIN, "{method} {path} {body}");
        assert_eq!(got.header("doorbell-event"), first.header("doorbell-event"), "it is not a new event");
    }
    assert_eq!(order(&doorbell), made, "the same request still gets the answer");
    // A sender may count its attempts in a header.
    let again = [("content-type", "application/json"), ("x-attempt", "3"), ("user-agent", "another")];
    let got = doorbell.send("POST", "/orders/1?from=shop", &again, br#"{"id": 7, "name": "Ada"}"#);
    assert_eq!((got.status, got.body.as_str()), MADE);
    assert!(setup.printed(&["events"]).contains("1 event in total"));
    assert!(doorbell.logged("delivery id was used before, by a different request"));
}

#[test]
fn delivery_ids_are_separate_for_each_path() {
    let setup = Setup::with(OPEN);
    let doorbell = setup.serve();
    let order = |path: &str| doorbell.post(path, r#"{"id": 7, "name": "Ada"}"#);
    let (first, other, slash) = (order("/orders/1"), order("/orders/2"), order("/orders/1/"));
    assert_eq!([first.status, other.status], [MADE.0; 2], "another shop's order may have the same number");
    assert_ne!(first.header("doorbell-event"), other.header("doorbell-event"));
    assert_eq!(first.header("doorbell-event"), slash.header("doorbell-event"), "a slash at the end makes no difference");
}

#[test]
fn guessing_a_delivery_id_does_not_wait_for_the_answer() {
    let target = Target::new(&[&json(500, "{}"), &json(200, "{}")]);
    let setup = Setup::with(&format!(
        "webhooks:\n  /a: {{ verify: none, delivery_id: body.id }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then: [ {{ post: \"{}\", first_wait: 2 seconds }}, {{ respond: 201, text: \"{{{{ body.n }}}}\" }} ]\n",
        target.url("/x")
    ));
    let doorbell = setup.serve();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| doorbell.post("/a", r#"{"id": 7, "n": 1}"#));
        until("the first run has started", || !target.calls().is_empty());
        let guess = doorbell.post("/a", r#"{"id": 7, "n": 2}"#);
        assert_eq!((guess.status, guess.body.as_str()), PLAIN);
        let first = first.join().unwrap();
        assert_eq!((first.status, first.body.as_str()), (201, "1"));
    });
    assert_eq!(target.calls().len(), 2);
}

#[test]
fn guessing_a_delivery_id_restarts_no_failed_run() {
    let target = Target::new(&[&json(400, "{}"), &json(200, "{}")]);
    let setup = Setup::with(&format!(
        "webhooks:\n  /a: {{ verify: none, delivery_id: body.id }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then: [ {{ post: \"{}\" }} ]\n",
        target.url("/x")
    ));
    let doorbell = setup.serve();
    doorbell.deliver("/a", r#"{"id": 7, "n": 1}"#);
    until("it has failed", || setup.printed(&["failed"]).contains("1 failed run"));
    let guess = doorbell.post("/a", r#"{"id": 7, "n": 2}"#);
    assert_eq!((guess.status, guess.body.as_str()), PLAIN);
    assert!(setup.printed(&["failed"]).contains("1 failed run"), "a restarted run would not be in the list");
    doorbell.deliver("/a", r#"{"id": 7, "n": 1}"#);
    until("it was done", || target.calls().len() == 2);
}

#[test]
fn a_redelivery_with_a_new_signature_gets_the_answer() {
    let target = Target::new(&[&json(400, "{}"), &json(200, "{}")]);
    let setup = Setup::with(&format!(
        "webhooks:\n  /slack: {{ verify: {{ slack: \"{{{{ secret.KEY }}}}\" }}, delivery_id: body.event_id }}\nrules:\n  Answer:\n    when: {{ webhook: /slack }}\n    if: {{ body.do: answer }}\n    then: [ {{ respond: 201, text: \"made {{{{ body.event_id }}}}\" }} ]\n  Call:\n    when: {{ webhook: /slack }}\n    if: {{ body.do: call }}\n    then: [ {{ post: \"{}\" }} ]\n",
        target.url("/x")
    ))
    .env("KEY", "k3y");
    let doorbell = setup.serve();
    let send = |retry: i64, body: &str| {
        let at = (jiff::Timestamp::now().as_second() - 60 + retry).to_string();
        let signature = format!("v0={}", sign(b"k3y", &format!("v0:{at}:{body}")));
        let retry = retry.to_string();
        let headers = [
            ("content-type", "application/json"),
            ("x-slack-request-timestamp", at.as_str()),
            ("x-slack-signature", &signature),
            ("x-slack-retry-num", &retry),
        ];
        let got = doorbell.send("POST", "/slack", &headers, body.as_bytes());
        (got.status, got.body)
    };
    let made = (201, "made E1".to_owned());
    assert_eq!(send(0, r#"{"event_id": "E1", "do": "answer"}"#), made);
    assert_eq!(send(1, r#"{"event_id": "E1", "do": "answer"}"#), made);
    // An answer is only for exactly the same request. Failed runs continue for any request of a verified sender.
    let plain = (PLAIN.0, PLAIN.1.to_owned());
    assert_eq!(send(2, r#"{"event_id": "E1", "do": "answer", "attempt": 2}"#), plain);
    assert_eq!(send(0, r#"{"event_id": "E2", "do": "call"}"#), plain);
    until("it has failed", || setup.printed(&["failed"]).contains("1 failed run"));
    assert_eq!(send(1, r#"{"event_id": "E2", "do": "call", "attempt": 2}"#), plain);
    until("the failed run is done", || target.calls().len() == 2 && !setup.printed(&["failed"]).contains("failed run"));
    assert!(setup.printed(&["events"]).contains("2 events in total"));
}

#[test]
fn deliveries_saved_by_an_older_version_get_the_plain_answer() {
    let setup = Setup::with(OPEN);
    let doorbell = setup.serve();
    assert_eq!(order(&doorbell), (MADE.0, MADE.1.to_owned()));
    doorbell.stop();
    let store = rusqlite::Connection::open(setup.path("data/doorbell.db")).unwrap();
    // The path and the id, as they came.
    let text = "ALTER TABLE delivery DROP COLUMN request; DROP TABLE sealing; DROP TABLE in_force; DROP TABLE hourly; DROP TABLE schedule; DROP TABLE failure; DROP TABLE silence; DROP TABLE memory; DROP TABLE call; ALTER TABLE event DROP COLUMN sender; ALTER TABLE event DROP COLUMN parts; ALTER TABLE event DROP COLUMN decided; ALTER TABLE pending RENAME COLUMN crashes TO stumbled; UPDATE delivery SET key = ?1; PRAGMA user_version = 5;";
    store.execute_batch(&text.replace("?1", "'/orders/1 7'")).unwrap();
    drop(store);
    let doorbell = setup.serve();
    assert_eq!(order(&doorbell), (PLAIN.0, PLAIN.1.to_owned()), "it is unknown whether it is the same request");
    assert!(setup.printed(&["events"]).contains("1 event in total"), "the delivery is still known");
}

#[test]
fn the_id_of_a_standard_webhook_is_known_in_both_spellings_of_its_headers() {
    use base64::Engine as _;
    let setup = Setup::with(
        "webhooks:\n  /a: { verify: { standard_webhooks: \"{{ secret.KEY }}\" } }\nrules:\n  A:\n    when: { webhook: /a }\n    then: [ { append: a.log, text: \"{{ body.n }}\" } ]\n",
    )
    .env("KEY", "whsec_c2VjcmV0LWtleS1mb3ItdGVzdHM=");
    let doorbell = setup.serve();
    let deliver = |spelling: &str, id: &str, n: u32| {
        let (time, body) = (jiff::Timestamp::now().as_second().to_string(), format!("{{\"n\": {n}}}"));
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"secret-key-for-tests");
        let tag = ring::hmac::sign(&key, format!("{id}.{time}.{body}").as_bytes());
        let signature = format!("v1a,AAAA v1,{}", base64::engine::general_purpose::STANDARD.encode(tag));
        let names = ["id", "timestamp", "signature"].map(|name| format!("{spelling}-{name}"));
        let headers = [(names[0].as_str(), id), (&names[1], time.as_str()), (&names[2], signature.as_str())];
        let got = doorbell.send("POST", "/a", &headers, body.as_bytes());
        assert_eq!(got.status, 200, "{spelling}: {got:?}");
        got.header("doorbell-event").to_owned()
    };
    let first = deliver("svix", "msg_1", 1);
    assert_eq!(deliver("svix", "msg_1", 1), first);
    let second = deliver("webhook", "msg_2", 2);
    assert_eq!(deliver("webhook", "msg_2", 2), second);
    assert_ne!(first, second);
    until("both are written", || setup.output("a.log").lines().count() == 2);
    assert!(setup.printed(&["senders", "standard_webhooks"]).contains("are detected by header.webhook-id or header.svix-id for 72 hours."));
}
