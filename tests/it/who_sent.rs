//! `sender`: several senders at one address, and which of them sent an event.

use serde_json::Value;

use crate::harness::{Setup, Target, json, until};

const SHOPS: &str = r#"
webhooks:
  /shop:
    verify:
      - { token: { header: X-Shop, value: "{{ secret.BERLIN }}" }, name: berlin }
      - { token: { header: X-Shop, value: "{{ secret.HAMBURG }}" }, name: hamburg }
      - { custom: { secret: "{{ secret.KEY }}", algorithm: equals, signature: { from: "query:key", encoding: text } }, name: by key }
      - bearer: "{{ secret.BEARER }}"
  /open: { verify: none }
rules:
  Berlin:
    when: { webhook: /shop }
    if: { sender: berlin }
    then: [ { append: berlin.txt, text: "{{ body.n }} by {{ sender }}" } ]
    else: [ { append: others.txt, text: "{{ body.n }} by {{ sender }}, {{ json query }}" } ]
    tests:
      - name: an order of Berlin
        send: { sender: berlin, json: { n: 1 } }
        expect: [ { append: berlin.txt, text: 1 by berlin } ]
      - name: a masked value is masked here, too
        send: { sender: by key, query: { key: abc, x: 1 }, json: { n: 2 } }
        expect: [ { append: others.txt, text: '2 by by key, {"key":"***","x":"1"}' } ]
  Anyone:
    when: { webhook: /open }
    if: { body.n: 7 }
    then: [ { append: open.txt, text: "{{ body.n }}" } ]
"#;

fn setup() -> Setup {
    ["BERLIN", "HAMBURG", "KEY", "BEARER"]
        .into_iter()
        .fold(Setup::with(SHOPS), |setup, name| setup.env(name, &format!("token-of-{}", name.to_lowercase())))
}

#[test]
fn rules_lists_and_explanations_see_who_sent_an_event() {
    let setup = setup();
    let doorbell = setup.serve();
    let mut events = Vec::new();
    for (n, (path, header, value)) in [
        ("/shop", "x-shop", "token-of-berlin"),
        ("/shop", "x-shop", "token-of-hamburg"),
        ("/shop?key=token-of-key&x=1", "x-other", ""),
        ("/shop", "authorization", "Bearer token-of-bearer"),
        ("/open", "x-shop", "token-of-berlin"),
    ]
    .into_iter()
    .enumerate()
    {
        let got =
            doorbell.send("POST", path, &[(header, value), ("content-type", "application/json")], format!("{{\"n\": {n}}}").as_bytes());
        assert_eq!(got.status, 200, "{path} {value}: {got:?}");
        events.push(got.header("doorbell-event").to_owned());
    }
    assert_eq!(doorbell.send("POST", "/shop", &[("x-shop", "token-of-key")], b"{}").status, 401, "the token of another way");
    until("all are written", || setup.output("others.txt").lines().count() == 3);
    assert_eq!(setup.output("berlin.txt"), "0 by berlin\n");
    let others = setup.output("others.txt");
    for line in ["1 by hamburg, {}", "2 by by key, {\"key\":\"***\",\"x\":\"1\"}", "3 by bearer, {}"] {
        assert!(others.lines().any(|l| l == line), "{others}");
    }
    let list = setup.printed(&["events"]);
    let shown: Vec<&str> = list.lines().take(5).filter_map(|line| line.split("POST ").nth(1)?.split("  →").next()).collect();
    assert_eq!(shown, ["/open", "/shop from bearer", "/shop from by key", "/shop from hamburg", "/shop from berlin"]);
    let said = setup.printed(&["explain", &events[1]]);
    assert!(said.contains("  POST /shop from hamburg  ") && said.contains("sender is berlin  NO, it was hamburg"), "{said}");
    assert!(!setup.printed(&["explain", &events[4]]).contains(" from "));
}

