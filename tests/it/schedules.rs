//! Rules that start by themselves: at their moments, through both clock changes, over restarts and crashes.

use jiff::Timestamp;

use crate::clock::Clocked;
use crate::harness::{Doorbell, Setup, until};

/// Appends what the event of a moment says.
const LINE: &str = "[ { append: NAME.log, text: \"{{ body.planned }} {{ default body.previous '-' }} {{ body.missed }}\" } ]";

fn rule(name: &str, when: &str) -> String {
    format!("  {name}:\n    when: {when}\n    then: {}\n", LINE.replace("NAME", name))
}

#[test]
#[cfg_attr(not(has_faketime), ignore = "needs libfaketime: apt-get install faketime")]
fn a_time_that_does_not_exist_is_when_the_gap_ends_and_one_that_comes_twice_is_once() {
    let rules = format!("timezone: Europe/Berlin\nrules:\n{}{}", rule("daily", "{ at: \"02:30\" }"), rule("hourly", "{ every: 1 hour }"));
    let spring = Clocked::with(&rules);
    spring.set("2026-03-29T00:59:57Z");
    assert_eq!(spring.serve_until("daily.log", 1), ["2026-03-29T03:00:00+02:00 - 0"]);
    let autumn = Clocked::with(&rules);
    autumn.set("2026-10-25T00:29:57Z");
    let doorbell = autumn.setup.serve();
    assert_eq!(autumn.wait_for("daily.log", 1), ["2026-10-25T02:30:00+02:00 - 0"]);
    // The hour comes again: the hourly rule goes on, and the other one waits for the next day.
    autumn.set("2026-10-25T00:59:58Z");
    assert_eq!(autumn.wait_for("hourly.log", 1), ["2026-10-25T02:00:00+01:00 - 0"]);
    autumn.set("2026-10-25T01:29:58Z");
    autumn.set("2026-10-25T01:59:58Z");
    assert_eq!(autumn.wait_for("hourly.log", 2)[1], "2026-10-25T03:00:00+01:00 2026-10-25T02:00:00+01:00 0");
    autumn.set("2026-10-26T01:29:58Z");
    assert_eq!(autumn.wait_for("daily.log", 2)[1], "2026-10-26T02:30:00+01:00 2026-10-25T02:30:00+02:00 0");
    drop(doorbell);
}

#[test]
#[cfg_attr(not(has_faketime), ignore = "needs libfaketime: apt-get install faketime")]
fn the_newest_missed_moment_starts_a_rule_when_doorbell_is_back() {
    let once = rule("once", "{ every: 1 hour }");
    let skip = format!("{}    missed: skip\n", rule("skip", "{ every: 1 hour }"));
    let clocked = Clocked::with(&format!("rules:\n{once}{skip}"));
    clocked.set("2026-03-02T08:30:00Z");
    let doorbell = clocked.setup.serve();
    // Nothing happens before a rule is known.
    until("the rules are adopted", || clocked.setup.printed(&["schedules", "--json"]).contains("\"skip\"") && is_adopted(&clocked.setup));
    doorbell.stop();
    // Meanwhile, another rule comes in, and one is edited: they have missed nothing.
    let edited = rule("edited", "{ every: 30 minutes }");
    clocked.setup.write("rules/more.yaml", &format!("rules:\n{edited}"));
    clocked.set("2026-03-02T12:30:00Z");
    let doorbell = clocked.setup.serve();
    assert_eq!(clocked.wait_for("once.log", 1), ["2026-03-02T12:00:00Z - 4".replace('Z', "+00:00")]);
    clocked.set("2026-03-02T12:59:58Z");
    let after = "2026-03-02T13:00:00+00:00";
    assert_eq!(clocked.wait_for("once.log", 2)[1], format!("{after} 2026-03-02T12:00:00+00:00 0"));
    assert_eq!(clocked.wait_for("skip.log", 1), [format!("{after} - 0")]);
    assert_eq!(clocked.wait_for("edited.log", 1), [format!("{after} - 0")]);
    doorbell.stop();
}

