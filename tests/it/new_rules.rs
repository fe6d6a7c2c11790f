//! `doorbell new`: creating a rule from a webhook. Recipes are in `recipes.rs`.

use crate::harness::Setup;

#[test]
fn a_rule_made_from_a_webhook_passes_its_own_test() {
    for (n, (header, body, said)) in [
        ("X-GitHub-Event: push", r#"{"id": 7, "action": "opened", "sender": {"name": "Ada \"A\" L."}, "note": null}"#, "verify: { github:"),
        (
            "X-Gitlab-Token: abc",
            r#"{"First name": "Ada", "tags": ["a: b", "c"], "text": "line\nbreak # {{ x }}"}"#,
            "verify: { token: { header: X-Gitlab-Token",
        ),
        ("X-Other: 1", r#"[1, "two"]"#, "verify: none"),
        ("X-Other: 1", r#"{"total": 12345678901234567890.10, "url": "https://x/?a=1&b={c}"}"#, "body.total = 12345678901234567890.10"),
    ]
    .into_iter()
    .enumerate()
    {
        let setup = Setup::new();
        setup.write("body.json", body);
        setup.printed(&["new", "--from", "body.json", "--path", "/shop/orders", "--header", header, "--to", "rules/new.yaml"]);
        let rule = std::fs::read_to_string(setup.path("rules/new.yaml")).unwrap();
        assert!(rule.contains(said), "{n}: {rule}");
        let tested = setup.printed(&["test"]);
        assert!(tested.ends_with("\n1 test passed\n"), "{n}: {tested}\n{rule}");
    }
}

#[test]
fn a_rule_can_be_made_from_a_saved_event() {
    let setup =
        Setup::with("webhooks:\n  /orders: { verify: none }\nrules:\n  A:\n    when: { webhook: /orders }\n    then: [{ log: x }]\n");
    let doorbell = setup.serve();
    let event = doorbell.deliver("/orders", r#"{"id": 7, "type": "order"}"#);
    doorbell.stop();
    std::fs::create_dir(setup.path("new")).unwrap();
    setup.printed(&["new", "--event", &event, "--to", "new/orders.yaml"]);
    assert!(setup.printed(&["test", "new/orders.yaml"]).ends_with("\n1 test passed\n"));
}

#[test]
fn a_rule_made_from_a_webhook_does_not_repeat_what_other_files_say_about_its_address() {
    let setup = Setup::with(
        "webhooks:\n  /orders: { verify: none }\nrules:\n  Webhooks at /orders:\n    when: { webhook: /orders }\n    then: [{ log: x }]\n",
    );
    let file = "webhooks:\n  \"/shop/{shop}\": { verify: none }\nrules:\n  Shops:\n    when: { webhook: \"/shop/{shop}\" }\n    then: [{ log: x }]\n";
    setup.write("rules/shops.yaml", file);
    setup.write("body.json", r#"{"id": 7}"#);
    for path in ["/orders", "/shop/berlin"] {
        let name = format!("rules{path}.yaml").replace("shop/", "");
        let made = setup.printed(&["new", "--from", "body.json", "--path", path, "--to", &name]);
        assert_eq!(made, format!("{name} created; check it, then run: doorbell test rules\n"));
        assert!(!std::fs::read_to_string(setup.path(&name)).unwrap().contains("webhooks:"));
    }
    assert_eq!(setup.printed(&["check"]), "4 rules in 4 files: valid\n");
    assert!(setup.printed(&["test"]).ends_with("\n2 tests passed; 2 rules have no tests\n"));
    // A file elsewhere is not loaded with the others, so it says all of it.
    std::fs::create_dir(setup.path("new")).unwrap();
    setup.printed(&["new", "--from", "body.json", "--path", "/orders", "--to", "new/orders.yaml"]);
    assert_eq!(setup.printed(&["check", "new"]), "1 rule in 1 file: valid\n");
}
