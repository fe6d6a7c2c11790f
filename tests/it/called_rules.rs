//! Rules that call each other: `when: { called: true }`, `run_rule:` and `return:`. A called rule runs exactly once, and its caller
//! goes on with what it returns.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::{Doorbell, Setup, Target, json, until};

const OPEN: &str = "webhooks:\n  /a: { verify: none }\nrules:\n";
/// A chain of three rules, with a result that travels back.
const CHAIN: &str = "  Order:\n    when: { webhook: /a }\n    then:\n      - run_rule: Price\n        with: { number: \"{{ body.n }}\", items: \"{{ body.items }}\" }\n        save_as: price\n      - append: orders.log\n        text: \"{{ body.n }} costs {{ price.value.total }} {{ price.value.unit }}\"\n  Price:\n    when: { called: true }\n    set: { many: \"{{ count input.items }}\" }\n    then:\n      - run_rule: Note\n        with: { line: \"{{ input.number }} has {{ many }}\", factor: 2 }\n        save_as: noted\n      - return: { total: \"{{ multiply many noted.value }}\", unit: EUR }\n  Note:\n    when: { called: true }\n    then:\n      - append: notes.log\n        text: \"{{ input.line }}\"\n      - return: \"{{ input.factor }}\"\n        if: { input.factor: 2 }\n      - append: notes.log\n        text: never\n";

fn lines(setup: &Setup, file: &str, count: usize) -> Vec<String> {
    until(&format!("{file} has {count} lines"), || setup.output(file).lines().count() >= count);
    setup.output(file).lines().map(str::to_owned).collect()
}

/// Uses other rules from now on.
fn change(setup: &Setup, doorbell: &Doorbell, rules: &str) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let address = format!("/mark{}", NEXT.fetch_add(1, Ordering::Relaxed));
    setup.write("rules/rules.yaml", &format!("{rules}  Mark:\n    when: {{ webhook: {address} }}\n    then:\n      - log: x\n"));
    doorbell.reload();
    until("the rules are in use", || doorbell.post(&address, "{}").status == 200);
}

fn told(setup: &Setup, event: &str, what: &str) -> String {
    until(&format!("it is told: {what}"), || setup.printed(&["explain", event]).contains(what));
    setup.printed(&["explain", event])
}

#[test]
fn a_chain_of_three_rules_ends_with_the_result_of_the_last() {
    let setup = Setup::with(&format!("{OPEN}{CHAIN}"));
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", "{\"n\": 7, \"items\": [1, 2, 3]}");
    assert_eq!(lines(&setup, "orders.log", 1), ["7 costs 6 EUR"]);
    assert_eq!(setup.output("notes.log"), "7 has 3\n");
    let shown = told(&setup, &event, "✓ Order  ran, 2 steps");
    let shown: Vec<&str> = shown.lines().skip(1).map(|line| line.split(", ").next().unwrap()).collect();
    assert_eq!(
        shown,
        [
            "  ✓ Order  ran",
            "        1. run_rule  done: `Price` returned {\"total\":6,\"unit\":\"EUR\"}",
            "          ✓ Price  ran",
            "                1. run_rule  done: `Note` returned 2",
            "                  ✓ Note  ran",
            "                        1. append  done: wrote to notes.log",
            "                        2. return  stopped: returned 2",
            "                2. return  stopped: returned {\"total\":6,\"unit\":\"EUR\"}",
            "        2. append  done: wrote to orders.log",
        ]
        .map(|line| line.split(", ").next().unwrap()),
    );
    assert!(setup.printed(&["events"]).contains("/a"), "{}", setup.printed(&["events"]));
}

