//! Verifying senders, by name and with `custom:`: known signatures are accepted, and changed requests are denied.

use doorbell::expr::names::Resolver;
use doorbell::rule::load::load;
use doorbell::yaml::source::Source;
use serde_json::Value;

use crate::harness::{Setup, parse_response, until};

/// A request whose signature is known to be valid or invalid.
#[derive(Clone)]
struct SignedRequest {
    sender: String,
    secret: String,
    method: String,
    url: Option<String>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    at: Option<i64>,
    is_valid: bool,
    id: String,
    /// What is served at the address of the sender's key.
    key: Option<String>,
    /// The text that has to be signed, if it is known.
    signed: Option<String>,
}

/// The schemes of known signatures that belong to no named sender.
const SCHEMES: [(&str, &str); 5] = [
    ("generic-hmac-sha512-prefixed", "{ algorithm: hmac-sha512, signature: { from: \"header:X-Hub-Signature\", format: \"sha512={sig}\" }"),
    ("generic-sha1-large-github-push", "{ algorithm: hmac-sha1, signature: { from: \"header:X-Hub-Signature\" }"),
    ("hmac-sha256-primitive-empty", "{ algorithm: hmac-sha256, signature: { from: \"header:X-Signature\" }"),
    ("hmac-sha256-primitive-sample", "{ algorithm: hmac-sha256, signature: { from: \"header:X-Signature\" }"),
    ("hmac-sha256-primitive-utf8", "{ algorithm: hmac-sha256, signature: { from: \"header:X-Signature\" }"),
];

/// The known signatures, each with its source; most are published by the senders themselves. `now` is the time at which to
/// check them.
fn known_requests() -> Vec<SignedRequest> {
    let all: Vec<Value> = serde_json::from_str(include_str!("../signatures.json")).unwrap();
    let text = |v: &Value| v.as_str().map(str::to_owned);
    let read = |v: &Value| {
        let (id, scheme) = (v["id"].as_str().unwrap(), v["scheme"].as_str().unwrap());
        let sender = match v["provider"].as_str().unwrap() {
            "svix" | "standard_webhooks" if scheme.contains("ed25519") => "standard_webhooks_public",
            "svix" => "standard_webhooks",
            "adyen" if !v["headers"].as_object().unwrap().is_empty() => "adyen_platforms",
            "hubspot-v1" => "hubspot_v1",
            "hubspot-v2" => "hubspot_v2",
            "generic" | "(primitive)" if SCHEMES.iter().any(|(known, _)| *known == id) => "/known",
            "generic" | "(primitive)" => {
                ["sanity", "mailersend", "klaviyo", "front", "cloudinary", "oura"].into_iter().find(|n| id.contains(n)).unwrap()
            }
            other => other,
        };
        let body = decode(v["body_b64"].as_str().unwrap());
        let secret = text(&v["secret"]).or_else(|| text(v["secret"].as_array()?.last()?)).or_else(|| {
            // SNS has a topic instead of a secret.
            text(&serde_json::from_slice::<Value>(&body).ok()?["TopicArn"])
        });
        SignedRequest {
            sender: sender.to_owned(),
            // If there are several secrets, the newest one.
            secret: secret.unwrap(),
            method: text(&v["method"]).unwrap_or("POST".into()),
            url: text(&v["url"]),
            headers: v["headers"].as_object().unwrap().iter().map(|(n, v)| (n.clone(), v.as_str().unwrap().to_owned())).collect(),
            body,
            at: v["now"].as_i64(),
            is_valid: v["expect"] == "accept",
            id: id.to_owned(),
            key: text(&v["extra"]["cert_pem"]),
            signed: text(&v["extra"]["expected_signed_string"]),
        }
    };
    all.iter().map(read).collect()
}

