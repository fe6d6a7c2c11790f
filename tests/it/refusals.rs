//! Requests that are refused before a rule sees them: each can be found afterwards, and none is refused for a trifle.

use crate::harness::{Setup, parse_response, until};

/// What the operator finds in the list of refused requests.
fn refused(setup: &Setup) -> String {
    std::fs::read_to_string(setup.path("data/refused.jsonl")).unwrap_or_default()
}

#[test]
fn quotes_in_an_address_are_accepted_and_every_refusal_is_remembered() {
    let setup = Setup::with(
        "webhooks:\n  /sms: { verify: none, method: GET }\nrules:\n  A:\n    when: { webhook: /sms }\n    then:\n      - append: sms.log\n        text: \"{{ query.text }}\"\n",
    );
    let doorbell = setup.serve();
    for text in ["say+\"hi\"", "a<b", "5>3", "{x}|y^z"] {
        let got = doorbell.raw(format!("GET /sms?from=49170&text={text} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes());
        assert!(got.starts_with("HTTP/1.1 200"), "{text}: {got}");
    }
    until("they are written", || setup.output("sms.log").lines().count() == 4);
    let mut lines: Vec<String> = setup.output("sms.log").lines().map(str::to_owned).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["5>3", "a<b", "say \"hi\"", "{x}|y^z"]);
    assert_eq!(refused(&setup), "");
    // What HTTP does not allow is still refused, and can be found afterwards; secrets in a query are not kept.
    let got = doorbell.raw(b"GET /sms?token=hidden HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n");
    assert!(got.starts_with("HTTP/1.1 400"), "{got}");
    until("it is remembered", || refused(&setup).contains("\"method\":\"GET\",\"address\":\"/sms\",\"status\":400"));
    assert!(refused(&setup).contains("This is not a valid HTTP request") && !refused(&setup).contains("hidden"), "{}", refused(&setup));
    // Only the first line of a connection is certainly an address.
    let got = doorbell.raw(b"GET /sms?text=1 HTTP/1.1\r\nHost: x\r\n\r\nGET /sms?text=\"2\" HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(got.starts_with("HTTP/1.1 200") && got.contains("HTTP/1.1 400"), "{got}");
    until("it is remembered", || refused(&setup).lines().count() == 2);
    let got = doorbell.raw(b"GET /sms HTTP/1.1\r\nHost: x\r\nHost: y\r\nConnection: close\r\n\r\n");
    let id = parse_response(&got).header("doorbell-request").to_owned();
    assert!(!id.is_empty() && refused(&setup).contains(&id), "{got}");
    assert!(setup.printed(&["explain", &id]).contains("The request must name one host"));
}
