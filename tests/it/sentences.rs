//! `doorbell list`: rules as sentences; and the line that `serve` prints for each event.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::harness::{Doorbell, Setup, until};

const RULES: &str = r#"webhooks:
  /orders: { verify: none, delivery_id: header.X-Id }
rules:
  Big orders:
    when: { webhook: /orders, method: [POST, PUT] }
    if:
      body.total: { over: 100 }
      body.status: [paid, open]
    then:
      - post: "{{ secret.CHAT_URL }}"
        json: { text: "{{ body.id }}" }
        on_error: continue
      - add_row: items.csv
        for_each: body.items
        if: { item.qty: { over: 0 } }
        columns: { SKU: "{{ item.sku }}" }
      - if: { body.customer.vip: true }
        do:
          - log: a good customer
          - stop: done
    else:
      - append: others.log
        text: "{{ body.id }}"
    on_error:
      - log: "{{ error.message }}"
  Gifts:
    enabled: false
    when: [ { webhook: /gifts }, { webhook: /presents } ]
    if:
      any:
        - { body.kind: gift, body.note: { exists: true } }
        - body.tags: { contains: gift, ignore_case: true }
      none:
        - body.lines: { count: 0 }
    then:
      - respond: 201
"#;

#[test]
fn rules_are_shown_as_sentences() {
    let setup = Setup::with(RULES).env("CHAT_URL", "https://chat.example.com/s3cret-path");
    let expected = r#"Big orders  (rules/rules.yaml)
  When a webhook arrives at /orders with POST or PUT, if body.total is over 100 and body.status is one of paid, open, then post to {{ secret.CHAT_URL }} (if that fails, continue); for each of body.items: add a row to items.csv, if item.qty is over 0; and if body.customer.vip is true: log "a good customer" and stop with "done". Otherwise add a line to others.log. If a step fails, log "{{ error.message }}".

Gifts  (rules/rules.yaml, switched off)
  When a webhook arrives at /gifts or /presents, if ((body.kind is gift and body.note exists) or body.tags contains gift (ignoring case)) and not (body.lines has a number of elements that is 0), then answer with status 201.

2 rules (1 switched off) in 1 file
"#;
    assert_eq!(setup.printed(&["list"]), expected);
    assert!(setup.printed(&["list", "--path", "/presents"]).starts_with("Gifts  ("));
    assert_eq!(setup.printed(&["list", "--path", "/other"]), "No rule uses /other.\n");
    let json: serde_json::Value = serde_json::from_str(&setup.printed(&["list", "--json"])).unwrap();
    assert_eq!(json[1]["when"], "a webhook arrives at /gifts or /presents");
    assert_eq!(json[0]["else"], serde_json::json!(["add a line to others.log"]));
}

/// What `serve` prints to standard output after its first two lines, until it has printed `last`.
fn printed(setup: &Setup, arguments: &[&str], last: &str) -> String {
    let mut child =
        setup.command(&["serve", "--listen", "127.0.0.1:0"]).args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let address = out.next().unwrap().trim_start_matches("listening on http://").to_owned();
    out.next();
    let mut doorbell = Doorbell { child, address, log: Arc::default() };
    for _ in 0..2 {
        let headers = [("content-type", "application/json"), ("x-id", "1")];
        assert_eq!(doorbell.send("POST", "/orders", &headers, br#"{"total": 1, "id": 7}"#).status, 200);
    }
    Command::new("kill").args(["-TERM", &doorbell.child.id().to_string()]).status().unwrap();
    let mut all = String::new();
    for line in out.by_ref() {
        // Without the time.
        all += &format!("{}\n", line.get(9..).unwrap_or(&line));
        if line.contains(last) {
            break;
        }
    }
    until("it stops", || doorbell.child.try_wait().unwrap().is_some());
    all
}

#[test]
fn serve_prints_a_line_for_each_event_unless_it_is_quiet() {
    let setup = Setup::with(RULES).env("CHAT_URL", "https://chat.example.com/s3cret-path");
    let lines = "POST /orders: `Big orders` runs, answered 200\nPOST /orders: received before, so nothing runs again\n";
    assert_eq!(printed(&setup, &[], "received before"), lines);
    assert_eq!(printed(&setup, &["--quiet"], "received before"), "");
}
