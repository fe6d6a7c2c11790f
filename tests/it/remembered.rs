//! `remember`, `recall` and `forget`: a small memory of all rules, changed exactly once.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::clock::Clocked;
use crate::harness::{Doorbell, Setup, until};

const OPEN: &str = "webhooks:\n  /sold: { verify: none }\n  /asked: { verify: none }\n  /reset: { verify: none }\nrules:\n";
const RULES: &str = "  Sold:\n    when: { webhook: /sold }\n    then:\n      - remember: \"sold {{ body.sku }}\"\n        add: \"{{ default body.quantity 1 }}\"\n        save_as: sold\n      - append: sold.log\n        text: \"{{ body.sku }} {{ default sold.before 'none' }} {{ sold.value }}\"\n  Asked:\n    when: { webhook: /asked }\n    then:\n      - recall: \"sold {{ body.sku }}\"\n        save_as: sold\n      - append: asked.log\n        text: \"{{ body.sku }} {{ default sold.value 'none' }}\"\n  Reset:\n    when: { webhook: /reset }\n    then:\n      - forget: \"sold {{ body.sku }}\"\n        save_as: sold\n      - remember: last reset\n        value: { sku: \"{{ body.sku }}\", sold: \"{{ default sold.before 0 }}\" }\n        keep: 1 hour\n      - recall: last reset\n        save_as: reset\n      - append: reset.log\n        text: \"{{ reset.value.sku }} {{ reset.value.sold }}\"\n";

fn lines(setup: &Setup, file: &str, count: usize) -> Vec<String> {
    until(&format!("{file} has {count} lines"), || setup.output(file).lines().count() >= count);
    setup.output(file).lines().map(str::to_owned).collect()
}

#[test]
fn what_one_rule_remembers_any_other_recalls_and_forgets() {
    let setup = Setup::with(&format!("{OPEN}{RULES}"));
    let doorbell = setup.serve();
    let first = doorbell.deliver("/sold", "{\"sku\": \"A1\"}");
    lines(&setup, "sold.log", 1);
    doorbell.deliver("/sold", "{\"sku\": \"A1\", \"quantity\": 2.50}");
    assert_eq!(lines(&setup, "sold.log", 2), ["A1 none 1", "A1 1 3.50"]);
    until("it is explained", || setup.printed(&["explain", &first]).contains("✓ Sold  ran, 2 steps"));
    let told = setup.printed(&["explain", &first]);
    assert!(told.contains("1 is remembered, before it was nothing"), "{told}");
    doorbell.deliver("/asked", "{\"sku\": \"A1\"}");
    lines(&setup, "asked.log", 1);
    // Another key, also one that nobody would write.
    doorbell.deliver("/asked", "{\"sku\": \"B \\\"é\\u0000\"}");
    assert_eq!(lines(&setup, "asked.log", 2)[0], "A1 3.50");
    assert!(setup.output("asked.log").lines().nth(1).unwrap().ends_with(" none"));
    doorbell.kill();
    let doorbell = setup.serve();
    doorbell.deliver("/reset", "{\"sku\": \"A1\"}");
    assert_eq!(lines(&setup, "reset.log", 1), ["A1 3.50"]);
    doorbell.deliver("/asked", "{\"sku\": \"A1\"}");
    assert_eq!(lines(&setup, "asked.log", 3)[2], "A1 none");
    // What is no number is told.
    let event = doorbell.deliver("/sold", "{\"sku\": \"A1\", \"quantity\": \"two\"}");
    until("it has failed", || setup.printed(&["explain", &event]).contains("`\"two\"` is not a number that can be added"));
}

#[test]
#[cfg_attr(not(has_faketime), ignore = "needs libfaketime: apt-get install faketime")]
fn what_is_kept_for_a_time_is_forgotten_after_it() {
    let rules = "  Note:\n    when: { webhook: /sold }\n    then:\n      - remember: note\n        value: \"{{ body.text }}\"\n        keep: 2 days\n  Asked:\n    when: { webhook: /asked }\n    then:\n      - recall: note\n        save_as: note\n      - append: asked.log\n        text: \"{{ default note.value 'none' }}\"\n";
    let clocked = Clocked::with(&format!("{}{rules}", OPEN.replace("  /reset: { verify: none }\n", "")));
    clocked.set("2026-03-02T08:00:00Z");
    let doorbell = clocked.setup.serve();
    let event = doorbell.deliver("/sold", "{\"text\": \"hello\"}");
    until("it is remembered", || clocked.setup.printed(&["explain", &event]).contains("✓ Note  ran"));
    clocked.set("2026-03-04T07:59:00Z");
    doorbell.deliver("/asked", "{}");
    assert_eq!(clocked.wait_for("asked.log", 1), ["hello"]);
    clocked.set("2026-03-04T08:01:00Z");
    doorbell.deliver("/asked", "{}");
    assert_eq!(clocked.wait_for("asked.log", 2)[1], "none");
}