#[test]
fn a_rule_that_does_not_run_or_returns_nothing_has_no_value() {
    let rules = "  Order:\n    when: { webhook: /a }\n    then:\n      - run_rule: Big\n        with: { total: \"{{ body.total }}\" }\n        save_as: big\n      - append: out.log\n        text: \"{{ body.total }} {{ default big.value 'nothing' }}\"\n  Big:\n    when: { called: true }\n    if: { input.total: { over: 100 } }\n    once_per: input.total\n    then:\n      - return: big\n        if: { input.total: { over: 1000 } }\n";
    let setup = Setup::with(&format!("{OPEN}{rules}"));
    let doorbell = setup.serve();
    for (total, said, why) in [
        (5, "5 nothing", "`Big` did not run: its `if` was not true"),
        (500, "500 nothing", "`Big` has run"),
        (5_000, "5000 big", "`Big` returned big"),
        (5_000, "5000 nothing", "`Big` did not run: its `once_per` value was already used"),
    ] {
        let before = setup.output("out.log").lines().count();
        let event = doorbell.deliver("/a", &format!("{{\"total\": {total}}}"));
        assert_eq!(lines(&setup, "out.log", before + 1)[before], said);
        told(&setup, &event, why);
    }
}

#[test]
fn each_element_of_a_list_calls_a_rule_and_the_results_are_in_order() {
    let rules = "  Order:\n    when: { webhook: /a }\n    then:\n      - for_each: body.items\n        do:\n          - run_rule: Twice\n            with: { n: \"{{ item }}\" }\n            save_as: twice\n          - append: each.log\n            text: \"{{ item }} {{ twice.value }}\"\n      - append: all.log\n        text: \"{{#each twice}}{{ this.value }} {{/each}}\"\n  Twice:\n    when: { called: true }\n    then:\n      - append: called.log\n        text: \"{{ input.n }} {{ uuid }}\"\n      - return: \"{{ multiply input.n 2 }}\"\n";
    let setup = Setup::with(&format!("{OPEN}{rules}"));
    let doorbell = setup.serve();
    let items: Vec<String> = (1..=30).map(|n: u32| n.to_string()).collect();
    let event = doorbell.deliver("/a", &format!("{{\"items\": [{}]}}", items.join(",")));
    let twice: String = (1..=30).map(|n| format!("{} ", n * 2)).collect();
    assert_eq!(lines(&setup, "all.log", 1), [twice.as_str()]);
    let mut each = lines(&setup, "each.log", 30);
    each.sort_by_key(|line| line.split(' ').next().unwrap().parse::<u32>().unwrap());
    assert_eq!(each, (1..=30).map(|n| format!("{n} {}", n * 2)).collect::<Vec<_>>());
    let called = lines(&setup, "called.log", 30);
    let ids: std::collections::HashSet<&str> = called.iter().map(|line| line.split(' ').nth(1).unwrap()).collect();
    assert_eq!((called.len(), ids.len()), (30, 30), "each call has a uuid of its own");
    told(&setup, &event, "✓ Order  ran");
}

/// Rules whose inner one calls a target that fails at first.
fn failing(target: &Target, more: &str) -> String {
    format!(
        "{OPEN}  Order:\n    when: {{ webhook: /a }}\n    then:\n      - append: before.log\n        text: \"{{{{ body.n }}}}\"\n      - run_rule: Middle\n        with: {{ n: \"{{{{ body.n }}}}\" }}\n        save_as: middle\n{more}      - append: after.log\n        text: \"{{{{ default middle.value 'none' }}}}\"\n  Middle:\n    when: {{ called: true }}\n    then:\n      - run_rule: Inner\n        with: {{ n: \"{{{{ input.n }}}}\" }}\n        save_as: inner\n      - return: \"{{{{ inner.value }}}}\"\n  Inner:\n    when: {{ called: true }}\n    then:\n      - append: inner.log\n        text: \"{{{{ input.n }}}}\"\n      - post: {}\n        tries: 1\n        save_as: made\n      - return: \"{{{{ made.body.id }}}}\"\n  Alarm:\n    when: {{ failed: any }}\n    then:\n      - append: alarm.log\n        text: \"{{{{ body.rule }}}} {{{{ body.count }}}} {{{{ body.message }}}}\"\n",
        target.url("/x")
    )
}

