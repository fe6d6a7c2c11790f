//! JSONPath finds the same wherever a rule has a path: in `set:`, `for_each`, `{{ }}` and on the left side of `if:`. The paths
//! are those of the compliance suite of RFC 9535 (`tests/jsonpath`).

use serde_json::{Value, json};

use crate::harness::{Setup, project_folder};

/// A path, and what it finds in a document.
struct Case {
    path: String,
    document: Value,
    found: Vec<Value>,
}

/// Every valid path that is not refused.
fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(project_folder().join("tests/jsonpath/suite.json")).unwrap();
    let all: Vec<Value> = serde_json::from_str(&text).unwrap();
    let valid = all.into_iter().filter(|case| case["invalid"].is_null());
    let cases = valid.map(|mut case| Case {
        path: case["selector"].as_str().unwrap().to_owned(),
        document: case["document"].take(),
        // The first result is in the order of the document.
        found: case["results"][0].as_array().unwrap().clone(),
    });
    cases.filter(|case| !case.has_pattern_from_document()).collect()
}

impl Case {
    /// The patterns of `match()` and `search()` must be plain text.
    fn has_pattern_from_document(&self) -> bool {
        self.path.contains("regex")
    }

    /// Whether the path can only give one value.
    fn is_single(&self) -> bool {
        doorbell::expr::field::Field::read(&self.path).is_ok_and(|field| field.is_single())
    }

    /// A rule that has the path in all places, and its test.
    fn rule(&self, number: usize) -> Value {
        let (path, found) = (&self.path, &self.found);
        let value = if self.is_single() { found.first().cloned() } else { Some(found.clone().into()) };
        let exists = json!({ "if": { path: { "exists": !found.is_empty() } }, "append": "if.log", "text": "yes" });
        let mut steps = vec![exists];
        let mut expected = vec![json!({ "append": "if.log", "text": "yes" })];
        if let Some(value) = value {
            steps.push(json!({ "append": "set.log", "json": { "seen": "{{ v }}" } }));
            steps.push(json!({ "append": "braces.log", "json": { "seen": format!("{{{{ {path} }}}}") } }));
            steps.push(json!({ "for_each": path, "append": "each.log", "json": { "seen": "{{ item }}" } }));
            expected.push(json!({ "append": "set.log", "json": { "seen": value } }));
            expected.push(json!({ "append": "braces.log", "json": { "seen": value } }));
            let elements = match value {
                Value::Array(all) => all,
                Value::Null => Vec::new(),
                one => vec![one],
            };
            expected.extend(elements.into_iter().map(|one| json!({ "append": "each.log", "json": { "seen": one } })));
        }
        let test = json!({ "name": "it finds", "send": { "json": self.document }, "expect": expected });
        json!({ "when": { "webhook": format!("/{number}") }, "set": { "v": path }, "then": steps, "tests": [test] })
    }
}

#[test]
fn a_path_finds_the_same_in_every_place_of_a_rule() {
    let cases = cases();
    assert!(cases.len() > 400, "{}", cases.len());
    let setup = Setup::new();
    for (n, case) in cases.iter().enumerate() {
        let file = json!({ "webhooks": { format!("/{n}"): { "verify": "none" } }, "rules": { format!("R{n}"): case.rule(n) } });
        // JSON is YAML, except for one character.
        let text = serde_json::to_string_pretty(&file).unwrap().replace('\u{7f}', "\\u007f");
        setup.write(&format!("rules/{n}.yaml"), &text);
    }
    let out = setup.run(&["test"]);
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{}", said.chars().take(6_000).collect::<String>());
}

#[test]
fn signs_of_comparison_belong_to_the_path_on_the_left_side_and_in_arguments() {
    let setup = Setup::with(
        r#"
webhooks:
  /a: { verify: none }
rules:
  A:
    when: { webhook: /a }
    if:
      "$.items[?@.sku == 'MUG']": { count: 1 }
      $.items[?@.price > $.limit].sku: DESK
    then:
      - log: "{{ count $.items[?@.price >= $.limit] }} {{ join $.items[?@.sku!='MUG'].sku '+' }} {{ first $['it\\'s ]]'] }}"
    tests:
      - name: it runs
        send: { json: { limit: 5, "it's ]]": [x], items: [{ sku: MUG, price: 5 }, { sku: DESK, price: 6 }] } }
        expect: [{ log: 2 DESK x }]
      - name: nothing is over the limit
        send: { json: { limit: 6, items: [{ sku: MUG, price: 5 }, { sku: DESK, price: 6 }] } }
        expect: nothing
"#,
    );
    let said = setup.printed(&["test"]);
    assert!(setup.run(&["test"]).status.success(), "{said}");
    let wrong = Setup::with(
        "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    if:\n      body.total == 5: true\n    then:\n      - log: \"{{ count list=body.items }}\"\n",
    );
    let said = wrong.printed(&["check"]);
    assert!(said.contains("a comparison cannot be written on the left side"), "{said}");
    assert!(said.contains("`list=body.items` names an argument, but arguments have no names"), "{said}");
}
