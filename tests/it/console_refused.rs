//! Requests that were refused, in the console: what was sent is kept only if the operator wants it, and then its signature can be
//! checked with one button.

use crate::harness::{Doorbell, Setup};

const RULES: &str = "webhooks:\n  /a/{shop}: { verify: { github: \"{{ secret.HOOK }}\" } }\nrules:\n  A:\n    when: { webhook: \"/a/{shop}\" }\n    then:\n      - log: x\n";
const SECRET: &str = "the-long-secret-of-github";

fn setup() -> Setup {
    Setup::with(RULES).env("HOOK", SECRET)
}

/// Sends something with a wrong signature; returns the id of the refusal.
fn denied(serving: &Doorbell, body: &str) -> String {
    let got = serving.send("POST", "/a/berlin?x=1", &[("x-hub-signature-256", "sha256=00"), ("x-other", "<b>")], body.as_bytes());
    assert_eq!(got.status, 401);
    got.header("doorbell-request").to_owned()
}

#[test]
fn what_was_sent_is_shown_and_checked_where_it_is_kept() {
    let setup = setup();
    let serving = setup.serve_with_console(&["--keep-refused", "bodies"]);
    let visitor = setup.visitor();
    let id = denied(&serving, &format!("{{\"text\": \"<script>\", \"copied\": \"{SECRET}\"}}\r\n"));
    assert!(visitor.get("/senders").body.contains(&format!("href=\"/events/{id}\"")));
    let page = visitor.get(&format!("/events/{id}")).body;
    assert!(page.contains("Check the signature") && page.contains("&lt;script&gt;") && page.contains("<th>x-other</th>"), "{page}");
    assert!(!page.contains(SECRET) && !page.contains("<script>") && page.contains("sha256=00"), "{page}");
    let page = visitor.submit("/senders", &[("refused", &id)]).body;
    let length = format!("{{\"text\": \"<script>\", \"copied\": \"{SECRET}\"}}\r\n").len();
    assert!(page.contains("Denied:") && page.contains(&format!("The content that has to be signed, {length} bytes")), "{page}");
    assert!(page.contains("x-hub-signature-256: sha256=00") && page.contains("<option value=\"/a/{shop}\" selected>"), "{page}");
    assert!(!page.contains(SECRET), "{page}");
    let large = denied(&serving, &"x".repeat(17 << 10));
    assert!(!visitor.get(&format!("/events/{large}")).body.contains("Check the signature"), "large ones are not kept");
    assert_eq!(visitor.submit("/senders", &[("refused", &large)]).status, 410);
    let data: String = ["refused.jsonl", "doorbell.db"]
        .iter()
        .map(|file| String::from_utf8_lossy(&std::fs::read(setup.path("data").join(file)).unwrap()).into_owned())
        .collect();
    assert!(!data.contains("<script>"), "nothing of it is on the disk");
}

#[test]
fn nothing_is_kept_unless_the_operator_wants_it_and_shown_where_bodies_are_hidden() {
    let setup = setup();
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let id = denied(&serving, "{}");
    assert!(!visitor.get(&format!("/events/{id}")).body.contains("Check the signature"));
    drop(serving);
    let serving = setup.serve_with_console(&["--keep-refused", "bodies", "--console-hide-bodies"]);
    let visitor = setup.visitor();
    let id = denied(&serving, "{}");
    assert!(!visitor.get(&format!("/events/{id}")).body.contains("Check the signature"));
    assert_eq!(visitor.submit("/senders", &[("refused", &id)]).status, 403);
}
