//! No accepted run is ever left without an owner that processes it, whatever crashes and whatever commands people give.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::{Doorbell, SetOnDrop, Setup, Target, json, until};

const LINES: &str = "webhooks:\n  /a: { verify: none }\nrules:\n  Lines:\n    when: { webhook: /a }\n    then: [ { append: out.txt, text: \"{{ body.n }}\", first_wait: 100 milliseconds } ]\n";

/// Whether any run is waiting or in progress.
fn waits(setup: &Setup) -> bool {
    setup.printed(&["events", "--last", "1"]).lines().last().unwrap_or_default().contains("waiting")
}

fn lines(setup: &Setup) -> Vec<usize> {
    let mut lines: Vec<usize> = setup.output("out.txt").lines().map(|line| line.parse().unwrap()).collect();
    lines.sort_unstable();
    lines
}

fn send(doorbell: &Doorbell, numbers: std::ops::Range<usize>) {
    for n in numbers {
        doorbell.deliver("/a", &format!("{{\"n\": {n}}}"));
    }
}

#[test]
fn whichever_task_crashes_nothing_is_lost_or_repeated_and_no_restart_is_needed() {
    for planted in ["lease:3", "file:4", "watch:2", "retention:2", "lease,file:2,watch"] {
        let setup = Setup::with(LINES).env("DOORBELL_PLANTED", planted);
        let doorbell = setup.serve();
        send(&doorbell, 0..40);
        until("every run is done", || !waits(&setup) && lines(&setup).len() >= 40);
        assert_eq!(lines(&setup), (0..40).collect::<Vec<_>>(), "{planted}: {}", doorbell.log.lock().unwrap());
        assert_eq!(setup.printed(&["failed"]), "No runs have failed.\n");
    }
}

#[test]
fn an_event_whose_task_crashes_before_its_runs_are_handed_over_is_still_processed() {
    let setup = Setup::with(LINES).env("DOORBELL_PLANTED", "handover:2");
    let doorbell = setup.serve();
    // It is unknown whether the event was saved, so the sender is asked to retry.
    assert_eq!(doorbell.post("/a", "{\"n\": 0}").status, 503);
    assert_eq!(doorbell.post("/a", "{\"n\": 1}").status, 503);
    send(&doorbell, 2..5);
    until("every run is done", || !waits(&setup) && lines(&setup).len() >= 5);
    assert_eq!(lines(&setup), [0, 1, 2, 3, 4]);
}

#[test]
fn a_crash_in_a_step_is_handled_like_any_other_failure() {
    let rules = "webhooks:\n  /a: { verify: none }\nrules:\n  Plain:\n    when: { webhook: /a }\n    one_at_a_time: true\n    then:\n      - append: first.txt\n        text: \"{{ body.n }}\"\n    on_error:\n      - append: told.txt\n        text: \"{{ error.message }}\"\n";
    let setup = Setup::with(rules).env("DOORBELL_PLANTED", "step");
    let doorbell = setup.serve();
    let first = doorbell.deliver("/a", "{\"n\": 1}");
    doorbell.deliver("/a", "{\"n\": 2}");
    until("it has failed", || setup.printed(&["failed"]).contains("Plain, step 1"));
    assert_eq!(setup.output("told.txt"), "this step made Doorbell crash; please report it\n");
    until("the next run of its lane is done", || setup.output("first.txt") == "2\n");
    setup.printed(&["replay", &first]);
    until("it is done when it is replayed", || setup.output("first.txt") == "2\n1\n" && !waits(&setup));
    // If the step crashes again and again, the run still ends and delays no other.
    let setup = Setup::with(rules).env("DOORBELL_PLANTED", "step:3");
    let doorbell = setup.serve();
    doorbell.deliver("/a", "{\"n\": 1}");
    doorbell.deliver("/a", "{\"n\": 2}");
    until("all have ended", || !waits(&setup));
    until("it is logged", || doorbell.logged("step crashed, so it failed"));
}

