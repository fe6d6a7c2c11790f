//! Real webhook bodies, from the npm package @octokit/webhooks-examples: each is accepted, matched and written to a file.

use serde_json::Value;

use crate::harness::{Setup, unable, until};

#[test]
#[cfg_attr(not(has_payloads), ignore = "needs the file api.github.com/index.json of @octokit/webhooks-examples; GITHUB_PAYLOADS names it")]
fn real_github_bodies_are_accepted_and_written_out_unchanged() {
    let file = std::env::var("GITHUB_PAYLOADS").unwrap_or_else(|_| unable("has_payloads", "GITHUB_PAYLOADS names no file"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|e| unable("has_payloads", &format!("{file} cannot be read: {e}")));
    let events: Vec<Value> = serde_json::from_str(&text).unwrap();
    let setup = Setup::with(
        "webhooks:\n  /github: { verify: none, max_body: 25 MB }\nrules:\n  All:\n    when: { webhook: /github }\n    then:\n      - append: all.jsonl\n        json: \"{{ body }}\"\n",
    );
    let doorbell = setup.serve();
    let mut sent = Vec::new();
    for body in events.iter().flat_map(|event| event["examples"].as_array().unwrap()) {
        // Sent with spaces and line breaks, and written without them.
        doorbell.deliver("/github", &format!("{body:#}"));
        sent.push(body.to_string());
    }
    until("all are written", || setup.output("all.jsonl").lines().count() == sent.len());
    let mut written: Vec<String> = setup.output("all.jsonl").lines().map(str::to_owned).collect();
    written.sort();
    sent.sort();
    assert!(written == sent && sent.len() > 200);
}
