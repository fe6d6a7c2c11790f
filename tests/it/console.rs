//! The console: its pages, what its buttons do, and that they work without scripts.

use crate::harness::{ClosedPort, Setup, until};
use crate::memory::peak;

const ORDERS: &str = r#"
webhooks:
  /orders: { verify: none }
rules:
  Every order:
    when: { webhook: /orders }
    then:
      - append: orders.log
        text: "{{ body.id }}"
    tests:
      - name: an order
        send: { json: { id: 1 } }
        expect: [{ append: orders.log, text: "1" }]
  Big orders:
    when: { webhook: /orders }
    if: { body.total: { over: 1000 } }
    then:
      - append: big.log
        text: "{{ body.id }}"
"#;

#[test]
fn the_first_page_says_how_to_begin_and_a_test_event_shows_that_it_works() {
    let setup = Setup::with(ORDERS);
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let page = visitor.get("/").body;
    for words in ["Nothing has arrived yet", "Every order", "Send a test event", &format!("http://{}/orders", serving.address)] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let page = visitor.post("/ring", &[("rule", "Every order")]).body;
    for words in
        ["It works: the test event arrived and is stored.", "/edit/rules.yaml\">Change what the rule does<", "/new\">Connect your own app<"]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
    until("the rule has run", || setup.output("orders.log").lines().count() == 1);
    assert!(!visitor.get("/").body.contains("Nothing has arrived yet"));
}

