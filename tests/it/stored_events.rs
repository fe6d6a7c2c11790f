//! How long events are stored, backups, and replaying failed runs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::harness::{SetOnDrop, Setup, Target, json, until};

const RULES: &str = "webhooks:\n  /a: { verify: none }\nrules:\n  Write:\n    when: { webhook: /a }\n    if: { body.n: { under: 100 } }\n    then: [ { append: out.txt, text: \"{{ body.n }}\" } ]\n  Fail:\n    when: { webhook: /a }\n    if: { body.n: { over: 99 } }\n    then: [ { get: \"http://10.0.0.1/\" } ]\n";

/// Sends these numbers, of which 100 and more make a run fail, and waits until all runs have ended.
fn process(setup: &Setup, numbers: &[u32]) {
    let doorbell = setup.serve();
    for n in numbers {
        doorbell.deliver("/a", &format!("{{\"n\": {n}}}"));
    }
    until("all are done", || !setup.printed(&["events"]).contains("waiting"));
    doorbell.stop();
}

#[test]
fn prune_deletes_finished_events_and_keeps_failed_ones() {
    let setup = Setup::with(RULES);
    process(&setup, &[1, 100, 2, 3]);
    let prune = |more: &[&str]| setup.printed(&[&["prune", "--older-than", "0 seconds"], more].concat());
    assert_eq!(prune(&["--dry-run"]), "2 events would be deleted; events with waiting or failed runs are kept\n");
    assert!(setup.printed(&["events"]).contains("4 events in total"));
    assert_eq!(setup.printed(&["prune", "--older-than", "1 hour"]), "0 events deleted; events with waiting or failed runs are kept\n");
    assert_eq!(prune(&[]), "2 events deleted; events with waiting or failed runs are kept\n");
    let left = setup.printed(&["events"]);
    assert!(left.contains("2 events in total, 1 run failed"), "the newest event stays, so that no number is used twice: {left}");
    assert_eq!(prune(&["--failed"]), "1 event deleted; events with waiting runs are kept\n");
    // Doorbell continues as before.
    let doorbell = setup.serve();
    doorbell.deliver("/a", "{\"n\": 7}");
    until("it is written", || setup.output("out.txt").ends_with("7\n"));
}

#[test]
fn serve_deletes_finished_events_by_age_and_by_size() {
    for keep in [["--keep", "1 millisecond"], ["--keep-mb", "0"]] {
        let setup = Setup::with(RULES);
        process(&setup, &[1, 100, 2, 3]);
        let _doorbell = setup.serve_with(&keep);
        until("the old events are deleted", || setup.printed(&["events"]).contains("2 events in total, 1 run failed"));
    }
    let setup = Setup::with(RULES);
    process(&setup, &[1, 2]);
    let doorbell = setup.serve_with(&["--keep", "forever"]);
    doorbell.deliver("/a", "{\"n\": 3}");
    assert!(setup.printed(&["events"]).contains("3 events in total"));
}

#[test]
fn a_replay_from_the_start_needs_what_conditions_compare_with() {
    let setup = Setup::with(
        "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    if: { body.key: \"{{ secret.KEY }}\" }\n    then: [ { append: out.txt, text: x } ]\n",
    );
    setup.write("given.env", "KEY=the-right-key\n");
    let doorbell = setup.serve_with(&["--env-file", "given.env"]);
    let event = doorbell.deliver("/a", "{\"key\": \"the-right-key\"}");
    until("it is written", || setup.output("out.txt") == "x\n");
    let said = setup.printed(&["replay", "--again", &event]);
    assert_eq!(said, "doorbell: rules compare this event with secret.KEY, which this command was not given; pass --env-file\n");
    let said = setup.printed(&["replay", "--again", &event, "--env-file", "given.env"]);
    assert_eq!(said, format!("{event}: 1 run will start again\n"));
    until("it is written again", || setup.output("out.txt") == "x\nx\n");
}

/// How many events are stored.
fn stored(setup: &Setup) -> usize {
    let said = setup.printed(&["events", "--last", "1"]);
    let count = said.split(" event").next().and_then(|before| before.split_whitespace().last());
    count.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("no number of events: {said}"))
}