impl SignedRequest {
    /// What `doorbell verify` prints for it.
    fn verify(&self, setup: &Setup) -> String {
        std::fs::write(setup.path("body"), &self.body).unwrap();
        let mut arguments: Vec<String> =
            ["verify", &self.sender, "--body", "body", "--secret-env", "KNOWN", "--method", &self.method].map(String::from).to_vec();
        for (name, value) in &self.headers {
            arguments.extend(["--header".into(), format!("{name}: {value}")]);
        }
        if let Some(url) = &self.url {
            arguments.extend(["--url".into(), url.clone()]);
        }
        if let Some(at) = self.at {
            arguments.push(format!("--at={at}"));
        }
        if let Some(key) = &self.key {
            setup.write("key.pem", key);
            arguments.extend(["--key".into(), "key.pem".into()]);
        }
        if let Some((_, scheme)) = SCHEMES.iter().find(|(id, _)| self.sender == "/known" && *id == self.id) {
            let custom = format!("custom: {scheme}, secret: \"{{{{ secret.KNOWN }}}}\" }}");
            setup.write(
                "rules/rules.yaml",
                &format!(
                    "webhooks:\n  /known: {{ verify: {{ {custom} }} }}\nrules:\n  A: {{ when: {{ webhook: /known }}, then: [ log: x ] }}\n"
                ),
            );
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let out = setup.command(&arguments).env("KNOWN", &self.secret).output().unwrap();
        String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap()
    }
}

#[test]
fn every_known_signature_is_accepted_or_denied_as_expected() {
    let all = known_requests();
    let setup = Setup::new();
    for one in &all {
        let said = one.verify(&setup);
        match &one.signed {
            // The certificate is not available, but the signed text is known.
            Some(signed) => assert!(said.contains(signed), "{}: {said}", one.id),
            None => assert_eq!(said == "accepted\n", one.is_valid, "{} ({}): {said}", one.id, one.sender),
        }
    }
    assert!(all.len() >= 80, "only {} known signatures", all.len());
}

#[test]
fn no_change_to_a_signed_request_is_accepted() {
    let all = known_requests();
    let setup = Setup::new();
    for good in all.iter().filter(|k| k.is_valid && k.signed.is_none()) {
        let assert_denied = |what: &str, change: &dyn Fn(&mut SignedRequest)| {
            let mut changed = good.clone();
            change(&mut changed);
            let said = changed.verify(&setup);
            assert!(said != "accepted\n", "{} ({}) with {what}", good.id, good.sender);
            let signatures = good.headers.iter().filter(|(n, _)| n.to_ascii_lowercase().contains("sig"));
            assert!(!signatures.filter(|(_, v)| v.len() > 30).any(|(_, v)| said.contains(v)), "{said}");
        };
        let sends_secret = matches!(good.sender.as_str(), "gitlab" | "telegram");
        // Mailgun signs only a time and a token of the body.
        if !sends_secret && good.sender != "mailgun" {
            // A space would not be enough for senders that sign only parts of the body.
            assert_denied("another body", &|k| k.body.push(b'x'));
        }
        if !good.headers.iter().all(|(n, _)| n == "Content-Type") {
            assert_denied("no headers", &|k| if k.key.is_some() { k.body.clear() } else { k.headers.clear() });
            if good.key.is_none() {
                assert_denied("every header cut", &|k| k.headers.iter_mut().for_each(|(_, v)| v.truncate(10.min(v.len() - 1))));
            }
        }
        assert_denied("another secret", &|k| {
            let middle = k.secret.len() / 2;
            let at = (middle..k.secret.len())
                .find(|n| k.secret.is_char_boundary(*n) && k.secret.as_bytes()[*n].is_ascii_alphanumeric())
                .unwrap_or(0);
            let other = if k.secret.as_bytes()[at] == b'a' { "b" } else { "a" };
            k.secret.replace_range(at..at + 1, other);
        });
        if good.at.is_some() && good.sender != "notion" {
            assert_denied("a time in the past", &|k| k.at = k.at.map(|a| a + 100_000));
            assert_denied("a time in the future", &|k| k.at = k.at.map(|a| a - 100_000));
        }
        if good.url.is_some() {
            assert_denied("another address", &|k| k.url = k.url.as_ref().map(|u| format!("{u}x")));
        }
    }
}

#[test]
fn an_unknown_sender_can_be_described_in_a_rule_file() {
    let signature = "t=1700000000;sig=YtGRdz0Oi05SA8BQ2Gn6xUG2s8i1Mft1jRgX8BISFQI=";
    let setup = Setup::with(
        "webhooks:\n  /acme:\n    verify:\n      custom:\n        secret: [\"{{ secret.NEW }}\", \"{{ secret.OLD }}\"]\n        algorithm: hmac-sha512\n        signature: { from: \"header:X-Acme\", format: \"t={ts};sig={sig}\", encoding: base64 }\n        signed: \"{method}\\\\n{path_and_query}\\\\n{ts}\\\\n{sha256_hex(body)}\"\n        timestamp: { from: signature, tolerance: 0 }\n        require: { \"header:X-Acme-Version\": \"2\" }\nrules:\n  Acme:\n    when: { webhook: /acme }\n    then: [{ log: x }]\n",
    )
    .env("NEW", "new-secret")
    .env("OLD", "old-secret");
    let doorbell = setup.serve();
    let body = b"{}";
    let text = format!("POST\n/acme?a=%20b\n1700000000\n{}", doorbell_hash(body));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA512, b"old-secret");
    let tag = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, ring::hmac::sign(&key, text.as_bytes()));
    let good = format!("t=1700000000;sig={tag}");
    let status = |path: &str, headers: &[(&str, &str)]| doorbell.send("POST", path, headers, body).status;
    assert_eq!(status("/acme?a=%20b", &[("x-acme", &good), ("x-acme-version", "2")]), 200);
    assert_eq!(status("/acme?a=%20b", &[("x-acme", &format!("sig=AAAA;{good};v=1")), ("x-acme-version", "2")]), 200);
    for (path, headers) in [
        ("/acme", vec![("x-acme", good.as_str()), ("x-acme-version", "2")]),
        ("/acme?a=%20b", vec![("x-acme", good.as_str()), ("x-acme-version", "1")]),
        ("/acme?a=%20b", vec![("x-acme", good.as_str())]),
        ("/acme?a=%20b", vec![("x-acme", signature), ("x-acme-version", "2")]),
        ("/acme?a=%20b", vec![("x-acme-version", "2")]),
        ("/acme?a=%20b", vec![("x-acme", good.as_str()), ("x-acme", signature), ("x-acme-version", "2")]),
    ] {
        let got = status(path, &headers);
        assert!(got == 401 || got == 400, "{path} {headers:?}: {got}");
    }
    let got = doorbell.send("POST", "/acme", &[], body);
    assert!(got.body.contains("denied") && !got.body.contains("X-Acme"), "{got:?}");
    until("the reason is logged", || doorbell.logged("the header X-Acme-Version is not 2"));
}