#[test]
fn while_a_task_is_down_health_is_not_ready_and_names_it() {
    let setup = Setup::with(LINES).env("DOORBELL_PLANTED", "watch:3");
    let doorbell = setup.serve();
    let health = || doorbell.send("GET", "/health/ready", &[], b"");
    until("it is down", || health().status == 503);
    let said = setup.printed(&["health", "--listen", &doorbell.address]);
    assert!(said.starts_with("not ready, 1 rule; crashed and being restarted: watching the rules folder\n"), "{said}");
    until("the log says so too", || doorbell.logged("background task crashed and is being restarted; please report it"));
    until("it is ready again", || health().status == 200);
    setup.write("rules/rules.yaml", &LINES.replace("out.txt", "new.txt"));
    until("edits take effect", || {
        doorbell.deliver("/a", "{\"n\": 1}");
        !setup.output("new.txt").is_empty()
    });
}

#[test]
fn commands_work_while_many_events_arrive() {
    let target = Target::new(&[&json(400, "{}")]);
    let rules = format!(
        "{LINES}  Fails:\n    when: {{ webhook: /a }}\n    if: {{ body.fails: true }}\n    then: [ {{ post: \"{}\" }} ]\n",
        target.url("/")
    );
    let setup = Setup::with(&rules);
    let doorbell = setup.serve();
    let failing: Vec<String> = (0..12).map(|_| doorbell.deliver("/a", "{\"n\": 0, \"fails\": true}")).collect();
    until("they have failed", || setup.printed(&["failed"]).contains("12 failed runs"));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _set = SetOnDrop(&stop);
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    doorbell.deliver("/a", "{\"n\": 1}");
                }
            });
        }
        for event in &failing {
            let said = setup.printed(&["replay", event]);
            assert_eq!(said, format!("{event}: 1 failed run will continue\n"));
        }
        for _ in 0..6 {
            let said = setup.printed(&["prune", "--older-than", "0 seconds"]);
            assert!(said.ends_with("deleted; events with waiting or failed runs are kept\n"), "{said}");
        }
        assert!(setup.printed(&["cancel", "--rule", "Nobody"]).ends_with("nothing is waiting\n"));
    });
    until("they have failed again", || setup.printed(&["failed"]).contains("12 failed runs") && !waits(&setup));
    assert_eq!(target.calls().len(), 24);
}

#[test]
fn a_lane_never_runs_two_at_once_whatever_commands_are_given() {
    let target = Target::new(&[&json(400, "{}"), &json(503, "{}"), &json(200, "{}")]);
    let setup = Setup::with(&format!(
        "webhooks:\n  /a: {{ verify: none }}\nrules:\n  Queue:\n    when: {{ webhook: /a }}\n    one_at_a_time: true\n    then: [ {{ post: \"{}\", json: {{ n: \"{{{{ body.n }}}}\" }}, first_wait: 10 seconds }} ]\n",
        target.url("/")
    ));
    let doorbell = setup.serve();
    let first = doorbell.deliver("/a", "{\"n\": 1}");
    until("the first run has failed", || setup.printed(&["failed"]).contains("1 failed run"));
    doorbell.deliver("/a", "{\"n\": 2}");
    until("the second run has started", || target.calls().len() == 2);
    setup.printed(&["replay", &first]);
    let third = doorbell.deliver("/a", "{\"n\": 3}");
    assert_eq!(setup.printed(&["cancel", &third]), format!("{third}: 1 run cancelled\n"));
    until("every run is done", || !waits(&setup));
    let bodies: Vec<String> = target.calls().into_iter().map(|call| call.body).collect();
    assert_eq!(bodies, ["{\"n\":1}", "{\"n\":2}", "{\"n\":2}", "{\"n\":1}"], "the first run waits until the second one has ended");
}

