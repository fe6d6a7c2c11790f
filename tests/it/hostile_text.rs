//! Text from outside that tries to command the terminal, or to look like lines that Doorbell wrote.

use crate::harness::{Setup, Target, json, until};

const RULES: &str = r#"
webhooks:
  "/e/{name}": { verify: none }
rules:
  "A\e[31m\n  ✓ B":
    when: { webhook: "/e/{name}" }
    then:
      - log: "{{ path.name }} {{ body.text }}"
      - name: "\e]0;title\a"
        post: "URL"
"#;

fn is_harmless(c: char) -> bool {
    c == '\n' || !(c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
}

#[test]
fn nothing_from_outside_commands_the_terminal_or_adds_a_line() {
    let evil = "\u{1b}[2J\u{9b}31m\u{202e}\u{2066}\u{7}";
    let forged = "\n2030-01-01T00:00:00Z  INFO forged\n  ✓ forged  ran";
    let target = Target::new(&[&json(422, &format!("{evil}{forged}"))]);
    let setup = Setup::with(&RULES.replace("URL", &target.url("/")));
    let doorbell = setup.serve();
    let path = "/e/%1b%5b2J%0a2030%E2%80%AE";
    let got = doorbell.post(path, &serde_json::json!({ "text": format!("{evil}{forged}") }).to_string());
    let event = got.header("doorbell-event").to_owned();
    until("it has failed", || setup.printed(&["failed"]).contains("1 failed run"));
    let rejected = doorbell.send("POST", &format!("/none{path}"), &[("user-agent", "x\u{9b}")], b"").header("doorbell-request").to_owned();
    setup.write("order.json", &serde_json::json!({ "text": evil }).to_string());
    setup.write("rules/bad.yaml", "rules:\n  \"\\e[1m\": { when: { webhook: \"\u{202e}\" }, then: [] }\n");
    for arguments in [
        &["explain", &event][..],
        &["explain", &rejected],
        &["events"],
        &["failed"],
        &["try", "order.json", "--path", "/e/x"],
        &["check"],
        &["check", "--format", "json"],
    ] {
        let said = setup.printed(arguments);
        assert!(said.chars().all(is_harmless), "{arguments:?} {said:?}");
        assert!(!said.lines().any(|line| line.trim_start().starts_with("✓ forged") || line.starts_with("2030")), "{arguments:?} {said}");
    }
    let log = doorbell.log.lock().unwrap().clone();
    assert!(log.contains("forged") && log.contains('␛'), "{log}");
    assert!(log.chars().all(is_harmless), "{log:?}");
    assert!(!log.lines().any(|line| line.starts_with("2030")), "{log}");
}