/// Whether the rules' progress is in the store.
fn is_adopted(setup: &Setup) -> bool {
    let file = setup.path("data/doorbell.db");
    let Ok(sql) = rusqlite::Connection::open_with_flags(file, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY) else { return false };
    sql.query_row("SELECT count(*) FROM schedule", [], |row| row.get::<_, i64>(0)).is_ok_and(|count| count > 0)
}

#[test]
#[cfg_attr(not(has_faketime), ignore = "needs libfaketime: apt-get install faketime")]
fn killed_again_and_again_a_rule_starts_once_for_each_moment_and_knows_the_one_before() {
    let clocked = Clocked::with(&format!("rules:\n{}", rule("often", "{ every: 10 seconds }")));
    clocked.set("2026-03-02T08:00:05Z");
    let start: Timestamp = "2026-03-02T08:00:09.5Z".parse().unwrap();
    let mut doorbell: Option<Doorbell> = None;
    for round in 0..30_i64 {
        doorbell = doorbell.or_else(|| Some(clocked.setup.serve()));
        let moment = start + jiff::SignedDuration::from_secs(round * 20);
        clocked.set(&moment.to_string());
        if round % 3 == 0 {
            // Within the second in which it starts the rule.
            std::thread::sleep(std::time::Duration::from_millis(400 + round as u64 * 10));
            doorbell.take().unwrap().kill();
        } else {
            let lines = clocked.setup.output("often.log").lines().count();
            clocked.wait_for("often.log", lines + 1);
        }
    }
    let _doorbell = doorbell.unwrap_or_else(|| clocked.setup.serve());
    until("everything is done", || !clocked.setup.printed(&["events", "--last", "1000"]).contains("waiting"));
    let lines = clocked.setup.output("often.log");
    let mut planned: Vec<(&str, &str)> = lines
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            (words[0], words[1])
        })
        .collect();
    assert!(planned.len() >= 20, "{lines}");
    // Runs may end in another order than they began.
    planned.sort_unstable();
    for pair in planned.windows(2) {
        assert_eq!(pair[1].1, pair[0].0, "each knows the one before, and none is there twice\n{lines}");
    }
    assert_eq!(planned[0].1, "-");
}

#[test]
#[cfg_attr(not(has_faketime), ignore = "needs libfaketime: apt-get install faketime")]
fn after_a_long_time_away_moments_are_counted_up_to_a_limit_and_no_rule_waits_for_that() {
    let often = rule("often", "[{ every: 10 seconds }, { every: 1 minute }, { cron: \"0 0 29 2 *\" }]");
    let clocked = Clocked::with(&format!("rules:\n{often}{}", rule("daily", "{ at: \"07:00\" }")));
    clocked.set("2026-03-02T08:00:01Z");
    let doorbell = clocked.setup.serve();
    until("the rules are adopted", || is_adopted(&clocked.setup));
    doorbell.stop();
    clocked.set("2026-03-05T08:00:01Z");
    let _doorbell = clocked.setup.serve();
    assert_eq!(clocked.wait_for("daily.log", 1), ["2026-03-05T07:00:00+00:00 - 3"]);
    // The newest one is on time.
    assert!(clocked.wait_for("often.log", 1)[0].ends_with(" - 9999"), "{}", clocked.setup.output("often.log"));
}

#[test]
#[cfg_attr(not(has_faketime), ignore = "needs libfaketime: apt-get install faketime")]
fn while_a_run_takes_long_at_most_one_moment_waits_for_it_also_after_the_rules_were_loaded_again() {
    let slow = "  slow:\n    when: { every: 10 seconds }\n    one_at_a_time: true\n    then: [ { append: slow.log, text: \"{{ body.planned }}\" }, { wait: 1 day }, { log: x } ]\n";
    let clocked = Clocked::with(&format!("rules:\n{slow}"));
    clocked.set("2026-03-02T08:00:08Z");
    let doorbell = clocked.setup.serve();
    clocked.wait_for("slow.log", 1);
    for n in 2..6 {
        clocked.setup.write("rules/more.yaml", &format!("rules:\n{}", rule(&format!("other {n}"), "{ at: \"03:00\" }")));
        doorbell.reload();
        until("the rules are loaded again", || clocked.setup.printed(&["audit"]).contains(&format!("other {n}")));
        clocked.set(&format!("2026-03-02T08:00:{}8Z", n - 1));
        until("the next moment is saved", || clocked.setup.printed(&["events"]).matches("SCHEDULE slow").count() >= n);
    }
    // One works, one waits for it, and the others were cancelled.
    until("only the newest one waits", || clocked.setup.printed(&["events"]).matches("1 run waiting").count() == 2);
    // On a busy machine, more moments may pass.
    assert!(clocked.setup.printed(&["events"]).matches("1 run cancelled").count() >= 3);
}

