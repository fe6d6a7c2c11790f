//! Rule files that change while Doorbell runs: an edit takes effect completely or not at all.

use std::process::Command;

use crate::harness::{Setup, Target, json, until};

fn rule(name: &str, path: &str, word: &str) -> String {
    format!(
        "webhooks:\n  {path}: {{ verify: none }}\nrules:\n  {name}:\n    when: {{ webhook: {path} }}\n    then:\n      - append: out.log\n        text: {word}\n"
    )
}

#[test]
fn edits_take_effect_and_are_logged() {
    let setup = Setup::with(&rule("A", "/a", "one"));
    let doorbell = setup.serve();
    doorbell.deliver("/a", "{}");
    setup.write("rules/rules.yaml", &rule("A", "/a", "two"));
    setup.write("rules/sub/b.yml", &rule("B", "/b", "three"));
    until("both are in force", || doorbell.post("/b", "{}").status == 200);
    until("it is logged", || doorbell.logged("rules reloaded: added `B`"));
    doorbell.deliver("/a", "{}");
    std::fs::remove_file(setup.path("rules/rules.yaml")).unwrap();
    until("A is removed", || doorbell.post("/a", "{}").status == 404);
    until("it is logged", || doorbell.logged("removed `A`"));
    until("each rule has written its line", || {
        let written = setup.output("out.log");
        ["one\n", "two\n", "three\n"].iter().all(|line| written.contains(line))
    });
}

