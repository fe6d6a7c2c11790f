//! `doorbell explain`: why a rule ran or did not run, and why a request was rejected.

use crate::harness::{Setup, Target, json, until};

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

/// Rules that compare secrets with everything that a request consists of.
const COMPARED: &str = r#"
webhooks:
  /a: { verify: none }
rules:
  By header:
    when: { webhook: /a }
    if: { header.X-Token: "{{ secret.HEADER }}" }
    then: [ { append: header.txt, text: "{{ body.n }}" } ]
  By query:
    when: { webhook: /a }
    set: { key: query.key, wanted: "key {{ secret.QUERY }}" }
    if: { key: "{{ wanted }}" }
    then: [ { append: query.txt, text: "{{ body.n }}" } ]
    else: [ { append: else.txt, text: "{{ body.n }} {{ query.key }}" } ]
  By body:
    when: { webhook: /a }
    if:
      any:
        - body.token: "{{ secret.BODY }}"
        - body.n: 3
      body.kind: order
    then: [ { append: body.txt, text: "{{ body.n }}" } ]
  By variable:
    when: { webhook: /a }
    if: { body.kind: "{{ env.KIND }}" }
    then: [ { append: variable.txt, text: "{{ body.n }}" } ]
  By text:
    when: { webhook: /a }
    if: { body.token: { starts_with: x } }
    then: [ log: x ]
"#;
const GIVEN: &str = "KIND=order\nHEADER=header-secret-1\nQUERY=query-secret-1\nBODY=body-secret-1\n";

/// Sends a request with the right values, and one with wrong ones; returns their ids.
fn send_both(setup: &Setup) -> [String; 2] {
    let doorbell = setup.serve_with(&["--env-file", "given.env"]);
    let ids = [("secret", 1), ("wrong", 2)].map(|(word, n)| {
        let (path, token) = (format!("/a?key=key%20query-{word}-1&x=1"), format!("header-{word}-1"));
        let body = format!("{{\"n\": {n}, \"token\": \"body-{word}-1\", \"kind\": \"order\"}}");
        let headers = [("x-token", token.as_str()), ("content-type", "application/json")];
        doorbell.send("POST", &path, &headers, body.as_bytes()).header("doorbell-event").to_owned()
    });
    until("all are written", || ["header.txt", "query.txt", "body.txt", "else.txt"].iter().all(|file| !setup.output(file).is_empty()));
    doorbell.stop();
    assert_eq!(["header.txt", "query.txt", "body.txt"].map(|file| setup.output(file)), ["1\n", "1\n", "1\n"]);
    assert_eq!(setup.output("else.txt"), "2 ***\n", "a wrong value that is compared with a secret is not shown either");
    ids
}

#[test]
fn what_secrets_decided_is_explained_without_them_and_with_others() {
    let setup = Setup::with(COMPARED);
    setup.write("given.env", GIVEN);
    setup.write("other.env", &GIVEN.replace("-1", "-2"));
    let [right, wrong] = send_both(&setup);
    for options in [&["--env-file", "given.env"][..], &["--env-file", "other.env"], &[]] {
        let said = setup.printed(&[&["explain", right.as_str()], options].concat());
        for rule in ["By header", "By query", "By body", "By variable"] {
            assert!(said.contains(&format!("✓ {rule}  ran, 1 step")), "{options:?}: {said}");
        }
        let shown = if options == ["--env-file", "other.env"] { said.replace("it was body-secret-1", "") } else { said };
        assert!(
            !shown.contains("-secret-1"),
            "{options:?}: only the body is stored as it came, and shown to those with other secrets: {shown}"
        );
        let said = setup.printed(&[&["explain", wrong.as_str()], options].concat());
        let lines: Vec<&str> = said.lines().map(str::trim).collect();
        for line in [
            "✗ By header  did not run",
            "header.X-Token is {{ secret.HEADER }}  NO, it was another value",
            "its `else:` ran, because its `if:` was not true:",
            "key is {{ wanted }}  NO, it was another value",
            "any of these                       NO, none of them was true",
            "body.token is {{ secret.BODY }}  NO, it was body-wrong-1",
            "body.kind is order                 not checked",
        ] {
            assert!(lines.contains(&line), "{options:?} {line}: {said}");
        }
    }
}

