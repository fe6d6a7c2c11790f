//! `for_each` and `for_each_entry`: an element that waits or fails does not stop the others, and a replay tries only those that
//! failed; names for the values of each element (`set:`).

use crate::harness::{Setup, Target, json, until};

fn rules(steps: &str) -> String {
    format!("webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n{steps}")
}

/// The bodies of the calls that a target received.
fn bodies(target: &Target) -> Vec<String> {
    target.calls().iter().map(|call| call.body.clone()).collect()
}

const SEVEN: &str = r#"{"items": ["a", "b", "c", "d", "e", "f", "g"]}"#;

#[test]
fn failed_elements_do_not_stop_the_others_and_a_replay_tries_only_these() {
    let ok = |id: u32| json(201, &format!(r#"{{"id": {id}}}"#));
    let (bad, worse) = (json(422, "no such sku"), json(404, "gone"));
    let answers = [ok(1), bad, ok(3), ok(4), worse.clone(), ok(6), ok(7), ok(2), worse, ok(5)];
    let target = Target::new(&answers.each_ref().map(String::as_str));
    let steps = "      - name: stock\n        post: URL\n        for_each: body.items\n        text: \"{{ item }}\"\n        save_as: made\n      - append: end.log\n        text: \"{{ json made }}\"\n";
    let setup = Setup::with(&rules(&steps.replace("URL", &target.url("/x")).replace("json made", "join made[*].body.id ' '")));
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", SEVEN);
    until("the run has failed", || setup.printed(&["failed"]).contains("A, step 1"));
    assert_eq!(bodies(&target), ["a", "b", "c", "d", "e", "f", "g"]);
    let why = format!(
        "2 of 7 elements failed: element 2: POST {0} answered 422: no such sku; element 5: POST {0} answered 404: gone",
        target.url("/x")
    );
    let said = setup.printed(&["failed"]);
    assert!(said.contains(&why), "{said}");
    let said = setup.printed(&["explain", &event]);
    let line = format!("✗ A  failed at step 1: 2 of 7 elements failed (2, 5); `doorbell replay {event}` tries only these again");
    assert!(said.contains(&line), "{said}");
    assert!(said.contains("1. stock, element 5  failed: POST"), "{said}");
    // One of them fails again.
    setup.printed(&["replay", &event]);
    until("it has failed again", || setup.printed(&["explain", &event]).contains("replayed 1 time: 1 of 7 elements failed (5);"));
    assert_eq!(bodies(&target)[7..], ["b", "e"]);
    setup.printed(&["replay", &event]);
    until("the steps after it are done", || !setup.output("end.log").is_empty());
    assert_eq!(bodies(&target)[7..], ["b", "e", "e"]);
    assert_eq!(setup.output("end.log"), "1 2 3 4 5 6 7\n", "the answers are in the order of the items");
    assert!(setup.printed(&["failed"]).contains("No runs have failed."));
    let keys: Vec<String> = target.calls().iter().map(|call| call.header("idempotency-key").to_owned()).collect();
    assert!(keys.iter().enumerate().all(|(n, key)| !keys[..n].contains(key)), "{keys:?}");
    assert!(keys[7].ends_with("-0-1-r1") && keys[9].ends_with("-0-4-r2"), "{keys:?}");
}

#[test]
fn the_elements_that_wait_survive_a_crash_and_a_cancelled_run_tries_none_of_them() {
    let (ok, later) = (json(200, "{}"), json(503, "{}"));
    let answers = [&ok, &later, &ok, &later, &ok, &ok];
    let target = Target::new(&answers.map(String::as_str));
    let steps = "      - post: URL\n        for_each: body.items\n        text: \"{{ item }}\"\n        first_wait: 6 hours\n      - append: end.log\n        text: end\n";
    let setup = Setup::with(&rules(&steps.replace("URL", &target.url("/x"))));
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", SEVEN);
    let waits = || {
        let said = setup.printed(&["explain", &event]);
        said.contains("for try 2, at step 1 (2 elements wait)") && said.contains("1. post, element 4  retry:")
    };
    until("two elements wait", waits);
    assert_eq!(bodies(&target), ["a", "b", "c", "d", "e", "f", "g"]);
    doorbell.kill();
    let _doorbell = setup.serve();
    until("they still wait", waits);
    assert_eq!(setup.printed(&["cancel", &event]), format!("{event}: 1 run cancelled\n"));
    let said = setup.printed(&["explain", &event]);
    assert!(said.contains("✗ A  was cancelled at step 1"), "{said}");
    assert_eq!((bodies(&target).len(), setup.output("end.log")), (7, String::new()));
}

#[test]
fn an_element_that_waits_is_tried_again_after_a_crash_and_no_other_one_is() {
    let (ok, later) = (json(200, "{}"), json(503, "{}"));
    let target = Target::new(&[&ok, &later, &ok, &ok]);
    let steps = "      - for_each: body.items\n        do:\n          - append: begun.log\n            text: \"{{ item }}\"\n          - post: URL\n            text: \"{{ item }}\"\n            first_wait: 3 seconds\n            save_as: made\n          - append: done.log\n            if: { made.status: 200 }\n            text: \"{{ item }}\"\n      - append: end.log\n        text: \"{{ count made }}\"\n";
    let setup = Setup::with(&rules(&steps.replace("URL", &target.url("/x"))));
    let doorbell = setup.serve();
    doorbell.deliver("/a", r#"{"items": ["a", "b", "c"]}"#);
    until("the others are done", || setup.output("done.log") == "a\nc\n");
    doorbell.kill();
    let _doorbell = setup.serve();
    until("all are done", || setup.output("end.log") == "3\n");
    assert_eq!(bodies(&target), ["a", "b", "c", "b"]);
    assert_eq!((setup.output("begun.log").as_str(), setup.output("done.log").as_str()), ("a\nb\nc\n", "a\nc\nb\n"));
    let key = |n: usize| target.calls()[n].header("idempotency-key").to_owned();
    assert_eq!(key(1), key(3), "all tries have the same key");
}

#[test]
fn a_run_that_continues_after_failed_elements_ends_as_handled() {
    let answers = [json(200, "{}"), json(400, "no"), json(200, "{}")];
    let target = Target::new(&answers.each_ref().map(String::as_str));
    let steps = "      - post: URL\n        for_each: body.items\n        text: \"{{ item }}\"\n        on_error: continue\n      - append: end.log\n        text: end\n";
    let setup = Setup::with(&rules(&steps.replace("URL", &target.url("/x"))));
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", SEVEN);
    until("the step after it is done", || setup.output("end.log") == "end\n");
    assert_eq!(bodies(&target).len(), 7);
    until("it is recorded", || setup.printed(&["explain", &event]).contains("ran with errors that `on_error` handled"));
}

#[test]
fn with_stop_at_first_the_elements_after_a_failed_one_wait_for_the_replay() {
    let answers = [json(200, "{}"), json(400, "no"), json(200, "{}")];
    let target = Target::new(&answers.each_ref().map(String::as_str));
    let steps = "      - post: URL\n        for_each: body.items\n        stop_at_first: true\n        text: \"{{ item }}\"\n";
    let setup = Setup::with(&rules(&steps.replace("URL", &target.url("/x"))));
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", r#"{"items": ["a", "b", "c"]}"#);
    until("the run has failed", || setup.printed(&["failed"]).contains("A, step 1"));
    assert_eq!(bodies(&target), ["a", "b"]);
    assert!(setup.printed(&["explain", &event]).contains(&format!("failed at step 1; `doorbell replay {event}` continues there")));
    setup.printed(&["replay", &event]);
    until("all are done", || bodies(&target) == ["a", "b", "b", "c"]);
}

#[test]
fn on_error_of_the_rule_is_told_how_many_elements_failed() {
    let steps = "      - append: \"{{ item }}.log\"\n        for_each: body.items\n        text: \"{{ upper item.name }}\"\n    on_error:\n      - append: failed.log\n        text: \"{{ error.message }} ({{ error.step }})\"\n        for_each: body.items\n        if: { item: c }\n";
    let setup = Setup::with(&rules(&steps.replace("append: \"{{ item }}.log\"", "append: all.log")));
    let doorbell = setup.serve();
    doorbell.deliver("/a", r#"{"items": ["a", {"name": "b"}, "c"]}"#);
    until("it is told", || !setup.output("failed.log").is_empty());
    assert_eq!(setup.output("all.log"), "B\n");
    let said = setup.output("failed.log");
    assert!(said.starts_with("2 of 3 elements failed: element 1: rules/rules.yaml:") && said.contains("; element 3: "), "{said}");
    assert!(said.ends_with(" (append)\n"), "{said}");
}

#[test]
fn entries_of_an_object_have_a_name_and_a_value() {
    let steps = "      - for_each_entry: body.sizes\n        if: { item.value: { over: 0 } }\n        append: sizes.log\n        text: \"{{ item_number }} {{ item.name }} {{ item.value }}\"\n      - append: end.log\n        text: end\n";
    let tests = "    tests:\n      - name: sizes\n        send: { json: { sizes: { S: 3, M: 0, \"1.5\": 2 } } }\n        expect: [ { append: sizes.log, text: 1 S 3 }, { append: sizes.log, text: 3 1.5 2 }, { append: end.log, text: end } ]\n";
    let setup = Setup::with(&format!("{}{tests}", rules(steps)));
    assert_eq!(setup.printed(&["test"]), "✓ A: sizes\n\n1 test passed\n");
    let doorbell = setup.serve();
    for body in [r#"{"sizes": {"z": 1, "a": 2}}"#, r#"{"sizes": {}}"#, r#"{"sizes": []}"#, r#"{"sizes": null}"#] {
        doorbell.deliver("/a", body);
    }
    until("all are done", || setup.output("end.log") == "end\n".repeat(4));
    assert_eq!(setup.output("sizes.log"), "1 z 1\n2 a 2\n", "in the order of the body");
    for (body, why) in [
        (r#"{"sizes": [1]}"#, "body.sizes is a list, and `for_each_entry` goes through an object; write `for_each: body.sizes`"),
        (r#"{"sizes": "S"}"#, "body.sizes is not an object, and `for_each_entry` goes through one"),
        ("{}", "there is no body.sizes in this request, needed for `for_each_entry`"),
    ] {
        let event = doorbell.deliver("/a", body);
        until("it has failed", || setup.printed(&["explain", &event]).contains(why));
    }
}

#[test]
fn a_step_can_name_its_values_and_the_names_end_with_it() {
    let steps = "      - for_each: body.items\n        set:\n          label: \"{{ upper item.sku }}-{{ item_number }}\"\n          full: \"{{ label }}!\"\n          id: \"{{ uuid }}\"\n        if: { label: { not: B-2 } }\n        do:\n          - append: one.log\n            set: { twice: \"{{ label }}{{ label }}\" }\n            text: \"{{ full }} {{ twice }}\"\n          - append: two.log\n            text: \"{{ id }}\"\n          - append: two.log\n            text: \"{{ id }}\"\n      - append: end.log\n        set: { label: \"{{ count body.items }}\" }\n        text: \"{{ label }}\"\n      - log: \"{{ body.nothing }}\"\n        set: { text_of_it: \"{{ body.id }}\" }\n        on_error:\n          - append: end.log\n            text: \"{{ text_of_it }}\"\n";
    let setup = Setup::with(&rules(steps));
    assert_eq!(setup.printed(&["check"]), "1 rule in 1 file: valid\n");
    let doorbell = setup.serve();
    doorbell.deliver("/a", r#"{"id": 9, "items": [{"sku": "a"}, {"sku": "b"}, {"sku": "c"}]}"#);
    until("all are done", || setup.output("end.log") == "3\n9\n");
    assert_eq!(setup.output("one.log"), "A-1! A-1A-1\nC-3! C-3C-3\n");
    let two = setup.output("two.log");
    let ids: Vec<&str> = two.lines().collect();
    assert!(ids[0] == ids[1] && ids[2] == ids[3] && ids[0] != ids[2], "the steps of a `do:` see the same value: {ids:?}");
}
