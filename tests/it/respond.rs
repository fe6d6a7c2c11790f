//! `respond`: callers who wait for the answer of a rule.

use crate::harness::{Setup, Target, json, until};

#[test]
fn a_rule_answers_its_caller() {
    let rules = "webhooks:\n  /a: { verify: none }\nrules:\n  Wrong:\n    when: { webhook: /a }\n    if: { body.email: { not: { contains: \"@\" } } }\n    then:\n      - respond: 422\n        json: { error: \"{{ body.email }} is not an address\" }\n  Right:\n    when: { webhook: /a }\n    if: { body.email: { contains: \"@\" } }\n    then:\n      - append: a.log\n        text: \"{{ body.email }}\"\n      - respond: 201\n        text: \"thanks, {{ body.email }}\"\n        headers: { X-Ticket: \"{{ event.id }}\" }\n      - append: later.log\n        text: after\n";
    let setup = Setup::with(rules);
    let doorbell = setup.serve();
    let got = doorbell.post("/a", r#"{"email": "nobody"}"#);
    assert_eq!((got.status, got.body.as_str()), (422, r#"{"error":"nobody is not an address"}"#));
    let got = doorbell.post("/a", r#"{"email": "a@b"}"#);
    assert_eq!((got.status, got.body.as_str(), got.header("x-ticket")), (201, "thanks, a@b", got.header("doorbell-event")));
    assert_eq!(setup.output("a.log"), "a@b\n", "the step before the answer was done");
    until("the steps after it are done too", || setup.output("later.log") == "after\n");
}

#[test]
fn a_caller_is_told_if_the_rule_fails_before_its_answer() {
    let target = Target::new(&[&json(400, "{}")]);
    let setup = Setup::with(&format!(
        "webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n      - post: {}\n      - respond: 200\n",
        target.url("/x")
    ));
    let doorbell = setup.serve();
    let got = doorbell.post("/a", "{}");
    assert_eq!((got.status, got.body.as_str()), (500, r#"{"status":"failed","message":"The rule ended without an answer."}"#));
    assert_eq!(got.header("doorbell-event").len(), 36);
}

#[test]
fn a_rule_can_try_three_times_and_then_answer_503() {
    let target = Target::new(&[&json(503, "{}")]);
    let setup = Setup::with(&format!(
        "webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n      - post: {}\n        tries: 3\n        first_wait: 10 milliseconds\n        on_error: continue\n        save_as: made\n      - respond: 200\n        if: {{ made.status: 200 }}\n      - respond: 503\n        if: {{ made.status: {{ exists: false }} }}\n        json: {{ status: later }}\n",
        target.url("/x")
    ));
    let doorbell = setup.serve();
    let got = doorbell.post("/a", "{}");
    assert_eq!((got.status, got.body.as_str()), (503, r#"{"status":"later"}"#));
    assert_eq!(target.calls().len(), 3);
}

#[test]
fn lists_show_the_status_that_the_sender_got() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::with(&format!(
        "webhooks:\n  /no: {{ verify: none }}\n  /none: {{ verify: none }}\n  /late: {{ verify: none }}\nrules:\n  No:\n    when: {{ webhook: /no }}\n    then: [ {{ respond: 422 }} ]\n  None:\n    when: {{ webhook: /none }}\n    then: [ {{ stop: early }}, {{ respond: 200 }} ]\n  Late:\n    when: {{ webhook: /late }}\n    answer_within: 500 milliseconds\n    then: [ {{ get: \"http://{}/\", timeout: 2 seconds, tries: 1, on_error: continue }}, {{ respond: 201 }} ]\n",
        silent.local_addr().unwrap()
    ));
    let doorbell = setup.serve();
    let mut events = Vec::new();
    for (path, status) in [("/no", 422), ("/none", 500), ("/late", 504)] {
        let got = doorbell.post(path, "{}");
        assert_eq!(got.status, status);
        events.push((got.header("doorbell-event").to_owned(), format!("→ {status}, 1")));
    }
    let are_shown = || {
        let all = setup.printed(&["events"]);
        for (event, shown) in &events {
            let said = setup.printed(&["explain", event]);
            assert!(said.lines().next().unwrap().contains(shown.as_str()), "{said}");
            assert!(all.lines().any(|line| line.starts_with(event.as_str()) && line.contains(shown.as_str())), "{all}");
        }
    };
    are_shown();
    until("the late one ends", || !setup.printed(&["events"]).contains("waiting"));
    // What it would have answered is kept, for the case that the delivery is repeated.
    are_shown();
}
