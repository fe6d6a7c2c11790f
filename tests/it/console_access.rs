//! Who gets into the console: logins, names, other people's pages, and what a visitor who may only look can do.

use std::os::unix::fs::PermissionsExt;

use crate::console_client::{Visitor, form};
use crate::harness::{Setup, Target, json, until};

const RULES: &str = "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then:\n      - log: x\n";

fn stranger(setup: &Setup) -> Visitor {
    Visitor { cookie: String::new(), ..setup.visitor() }
}

#[test]
fn only_the_link_lets_people_in_and_it_lives_through_a_restart() {
    let setup = Setup::with(RULES);
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    assert!(visitor.cookie.starts_with("doorbell-"), "{}", visitor.cookie);
    let stranger = stranger(&setup);
    for path in ["/", "/events", "/edit/rules.yaml", "/live?of=/", "/download/x", "/failed.jsonl"] {
        let got = stranger.get(path);
        assert_eq!(got.status, 303, "{path}");
        assert!(got.header("location").starts_with("/login?to="), "{path}: {}", got.header("location"));
    }
    let wrong = stranger.get("/login?key=00000000000000000000000000000000");
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, ""));
    let key = setup.path("data/console.key");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let before = setup.console_link();
    serving.stop();
    let _serving = setup.serve_with_console(&[]);
    let after = setup.console_link();
    assert_eq!(before.split("key=").nth(1), after.split("key=").nth(1));
    let again = setup.visitor();
    assert_eq!(again.get("/").status, 200);
}

#[test]
fn another_name_for_the_same_address_finds_nothing() {
    let setup = Setup::with(RULES);
    let _serving = setup.serve_with_console(&["--console-host", "bell.local"]);
    let visitor = setup.visitor();
    let port = visitor.address.rsplit(':').next().unwrap();
    for host in ["evil.example.com", &format!("evil.example.com:{port}"), "127.0.0.1:1", "127.0.0.1", ""] {
        let got = visitor.send("GET", "/", &[("host", host)], "");
        assert!(got.status == 421 || got.status == 400, "{host}: {}", got.status);
        assert!(!got.body.contains("Latest events"), "{host}");
    }
    for host in [format!("localhost:{port}"), format!("bell.local:{port}"), "bell.local".to_owned()] {
        assert_eq!(visitor.send("GET", "/", &[("host", &host)], "").status, 200, "{host}");
    }
}

#[test]
fn a_page_of_another_site_changes_nothing() {
    let setup = Setup::with(RULES);
    let _serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let own = format!("http://{}", visitor.address);
    let post = |headers: &[(&str, &str)]| visitor.send("POST", "/new", headers, "path=/x&do=wait").status;
    for headers in [
        vec![],
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![("sec-fetch-site", "none")],
        vec![("sec-fetch-site", "cross-site"), ("origin", own.as_str())],
        vec![("origin", "http://evil.example.com")],
        vec![("origin", "null")],
        vec![("origin", "https://127.0.0.1")],
    ] {
        assert_eq!(post(&headers), 403, "{headers:?}");
    }
    assert_eq!(post(&[("origin", &own)]), 303);
    assert_eq!(post(&[("sec-fetch-site", "same-origin")]), 303);
    assert_eq!(
        visitor.send("POST", "/new", &[("sec-fetch-site", "same-origin"), ("content-type", "text/plain")], "path=/x&do=wait").status,
        415
    );
    assert_eq!(visitor.send("DELETE", "/rules/A", &[("sec-fetch-site", "same-origin")], "").status, 405);
}

#[test]
fn a_login_leads_only_to_pages_of_the_console() {
    let setup = Setup::with(RULES);
    let _serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let key = setup.console_link().split("key=").nth(1).unwrap().to_owned();
    let leads = |to: &str| visitor.get(&format!("/login?key={key}&to={to}")).header("location").to_owned();
    assert_eq!(leads("/events"), "/events");
    for to in ["//evil.example.com", "https://evil.example.com", "%2F%5Cevil.example.com", "/%09/evil.example.com"] {
        assert_eq!(leads(to), "/", "{to}");
    }
}