#[test]
fn schedules_are_listed_and_a_rule_can_be_started_by_hand() {
    let setup = Setup::with(&format!(
        "timezone: Europe/Berlin\nrules:\n{}{}",
        rule("report", "[{ at: [\"09:00\", \"17:30\"], days: weekdays }, { cron: \"0 12 1 * *\" }]"),
        rule("off", "{ every: 5 minutes }").replace("    when:", "    enabled: false\n    when:"),
    ));
    let said = setup.printed(&["schedules", "--start", "report"]);
    assert_eq!(said, "doorbell: Doorbell does not run with the data folder data; start `doorbell serve` first\n");
    let doorbell = setup.serve();
    let said = setup.printed(&["schedules", "--start", "report"]);
    let event = said.split_once("`doorbell explain ").and_then(|(_, rest)| rest.split_once('`')).unwrap_or_else(|| panic!("{said}")).0;
    assert_eq!(said, format!("`report` has started; `doorbell explain {event}` shows what it did\n"));
    until("it has run", || setup.output("report.log").lines().count() == 1);
    until("it is explained", || setup.printed(&["explain", event]).contains("✓ report  ran, 1 step"));
    let told = setup.printed(&["explain", event]);
    assert!(told.contains("  SCHEDULE report  ") && told.contains("  → started by itself, 1 of 1 rule ran\n"), "{told}");
    assert!(doorbell.logged("") && setup.printed(&["audit"]).contains("started rule `report`"));
    let said = setup.printed(&["schedules", "--start", "off"]);
    assert_eq!(said, "doorbell: no rule called `off` starts by itself; `doorbell schedules` lists those that do\n");
    // A start by hand uses up no moment of the schedule.
    let list = setup.printed(&["schedules"]);
    let (head, rest) = list.split_once("\n  next on ").unwrap();
    assert_eq!(head, "report\n  at 09:00 and 17:30 on weekdays and at `0 12 1 * *` (Europe/Berlin)");
    assert!(rest.ends_with("\n  not started yet\n\noff  (switched off)\n  every 5 minutes\n  not started yet\n\n"), "{list}");
    let json: serde_json::Value = serde_json::from_str(&setup.printed(&["schedules", "--json"])).unwrap();
    assert_eq!((json[0]["timezone"].as_str(), json[0]["next"].as_array().unwrap().len()), (Some("Europe/Berlin"), 3));
    let checked = setup.printed(&["check", "--data", "nowhere"]);
    let line = checked.lines().nth(1).unwrap();
    assert!(line.starts_with("`report` starts at 09:00 and 17:30 on weekdays and at `0 12 1 * *` (Europe/Berlin): next on "), "{checked}");
    assert_eq!(checked.lines().count(), 2, "a rule that is switched off never starts: {checked}");
}

