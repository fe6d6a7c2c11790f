//! The editor of rule files in the console: what it asks Doorbell for while somebody types.

use serde_json::{Value, json};

use crate::console_client::Visitor;
use crate::harness::{Doorbell, Response, Setup};

const RULES: &str = r#"webhooks:
  /orders:
    verify: { token: { header: X-Token, value: "{{ secret.SHOP }}" } }
rules:
  Orders:
    when: { webhook: /orders }
    if:
      body.total: { over: 1000 }
    then:
      - append: orders.log
        text: "{{ body.total }}"
"#;
const SECRET: &str = "a-secret-that-nobody-sees";

impl Visitor {
    fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"), "{answer:?}");
        serde_json::from_str(&answer.body).unwrap()
    }

    /// What Doorbell says about a text while somebody types it.
    fn look(&self, file: &str, text: &str) -> Response {
        self.submit(&format!("/edit/{file}"), &[("do", "look"), ("text", text)])
    }
}

/// Sends an event as the shop does.
fn deliver(serving: &Doorbell, body: &Value) {
    let headers = [("content-type", "application/json"), ("x-token", SECRET)];
    let got = serving.send("POST", "/orders?from=shop", &headers, body.to_string().as_bytes());
    assert_eq!(got.status, 200, "{got:?}");
}

fn setup() -> Setup {
    Setup::with(RULES).env("SHOP", SECRET)
}

/// The files that a page loads, without their contents.
fn assets(page: &str) -> Vec<&str> {
    page.split('"').filter(|part| part.starts_with("/assets/")).collect()
}

#[test]
fn problems_are_those_of_check_at_their_place() {
    let setup = setup();
    let _serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let wrong = RULES.replace("over: 1000", "ovre: 1000").replace("if:", "# é𝄞\n    if:");
    let answer = visitor.look("rules.yaml", &wrong);
    let looked: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(std::fs::read_to_string(setup.path("rules/rules.yaml")).unwrap(), RULES, "nothing is saved");

    setup.write("rules/rules.yaml", &wrong);
    let checked: Value = serde_json::from_str(&setup.printed(&["check", "--format", "json"])).unwrap();
    assert_eq!(looked["problems"], checked["problems"]);
    let problem = &looked["problems"][0];
    assert_eq!((&problem["line"], &problem["column"], &problem["length"]), (&json!(9), &json!(21), &json!(4)), "{problem}");
    let shown = looked["shown"].as_str().unwrap();
    assert!(shown.contains("there is no test called `ovre`") && shown.matches("class=\"problem bad\"").count() == 1, "{shown}");

    let good: Value = serde_json::from_str(&visitor.look("rules.yaml", RULES).body).unwrap();
    assert_eq!(good["problems"], json!([]));
    assert!(good["shown"].as_str().unwrap().contains("No problems."));
    // Where a file ends too early, that is said about its place, too.
    let torn: Value = serde_json::from_str(&visitor.look("new.yaml", "rules:\n  A: {").body).unwrap();
    assert_eq!(torn["problems"].as_array().map(Vec::len), Some(1), "{torn}");
}

#[test]
fn the_words_are_those_of_the_schema_and_the_fields_that_came() {
    let setup = setup();
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    for n in 0..55 {
        deliver(&serving, &json!({ "total": n, "items": [{ "sku": "A" }], "note": format!("my {SECRET}"), "<b>": 1 }));
    }
    let words = visitor.json("/words?address=/orders&address=/quiet&address=not-an-address");
    let schema: Value = serde_json::from_str(&setup.printed(&["schema"])).unwrap();
    assert_eq!(words["schema"], schema);
    assert_eq!(words["field_keys"], json!(["for_each", "for_each_entry", "once_per", "one_at_a_time", "value"]));
    let listed =
        |list: &str, name: &str| words[list].as_array().unwrap().iter().find(|word| word["name"] == name).cloned().unwrap_or_default();
    assert_eq!(listed("helpers", "upper")["does"], "in upper case");
    assert_eq!(listed("senders", "github")["title"], "GitHub");
    assert!(listed("verbs", "append")["keys"].as_array().unwrap().contains(&json!("text")));
    assert_eq!(words["addresses"], json!(["/orders"]));
    assert_eq!(words["secrets"], json!(["SHOP"]));
    assert!(!words.to_string().contains(SECRET), "a secret is never sent");

    let seen = words["seen"].as_array().unwrap();
    assert_eq!(
        seen.iter().map(|one| (&one["address"], &one["events"])).collect::<Vec<_>>(),
        [(&json!("/orders"), &json!(25)), (&json!("/quiet"), &json!(0))]
    );
    let field = |name: &str| seen[0]["fields"].as_array().unwrap().iter().find(|field| field["name"] == name).cloned().unwrap_or_default();
    assert_eq!(field("body.total"), json!({ "name": "body.total", "example": "54", "events": 25 }));
    assert_eq!(field("body.items[0].sku")["example"], "A");
    assert_eq!(field("body.note")["example"], "my ***");
    assert_eq!(field("body['<b>']")["example"], "1");
    assert_eq!(field("query.from")["example"], "shop");
    assert_eq!(field("header.x-token")["example"], "***");
    let alone = visitor.json("/words?address=/orders");
    assert_eq!(alone["seen"][0]["events"], 50, "the work is limited");
}

#[test]
fn words_are_only_for_those_who_are_logged_in_and_hidden_bodies_stay_hidden() {
    let setup = setup();
    let serving = setup.serve_with_console(&["--console-hide-bodies"]);
    let mut visitor = setup.visitor();
    deliver(&serving, &json!({ "total": 1 }));
    let words = visitor.json("/words?address=/orders");
    assert_eq!(words["seen"], json!([]));
    visitor.cookie = String::new();
    let answer = visitor.get("/words?address=/orders");
    assert_eq!((answer.status, answer.body.as_str()), (303, ""), "{answer:?}");
    assert_eq!(visitor.look("rules.yaml", RULES).status, 303);
}

#[test]
fn a_console_that_changes_nothing_checks_nothing_that_is_typed() {
    let setup = setup();
    let _serving = setup.serve_with_console(&["--console-read-only"]);
    let visitor = setup.visitor();
    assert_eq!(visitor.look("rules.yaml", RULES).status, 403);
    let page = visitor.get("/edit/rules.yaml").body;
    assert!(
        page.contains("readonly")
            && page.contains("You can read and copy the text.")
            && !page.contains("Check and try")
            && !page.contains("Try it on"),
        "{page}"
    );
    assert_eq!(visitor.json("/words")["addresses"], json!(["/orders"]), "what a word means can be read");
}

#[test]
fn only_the_page_of_the_editor_loads_it_and_works_without_it() {
    let setup = setup();
    let _serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let page = visitor.get("/edit/rules.yaml").body;
    let loaded = assets(&page);
    assert_eq!(loaded.iter().filter(|path| path.contains("/editor-")).count(), 1, "{loaded:?}");
    assert!(page.contains("<textarea id=\"text\" name=\"text\"") && page.contains("value=\"save\"") && page.contains("value=\"try\""));
    for path in ["/", "/events", "/rules", "/new", "/failed", "/senders"] {
        let page = visitor.get(path).body;
        assert!(!assets(&page).is_empty() && !page.contains("/assets/editor-"), "{path}");
    }
    let sent: usize = loaded.iter().map(|path| visitor.get(path).header("content-length").parse::<usize>().unwrap()).sum();
    let words = visitor.get("/words?address=/orders").body.len();
    assert!(page.len() + sent + words < 600 << 10, "{} + {sent} + {words} bytes", page.len());
}
