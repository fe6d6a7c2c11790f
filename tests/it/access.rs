//! Who may call an address and how often; compressed bodies, replay protection and HTTPS.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::process::Command;

use flate2::Compression;
use flate2::read::GzEncoder;

use crate::harness::{Doorbell, Setup, project_folder, until};
use crate::senders::sign;

fn rules(address: &str) -> String {
    format!(
        "webhooks:\n  /hook: {{ {address} }}\nrules:\n  All:\n    when: {{ webhook: /hook }}\n    then: [{{ append: out.txt, text: \"hi {{{{ body.n }}}}\" }}]\n"
    )
}

#[test]
fn only_callers_in_allow_from_may_call() {
    for (from, status) in
        [("127.0.0.1", 200), ("[10.0.0.0/8, 127.0.0.0/24]", 200), ("\"::ffff:127.0.0.1\"", 200), ("127.0.0.2", 401), ("\"::1\"", 401)]
    {
        let setup = Setup::with(&rules(&format!("verify: none, allow_from: {from}")));
        let doorbell = setup.serve();
        let got = doorbell.post("/hook", "{}");
        assert_eq!(got.status, status, "{from}");
        if status == 401 {
            assert_eq!(got.body, r#"{"status":"refused","message":"denied"}"#);
            until("the reason is logged", || doorbell.logged("this caller is not in the `allow_from` of the address"));
        }
    }
    let said = Setup::with(&rules("verify: none, allow_from: 10.0.0.0/33")).printed(&["check"]);
    assert!(said.contains("`10.0.0.0/33` is neither an address nor a network"), "{said}");
}

#[test]
fn the_caller_is_the_one_that_a_trusted_proxy_names() {
    let setup = Setup::with(&rules("verify: none, allow_from: 203.0.113.7"));
    let call = |doorbell: &Doorbell, forwarded: &str| doorbell.send("POST", "/hook", &[("x-forwarded-for", forwarded)], b"").status;
    let doorbell = setup.serve();
    assert_eq!(call(&doorbell, "203.0.113.7"), 401, "this caller is not a trusted proxy");
    let setup = Setup::with(&rules("verify: none, allow_from: 203.0.113.7"));
    let doorbell = setup.serve_with(&["--trusted-proxies", "127.0.0.0/8,10.0.0.0/8"]);
    assert_eq!(call(&doorbell, "203.0.113.7"), 200);
    assert_eq!(call(&doorbell, "6.6.6.6, 203.0.113.7, 10.1.1.1"), 200);
    assert_eq!(call(&doorbell, "203.0.113.7, 6.6.6.6"), 401, "what the caller itself puts before it does not count");
}

#[test]
fn a_caller_cannot_change_its_address_with_other_headers() {
    // The proxy's own network may call, so callers would like to be mistaken for it.
    let setup = Setup::with(&rules("verify: none, allow_from: [ 127.0.0.0/8, 10.0.0.0/8 ], limit: 2 per hour per caller"));
    let xff = ("x-forwarded-for", "6.6.6.6");
    for headers in [
        vec![],
        vec![xff],
        vec![xff, ("forwarded", "for=10.1.1.1")],
        vec![xff, ("forwarded", "x")],
        vec![xff, ("forwarded", "")],
        vec![xff, ("x-real-ip", "10.0.0.1")],
        vec![("x-forwarded-for", "10.1.1.1, 6.6.6.6")],
        vec![("x-forwarded-for", "6.6.6.6, ")],
        vec![("x-forwarded-for", "unknown")],
        vec![("x-forwarded-for", "6.6.6.6 10.0.0.1")],
        vec![("x-forwarded-for", "")],
        vec![("forwarded", "for=10.1.1.1")],
    ] {
        let doorbell = setup.serve_with(&["--trusted-proxies", "127.0.0.1"]);
        assert_eq!(doorbell.send("POST", "/hook", &headers, b"").status, 401, "{headers:?}");
        doorbell.kill();
    }
    let doorbell = setup.serve_with(&["--trusted-proxies", "127.0.0.1", "--client-ip-header", "X-Real-IP"]);
    let call = |ip: &str| doorbell.send("POST", "/hook", &[("x-real-ip", ip), ("x-forwarded-for", "6.6.6.6")], b"").status;
    assert_eq!([call("10.0.0.1"), call("10.0.0.1"), call("10.0.0.1"), call("6.6.6.6")], [200, 200, 429, 401]);
    // All callers with an unknown address count as one.
    let setup = Setup::with(&rules("verify: none, limit: 2 per hour per caller"));
    let doorbell = setup.serve_with(&["--trusted-proxies", "127.0.0.1"]);
    let call = |value: &str| doorbell.send("POST", "/hook", &[("x-forwarded-for", value)], b"").status;
    assert_eq!([call("a"), call("b"), call("c"), call("6.6.6.6")], [200, 200, 429, 200]);
}

#[test]
fn a_caller_that_calls_too_often_is_told_when_to_retry() {
    let setup = Setup::with(&rules("verify: none, limit: [ 1000 per second, 3 per hour per caller ]"));
    let doorbell = setup.serve_with(&["--trusted-proxies", "127.0.0.1"]);
    let call = |ip: &str| doorbell.send("POST", "/hook", &[("x-forwarded-for", ip)], b"");
    for _ in 0..3 {
        assert_eq!(call("203.0.113.7").status, 200);
    }
    let got = call("203.0.113.7");
    assert_eq!((got.status, got.body.as_str()), (429, r#"{"status":"refused","message":"Too many requests; try again later."}"#));
    assert!((600..=1_201).contains(&got.header("retry-after").parse::<u32>().unwrap()), "{got:?}");
    assert_eq!(call("203.0.113.8").status, 200, "other callers are not limited");
    let said = Setup::with(&rules("verify: none, limit: 3 a day")).printed(&["check"]);
    assert!(said.contains("`3 a day` is not a limit"), "{said}");
}

#[test]
fn denied_requests_do_not_count_towards_the_limit() {
    let setup = Setup::with(&rules("verify: { bearer: \"{{ secret.KEY }}\" }, limit: 2 per hour")).env("KEY", "k3y");
    let doorbell = setup.serve();
    for _ in 0..5 {
        assert_eq!(doorbell.post("/hook", "{}").status, 401);
    }
    let call = || doorbell.send("POST", "/hook", &[("authorization", "Bearer k3y")], b"").status;
    assert_eq!([call(), call(), call()], [200, 200, 429]);
}

fn gzip(bytes: impl Read) -> Vec<u8> {
    let mut out = Vec::new();
    GzEncoder::new(bytes, Compression::best()).read_to_end(&mut out).unwrap();
    out
}

#[test]
fn compressed_bodies_are_verified_as_sent_and_decompressed_up_to_the_limit() {
    let setup = Setup::with(&rules("verify: { github: \"{{ secret.KEY }}\" }, max_body: 100 KB")).env("KEY", "k3y");
    let doorbell = setup.serve();
    let call = |body: &[u8]| {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"k3y");
        let tag: String = ring::hmac::sign(&key, body).as_ref().iter().map(|b| format!("{b:02x}")).collect();
        let headers =
            [("content-type", "application/json"), ("content-encoding", "gzip"), ("x-hub-signature-256", &*format!("sha256={tag}"))];
        doorbell.send("POST", "/hook", &headers, body)
    };
    assert_eq!(call(&gzip(&br#"{"n": 7}"#[..])).status, 200);
    until("the line is written", || setup.output("out.txt") == "hi 7\n");
    let bomb = gzip(std::io::repeat(b' ').take(50 << 20));
    assert!(bomb.len() < 100 << 10);
    let got = call(&bomb);
    assert_eq!((got.status, got.body.as_str()), (413, r#"{"status":"refused","message":"The body is larger than 102400 bytes."}"#));
    let got = call(b"not packed");
    assert_eq!((got.status, got.body.contains("The body is declared as gzip, but it cannot be decompressed.")), (400, true));
    let event = setup.printed(&["events"]);
    assert_eq!(event.matches("/hook").count(), 1, "{event}");
}

#[test]
fn with_replay_guard_a_signed_request_makes_only_one_event() {
    let setup = Setup::with(&rules("verify: { github: \"{{ secret.KEY }}\" }, replay_guard: true")).env("KEY", "k3y");
    let doorbell = setup.serve();
    let call = |id: &str, body: &str| {
        let tag = format!("sha256={}", sign(b"k3y", body));
        let headers = [("content-type", "application/json"), ("x-github-delivery", id), ("x-hub-signature-256", &*tag)];
        doorbell.send("POST", "/hook", &headers, body.as_bytes())
    };
    let first = call("1", "{\"n\": 1}");
    assert_eq!(first.status, 200);
    let again = call("2", "{\"n\": 1}");
    assert_eq!((again.status, again.header("doorbell-event")), (200, first.header("doorbell-event")), "another id does not help");
    assert_ne!(call("3", "{\"n\": 2}").header("doorbell-event"), first.header("doorbell-event"));
    until("both lines are written", || setup.output("out.txt").lines().count() == 2);
    let said = Setup::with(&rules("verify: { bearer: \"{{ secret.KEY }}\" }, replay_guard: true")).env("KEY", "k").printed(&["check"]);
    assert!(said.contains("requests to this address are not signed"), "{said}");
}

#[test]
fn with_replay_guard_another_encoding_of_a_signature_is_the_same_request() {
    let token = "{ custom: { secret: \"{{ secret.KEY }}\", algorithm: jwt-hs256, signature: { from: \"header:X-Token\" } } }";
    let github = "{ github: \"{{ secret.KEY }}\" }";
    let setup = Setup::with(&rules(&format!("verify: [{token}, {github}], replay_guard: true"))).env("KEY", "k3y");
    let doorbell = setup.serve();
    let base64 = |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes);
    let signed = format!("{}.{}", base64(br#"{"alg":"HS256"}"#), base64(br#"{"jti":"one"}"#));
    let tag = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"k3y"), signed.as_bytes());
    let events = |all: &[Vec<(&str, String)>]| -> HashSet<String> {
        let call = |headers: &Vec<(&str, String)>| {
            let mut headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            headers.push(("content-type", "application/json"));
            let got = doorbell.send("POST", "/hook", &headers, b"{\"n\": 1}");
            assert_eq!(got.status, 200, "{headers:?}");
            got.header("doorbell-event").to_owned()
        };
        all.iter().map(call).collect()
    };
    let token = format!("{signed}.{}", base64(tag.as_ref()));
    let other_alphabet = format!("{signed}.{}", base64(tag.as_ref()).replace('-', "+").replace('_', "/"));
    let encodings = [token.clone(), format!("{token}="), format!("{token}=="), other_alphabet];
    assert_eq!(events(&encodings.map(|t| vec![("x-token", t)])).len(), 1);
    // Adding an invalid signature for another scheme does not make it a different request.
    let github = ("x-hub-signature-256", format!("sha256={}", sign(b"k3y", "{\"n\": 1}")));
    let with_token = |junk: &str| vec![github.clone(), ("x-token", format!("{junk}.{junk}.{junk}"))];
    assert_eq!(events(&[vec![github.clone()], with_token("a"), with_token("b")]).len(), 1);
    until("both lines are written", || setup.output("out.txt").lines().count() == 2);
}

#[test]
fn a_changed_secret_is_used_after_a_reload() {
    let setup = Setup::with(&rules("verify: { bearer: \"{{ secret.KEY }}\" }")).env("KEY_FILE", "key.txt");
    setup.write("key.txt", "old-key\n");
    let doorbell = setup.serve();
    let call = |key: &str| doorbell.send("POST", "/hook", &[("authorization", &format!("Bearer {key}"))], b"").status;
    assert_eq!([call("old-key"), call("new-key")], [200, 401]);
    setup.write("key.txt", "new-key\n");
    doorbell.reload();
    until("the new key is accepted", || call("new-key") == 200);
    assert_eq!(call("old-key"), 401);
    // An empty secret would let anybody in, so the old one stays.
    setup.write("key.txt", "");
    doorbell.reload();
    until("the problem is logged", || doorbell.logged("the secret KEY is empty"));
    assert_eq!([call("new-key"), call("")], [200, 401]);
}

/// Calls an HTTPS address, trusting only this certificate; returns the status, and whether it was HTTP/2.
fn get(address: &str, trusted: &str) -> Result<(u16, bool), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cert = reqwest::Certificate::from_pem(&std::fs::read(project_folder().join(trusted)).unwrap()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([cert]).no_proxy().build().unwrap();
    runtime.block_on(async {
        let got = client.get(format!("https://{address}/health/live")).send().await.map_err(|e| e.to_string())?;
        Ok((got.status().as_u16(), got.version() == reqwest::Version::HTTP_2))
    })
}

#[test]
fn https_works_and_a_renewed_certificate_is_used_after_a_reload() {
    let setup = Setup::with(&rules("verify: none"));
    let put = |kind: &str| {
        for part in ["cert", "key"] {
            std::fs::copy(project_folder().join(format!("tests/keys/{kind}.{part}.pem")), setup.path(&format!("{part}.pem"))).unwrap();
        }
    };
    put("rsa");
    let doorbell = setup.serve_with(&["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    assert_eq!(get(&doorbell.address, "tests/keys/rsa.cert.pem"), Ok((200, true)));
    assert!(get(&doorbell.address, "tests/keys/ec.cert.pem").is_err());
    assert_eq!(setup.printed(&["health", "--listen", &doorbell.address, "--tls-cert", "cert.pem"]), "ready, 1 rule\n");
    // Plain HTTP is not answered here.
    let mut plain = std::net::TcpStream::connect(&doorbell.address).unwrap();
    plain.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"));
    put("ec");
    doorbell.reload();
    until("the new certificate is in use", || get(&doorbell.address, "tests/keys/ec.cert.pem") == Ok((200, true)));
    // An unusable certificate never replaces a usable one.
    std::fs::copy(project_folder().join("tests/keys/rsa.cert.pem"), setup.path("cert.pem")).unwrap();
    doorbell.reload();
    until("it is logged", || {
        doorbell.logged("the private key key.pem does not belong to the certificate cert.pem; the old certificate stays in use")
    });
    assert_eq!(get(&doorbell.address, "tests/keys/ec.cert.pem"), Ok((200, true)));
}

#[test]
fn calls_trust_an_own_ca_if_its_certificate_is_given() {
    let other = Setup::with(
        "webhooks:\n  /orders: { verify: none }\nrules:\n  B:\n    when: { webhook: /orders }\n    then:\n      - append: came.log\n        text: \"{{ body.id }}\"\n",
    );
    for part in ["cert", "key"] {
        std::fs::copy(project_folder().join(format!("tests/keys/rsa.{part}.pem")), other.path(&format!("{part}.pem"))).unwrap();
    }
    let server = other.serve_with(&["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    let port = server.address.rsplit_once(':').unwrap().1;
    let setup = Setup::with(&format!(
        "webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n      - post: https://localhost:{port}/orders\n        json: {{ id: \"{{{{ body.id }}}}\" }}\n        tries: 1\n"
    ));
    let doorbell = setup.serve_with(&["--allow-host", "localhost"]);
    doorbell.deliver("/a", r#"{"id": 1}"#);
    until("the call is refused", || setup.printed(&["failed"]).contains("the connection failed: "));
    let said = setup.printed(&["failed"]);
    assert!(said.contains("certificate"), "{said}");
    drop(doorbell);
    // Another certificate in the same file does no harm.
    let both: String =
        ["ec", "rsa"].map(|kind| std::fs::read_to_string(project_folder().join(format!("tests/keys/{kind}.cert.pem"))).unwrap()).concat();
    setup.write("ca.pem", &both);
    let doorbell = setup.serve_with(&["--allow-host", "localhost", "--ca-file", "ca.pem"]);
    doorbell.deliver("/a", r#"{"id": 2}"#);
    until("the call arrives", || other.output("came.log") == "2\n");
}

#[test]
fn a_file_without_a_ca_is_reported_at_startup() {
    let setup = Setup::with("webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then: [ { log: hi } ]\n");
    setup.write("ca.pem", "nothing\n");
    let out = setup.command(&["serve", "--listen", "127.0.0.1:0"]).env("DOORBELL_CA_FILE", "ca.pem").output().unwrap();
    let said = "doorbell: the file ca.pem contains no certificate; it must be PEM, with -----BEGIN CERTIFICATE-----";
    assert_eq!((String::from_utf8_lossy(&out.stderr).lines().last(), out.status.success()), (Some(said), false));
}

#[test]
fn an_unusable_certificate_is_reported_at_startup() {
    let setup = Setup::with(&rules("verify: none"));
    setup.write("cert.pem", "nothing\n");
    let out = Command::new(env!("CARGO_BIN_EXE_doorbell"))
        .args(["serve", "--listen", "127.0.0.1:0", "--tls-cert", "cert.pem", "--tls-key", "cert.pem"])
        .current_dir(setup.path("."))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stderr).lines().last(), Some("doorbell: the file cert.pem contains no certificate"));
}

#[test]
fn only_the_owner_can_read_the_data_and_a_backup() {
    use std::os::unix::fs::PermissionsExt;
    let setup = Setup::with("webhooks:\n  /a: { verify: none }\nrules:\n  A: { when: { webhook: /a }, then: [ { log: x } ] }\n");
    // As an earlier version, or somebody, left them.
    setup.write("data/doorbell.db", "");
    let set = |name: &str, mode: u32| std::fs::set_permissions(setup.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    set("data", 0o755);
    set("data/doorbell.db", 0o644);
    setup.write("secrets.env", "X=1\n");
    set("secrets.env", 0o644);
    let doorbell = setup.serve_with(&["--env-file", "secrets.env"]);
    doorbell.deliver("/a", "{}");
    doorbell.send("POST", "/none", &[], b"");
    setup.printed(&["backup", "backup.db"]);
    let mode = |name: &str| std::fs::metadata(setup.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("data"), 0o700);
    for entry in std::fs::read_dir(setup.path("data")).unwrap() {
        let name = format!("data/{}", entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(mode(&name) & 0o077, 0, "{name}");
    }
    assert_eq!(mode("backup.db"), 0o600);
    assert!(doorbell.logged("every user can read the secrets in secrets.env; to change that, run: chmod 600 secrets.env"));
}

#[test]
fn ids_of_deliveries_are_not_stored_as_they_came_and_answers_say_what_they_are() {
    let setup = Setup::with(
        "webhooks:\n  /a: { verify: none, delivery_id: header.X-Id }\n  /b: { verify: none }\nrules:\n  A: { when: { webhook: /a }, then: [ { log: x } ] }\n  B: { when: { webhook: /b }, then: [ { respond: 200, text: hi, headers: { X-Content-Type-Options: none } } ] }\n",
    );
    let doorbell = setup.serve();
    let answer = doorbell.send("POST", "/a", &[("x-id", "delivery-4711")], b"{}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(doorbell.post("/b", "{}").header("x-content-type-options"), "none", "as the rule says");
    let again = doorbell.send("POST", "/a", &[("x-id", "delivery-4711")], b"{}");
    assert_eq!(again.header("doorbell-event"), answer.header("doorbell-event"));
    doorbell.stop();
    let store = rusqlite::Connection::open(setup.path("data/doorbell.db")).unwrap();
    let key: String = store.query_row("SELECT key FROM delivery", [], |row| row.get(0)).unwrap();
    assert!(key.len() == 64 && !key.contains("4711"), "{key}");
}

#[test]
fn a_data_folder_that_contains_the_rules_stays_open_to_the_people_who_write_them() {
    use std::os::unix::fs::PermissionsExt;
    let setup = Setup::with("webhooks:\n  /a: { verify: none }\nrules:\n  A: { when: { webhook: /a }, then: [ { log: x } ] }\n");
    let mode = |name: &str| std::fs::metadata(setup.path(name)).unwrap().permissions().mode() & 0o777;
    std::fs::set_permissions(setup.path("."), std::fs::Permissions::from_mode(0o755)).unwrap();
    let rules = mode("rules/rules.yaml");
    let doorbell = setup.serve_with(&["--data", "."]);
    assert!(doorbell.logged("because it contains the rules or the output; give it a folder of its own with --data"));
    assert_eq!((mode("."), mode("rules/rules.yaml"), mode("doorbell.db")), (0o755, rules, 0o600));
}