#[test]
fn elsewhere_a_password_is_required_and_editing_is_off_unless_asked_for() {
    let setup = Setup::with(RULES);
    let refused = setup.printed(&["serve", "--listen", "127.0.0.1:0", "--console", "0.0.0.0:0"]);
    assert!(refused.contains("the console would be open to everybody who can reach"), "{refused}");
    let setup =
        Setup::with(RULES).env("DOORBELL_CONSOLE_PASSWORD", "correct horse").env("DOORBELL_CONSOLE_READ_PASSWORD", "battery staple");
    let _serving = setup.serve_with(&["--console", "0.0.0.0:0", "--console-host", "127.0.0.1"]);
    let link = setup.console_link();
    let port = link.trim_end_matches('/').rsplit(':').next().unwrap().to_owned();
    let log_in = |password: &str| {
        let mut visitor = Visitor { address: format!("127.0.0.1:{port}"), cookie: String::new() };
        let got = visitor.submit("/login", &[("password", password), ("to", "/rules")]);
        visitor.cookie = got.header("set-cookie").split(';').next().unwrap().to_owned();
        (visitor, got)
    };
    let (stranger, got) = log_in("wrong");
    assert!(got.status == 401 && got.body.contains("This password is wrong."), "{got:?}");
    assert_eq!(stranger.get("/").status, 303);
    let (full, got) = log_in("correct horse");
    assert_eq!((got.status, got.header("location")), (303, "/rules"));
    assert!(got.header("set-cookie").ends_with("HttpOnly; SameSite=Lax"), "{}", got.header("set-cookie"));
    assert_eq!(full.submit("/edit/rules.yaml", &[("text", "rules: {}"), ("do", "save")]).status, 403);
    assert!(full.get("/edit/rules.yaml").body.contains("Rules cannot be edited in this console."));
    let (reader, _) = log_in("battery staple");
    assert_eq!(reader.get("/events").status, 200);
    assert!(reader.get("/").body.contains("You can look at everything and change nothing."));
    for path in ["/failed/go-on", "/new", "/edit/rules.yaml", "/ring"] {
        assert_eq!(reader.submit(path, &[("text", "x")]).status, 403, "{path}");
    }
    for _ in 0..12 {
        log_in("wrong again");
    }
    assert_eq!(log_in("correct horse").1.status, 429);
}

