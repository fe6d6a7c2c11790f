//! `cors:`: scripts of web pages call an address, as browsers let them.

use crate::harness::{Doorbell, Response, Setup, until};

const RULES: &str = r#"
webhooks:
  /contact:
    verify: { bearer: "{{ secret.KEY }}" }
    cors: [https://shop.example.com, "http://localhost:3000"]
    max_body: 100 bytes
    limit: 3 per hour
  /public: { verify: none, cors: any, method: [GET, POST] }
  /keyed:
    verify: { custom: { secret: "http://127.0.0.1:1/keys", key: url, algorithm: ed25519, signature: { from: "header:X-Sig" } } }
    cors: any
  /closed: { verify: none }
rules:
  Contact form on a static page:
    when: { webhook: /contact }
    then: [ { append: contact.log, text: "{{ body.email }}" } ]
  Answer:
    when: { webhook: /public }
    then: [ { respond: 201, json: { made: true }, headers: { Access-Control-Allow-Origin: https://old.example.com, Vary: Accept } } ]
  Keyed: { when: { webhook: /keyed }, then: [ log: x ] }
  Closed: { when: { webhook: /closed }, then: [ log: x ] }
"#;
const SHOP: (&str, &str) = ("origin", "https://shop.example.com");

fn setup() -> Setup {
    Setup::with(RULES).env("KEY", "token-of-the-page")
}

/// What a browser sends before `fetch(url, { method: "POST", headers: { "Content-Type": "application/json" } })`.
fn preflight(doorbell: &Doorbell, path: &str, origin: &str) -> Response {
    let asked =
        [("origin", origin), ("access-control-request-method", "POST"), ("access-control-request-headers", "authorization,content-type")];
    doorbell.send("OPTIONS", path, &asked, b"")
}

/// What the browser has to know, of all headers.
fn told(got: &Response) -> (u16, &str, &str) {
    assert_eq!(got.header("access-control-allow-credentials"), "", "nobody may use the cookies of others");
    assert!(got.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("access-control-allow-origin")).count() < 2);
    (got.status, got.header("access-control-allow-origin"), got.header("vary"))
}

#[test]
fn a_browser_may_ask_before_it_calls_and_that_is_no_event() {
    let setup = setup();
    let doorbell = setup.serve();
    for (path, origin, allowed, methods) in [
        ("/contact", "https://shop.example.com", "https://shop.example.com", "POST"),
        ("/contact", "http://localhost:3000", "http://localhost:3000", "POST"),
        ("/public", "https://anyone.example", "*", "GET, POST"),
        ("/public", "null", "*", "GET, POST"),
    ] {
        let got = preflight(&doorbell, path, origin);
        let vary = "Access-Control-Request-Method, Access-Control-Request-Headers";
        assert_eq!(told(&got), (204, allowed, vary), "{path} {origin}: {got:?}");
        assert!(got.headers.iter().any(|(name, value)| name.eq_ignore_ascii_case("vary") && value == "Origin"), "{got:?}");
        assert_eq!(got.header("access-control-allow-methods"), methods);
        assert_eq!(got.header("access-control-allow-headers"), "authorization,content-type");
        assert_eq!((got.header("access-control-max-age"), got.body.as_str()), ("600", ""));
    }
    let got = preflight(&doorbell, "/contact", "https://evil.example");
    assert_eq!(told(&got), (403, "", "Origin"));
    let said = setup.printed(&["explain", got.header("doorbell-request")]);
    assert!(
        said.ends_with("→ 403, not accepted\n  scripts of pages from https://evil.example may not call this address (`cors:`)\n"),
        "{said}"
    );
    // Without `cors:`, nothing is different: OPTIONS is not accepted.
    assert_eq!(told(&preflight(&doorbell, "/closed", "https://shop.example.com")), (405, "", ""));
    assert_eq!(told(&doorbell.send("OPTIONS", "/contact", &[SHOP], b"")).0, 405, "it is not the question of a browser");
    assert_eq!(setup.printed(&["events"]), "No events have been received yet.\n");
}

#[test]
fn every_answer_of_the_address_can_be_read_by_the_page_refusals_too() {
    let setup = setup();
    let doorbell = setup.serve();
    let json = ("content-type", "application/json");
    let key = ("authorization", "Bearer token-of-the-page");
    let send = |method: &str, headers: &[(&str, &str)], body: &str| doorbell.send(method, "/contact", headers, body.as_bytes());
    let allowed = |status| (status, "https://shop.example.com", "Origin");
    let got = send("POST", &[SHOP, json, key], "{\"email\": \"ada@example.com\"}");
    assert_eq!(told(&got), allowed(200));
    assert_eq!(got.header("access-control-expose-headers"), "Doorbell-Event, Doorbell-Request, Retry-After");
    until("it is written", || setup.output("contact.log") == "ada@example.com\n");
    for (status, got) in [
        (401, send("POST", &[SHOP, json], "{}")),
        (413, send("POST", &[SHOP, json, key], &"x".repeat(200))),
        (400, send("POST", &[SHOP, json, key], "{\"email\":")),
        (405, send("PUT", &[SHOP, json, key], "{}")),
        (200, send("POST", &[SHOP, json, key], "{\"email\": 2}")),
        (200, send("POST", &[SHOP, json, key], "{\"email\": 3}")),
        (429, send("POST", &[SHOP, json, key], "{\"email\": 4}")),
    ] {
        assert_eq!(told(&got), allowed(status), "{got:?}");
    }
    let got = doorbell.send("POST", "/keyed", &[SHOP, json, ("x-sig", &"00".repeat(64))], b"{}");
    assert_eq!((told(&got), got.header("retry-after")), ((503, "*", "Origin"), "10"), "the key of the sender cannot be fetched");
    // Other callers get the same answers without that header, and caches keep them apart.
    assert_eq!(told(&send("POST", &[("origin", "https://evil.example"), json], "{}")), (401, "", "Origin"));
    assert_eq!(told(&send("POST", &[json], "{}")), (401, "", "Origin"));
    assert_eq!(told(&doorbell.send("POST", "/closed", &[SHOP, json], b"{}")), (200, "", ""));
    // What a rule writes itself does not end up there twice.
    let got = doorbell.send("POST", "/public", &[SHOP, json], b"{}");
    assert_eq!((told(&got).0, told(&got).1, got.body.as_str()), (201, "*", "{\"made\":true}"));
    let vary: Vec<&str> =
        got.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("vary")).map(|(_, value)| value.as_str()).collect();
    assert_eq!(vary, ["Accept", "Origin"]);
}
