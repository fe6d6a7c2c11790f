//! Secrets: they are used, and never printed, logged or saved.

use base64::Engine as _;

use crate::harness::{Doorbell, Setup, Target, json, until};

fn rules(step: &str) -> String {
    format!("webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n{step}")
}

/// Everything that Doorbell has written: its data and its log.
fn written(setup: &Setup, doorbell: Doorbell) -> String {
    let log = doorbell.log.lock().unwrap().clone();
    doorbell.stop();
    let files = ["data/doorbell.db", "data/doorbell.db-wal", "data/refused.jsonl"];
    files.iter().fold(log, |all, file| all + &String::from_utf8_lossy(&std::fs::read(setup.path(file)).unwrap_or_default()))
}

#[test]
fn the_secret_that_a_sender_sends_is_not_saved() {
    for (verify, path, header) in [
        ("bearer: \"{{ secret.KEY }}\"", "/a?x=1", ("authorization", "Bearer s3cret-t0ken")),
        ("token: { header: X-Key, value: \"{{ secret.KEY }}\" }", "/a?x=1", ("x-key", "s3cret-t0ken")),
        ("gitlab: \"{{ secret.KEY }}\"", "/a?x=1", ("x-gitlab-token", "s3cret-t0ken")),
        (
            "custom: { secret: \"{{ secret.KEY }}\", algorithm: equals, signature: { from: \"query:key\", encoding: text } }",
            "/a?key=s3cret-t0ken&x=1",
            ("x-other", "1"),
        ),
    ] {
        let setup = Setup::with(&format!(
            "webhooks:\n  /a: {{ verify: {{ {verify} }} }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then: [ {{ append: seen.txt, text: \"{{{{ query.x }}}} {{{{ json header }}}} {{{{ json query }}}}\" }} ]\n"
        ))
        .env("KEY", "s3cret-t0ken");
        let doorbell = setup.serve();
        let got = doorbell.send("POST", path, &[header], b"{}");
        assert_eq!(got.status, 200, "{verify}");
        until("it is written", || !setup.output("seen.txt").is_empty());
        let shown = setup.output("seen.txt") + &setup.printed(&["explain", got.header("doorbell-event")]);
        let all = shown + &written(&setup, doorbell);
        assert!(all.contains("***") && !all.contains("s3cret-t0ken"), "{verify}: {all}");
    }
}