#[test]
fn a_failure_reaches_the_caller_and_a_replay_goes_on_in_the_rule_that_failed() {
    let target = Target::new(&[&json(422, "{}"), &json(200, "{\"id\": \"A7\"}")]);
    let setup = Setup::with(&failing(&target, ""));
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", "{\"n\": 1}");
    let shown = told(&setup, &event, "✗ Order  failed at step 2");
    let why = format!("`Middle` failed: `Inner` failed: POST {} answered 422", target.url("/x"));
    assert!(shown.contains(&format!("2. run_rule  failed: {why}")), "{shown}");
    let failed = setup.printed(&["failed"]);
    assert!(failed.contains(&why) && !failed.contains("Inner  step"), "only the outer one is in the list: {failed}");
    // Rules that start on failures are told of the outer one, once.
    let alarm = lines(&setup, "alarm.log", 1);
    assert!(alarm[0].starts_with("Order 1 `Middle` failed: `Inner` failed: "), "{alarm:?}");
    setup.printed(&["replay", &event, "--yes"]);
    assert_eq!(lines(&setup, "after.log", 1), ["A7"]);
    let shown = told(&setup, &event, "✓ Order  ran");
    assert!(shown.contains("✓ Inner  ran") && shown.contains("replayed 1 time"), "{shown}");
    assert_eq!((setup.output("before.log"), setup.output("inner.log")), ("1\n".to_owned(), "1\n".to_owned()), "nothing is done again");
    assert_eq!(setup.printed(&["failed"]), "No runs have failed.\n");
    assert_eq!(setup.output("alarm.log").lines().count(), 1);
}

#[test]
fn the_on_error_of_a_step_handles_the_failure_of_the_rule_that_it_called() {
    let target = Target::new(&[&json(422, "{}")]);
    let handled = "        on_error:\n          - append: handled.log\n            text: \"{{ error.message }}\"\n";
    let setup = Setup::with(&failing(&target, handled));
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", "{\"n\": 1}");
    assert_eq!(lines(&setup, "after.log", 1), ["none"]);
    assert!(lines(&setup, "handled.log", 1)[0].starts_with("`Middle` failed: `Inner` failed: "));
    told(&setup, &event, "✓ Order  ran with errors that `on_error` handled");
    assert_eq!(setup.printed(&["failed"]), "No runs have failed.\n");
    assert_eq!(setup.output("alarm.log"), "");
}

#[test]
fn a_rule_that_is_not_waited_for_runs_beside_its_caller_and_fails_for_itself() {
    let target = Target::new(&[&json(422, "{}"), &json(200, "{\"id\": 1}")]);
    let rules = failing(&target, "")
        .replace("        save_as: middle\n", "        and_wait: false\n")
        .replace("default middle.value 'none'", "body.n");
    let setup = Setup::with(&rules);
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", "{\"n\": 3}");
    assert_eq!(lines(&setup, "after.log", 1), ["3"]);
    let shown = told(&setup, &event, "✗ Middle  failed at step 1");
    assert!(shown.contains("✓ Order  ran, 3 steps") && shown.contains("2. run_rule  done: `Middle` was started"), "{shown}");
    assert!(lines(&setup, "alarm.log", 1)[0].starts_with("Middle 1 `Inner` failed: "));
    setup.printed(&["replay", &event, "--yes"]);
    told(&setup, &event, "✓ Middle  ran");
    assert_eq!(setup.output("inner.log"), "3\n");
}

