//! Files that are not what Doorbell expects: in the rules folder, as secrets, and as rule files that cost as much as they can.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::harness::{Setup, until};

const RULE: &str = "webhooks: { /a: { verify: none } }\nrules: { A: { when: { webhook: /a }, then: [ log: x ] } }\n";

fn pipe(setup: &Setup, name: &str) {
    assert!(Command::new("mkfifo").arg(setup.path(name)).status().unwrap().success());
}

#[test]
fn a_pipe_in_the_rules_folder_is_a_problem_that_ends_when_it_is_removed() {
    let setup = Setup::with(RULE);
    let doorbell = setup.serve();
    let health = || setup.printed(&["health", "--json", "--listen", &doorbell.address]);
    pipe(&setup, "rules/b.yaml");
    until("it is shown", || health().contains("this is not a file, but a named pipe"));
    let said = setup.printed(&["check"]);
    assert!(said.starts_with("error: this is not a file, but a named pipe\n  --> rules/b.yaml\n"), "{said}");
    setup.write("rules/c.yaml", &RULE.replace("/a", "/c").replace(" A:", " C:"));
    fs::remove_file(setup.path("rules/b.yaml")).unwrap();
    until("the next edit is in force", || doorbell.post("/c", "{}").status == 200);
    doorbell.stop();
}

#[test]
fn a_link_to_the_whole_disk_is_not_followed() {
    let setup = Setup::with(RULE);
    symlink("/", setup.path("rules/disk")).unwrap();
    let doorbell = setup.serve();
    let said = setup.printed(&["check"]);
    assert!(said.contains("this link leads to a folder that contains the rules folder, so it is not followed"), "{said}");
    setup.write("rules/sub/c.yaml", &RULE.replace("/a", "/c").replace(" A:", " C:"));
    until("an edit is in force", || doorbell.post("/c", "{}").status == 200);
    doorbell.stop();
}

#[test]
fn a_secret_that_cannot_be_read_to_its_end_is_shown_and_does_not_keep_doorbell_from_stopping() {
    let setup = Setup::with(&RULE.replace("log: x", "log: \"{{ secret.KEY }}\"")).env("KEY_FILE", "key");
    setup.write("key", "the-secret-itself");
    let doorbell = setup.serve();
    fs::remove_file(setup.path("key")).unwrap();
    // Nobody writes to it, so reading it never ends.
    pipe(&setup, "key");
    until("it is shown", || {
        let health = setup.printed(&["health", "--json", "--listen", &doorbell.address]);
        health.contains("the rules and secrets could not be read within 20 seconds")
    });
    doorbell.deliver("/a", "{}");
    doorbell.stop();
}

#[test]
fn a_device_is_neither_a_secret_nor_an_env_file_nor_a_body() {
    let setup = Setup::with(&RULE.replace("log: x", "log: \"{{ secret.KEY }}\"")).env("KEY_FILE", "/dev/zero");
    assert!(setup.printed(&["check"]).contains("the secret KEY is not set"), "{}", setup.printed(&["check"]));
    for arguments in [["check", "--env-file", "/dev/zero"], ["try", "/dev/zero", "--path=/a"]] {
        let said = setup.printed(&arguments);
        assert!(said.contains("it is larger than"), "{arguments:?}: {said}");
    }
}

#[test]
fn rule_files_that_are_costly_to_check_are_reported_within_their_limits() {
    let rules = |n: usize| (0..n).map(|n| format!("  R{n}: {{ when: {{ webhook: /a{n} }}, then: [ log: x ] }}\n")).collect::<String>();
    let long = "x".repeat(1 << 20);
    for (text, said) in [
        (format!("rules:\n  A:\n    set:\n{}", "      k: 1\n".repeat(20_000)), "error: `k` is written twice\n"),
        (format!("rules:\n{}", "  A: 1\n".repeat(20_000)), "error: `A` is written twice\n"),
        (format!("rules:\n{}", (0..20_000).map(|n| format!("  A{n}:\n")).collect::<String>()), "error: this key has no value\n"),
        (format!("a: {}", "[".repeat(100_000)), "error: this is nested too deeply\n"),
        (format!("rules:\n{}", rules(20_001)), "error: there are more than 20,000 rules in all files\n"),
        (
            format!("webhooks:\n{}rules: {{}}\n", (0..20_001).map(|n| format!("  /a{n}: {{ verify: none }}\n")).collect::<String>()),
            "error: there are more than 20,000 addresses in all files\n",
        ),
        (format!("rules: {{ A: {{ when: {{ webhook: {long} }}, then: [ log: x ] }} }}\n"), "error: an address begins with a slash\n"),
        (format!("a: \"\\q{long}\"\n"), "error: in double quotes, `\\` begins an escape sequence"),
    ] {
        let setup = Setup::with(&text);
        let out = setup.run(&["check"]);
        let printed = String::from_utf8(out.stdout).unwrap();
        assert_eq!(out.status.code(), Some(1), "{printed}");
        assert!(printed.contains(said), "{printed}");
        assert!(printed.len() < 200_000, "{} bytes are printed", printed.len());
    }
}