#[test]
fn the_control_socket_is_private_and_another_version_is_reported() {
    let setup = Setup::with(LINES);
    let doorbell = setup.serve();
    let socket = setup.path("data/control.sock");
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let event = doorbell.deliver("/a", "{\"n\": 1}");
    until("it is done", || !waits(&setup));
    // Another version of Doorbell answers the command.
    std::fs::remove_file(&socket).unwrap();
    let other = UnixListener::bind(&socket).unwrap();
    let other_version = std::thread::spawn(move || {
        let (mut stream, _) = other.accept().unwrap();
        stream.write_all(b"{\"doorbell\":\"99.0.0\"}\n").unwrap();
        let _ = BufReader::new(stream).read_line(&mut String::new());
    });
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        setup.printed(&["replay", &event]),
        format!("doorbell: the running Doorbell is version 99.0.0, but this command is version {version}; use the same version for both\n")
    );
    other_version.join().unwrap();
    doorbell.stop();
    // Without a running `serve`, a command opens the store itself.
    assert_eq!(
        setup.printed(&["replay", &event, "--again"]),
        format!("{event}: 1 run will start again\nnothing runs until you start `doorbell serve`\n")
    );
    let _doorbell = setup.serve();
    until("it is done again", || lines(&setup) == [1, 1]);
}

#[test]
fn an_answer_with_a_secret_is_repeated_without_storing_the_secret() {
    let secret = "s3cret-of-the-answer";
    let setup = Setup::with(
        "webhooks:\n  /a: { verify: none, delivery_id: body.id }\nrules:\n  Tell:\n    when: { webhook: /a }\n    then: [ { respond: 201, json: { key: \"{{ secret.KEY }}\", id: \"{{ body.id }}\" }, headers: { X-Key: \"key {{ secret.KEY }}\" } } ]\n",
    )
    .env("KEY", secret);
    let told = |doorbell: &Doorbell| {
        let got = doorbell.post("/a", "{\"id\": \"x\"}");
        (got.status, got.header("x-key").to_owned(), got.body)
    };
    let doorbell = setup.serve();
    let first = told(&doorbell);
    assert_eq!(first, (201, format!("key {secret}"), format!("{{\"key\":\"{secret}\",\"id\":\"x\"}}")));
    assert_eq!(told(&doorbell), first);
    doorbell.stop();
    let doorbell = setup.serve();
    assert_eq!(told(&doorbell), first, "even after a restart");
    doorbell.stop();
    for file in std::fs::read_dir(setup.path("data")).unwrap().flatten() {
        let bytes = std::fs::read(file.path()).unwrap_or_default();
        assert!(!bytes.windows(secret.len()).any(|w| w == secret.as_bytes()), "{} contains the secret", file.path().display());
    }
}

#[test]
fn the_saved_values_of_a_list_are_written_once_for_each_element() {
    let text = "x".repeat(200);
    let target = Target::new(&[&json(200, &format!("{{\"made\": \"{text}\"}}"))]);
    let setup = Setup::with(&format!(
        "webhooks:\n  /a: {{ verify: none }}\nrules:\n  Each:\n    when: {{ webhook: /a }}\n    then: [ {{ post: \"{}\", for_each: body.list, save_as: made }}, {{ append: out.txt, text: \"{{{{ count made }}}} {{{{ made[0].body.made }}}}\" }} ]\n",
        target.url("/")
    ));
    let doorbell = setup.serve();
    let written = || -> f64 {
        let io = std::fs::read_to_string(format!("/proc/{}/io", doorbell.child.id())).unwrap();
        io.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap().parse().unwrap()
    };
    let spent = |elements: usize| {
        let (before, calls) = (written(), target.calls().len());
        let list: Vec<String> = (0..elements).map(|n| n.to_string()).collect();
        doorbell.deliver("/a", &format!("{{\"list\": [{}]}}", list.join(",")));
        until("all elements are done", || !waits(&setup));
        assert_eq!(target.calls().len(), calls + elements);
        written() - before
    };
    let (few, many) = (spent(100), spent(400));
    assert!(many < few * 8.0, "4 times the elements wrote {few} and then {many} bytes");
    assert_eq!(setup.output("out.txt"), format!("100 {text}\n400 {text}\n"));
}