#[test]
fn a_caller_waits_without_holding_anything_and_cancelling_it_reaches_the_rule_that_it_waits_for() {
    let rules = "  Order:\n    when: { webhook: /a }\n    one_at_a_time: true\n    then:\n      - append: begun.log\n        text: \"{{ body.n }}\"\n      - run_rule: Slow\n        with: { n: \"{{ body.n }}\" }\n      - append: after.log\n        text: \"{{ body.n }}\"\n  Slow:\n    when: { called: true }\n    then:\n      - wait: 2 days\n      - log: never\n";
    let setup = Setup::with(&format!("{OPEN}{rules}"));
    let doorbell = setup.serve();
    let (first, second) = (doorbell.deliver("/a", "{\"n\": 1}"), doorbell.deliver("/a", "{\"n\": 2}"));
    told(&setup, &first, "… Slow  waits until");
    let shown = told(&setup, &first, "… Order  waits for a rule that it called, at step 2");
    assert!(shown.contains("                1. wait  done: waits until"), "{shown}");
    // It keeps its place in the queue meanwhile, also over a crash.
    told(&setup, &second, "waits for its turn (one_at_a_time)");
    doorbell.kill();
    let doorbell = setup.serve();
    told(&setup, &first, "… Order  waits for a rule that it called, at step 2");
    assert_eq!(setup.output("begun.log"), "1\n");
    setup.printed(&["cancel", &first, "--rule", "Order"]);
    let shown = told(&setup, &first, "✗ Order  was cancelled at step 2");
    assert!(shown.contains("✗ Slow  was cancelled at step 2"), "{shown}");
    assert_eq!(lines(&setup, "begun.log", 2)[1], "2");
    // If only the inner one is cancelled, its caller fails.
    told(&setup, &second, "… Slow  waits until");
    setup.printed(&["cancel", &second, "--rule", "Slow"]);
    told(&setup, &second, "2. run_rule  failed: `Slow` failed: it was cancelled");
    // A replay calls it anew.
    setup.printed(&["replay", &second, "--yes"]);
    told(&setup, &second, "… Order  waits for a rule that it called, at step 2");
    drop(doorbell);
}

#[test]
fn a_rule_with_two_starts_sees_the_body_or_the_input() {
    let rules = "  Both:\n    when: [{ webhook: /b }, { called: true }]\n    then:\n      - append: both.log\n        text: \"{{ default body.n 'no body' }} {{ default input.n 'no input' }} {{ default address 'no address' }}\"\n      - respond: 201\n        text: from both\n      - return: 1\n  Order:\n    when: { webhook: /a }\n    then:\n      - run_rule: Both\n        with: { n: \"{{ body.n }}\" }\n        save_as: both\n      - respond: 202\n        text: \"{{ both.value }}\"\n";
    let setup = Setup::with(&format!("webhooks:\n  /a: {{ verify: none }}\n  /b: {{ verify: none }}\nrules:\n{rules}"));
    let doorbell = setup.serve();
    let answer = doorbell.post("/b", "{\"n\": 1}");
    assert_eq!((answer.status, answer.body.as_str()), (201, "from both"));
    let answer = doorbell.post("/a", "{\"n\": 2}");
    assert_eq!((answer.status, answer.body.as_str()), (202, "1"), "the caller of the rule answers");
    assert_eq!(setup.output("both.log"), "1 no input /b\nno body 2 no address\n");
}