#[test]
fn an_invalid_edit_changes_nothing_and_is_shown_until_it_is_fixed() {
    let setup = Setup::with(&rule("A", "/a", "good"));
    let doorbell = setup.serve();
    setup.write("rules/rules.yaml", &rule("A", "/a", "good").replace("when", "whne"));
    until("it is logged", || doorbell.logged("rules have problems after an edit; the old rules stay in use"));
    assert_eq!(doorbell.post("/a", "{}").status, 200);
    let health = || setup.printed(&["health", "--json", "--listen", &doorbell.address]);
    assert!(health().contains("did you mean `when`?"), "{}", health());
    // Others do not see the problem: it may contain paths, addresses and secrets.
    let told = doorbell.send("GET", "/health", &[], b"");
    assert_eq!((told.status, told.body.as_str()), (200, r#"{"status":"ready"}"#));
    setup.write("rules/rules.yaml", &rule("A", "/a", "fixed"));
    until("the problem is gone", || health().contains(r#""problems":[]"#));
    doorbell.deliver("/a", "{}");
    until("the new rule runs", || setup.output("out.log").ends_with("fixed\n"));
}

#[test]
fn every_way_of_saving_a_file_is_noticed() {
    let setup = Setup::with(&rule("A", "/a", "0"));
    let doorbell = setup.serve();
    let mut n = 0;
    let mut changed = |how: &dyn Fn(&str)| {
        n += 1;
        how(&rule("A", "/a", &n.to_string()));
        until("the edit is in force", || {
            doorbell.deliver("/a", "{}");
            setup.output("out.log").lines().last() == Some(&n.to_string())
        });
    };
    // Editors replace the file, here twice: a watch on the file itself would end after the first time.
    for _ in 0..2 {
        changed(&|text| {
            setup.write("rules/.tmp", text);
            std::fs::rename(setup.path("rules/.tmp"), setup.path("rules/rules.yaml")).unwrap();
        });
    }
    changed(&|text| setup.write("rules/rules.yaml", text));
    // Kubernetes mounts files as links through `..data`, and then swaps that link, here twice.
    changed(&|text| {
        std::fs::remove_file(setup.path("rules/rules.yaml")).unwrap();
        setup.write("rules/..one/rules.yaml", text);
        std::os::unix::fs::symlink("..one", setup.path("rules/..data")).unwrap();
        std::os::unix::fs::symlink("..data/rules.yaml", setup.path("rules/rules.yaml")).unwrap();
    });
    for folder in ["..two", "..three"] {
        changed(&|text| {
            setup.write(&format!("rules/{folder}/rules.yaml"), text);
            std::os::unix::fs::symlink(folder, setup.path("rules/..next")).unwrap();
            std::fs::rename(setup.path("rules/..next"), setup.path("rules/..data")).unwrap();
        });
    }
}

#[test]
fn a_run_of_an_old_rule_waits_for_a_missing_secret_and_uses_a_changed_one() {
    let target = Target::new(&[&json(400, "{}")]);
    let rules =
        |step: &str| format!("webhooks:\n  /a: {{ verify: none }}\nrules:\n  Call:\n    when: {{ webhook: /a }}\n    then: [ {step} ]\n",);
    let old = format!("{{ post: \"{}\", headers: {{ X-Key: \"{{{{ secret.KEY }}}}\" }} }}", target.url("/x"));
    let setup = Setup::with(&rules(&old));
    setup.write("key", "first-key-of-all");
    let setup = setup.env("KEY_FILE", "key");
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", "{}");
    until("it has failed", || setup.printed(&["failed"]).contains("1 failed run"));
    setup.write("rules/rules.yaml", &rules("{ log: new }"));
    until("the new rule is in force", || doorbell.logged("changed `Call`"));
    let keys = || target.calls().iter().map(|c| c.header("x-key").to_owned()).collect::<Vec<_>>();
    // A secret file that is missing for a moment does not fail the run.
    std::fs::rename(setup.path("key"), setup.path("elsewhere")).unwrap();
    setup.printed(&["replay", &event]);
    let explained = || setup.printed(&["explain", &event]);
    until("it waits", || {
        let said = explained();
        said.contains("retry: the secret KEY is not set, which the rule of this run needs") && said.contains("waits until")
    });
    assert_eq!(keys(), ["first-key-of-all"]);
    std::fs::rename(setup.path("elsewhere"), setup.path("key")).unwrap();
    until("it is called again", || keys().len() == 2);
    until("it has failed again", || setup.printed(&["failed"]).contains("1 failed run"));
    // A changed secret is used, even if no rule in force names it.
    setup.write("key", "second-key-of-all");
    setup.printed(&["replay", &event]);
    until("it is called once more", || keys().len() == 3);
    assert_eq!(keys(), ["first-key-of-all", "first-key-of-all", "second-key-of-all"]);
}

#[test]
fn an_invisible_character_in_an_edit_is_a_problem_and_the_next_edit_takes_effect() {
    let setup = Setup::with(&rule("A", "/a", "one"));
    let doorbell = setup.serve();
    setup.write("rules/b.yaml", "rules:\n  B:\n    when: { webhook: /b }\n    if: { \u{a0}x: 1 }\n    then: [ log: hi ]\n");
    until("it is shown", || setup.printed(&["health", "--json", "--listen", &doorbell.address]).contains("`x` is not defined here"));
    setup.write("rules/b.yaml", &rule("B", "/b", "two"));
    until("the next edit is in force", || doorbell.post("/b", "{}").status == 200);
}

#[test]
#[cfg_attr(not(has_user_namespaces), ignore = "needs `unshare` and a system that allows user namespaces")]
fn if_the_folder_cannot_be_watched_this_is_logged_once_and_edits_still_take_effect() {
    // A user namespace has its own limits, so no other process loses inotify.
    let without = |command: &str| format!("echo 0 > /proc/sys/user/max_inotify_instances && {command}");
    let setup = Setup::with(&rule("A", "/a", "one"));
    let mut command = Command::new("unshare");
    command.args([
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        &without("exec \"$0\" serve --listen 127.0.0.1:0"),
        env!("CARGO_BIN_EXE_doorbell"),
    ]);
    command.current_dir(setup.dir.path());
    let doorbell = setup.start(command);
    let warned = || doorbell.log.lock().unwrap().matches("cannot be watched").count();
    until("it is logged", || warned() == 1);
    for path in ["/b", "/c"] {
        setup.write("rules/b.yaml", &rule("B", path, "two"));
        until("the edit is in force", || doorbell.post(path, "{}").status == 200);
    }
    assert_eq!(warned(), 1);
}