#[test]
fn an_event_page_says_why_each_rule_did_or_did_not_run() {
    let setup = Setup::with(ORDERS);
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let id = serving.deliver("/orders", r#"{"id": 7, "total": 150, "items": [{"sku": "A1"}], "first name": "Ada"}"#);
    until("the run has ended", || visitor.get(&format!("/events/{id}")).body.contains("done"));
    let page = visitor.get(&format!("/events/{id}")).body;
    for words in [
        "1 of 2 rules ran",
        "body.total over 1000",
        "NO, it was 150",
        "wrote to orders.log",
        "did not run",
        "Reconstructed from the event",
        "append  orders.log\n7",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    for field in ["body.id", "body.items[0].sku", "body['first name']"] {
        assert!(page.contains(&format!("data-copy=\"{field}\"")), "{field}");
    }
}

#[test]
fn events_are_found_by_address_rule_outcome_and_text_and_the_filter_is_in_the_link() {
    let setup = Setup::with(ORDERS);
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let small = serving.deliver("/orders", r#"{"id": "small", "total": 1}"#);
    let big = serving.deliver("/orders", r#"{"id": "big", "total": 5000}"#);
    until("both have run", || setup.output("orders.log").lines().count() == 2 && setup.output("big.log").lines().count() == 1);
    let found = |query: &str| {
        let page = visitor.get(&format!("/events?{query}")).body;
        (page.contains(&small), page.contains(&big))
    };
    assert_eq!(found(""), (true, true));
    assert_eq!(found("rule=Big%20orders"), (false, true));
    assert_eq!(found("text=small"), (true, false));
    assert_eq!(found("text=%22ID%22:%20%22SMA"), (true, false));
    let page = visitor.get("/events?text=SMALL").body;
    assert!(page.contains("{&quot;id&quot;: &quot;<mark>small</mark>&quot;, &quot;total&quot;: 1}"), "{page}");
    assert_eq!(found("address=/other"), (false, false));
    assert_eq!(found("outcome=failed"), (false, false));
    until("their ends are recorded", || found("outcome=done") == (true, true));
    assert_eq!(visitor.get("/events?outcome=odd").status, 400);
    assert_eq!(visitor.get("/events?before=yesterday").status, 400);
    assert_eq!(visitor.get("/events?from=x").status, 400);
}

#[test]
fn failed_runs_are_gathered_and_go_on_with_one_button() {
    let closed = ClosedPort::new();
    let rules = format!(
        "webhooks:\n  /orders: {{ verify: none }}\nrules:\n  Tell:\n    when: {{ webhook: /orders }}\n    then:\n      - post: http://{}/{{{{ body.id }}}}\n        tries: 1\n      - append: told.log\n        text: ok\n",
        closed.address()
    );
    let setup = Setup::with(&rules);
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    for n in 0..3 {
        serving.deliver("/orders", &format!("{{\"id\": {n}}}"));
    }
    let page = || visitor.get("/failed").body;
    until("all have failed", || page().contains("3 failed runs in 1 group"));
    let shown = page();
    let key = shown.split("name=\"group\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    assert!(shown.contains("Go on with all 3") && visitor.get("/").body.contains("3 runs failed."), "{shown}");
    let list = visitor.get("/failed.jsonl");
    assert_eq!(list.header("content-disposition"), "attachment; filename=\"failed.jsonl\"");
    assert_eq!(list.body.lines().filter(|line| line.contains("\"rule\":\"Tell\"")).count(), 3);
    // The server is back.
    let port = closed.address();
    drop(closed);
    let listener = std::net::TcpListener::bind(port).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = stream;
            let mut bytes = [0; 4096];
            let _ = std::io::Read::read(&mut stream, &mut bytes);
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    let after = visitor.post("/failed/go-on", &[("group", &key), ("rate", "500")]).body;
    assert!(after.contains("from the step that failed") && after.contains("<progress"), "{after}");
    until("all are done", || setup.output("told.log").lines().count() == 3);
    until("the list is empty", || page().contains("No run has failed.") && page().contains("All go on from the step that failed."));
    assert!(visitor.post("/failed/go-on", &[("group", &key)]).body.contains("Nothing of this group is left"));
    let audit = setup.printed(&["audit"]);
    assert_eq!(audit.matches("in the console, from 127.0.0.1").count(), 3, "{audit}");
}

#[test]
fn what_waits_can_be_seen_and_cancelled() {
    let closed = ClosedPort::new();
    let rules = format!(
        "webhooks:\n  /orders: {{ verify: none }}\nrules:\n  Tell:\n    when: {{ webhook: /orders }}\n    then:\n      - post: http://{}/x\n        first_wait: 1 hour\n",
        closed.address()
    );
    let setup = Setup::with(&rules);
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let id = serving.deliver("/orders", "{}");
    until("it waits", || visitor.get("/waiting").body.contains("for try 2"));
    let page = visitor.post(&format!("/events/{id}/cancel"), &[]).body;
    assert!(page.contains("1 run cancelled.") && page.contains("was cancelled") | page.contains("cancelled"), "{page}");
    assert!(visitor.get("/waiting").body.contains("Nothing waits."));
}

#[test]
fn a_file_is_tried_on_the_latest_events_in_a_line_each() {
    let setup = Setup::with(ORDERS);
    let serving = setup.serve_with_console(&[]);
    for total in [5, 1001, 7, 2000, 9, 11] {
        serving.deliver("/orders", &format!("{{\"id\": 1, \"total\": {total}}}"));
    }
    let page = setup.visitor().get("/edit/rules.yaml").body;
    let (_, lately) = page.split_once("The latest 5 events of its addresses").unwrap_or_else(|| panic!("{page}"));
    assert_eq!((lately.matches("✓</span> would run<").count(), lately.matches("–</span> would not run<").count()), (7, 3), "{lately}");
}

#[test]
fn a_rule_is_edited_tried_saved_and_used() {
    let setup = Setup::with(ORDERS);
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    serving.deliver("/orders", r#"{"id": 7, "total": 150}"#);
    let page = visitor.get("/edit/rules.yaml").body;
    let opened = page.split("name=\"opened\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    assert!(page.contains("No problems.") && page.contains("What it would do") && page.contains("would not run"), "{page}");
    let wrong = ORDERS.replace("over: 1000", "ovr: 100");
    let look = visitor.submit("/edit/rules.yaml", &[("text", &wrong), ("opened", &opened), ("do", "look")]).body;
    assert!(look.contains("there is no test called `ovr`") && look.contains("over") && !look.contains("<html"), "{look}");
    let refused = visitor.submit("/edit/rules.yaml", &[("text", &wrong), ("opened", &opened), ("do", "save")]);
    assert!(refused.body.contains("Not saved: there is 1 error."), "{}", refused.body);
    assert_eq!(std::fs::read_to_string(setup.path("rules/rules.yaml")).unwrap(), ORDERS);
    let right = ORDERS.replace("over: 1000", "over: 100");
    let saved = visitor.post("/edit/rules.yaml", &[("text", &right.replace('\n', "\r\n")), ("opened", &opened), ("do", "save")]).body;
    assert!(saved.contains("Saved, and in use."), "{saved}");
    assert_eq!(std::fs::read_to_string(setup.path("rules/rules.yaml")).unwrap(), right, "the line ends of forms are not kept");
    serving.deliver("/orders", r#"{"id": 8, "total": 150}"#);
    until("the new rule runs", || setup.output("big.log") == "8\n");
    // Somebody else still has the old version open.
    let late = visitor.submit("/edit/rules.yaml", &[("text", "rules: {}"), ("opened", &opened), ("do", "save"), ("anyway", "yes")]);
    assert!(late.body.contains("was changed while you edited it"), "{}", late.body);
    assert_eq!(std::fs::read_to_string(setup.path("rules/rules.yaml")).unwrap(), right);
}

#[test]
fn an_event_is_kept_as_a_test_of_a_rule_and_the_tests_of_a_rule_can_be_run() {
    let rules = "webhooks:\n  /orders: { verify: none }\nrules:\n  Plain:\n    when: { webhook: /orders }\n    if: { header.x-shop: berlin }\n    then:\n      - post: https://crm.example.com/orders\n        json: { number: \"{{ body.id }}\", shop: \"{{ header.x-shop }}\" }\n      - respond: 201\n        json: { ok: true }\n\n  # the next one\n  Tested:\n    when: { webhook: /orders }\n    tests:\n      - name: nothing in it\n        send: { json: { id: 1 } }\n        expect: [{ append: a.log, text: \"1\" }]\n    then:\n      - append: a.log\n        text: \"{{ body.id }}\"\n";
    let setup = Setup::with(rules);
    let serving = setup.serve_with_console(&["--rules", "rules"]);
    let visitor = setup.visitor();
    let headers = [("content-type", "application/json"), ("x-shop", "berlin"), ("x-other", "other")];
    let id = serving.send("POST", "/orders", &headers, br#"{"id": 7, "note": "it's \"new\": yes"}"#).header("doorbell-event").to_owned();
    let text_of = |page: &str| {
        let text = page
            .split("<textarea id=\"text\"")
            .nth(1)
            .and_then(|rest| rest.split_once('>'))
            .and_then(|(_, rest)| rest.split_once("</textarea>"))
            .unwrap()
            .0;
        text.trim_start_matches('\n')
            .replace("&quot;", "\"")
            .replace("&#39;", "'")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&")
    };
    let mut text = String::new();
    for rule in ["Plain", "Tested"] {
        let page = visitor.get(&format!("/edit/rules.yaml?keep={id}&rule={rule}")).body;
        text = text_of(&page);
        let opened = page.split("name=\"opened\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
        let saved = visitor.post("/edit/rules.yaml", &[("text", &text), ("opened", &opened), ("do", "save")]).body;
        assert!(saved.contains("Saved, and in use."), "{saved}");
    }
    assert!(
        text.contains(
            "        expect:\n          - post: \"https://crm.example.com/orders\"\n            json: {\"number\":7,\"shop\":\"berlin\"}\n"
        ),
        "{text}"
    );
    assert!(text.contains("\"x-shop\": \"berlin\"") && !text.contains("x-other") && text.contains("  # the next one\n  Tested:"), "{text}");
    assert!(setup.printed(&["test"]).contains("3 tests passed"), "{text}");
    assert!(visitor.get("/rules/Tested/test").body.contains("2 tests passed."));
    setup.write("rules/rules.yaml", &text.replace("text: \"{{ body.id }}\"", "text: \"{{ body.id }}!\""));
    serving.reload();
    until("a test fails", || visitor.get("/rules/Tested/test").body.contains("2 of 2 tests failed."));
}

#[test]
fn earlier_versions_of_a_file_are_shown_and_one_can_be_brought_back() {
    let setup = Setup::with(ORDERS);
    let _serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let opened = |page: &str| page.split("name=\"opened\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    let first = opened(&visitor.get("/edit/rules.yaml").body);
    let right = ORDERS.replace("over: 1000", "over: 100");
    let saved = visitor.post("/edit/rules.yaml", &[("text", &right), ("opened", &first), ("do", "save")]).body;
    assert!(saved.contains("Saved, and in use."), "{saved}");
    let page = visitor.get("/history/rules.yaml").body;
    assert!(
        page.contains("<del>-     if: { body.total: { over: 1000 } }</del>")
            && page.contains("<ins>+     if: { body.total: { over: 100 } }</ins>"),
        "{page}"
    );
    let back = page.split("/edit/rules.yaml?version=").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    let page = visitor.get(&format!("/edit/rules.yaml?version={back}")).body;
    assert!(page.contains("over: 1000"), "{page}");
    let saved = visitor.post("/edit/rules.yaml", &[("text", ORDERS), ("opened", &opened(&page)), ("do", "save")]).body;
    assert!(saved.contains("Saved, and in use."), "{saved}");
    assert_eq!(std::fs::read_to_string(setup.path("rules/rules.yaml")).unwrap(), ORDERS);
    let page = visitor.get("/history/rules.yaml").body;
    assert_eq!(page.matches("<h2>Since").count(), 3);
    assert_eq!(
        (page.matches(", by the console, from 127.0.0.1<").count(), page.matches(", by the start of Doorbell<").count()),
        (2, 1),
        "{page}"
    );
    setup.write("rules/rules.yaml", &right);
    until("the edit is in use", || visitor.get("/history/rules.yaml").body.contains(", by an edit in the rules folder<"));
    assert_eq!(visitor.get("/history/other.yaml").status, 404);
}

#[test]
fn an_event_is_shown_under_the_rules_of_then_and_today_and_can_be_run_again() {
    let setup = Setup::with(ORDERS);
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let id = serving.deliver("/orders", r#"{"id": 7, "total": 150}"#);
    until("it has run", || setup.output("orders.log") == "7\n");
    setup.write("rules/rules.yaml", &ORDERS.replace("over: 1000", "over: 100"));
    serving.reload();
    until("the new rules are in use", || visitor.get("/rules/Big%20orders").body.contains("over: 100 "));
    let page = visitor.get(&format!("/events/{id}/today")).body;
    assert!(
        page.contains("body.total over 1000") && page.contains("NO, it was 150") && page.contains("body.total over 100</code>"),
        "{page}"
    );
    assert!(page.contains("would run") && setup.output("big.log").is_empty(), "{page}");
    let page = visitor.post(&format!("/events/{id}/again"), &[]).body;
    assert!(page.contains("2 runs started again with today's rules.") || page.contains("today&#39;s"), "{page}");
    until("the new rule has run", || setup.output("big.log") == "7\n");
    // A rule that is younger than the event: its steps have their verbs.
    setup.write(
        "rules/later.yaml",
        "rules:\n  Later:\n    when: { webhook: /orders }\n    then:\n      - append: later.log\n        text: x\n",
    );
    serving.reload();
    until("it is in use", || visitor.get("/rules/Later").status == 200);
    visitor.post(&format!("/events/{id}/again"), &[]);
    until("it has run", || setup.output("later.log") == "x\n");
    until("its end is recorded", || visitor.get(&format!("/events/{id}")).body.contains("wrote to later.log"));
    let page = visitor.get(&format!("/events/{id}")).body;
    let later = page.split("/rules/Later").nth(1).unwrap();
    assert!(later.contains("<strong>1. <span>append</span></strong>"), "{later}");
    assert!(setup.printed(&["explain", &id]).contains("1. append"), "{}", setup.printed(&["explain", &id]));
}

#[test]
fn an_edit_with_errors_can_be_saved_and_the_rules_from_before_stay_in_use() {
    let setup = Setup::with(ORDERS);
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let page = visitor.get("/edit/rules.yaml").body;
    let opened = page.split("name=\"opened\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    let saved = visitor.post("/edit/rules.yaml", &[("text", "rules: ["), ("opened", &opened), ("do", "save"), ("anyway", "yes")]).body;
    assert!(saved.contains("Saved, but not in use"), "{saved}");
    assert!(visitor.get("/rules").body.contains("The last edit is not in use"));
    assert!(visitor.get("/").body.contains("The last edit is not in use."));
    serving.deliver("/orders", r#"{"id": 7}"#);
    until("the old rule runs", || setup.output("orders.log") == "7\n");
}

#[test]
fn a_rule_is_made_from_the_first_webhook_that_arrives() {
    let setup = Setup::with(ORDERS);
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    assert_eq!(serving.post("/new-app", "{}").status, 404);
    let page = visitor.post("/new", &[("path", "/new-app"), ("do", "wait")]).body;
    assert!(page.contains("Waiting …") && page.contains(&format!("http://{}/new-app", serving.address)), "{page}");
    let id = serving.deliver("/new-app", r#"{"type": "signup", "email": "ada@example.com"}"#);
    let page = visitor.get("/new/wait?path=/new-app").body;
    assert!(page.contains("arrived") && page.contains(&format!("/new?event={id}")), "{page}");
    let begun = visitor.submit("/new", &[("do", "x")]);
    assert_eq!(begun.status, 400);
    let to = visitor.get(&format!("/new?event={id}")).header("location").to_owned();
    assert_eq!(to, format!("/edit/app.yaml?event={id}"));
    let page = visitor.get(&to).body;
    assert!(page.contains("body.type: &quot;signup&quot;") && page.contains("No problems.") || page.contains("Warning"), "{page}");
    let text = setup.printed(&["new", "--event", &id]);
    let saved = visitor.post("/edit/app.yaml", &[("text", &text), ("do", "save")]).body;
    assert!(saved.contains("Saved, and in use."), "{saved}");
    serving.deliver("/new-app", r#"{"type": "signup", "email": "bob@example.com"}"#);
    until("the new rule runs", || setup.output("app.log").contains("bob@example.com"));
    assert!(setup.printed(&["test", "rules/app.yaml"]).contains("1 test passed"));
}

#[test]
fn every_page_is_html_that_no_payload_changes() {
    let setup = Setup::with(&ORDERS.replace("/orders", "\"/{any}\""));
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let nasty = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u{1b}[31m\u{202e}";
    let body = serde_json::json!({ "id": nasty, "total": 5000, nasty: { nasty: nasty } }).to_string();
    let answer = serving.send("POST", "/%3Cb%3E%22", &[("content-type", "application/json"), ("x-evil", "<script>")], body.as_bytes());
    let id = answer.header("doorbell-event").to_owned();
    assert_eq!(answer.status, 200);
    serving.send("POST", "/a/%3Cscript%3E", &[], b"");
    until("it has run", || !setup.output("orders.log").is_empty());
    for path in [
        "/",
        "/events",
        &format!("/events/{id}"),
        "/rules",
        "/failed",
        "/waiting",
        "/servers",
        "/files/orders.log",
        "/senders",
        "/system",
        "/new",
    ] {
        let got = visitor.get(path);
        assert_eq!(got.status, 200, "{path}");
        for raw in ["<script>alert", "<img src=x", "<b>\"", "\u{1b}", "\u{202e}"] {
            assert!(!got.body.contains(raw), "{path} contains {raw:?}");
        }
        let policy = got.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert_eq!(
            (got.header("x-content-type-options"), got.header("cache-control"), got.header("referrer-policy")),
            ("nosniff", "no-store", "no-referrer")
        );
    }
}

#[test]
fn secrets_are_struck_out_on_every_page() {
    let setup = Setup::with(
        "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then:\n      - post: \"http://127.0.0.1:1/{{ secret.KEY }}\"\n        headers: { X-Key: \"{{ secret.KEY }}\" }\n        tries: 1\n      - append: a.log\n        text: x\n",
    )
    .env("KEY", "s3cr3t-v4lue");
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let id = serving.deliver("/a", r#"{"copied": "s3cr3t-v4lue"}"#);
    until("it has failed", || visitor.get("/failed").body.contains("1 failed run"));
    // Nobody finds a secret by searching for parts of it.
    assert!(visitor.get("/events?text=copied").body.contains(&id) && !visitor.get("/events?text=s3cr3t").body.contains(&id));
    for path in
        ["/", "/events", "/events?text=copied", &format!("/events/{id}"), "/failed", "/failed.jsonl", "/servers", "/edit/rules.yaml"]
    {
        let got = visitor.get(path);
        assert!(got.status == 200 && !got.body.contains("s3cr3t"), "{path}: {}", got.body);
    }
    assert!(visitor.get("/edit/rules.yaml").body.contains("secret.KEY"), "a dry run uses the names of secrets");
}

#[test]
fn files_that_rules_write_can_be_looked_at_and_saved_and_no_others() {
    let setup = Setup::with(
        "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then:\n      - add_row: people.csv\n        columns: { Name: \"{{ body.name }}\", City: Berlin }\n",
    );
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    serving.deliver("/a", r#"{"name": "Ada"}"#);
    until("the row is written", || setup.output("people.csv").contains("Ada"));
    assert!(visitor.get("/servers").body.contains("people.csv"));
    let page = visitor.get("/files/people.csv").body;
    assert!(page.contains("City") && page.contains("<td><span>Ada</span></td>"), "{page}");
    assert_eq!(visitor.get("/download/people.csv").body, setup.output("people.csv"));
    for path in [
        "/download/../rules/rules.yaml",
        "/download/%2e%2e%2frules%2frules.yaml",
        "/files/%2fetc%2fpasswd",
        "/download/.doorbell.lock",
        "/edit/..%2fdata%2fconsole.key",
    ] {
        let got = visitor.get(path);
        assert!(got.status == 404 || got.status == 400, "{path}: {}", got.status);
    }
}

#[test]
fn a_large_file_is_saved_whole_and_slow_readers_of_it_take_no_memory() {
    use std::io::{Read, Write};
    let setup = Setup::with(
        "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then:\n      - append: a.log\n        text: x\n",
    );
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let large = "0123456789abcde\n".repeat(16 << 16);
    setup.write("output/large.log", &large);
    let ask = || {
        let mut stream = std::net::TcpStream::connect(&visitor.address).unwrap();
        let head = format!("GET /download/large.log HTTP/1.1\r\nhost: {0}\r\ncookie: {1}\r\n\r\n", visitor.address, visitor.cookie);
        stream.write_all(head.as_bytes()).unwrap();
        stream.read_exact(&mut [0; 1000]).unwrap();
        stream
    };
    let before = peak(&serving);
    let slow: Vec<_> = (0..20).map(|_| ask()).collect();
    let got = visitor.get("/download/large.log");
    assert!(got.header("content-length") == large.len().to_string() && got.body == large, "{}", got.body.len());
    assert!(peak(&serving) < before + 100, "{} MB more for 20 readers of 16 MB", peak(&serving) - before);
    drop(slow);
}

#[test]
fn a_denied_request_is_explained() {
    let setup = Setup::with(
        "webhooks:\n  /a: { verify: { github: \"{{ secret.HOOK }}\" } }\nrules:\n  A:\n    when: { webhook: /a }\n    then:\n      - log: x\n",
    )
    .env("HOOK", "the-long-secret-of-github");
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let got = serving.send("POST", "/a", &[("x-hub-signature-256", "sha256=00")], b"{}");
    assert_eq!(got.status, 401);
    let request = got.header("doorbell-request").to_owned();
    let page = visitor.get("/senders").body;
    assert!(page.contains("Refused lately") && page.contains(&request) && page.contains("<code><span>/a</span></code>"), "{page}");
    assert!(visitor.get(&format!("/events/{request}")).body.contains("It was not accepted:"));
    let checked = visitor.submit("/senders", &[("address", "/a"), ("headers", "X-Hub-Signature-256: sha256=00"), ("body", "{}")]).body;
    assert!(checked.contains("Denied:") && checked.contains("The content that has to be signed, 2 bytes"), "{checked}");
}