#[test]
fn a_called_rule_is_the_one_in_force_when_it_begins() {
    let rules = "  Order:\n    when: { webhook: /a }\n    then:\n      - append: before.log\n        text: x\n      - wait: \"{{ body.seconds }} seconds\"\n      - run_rule: Version\n        save_as: version\n      - append: out.log\n        text: \"{{ version.value }}\"\n  Version:\n    when: { called: true }\n    then:\n      - return: one\n";
    let setup = Setup::with(&format!("{OPEN}{rules}"));
    let doorbell = setup.serve();
    doorbell.deliver("/a", "{\"seconds\": 3}");
    lines(&setup, "before.log", 1);
    change(&setup, &doorbell, &format!("{OPEN}{}", rules.replace("return: one", "return: two")));
    assert_eq!(lines(&setup, "out.log", 1), ["two"]);
    // One that is gone or can no longer be called fails the step.
    for (changed, why) in [
        ("when: { webhook: /a }\n    then:\n      - log: x", "other rules cannot call the rule `Version`"),
        ("enabled: false\n    when: { called: true }\n    then:\n      - return: x", "the rule `Version` is switched off"),
    ] {
        change(&setup, &doorbell, &format!("{OPEN}{rules}"));
        let before = setup.output("before.log").lines().count();
        let event = doorbell.deliver("/a", "{\"seconds\": 3}");
        lines(&setup, "before.log", before + 1);
        let others = format!(
            "{OPEN}  Other:\n    when: {{ webhook: /a }}\n    if: {{ body.never: 1 }}\n    then:\n      - log: x\n  Version:\n    {changed}\n"
        );
        change(&setup, &doorbell, &others);
        told(&setup, &event, why);
    }
}

#[test]
fn what_is_given_and_returned_has_a_largest_size() {
    let rules = "  Order:\n    when: { webhook: /a }\n    then:\n      - run_rule: Echo\n        with: { text: \"{{ body.text }}\" }\n        save_as: echo\n      - append: out.log\n        text: \"{{ count echo.value.a }}\"\n  Echo:\n    when: { called: true }\n    then:\n      - return: { a: [\"{{ input.text }}\"] }\n";
    let setup = Setup::with(&format!("webhooks:\n  /a: {{ verify: none, max_body: 3 MB }}\nrules:\n{rules}"));
    let doorbell = setup.serve();
    // `{"text":"…"}` is 11 bytes more than the text, and `{"a":["…"]}` 10.
    let send = |length: usize| doorbell.deliver("/a", &format!("{{\"text\": \"{}\"}}", "x".repeat(length)));
    send(1_000_000 - 11);
    assert_eq!(lines(&setup, "out.log", 1), ["1"]);
    let event = send(1_000_000 - 10);
    told(&setup, &event, "it is larger than 1 MB, and larger values are not given to another rule");
    let rules = rules.replace("{ a: [\"{{ input.text }}\"] }", "{ a: [\"{{ input.text }}\", 1, 2] }");
    change(&setup, &doorbell, &format!("webhooks:\n  /a: {{ verify: none, max_body: 3 MB }}\nrules:\n{rules}"));
    let event = send(1_000_000 - 11);
    told(&setup, &event, "it is larger than 1 MB, and larger values are not returned");
}

#[test]
fn over_crashes_at_any_moment_each_rule_of_a_chain_runs_exactly_once() {
    let setup = Setup::with(&format!("{OPEN}{CHAIN}"));
    let mut sent = 0;
    for round in 0..12 {
        let doorbell = setup.serve();
        for _ in 0..10 {
            sent += 1;
            doorbell.deliver("/a", &format!("{{\"n\": {sent}, \"items\": [1, 2, 3]}}"));
        }
        // A little later each time, in the middle of what the last ones lead to.
        let wanted = setup.output("notes.log").lines().count() + round;
        until("some of it is done", || setup.output("notes.log").lines().count() >= wanted.min(sent));
        doorbell.kill();
    }
    let _doorbell = setup.serve();
    let mut orders = lines(&setup, "orders.log", sent);
    let mut notes = lines(&setup, "notes.log", sent);
    until("no run waits any more", || !setup.printed(&["events", "--last", "1000"]).contains("waiting"));
    let number = |line: &String| line.split(' ').next().unwrap().parse::<usize>().unwrap();
    orders.sort_by_key(number);
    notes.sort_by_key(number);
    assert_eq!(orders, (1..=sent).map(|n| format!("{n} costs 6 EUR")).collect::<Vec<_>>());
    assert_eq!(notes, (1..=sent).map(|n| format!("{n} has 3")).collect::<Vec<_>>());
    assert_eq!(setup.printed(&["failed"]), "No runs have failed.\n");
}

