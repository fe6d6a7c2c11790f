//! `email:`, with a real server: what arrives, what is tried again, and what is not.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::harness::{ClosedPort, Setup, project_folder, unable, until};

/// A running server; killed when this value is dropped.
struct Server {
    child: Child,
    port: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Messages are written to `mails.jsonl` in the folder of the test.
    fn start(setup: &Setup, mode: &str) -> Self {
        let key = |part: &str| project_folder().join(format!("tests/keys/rsa.{part}.pem")).display().to_string();
        let mut command = Command::new("/usr/bin/python3");
        command.arg(project_folder().join("tests/smtp_server.py")).arg(mode).arg(setup.path("mails.jsonl"));
        if mode != "plain" {
            command.args([key("cert"), key("key")]);
        }
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.unwrap_or_else(|e| unable("has_smtp_server", &format!("python3 cannot be started: {e}")));
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { child, port: port.trim().to_owned() }
    }
}

const STEP: &str = "      - email: \"{{ body.to }}\"\n        first_wait: 50 milliseconds\n        subject: \"{{ body.subject }}\"\n        text: \"Hello {{ body.name }}\"\n        using: mail\n        save_as: mail\n      - append: sent.log\n        text: \"{{ mail.id }}\"\n";

/// A rule with these steps, and a connection.
fn with_steps(smtp: &str, more: &str, steps: &str) -> Setup {
    let setup = Setup::new();
    rules(&setup, smtp, more, steps);
    setup
}

fn rules(setup: &Setup, smtp: &str, more: &str, steps: &str) {
    // Connections may be in another file.
    setup.write(
        "rules/connections.yaml",
        &format!("connections:\n  mail: {{ smtp: \"{smtp}\", from: \"Café, Shop <shop@example.com>\"{more} }}\n"),
    );
    setup.write(
        "rules/rules.yaml",
        &format!("webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n{steps}"),
    );
}

