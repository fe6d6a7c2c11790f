//! Rules that change while Doorbell runs: whole, or not at all.

use crate::world::{World, until};

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
    until("it is told", || doorbell.logged("rules loaded anew: added `B`"));
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
fn a_bad_edit_changes_nothing_and_is_shown_until_it_is_mended() {
    let world = World::with(&rule("A", "/a", "good"));
    let doorbell = world.serve();
    world.write("rules/rules.yaml", "rules:\n  A:\n    whne: 1\n");
    until("it is told", || doorbell.logged("the rules were changed and have problems; the old ones stay in force"));
    assert_eq!(doorbell.post("/a", "{}").status, 200);
    let health = doorbell.send("GET", "/health", &[], b"");
    assert!(health.status == 200 && health.body.contains("did you mean `when`?"), "{health:?}");
    world.write("rules/rules.yaml", &rule("A", "/a", "mended"));
    until("it is mended", || doorbell.send("GET", "/health", &[], b"").body.contains(r#""problems":[]"#));
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