#[test]
fn crashes_of_tasks_before_and_after_a_record_repeat_and_lose_nothing() {
    for points in ["record:4", "recorded:4", "record:9,recorded:7", "lease:3,recorded:12", "record:15"] {
        let setup = Setup::with(&format!("{OPEN}{CHAIN}")).env("DOORBELL_PLANTED", points);
        let doorbell = setup.serve();
        for n in 1..=5 {
            doorbell.deliver("/a", &format!("{{\"n\": {n}, \"items\": [1, 2, 3]}}"));
        }
        until("no run waits any more", || !setup.printed(&["events", "--last", "1000"]).contains("waiting"));
        // A panic counts as a failure of its step; people let these go on.
        for _ in 0..20 {
            if setup.printed(&["failed"]) == "No runs have failed.\n" {
                break;
            }
            setup.printed(&["replay", "--state", "failed", "--since", "1 day", "--yes"]);
            until("no run waits any more", || !setup.printed(&["events", "--last", "1000"]).contains("waiting"));
        }
        let mut orders = lines(&setup, "orders.log", 5);
        orders.sort();
        assert_eq!(orders, (1..=5).map(|n| format!("{n} costs 6 EUR")).collect::<Vec<_>>(), "{points}");
    }
}

/// A rule whose part is a rule of its own.
const SHOWN: &str = "webhooks:\n  /a: { verify: none }\nrules:\n  Order:\n    when: { webhook: /a }\n    then:\n      - run_rule: Ship\n        with: { number: \"{{ body.n }}\" }\n        save_as: shipped\n      - append: out.log\n        text: \"{{ shipped.value }}\"\n    tests:\n      - name: it ships\n        send: { json: { n: 7 } }\n        replies: [{ json: { id: A7 } }]\n        expect:\n          - post: https://ship.example.com/parcels\n            json: { number: 7 }\n          - append: out.log\n            text: A7\n      - name: what is given can be expected, too\n        send: { json: { n: 7 } }\n        replies: [{ json: { id: A7 } }]\n        expect:\n          - run_rule: Ship\n            with: { number: 7 }\n          - post: https://ship.example.com/parcels\n          - append: out.log\n  Ship:\n    when: { called: true }\n    if: { input.number: { over: 5 } }\n    then:\n      - post: https://ship.example.com/parcels\n        json: { number: \"{{ input.number }}\" }\n        save_as: made\n      - return: \"{{ made.body.id }}\"\n    tests:\n      - name: a parcel\n        send: { input: { number: 8 } }\n        replies: [{ json: { id: B8 } }]\n        expect:\n          - post: https://ship.example.com/parcels\n            json: { number: 8 }\n          - return: B8\n      - name: too small\n        send: { input: { number: 1 } }\n        expect: nothing\n";

#[test]
fn tests_and_try_and_list_show_what_called_rules_do() {
    let setup = Setup::with(SHOWN);
    let passed = "✓ Order: it ships\n✓ Order: what is given can be expected, too\n✓ Ship: a parcel\n✓ Ship: too small\n\n4 tests passed\n";
    assert_eq!(setup.printed(&["test"]), passed);
    setup.write("rules/rules.yaml", &SHOWN.replace("with: { number: 7 }", "with: { number: 9 }"));
    let differs = "✗ Order: what is given can be expected, too\n    rules/rules.yaml:21:9\n      expected                                                 got\n      run_rule: Ship                                           run_rule: Ship\n    ≠ with: {\"number\":9}                                       with: {\"number\":7}\n";
    let tested = setup.printed(&["test"]);
    assert!(tested.contains(differs) && tested.ends_with("3 tests passed, 1 failed\n"), "{tested}");
    setup.write("rules/rules.yaml", SHOWN);
    setup.write("order.json", "{\"n\": 7}");
    setup.write("reply.json", "{\"id\": \"A7\"}");
    let shown = setup.printed(&["try", "order.json", "--path", "/a", "--reply", "reply.json"]);
    let expected = "✓ Order  would run\n  1. run_rule  Ship\n       number: 7\n        1. post  https://ship.example.com/parcels\n";
    assert!(shown.starts_with(expected), "{shown}");
    assert!(shown.contains("        2. return  A7\n  2. append  out.log\n"), "{shown}");
    setup.write("small.json", "{\"n\": 1}");
    let shown = setup.printed(&["try", "small.json", "--path", "/a"]);
    let not_called = "  1. run_rule  Ship\n       number: 1\n       would not run:\n         input.number over 5  NO, it was 1\n  2. append  would fail\n";
    assert!(shown.contains(not_called), "{shown}");
    let listed = setup.printed(&["list"]);
    assert!(listed.contains("When a webhook arrives at /a, then run the rule \"Ship\" and add a line to out.log"), "{listed}");
    assert!(listed.contains("When another rule calls it, if input.number is over 5, then"), "{listed}");
}

