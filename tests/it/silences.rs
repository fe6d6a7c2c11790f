//! Rules that start because nothing came to an address, and when something comes again.

use crate::clock::Clocked;
use crate::harness::{Setup, until};

const RULES: &str = "timezone: Europe/Berlin\nwebhooks:\n  \"/shops/{shop}\": { verify: none }\n  /other: { verify: none }\nrules:\n  Orders:\n    when: [{ webhook: \"/shops/{shop}\" }, { webhook: /other }]\n    then:\n      - log: x\n  Missing:\n    when: { silent: \"/shops/{shop}\", for: 6 hours, between_times: [\"08:00\", \"18:00\"], back: true }\n    then:\n      - append: silence.log\n        text: \"{{ body.address }} {{ default body.last '-' }} {{ default body.previous '-' }} {{ body.back }} {{ date now '%d %H:%M' 'Europe/Berlin' }}\"\n";

#[test]
#[cfg_attr(not(has_faketime), ignore = "needs libfaketime: apt-get install faketime")]
fn a_silence_is_told_once_and_only_time_in_its_window_counts() {
    let clocked = Clocked::with(RULES);
    // In Berlin, an hour later.
    clocked.set("2026-03-02T14:00:00Z");
    let doorbell = clocked.setup.serve();
    doorbell.deliver("/shops/berlin", "{}");
    doorbell.deliver("/other", "{}");
    // Three hours of the window are left on this day.
    clocked.set("2026-03-03T09:50:00Z");
    doorbell.deliver("/other", "{}");
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    assert_eq!(clocked.setup.output("silence.log"), "", "ten minutes are missing");
    clocked.set("2026-03-03T10:01:30Z");
    let line = clocked.wait_for("silence.log", 1).remove(0);
    assert!(line.starts_with("/shops/{shop} 2026-03-02T15:0") && line.ends_with(" - false 03 11:01"), "{line}");
    // The same silence, also after a crash.
    doorbell.kill();
    clocked.set("2026-03-04T12:00:00Z");
    let doorbell = clocked.setup.serve();
    clocked.set("2026-03-05T12:00:00Z");
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    assert_eq!(clocked.setup.output("silence.log").lines().count(), 1);
    doorbell.deliver("/shops/hamburg", "{}");
    let line = clocked.wait_for("silence.log", 2).remove(1);
    assert!(line.starts_with("/shops/{shop} 2026-03-05T13:0") && line.contains(" 2026-03-02T15:0"), "{line}");
    assert!(line.contains(" true 05 13:0"), "{line}");
    let told = clocked.setup.printed(&["events", "--last", "3"]);
    assert_eq!(told.matches("SILENT Missing  → started by itself, 1 run done").count(), 2, "{told}");
    // Another silence.
    clocked.set("2026-03-06T09:10:00Z");
    let line = clocked.wait_for("silence.log", 3).remove(2);
    assert!(line.starts_with("/shops/{shop} 2026-03-05T13:0") && line.contains(" - false 06 10:1"), "{line}");
}

#[test]
#[cfg_attr(not(has_faketime), ignore = "needs libfaketime: apt-get install faketime")]
fn time_while_doorbell_did_not_run_does_not_count_and_what_came_before_a_crash_is_not_forgotten() {
    let clocked = Clocked::with(RULES);
    clocked.set("2026-03-02T07:30:00Z");
    let doorbell = clocked.setup.serve();
    until("it listens", || is_noted(&clocked.setup));
    clocked.set("2026-03-02T12:50:00Z");
    doorbell.deliver("/shops/berlin", "{}");
    doorbell.kill();
    // So that it can be seen when it listens again; what came last is still among the events.
    rusqlite::Connection::open(clocked.setup.path("data/doorbell.db")).unwrap().execute("DELETE FROM silence", []).unwrap();
    clocked.set("2026-03-03T07:30:00Z");
    let doorbell = clocked.setup.serve();
    until("it listens", || is_noted(&clocked.setup));
    clocked.set("2026-03-03T13:20:00Z");
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    assert_eq!(clocked.setup.output("silence.log"), "", "Doorbell was started less than six hours ago");
    clocked.set("2026-03-03T13:31:00Z");
    let line = clocked.wait_for("silence.log", 1).remove(0);
    assert!(line.starts_with("/shops/{shop} 2026-03-02T13:5"), "{line}");
    // The end of a silence, with a crash right after the event.
    doorbell.deliver("/shops/berlin", "{}");
    doorbell.kill();
    clocked.set("2026-03-04T07:30:00Z");
    let _doorbell = clocked.setup.serve();
    let line = clocked.wait_for("silence.log", 2).remove(1);
    assert!(line.starts_with("/shops/{shop} 2026-03-03T14:3") && line.contains(" true "), "{line}");
}

/// Whether the rule's silence is in the store.
fn is_noted(setup: &Setup) -> bool {
    let file = setup.path("data/doorbell.db");
    let Ok(sql) = rusqlite::Connection::open_with_flags(file, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY) else { return false };
    sql.query_row("SELECT count(*) FROM silence", [], |row| row.get::<_, i64>(0)).is_ok_and(|count| count > 0)
}

