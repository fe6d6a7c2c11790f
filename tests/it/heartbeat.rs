//! `serve --heartbeat URL`: a sign of life, while Doorbell works.

use crate::harness::{Setup, Target, json, until};

const RULES: &str = "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then:\n      - log: x\n";

#[test]
fn a_heartbeat_is_sent_at_an_interval_until_doorbell_dies() {
    let target = Target::new(&[&json(200, "OK"), &json(204, "")]);
    let setup = Setup::with(RULES).env("DOORBELL_HEARTBEAT", &target.url("/ping/secret-part?x=1"));
    let doorbell = setup.serve_with(&["--heartbeat-every", "1 second"]);
    until("it is sent three times", || target.calls().len() >= 3);
    assert!(target.calls().iter().all(|call| call.line == "GET /ping/secret-part?x=1 HTTP/1.1" && call.body.is_empty()));
    doorbell.kill();
    let sent = target.calls().len();
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    assert_eq!(target.calls().len(), sent);
}

#[test]
fn a_heartbeat_that_cannot_be_sent_is_logged_once_without_its_address_and_tried_again() {
    let target = Target::new(&[&json(500, ""), &json(404, ""), &json(200, "")]);
    let setup = Setup::with(RULES);
    let doorbell = setup.serve_with(&["--heartbeat", &target.url("/ping/secret-part"), "--heartbeat-every", "1 second"]);
    until("it is sent again", || doorbell.logged("heartbeat is sent again"));
    let log = doorbell.log.lock().unwrap().clone();
    assert_eq!(log.matches("heartbeat could not be sent: it answered 500").count(), 1, "{log}");
    assert!(!log.contains("it answered 404") && !log.contains("secret-part"), "{log}");
}

#[test]
fn a_heartbeat_goes_through_the_guard_for_inner_networks() {
    let target = Target::new(&[&json(200, "")]);
    let setup = Setup::with(RULES);
    let mut command = setup.command(&["serve", "--listen", "127.0.0.1:0", "--heartbeat", &target.url("/ping")]);
    command.env("DOORBELL_CONSOLE", "off");
    let doorbell = setup.start(command);
    until("it is refused", || doorbell.logged("heartbeat could not be sent: "));
    let log = doorbell.log.lock().unwrap().clone();
    assert!(log.contains("--allow-"), "{log}");
    assert!(target.calls().is_empty());
}

#[test]
fn its_address_and_interval_are_checked_first() {
    let setup = Setup::with(RULES);
    let said = setup.printed(&["serve", "--heartbeat", "hc-ping.com/x"]);
    assert!(said.contains("write an address that begins with https://"), "{said}");
    let said = setup.printed(&["serve", "--heartbeat", "https://hc-ping.com/x", "--heartbeat-every", "5 min"]);
    assert!(said.contains("write `5 minutes`"), "{said}");
}
