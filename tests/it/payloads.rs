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

#[test]
fn known_github_signatures_are_judged_as_they_should_be() {
    let file = home().join("../shared/data/signatures/vectors.json");
    let Ok(text) = std::fs::read_to_string(file) else {
        println!("left out: the signatures are not on this machine");
        return;
    };
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    let list = all["signatures"].as_array().unwrap();
    let mut count = 0;
    for vector in list.iter().filter(|v| v["provider"] == "github") {
        use std::fmt::Write as _;
        let Some(secret) = vector["secret"].as_str() else { continue };
        let world = World::with("webhooks:\n  /github: { verify: { github: \"{{ secret.HOOK }}\" } }\nrules:\n  All:\n    when: { webhook: /github }\n    then: [ log: hi ]\n").env("HOOK", secret);
        let doorbell = world.serve();
        let body = decode(vector["body_b64"].as_str().unwrap());
        let mut head = format!("POST /github HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in vector["headers"].as_object().unwrap() {
            let _ = write!(head, "{name}: {}\r\n", value.as_str().unwrap());
        }
        let got = crate::world::read_answer(&doorbell.raw(&[head.as_bytes(), b"\r\n", &body].concat()));
        let accepted = got.status != 401;
        assert_eq!(accepted, vector["expect"] == "accept", "{vector:#}");
        count += 1;
    }
    assert!(count > 0, "no vector of GitHub was found");
}

/// Base64, without a library.
fn decode(text: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut out, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for byte in text.bytes().filter(|b| *b != b'=') {
        bits = bits << 6 | alphabet.iter().position(|a| *a == byte).unwrap() as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}