#[test]
fn secrets_are_never_printed_logged_or_saved() {
    let secret = "s3cret/with+signs";
    let target = Target::new(&[&json(400, &format!(r#"{{"you sent": "{secret}"}}"#))]);
    let setup = Setup::with(&rules(&format!("      - log: \"key {{{{ secret.KEY }}}}\"\n      - post: {}/{{{{ secret.KEY }}}}\n        json: {{ key: \"{{{{ secret.KEY }}}}\" }}\n", target.url("")))).env("KEY", secret);
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", "{}");
    until("it has failed", || setup.printed(&["failed"]).contains("1 failed run"));
    assert_eq!(target.calls()[0].line, "POST /s3cret%2Fwith+signs HTTP/1.1");
    setup.write("order.json", "{}");
    let shown = setup.printed(&["failed"]) + &setup.printed(&["explain", &event]) + &setup.printed(&["try", "order.json", "--path", "/a"]);
    let all = shown + &written(&setup, doorbell);
    assert!(all.contains("***") && !all.contains(secret) && !all.contains("s3cret%2Fwith"), "{all}");
}

#[test]
fn an_answer_that_repeats_a_secret_is_used_and_saved_without_it() {
    let (secret, password) = ("Zx&<9>\"q/é+w ord%7", "hunter2");
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("me:{password}"));
    let hex: String = secret.bytes().map(|b| format!("{b:02x}")).collect();
    let quoted = serde_json::to_string(secret).unwrap();
    let answer = format!(r#"{{"id": 7, "key": {quoted}, "{password}": ["Basic {basic}", "{hex}"]}}"#);
    let target = Target::new(&[&json(200, &answer)]);
    let setup = Setup::with(&rules(&format!(
        "      - post: {}\n        json: {{ key: \"{{{{ secret.KEY }}}}\" }}\n        auth: {{ basic: {{ user: me, password: \"{{{{ secret.PASSWORD }}}}\" }} }}\n        save_as: made\n      - append: made.log\n        text: \"{{{{ made.body.id }}}} {{{{ json made.body }}}}\"\n",
        target.url("/")
    )))
    .env("KEY", secret)
    .env("PASSWORD", password);
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", "{}");
    until("it is written", || !setup.output("made.log").is_empty());
    assert_eq!(setup.output("made.log"), "7 {\"id\":7,\"key\":\"***\",\"***\":[\"Basic bWU6***==\",\"***\"]}\n");
    assert_eq!(target.calls()[0].header("authorization"), format!("Basic {basic}"), "what is sent is not changed");
    let all = setup.printed(&["explain", &event]) + &written(&setup, doorbell);
    for text in [secret, &quoted[1..], password, &basic, &hex] {
        assert!(!all.contains(text), "{text}");
    }
}

#[test]
fn an_error_is_cut_after_its_secrets_are_masked() {
    let secret = "a-rather-long-secret-of-40-letters-or-so";
    let pads = 900..1000;
    let answers: Vec<String> = pads.clone().step_by(7).map(|n| json(422, &format!("{} {secret} end", "x".repeat(n)))).collect();
    let target = Target::new(&answers.iter().map(String::as_str).collect::<Vec<_>>());
    let step = format!("      - post: {}\n        auth: {{ bearer: \"{{{{ secret.KEY }}}}\" }}\n", target.url("/"));
    let setup = Setup::with(&rules(&step)).env("KEY", secret);
    let doorbell = setup.serve();
    let mut shown = String::new();
    for _ in pads.step_by(7) {
        let event = doorbell.deliver("/a", "{}");
        until("it has failed", || setup.printed(&["explain", &event]).contains("✗ A  failed"));
        shown += &setup.printed(&["explain", &event]);
    }
    let all = shown + &written(&setup, doorbell);
    assert!(all.contains("x *** end") && all.contains("xx…"), "{all}");
    assert!(!all.contains(&secret[..6]), "{all}");
}

#[test]
fn the_lines_of_a_secret_are_masked_one_by_one() {
    let secret = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\n9w0BAQEFAASCBKcwggSj\n-----END KEY-----";
    let target = Target::new(&[&json(422, "{\"line\": \"9w0BAQEFAASCBKcwggSj\"}")]);
    let setup =
        Setup::with(&rules(&format!("      - log: \"key {{{{ secret.KEY }}}}\"\n      - post: {}\n", target.url("/")))).env("KEY", secret);
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", "{}");
    until("it has failed", || setup.printed(&["explain", &event]).contains("✗ A  failed"));
    let shown = setup.printed(&["explain", &event]);
    assert!(shown.contains("done: key ***\n") && shown.contains(r#"answered 422: {"line": "***"}"#), "{shown}");
    let all = shown + &written(&setup, doorbell);
    assert!(!all.contains("MIIEvQ") && !all.contains("9w0BAQ"), "{all}");
}

#[test]
fn check_warns_about_a_short_secret_once() {
    let step = "      - log: \"{{ secret.KEY }}\"\n      - log: \"{{ secret.KEY }}\"\n";
    let setup = Setup::with(&rules(step)).env("KEY", "1234567");
    let said = setup.printed(&["check"]);
    assert_eq!(said.matches("warning: the secret KEY is shorter than 8 characters").count(), 1, "{said}");
    let setup = Setup::with(&rules(step)).env("KEY", "12345678");
    assert!(!setup.printed(&["check"]).contains("shorter"));
}

#[test]
fn a_secret_may_have_16_kb() {
    let step = "      - log: \"{{ secret.KEY }}\"\n";
    let check = |length: usize| {
        let setup = Setup::with(&rules(step)).env("KEY", &"é".repeat(length / 2));
        (setup.run(&["check"]).status.code(), setup.printed(&["check"]))
    };
    assert_eq!(check(16 << 10).0, Some(0));
    let (code, said) = check((16 << 10) + 2);
    assert!(code == Some(1) && said.contains("error: the secret KEY has more than 16 KB"), "{said}");
}