#[test]
fn without_the_secrets_no_value_is_shown_that_one_of_them_could_be_in() {
    let setup = Setup::with(COMPARED);
    setup.write("given.env", GIVEN);
    let [right, _] = send_both(&setup);
    let said = setup.printed(&["explain", &right]);
    assert!(said.contains("body.token starts with x  NO, it was a value that is hidden here\n"), "{said}");
    let note = "  This command was not given secret.BODY, secret.HEADER, secret.QUERY, so values that may contain a secret are hidden; pass --env-file, or set them as for `serve`.\n";
    assert!(said.ends_with(note), "{said}");
    let said = setup.printed(&["explain", &right, "--env-file", "given.env"]);
    assert!(said.contains("body.token starts with x  NO, it was ***\n") && !said.contains("hidden"), "{said}");
    // An older version did not store what was decided.
    let store = rusqlite::Connection::open(setup.path("data/doorbell.db")).unwrap();
    store.execute_batch("UPDATE event SET decided = NULL; DELETE FROM ended WHERE rule = 'By body'").unwrap();
    let said = setup.printed(&["explain", &right]);
    let why = "not known: it compares with secret.BODY, which this command was not given; pass --env-file";
    let expected = [
        "  ✗ By body  did not run".to_owned(),
        format!("        any of these                       {why}"),
        format!("          body.token is {{{{ secret.BODY }}}}  {why}"),
        "          body.n is 3                      NO, it was 1".to_owned(),
        "        body.kind is order                 yes".to_owned(),
    ];
    let lines: Vec<&str> = said.lines().skip_while(|line| !line.contains("By body")).take(5).collect();
    assert_eq!(lines, expected, "{said}");
}

#[test]
fn a_token_that_a_rule_compares_is_not_saved_and_steps_see_it_again_after_a_restart() {
    let target = Target::new(&[&json(500, "{}"), &json(200, "{}")]);
    let rules = format!(
        "webhooks: {{ /a: {{ verify: none }} }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    if: {{ header.X-Token: \"{{{{ wanted }}}}\" }}\n    then:\n      - post: {}\n        first_wait: 2 seconds\n      - append: out.txt\n        if: {{ header.X-Token: \"{{{{ wanted }}}}\", query.t: \"{{{{ secret.KEY }}}}\" }}\n        text: done\n    set: {{ wanted: \"Token {{{{ secret.KEY }}}}\" }}\n",
        target.url("/")
    );
    let setup = Setup::with(&rules).env("KEY", "s3cret-t0ken");
    let doorbell = setup.serve();
    let got = doorbell.send("POST", "/a?t=s3cret-t0ken", &[("x-token", "Token s3cret-t0ken")], b"{}");
    let event = got.header("doorbell-event").to_owned();
    until("the first try was made", || !target.calls().is_empty());
    until("it is recorded", || setup.printed(&["explain", &event]).contains("for try 2"));
    doorbell.stop();
    let stored = ["data/doorbell.db", "data/doorbell.db-wal"].map(|file| std::fs::read(setup.path(file)).unwrap_or_default()).concat();
    assert!(!String::from_utf8_lossy(&stored).contains("s3cret-t0ken"), "it is in the data folder");
    let _doorbell = setup.serve();
    until("it is done", || setup.output("out.txt") == "done\n");
}

#[test]
fn a_wrong_token_is_not_saved_either_also_if_a_step_compares_it_with_a_name_of_its_own() {
    let rules = "webhooks: { /a: { verify: none } }\nrules:\n  A:\n    when: { webhook: /a }\n    then:\n      - set: { wanted: \"{{ secret.KEY }}\" }\n        do:\n          - append: out.txt\n            set: { token: \"Token {{ wanted }}\" }\n            if: { header.X-Token: { not: \"{{ token }}\" } }\n            text: denied\n";
    let setup = Setup::with(rules).env("KEY", "s3cret-t0ken");
    let doorbell = setup.serve();
    doorbell.send("POST", "/a", &[("x-token", "Token wr0ng-t0ken")], b"{}");
    until("it is done", || setup.output("out.txt") == "denied\n");
    doorbell.stop();
    let stored = ["data/doorbell.db", "data/doorbell.db-wal"].map(|file| std::fs::read(setup.path(file)).unwrap_or_default()).concat();
    assert!(!String::from_utf8_lossy(&stored).contains("wr0ng-t0ken"), "it is in the data folder");
}
