//! Rules that change while Doorbell runs: whole, or not at all.

use std::process::Command;

use crate::world::{Target, World, json, until};

fn rule(name: &str, path: &str, word: &str) -> String {
    format!(
        "webhooks:\n  {path}: {{ verify: none }}\nrules:\n  {name}:\n    when: {{ webhook: {path} }}\n    then:\n      - append: out.log\n        text: {word}\n"
    )
}

#[test]
fn edits_are_taken_over_and_told() {
    let world = World::with(&rule("A", "/a", "one"));
    let doorbell = world.serve();
    doorbell.ring("/a", "{}");
    world.write("rules/rules.yaml", &rule("A", "/a", "two"));
    world.write("rules/sub/b.yml", &rule("B", "/b", "three"));
    until("both are in force", || doorbell.post("/b", "{}").status == 200);
    until("it is told", || doorbell.logged("rules reloaded: added `B`"));
    doorbell.ring("/a", "{}");
    std::fs::remove_file(world.path("rules/rules.yaml")).unwrap();
    until("A is gone", || doorbell.post("/a", "{}").status == 404);
    until("it is told", || doorbell.logged("removed `A`"));
    until("each rule has written its line", || {
        let written = world.output("out.log");
        ["one\n", "two\n", "three\n"].iter().all(|line| written.contains(line))
    });
}