#[test]
fn a_dry_run_and_a_test_see_the_sender_that_they_name() {
    let setup = setup();
    assert_eq!(
        setup.printed(&["test"]),
        "✓ Berlin: an order of Berlin\n✓ Berlin: a masked value is masked here, too\n\n2 tests passed; 1 rule has no tests\n"
    );
    setup.write("order.json", "{\"n\": 3}");
    let tried = |more: &[&str]| setup.printed(&[&["try", "order.json", "--path", "/shop?key=abc"], more].concat());
    assert!(tried(&["--sender", "berlin"]).contains("       3 by berlin\n"));
    assert!(tried(&["--sender", "bearer"]).contains("       3 by bearer, {\"key\":\"***\"}\n"));
    let said = tried(&[]);
    assert!(said.starts_with("It is not known who sends this; choose one with --sender: berlin, hamburg, by key, bearer\n\n"), "{said}");
    assert!(said.contains("sender is berlin  NO, it is not known who sent it\n"), "{said}");
    assert!(tried(&["--header", "X-Shop: token-of-berlin"]).contains("       3 by berlin\n"), "the request proves who sends it");
    let said = tried(&["--sender", "Berlin"]);
    assert_eq!(said, "doorbell: no sender of this address is called `Berlin`; its senders: berlin, hamburg, by key, bearer\n");
    // A test that does not say who sends is not guessed; the only sender of an address is known.
    setup.write("rules/rules.yaml", &SHOPS.replace("sender: berlin, json", "json"));
    let said = setup.printed(&["test"]);
    assert!(
        said.contains("    write who sends it, such as send: { sender: berlin }; its senders: berlin, hamburg, by key, bearer\n"),
        "{said}"
    );
    setup.write(
        "rules/rules.yaml",
        "webhooks: { /one: { verify: { github: \"{{ secret.KEY }}\" } } }\nrules:\n  One:\n    when: { webhook: /one }\n    then: [ { append: one.txt, text: \"{{ sender }}\" } ]\n    tests:\n      - { name: the only one, send: { json: 1 }, expect: [ { append: one.txt, text: github } ] }\n",
    );
    assert_eq!(setup.printed(&["test"]), "✓ One: the only one\n\n1 test passed\n");
}

#[test]
fn verify_shows_which_sender_rules_see() {
    let setup = setup();
    setup.write("body", "{}");
    let said = |header: &str| setup.printed(&["verify", "/shop", "--rules", "rules", "--body", "body", "--header", header]);
    assert_eq!(said("X-Shop: token-of-hamburg"), "accepted; rules see the sender hamburg\n");
    assert!(said("X-Shop: token-of-nobody").starts_with("denied: "));
}

#[test]
fn a_run_that_is_replayed_after_a_restart_sees_the_same_sender() {
    let target = Target::new(&[&json(400, "{}"), &json(200, "{}")]);
    let rules = "webhooks:\n  /a: { verify: { bearer: \"{{ secret.KEY }}\", name: the shop } }\nrules:\n  A:\n    when: { webhook: /a }\n    then: [ { post: URL, json: { from: \"{{ sender }}\" } } ]\n";
    let setup = Setup::with(&rules.replace("URL", &target.url("/"))).env("KEY", "token-of-shop");
    let doorbell = setup.serve();
    let got = doorbell.send("POST", "/a", &[("authorization", "Bearer token-of-shop")], b"{}");
    let event = got.header("doorbell-event").to_owned();
    until("it has failed", || setup.printed(&["failed"]).contains(&event));
    doorbell.stop();
    let _doorbell = setup.serve();
    setup.printed(&["replay", &event]);
    until("it is done", || setup.printed(&["explain", &event]).contains("✓ A  ran"));
    let sent: Vec<Value> = target.calls().iter().map(|call| serde_json::from_str(&call.body).unwrap()).collect();
    assert_eq!(sent, [serde_json::json!({ "from": "the shop" }), serde_json::json!({ "from": "the shop" })]);
}
