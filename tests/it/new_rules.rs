//! `doorbell new`: creating a rule from a recipe or from a webhook.

use crate::harness::{Setup, project_folder};

#[test]
fn recipes_are_listed_printed_and_written_but_never_overwrite_a_file() {
    let setup = Setup::new();
    let listed = setup.printed(&["new"]);
    for file in std::fs::read_dir(project_folder().join("rules")).unwrap().flatten() {
        let name = file.file_name().into_string().unwrap();
        if let Some(recipe) = name.strip_suffix(".yaml") {
            assert!(listed.contains(&format!("  {recipe} ")), "{recipe} is not listed");
            assert_eq!(setup.printed(&["new", recipe]), std::fs::read_to_string(file.path()).unwrap());
        }
    }
    assert_eq!(
        setup.printed(&["new", "contact-form", "--to", "rules/contact.yaml"]),
        "rules/contact.yaml created; check it, then run: doorbell test rules/contact.yaml\n"
    );
    assert_eq!(
        setup.printed(&["new", "new-customer", "--to", "rules/contact.yaml"]),
        "doorbell: rules/contact.yaml cannot be created: File exists (os error 17)\n"
    );
    assert_eq!(
        setup.printed(&["new", "contact"]),
        "doorbell: there is no recipe called `contact`; did you mean contact-form? (`doorbell new` lists them)\n"
    );
}

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
