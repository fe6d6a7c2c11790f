//! Deliveries that come twice.

use std::collections::HashSet;

use crate::world::{Target, World, json, until};

#[test]
fn a_redelivery_gets_the_first_answer_and_runs_nothing() {
    let rules = "webhooks:\n  /a: { verify: none, delivery_id: header.X-Id }\n  /r: { verify: none, delivery_id: body.id }\nrules:\n  A:\n    when: { webhook: /a }\n    then:\n      - append: a.log\n        text: \"{{ body.n }}\"\n  R:\n    when: { webhook: /r }\n    then:\n      - respond: 201\n        json: { n: \"{{ body.n }}\" }\n";
    let world = World::with(rules);
    let doorbell = world.serve();
    let send = |id: &str, n: u32| {
        doorbell.send("POST", "/a", &[("content-type", "application/json"), ("X-Id", id)], format!(r#"{{"n": {n}}}"#).as_bytes())
    };
    let first = send("one", 1);
    let again = send("one", 2);
    assert_eq!((again.status, again.header("doorbell-event")), (200, first.header("doorbell-event")));
    send("two", 3);
    until("two lines are there", || world.output("a.log").lines().count() == 2);
    assert_eq!(world.output("a.log"), "1\n3\n");
    let first = doorbell.post("/r", r#"{"id": 7, "n": 1}"#);
    let again = doorbell.post("/r", r#"{"id": 7, "n": 2}"#);
    assert_eq!((first.status, first.body.as_str()), (201, r#"{"n":1}"#));
    assert_eq!((again.status, again.body.as_str()), (201, r#"{"n":1}"#));
}

#[test]
fn a_redelivery_runs_what_failed_and_what_matches_now() {
    let target = Target::new(&[&json(400, "{}"), &json(200, "{}")]);
    let rules = |wanted: u32| {
        format!(
            "webhooks:\n  /a: {{ verify: none, delivery_id: body.id }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    if: {{ body.n: {wanted} }}\n    then:\n      - post: {}\n      - append: a.log\n        text: \"{{{{ body.id }}}}\"\n",
            target.url("/x")
        )
    };
    let world = World::with(&rules(1));
    let doorbell = world.serve();
    doorbell.ring("/a", r#"{"id": "x", "n": 1}"#);
    until("it has failed", || world.said(&["failed"]).contains("1 failed run"));
    doorbell.ring("/a", r#"{"id": "x", "n": 1}"#);
    until("it was done", || world.output("a.log") == "x\n");
    assert_eq!(doorbell.post("/a", r#"{"id": "y", "n": 2}"#).body, r#"{"status":"ignored"}"#);
    world.write("rules/rules.yaml", &rules(2));
    until("the new rule is in force", || doorbell.logged("changed `A`"));
    doorbell.ring("/a", r#"{"id": "y", "n": 2}"#);
    until("it runs now", || world.output("a.log") == "x\ny\n");
}

#[test]
fn a_redelivery_that_comes_meanwhile_gets_the_same_answer() {
    let target = Target::new(&[&json(500, "{}"), &json(200, "{}")]);
    let rules = format!(
        "webhooks:\n  /a: {{ verify: none, delivery_id: body.id }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n      - post: {}\n        first_wait: 1 second\n      - respond: 201\n        json: {{ n: \"{{{{ body.n }}}}\" }}\n",
        target.url("/x")
    );
    let world = World::with(&rules);
    let doorbell = world.serve();
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| doorbell.post("/a", r#"{"id": 7, "n": 1}"#));
        until("the first one is at work", || !target.calls().is_empty());
        let second = scope.spawn(|| doorbell.post("/a", r#"{"id": 7, "n": 2}"#));
        (first.join().unwrap(), second.join().unwrap())
    });
    assert_eq!((first.status, first.body.as_str()), (201, r#"{"n":1}"#));
    assert_eq!((second.status, second.body.as_str()), (201, r#"{"n":1}"#));
    assert_eq!(first.header("doorbell-event"), second.header("doorbell-event"));
}

#[test]
fn deliveries_that_come_at_the_same_moment_make_one_run() {
    let world = World::with(
        "webhooks:\n  /a: { verify: none, delivery_id: header.X-Id }\nrules:\n  A:\n    when: { webhook: /a }\n    then: [ { append: out.txt, text: \"{{ header.X-Id }}\" } ]\n",
    );
    let doorbell = world.serve();
    for round in 0..5 {
        let id = round.to_string();
        let together = std::sync::Barrier::new(16);
        let events: HashSet<String> = std::thread::scope(|scope| {
            let ring = || {
                together.wait();
                let got = doorbell.send("POST", "/a", &[("x-id", &id)], b"{}");
                assert_eq!(got.status, 200);
                got.header("doorbell-event").to_owned()
            };
            let all: Vec<_> = (0..16).map(|_| scope.spawn(ring)).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(events.len(), 1, "all are told of one event");
    }
    until("all are written", || world.output("out.txt").lines().count() == 5);
    assert!(world.said(&["events"]).contains("5 events in all"));
    let mut lines: Vec<String> = world.output("out.txt").lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["0", "1", "2", "3", "4"]);
}
