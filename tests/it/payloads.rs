//! Real webhook bodies, where they are at hand: every one is taken, matched and written out again.

use crate::world::{World, home, until};

#[test]
fn real_github_bodies_are_taken_and_come_out_whole() {
    let folder = home().join("../shared/data/payloads/github");
    if !folder.exists() {
        println!("left out: the payloads are not on this machine");
        return;
    }
    let world = World::with(
        "webhooks:\n  /github: { verify: none, max_body: 25 MB }\nrules:\n  All:\n    when: { webhook: /github }\n    then:\n      - append: all.jsonl\n        json: \"{{ body }}\"\n",
    );
    let doorbell = world.serve();
    let mut sent = Vec::new();
    for event in std::fs::read_dir(folder).unwrap().flatten().filter(|e| e.path().is_dir()) {
        for file in std::fs::read_dir(event.path()).unwrap().flatten() {
            let body = std::fs::read_to_string(file.path()).unwrap();
            doorbell.ring("/github", &body);
            sent.push(serde_json::from_str::<serde_json::Value>(&body).unwrap().to_string());
        }
    }
    until("all are written", || world.output("all.jsonl").lines().count() == sent.len());
    let mut written: Vec<String> = world.output("all.jsonl").lines().map(str::to_owned).collect();
    written.sort();
    sent.sort();
    assert!(written == sent && sent.len() > 200);
}