#[test]
fn a_bad_edit_changes_nothing_and_is_shown_until_it_is_fixed() {
    let world = World::with(&rule("A", "/a", "good"));
    let doorbell = world.serve();
    world.write("rules/rules.yaml", "rules:\n  A:\n    whne: 1\n");
    until("it is told", || doorbell.logged("rules have problems after an edit; the old rules stay in use"));
    assert_eq!(doorbell.post("/a", "{}").status, 200);
    let health = || world.said(&["health", "--json", "--listen", &doorbell.address]);
    assert!(health().contains("did you mean `when`?"), "{}", health());
    // Strangers hear nothing of it: an edit may hold paths, addresses and secrets.
    let told = doorbell.send("GET", "/health", &[], b"");
    assert_eq!((told.status, told.body.as_str()), (200, r#"{"status":"ready"}"#));
    world.write("rules/rules.yaml", &rule("A", "/a", "mended"));
    until("it is mended", || health().contains(r#""problems":[]"#));
    doorbell.ring("/a", "{}");
    until("the new one runs", || world.output("out.log").ends_with("mended\n"));
}

#[test]
fn every_way_of_saving_is_seen() {
    let world = World::with(&rule("A", "/a", "0"));
    let doorbell = world.serve();
    let mut n = 0;
    let mut changed = |how: &dyn Fn(&str)| {
        n += 1;
        how(&rule("A", "/a", &n.to_string()));
        until("the edit is in force", || {
            doorbell.ring("/a", "{}");
            world.output("out.log").lines().last() == Some(&n.to_string())
        });
    };
    // An editor's atomic save, twice: a watch on the file itself would be dead after the first.
    for _ in 0..2 {
        changed(&|text| {
            world.write("rules/.tmp", text);
            std::fs::rename(world.path("rules/.tmp"), world.path("rules/rules.yaml")).unwrap();
        });
    }
    changed(&|text| world.write("rules/rules.yaml", text));
    // As Kubernetes mounts a folder: the files are links through `..data`, which is swapped, twice.
    changed(&|text| {
        std::fs::remove_file(world.path("rules/rules.yaml")).unwrap();
        world.write("rules/..one/rules.yaml", text);
        std::os::unix::fs::symlink("..one", world.path("rules/..data")).unwrap();
        std::os::unix::fs::symlink("..data/rules.yaml", world.path("rules/rules.yaml")).unwrap();
    });
    for folder in ["..two", "..three"] {
        changed(&|text| {
            world.write(&format!("rules/{folder}/rules.yaml"), text);
            std::os::unix::fs::symlink(folder, world.path("rules/..next")).unwrap();
            std::fs::rename(world.path("rules/..next"), world.path("rules/..data")).unwrap();
        });
    }
}

#[test]
fn a_run_of_an_old_rule_waits_for_a_secret_that_is_missing_and_takes_one_that_was_changed() {
    let target = Target::new(&[&json(400, "{}")]);
    let rules =
        |step: &str| format!("webhooks:\n  /a: {{ verify: none }}\nrules:\n  Call:\n    when: {{ webhook: /a }}\n    then: [ {step} ]\n",);
    let old = format!("{{ post: \"{}\", headers: {{ X-Key: \"{{{{ secret.KEY }}}}\" }} }}", target.url("/x"));
    let world = World::with(&rules(&old));
    world.write("key", "first-key-of-all");
    let world = world.env("KEY_FILE", "key");
    let doorbell = world.serve();
    let event = doorbell.ring("/a", "{}");
    until("it has failed", || world.said(&["failed"]).contains("1 failed run"));
    world.write("rules/rules.yaml", &rules("{ log: new }"));
    until("the new rule is in force", || doorbell.logged("changed `Call`"));
    let keys = || target.calls().iter().map(|c| c.header("x-key").to_owned()).collect::<Vec<_>>();
    // The file is gone for a moment: no fault of the run.
    std::fs::rename(world.path("key"), world.path("elsewhere")).unwrap();
    world.said(&["replay", &event]);
    let explained = || world.said(&["explain", &event]);
    until("it waits", || {
        let said = explained();
        said.contains("retry: the secret KEY is not set, which the rule of this run needs") && said.contains("waits until")
    });
    assert_eq!(keys(), ["first-key-of-all"]);
    std::fs::rename(world.path("elsewhere"), world.path("key")).unwrap();
    until("it is called again", || keys().len() == 2);
    until("it has failed again", || world.said(&["failed"]).contains("1 failed run"));
    // A secret that was changed is used, although no rule in force names it.
    world.write("key", "second-key-of-all");
    world.said(&["replay", &event]);
    until("it is called once more", || keys().len() == 3);
    assert_eq!(keys(), ["first-key-of-all", "first-key-of-all", "second-key-of-all"]);
}

#[test]
fn an_invisible_character_in_an_edit_is_a_problem_and_the_next_edit_is_seen() {
    let world = World::with(&rule("A", "/a", "one"));
    let doorbell = world.serve();
    world.write("rules/b.yaml", "rules:\n  B:\n    when: { webhook: /b }\n    if: { \u{a0}x: 1 }\n    then: [ log: hi ]\n");
    until("it is shown", || world.said(&["health", "--json", "--listen", &doorbell.address]).contains("`x` is not defined here"));
    world.write("rules/b.yaml", &rule("B", "/b", "two"));
    until("the next edit is in force", || doorbell.post("/b", "{}").status == 200);
}

#[test]
#[cfg_attr(not(has_user_namespaces), ignore = "needs `unshare` and a system that allows user namespaces")]
fn where_the_folder_cannot_be_watched_the_log_says_so_once_and_edits_are_still_taken_over() {
    // A user namespace has limits of its own, so that nobody else is without inotify meanwhile.
    let without = |command: &str| format!("echo 0 > /proc/sys/user/max_inotify_instances && {command}");
    let world = World::with(&rule("A", "/a", "one"));
    let mut command = Command::new("unshare");
    command.args([
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        &without("exec \"$0\" serve --listen 127.0.0.1:0"),
        env!("CARGO_BIN_EXE_doorbell"),
    ]);
    command.current_dir(world.dir.path());
    let doorbell = world.start(command);
    let warned = || doorbell.log.lock().unwrap().matches("cannot be watched").count();
    until("it is told", || warned() == 1);
    for path in ["/b", "/c"] {
        world.write("rules/b.yaml", &rule("B", path, "two"));
        until("the edit is in force", || doorbell.post(path, "{}").status == 200);
    }
    assert_eq!(warned(), 1);
}