#[test]
#[cfg_attr(not(has_faketime), ignore = "needs libfaketime: apt-get install faketime")]
fn killed_again_and_again_each_silence_and_each_end_starts_the_rule_once() {
    let clocked = Clocked::with(&RULES.replace(", between_times: [\"08:00\", \"18:00\"]", ""));
    let start: jiff::Timestamp = "2026-03-02T00:00:00Z".parse().unwrap();
    clocked.set(&start.to_string());
    let mut doorbell = clocked.setup.serve();
    until("it listens", || is_noted(&clocked.setup));
    let mut now = start;
    for round in 0..8_u64 {
        now += jiff::SignedDuration::from_hours(7);
        clocked.set(&now.to_string());
        if round % 2 == 0 {
            std::thread::sleep(std::time::Duration::from_millis(700 + round * 60));
            doorbell.kill();
            doorbell = clocked.setup.serve();
        }
        // A start begins anew, unless the silence was told before.
        let told = || clocked.setup.output("silence.log").lines().count() > round as usize * 2;
        let mut looks = 0;
        until("the silence is told", || {
            looks += 1;
            if looks % 100 == 0 {
                now += jiff::SignedDuration::from_hours(7);
                clocked.set(&now.to_string());
            }
            told()
        });
        now += jiff::SignedDuration::from_mins(1);
        clocked.set(&now.to_string());
        doorbell.deliver("/shops/a", "{}");
        if round % 3 == 0 {
            std::thread::sleep(std::time::Duration::from_millis(500 + round * 90));
            doorbell.kill();
            doorbell = clocked.setup.serve();
        }
        clocked.wait_for("silence.log", round as usize * 2 + 2);
    }
    until("everything is done", || !clocked.setup.printed(&["events"]).contains("waiting"));
    let lines = clocked.setup.output("silence.log");
    let back: Vec<&str> = lines.lines().map(|line| line.split(' ').nth(3).unwrap()).collect();
    assert_eq!(back, ["false", "true"].repeat(8), "{lines}");
}

#[test]
fn a_silence_is_tried_and_tested_without_waiting() {
    let tests = "    tests:\n      - name: nothing came\n        send: { silent: { last: \"2026-03-02T15:00:00+01:00\" } }\n        expect:\n          - append: silence.log\n            text: \"/shops/{shop} 2026-03-02T15:00:00+01:00 - false 01 01:00\"\n      - name: it is back\n        send: { silent: { back: true } }\n        expect:\n          - append: silence.log\n            text: \"/shops/{shop} 2030-01-01T01:00:00+01:00 2029-12-31T13:00:00+01:00 true 01 01:00\"\n";
    let setup = Setup::with(&format!("{RULES}{tests}"));
    assert_eq!(setup.printed(&["test"]), "✓ Missing: nothing came\n✓ Missing: it is back\n\n2 tests passed; 1 rule has no tests\n");
    let said = setup.printed(&["try", "--silent", "/shops/{shop}"]);
    assert!(
        said.starts_with("✓ Missing  would run\n  1. append  silence.log\n       /shops/{shop} 20") && said.contains(" - false "),
        "{said}"
    );
    assert!(setup.printed(&["try", "--silent", "/shops/{shop}", "--back"]).contains(" true "));
    let said = setup.printed(&["try", "--silent", "/other"]);
    assert_eq!(said, "no rule waits for silence at /other; write for example when: { silent: /other, for: 6 hours }\n");
    let said = setup.printed(&["list"]);
    let sentence = "When nothing arrives at /shops/{shop} for 6 hours (between 08:00 and 18:00, Europe/Berlin), or something arrives there again, then";
    assert!(said.contains(sentence), "{said}");
}

#[test]
fn the_console_shows_when_something_last_came() {
    let setup = Setup::with(RULES);
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let page = visitor.get("/rules/Missing").body;
    assert!(page.contains("Starts on silence") && page.contains("Nothing has come there yet."), "{page}");
    serving.deliver("/shops/berlin", "{}");
    until("it is noted", || visitor.get("/rules/Missing").body.contains("Something last came there at "));
}

#[test]
fn conditions_ask_for_times_of_day_and_days() {
    let rule = |name: &str, condition: &str| {
        format!("  {name}:\n    when: {{ webhook: /a }}\n    timezone: Europe/Berlin\n    if: {condition}\n    then:\n      - log: x\n")
    };
    let rules = [
        rule("Night", "{ body.at: { between_times: [\"22:00\", \"06:00\"] } }"),
        rule("Weekdays", "{ body.at: { on_days: weekdays } }"),
        rule("Not in the week", "{ body.at: { not: { on_days: [weekdays] } } }"),
        rule("Ever", "{ any: [ { between_times: [\"00:00\", \"12:00\"] }, { between_times: [\"12:00\", \"00:00\"] } ] }"),
        rule("Never", "{ on_days: weekdays, none: [ { on_days: [monday, tuesday, wednesday, thursday, friday] } ] }"),
    ];
    let setup = Setup::with(&format!("webhooks:\n  /a: {{ verify: none }}\nrules:\n{}", rules.concat()));
    setup.write("night.json", "{\"at\": \"2026-03-02T22:30:00Z\"}");
    let said = setup.printed(&["try", "night.json", "--path", "/a"]);
    // A Monday, at half past eleven in the evening.
    for line in [
        "✓ Night  would run\n    body.at between 22:00 and 06:00 (Europe/Berlin)  yes\n",
        "✓ Weekdays  would run\n    body.at on weekdays (Europe/Berlin)  yes\n",
        "✗ Not in the week  would not run\n",
        "✓ Ever  would run\n",
        "✗ Never  would not run\n",
    ] {
        assert!(said.contains(line), "{line}:\n{said}");
    }
    setup.write("day.json", "{\"at\": \"2026-03-01\"}");
    let said = setup.printed(&["try", "day.json", "--path", "/a"]);
    assert!(said.contains("body.at between 22:00 and 06:00 (Europe/Berlin)  NO, it was Sunday, a day without a time\n"), "{said}");
    assert!(said.contains("✓ Not in the week  would run\n"), "{said}");
    assert!(setup.printed(&["list"]).contains("if body.at is between 22:00 and 06:00 (Europe/Berlin), then"));
}
