//! "Why did it not run?", answered in plain English.

use crate::world::{World, until};

#[test]
fn an_event_is_explained_with_the_rules_of_its_time() {
    let rules = |over: u32| {
        format!(
            "webhooks:\n  /orders: {{ verify: none }}\nrules:\n  Every order:\n    when: {{ webhook: /orders }}\n    then:\n      - append: orders.log\n        text: \"{{{{ body.id }}}}\"\n  Big orders:\n    when: {{ webhook: /orders }}\n    if:\n      body.type: order\n      body.total: {{ over: {over} }}\n      body.vip: true\n    then:\n      - log: big\n"
        )
    };
    let world = World::with(&rules(1000));
    let doorbell = world.serve();
    let event = doorbell.ring("/orders", r#"{"id": 1, "type": "order", "total": 150}"#);
    until("it is done", || world.said(&["explain", &event]).contains("✓ Every order  ran, 1 step"));
    world.write("rules/rules.yaml", &rules(10));
    until("the new rule is in force", || doorbell.logged("changed `Big orders`"));
    let said = world.said(&["explain", &event[..13]]);
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
fn a_run_that_cannot_be_rendered_is_kept_with_its_place() {
    let world = World::with(
        "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then:\n      - append: a.log\n        text: \"{{ body.name }}\"\n",
    );
    let doorbell = world.serve();
    let event = doorbell.ring("/a", "{}");
    let said = "rules/rules.yaml:8:15: there is no body.name in this request, needed for {{ body.name }}";
    until("it has failed", || world.said(&["failed"]).contains(said));
    assert!(world.said(&["explain", &event]).contains("failed at step 1"));
    assert!(world.said(&["events"]).contains("→ 200, 1 run failed"));
    assert_eq!(world.run(&["explain", "00000000"]).status.code(), Some(2));
}

#[test]
fn a_run_finishes_with_the_rule_that_it_began_with() {
    let target = crate::world::Target::new(&[&crate::world::json(500, "{}"), &crate::world::json(200, "{}")]);
    let rules = |word: &str| {
        format!(
            "webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n      - post: {}\n        first_wait: 2 seconds\n      - append: a.log\n        text: {word}\n",
            target.url("/x")
        )
    };
    let world = World::with(&rules("old"));
    let doorbell = world.serve();
    doorbell.ring("/a", "{}");
    until("the first try was made", || !target.calls().is_empty());
    world.write("rules/rules.yaml", &rules("new"));
    until("the new rule is in force", || doorbell.logged("changed `A`"));
    // Also through a restart.
    doorbell.stop();
    let _doorbell = world.serve();
    until("it was finished", || !world.output("a.log").is_empty());
    assert_eq!(world.output("a.log"), "old\n");
}

#[test]
fn a_request_that_was_refused_is_explained_by_the_id_that_its_sender_got() {
    let world = World::with(
        "webhooks:\n  /a: { verify: { github: \"{{ secret.KEY }}\" } }\nrules:\n  A:\n    when: { webhook: /a }\n    then: [ log: hi ]\n",
    )
    .env("KEY", "x");
    let doorbell = world.serve();
    let explained = |got: crate::world::Got| world.said(&["explain", got.header("doorbell-request")]);
    let said = explained(doorbell.post("/a", "{}"));
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("request ") && lines[0].ends_with(" from 127.0.0.1  → 401, not accepted"), "{said}");
    assert_eq!(lines[1..], ["  the header X-Hub-Signature-256 is missing"]);
    let said = explained(doorbell.post("/b", "{}"));
    assert!(said.ends_with("→ 404, not accepted\n  No rule uses this address.\n"), "{said}");
}

#[test]
fn a_run_that_is_being_done_is_told_from_one_that_waits() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let world = World::with(&format!(
        "webhooks:\n  /a: {{ verify: none }}\nrules:\n  Slow:\n    when: {{ webhook: /a }}\n    one_at_a_time: true\n    then: [ {{ get: \"http://{}/\", timeout: 5 minutes }} ]\n",
        silent.local_addr().unwrap()
    ));
    let doorbell = world.serve();
    let (first, second) = (doorbell.ring("/a", "{}"), doorbell.ring("/a", "{}"));
    // The call is taken, and never answered.
    let _called = silent.accept().unwrap();
    let told = |event: &str| world.said(&["explain", event]);
    until("the first one is running", || told(&first).contains("… Slow  is running, at step 1\n"));
    assert!(told(&second).contains("… Slow  waits for its turn (one_at_a_time), at step 1\n"), "{}", told(&second));
    doorbell.kill();
    assert!(told(&first).contains("… Slow  waits until `doorbell serve` runs, at step 1\n"), "{}", told(&first));
}