/// A rule that is given the answer of a call, and decides with it.
const DEPENDS: &str = "webhooks:\n  /a: { verify: none }\nrules:\n  Order:\n    when: { webhook: /a }\n    then:\n      - get: https://shop.example.com/stock\n        save_as: stock\n      - run_rule: Warn\n        with: { left: \"{{ stock.body.left }}\", sku: \"{{ body.sku }}\" }\n        save_as: warned\n      - log: \"told {{ warned.value }}\"\n  Warn:\n    when: { called: true }\n    if: { input.left: { under: 3 } }\n    then:\n      - log: \"{{ input.sku }}, only {{ input.left }}\"\n      - return: \"yes\"\n        if: { input.left: 0 }\n      - return: \"no\"\n";

#[test]
fn what_depends_on_an_answer_that_is_not_known_is_not_decided_in_called_rules_either() {
    let setup = Setup::with(DEPENDS);
    setup.write("order.json", "{\"sku\": \"MUG\"}");
    setup.write("reply.json", "{\"left\": 2}");
    let depends = "✓ Order  would run
  1. get  https://shop.example.com/stock
  2. run_rule  Warn
       left: ‹stock.body.left›
       sku: MUG
       would run if this is true:
         input.left under 3  depends on the answer of step 1; pass --reply to try it
        1. log  MUG, only ‹input.left›
        2. return  would run if this is true:
              input.left is 0  depends on the answer of step 1; pass --reply to try it
        2. return  yes
        3. return  no
  3. log  told ‹warned.value›

Nothing was sent or written.
";
    assert_eq!(setup.printed(&["try", "order.json", "--path", "/a"]), depends);
    let known = setup.printed(&["try", "order.json", "--path", "/a", "--reply", "reply.json"]);
    assert!(
        known.contains("        1. log  MUG, only 2\n") && known.ends_with("  3. log  told no\n\nNothing was sent or written.\n"),
        "{known}"
    );
    // Nor does `check` say that it would fail with such an event.
    assert_eq!(setup.printed(&["check", "--with", "order.json"]), "2 rules in 1 file: valid\n");
}

#[test]
fn the_console_shows_a_called_rule_below_the_step_that_called_it() {
    let setup = Setup::with(&format!("{OPEN}{CHAIN}"));
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let event = serving.deliver("/a", "{\"n\": 7, \"items\": [1]}");
    lines(&setup, "orders.log", 1);
    let page = || visitor.get(&format!("/events/{event}")).body;
    until("the run has ended", || page().contains("`Price` returned"));
    let page = page();
    let (price, note) = (page.find("Step 1 called").unwrap(), page.rfind("Step 1 called").unwrap());
    assert!(price < note, "the one is inside the other: {page}");
    assert!(page.contains("`Note` returned 2"), "{page}");
    assert!(page.contains("1 of 1 rule ran"), "called rules are no rules that the event started: {page}");
}
