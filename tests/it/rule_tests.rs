//! `doorbell test`: what a test of a rule can expect, and how a difference is shown.

use crate::harness::Setup;

const RULES: &str = r#"webhooks:
  /a: { verify: none }
rules:
  Customers:
    when: { webhook: /a }
    then:
      - update_row: customers.csv
        match: Email
        columns: { Email: "{{ body.email }}", Name: "{{ body.name }}" }
      - log: updated
    tests:
      - name: the customer is found by the address
        send: { json: { email: a@example.com, name: Ada } }
        expect:
          - update_row: customers.csv
            match: EXPECTED
"#;

#[test]
fn a_test_can_expect_the_columns_that_identify_a_row() {
    for expected in ["Email", "[Email]"] {
        let setup = Setup::with(&RULES.replace("EXPECTED", expected));
        assert!(setup.printed(&["test"]).ends_with("\n1 test passed\n"), "{expected}");
    }
    let out = Setup::with(&RULES.replace("EXPECTED", "[Email, Name]")).run(&["test"]);
    let said = String::from_utf8(out.stdout).unwrap();
    assert!(!out.status.success() && said.contains(r#"≠ match: ["Email","Name"]"#) && said.contains(r#"match: ["Email"]"#), "{said}");
}

#[test]
fn a_key_that_an_effect_does_not_have_is_reported_when_the_rules_are_checked() {
    let out = Setup::with(&RULES.replace("match: EXPECTED", "json: {}")).run(&["check"]);
    let said = String::from_utf8(out.stdout).unwrap();
    assert!(!out.status.success() && said.contains("`json` is not a valid key in an expected action"), "{said}");
    assert!(said.contains("update_row, columns, sheet, match"), "{said}");
}
