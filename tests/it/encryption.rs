//! With a data key, what senders, other apps and rules wrote is stored encrypted.

use std::path::Path;

use crate::harness::{Setup, Target, json, until};

const ONE: &str = "11112222333344445555666677778888999900001111222233334444aaaabbbb";
const TWO: &str = "eeee2222333344445555666677778888999900001111222233334444aaaabbbb";

/// Every byte below a folder.
fn everything(folder: &Path) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        all += &match path.is_dir() {
            true => everything(&path),
            false => String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).into_owned(),
        };
    }
    all
}

fn rules(target: &Target, private: bool) -> String {
    format!(
        "webhooks:\n  /a: {{ verify: none, private: {private}, delivery_id: body.id }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n      - get: {}\n        save_as: made\n      - log: \"from {{{{ body.name }}}}\"\n      - respond: 201\n        json: {{ hello: \"{{{{ body.name }}}}\" }}\n      - post: {}\n        json: {{ name: \"{{{{ made.body.word }}}}\" }}\n        tries: 1\n",
        target.url("/word"),
        target.url("/")
    )
}

#[test]
fn nothing_that_came_from_outside_is_stored_in_the_clear() {
    let target = Target::new(&[&json(200, r#"{"word": "saved-cleartext"}"#), &json(422, "error-cleartext"), &json(200, "{}")]);
    let setup = Setup::with(&rules(&target, true));
    setup.write("data.key", ONE);
    let key = ["--data-key", "data.key"];
    let with_key = |arguments: &[&str]| setup.printed(&[arguments, &key].concat());
    let doorbell = setup.serve_with(&key);
    let body = r#"{"id": 7, "name": "body-cleartext"}"#;
    let answer = doorbell.send("POST", "/a?q=query-cleartext", &[("x-some", "header-cleartext")], body.as_bytes());
    assert_eq!((answer.status, answer.body.as_str()), (201, r#"{"hello":"body-cleartext"}"#));
    let event = answer.header("doorbell-event").to_owned();
    until("it has failed", || with_key(&["failed"]).contains("answered 422: error-cleartext"));
    let again = doorbell.send("POST", "/a?q=query-cleartext", &[("x-some", "header-cleartext")], body.as_bytes());
    assert_eq!((again.status, again.body.as_str()), (201, r#"{"hello":"body-cleartext"}"#), "the stored answer");
    until("the redelivery has run", || with_key(&["explain", &event]).contains("✓ A  ran"));
    assert_eq!(target.calls()[2].body, r#"{"name":"saved-cleartext"}"#, "with what was saved");
    assert!(with_key(&["explain", &event]).contains("done: from body-cleartext"));
    with_key(&["backup", "copy.db"]);
    doorbell.kill();

    let stored = everything(&setup.path("data")) + &String::from_utf8_lossy(&std::fs::read(setup.path("copy.db")).unwrap());
    for text in ["body-cleartext", "query-cleartext", "header-cleartext", "saved-cleartext", "error-cleartext"] {
        assert!(!stored.contains(text), "{text}");
    }
    let no_key = "doorbell: the data in data is encrypted; give its key with --data-key FILE\n";
    assert_eq!(setup.printed(&["events"]), no_key);
    setup.write("other.key", TWO);
    let wrong = "doorbell: the data in data is encrypted with another key; give that key, too: --data-key NEW,OLD\n";
    assert_eq!(setup.printed(&["explain", &event, "--data-key", "other.key"]), wrong);

    // A new key, and the old one for what is there.
    let doorbell = setup.serve_with(&["--data-key", "other.key,data.key"]);
    doorbell.post("/a", r#"{"id": 8, "name": "new-cleartext"}"#);
    doorbell.stop();
    let said = setup.printed(&["explain", &event, "--data-key", "other.key,data.key"]);
    assert!(said.contains("done: from body-cleartext"), "{said}");
}

#[test]
fn a_run_whose_key_is_missing_fails_alone_and_can_be_replayed_with_the_key() {
    let app = crate::harness::ClosedPort::new();
    let url = format!("http://{}/", app.address());
    let step = format!("{{ post: \"{url}\", first_wait: 2 seconds }}");
    let setup = Setup::with(&format!(
        "webhooks:\n  /a: {{ verify: none }}\n  /b: {{ verify: none }}\nrules:\n  A: {{ when: {{ webhook: /a }}, then: [ {step} ] }}\n  B: {{ when: {{ webhook: /b }}, then: [ {{ append: b.txt, text: x }} ] }}\n"
    ));
    setup.write("old.key", ONE);
    setup.write("new.key", TWO);
    let doorbell = setup.serve_with(&["--data-key", "old.key"]);
    let event = doorbell.deliver("/a", "{}");
    until("it waits for its second try", || setup.printed(&["explain", &event, "--data-key", "old.key"]).contains("for try 2"));
    doorbell.kill();
    setup.serve_with(&["--data-key", "new.key,old.key"]).kill();
    // Without the old key, from which the waiting run still is.
    let doorbell = setup.serve_with(&["--data-key", "new.key"]);
    doorbell.deliver("/b", "{}");
    until("the other run is done", || setup.output("b.txt") == "x\n");
    until("the run has failed", || {
        setup.printed(&["failed", "--data-key", "new.key,old.key"]).contains("it was encrypted with another data key")
    });
    doorbell.stop();
    let both = ["--data-key", "new.key,old.key"];
    let doorbell = setup.serve_with(&both);
    setup.printed(&[&["replay", &event][..], &both].concat());
    until("it is called again", || setup.printed(&[&["explain", &event][..], &both].concat()).contains("waits until"));
    doorbell.stop();
}

#[test]
fn what_was_stored_before_there_was_a_key_can_still_be_read() {
    let target = Target::new(&[&json(200, r#"{"word": "x"}"#), &json(200, "{}")]);
    let setup = Setup::with(&rules(&target, false));
    let doorbell = setup.serve();
    let event = doorbell.post("/a?~q=1", r#"{"id": "~1", "name": "Ada"}"#).header("doorbell-event").to_owned();
    until("it has run", || setup.printed(&["explain", &event]).contains("✓ A  ran"));
    doorbell.stop();
    setup.write("data.key", ONE);
    let doorbell = setup.serve_with(&["--data-key", "data.key"]);
    assert!(setup.printed(&["explain", &event, "--data-key", "data.key"]).contains("done: from Ada"));
    doorbell.stop();
}

#[test]
fn a_private_address_needs_a_key() {
    let target = Target::new(&[&json(200, "{}")]);
    let setup = Setup::with(&rules(&target, true));
    let out = setup.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(out.status.code(), Some(1));
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(
        said.contains("error: this address is private, but there is no key to encrypt its events with\n  --> rules/rules.yaml:2:23"),
        "{said}"
    );
    assert_eq!(setup.run(&["check"]).status.code(), Some(0), "only `serve` stores anything");
    let out = setup.run(&["serve", "--listen", "127.0.0.1:0", "--data-key", "none.key"]);
    assert_eq!(String::from_utf8(out.stderr).unwrap(), "doorbell: the data key none.key cannot be read: it does not exist\n");
}

#[test]
fn a_secret_that_a_sender_hands_over_is_encrypted_and_found_again() {
    let setup = Setup::with(
        "webhooks:\n  /asana: { verify: { asana: \"{{ secret.ASANA }}\" } }\nrules:\n  A: { when: { webhook: /asana }, then: [ { log: x } ] }\n",
    );
    setup.write("data.key", ONE);
    let doorbell = setup.serve_with(&["--data-key", "data.key"]);
    let answer = doorbell.send("POST", "/asana", &[("x-hook-secret", "handed-over-cleartext")], b"");
    assert_eq!(answer.header("x-hook-secret"), "handed-over-cleartext");
    until("the rules are reloaded", || doorbell.logged("rules reloaded"));
    doorbell.stop();
    assert!(setup.path("data/secrets/ASANA").exists());
    assert!(!everything(&setup.path("data")).contains("handed-over"));
}