fn mails(setup: &Setup) -> Vec<Value> {
    let text = std::fs::read_to_string(setup.path("mails.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn body(to: &Value, subject: &str) -> String {
    json!({ "to": to, "subject": subject, "name": "Ada\r\n.\r\nRCPT TO:<eve@evil.example>" }).to_string()
}

/// What a run says once it has ended.
fn said(setup: &Setup, event: &str) -> String {
    let mut said = String::new();
    until("the run has ended", || {
        said = setup.printed(&["explain", event]);
        ["✓ A", "✗ A", "failed: "].iter().any(|end| said.contains(end)) && !said.contains("… A")
    });
    said
}

#[test]
#[cfg_attr(not(has_smtp_server), ignore = "needs aiosmtpd: apt-get install python3-aiosmtpd")]
fn a_message_arrives_with_everything_that_the_rule_says_and_nothing_else() {
    let setup = Setup::new();
    let server = Server::start(&setup, "plain");
    let steps = "      - append: log.csv\n        text: a,b\n      - email: [\"{{ body.name }} <{{ body.to }}>\", bob@example.com]\n        cc: Carol <carol@example.com>\n        bcc: \"{{ body.hidden }}\"\n        reply_to: \"{{ body.to }}\"\n        subject: \"Grüße, {{ body.subject }}\"\n        text: \"Hello {{ body.name }}\\n.\\nbye\"\n        html: \"<p>Hello {{ body.name }}</p>\"\n        attach: [log.csv, { base64: \"{{ body.photo.base64 }}\", name: \"{{ body.photo.name }}\" }]\n        using: mail\n        save_as: mail\n      - log: \"{{ mail.id }}\"\n";
    rules(&setup, &format!("smtp://127.0.0.1:{}", server.port), ", tls: none", steps);
    let doorbell = setup.serve();
    let sent = json!({
        "to": "ada@example.com", "name": "Ada <b>", "hidden": ["dan@example.com"], "subject": "A-1\r\nBcc: eve@evil.example",
        "photo": { "base64": "iVBORw", "name": "c:\\photos\\né\"w.png" },
    });
    // A name that could end the name is refused.
    let event = doorbell.deliver("/a", &sent.to_string());
    assert!(said(&setup, &event).contains("`Ada <b> <ada@example.com>` is not one e-mail address"), "{}", said(&setup, &event));
    let sent = sent.to_string().replace("Ada <b>", "Ada & Co");
    let event = doorbell.deliver("/a", &sent);
    let shown = said(&setup, &event);
    assert!(
        shown.contains("done: sent to Ada & Co <ada@example.com>, bob@example.com, Carol <carol@example.com>, dan@example.com using mail"),
        "{shown}"
    );
    let mails = mails(&setup);
    assert_eq!(mails.len(), 1);
    let mail = &mails[0];
    assert_eq!(mail["from"], "shop@example.com");
    assert_eq!(mail["to"], json!(["ada@example.com", "bob@example.com", "carol@example.com", "dan@example.com"]));
    let header = |name: &str| mail["headers"][name].as_str().unwrap_or("").to_owned();
    assert_eq!(header("subject"), "Grüße, A-1  Bcc: eve@evil.example");
    assert_eq!(header("from"), "\"Café, Shop\" <shop@example.com>");
    assert_eq!(header("to"), "Ada & Co <ada@example.com>, bob@example.com");
    assert_eq!([header("cc"), header("bcc"), header("reply-to")], ["Carol <carol@example.com>", "", "ada@example.com"]);
    assert_eq!(header("auto-submitted"), "auto-generated");
    assert!(!header("date").is_empty() && header("message-id").ends_with("@example.com>"), "{mail}");
    assert!(shown.contains(header("message-id").trim_matches(['<', '>'])), "{shown}");
    assert_eq!(mail["kinds"], json!(["multipart/mixed", "multipart/alternative"]));
    let parts: Vec<(&str, &str, &str)> = mail["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| (part["type"].as_str().unwrap(), part["name"].as_str().unwrap_or(""), part["content"].as_str().unwrap()))
        .collect();
    assert_eq!(parts[0], ("text/plain", "", "Hello Ada & Co\r\n.\r\nbye"));
    assert_eq!((parts[1].0, parts[1].2.trim_end()), ("text/html", "<p>Hello Ada &amp; Co</p>"));
    assert_eq!((parts[2].0, parts[2].1, parts[2].2.trim_end()), ("text/csv", "log.csv", "a,b\na,b"));
    assert_eq!(parts[3], ("image/png", "né\"w.png", "89504e47"));
}

#[test]
#[cfg_attr(not(has_smtp_server), ignore = "needs aiosmtpd: apt-get install python3-aiosmtpd")]
fn what_the_server_defers_is_tried_again_with_the_same_id_and_what_it_refuses_is_not() {
    let setup = Setup::new();
    let server = Server::start(&setup, "plain");
    rules(&setup, &format!("smtp://127.0.0.1:{}", server.port), ", tls: none", STEP);
    let doorbell = setup.serve();
    let send = |to: Value, subject: &str| said(&setup, &doorbell.deliver("/a", &body(&to, subject)));
    // Nobody gets a message of which one recipient can only get it later, until all can.
    let shown = send(json!(["ada@example.com", "later@example.com"]), "one");
    assert!(shown.contains("451") && shown.contains("✓ A"), "{shown}");
    assert_eq!(mails(&setup).len(), 1);
    assert_eq!(mails(&setup)[0]["parts"][0]["content"].as_str().unwrap().trim_end(), "Hello Ada\r\n.\r\nRCPT TO:<eve@evil.example>");
    assert!(send(json!("ada@example.com"), "busy").contains("✓ A"));
    // The server took it and its answer was lost: it comes again, and can be recognised.
    assert!(send(json!("ada@example.com"), "lost").contains("✓ A"));
    let all = mails(&setup);
    let lost: Vec<&Value> = all.iter().filter(|mail| mail["headers"]["subject"] == "lost").collect();
    assert_eq!((lost.len(), &lost[0]["headers"]["message-id"]), (2, &lost[1]["headers"]["message-id"]));
    assert_eq!(all.len(), 4);
    let shown = send(json!("ada@example.com"), "spam");
    assert!(shown.contains("failed: mail: the server answered 554"), "{shown}");
    let shown = send(json!("refused@example.com"), "two");
    assert!(shown.contains("failed: mail: the server refused refused@example.com (550)"), "{shown}");
    let shown = send(json!(["refused@example.com", "ada@example.com"]), "three");
    assert!(shown.contains("failed: mail: the server refused refused@example.com (550); 1 other got the message"), "{shown}");
    assert_eq!(mails(&setup).len(), 5);
    for (to, why) in [
        (json!("a@x.example, eve@evil.example"), "`a@x.example, eve@evil.example` is not one e-mail address"),
        (json!("a@x.example>\r\nRCPT TO:<eve@evil.example"), "is not one e-mail address"),
        (json!(null), "there is nobody to send it to"),
        (json!([]), "there is nobody to send it to"),
    ] {
        let shown = send(to, "four");
        assert!(shown.contains(why), "{shown}");
    }
    assert_eq!(mails(&setup).len(), 5);
}

#[test]
#[cfg_attr(not(has_smtp_server), ignore = "needs aiosmtpd: apt-get install python3-aiosmtpd")]
fn a_connection_is_encrypted_and_logged_in_and_its_password_is_never_shown() {
    for (mode, scheme) in [("starttls", "smtp"), ("tls", "smtps")] {
        let login = ", user: shop, password: \"{{ secret.MAIL }}\"";
        let setup = Setup::new().env("MAIL", "p@ss word");
        let server = Server::start(&setup, mode);
        rules(&setup, &format!("{scheme}://localhost:{}", server.port), login, STEP);
        std::fs::copy(project_folder().join("tests/keys/rsa.cert.pem"), setup.path("ca.pem")).unwrap();
        // Without this certificate, the server is not trusted.
        let options = ["connections", "--online", "--allow-host", "localhost"];
        let out = setup.run(&options);
        let shown = String::from_utf8(out.stdout).unwrap();
        assert!(!out.status.success() && shown.contains("does not work: ") && shown.contains("ertificate"), "{shown}");
        let out = setup.run(&[&options[..], &["--ca-file", "ca.pem"]].concat());
        let shown = String::from_utf8(out.stdout).unwrap();
        assert_eq!(shown, format!("mail  e-mail (SMTP) at localhost:{}\n  used by: A\n  works\n\n", server.port));
        assert!(out.status.success());
        let check = setup.printed(&["check", "--online", "--allow-host", "localhost", "--ca-file", "ca.pem"]);
        assert!(check.ends_with(&format!("The connection `mail` (localhost:{}) works\n", server.port)), "{check}");
        let doorbell = setup.serve_with(&["--allow-host", "localhost", "--ca-file", "ca.pem"]);
        let event = doorbell.deliver("/a", &body(&json!("ada@example.com"), "one"));
        assert!(said(&setup, &event).contains("✓ A"), "{}", said(&setup, &event));
        assert_eq!(mails(&setup)[0]["is_encrypted"], true);
        drop(doorbell);
        // A wrong password is not tried again, and not shown.
        let setup = setup.env("MAIL", "other w0rd");
        let doorbell = setup.serve_with(&["--allow-host", "localhost", "--ca-file", "ca.pem"]);
        let event = doorbell.deliver("/a", &body(&json!("ada@example.com"), "two"));
        let shown = said(&setup, &event);
        assert!(shown.contains("failed: mail: the server answered 535") && !shown.contains("w0rd"), "{shown}");
        assert!(!doorbell.log.lock().unwrap().contains("w0rd"));
    }
}

#[test]
#[cfg_attr(not(has_smtp_server), ignore = "needs aiosmtpd: apt-get install python3-aiosmtpd")]
fn no_message_goes_out_unencrypted_or_into_the_inner_network_unless_somebody_allows_it() {
    let setup = Setup::new();
    let server = Server::start(&setup, "plain");
    rules(&setup, &format!("smtp://127.0.0.1:{}", server.port), "", STEP);
    let doorbell = setup.serve();
    let shown = said(&setup, &doorbell.deliver("/a", &body(&json!("ada@example.com"), "one")));
    assert!(shown.contains("the server offers no encryption (STARTTLS); use smtps://, or `tls: none` in your own network"), "{shown}");
    drop(doorbell);
    let out = setup.run(&["connections", "--online"]);
    let shown = String::from_utf8(out.stdout).unwrap();
    assert!(shown.contains("127.0.0.1 is in a private network, and calls to it are refused"), "{shown}");
    rules(&setup, &format!("smtp://localhost:{}", server.port), ", tls: none", STEP);
    let shown = setup.printed(&["connections", "--online"]);
    assert!(shown.contains("--allow-host localhost") && shown.contains("does not work"), "{shown}");
    assert!(mails(&setup).is_empty());
}

#[test]
#[cfg_attr(not(has_smtp_server), ignore = "needs aiosmtpd: apt-get install python3-aiosmtpd")]
fn a_server_that_is_away_comes_back_and_a_connection_that_was_removed_is_waited_for() {
    let closed = ClosedPort::new();
    let steps = STEP.replace("first_wait: 50 milliseconds", "first_wait: 100 milliseconds");
    let setup = with_steps(&format!("smtp://{}", closed.address()), ", tls: none", &steps);
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", &body(&json!("ada@example.com"), "one"));
    until("it is tried again", || setup.printed(&["explain", &event]).contains("retry"));
    // A waiting run uses the connection of today.
    let server = Server::start(&setup, "plain");
    rules(&setup, &format!("smtp://127.0.0.1:{}", server.port), ", tls: none", &steps);
    doorbell.reload();
    assert!(said(&setup, &event).contains("✓ A"));
    assert_eq!(mails(&setup).len(), 1);
    // A run whose connection was removed, because no rule uses it any more, waits for it, and says so.
    drop(server);
    let event = doorbell.deliver("/a", &body(&json!("ada@example.com"), "two"));
    until("it is tried again", || setup.printed(&["explain", &event]).contains("retry"));
    setup.write("rules/connections.yaml", "connections:\n  other: { smtp: smtps://mail.example.com, from: a@example.com }\n");
    setup.write("rules/rules.yaml", "webhooks:\n  /b: { verify: none }\nrules:\n  B:\n    when: { webhook: /b }\n    then: [{ log: x }]\n");
    doorbell.reload();
    until("it waits", || setup.printed(&["explain", &event]).contains("the connection `mail` is not in the rule files any more"));
    let server = Server::start(&setup, "plain");
    rules(&setup, &format!("smtp://127.0.0.1:{}", server.port), ", tls: none", &steps);
    doorbell.reload();
    assert!(said(&setup, &event).contains("✓ A"));
    assert_eq!(mails(&setup).len(), 2);
}

#[test]
fn dry_runs_tests_and_lists_show_messages() {
    let setup = with_steps("smtp://mail.example.com", ", user: shop, password: \"{{ secret.MAIL }}\"", STEP);
    setup.write("a.json", &body(&json!(["Ada <ada@example.com>", "bob@example.com"]), "Order"));
    let shown = setup.printed(&["try", "a.json", "--path", "/a"]);
    for line in ["1. email  Ada <ada@example.com>, bob@example.com", "subject: Order", "Hello Ada"] {
        assert!(shown.contains(line), "{shown}");
    }
    let rules = std::fs::read_to_string(setup.path("rules/rules.yaml")).unwrap();
    let test = |subject: &str| {
        let test = format!(
            "    tests:\n      - name: it\n        send: {{ json: {{ to: ada@example.com, subject: S, name: Ada }} }}\n        expect:\n          - email: ada@example.com\n            subject: {subject}\n            text: Hello Ada\n            using: mail\n          - append: sent.log\n"
        );
        setup.write("rules/rules.yaml", &(rules.clone() + &test));
        setup.printed(&["test"])
    };
    assert!(test("S").ends_with("\n1 test passed\n"), "{}", test("S"));
    assert!(test("T").contains("≠ subject: T"), "{}", test("T"));
    assert_eq!(setup.printed(&["connections"]), "mail  e-mail (SMTP) at mail.example.com:587\n  used by: A\n\n");
    assert!(setup.printed(&["list"]).contains("send an e-mail to"), "{}", setup.printed(&["list"]));
    let none = Setup::with("webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then: [{ log: x }]\n");
    assert!(none.printed(&["connections"]).starts_with("There are no connections."));
}
