//! Calls to other apps: what is sent, what is retried, and which calls are not allowed.

use crate::harness::{Setup, Target, json, until};

fn rules(step: &str) -> String {
    format!("webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n{step}")
}

#[test]
fn a_call_sends_the_values_of_the_rule_with_their_types() {
    let target = Target::new(&[&json(201, r#"{"id": 42}"#)]);
    let step = format!(
        "      - post: http://{}/api/{{{{ body.shop }}}}/orders?x=1\n        query: {{ tag: \"{{{{ body.tags }}}}\", none: null, q: \"a b&c\" }}\n        auth: {{ bearer: \"{{{{ secret.KEY }}}}\" }}\n        headers: {{ X-Id: \"{{{{ body.id }}}}\", X-Null: \"{{{{ body.nothing }}}}\" }}\n        json: {{ id: \"{{{{ body.id }}}}\", text: \"{{{{ body.id }}}}!\", zip: 007, big: \"{{{{ body.big }}}}\", list: \"{{{{ body.tags }}}}\", none: \"{{{{ body.nothing }}}}\", quote: \"{{{{ body.quote }}}}\" }}\n        save_as: made\n      - append: made.log\n        text: \"{{{{ made.status }}}} {{{{ made.body.id }}}} {{{{ made.header.Content-Type }}}}\"\n",
        target.address
    );
    let setup = Setup::with(&rules(&step)).env("KEY", "k3y-k3y");
    let doorbell = setup.serve();
    doorbell.deliver(
        "/a",
        r#"{"id": 1.10, "shop": "a/b ü", "tags": ["x", "y"], "big": 12345678901234567890123, "nothing": null, "quote": "\"}{\n"}"#,
    );
    until("the reply is written", || !setup.output("made.log").is_empty());
    let call = &target.calls()[0];
    assert_eq!(call.line, "POST /api/a%2Fb%20%C3%BC/orders?x=1&tag=x&tag=y&q=a+b%26c HTTP/1.1");
    assert_eq!(
        call.body,
        r#"{"id":1.10,"text":"1.10!","zip":"007","big":12345678901234567890123,"list":["x","y"],"none":null,"quote":"\"}{\n"}"#
    );
    assert_eq!(call.header("authorization"), "Bearer k3y-k3y");
    assert_eq!(call.header("x-id"), "1.10");
    assert!(call.headers.iter().all(|(n, _)| n != "x-null"));
    assert_eq!(call.header("content-type"), "application/json");
    assert_eq!(setup.output("made.log"), "201 42 application/json\n");
}

#[test]
fn numbers_of_answers_keep_their_spelling() {
    let target = Target::new(&[&json(200, r#"{"n": [1E5, 1.50e-3, 2.0]}"#)]);
    let url = target.url("/x");
    let step = format!(
        "      - get: {url}\n        save_as: got\n      - post: {url}\n        for_each: got.body.n\n        json: {{ n: \"{{{{ item }}}}\" }}\n        save_as: made\n      - append: made.log\n        text: \"{{{{ json got.body.n }}}} {{{{ made[2].body.n[0] }}}}\"\n      - add_row: made.csv\n        columns: {{ N: \"{{{{ got.body.n[0] }}}}\" }}\n"
    );
    let setup = Setup::with(&rules(&step));
    let doorbell = setup.serve();
    doorbell.deliver("/a", "{}");
    until("the row is written", || !setup.output("made.csv").is_empty());
    let bodies: Vec<String> = target.calls().into_iter().skip(1).map(|call| call.body).collect();
    assert_eq!(bodies, [r#"{"n":1E5}"#, r#"{"n":1.50e-3}"#, r#"{"n":2.0}"#]);
    assert_eq!((setup.output("made.log").as_str(), setup.output("made.csv").as_str()), ("[1E5,1.50e-3,2.0] 1E5\n", "N\n1E5\n"));
}

#[test]
fn forms_and_text_can_be_sent() {
    let target = Target::new(&[&json(200, "{}")]);
    let url = target.url("/x");
    let step = format!(
        "      - put: {url}\n        form: {{ a: \"{{{{ body.tags }}}}\", b: \"x&y\", c: null }}\n      - post: {url}\n        text: \"hi {{{{ body.name }}}}\"\n        type: text/markdown\n      - delete: {url}\n      - get: {url}\n        auth: {{ basic: {{ user: u, password: p }} }}\n"
    );
    let setup = Setup::with(&rules(&step));
    let doorbell = setup.serve();
    doorbell.deliver("/a", r#"{"tags": [1, 2], "name": "Ada"}"#);
    until("all four calls arrived", || target.calls().len() == 4);
    let calls = target.calls();
    assert_eq!((calls[0].line.as_str(), calls[0].body.as_str()), ("PUT /x HTTP/1.1", "a=1&a=2&b=x%26y"));
    assert_eq!(calls[0].header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!((calls[1].body.as_str(), calls[1].header("content-type")), ("hi Ada", "text/markdown"));
    assert_eq!((calls[2].line.as_str(), calls[2].body.as_str()), ("DELETE /x HTTP/1.1", ""));
    assert_eq!(calls[3].header("authorization"), "Basic dTpw");
}

#[test]
fn temporary_errors_are_retried_with_the_same_idempotency_key() {
    let later = "HTTP/1.1 503 X\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n";
    let target = Target::new(&["", &json(500, "{}"), later, &json(200, "{}")]);
    let setup = Setup::with(&rules(&format!(
        "      - post: {}\n        json: {{ a: 1 }}\n        first_wait: 10 milliseconds\n        tries: 5\n",
        target.url("/x")
    )));
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", "{}");
    until("it is done", || setup.printed(&["events"]).contains("1 run done"));
    let calls = target.calls();
    assert_eq!(calls.len(), 4);
    let keys: std::collections::HashSet<_> = calls.iter().map(|c| c.header("idempotency-key").to_owned()).collect();
    assert_eq!(keys.len(), 1);
    assert!(keys.iter().next().unwrap().starts_with(&event));
    let told = setup.printed(&["explain", &event]);
    assert!(told.contains("1. post, try 3  retry: POST") && told.contains("1. post, try 4  done: POST"), "{told}");
}

#[test]
fn a_run_that_failed_is_saved_and_continues_when_it_is_replayed() {
    let target = Target::new(&[&json(422, r#"{"error": "no such customer"}"#), &json(200, "{}")]);
    let url = target.url("/x");
    let setup = Setup::with(&rules(&format!(
        "      - append: first.log\n        text: once\n      - post: {url}\n        json: {{}}\n      - append: last.log\n        text: done\n"
    )));
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", "{}");
    until("it has failed", || setup.printed(&["failed"]).contains("1 failed run"));
    let said = setup.printed(&["failed"]);
    assert!(said.contains(&format!("A, step 2\n    POST {url} answered 422: {{\"error\": \"no such customer\"}}\n")), "{said}");
    assert_eq!(setup.printed(&["replay", &event]), format!("{event}: 1 failed run will continue\n"));
    until("the rest is done", || setup.output("last.log") == "done\n");
    assert_eq!(setup.output("first.log"), "once\n");
    let calls = target.calls();
    assert_eq!(calls[1].header("idempotency-key"), format!("{}-r1", calls[0].header("idempotency-key")));
    assert_eq!(
        setup.printed(&["replay", &event]),
        format!("{event}: no run has failed; to run the event again from the start, add --again\n")
    );
    doorbell.stop();
    let said = setup.printed(&["replay", &event, "--again"]);
    assert_eq!(said, format!("{event}: 1 run will start again\nnothing runs until you start `doorbell serve`\n"));
    let _doorbell = setup.serve();
    until("it was done once more", || setup.output("first.log") == "once\nonce\n");
}

#[test]
fn a_call_without_a_body_says_so_where_a_body_is_usual() {
    let target = Target::new(&[&json(200, "{}")]);
    let steps = ["post", "put", "patch", "get", "delete"].map(|verb| format!("      - {verb}: {}\n", target.url("/x")));
    let setup = Setup::with(&rules(&steps.concat()));
    let doorbell = setup.serve();
    doorbell.deliver("/a", "{}");
    until("all of them are made", || target.calls().len() == 5);
    let lengths = target
        .calls()
        .iter()
        .map(|call| call.headers.iter().filter(|(n, v)| n.eq_ignore_ascii_case("content-length") && v == "0").count())
        .collect::<Vec<_>>();
    assert_eq!(lengths, [1, 1, 1, 0, 0]);
}

#[test]
fn a_rule_can_continue_after_an_error_and_accept_other_statuses() {
    let target = Target::new(&[&json(404, "{}"), &json(400, "{}")]);
    let url = target.url("/x");
    let setup = Setup::with(&rules(&format!(
        "      - get: {url}\n        ok: [200-299, 404]\n        save_as: found\n      - post: {url}\n        tries: 1\n        on_error: continue\n        save_as: gone\n      - append: end.log\n        text: \"{{{{ found.status }}}} {{{{ default gone.status 'nothing' }}}}\"\n"
    )));
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", "{}");
    until("the run continues", || setup.output("end.log") == "404 nothing\n");
    until("it is recorded", || setup.printed(&["explain", &event]).contains("ran with errors that `on_error` handled"));
}

#[test]
fn each_element_of_a_list_is_sent_and_retried_separately() {
    let target = Target::new(&[&json(200, "{}"), &json(500, "{}"), &json(200, "{}")]);
    let setup = Setup::with(&rules(&format!(
        "      - post: {}\n        for_each: body.items\n        if: {{ item.qty: {{ over: 0 }} }}\n        json: {{ sku: \"{{{{ item.sku }}}}\", n: \"{{{{ item_number }}}}\" }}\n        first_wait: 1 millisecond\n        save_as: made\n      - append: end.log\n        text: \"{{{{ count made }}}}\"\n",
        target.url("/x")
    )));
    let doorbell = setup.serve();
    doorbell.deliver("/a", r#"{"items": [{"sku": "a", "qty": 1}, {"sku": "b", "qty": 0}, {"sku": "c", "qty": 2}]}"#);
    until("all are done", || setup.output("end.log") == "2\n");
    let bodies: Vec<_> = target.calls().iter().map(|c| c.body.clone()).collect();
    assert_eq!(bodies, [r#"{"sku":"a","n":1}"#, r#"{"sku":"c","n":3}"#, r#"{"sku":"c","n":3}"#]);
    let calls = target.calls();
    assert_eq!(calls[1].header("idempotency-key"), calls[2].header("idempotency-key"));
    assert_ne!(calls[0].header("idempotency-key"), calls[1].header("idempotency-key"));
}

#[test]
fn in_a_loop_the_answer_is_that_of_the_current_item() {
    let target = Target::new(&[&json(201, r#"{"id": 1}"#), &json(404, "{}"), &json(201, r#"{"id": 3}"#)]);
    let rule = format!(
        "      - for_each: body.items\n        do:\n          - post: {}\n            if: {{ item: {{ not: none }} }}\n            tries: 1\n            save_as: made\n            on_error: continue\n          - append: each.log\n            if: {{ made.status: 201 }}\n            text: \"{{{{ item }}}} {{{{ made.body.id }}}}\"\n          - append: all.log\n            text: \"{{{{ item }}}} {{{{ default made.body.id 'nothing' }}}}\"\n      - append: end.log\n        for_each: made\n        text: \"{{{{ item.body.id }}}} of {{{{ count made }}}}\"\n",
        target.url("/x")
    );
    let tests = "    tests:\n      - name: each\n        send: { json: { items: [mug, desk, none, lamp] } }\n        replies: [{ status: 201, json: { id: 1 } }, { status: 404 }, { status: 201, json: { id: 3 } }]\n        expect: [EFFECTS]\n";
    let post = format!("{{ post: \"{}\" }}", target.url("/x"));
    let line = |file: &str, text: &str| format!("{{ append: {file}.log, text: {text} }}");
    let effects = [
        post.clone(),
        line("each", "mug 1"),
        line("all", "mug 1"),
        post.clone(),
        line("all", "desk nothing"),
        line("all", "none nothing"),
        post,
        line("each", "lamp 3"),
        line("all", "lamp 3"),
        line("end", "1 of 2"),
        line("end", "3 of 2"),
    ];
    let setup = Setup::with(&format!("{}{}", rules(&rule), tests.replace("EFFECTS", &effects.join(", "))));
    assert_eq!(setup.printed(&["test"]), "✓ A: each\n\n1 test passed\n");
    let doorbell = setup.serve();
    doorbell.deliver("/a", r#"{"items": ["mug", "desk", "none", "lamp"]}"#);
    until("all are done", || setup.output("end.log") == "1 of 2\n3 of 2\n");
    assert_eq!(setup.output("each.log"), "mug 1\nlamp 3\n");
    assert_eq!(setup.output("all.log"), "mug 1\ndesk nothing\nnone nothing\nlamp 3\n");
    setup.write("items.json", r#"{"items": ["mug", "none"]}"#);
    let shown = setup.printed(&["try", "items.json", "--path", "/a"]);
    assert!(shown.contains("mug ‹made.body.id›") && shown.contains("none nothing"), "{shown}");
}

#[test]
fn calls_to_private_networks_are_rejected_unless_allowed() {
    let setup = Setup::with(&rules("      - post: http://127.0.0.1:9/x\n      \n"));
    let said = setup.printed(&["check"]);
    assert!(
        said.starts_with(
            "warning: 127.0.0.1 is in a private network, and calls to it are refused; to allow them, start Doorbell with --allow-network 127.0.0.1/32\n"
        ),
        "{said}"
    );
    let setup = Setup::with(&rules("      - post: http://169.254.169.254/latest\n      - log: never\n"));
    let doorbell = setup.serve();
    doorbell.deliver("/a", "{}");
    until("it has failed", || {
        setup.printed(&["failed"]).contains("POST http://169.254.169.254/latest: 169.254.169.254 is in a private network")
    });
}

#[test]
fn a_request_can_choose_only_among_the_listed_hosts() {
    let target = Target::new(&[&json(200, "{}")]);
    let setup = Setup::with(&rules(&format!("      - post: \"{{{{ body.to }}}}\"\n        hosts: [\"http://{}\"]\n", target.address)));
    let doorbell = setup.serve();
    doorbell.deliver("/a", &format!(r#"{{"to": "{}"}}"#, target.url("/x")));
    until("the call arrived", || target.calls().len() == 1);
    let address = &target.address;
    for (to, why) in [
        ("https://evil.example/x".into(), "the request chose the server evil.example, which is not listed under the step's `hosts`"),
        ("http://127.0.0.1:1/x".into(), "the request chose the server http://127.0.0.1:1, which is not listed under the step's `hosts`"),
        (format!("https://{address}/x"), "which is not listed under the step's `hosts`"),
        (format!("http://me@{address}/x"), "the request chose an address with a user name or a password, which is refused"),
        (format!("http://me:pw@{address}/x"), "the request chose an address with a user name or a password, which is refused"),
        ("http://a b/".into(), "POST http://a b/: this address is not valid: invalid international domain name"),
    ] {
        let event = doorbell.deliver("/a", &format!(r#"{{"to": "{to}"}}"#));
        until(&to, || setup.printed(&["explain", &event]).contains(why));
    }
    assert_eq!(target.calls().len(), 1);
}

#[test]
fn a_path_never_loses_its_last_segment() {
    let target = Target::new(&[&json(200, "{}")]);
    let setup = Setup::with(&rules(&format!("      - delete: {}/customers/{{{{ body.id }}}}\n", target.url(""))));
    let doorbell = setup.serve();
    for id in [r#""""#, r#"".""#, r#""..""#, "null"] {
        doorbell.deliver("/a", &format!(r#"{{"id": {id}}}"#));
    }
    until("all four are rejected", || setup.printed(&["failed"]).contains("4 failed runs"));
    assert!(target.calls().is_empty());
    doorbell.deliver("/a", r#"{"id": "../x"}"#);
    until("the call arrived", || target.calls().len() == 1);
    assert_eq!(target.calls()[0].line, "DELETE /customers/..%2Fx HTTP/1.1");
}

#[test]
fn endless_and_missing_answers_are_given_up_in_time() {
    let endless = format!("HTTP/1.1 200 X\r\ncontent-type: text/plain\r\n\r\n{}", "x".repeat(3 << 20));
    let target = Target::new(&[&endless]);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::with(&rules(&format!(
        "      - get: {}\n        save_as: much\n        ok: 200\n      - append: size.log\n        text: \"{{{{ much.status }}}}\"\n      - get: http://{}/\n        timeout: 50 milliseconds\n        tries: 2\n        first_wait: 1 millisecond\n",
        target.url("/x"),
        silent.local_addr().unwrap()
    )));
    let doorbell = setup.serve();
    doorbell.deliver("/a", "{}");
    until("it is given up", || setup.printed(&["failed"]).contains("no answer within 0.05 seconds (given up after 2 tries)"));
    assert_eq!(setup.output("size.log"), "200\n");
}

#[test]
fn a_rule_that_calls_itself_stops_after_ten_calls() {
    let setup = Setup::new();
    let doorbell = setup.serve();
    let rule = |name: &str, from: &str, to: &str| {
        let step = format!("{{ post: \"http://{}/{to}\", json: {{ n: 1 }}, tries: 1 }}", doorbell.address);
        format!("  {name}: {{ when: {{ webhook: /{from} }}, then: [ {step} ] }}\n")
    };
    let rules = rule("A", "a", "b") + &rule("B", "b", "a");
    setup.write("rules/rules.yaml", &format!("webhooks:\n  /a: {{ verify: none }}\n  /b: {{ verify: none }}\nrules:\n{rules}"));
    until("the rules are in force", || doorbell.logged("added `A`, `B`"));
    doorbell.deliver("/a", "{}");
    until("it has ended", || setup.printed(&["failed"]).contains("1 failed run"));
    let said = setup.printed(&["failed"]);
    assert!(
        said.contains("answered 508")
            && said.contains("Doorbell's own calls have reached this address 10 times; a rule is calling itself."),
        "{said}"
    );
    assert!(setup.printed(&["events"]).contains("11 events in total"), "the first event, and ten from the rules themselves");
    let hops = |n: &str| doorbell.send("POST", "/a", &[("doorbell-hops", n)], b"").status;
    assert_eq!([hops("11"), hops("4294967295")], [508, 508]);
}

#[test]
fn bodies_are_kept_where_a_step_says_so_without_secrets_and_nowhere_else() {
    let target = Target::new(&[&json(503, "busy"), &json(200, r#"{"number": 7, "token": "k3y-k3y-k3y"}"#), &json(200, "{}")]);
    let (url, other) = (target.url("/x"), target.url("/y"));
    let step = format!(
        "      - post: {url}\n        json: {{ id: \"{{{{ body.id }}}}\", key: \"{{{{ secret.KEY }}}}\" }}\n        keep: bodies\n        first_wait: 10 milliseconds\n      - post: {other}\n        json: {{ private: \"{{{{ body.id }}}}\" }}\n"
    );
    let setup = Setup::with(&rules(&step)).env("KEY", "k3y-k3y-k3y");
    let serving = setup.serve_with_console(&["--allow-network", "127.0.0.0/8"]);
    let event = serving.deliver("/a", r#"{"id": "A-17"}"#);
    until("it is done", || setup.printed(&["explain", &event]).contains("ran, 2 steps"));
    let said = setup.printed(&["explain", &event]);
    let kept: Vec<&str> =
        said.lines().map(str::trim).filter(|line| line.starts_with("sent: ") || line.starts_with("came back: ")).collect();
    let sent = r#"sent: {"id":"A-17","key":"***"}"#;
    assert_eq!(kept, [sent, "came back: busy", sent, r#"came back: {"number": 7, "token": "***"}"#], "{said}");
    let page = setup.visitor().get(&format!("/events/{event}")).body;
    assert_eq!(page.matches("What was sent and what came back").count(), 2, "{page}");
    assert!(page.contains("{&quot;number&quot;: 7, &quot;token&quot;: &quot;***&quot;}") && !page.contains("k3y-k3y"), "{page}");
    drop(serving);
    let _hiding = setup.serve_with_console(&["--console-hide-bodies"]);
    let page = setup.visitor().get(&format!("/events/{event}")).body;
    assert!(!page.contains("number&quot;: 7"), "{page}");
    let wrong = setup_with_keep("all");
    assert!(wrong.printed(&["check"]).contains("`all` is not a valid value"), "{}", wrong.printed(&["check"]));
}

fn setup_with_keep(word: &str) -> Setup {
    Setup::with(&rules(&format!("      - get: https://a.example.com/x\n        keep: {word}\n")))
}
