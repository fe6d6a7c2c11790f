//! What rules did in the last 24 hours: counted, saved across restarts, and shown in the console.

use crate::harness::{Setup, Target, json, until};

#[test]
fn the_console_shows_what_rules_did_in_the_last_24_hours() {
    let target = Target::new(&[&json(200, "{}"), &json(404, "{}")]);
    let setup = Setup::with(&format!(
        "webhooks:\n  /orders: {{ verify: none }}\nrules:\n  Big <orders>:\n    when: {{ webhook: /orders }}\n    if: {{ body.total: {{ over: 100 }} }}\n    then: [ {{ post: {} }} ]\n  \
         Idle:\n    when: {{ webhook: /idle }}\n    then: [ {{ log: hi }} ]\n  Off:\n    enabled: false\n    when: {{ webhook: /orders }}\n    then: [ {{ log: hi }} ]\n",
        target.url("/x")
    ));
    let doorbell = setup.serve();
    for total in [1, 2, 3, 150, 250] {
        doorbell.deliver("/orders", &format!(r#"{{"total": {total}}}"#));
    }
    until("they have run", || target.calls().len() == 2 && setup.printed(&["failed"]).contains("1 failed run"));
    doorbell.stop();
    let doorbell = setup.serve_with_console(&[]);
    // Also after a crash, except for the last seconds.
    doorbell.deliver("/orders", r#"{"total": 4}"#);
    let console = setup.visitor();
    until("it is saved while Doorbell runs", || console.get("/rules/Big%20%3Corders%3E").body.contains("1 ran, 4 did not, 1 failed"));
    doorbell.kill();
    let _doorbell = setup.serve_with_console(&[]);
    let console = setup.visitor();
    for page in ["/rules", "/rules/Big%20%3Corders%3E"] {
        let body = console.get(page).body;
        assert!(body.contains("aria-label=\"Last 24 hours: 1 ran, 4 did not, 1 failed\""), "{body}");
        assert_eq!(body.matches("class=\"failed\"").count(), 1, "{body}");
    }
    let rules = console.get("/rules").body;
    assert_eq!(rules.matches("nothing in the last 24 hours").count(), 2, "a rule that is off did not fail to run: {rules}");
    let key = format!("Bearer {}", setup.printed(&["console", "--api-key"]).trim());
    let listed = console.send("GET", "/api/v1/rules", &[("authorization", &key), ("cookie", "")], "").body;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let rule = listed["rules"].as_array().unwrap().iter().find(|rule| rule["name"] == "Big <orders>").unwrap();
    let hours = rule["hours"].as_array().unwrap();
    let total = |name: &str| hours.iter().map(|hour| hour[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!((hours.len(), total("ran"), total("did_not"), total("failed")), (24, 1, 4, 1));
}