/// Sends events on several connections until it is killed; counts those that were answered.
fn send_and_kill(doorbell: Doorbell, most: usize, answered: &AtomicUsize) {
    std::thread::scope(|scope| {
        for _ in 0..6 {
            let doorbell = &doorbell;
            scope.spawn(move || {
                let before = answered.load(Ordering::Relaxed);
                while answered.load(Ordering::Relaxed) < before + most {
                    if doorbell.post("/sold", "{\"sku\": \"A\"}").status != 200 {
                        return;
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    doorbell.kill();
}

#[test]
fn killed_again_and_again_each_event_is_counted_once() {
    let rule = "  Sold:\n    when: { webhook: /sold }\n    then:\n      - remember: sold\n        add: 1\n        save_as: sold\n      - append: sold.log\n        text: \"{{ sold.value }}\"\n        first_wait: 50 milliseconds\n";
    let setup = Setup::with(&format!("webhooks:\n  /sold: {{ verify: none }}\nrules:\n{rule}"));
    let answered = AtomicUsize::new(0);
    for round in 0..12 {
        send_and_kill(setup.serve(), 20 + round * 7, &answered);
    }
    let _doorbell = setup.serve();
    until("everything is done", || {
        let events = setup.printed(&["events", "--last", "5000"]);
        !events.contains("waiting") && events.matches("1 run done").count() >= answered.load(Ordering::Relaxed)
    });
    let mut numbers: Vec<usize> = setup.output("sold.log").lines().map(|line| line.parse().unwrap()).collect();
    numbers.sort_unstable();
    let count = numbers.len();
    assert!(count >= answered.load(Ordering::Relaxed), "{count}");
    assert_eq!(numbers, (1..=count).collect::<Vec<_>>(), "each number once, and none is left out");
}

#[test]
fn tests_begin_with_an_empty_memory_or_a_given_one_and_try_writes_nothing() {
    let tests = "    tests:\n      - name: the first one\n        send: { path: /sold, json: { sku: A1 } }\n        expect:\n          - remember: sold A1\n            add: 1\n          - append: sold.log\n            text: A1 none 1\n      - name: more of them\n        send: { json: { sku: A1, quantity: 3 } }\n        remembered: { sold A1: 4 }\n        expect:\n          - remember: sold A1\n          - append: sold.log\n            text: A1 4 7\n      - name: no number\n        send: { json: { sku: A1 } }\n        remembered: { sold A1: many }\n        expect:\n          - remember: sold A1\n";
    let rules = RULES.replacen("  Asked:\n", &format!("{tests}  Asked:\n"), 1);
    let setup = Setup::with(&format!("{OPEN}{rules}"));
    let said = setup.printed(&["test"]);
    assert!(said.starts_with("✓ Sold: the first one\n✓ Sold: more of them\n"), "{said}");
    assert!(said.ends_with("3 tests passed; 2 rules have no tests\n"), "{said}");
    setup.write("sold.json", "{\"sku\": \"A1\"}");
    assert_eq!(
        setup.printed(&["try", "sold.json", "--path", "/sold"]),
        "✓ Sold  would run\n  1. remember  sold A1\n       add: 1\n  2. append  sold.log\n       A1 ‹sold.before› ‹sold.value›\n\nNothing was sent or written.\n"
    );
    let said = setup.printed(&["try", "sold.json", "--path", "/reset"]);
    assert!(said.contains("remember  last reset\n       value: {\"sku\":\"A1\""), "{said}");
    assert!(!setup.path("data").exists());
}

#[test]
fn secrets_are_not_remembered() {
    let rule = "  A:\n    when: { webhook: /sold }\n    then:\n      - remember: token\n        value: \"{{ secret.TOKEN }}\"\n";
    let setup = Setup::with(&format!("webhooks:\n  /sold: {{ verify: none }}\nrules:\n{rule}")).env("TOKEN", "a-very-secret-token");
    let said = setup.printed(&["check"]);
    assert!(said.contains("error: secrets are not remembered: they would be stored, and shown in the history\n"), "{said}");
    // By way of what came, or of a name.
    let rule = "  A:\n    when: { webhook: /sold }\n    set: { both: \"x {{ secret.TOKEN }}\" }\n    then:\n      - remember: \"{{ body.key }}\"\n        value: \"{{ both }}\"\n";
    setup.write("rules/rules.yaml", &format!("webhooks:\n  /sold: {{ verify: none }}\nrules:\n{rule}"));
    let doorbell = setup.serve();
    for (key, why) in
        [("a", "the value contains a secret"), ("a-very-secret-token", "the key contains a secret"), (" ", "the key is empty")]
    {
        let event = doorbell.deliver("/sold", &format!("{{\"key\": \"{key}\"}}"));
        until("it has failed", || setup.printed(&["explain", &event]).contains(why));
    }
}

#[test]
fn a_replay_says_that_it_adds_again() {
    let setup = Setup::with(&format!("{OPEN}{RULES}"));
    let doorbell = setup.serve();
    let event = doorbell.deliver("/sold", "{\"sku\": \"A1\"}");
    lines(&setup, "sold.log", 1);
    until("it is done", || setup.printed(&["explain", &event]).contains("✓ Sold  ran"));
    let said = setup.printed(&["replay", "--state", "done", "--again"]);
    assert!(said.starts_with("`Sold` adds to what is remembered once more, for each event\n"), "{said}");
    assert_eq!(
        setup.printed(&["replay", &event, "--again"]),
        format!("{event}: `Sold` adds to what is remembered once more\n{event}: 1 run will start again\n")
    );
    assert_eq!(lines(&setup, "sold.log", 2)[1], "A1 1 2");
}