#[test]
fn a_console_that_only_shows_changes_nothing_and_one_that_hides_bodies_shows_none() {
    let setup = Setup::with(RULES);
    let serving = setup.serve_with_console(&["--console-read-only", "--console-hide-bodies"]);
    let visitor = setup.visitor();
    let id = serving.deliver("/a?token=quiet-query", r#"{"name": "quiet-body"}"#);
    let page = visitor.get(&format!("/events/{id}")).body;
    assert!(page.contains("are hidden in this console") && !page.contains("quiet-"), "{page}");
    assert_eq!(visitor.submit("/ring", &[("rule", "A")]).status, 403);
    assert_eq!(visitor.get("/download/x").status, 403);
}

#[test]
fn a_console_that_hides_bodies_repeats_nothing_of_them_anywhere() {
    let quiet = "quiet-4111";
    let rules = "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    if: { body.kind: order }\n    then:\n      - log: x\n  \
        B:\n    when: { webhook: /a }\n    then:\n      - get: \"TARGET/{{ body.kind }}\"\n";
    let target = Target::new(&[&json(404, "{}")]);
    let rules = &rules.replace("TARGET", &target.url(""));
    let setup = Setup::with(rules);
    let serving = setup.serve_with_console(&["--console-hide-bodies", "--console-edit"]);
    let visitor = setup.visitor();
    let id = serving.deliver("/a", &format!(r#"{{"kind": "{quiet}"}}"#));
    until("B has failed", || setup.printed(&["explain", &id]).contains("failed"));
    let bearer = format!("Bearer {}", setup.printed(&["console", "--api-key"]).trim());
    for path in [
        "/",
        "/events",
        "/failed",
        "/failed.jsonl",
        "/waiting",
        "/rules/A",
        "/edit/rules.yaml",
        "/words?address=/a",
        &format!("/events/{id}"),
        &format!("/events/{id}/today"),
        &format!("/rules/A?event={id}"),
        &format!("/new?event={id}"),
        &format!("/edit/rules.yaml?event={id}"),
        &format!("/edit/rules.yaml?keep={id}&rule=A"),
        &format!("/edit/new.yaml?event={id}"),
        "/api/v1/failed",
        "/api/v1/failed/groups",
        "/api/v1/waiting",
        &format!("/api/v1/events/{id}"),
    ] {
        let got = visitor.send("GET", path, &[("authorization", bearer.as_str())], "");
        assert!(!got.body.contains(quiet) && !got.header("location").contains(quiet), "{path}: {}", got.body);
    }
    let told = visitor.get(&format!("/events/{id}")).body;
    assert!(told.contains("<code>body.kind ") && told.contains("NO, hidden in this console"), "{told}");
    assert_eq!(visitor.get("/events?text=quiet").status, 403, "a search would tell it letter by letter");
    let typed = [("do", "look"), ("text", rules), ("typed", "{\"kind\": \"typed-value\"}"), ("address", "/a")];
    assert!(visitor.submit("/edit/rules.yaml", &typed).body.contains("typed-value"), "what somebody types is theirs");
}

#[test]
fn a_secret_that_arrived_in_a_body_is_shown_nowhere() {
    let rules = "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then:\n      - append: a.log\n        text: \"{{ body.x }}\"\n  \
        B:\n    when: { webhook: /b }\n    then:\n      - log: \"{{ secret.TOKEN }}\"\n";
    let setup = Setup::with(rules).env("TOKEN", "tok-secret-123");
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let id = serving.deliver("/a", r#"{"x": "it says tok-secret-123"}"#);
    until("A is done", || setup.output("a.log").contains("it says"));
    for path in [
        format!("/events/{id}"),
        format!("/events/{id}/today"),
        format!("/edit/rules.yaml?event={id}"),
        format!("/edit/rules.yaml?keep={id}&rule=A"),
        format!("/edit/new.yaml?event={id}"),
    ] {
        let got = visitor.get(&path);
        assert_eq!(got.status, 200, "{path}: {}", got.body);
        assert!(got.body.contains("it says") && !got.body.contains("tok-secret"), "{path}: {}", got.body);
    }
}

#[test]
fn whoever_may_only_look_cannot_act_through_the_stream_of_a_page_either() {
    let setup = Setup::with(RULES);
    let serving = setup.serve_with_console(&["--console-read-only"]);
    let visitor = setup.visitor();
    let id = serving.deliver("/a", "{}");
    for of in ["/ring", "/new", "/failed/go-on", "/failed/stop", &format!("/events/{id}/again"), &format!("/events/{id}/replay")] {
        let got = visitor.submit(&format!("/live?of={of}"), &[("rule", "A")]);
        assert_eq!(got.status, 403, "{of}");
    }
    let audit = setup.printed(&["audit"]);
    assert!(!audit.contains("replay"), "{audit}");
}

#[test]
fn nothing_that_a_stranger_sends_is_read() {
    let setup = Setup::with(RULES).env("DOORBELL_CONSOLE_PASSWORD", "correct horse");
    let _serving = setup.serve_with_console(&[]);
    let link = setup.console_link();
    let address = link.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
    let stranger = Visitor { address, cookie: String::new() };
    let (large, small) = ("a".repeat(5000), "a".repeat(3000));
    let own = format!("http://{}", stranger.address);
    let post = |path: &str, body: &str| stranger.send("POST", path, &[("origin", own.as_str())], body).status;
    assert_eq!(post("/login", &format!("password={large}")), 413);
    assert_eq!(post("/login", &format!("password={small}")), 401);
    assert_eq!(post("/edit/rules.yaml", &large), 303, "to the login");
    // The answer comes although the body does not.
    let head = [("origin", own.as_str()), ("content-length", "4000000"), ("expect", "100-continue")];
    let got = stranger.send("POST", "/new", &head, "");
    assert_eq!(got.status, 303, "{got:?}");
    assert!(got.header("location").starts_with("/login"), "{got:?}");
}

#[test]
fn behind_a_proxy_links_cookies_and_origins_are_those_of_the_proxy() {
    let setup = Setup::with(RULES).env("DOORBELL_CONSOLE_PASSWORD", "correct horse");
    let _serving = setup.serve_with(&["--console", "127.0.0.1:0", "--console-url", "https://ops.example.com/doorbell"]);
    let link = setup.console_link();
    let address = link.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
    let mut visitor = Visitor { address, cookie: String::new() };
    let host = ("host", "ops.example.com");
    let from = ("origin", "https://ops.example.com");
    let got = visitor.send("POST", "/doorbell/login", &[host, from], "password=correct+horse");
    assert_eq!((got.status, got.header("location")), (303, "/doorbell/"));
    assert!(got.header("set-cookie").starts_with("__Secure-doorbell-") && got.header("set-cookie").contains("Path=/doorbell;"), "{got:?}");
    visitor.cookie = got.header("set-cookie").split(';').next().unwrap().to_owned();
    let page = visitor.send("GET", "/doorbell/", &[host], "").body;
    assert!(page.contains("href=\"/doorbell/events\"") && !page.contains("href=\"/events\""), "{page}");
    assert_eq!(visitor.send("POST", "/doorbell/new", &[host, ("origin", "http://ops.example.com")], "path=/x&do=wait").status, 403);
    assert_eq!(visitor.send("POST", "/doorbell/new", &[host, from], "path=/x&do=wait").status, 303);
}

#[test]
fn behind_a_trusted_proxy_whoever_guesses_locks_out_nobody_else() {
    let setup = Setup::with(RULES).env("DOORBELL_CONSOLE_PASSWORD", "correct horse");
    let _serving = setup.serve_with_console(&["--trusted-proxies", "127.0.0.1"]);
    let link = setup.console_link();
    let address = link.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
    let visitor = Visitor { address, cookie: String::new() };
    let log_in = |ip: &str, password: &str| {
        let headers = [("sec-fetch-site", "same-origin"), ("x-forwarded-for", ip)];
        visitor.send("POST", "/login", &headers, &form(&[("password", password)])).status
    };
    let guessed: Vec<u16> = (0..11).map(|_| log_in("203.0.113.7", "wrong")).collect();
    assert_eq!(guessed[9..], [401, 429]);
    assert_eq!(log_in("203.0.113.8", "correct horse"), 303);
}

#[test]
fn a_console_whose_port_is_taken_is_left_out_and_senders_are_served() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::with(RULES);
    let serving = setup.serve_with(&["--console", &taken.local_addr().unwrap().to_string()]);
    serving.deliver("/a", "{}");
    assert!(serving.logged("console cannot listen on"), "{}", serving.log.lock().unwrap());
    let out = setup.printed(&["console"]);
    assert!(out.contains("this Doorbell runs without a console"), "{out}");
}

#[test]
fn programs_use_a_key_and_get_json() {
    let setup = Setup::with(RULES);
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let id = serving.deliver("/a", r#"{"n": 1}"#);
    let key = setup.printed(&["console", "--api-key"]).trim().to_owned();
    let bearer = format!("Bearer {key}");
    let ask = |path: &str, header: &str| visitor.send("GET", path, &[("authorization", header), ("cookie", "")], "");
    assert_eq!(ask("/api/v1/events", "").status, 401);
    assert_eq!(ask("/api/v1/events", "Bearer wrong").status, 401);
    assert_eq!(visitor.get("/api/v1/events").status, 401, "a browser's login is not enough");
    assert_eq!(ask("/events", &bearer).status, 303, "and a program's key opens no page");
    let got = ask("/api/v1/events?address=/a", &bearer);
    let list: serde_json::Value = serde_json::from_str(&got.body).unwrap();
    assert_eq!((list["events"][0]["id"].as_str(), list["events"][0]["address"].as_str()), (Some(id.as_str()), Some("/a")));
    let event: serde_json::Value = serde_json::from_str(&ask(&format!("/api/v1/events/{id}"), &bearer).body).unwrap();
    assert_eq!(event["rules"][0]["rule"], "A");
    assert_eq!(ask("/api/v1/other", &bearer).status, 404);
}

#[test]
fn stopping_does_not_wait_for_pages_that_are_open() {
    use std::io::{Read, Write};
    let setup = Setup::with(RULES);
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let mut stream = std::net::TcpStream::connect(&visitor.address).unwrap();
    write!(stream, "GET /live?of=/ HTTP/1.1\r\nhost: {}\r\ncookie: {}\r\n\r\n", visitor.address, visitor.cookie).unwrap();
    let mut seen = Vec::new();
    let mut part = [0; 4096];
    while !String::from_utf8_lossy(&seen).contains("event: part") {
        let n = stream.read(&mut part).unwrap();
        assert!(n > 0);
        seen.extend_from_slice(&part[..n]);
    }
    assert!(String::from_utf8_lossy(&seen).contains("text/event-stream"));
    serving.deliver("/a", "{}");
    seen.clear();
    while !String::from_utf8_lossy(&seen).contains("Latest events") {
        let n = stream.read(&mut part).unwrap();
        assert!(n > 0);
        seen.extend_from_slice(&part[..n]);
    }
    serving.stop();
}