pub fn doorbell_hash(body: &[u8]) -> String {
    doorbell::model::hash::hash(body)
}

#[test]
fn senders_are_listed_and_each_can_be_copied_as_custom() {
    let setup = Setup::new();
    let listed = setup.printed(&["senders"]);
    for sender in listed.lines().take_while(|l| l.starts_with("  ")).filter_map(|l| l.split_whitespace().next()) {
        let said = setup.printed(&["senders", sender]);
        let own = said.contains("written out under `custom:`");
        let Some((_, custom)) = said.split_once(if own { "written out under `custom:`:\n\n" } else { "webhooks:\n  /" }) else {
            panic!("{said}")
        };
        let custom = if own { custom.to_owned() } else { custom.split_once('\n').unwrap().1.to_owned() };
        let custom = custom.split("\n\n").next().unwrap();
        let setup = Setup::with(&format!(
            "webhooks:\n  /a:\n    public_url: https://hooks.example.com\n{custom}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then: [{{ log: x }}]\n"
        ));
        let secret = match () {
            () if said.contains("key: hex") || sender == "adyen" => "00".repeat(32),
            () if said.contains("ed25519") => "A".repeat(43),
            () if said.contains("ecdsa") => format!("B{}", "A".repeat(86)),
            () => "A".repeat(124),
        };
        let mut check = setup.command(&["check"]);
        for name in said.split("secret.").skip(1).filter_map(|rest| rest.split([' ', '}']).next()) {
            check.env(name, &secret);
        }
        let out = check.output().unwrap();
        assert!(out.status.success(), "{sender}: {}\n{custom}", String::from_utf8_lossy(&out.stdout));
    }
    assert_eq!(
        setup.printed(&["senders", "stripes"]),
        "doorbell: there is no sender called `stripes`; did you mean stripe? (`doorbell senders` lists them)\n"
    );
}