#[test]
fn with_a_size_limit_the_oldest_events_are_deleted_first() {
    const ALL: usize = 1_000;
    let setup = Setup::with(RULES);
    let doorbell = setup.serve();
    let text = "x".repeat(10_000);
    let events: Vec<String> = (0..ALL).map(|n| doorbell.deliver("/a", &format!("{{\"n\": {}, \"text\": \"{text}\"}}", n % 100))).collect();
    until("all are done", || !setup.printed(&["events", "--last", "1"]).contains("waiting"));
    doorbell.stop();
    // They take at least 10 MB. Everything above 6 MB is deleted, a few hundred events at a time.
    let doorbell = setup.serve_with(&["--keep-mb", "6"]);
    until("the number of deleted events is logged", || doorbell.logged(" events="));
    let left = stored(&setup);
    assert!((200..=600).contains(&left), "{left} events are left");
    let exists = |event: &str| setup.run(&["explain", event]).status.success();
    assert!(!exists(&events[0]) && !exists(&events[ALL - left - 1]), "the oldest events are deleted");
    assert!(exists(&events[ALL - left]) && exists(&events[ALL - 1]), "the newer events stay");
}

#[test]
fn the_database_log_stays_short_however_many_events_arrive() {
    let setup = Setup::with(RULES);
    let doorbell = setup.serve();
    let body = format!("{{\"n\": \"none\", \"text\": \"{}\"}}", "x".repeat(100_000));
    let (sent, is_enough) = (AtomicU64::new(0), AtomicBool::new(false));
    // Without pauses, so that the database is written to during every checkpoint.
    let send = || {
        while !is_enough.load(Ordering::Relaxed) && doorbell.post("/a", &body).status == 200 {
            sent.fetch_add(body.len() as u64, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        (0..8).for_each(|_| drop(scope.spawn(send)));
        let _set = SetOnDrop(&is_enough);
        // Nothing else may read the database here, because a reader would prevent the log from starting again.
        until("much more was sent than the log contains", || {
            let log = std::fs::metadata(setup.path("data/doorbell.db-wal")).unwrap().len();
            assert!(log < 64 << 20, "the log has {} MB", log >> 20);
            sent.load(Ordering::Relaxed) > (20 << 20).max(6 * log)
        });
    });
}

#[test]
fn a_backup_is_made_while_doorbell_runs_and_contains_everything() {
    let setup = Setup::with(RULES);
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", "{\"n\": 100}");
    until("it has failed", || setup.printed(&["failed"]).contains("1 failed run"));
    let said = setup.printed(&["backup", "monday.db"]);
    assert!(said.starts_with("monday.db contains every event and run, 0.1 MB; to restore it"), "{said}");
    doorbell.deliver("/a", "{\"n\": 2}");
    assert_eq!(setup.printed(&["backup", "monday.db"]), "doorbell: monday.db already exists; choose another name, or move that file\n");
    assert_eq!(
        setup.printed(&["backup", "nowhere/monday.db"]),
        "doorbell: the backup nowhere/monday.db cannot be created: there is no folder nowhere\n"
    );
    doorbell.stop();
    let other = Setup::with(RULES);
    std::fs::create_dir(other.path("data")).unwrap();
    std::fs::copy(setup.path("monday.db"), other.path("data/doorbell.db")).unwrap();
    let _doorbell = other.serve();
    assert!(other.printed(&["failed"]).contains(&event));
    assert!(other.printed(&["events"]).contains("1 event in total"));
}

#[test]
fn failed_runs_can_be_selected_listed_and_replayed() {
    let target = Target::new(&[&json(400, "{}"), &json(400, "{}"), &json(400, "{}"), &json(200, "{}")]);
    let setup = Setup::with(&format!(
        "webhooks:\n  /a: {{ verify: none }}\nrules:\n  Call:\n    when: {{ webhook: /a }}\n    then: [ {{ get: \"{}\" }}, {{ append: out.txt, text: \"{{{{ body.n }}}}\" }} ]\n  Other:\n    when: {{ webhook: /a }}\n    then: [ log: hi ]\n",
        target.url("/x")
    ));
    let doorbell = setup.serve();
    let events: Vec<String> = (0..3)
        .map(|n| {
            let event = doorbell.deliver("/a", &format!("{{\"n\": {n}}}"));
            until("it has failed", || {
                target.calls().len() == n + 1 && setup.printed(&["failed"]).contains(&format!("{} failed run", n + 1))
            });
            event
        })
        .collect();
    let list: String = events.iter().map(|e| format!("  {e}  1 run\n")).collect();
    assert_eq!(
        setup.printed(&["replay", "--rule", "Call", "--since", "1 hour"]),
        format!("{list}3 failed runs of 3 events would continue; to do it, add --yes\n")
    );
    assert_eq!(setup.printed(&["replay", "--rule", "Other"]), "no failed run matches\n");
    assert_eq!(setup.printed(&["replay", "--until", "2026-01-01"]), "no failed run matches\n");
    assert_eq!(
        setup.printed(&["replay", "--state", "done"]),
        "doorbell: runs that are done have nothing left to do; to start them again, add --again\n"
    );
    assert_eq!(target.calls().len(), 3);
    assert_eq!(
        setup.printed(&["replay", "--state", "failed", "--since", "2026-01-01", "--rate", "100", "--yes"]),
        "3 runs of 3 events will continue\n"
    );
    until("all are written", || setup.output("out.txt").lines().count() == 3);
    until("all are done", || setup.printed(&["failed"]) == "No runs have failed.\n");
    assert_eq!(
        setup.printed(&["replay", "--state", "done", "--rule", "Call", "--again", "--yes"]),
        "3 runs of 3 events will start again\n"
    );
    until("all are written again", || setup.output("out.txt").lines().count() == 6);
}

#[test]
fn events_and_failed_runs_are_found_by_what_is_known_of_them() {
    const STEPS: &str = "webhooks:\n  /a: { verify: none }\n  /b: { verify: none }\nrules:\n  Nested:\n    when: [{ webhook: /a }, { webhook: /b }]\n    if: { body.n: { over: 1 } }\n    then:\n      - log: begins\n      - do:\n          - log: inside\n          - get: \"http://10.0.0.1/\"\n            on_error:\n              - log: handling\n              - log: \"{{ body.missing }}\"\n";
    let setup = Setup::with(STEPS);
    let serving = setup.serve_with_console(&[]);
    let sent = [("/a", r#"{"n": 1, "name": "Ada"}"#), ("/a", r#"{"n": 2, "name": "ADA"}"#), ("/b", r#"{"n": 3, "name": "Bob"}"#)];
    let ids: Vec<String> = sent.iter().map(|(path, body)| serving.deliver(path, body)).collect();
    until("both have failed", || setup.printed(&["events"]).contains("2 runs failed"));
    let found = |filter: &[&str]| -> Vec<usize> {
        let said = setup.printed(&[&["events"], filter].concat());
        said.lines().filter_map(|line| ids.iter().position(|id| line.starts_with(id.as_str()))).collect()
    };
    assert_eq!(found(&["--address", "/a"]), [1, 0]);
    assert_eq!(found(&["--outcome", "failed", "--rule", "Nested"]), [2, 1]);
    assert_eq!(found(&["--outcome", "none"]), [0]);
    assert_eq!(found(&["--text", "ada", "--last", "1"]), [1]);
    assert_eq!(found(&["--before", "1 hour"]), [0; 0]);
    assert_eq!(setup.printed(&["events", "--text", "eve"]), "No event matches.\n");
    assert!(setup.printed(&["events", "--text", "ada"]).ends_with("\n2 events found; times are in UTC\n"));
    assert!(
        setup
            .printed(&["events", "--outcome", "lost"])
            .contains("possible values: failed, waiting, done, handled, cancelled, repeated, none")
    );
    // The step is counted as `explain` does, wherever it is shown.
    let step = "step 2.2 on_error 2";
    assert!(setup.printed(&["explain", &ids[1]]).contains(&format!("failed at {step};")));
    let failed = setup.printed(&["failed"]);
    assert_eq!(failed.matches(&format!("Nested, {step}\n")).count(), 2, "{failed}");
    let groups = setup.printed(&["failed", "--groups"]);
    assert!(
        groups.starts_with(&format!("2 runs  Nested, {step}, ")) && groups.contains(&format!("the latest event: {}\n", ids[2])),
        "{groups}"
    );
    assert_eq!(setup.printed(&["failed", "--rule", "Other"]), "No runs have failed.\n");
    let lines = setup.printed(&["failed", "--rule", "Nested", "--last", "1", "--format", "json"]);
    let line: serde_json::Value = serde_json::from_str(lines.trim()).unwrap_or_else(|e| panic!("{e}: {lines}"));
    assert_eq!((line["event"].as_str(), line["at_step"].as_str()), (Some(ids[2].as_str()), Some("2.2 on_error 2")), "{line}");
    assert!(setup.visitor().get("/failed").body.contains("Failed at step 2.2 on_error 2: "));
}
