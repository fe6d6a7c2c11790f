//! Rules that start because a run of another rule has failed for good.

use crate::clock::Clocked;
use crate::harness::{Setup, Target, json, until};

const OPEN: &str = "webhooks:\n  /a: { verify: none }\n";
/// Fails for every event, each time for the same reason.
const ORDERS: &str = "  Orders:\n    when: { webhook: /a }\n    then:\n      - name: find the total\n        log: \"{{ body.total }}\"\n";
/// Notes what it is told.
const ALARM: &str = "  Alarm:\n    when: { failed: any }\n    then:\n      - append: alarms.log\n        text: \"{{ body.rule }}, {{ body.step }}, {{ body.tries }}, {{ body.count }}, {{ body.event }}, {{ body.address }}: {{ body.message }}\"\n";

fn rules(all: &[&str]) -> String {
    let all = all.concat();
    let other = if all.contains("/b") { "  /b: { verify: none }\n" } else { "" };
    format!("{OPEN}{other}rules:\n{all}")
}

fn alarms(setup: &Setup) -> Vec<String> {
    setup.output("alarms.log").lines().map(str::to_owned).collect()
}

/// The numbers of failures that were told.
fn counts(lines: &[String]) -> Vec<usize> {
    lines.iter().map(|line| line.split(", ").nth(3).unwrap().parse().unwrap()).collect()
}

#[test]
fn a_rule_is_told_which_rule_failed_where_and_why() {
    let setup = Setup::with(&rules(&[ORDERS, ALARM]));
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", "{}");
    until("it is told", || alarms(&setup).len() == 1);
    let expected = format!(
        "Orders, find the total, 1, 1, {event}, /a: rules/rules.yaml:8:14: there is no body.total in this request; it has no fields"
    );
    let line = alarms(&setup).remove(0);
    assert_eq!(line.split(" in this").next(), expected.split(" in this").next(), "{line}");
    let list = setup.printed(&["events"]);
    let own = list.lines().find(|line| line.contains("FAILED Orders")).unwrap_or_else(|| panic!("{list}"));
    assert!(own.ends_with("→ started by itself, 1 run done"), "{list}");
    let told = setup.printed(&["explain", &own[..36]]);
    assert!(told.contains("  FAILED Orders  ") && told.contains("  → started by itself, 1 of 1 rule ran\n"), "{told}");
    assert!(told.contains("✓ Alarm  ran, 1 step"), "{told}");
    drop(doorbell);
}

#[test]
#[cfg_attr(not(has_faketime), ignore = "needs libfaketime: apt-get install faketime")]
fn one_reason_is_told_every_ten_minutes_at_most_with_the_number_since() {
    let clocked = Clocked::with(&rules(&[ORDERS, ALARM]));
    clocked.set("2026-03-02T08:00:00Z");
    let doorbell = clocked.setup.serve();
    let first = doorbell.deliver("/a", "{}");
    clocked.wait_for("alarms.log", 1);
    for _ in 0..4 {
        doorbell.deliver("/a", "{}");
    }
    until("all have failed", || clocked.setup.printed(&["failed"]).matches("Orders").count() >= 5);
    clocked.set("2026-03-02T08:09:00Z");
    // A replay that fails again is a failure like any other.
    clocked.setup.printed(&["replay", &first]);
    until("it has failed again", || clocked.setup.printed(&["failed"]).matches("Orders").count() >= 5);
    doorbell.kill();
    // What was not told yet is told after a crash.
    clocked.set("2026-03-02T08:10:30Z");
    let _doorbell = clocked.setup.serve();
    assert_eq!(counts(&clocked.wait_for("alarms.log", 2)), [1, 5]);
}

#[test]
fn what_is_handled_or_cancelled_or_the_rules_own_or_follows_from_a_failure_starts_nothing() {
    let target = Target::new(&[&json(500, "{}")]);
    let handled = "  Handled:\n    when: { webhook: /b }\n    then:\n      - log: \"{{ body.none }}\"\n        on_error: continue\n";
    let waits = format!("  Waits:\n    when: {{ webhook: /b }}\n    then:\n      - post: {}\n", target.url("/x"));
    // It fails, calls a rule that fails, and is started by requests as well.
    let alarm = "  Alarm:\n    when: [{ failed: any }, { webhook: /b }]\n    then:\n      - append: alarms.log\n        text: \"{{ default body.rule '-' }}\"\n      - post: http://DOORBELL/a\n        json: {}\n      - log: \"{{ body.nothing }}\"\n";
    let setup = Setup::new();
    setup.write("rules/rules.yaml", &rules(&[ORDERS, handled, &waits]));
    let doorbell = setup.serve();
    setup.write("rules/alarm.yaml", &format!("rules:\n{}", alarm.replace("DOORBELL", &doorbell.address)));
    doorbell.reload();
    until("the rules are loaded again", || setup.printed(&["audit"]).contains("Alarm"));
    let event = doorbell.deliver("/b", "{}");
    until("the handled one is done", || setup.printed(&["explain", &event]).contains("Handled  ran with errors that `on_error` handled"));
    until("the other one waits", || !target.calls().is_empty());
    until("it is cancelled", || setup.printed(&["cancel", &event]).contains("1 run cancelled"));
    // By the webhook, and for the failure of the rule that it called then.
    until("both alarms have failed", || setup.printed(&["failed"]).matches("Alarm").count() == 2);
    until("both calls have failed", || setup.printed(&["failed"]).matches("Orders").count() == 2);
    let list = setup.printed(&["events"]);
    assert_eq!(list.matches("FAILED ").count(), 1, "the second call followed from a failure: {list}");
    assert_eq!(alarms(&setup).len(), 2);
    assert_eq!(list.matches("FAILED Orders").count(), 1, "{list}");
}