#[test]
fn a_sender_that_signs_the_address_needs_public_url() {
    let setup = Setup::with("webhooks:\n  /a: { verify: { square: \"{{ secret.SQUARE }}\" } }\nrules:\n  A:\n    when: { webhook: /a }\n    then: [{ log: x }]\n").env("SQUARE", "x");
    let said = setup.printed(&["check"]);
    assert!(said.contains("error: Square signs the address, so Doorbell must know its public address"), "{said}");
    assert!(said.contains("write `public_url: https://hooks.example.com` next to `verify:`"), "{said}");
}

#[test]
fn the_server_and_the_verify_command_agree() {
    let all = known_requests();
    for one in all.iter().filter(|k| k.sender == "github" || k.sender == "shopify") {
        let setup = Setup::with(&format!("webhooks:\n  /hook: {{ verify: {{ {}: \"{{{{ secret.HOOK }}}}\" }} }}\nrules:\n  All:\n    when: {{ webhook: /hook }}\n    then: [{{ log: hi }}]\n", one.sender)).env("HOOK", &one.secret);
        let doorbell = setup.serve();
        let mut head = format!("POST /hook HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n", one.body.len());
        one.headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        let got = parse_response(&doorbell.raw(&[head.as_bytes(), b"\r\n", &one.body].concat()));
        assert_eq!(got.status != 401, one.is_valid, "{}", one.id);
    }
}

/// HMAC-SHA256 in hexadecimal.
pub fn sign(secret: &[u8], text: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
    ring::hmac::sign(&key, text.as_bytes()).as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

/// Decodes Base64 without the library that Doorbell uses.
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

/// The problems of an address with this `verify:`, if every secret is set; none if it is accepted.
fn problems_of(verify: &str, public_url: &str) -> Vec<String> {
    let text =
        format!("webhooks:\n  /a: {{ {public_url}verify: {verify} }}\nrules:\n  A: {{ when: {{ webhook: /a }}, then: [ log: x ] }}\n");
    let source = Source::new("x.yaml", text.into_bytes()).unwrap();
    let loaded = load(vec![source], Resolver::new(&|_| Some("s3cret-s3cret".into()), &|_| None, &|_| None), true);
    assert_eq!(loaded.ruleset.is_none(), doorbell::problem::any_error(&loaded.problems), "{verify}");
    loaded.problems.iter().filter(|_| loaded.ruleset.is_none()).map(|p| p.message.clone()).collect()
}

#[test]
fn an_empty_list_lets_nobody_in_with_any_scheme() {
    let custom = "algorithm: hmac-sha256, signature: { from: \"header:X\" }";
    let mut all = vec!["[]".to_owned(), "[{}]".to_owned(), "[[]]".to_owned()];
    for name in doorbell::verify::names() {
        all.push(format!("{{ {name}: [] }}"));
        all.push(format!("[{{ {name}: [] }}]"));
        all.push(format!("{{ {name}: {{}} }}"));
        all.push(format!("{{ {name}: {{ secret: [] }} }}"));
        all.push(format!("{{ {name}: [], handshake: {{ when: {{ method: GET, query: c }} }} }}"));
        // An empty list is a mistake even if another scheme would verify the sender.
        all.push(format!("[{{ bearer: \"{{{{ secret.S }}}}\" }}, {{ {name}: [] }}]"));
    }
    all.push(format!("{{ custom: {{ secret: [], {custom} }} }}"));
    all.push("{ custom: { secret: s, algorithm: hmac-sha256, signature: { from: [] } } }".into());
    all.push("{ custom: { secret: \"https://a.example/k\", key: url, algorithm: jwt-rs256, signature: { from: [] } } }".into());
    all.push(
        "{ custom: { secret: \"{{ secret.S }}\", algorithm: jwt-hs256, signature: { from: \"header:X\" }, claims: { iss: [] } } }".into(),
    );
    all.push(format!("{{ custom: {{ secret: \"{{{{ secret.S }}}}\", {custom}, id: [], signed: \"{{id}}\" }} }}"));
    for verify in &all {
        for public_url in ["", "public_url: https://hooks.example.com, "] {
            let said = problems_of(verify, public_url);
            assert!(!said.is_empty(), "{verify} is accepted");
            if verify.starts_with("{ ") && verify.ends_with(": [] }") && !public_url.is_empty() {
                assert!(said.iter().any(|m| m.contains("list")), "{verify}: {said:?}");
            }
        }
    }
}
