//! What a run does and when: `else:`, `do:`, `on_error:`, `once_per`, `one_at_a_time`, `answer_within` and `cancel`.

use crate::harness::{Setup, Target, json, until};

fn rules(rules: &str, target: &Target) -> Setup {
    Setup::with(&rules.replace("TARGET", &target.url("")))
}

/// The paths of the calls that a target received.
fn paths(target: &Target) -> Vec<String> {
    target.calls().iter().map(|c| c.line.split(' ').nth(1).unwrap_or("").to_owned()).collect()
}

#[test]
fn else_runs_when_if_does_not_hold_and_the_event_is_not_ignored() {
    let setup = Setup::with(
        "rules:\n  Big:\n    when: { webhook: /orders }\n    if: { body.total: { over: 100 } }\n    then:\n      - append: big.log\n        text: \"{{ body.id }}\"\n    else:\n      - append: small.log\n        text: \"{{ body.id }}\"\n",
    );
    let doorbell = setup.serve();
    doorbell.deliver("/orders", r#"{"id": 1, "total": 500}"#);
    let got = doorbell.post("/orders", r#"{"id": 2, "total": 5}"#);
    assert_eq!(got.body, r#"{"status":"success"}"#);
    until("both lines are written", || setup.output("big.log") == "1\n" && setup.output("small.log") == "2\n");
    let event = got.header("doorbell-event").to_owned();
    until("it is shown", || setup.printed(&["explain", &event]).contains("done: wrote to small.log"));
    let said = setup.printed(&["explain", &event]);
    assert!(said.contains("body.total over 100  NO, it was 5"), "{said}");
    assert!(said.contains("else 1. append  done: wrote to small.log"), "{said}");
}

#[test]
fn do_runs_its_steps_for_each_element_and_on_error_handles_only_that_element() {
    let target = Target::new(&[&json(200, "{}"), &json(200, "{}"), &json(422, "no such sku"), &json(200, "{}"), &json(200, "{}")]);
    let setup = rules(
        "rules:\n  Lines:\n    when: { webhook: /orders }\n    then:\n      - for_each: body.lines\n        if: { item.qty: { over: 0 } }\n        do:\n          - post: TARGET/stock/{{ item.sku }}\n          - post: TARGET/pick/{{ item.sku }}\n        on_error:\n          - append: errors.log\n            text: \"{{ item.sku }} {{ item_number }}: {{ error.status }} {{ error.step }} {{ error.tries }}\"\n      - append: done.log\n        text: \"{{ body.id }}\"\n",
        &target,
    );
    let doorbell = setup.serve();
    let lines = r#"[{"sku": "a", "qty": 1}, {"sku": "b", "qty": 2}, {"sku": "c", "qty": 0}, {"sku": "d", "qty": 1}]"#;
    let event = doorbell.deliver("/orders", &format!(r#"{{"id": 7, "lines": {lines}}}"#));
    until("the last step is done", || setup.output("done.log") == "7\n");
    assert_eq!(paths(&target), ["/stock/a", "/pick/a", "/stock/b", "/stock/d", "/pick/d"]);
    assert_eq!(setup.output("errors.log"), "b 2: 422 post 1\n");
    until("it ends as handled", || setup.printed(&["explain", &event]).contains("ran with errors that `on_error` handled"));
}

#[test]
fn on_error_of_a_rule_runs_and_the_run_stays_in_the_failed_list() {
    let target = Target::new(&[&json(400, "bad"), &json(200, "{}"), &json(200, "{}")]);
    let setup = rules(
        "rules:\n  Orders:\n    when: { webhook: /orders }\n    then:\n      - post: TARGET/crm\n      - append: done.log\n        text: \"{{ body.id }}\"\n    on_error:\n      - post: TARGET/chat\n        json: { text: \"{{ error.step }} failed: {{ error.message }}\" }\n",
        &target,
    );
    let doorbell = setup.serve();
    let event = doorbell.deliver("/orders", r#"{"id": 7}"#);
    until("it is in the failed list", || setup.printed(&["failed"]).contains("Orders, step 1"));
    let said = setup.printed(&["failed"]);
    assert!(said.contains("/crm answered 400: bad"), "{said}");
    assert_eq!(paths(&target), ["/crm", "/chat"]);
    assert!(target.calls()[1].body.contains("post failed: POST http://"), "{:?}", target.calls()[1]);
    // A replay repeats the failed step and then does the rest.
    setup.printed(&["replay", &event]);
    until("the rest is done", || setup.output("done.log") == "7\n");
    assert_eq!(paths(&target), ["/crm", "/chat", "/crm"]);
    assert!(setup.printed(&["failed"]).contains("No runs have failed."));
}

#[test]
fn each_step_of_a_rules_on_error_is_retried_like_any_other() {
    let answers = [json(400, "bad"), json(200, "{}"), json(503, "{}"), json(503, "{}"), json(200, "{}"), json(200, "{}")];
    let target = Target::new(&answers.each_ref().map(String::as_str));
    let setup = rules(
        "rules:\n  Orders:\n    when: { webhook: /orders }\n    then:\n      - post: TARGET/crm\n    on_error:\n      - post: TARGET/chat\n      - post: TARGET/mail\n        first_wait: 10 milliseconds\n      - post: TARGET/pager\n",
        &target,
    );
    let doorbell = setup.serve();
    let event = doorbell.deliver("/orders", "{}");
    until("it is in the failed list", || setup.printed(&["failed"]).contains("Orders, step 1"));
    assert_eq!(paths(&target), ["/crm", "/chat", "/mail", "/mail", "/mail", "/pager"]);
    assert!(setup.printed(&["explain", &event]).contains("failed at step 1"));
    // If a caller waits for an answer from a later step of `on_error:`, a step does not pause longer than the caller waits.
    let rule = "rules:\n  Orders:\n    when: { webhook: /orders }\n    answer_within: 1 minute\n    then:\n      - post: TARGET/crm\n    on_error:\n      - log: so\n      - post: TARGET/mail\n        first_wait: 1 hour\n      - respond: 502\n";
    let target = Target::new(&[&json(400, "bad"), &json(503, "{}")]);
    let setup = rules(rule, &target);
    assert_eq!(setup.serve().post("/orders", "{}").status, 500, "not 504, an hour later");
}

#[test]
fn a_failed_on_error_shows_both_errors_and_a_replay_goes_on_there() {
    let target = Target::new(&[&json(400, "no"), &json(400, "busy"), &json(400, "busy again"), &json(200, "{}")]);
    let setup = rules(
        "rules:\n  Orders:\n    when: { webhook: /orders }\n    then:\n      - post: TARGET/crm\n        on_error:\n          - append: kept.csv\n            text: \"{{ body.id }} {{ error.message }}\"\n          - post: TARGET/spare\n            json: { why: \"{{ error.message }}\" }\n      - append: done.log\n        text: \"{{ body.id }}\"\n",
        &target,
    );
    let doorbell = setup.serve();
    let event = doorbell.deliver("/orders", r#"{"id": 7}"#);
    let both = format!("POST {0}/crm answered 400: no; its `on_error` failed, too: POST {0}/spare answered 400: busy", target.url(""));
    until("it is in the failed list", || setup.printed(&["failed"]).contains(&format!("    {both}\n")));
    let said = setup.printed(&["explain", &event]);
    let expected = [
        format!("  ✗ Orders  failed at step 1 on_error 2; `doorbell replay {event}` continues there"),
        format!("        1. post  failed: POST {}/crm answered 400: no", target.url("")),
        "        1 on_error 1. append  done: wrote to kept.csv".to_owned(),
        format!("        1 on_error 2. post  failed: {both}"),
    ];
    assert_eq!(said.lines().skip(1).collect::<Vec<_>>(), expected, "{said}");
    // What the fallback has done is not done again, and neither is what it stands for. Each error names the first one, once.
    setup.printed(&["replay", &event]);
    until("the last error is shown", || setup.printed(&["failed"]).contains(&format!("    {both} again\n")));
    setup.printed(&["replay", &event]);
    until("the rest is done", || setup.output("done.log") == "7\n");
    assert_eq!(paths(&target), ["/crm", "/spare", "/spare", "/spare"]);
    assert_eq!(setup.output("kept.csv").lines().count(), 1);
    assert!(target.calls()[3].body.contains("/crm answered 400: no\""), "`error` is still the first one: {:?}", target.calls()[3]);
    until("it ends as handled", || setup.printed(&["explain", &event]).contains("ran with errors that `on_error` handled"));
}

#[test]
fn a_failed_on_error_of_a_rule_goes_on_where_it_was_if_it_is_needed_again() {
    let bad = |word: &str| json(400, word);
    let answers =
        [bad("no"), json(200, "{}"), bad("busy"), bad("still no"), json(200, "{}"), bad("never"), json(200, "{}"), json(200, "{}")];
    let target = Target::new(&answers.iter().map(String::as_str).collect::<Vec<_>>());
    let setup = rules(
        "rules:\n  Orders:\n    when: { webhook: /orders }\n    then:\n      - post: TARGET/crm\n    on_error:\n      - post: TARGET/chat\n      - post: TARGET/mail\n",
        &target,
    );
    let doorbell = setup.serve();
    let event = doorbell.deliver("/orders", "{}");
    let both = format!("POST {0}/crm answered 400: no; its `on_error` failed, too: POST {0}/mail answered 400: busy", target.url(""));
    until("both errors are shown", || setup.printed(&["failed"]).contains(&format!("    {both}\n")));
    let replay = |calls: &[&str], why: &str| {
        setup.printed(&["replay", &event]);
        until("it has failed again", || {
            paths(&target) == calls && setup.printed(&["failed"]).contains(&format!("/crm answered 400: {why}\n"))
        });
    };
    // The message in the chat is not repeated. Then all of `on_error` is done, so the next failure is reported anew.
    replay(&["/crm", "/chat", "/mail", "/crm", "/mail"], "still no");
    replay(&["/crm", "/chat", "/mail", "/crm", "/mail", "/crm", "/chat", "/mail"], "never");
}

#[test]
fn once_per_runs_once_for_a_value_and_again_after_a_failure() {
    let target = Target::new(&[&json(400, "no"), &json(200, "{}")]);
    let setup = rules(
        "rules:\n  Payments:\n    when: { webhook: /pay }\n    if: { body.state: failed }\n    once_per: body.id\n    then:\n      - post: TARGET/chat\n",
        &target,
    );
    let doorbell = setup.serve();
    doorbell.deliver("/pay", r#"{"state": "failed", "id": 5}"#);
    until("it has failed", || setup.printed(&["failed"]).contains("Payments"));
    let second = doorbell.deliver("/pay", r#"{"state": "failed", "id": 5}"#);
    until("the value can be used again", || target.calls().len() == 2);
    until("the second run is done", || setup.printed(&["explain", &second]).contains("✓ Payments"));
    let third = doorbell.deliver("/pay", r#"{"state": "failed", "id": 5}"#);
    let said = setup.printed(&["explain", &third]);
    assert!(said.contains("✗ Payments  was not run again"), "{said}");
    assert!(said.contains(&format!("its `once_per` value 5 was already used, by event {second}")), "{said}");
    // A missing value runs nothing, and that is shown as well.
    let fourth = doorbell.deliver("/pay", r#"{"state": "failed"}"#);
    let said = setup.printed(&["explain", &fourth]);
    assert!(said.contains("once per body.id") && said.contains("NO, there is no body.id in this request"), "{said}");
    // The text "5" and the number 5 are different values.
    doorbell.deliver("/pay", r#"{"state": "failed", "id": "5"}"#);
    until("another value runs", || target.calls().len() == 3);
    // A replay ignores `once_per`.
    setup.printed(&["replay", &second, "--again"]);
    until("a replay runs", || target.calls().len() == 4);
}

#[test]
fn one_at_a_time_keeps_the_order_of_each_value_and_delays_no_other() {
    let busy = json(503, "busy");
    let target = Target::new(&[&busy, &json(200, "{}")]);
    let setup = rules(
        "rules:\n  Sync:\n    when: { webhook: /customer }\n    one_at_a_time: body.customer\n    then:\n      - post: TARGET/{{ body.customer }}/{{ body.n }}\n        first_wait: 1 second\n",
        &target,
    );
    let doorbell = setup.serve();
    for n in 1..=3 {
        doorbell.deliver("/customer", &format!(r#"{{"customer": "ada", "n": {n}}}"#));
    }
    doorbell.deliver("/customer", r#"{"customer": "bob", "n": 1}"#);
    until("bob is not delayed", || paths(&target).contains(&"/bob/1".to_owned()));
    doorbell.kill();
    let doorbell = setup.serve();
    until("all are done", || paths(&target).contains(&"/ada/3".to_owned()));
    let mut ada: Vec<String> = paths(&target).into_iter().filter(|p| p.starts_with("/ada")).collect();
    ada.dedup();
    assert_eq!(ada, ["/ada/1", "/ada/2", "/ada/3"]);
    drop(doorbell);
}

#[test]
fn a_caller_waits_no_longer_than_answer_within_and_on_error_can_still_answer() {
    let target = Target::new(&[&json(503, "busy")]);
    let setup = rules(
        "rules:\n  Ask:\n    when: { webhook: /ask }\n    answer_within: 1 minute\n    then:\n      - post: TARGET/desk\n        tries: 5\n        first_wait: 2 minutes\n        timeout: 50 seconds\n        on_error:\n          - respond: 503\n            json: { error: \"{{ error.status }}\" }\n          - stop: told them\n      - respond: 201\n",
        &target,
    );
    let doorbell = setup.serve();
    let got = doorbell.post("/ask", "{}");
    assert_eq!((got.status, got.body.as_str()), (503, r#"{"error":503}"#));
    assert_eq!(target.calls().len(), 1);
}

#[test]
fn waiting_runs_can_be_cancelled_and_the_next_in_the_lane_starts() {
    let busy = json(503, "busy");
    let target = Target::new(&[&busy, &json(200, "{}")]);
    let setup = rules(
        "rules:\n  Sync:\n    when: { webhook: /sync }\n    one_at_a_time: true\n    then:\n      - post: TARGET/{{ body.n }}\n        first_wait: 6 hours\n",
        &target,
    );
    let doorbell = setup.serve();
    let first = doorbell.deliver("/sync", r#"{"n": 1}"#);
    let second = doorbell.deliver("/sync", r#"{"n": 2}"#);
    until("the first run waits for its next try", || setup.printed(&["explain", &first]).contains("for try 2"));
    assert!(setup.printed(&["explain", &second]).contains("waits for its turn (one_at_a_time)"));
    assert_eq!(setup.printed(&["cancel", &first]), format!("{first}: 1 run cancelled\n"));
    until("the second run is done", || paths(&target) == ["/1", "/2"]);
    assert!(setup.printed(&["explain", &first]).contains("✗ Sync  was cancelled at step 1"));
    assert_eq!(setup.printed(&["cancel", &first]), format!("{first}: nothing is waiting\n"));
    drop(doorbell);
}

#[test]
fn a_dry_run_takes_the_same_path_as_a_run() {
    let setup = Setup::with(
        "rules:\n  Lines:\n    when: { webhook: /orders }\n    if: { body.paid: true }\n    then:\n      - for_each: body.lines\n        do:\n          - append: lines.log\n            text: \"{{ item.sku }}\"\n          - log: \"{{ item.name }}\"\n            on_error: continue\n    else:\n      - log: not paid\n",
    );
    setup.write("paid.json", r#"{"paid": true, "lines": [{"sku": "a", "name": "A"}, {"sku": "b"}]}"#);
    setup.write("open.json", r#"{"paid": false}"#);
    let said = setup.printed(&["try", "paid.json", "--path", "/orders"]);
    for line in [
        "1.1, element 1. append  lines.log",
        "1.2, element 1. log  A",
        "1.1, element 2. append  lines.log",
        "1.2, element 2. log  would fail",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    let said = setup.printed(&["try", "open.json", "--path", "/orders"]);
    assert!(said.contains("✗ Lines  would run its `else:`") || said.contains("Lines  would run its `else:`"), "{said}");
    assert!(said.contains("else 1. log  not paid"), "{said}");
}
