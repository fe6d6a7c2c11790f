//! `--log json`: every line of the log is a JSON object, whatever happens and whatever senders write.

use serde_json::Value;

use crate::harness::{Setup, Target, json, until};

/// The lines of a log, each of which must be one entry.
fn entries(log: &str) -> Vec<Value> {
    let entry = |line: &str| -> Value {
        let entry: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let names: Vec<&String> = entry.as_object().unwrap().keys().collect();
        assert_eq!(names, ["time", "level", "message", "fields"], "{line}");
        assert!(entry["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{line}");
        assert!(["error", "warn", "info"].contains(&entry["level"].as_str().unwrap()), "{line}");
        assert!(entry["message"].is_string() && entry["fields"].is_object(), "{line}");
        assert!(line.chars().all(|c| !c.is_control() && c != '\u{202e}' && c != '\u{2028}'), "{line:?}");
        entry
    };
    log.lines().map(entry).collect()
}

#[test]
fn every_line_of_a_busy_run_is_a_json_object_without_secrets() {
    let target = Target::new(&[&json(400, r#"{"you sent": "s3cret-value"}"#)]);
    let setup = Setup::with(&format!(
        "webhooks:\n  /a: {{ verify: none }}\n  /b: {{ verify: {{ bearer: \"{{{{ secret.KEY }}}}\" }} }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n      \
         - log: \"{{{{ body.text }}}} {{{{ secret.KEY }}}}\"\n      - post: {}/{{{{ secret.KEY }}}}\n  B:\n    when: {{ webhook: /b }}\n    then: [ {{ log: b }} ]\n",
        target.url("")
    ))
    .env("KEY", "s3cret-value");
    let doorbell = setup.serve_with(&["--log", "json"]);
    let hostile = "a\n{\"level\":\"error\"}\r\u{1b}[2J\u{9b}5m\u{202e}\u{2028}\u{0}\"\\ é世 \u{1f680}";
    let body = serde_json::json!({ "text": hostile }).to_string();
    (0..200).for_each(|_| drop(doorbell.deliver("/a", &body)));
    doorbell.post("/b", "{}");
    doorbell.post("/no\u{1b}where%0A", "{}");
    doorbell.raw(b"no HTTP\r\n\r\n");
    setup.write("rules/rules.yaml", "rules: [\n");
    until("everything is logged", || {
        let log = doorbell.log.lock().unwrap().clone();
        log.matches("step failed").count() == 200 && log.contains("old rules stay in use") && log.contains("request denied")
    });
    let log = doorbell.log.clone();
    doorbell.stop();
    until("the end is logged", || log.lock().unwrap().contains("Doorbell stopped"));
    let log = log.lock().unwrap().clone();
    let entries = entries(&log);
    let said = |entry: &&Value| entry["message"].as_str().unwrap().starts_with("a {\"level\":\"error\"}");
    let said: Vec<&str> = entries.iter().filter(said).filter_map(|entry| entry["message"].as_str()).collect();
    assert_eq!(said.len(), 200);
    assert!(said.iter().all(|text| text.contains("é世 \u{1f680}") && text.ends_with(" ***")), "{}", said[0]);
    let failed = entries.iter().find(|entry| entry["message"].as_str().unwrap().starts_with("step failed")).unwrap();
    assert_eq!((&failed["level"], &failed["fields"]["rule"]), (&"warn".into(), &"A".into()));
    let denied = entries.iter().find(|entry| entry["message"].as_str().unwrap().starts_with("request denied")).unwrap();
    assert_eq!(denied["fields"]["ip"], "127.0.0.1");
    assert!(!log.contains("s3cret"), "{log}");
}

#[test]
fn problems_at_the_start_are_entries_of_the_log_too() {
    let setup =
        Setup::with("rules:\n  A:\n    when: { webhook: /a }\n    then: [ { log: hi }, { leg: hi } ]\n").env("DOORBELL_LOG_FORMAT", "json");
    let out = setup.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(out.status.code(), Some(1));
    let all = entries(&String::from_utf8(out.stderr).unwrap());
    assert_eq!(
        (&all[0]["level"], &all[0]["fields"]["file"], &all[0]["fields"]["line"]),
        (&"error".into(), &"rules/rules.yaml".into(), &4.into())
    );
    assert_eq!(all.last().unwrap()["message"], "Doorbell did not start. Fix the problems above.");
    // So is what keeps it from starting.
    let setup = Setup::new().env("DOORBELL_LOG_FORMAT", "json");
    let out = setup.run(&["serve", "--rules", "missing", "--listen", "127.0.0.1:0"]);
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.code() != Some(0) && !entries(&stderr).is_empty(), "{stderr}");
}

#[test]
#[cfg(debug_assertions)]
fn a_crash_is_an_entry_of_the_log_too() {
    let setup = Setup::with("webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then: [ { log: hi } ]\n")
        .env("DOORBELL_PLANTED", "lease");
    let doorbell = setup.serve_with(&["--log", "json"]);
    until("it crashed", || doorbell.logged("Doorbell crashed: planted: Lease"));
    let crashed = |entry: &Value| entry["message"].as_str().unwrap().starts_with("Doorbell crashed");
    let log = doorbell.log.lock().unwrap().clone();
    assert!(entries(&log).iter().any(|entry| crashed(entry) && entry["fields"]["place"].as_str().unwrap().contains("planted.rs")), "{log}");
}
