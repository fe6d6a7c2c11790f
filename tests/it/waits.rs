//! Steps that wait: the run goes on later, also over a crash; the others do not wait for it.

use crate::clock::Clocked;
use crate::harness::{Setup, until};

const OPEN: &str = "timezone: Europe/Berlin\nwebhooks:\n  /a: { verify: none }\nrules:\n  Later:\n    when: { webhook: /a }\n    then:\n";

fn steps(steps: &str) -> String {
    format!("{OPEN}{}", steps.lines().map(|line| format!("      {line}\n")).collect::<String>())
}

#[test]
#[cfg_attr(not(has_faketime), ignore = "needs libfaketime: apt-get install faketime")]
fn a_run_that_waits_goes_on_after_a_crash_and_now_is_the_end_of_its_wait() {
    let clocked = Clocked::with(&steps(
        "- append: before.log\n  text: \"{{ now }}\"\n- wait: 3 hours\n- append: after.log\n  text: \"{{ body.n }} {{ now }}\"\n- wait: \"{{ body.n }} minutes\"\n- append: last.log\n  text: \"{{ now }}\"",
    ));
    clocked.set("2026-03-02T08:00:00Z");
    let doorbell = clocked.setup.serve();
    let event = doorbell.deliver("/a", "{\"n\": 20}");
    clocked.wait_for("before.log", 1);
    until("it waits", || clocked.setup.printed(&["explain", &event]).contains("… Later  waits until 2026-03-02 11:0"));
    doorbell.kill();
    clocked.set("2026-03-02T10:30:00Z");
    let doorbell = clocked.setup.serve();
    until("it waits again", || clocked.setup.printed(&["explain", &event]).contains("waits until 2026-03-02 11:0"));
    assert_eq!(clocked.setup.output("after.log"), "");
    clocked.set("2026-03-02T11:05:00Z");
    let line = clocked.wait_for("after.log", 1).remove(0);
    assert!(line.starts_with("20 2026-03-02T11:0"), "{line}");
    // Only then is the clock set: a wait is reckoned from when it begins.
    until("it waits once more", || clocked.setup.printed(&["explain", &event]).contains("… Later  waits until 2026-03-02 11:2"));
    clocked.set("2026-03-02T11:26:00Z");
    // From the moment at which the second wait began.
    let line = clocked.wait_for("last.log", 1).remove(0);
    assert!(line.starts_with("2026-03-02T11:2"), "{line}");
    until("it is done", || clocked.setup.printed(&["explain", &event]).contains("✓ Later  ran, 5 steps"));
    drop(doorbell);
}

#[test]
#[cfg_attr(not(has_faketime), ignore = "needs libfaketime: apt-get install faketime")]
fn the_elements_of_a_list_wait_side_by_side() {
    let clocked = Clocked::with(&steps(
        "- for_each: body.days\n  do:\n    - append: begun.log\n      text: \"{{ item }}\"\n    - wait: \"{{ item }} days\"\n    - append: reminded.log\n      text: \"{{ item }} {{ date now '%d %H' }}\"\n- append: end.log\n  text: the end",
    ));
    clocked.set("2026-03-02T08:00:00Z");
    let _doorbell = clocked.setup.serve();
    let event = _doorbell.deliver("/a", "{\"days\": [2, 1, 3]}");
    assert_eq!(clocked.wait_for("begun.log", 3), ["2", "1", "3"]);
    until("all wait", || clocked.setup.printed(&["explain", &event]).contains("(3 elements wait)"));
    clocked.set("2026-03-04T08:30:00Z");
    let mut two = clocked.wait_for("reminded.log", 2);
    two.sort_unstable();
    assert_eq!(two, ["1 03 08", "2 04 08"]);
    assert_eq!(clocked.setup.output("end.log"), "");
    clocked.set("2026-03-05T08:30:00Z");
    assert_eq!(clocked.wait_for("reminded.log", 3)[2], "3 05 08");
    clocked.wait_for("end.log", 1);
}

#[test]
#[cfg_attr(not(has_faketime), ignore = "needs libfaketime: apt-get install faketime")]
fn a_run_can_wait_until_a_time_of_day_or_a_date_and_a_date_that_is_past_is_now() {
    let clocked = Clocked::with(&steps("- wait_until: \"{{ body.until }}\"\n- append: after.log\n  text: \"{{ body.until }} {{ now }}\""));
    clocked.set("2026-03-02T06:00:00Z");
    let doorbell = clocked.setup.serve();
    let post = |until: &str| doorbell.deliver("/a", &format!("{{\"until\": \"{until}\"}}"));
    post("2026-03-01");
    let line = clocked.wait_for("after.log", 1).remove(0);
    assert!(line.starts_with("2026-03-01 2026-03-02T06:0"), "{line}");
    // In Berlin, an hour ahead; and a day begins there at midnight.
    for until in ["08:00", "06:30", "2026-03-04"] {
        post(until);
    }
    let failing = post("soon");
    until("it has failed", || clocked.setup.printed(&["explain", &failing]).contains("`soon` is neither a time of day nor a date"));
    clocked.set("2026-03-02T07:00:30Z");
    assert_eq!(clocked.wait_for("after.log", 2)[1], "08:00 2026-03-02T07:00:00Z");
    clocked.set("2026-03-03T05:30:30Z");
    assert_eq!(clocked.wait_for("after.log", 3)[2], "06:30 2026-03-03T05:30:00Z");
    clocked.set("2026-03-03T23:00:30Z");
    assert_eq!(clocked.wait_for("after.log", 4)[3], "2026-03-04 2026-03-03T23:00:00Z");
    let far = post("2031-01-01");
    until("it has failed", || clocked.setup.printed(&["explain", &far]).contains("more than a year ahead; a run waits a year at most"));
}

#[test]
fn a_run_that_waits_can_be_cancelled_and_delays_no_other() {
    let setup = Setup::with(&steps("- append: before.log\n  text: \"{{ body.n }}\"\n- wait: 2 days\n- append: after.log\n  text: x"));
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", "{\"n\": 1}");
    doorbell.deliver("/a", "{\"n\": 2}");
    until("both have begun", || setup.output("before.log").lines().count() == 2);
    until("both wait", || setup.printed(&["events"]).matches("1 run waiting").count() == 2);
    let id = &event;
    assert_eq!(setup.printed(&["cancel", id]), format!("{id}: 1 run cancelled\n"));
    until("it is cancelled", || setup.printed(&["explain", id]).contains("was cancelled at step 3"));
}

#[test]
fn in_dry_runs_and_tests_waits_pass_at_once() {
    let setup = Setup::with(&format!(
        "{}    tests:\n      - name: both\n        send: {{ json: {{ n: 1 }} }}\n        expect:\n          - append: before.log\n            text: \"1\"\n          - append: after.log\n            text: \"2\"\n      - name: with the wait\n        send: {{ json: {{ n: 1 }} }}\n        expect:\n          - append: before.log\n          - wait: 10 minutes\n          - append: after.log\n",
        steps("- append: before.log\n  text: \"1\"\n- wait: 10 minutes\n- append: after.log\n  text: \"2\"")
    ));
    assert_eq!(setup.printed(&["test"]), "✓ Later: both\n✓ Later: with the wait\n\n2 tests passed\n");
    setup.write("body.json", "{}");
    assert_eq!(
        setup.printed(&["try", "body.json", "--path", "/a"]),
        "✓ Later  would run\n  1. append  before.log\n       1\n  2. wait  10 minutes\n  3. append  after.log\n       2\n\nNothing was sent or written.\n"
    );
}
