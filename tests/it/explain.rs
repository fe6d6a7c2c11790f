//! `doorbell explain`: why a rule ran or did not run, and why a request was rejected.

use crate::harness::{Setup, until};

#[test]
fn an_event_is_explained_with_the_rules_of_the_time_when_it_arrived() {
    let rules = |over: u32| {
        format!(
            "webhooks:\n  /orders: {{ verify: none }}\nrules:\n  Every order:\n    when: {{ webhook: /orders }}\n    then:\n      - append: orders.log\n        text: \"{{{{ body.id }}}}\"\n  Big orders:\n    when: {{ webhook: /orders }}\n    if:\n      body.type: order\n      body.total: {{ over: {over} }}\n      body.vip: true\n    then:\n      - log: big\n"
        )
    };
    let setup = Setup::with(&rules(1000));
    let doorbell = setup.serve();
    let event = doorbell.deliver("/orders", r#"{"id": 1, "type": "order", "total": 150}"#);
    until("it is done", || setup.printed(&["explain", &event]).contains("✓ Every order  ran, 1 step"));
    setup.write("rules/rules.yaml", &rules(10));
    until("the new rule is in force", || doorbell.logged("changed `Big orders`"));
    let said = setup.printed(&["explain", &event[..13]]);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with(&format!("event {event}  POST /orders  ")) && lines[0].ends_with("→ 200, 1 of 2 rules ran"), "{said}");
    assert_eq!(lines[2].trim(), "1. append  done: wrote to orders.log");
    let expected = [
        "  ✗ Big orders  did not run",
        "        body.type is order    yes",
        "        body.total over 1000  NO, it was 150",
        "        body.vip is true      not checked",
    ];
    assert_eq!(&lines[3..], expected);
}

#[test]
fn a_step_that_cannot_be_rendered_fails_its_run_and_shows_the_place() {
    let setup = Setup::with(
        "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then:\n      - append: a.log\n        text: \"{{ body.name }}\"\n",
    );
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", "{}");
    let said = "rules/rules.yaml:8:15: there is no body.name in this request, needed for {{ body.name }}";
    until("it has failed", || setup.printed(&["failed"]).contains(said));
    assert!(setup.printed(&["explain", &event]).contains("failed at step 1"));
    assert!(setup.printed(&["events"]).contains("→ 200, 1 run failed"));
    assert_eq!(setup.run(&["explain", "00000000"]).status.code(), Some(2));
}

#[test]
fn a_run_finishes_with_the_rule_that_it_started_with() {
    let target = crate::harness::Target::new(&[&crate::harness::json(500, "{}"), &crate::harness::json(200, "{}")]);
    let rules = |word: &str| {
        format!(
            "webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n      - post: {}\n        first_wait: 2 seconds\n      - append: a.log\n        text: {word}\n",
            target.url("/x")
        )
    };
    let setup = Setup::with(&rules("old"));
    let doorbell = setup.serve();
    doorbell.deliver("/a", "{}");
    until("the first try was made", || !target.calls().is_empty());
    setup.write("rules/rules.yaml", &rules("new"));
    until("the new rule is in force", || doorbell.logged("changed `A`"));
    // Even after a restart.
    doorbell.stop();
    let _doorbell = setup.serve();
    until("it was finished", || !setup.output("a.log").is_empty());
    assert_eq!(setup.output("a.log"), "old\n");
}

#[test]
fn a_rejected_request_is_explained_by_its_request_id() {
    let setup = Setup::with(
        "webhooks:\n  /a: { verify: { github: \"{{ secret.KEY }}\" } }\nrules:\n  A:\n    when: { webhook: /a }\n    then: [ log: hi ]\n",
    )
    .env("KEY", "x");
    let doorbell = setup.serve();
    let explained = |got: crate::harness::Response| setup.printed(&["explain", got.header("doorbell-request")]);
    let said = explained(doorbell.post("/a", "{}"));
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("request ") && lines[0].ends_with(" from 127.0.0.1  → 401, not accepted"), "{said}");
    assert_eq!(lines[1..], ["  the header X-Hub-Signature-256 is missing"]);
    let said = explained(doorbell.post("/b", "{}"));
    assert!(said.ends_with("→ 404, not accepted\n  No rule uses this address.\n"), "{said}");
}

#[test]
fn explain_distinguishes_a_run_in_progress_from_a_waiting_one() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::with(&format!(
        "webhooks:\n  /a: {{ verify: none }}\nrules:\n  Slow:\n    when: {{ webhook: /a }}\n    one_at_a_time: true\n    then: [ {{ get: \"http://{}/\", timeout: 5 minutes }} ]\n",
        silent.local_addr().unwrap()
    ));
    let doorbell = setup.serve();
    let (first, second) = (doorbell.deliver("/a", "{}"), doorbell.deliver("/a", "{}"));
    // The call is accepted and never answered.
    let _called = silent.accept().unwrap();
    let told = |event: &str| setup.printed(&["explain", event]);
    until("the first one is running", || told(&first).contains("… Slow  is running, at step 1\n"));
    assert!(told(&second).contains("… Slow  waits for its turn (one_at_a_time), at step 1\n"), "{}", told(&second));
    doorbell.kill();
    assert!(told(&first).contains("… Slow  waits until `doorbell serve` runs, at step 1\n"), "{}", told(&first));
}