#[test]
#[cfg_attr(not(has_faketime), ignore = "needs libfaketime: apt-get install faketime")]
fn killed_again_and_again_every_failure_is_told_once() {
    let clocked = Clocked::with(&rules(&[ORDERS, ALARM]));
    let start: jiff::Timestamp = "2026-03-02T08:00:00Z".parse().unwrap();
    clocked.set(&start.to_string());
    let mut sent = 0;
    for round in 0..15_i64 {
        let doorbell = clocked.setup.serve();
        for _ in 0..6 {
            // Whoever got no answer sends it again, which is another event.
            doorbell.deliver("/a", "{}");
            sent += 1;
        }
        std::thread::sleep(std::time::Duration::from_millis(round as u64 * 8));
        doorbell.kill();
        clocked.set(&(start + jiff::SignedDuration::from_mins(11 * (round + 1))).to_string());
    }
    let _doorbell = clocked.setup.serve();
    until("everything has failed", || clocked.setup.printed(&["events"]).contains(&format!("{sent} runs failed")));
    clocked.set(&(start + jiff::SignedDuration::from_mins(11 * 20)).to_string());
    until("every failure is told", || counts(&alarms(&clocked.setup)).iter().sum::<usize>() >= sent);
    assert_eq!(counts(&alarms(&clocked.setup)).iter().sum::<usize>(), sent);
    let mut lines = alarms(&clocked.setup);
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len(), alarms(&clocked.setup).len(), "no start was repeated");
}

#[test]
fn a_failure_is_tried_and_tested_without_one() {
    let alarm = "  Alarm:\n    when: { failed: [Orders] }\n    if: { body.count: { at_least: 3 } }\n    then:\n      - append: alarms.log\n        text: \"{{ body.rule }} failed {{ body.count }} times: {{ body.message }}\"\n    tests:\n      - name: often\n        send: { failed: { message: it answered 503, count: 3 } }\n        expect:\n          - append: alarms.log\n            text: \"Orders failed 3 times: it answered 503\"\n      - name: once\n        send: { failed: { rule: Orders } }\n        expect: nothing\n      - name: another\n        send: { failed: { rule: Other } }\n        expect: nothing\n";
    let setup = Setup::with(&rules(&[ORDERS, alarm]));
    assert_eq!(
        setup.printed(&["test"]),
        "✓ Alarm: often\n✓ Alarm: once\n✗ Alarm: another\n    rules/rules.yaml:24:9\n    a failed run of `Other` does not start this rule\n\n2 tests passed, 1 failed; 1 rule has no tests\n"
    );
    assert_eq!(
        setup.printed(&["try", "--failed", "Orders"]),
        "✗ Alarm  would not run\n    body.count at least 3  NO, it was 1\n\nNothing was sent or written.\n"
    );
    let said = setup.printed(&["try", "--failed", "Order"]);
    assert_eq!(said, "no rule is called `Order`; `doorbell list` shows all rules\n");
    let said = setup.printed(&["try", "--failed", "Alarm"]);
    assert_eq!(said, "a failed run of `Alarm` starts no rule; write for example when: { failed: any }\n");
    assert!(setup.printed(&["list"]).contains("When a run of `Orders` fails, if body.count is at least 3, then "));
}

#[test]
fn the_console_shows_what_failed_and_makes_a_test_of_it() {
    let setup = Setup::with(&rules(&[ORDERS, ALARM]));
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    assert!(visitor.get("/rules").body.contains("a run of any other rule fails"));
    serving.deliver("/a", "{}");
    until("it is told", || alarms(&setup).len() == 1);
    let list = visitor.get("/events").body;
    assert!(list.contains("FAILED"), "{list}");
    let own = setup.printed(&["events"]).lines().find(|line| line.contains("FAILED")).unwrap()[..36].to_owned();
    until("it has run", || visitor.get(&format!("/events/{own}")).body.contains("1 of 1 rule ran"));
    let page = visitor.get(&format!("/events/{own}")).body;
    assert!(page.contains("started by itself") && page.contains("The failure") && !page.contains("curl"), "{page}");
}