#[test]
fn damaged_data_in_the_store_is_reported_and_never_skipped() {
    let setup = Setup::with(LINES);
    let doorbell = setup.serve();
    send(&doorbell, 0..3);
    until("every run is done", || !waits(&setup));
    // Two runs wait because the output folder is missing; the data of one of them is damaged.
    std::fs::rename(setup.path("output"), setup.path("elsewhere")).unwrap();
    let [bad, good] = [3, 4].map(|n| doorbell.deliver("/a", &format!("{{\"n\": {n}}}")));
    until("they wait", || [&bad, &good].iter().all(|e| setup.printed(&["explain", e]).contains("for try ")));
    doorbell.kill();
    std::fs::remove_dir_all(setup.path("output")).ok();
    std::fs::rename(setup.path("elsewhere"), setup.path("output")).unwrap();
    let store = rusqlite::Connection::open(setup.path("data/doorbell.db")).unwrap();
    store.execute("UPDATE pending SET saved = '{\"half' WHERE id = (SELECT min(id) FROM pending)", []).unwrap();
    let doorbell = setup.serve();
    until("the other run is done", || lines(&setup) == [0, 1, 2, 4]);
    until("it is shown", || setup.printed(&["failed"]).contains("the saved data of this run is damaged and cannot be read"));
    doorbell.stop();
    // If an intent cannot be read, it is unknown what the file contains, so Doorbell does not start until somebody has looked.
    store.execute("INSERT INTO intent (folder, file, intent) VALUES ('', 'out.txt', '{\"half')", []).unwrap();
    let out = setup.run(&["serve", "--listen", "127.0.0.1:0"]);
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(said.contains("data in the store is damaged") && said.contains("restore a backup of the data folder"), "{said}");
    assert_eq!(out.status.code(), Some(2));
}

#[test]
fn runs_from_the_previous_version_are_processed_in_order_and_once() {
    let setup = Setup::with(
        "webhooks:\n  /a: { verify: none }\nrules:\n  Queue:\n    when: { webhook: /a }\n    one_at_a_time: true\n    then: [ { append: out.txt, text: \"{{ body.n }}\" } ]\n",
    );
    // Runs that wait because nothing can be written, in a store from before runs had owners.
    let doorbell = setup.serve();
    std::fs::rename(setup.path("output"), setup.path("elsewhere")).unwrap();
    send(&doorbell, 0..4);
    doorbell.kill();
    std::fs::remove_dir_all(setup.path("output")).ok();
    std::fs::rename(setup.path("elsewhere"), setup.path("output")).unwrap();
    let store = rusqlite::Connection::open(setup.path("data/doorbell.db")).unwrap();
    store
        .execute_batch(
            "DROP INDEX pending_due; DROP INDEX pending_lane;
             UPDATE pending SET owner = CASE WHEN queued THEN 2 ELSE 1 END;
             ALTER TABLE pending DROP COLUMN queued; ALTER TABLE pending DROP COLUMN turn;
             ALTER TABLE pending RENAME COLUMN owner TO taken;
             CREATE INDEX pending_due ON pending (due) WHERE taken = 0;
             CREATE INDEX pending_lane ON pending (lane, id) WHERE lane IS NOT NULL;
             DROP TABLE owner; DROP TABLE saved; DROP TABLE intent; ALTER TABLE answer DROP COLUMN sealed;
             ALTER TABLE delivery DROP COLUMN request; DROP TABLE sealing; DROP TABLE in_force; DROP TABLE hourly; DROP TABLE schedule; DROP TABLE failure; DROP TABLE silence; DROP TABLE memory; DROP TABLE call; ALTER TABLE event DROP COLUMN sender; ALTER TABLE event DROP COLUMN parts; ALTER TABLE event DROP COLUMN decided; ALTER TABLE pending RENAME COLUMN crashes TO stumbled;
             CREATE TABLE intent (file TEXT PRIMARY KEY, intent TEXT NOT NULL) STRICT, WITHOUT ROWID;
             PRAGMA user_version = 4;",
        )
        .unwrap();
    drop(store);
    let _doorbell = setup.serve();
    until("all are done", || setup.output("out.txt") == "0\n1\n2\n3\n" && !waits(&setup));
    let events: HashSet<String> =
        setup.printed(&["events"]).lines().take(4).map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(events.len(), 4);
}