#[test]
fn a_dry_run_shows_the_rules_of_a_moment_and_tests_send_one() {
    let setup = Setup::with(
        r#"
timezone: Europe/Berlin
rules:
  Reminder:
    when: { at: "09:00", days: weekdays }
    set: { day: "{{ weekday body.planned 'Europe/Berlin' }}" }
    if: { day: monday }
    then:
      - append: reminders.log
        text: "{{ date body.planned '%d.%m.%Y' 'Europe/Berlin' }}{{#if body.missed}} (late){{/if}}"
    tests:
      - name: on a Monday
        send: { planned: 2026-03-02T09:00 }
        expect:
          - append: reminders.log
            text: 02.03.2026
      - name: late
        send: { planned: 2026-03-02T09:00, missed: 2 }
        expect:
          - append: reminders.log
            text: 02.03.2026 (late)
      - name: not on a Tuesday
        send: { planned: 2026-03-03T09:00 }
        expect: nothing
      - name: not on a Sunday
        send: { planned: 2026-03-01T09:00 }
        expect: nothing
      - name: at noon
        send: { planned: "2026-03-02T12:00" }
        expect:
          - append: reminders.log
"#,
    );
    assert_eq!(
        setup.printed(&["test"]),
        "\
✓ Reminder: on a Monday
✓ Reminder: late
✓ Reminder: not on a Tuesday
✓ Reminder: not on a Sunday
✗ Reminder: at noon
    rules/rules.yaml:28:9
    the rule does not start at 2026-03-02T12:00 (Europe/Berlin); after that, it starts on Tue 2026-03-03 09:00

4 tests passed, 1 failed
"
    );
    assert_eq!(
        setup.printed(&["try", "--at", "2026-03-02T09:00"]),
        "\
✓ Reminder  would run
    day is monday  yes
  1. append  reminders.log
       02.03.2026

Nothing was sent or written.
"
    );
    assert_eq!(
        setup.printed(&["try", "--at", "2026-03-01T09:00"]),
        "`Reminder`: the rule does not start at 2026-03-01T09:00 (Europe/Berlin); after that, it starts on Mon 2026-03-02 09:00\n"
    );
    assert_eq!(setup.printed(&["try", "--at", "tomorrow"]), "`tomorrow` is not a moment; write for example 2026-03-29T09:30\n");
    assert_eq!(setup.run(&["try", "--at", "2026-03-01T09:00"]).status.code(), Some(1));
}

#[test]
fn the_time_zone_is_that_of_the_rule_else_the_file_else_the_option() {
    let setup = Setup::with(
        "rules:\n  A:\n    when: { at: \"09:00\" }\n    then: [ log: x ]\n  B:\n    when: { at: \"09:00\" }\n    timezone: Asia/Tokyo\n    then: [ log: x ]\n",
    );
    setup.write("rules/berlin.yaml", "timezone: Europe/Berlin\nrules:\n  C:\n    when: { at: \"09:00\" }\n    then: [ log: x ]\n");
    let zones = |options: &[&str]| {
        let all = [&["schedules", "--json"], options].concat();
        let list: serde_json::Value = serde_json::from_str(&setup.printed(&all)).unwrap();
        let zone = |rule: &str| {
            let found = list.as_array().unwrap().iter().find(|one| one["rule"] == rule).unwrap();
            found["timezone"].as_str().unwrap().to_owned()
        };
        [zone("A"), zone("B"), zone("C")]
    };
    assert_eq!(zones(&["--timezone", "America/New_York"]), ["America/New_York", "Asia/Tokyo", "Europe/Berlin"]);
    let said = setup.printed(&["schedules", "--timezone", "Berlin"]);
    assert!(said.contains("there is no time zone called `Berlin`; did you mean Europe/Berlin?"), "{said}");
}

#[test]
fn the_console_shows_when_a_rule_starts_and_starts_it_now() {
    let setup = Setup::with(&format!("timezone: Europe/Berlin\nrules:\n{}", rule("report", "{ at: \"09:00\", days: 29 }")));
    let _serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let page = visitor.get("/rules/report");
    assert!(page.body.contains("it is time, at 09:00 on day 29 of the month (Europe/Berlin)"), "{}", page.body);
    assert!(page.body.contains("It has not started by itself yet.") && page.body.contains("Start it now"), "{}", page.body);
    // The page of its event follows.
    let event = visitor.post("/rules/report/start", &[]).body;
    until("it has run", || setup.output("report.log").lines().count() == 1);
    assert!(event.contains("started by itself") && event.contains("The moment") && !event.contains("curl"), "{event}");
    assert_eq!(visitor.post("/rules/nobody/start", &[]).status, 400);
    until("the hour is counted", || visitor.get("/rules/report").body.contains("1 ran, 0 did not, 0 failed"));
}
