//! `doorbell try`: rules are matched and rendered, but nothing is sent or written.

use crate::harness::Setup;

#[test]
fn a_dry_run_shows_every_step_and_performs_none() {
    let rules = "webhooks:\n  /shop/{shop}: { verify: none }\nrules:\n  Orders:\n    when: { webhook: \"/shop/{shop}\" }\n    if: { body.total: { over: 10 } }\n    then:\n      - name: create\n        post: https://crm.example.com/orders\n        json: { id: \"{{ body.id }}\", shop: \"{{ path.shop }}\" }\n        headers: { X-Key: \"{{ secret.KEY }}\" }\n        save_as: made\n      - append: \"orders-{{ path.shop }}.log\"\n        text: \"{{ body.id }} is {{ made.body.number }}\"\n      - add_row: items.csv\n        for_each: body.items\n        if: { item.qty: { over: 0 } }\n        columns: { SKU: \"{{ item.sku }}\", N: \"{{ item_number }}\" }\n      - respond: 201\n        json: { number: \"{{ made.body.number }}\" }\n";
    let setup = Setup::with(rules).env("KEY", "k3y-k3y");
    setup.write("order.json", r#"{"id": 7, "total": 20, "items": [{"sku": "a", "qty": 1}, {"sku": "b", "qty": 0}]}"#);
    let said = setup.printed(&["try", "order.json", "--path", "/shop/berlin"]);
    let expected = r#"✓ Orders  would run
    body.total over 10  yes
  1. create: post  https://crm.example.com/orders
       X-Key: ***
       content-type: application/json
       {"id":7,"shop":"berlin"}
  2. append  orders-berlin.log
       7 is ‹made.body.number›
  3, element 1. add_row  items.csv
       SKU: a
       N: 1
  3, element 2. add_row  would be skipped
        item.qty over 0  NO, it was 0
  4. respond  201
       content-type: application/json
       {"number":"‹made.body.number›"}

Nothing was sent or written.
"#;
    assert_eq!(said, expected);
    assert!(!setup.path("output").exists() && !setup.path("data").exists());
    setup.write("reply.json", r#"{"number": 99}"#);
    let said = setup.printed(&["try", "order.json", "--path", "/shop/berlin", "--reply", "reply.json"]);
    assert!(said.contains("7 is 99") && said.contains(r#"{"number":99}"#), "{said}");
}

#[test]
fn a_step_that_cannot_be_rendered_is_shown_with_its_place() {
    let setup = Setup::with(
        "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then:\n      - log: \"{{ body.nam }}\"\n",
    );
    setup.write("a.json", r#"{"name": "x"}"#);
    let out = setup.run(&["try", "a.json", "--path", "/a"]);
    assert_eq!(out.status.code(), Some(1));
    let said = String::from_utf8(out.stdout).unwrap();
    assert!(
        said.contains("rules/rules.yaml:7:14: there is no body.nam in this request; there is `name`, needed for {{ body.nam }}"),
        "{said}"
    );
    assert_eq!(setup.printed(&["try", "a.json", "--path", "/b"]), "No rule uses /b: the sender would get 404.\nAddresses: /a\n");
}

#[test]
fn a_dry_run_says_which_secrets_it_would_need_to_decide() {
    let rules = "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    if: { body.key: \"{{ secret.KEY }}\", body.shop: \"{{ env.SHOP }}\" }\n    then: [ log: x ]\n";
    let setup = Setup::with(rules);
    setup.write("a.json", r#"{"key": "the-right-key", "shop": "berlin"}"#);
    setup.write("given.env", "KEY=the-right-key\nSHOP=berlin\n");
    let said = setup.printed(&["try", "a.json", "--path", "/a"]);
    let note =
        "Conditions compare with env.SHOP and secret.KEY, which this command was not given; pass --env-file to see what they decide.\n";
    assert!(said.ends_with(note), "{said}");
    let said = setup.printed(&["try", "a.json", "--path", "/a", "--env-file", "given.env"]);
    assert!(said.contains("✓ A  would run") && !said.contains("not given"), "{said}");
}

#[test]
fn what_would_fail_and_what_would_follow_is_shown() {
    let rules = "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then:\n      - append: a.log\n        text: x\n        on_error: [ log: sorry ]\n      - log: \"{{ body.nam }}\"\n    on_error: [ log: bad ]\n  Off:\n    enabled: false\n    when: [ { webhook: /a }, { webhook: /off } ]\n    then: [ log: x ]\n";
    let setup = Setup::with(rules);
    setup.write("a.json", "{}");
    let said = setup.printed(&["try", "a.json", "--path", "/a"]);
    let expected = "✗ A  would run, and fail\n  1. append  a.log\n       x\n       if it fails after all tries: log \"sorry\"\n  2. log  would fail\n       rules/rules.yaml:10:14: there is no body.nam in this request, needed for {{ body.nam }}\n  on_error 1. log  bad\n\n– Off  is switched off (`enabled: false`)\n\nNothing was sent or written.\n";
    assert_eq!(said, expected);
    setup.write("rules/rules.yaml", &rules.replace("body.nam", "now"));
    let said = setup.printed(&["try", "a.json", "--path", "/a"]);
    assert!(said.starts_with("✓ A  would run\n") && said.contains("  if a step fails after all tries: log \"bad\"\n"), "{said}");
    let said = setup.printed(&["try", "a.json", "--path", "/off"]);
    assert!(said.starts_with("Only rules that are switched off use /off: the sender would get 404.\n– Off  is switched off"), "{said}");
    assert_eq!(setup.printed(&["try", "b.json", "--path", "/a"]), "doorbell: the file b.json does not exist\n");
}

#[test]
fn a_difference_in_spelling_is_explained() {
    let rules = "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    if:\n      body.status: Paid\n      body.title: { contains: Urgent }\n      body.number: 42\n      body.zip: 0042\n      body.name: Ada\n      body.items.sku: x\n    then: [ log: x ]\n";
    let setup = Setup::with(rules);
    setup.write(
        "a.json",
        r#"{"status": "paid", "title": "very urgent", "number": "0042", "zip": 42, "name": "Ada ", "items": [{"sku": "x"}]}"#,
    );
    let said = setup.printed(&["try", "a.json", "--path", "/a"]);
    let case = "which differs in upper and lower case: write it like that, or add `ignore_case: true`";
    for line in [
        format!("body.status is Paid            NO, it was paid, {case}\n"),
        format!("body.title contains Urgent     NO, it was very urgent, {case}\n"),
        "body.number is 42              NO, it was 0042, which is not the same text: write 0042 as it came\n".to_owned(),
        "body.zip is 0042               NO, it was 42, which is not the same text: write 42 as it came\n".to_owned(),
        "body.name is Ada               NO, it was \"Ada \", with a space at its beginning or end: write it in quotes, with that space, or use `contains`\n".to_owned(),
        "body.items.sku is x            NO, there is no body.items.sku in this request: body.items is a list; write body.items[*].sku, or [0] for the first one\n".to_owned(),
    ] {
        let squeezed = |t: &str| t.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(squeezed(&said).contains(&squeezed(&line)), "{line} is not in\n{said}");
    }
}

#[test]
fn a_condition_on_an_unknown_answer_is_neither_true_nor_false() {
    let rules = "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then:\n      - post: https://crm.example.com/orders\n        ok: [200-299, 404]\n        save_as: made\n      - append: made.log\n        if: { made.status: 201, body.id: { over: 5 } }\n        text: \"{{ made.body.number }}\"\n      - append: small.log\n        if: { made.status: 201, body.id: { under: 5 } }\n        text: small\n      - append: any.log\n        if: { any: [ { made.status: 404 }, { body.id: 7 } ] }\n        text: any\n      - if: { none: [ { made.body.ok: true } ] }\n        set: { new_id: \"{{ made.body.number }}\" }\n        do:\n          - stop: not made\n            if: { new_id: 3 }\n      - append: items.log\n        for_each: made.body.items\n        if: { item.qty: { over: 0 } }\n        text: \"{{ item.sku }}\"\n      - append: total.log\n        text: \"{{ decimals made.body.total 2 }}\"\n";
    let setup = Setup::with(rules);
    setup.write("a.json", r#"{"id": 7}"#);
    let out = setup.run(&["try", "a.json", "--path", "/a"]);
    let expected = "✓ A  would run
  1. post  https://crm.example.com/orders
  2. append  would run if this is true:
        made.status is 201  depends on the answer of step 1; pass --reply to try it
        body.id over 5      yes
  2. append  made.log
       ‹made.body.number›
  3. append  would be skipped
        made.status is 201  depends on the answer of step 1; pass --reply to try it
        body.id under 5     NO, it was 7
  4. append  any.log
       any
  5. do  would run if this is true:
        none of these           depends on the answer of step 1; pass --reply to try it
          made.body.ok is true  depends on the answer of step 1; pass --reply to try it
  5.1. stop  would run if this is true:
        new_id is 3  depends on the answer of step 1; pass --reply to try it
  5.1. stop  not made
  6, element 1. append  would run if this is true:
        item.qty over 0  depends on the answer of step 1; pass --reply to try it
  6, element 1. append  items.log
       ‹item.sku›
  7. append  depends on the answer of step 1; pass --reply to see it

Nothing was sent or written.
";
    assert_eq!((String::from_utf8(out.stdout).unwrap().as_str(), out.status.code()), (expected, Some(0)));
    setup.write("reply.json", r#"{"number": 3, "ok": false, "items": [], "total": 1}"#);
    let said = setup.printed(&["try", "a.json", "--path", "/a", "--reply", "reply.json"]);
    assert!(
        said.contains("made.status is 201  NO, it was 200") && said.contains("5.1. stop  not made") && !said.contains("depends"),
        "{said}"
    );
}
