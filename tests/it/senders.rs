//! Who may knock: senders by name and by `custom:`, judged by known signatures and by everything that is near to them.

use serde_json::Value;

use crate::world::{Target, World, home, json, read_answer, until};

/// A signature that is known to be good or bad.
#[derive(Clone)]
struct Known {
    sender: String,
    secret: String,
    method: String,
    url: Option<String>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    at: Option<i64>,
    good: bool,
    id: String,
    /// What stands at the address of the sender's key.
    key: Option<String>,
    /// What has to be signed, where it is known.
    signed: Option<String>,
}

/// The schemes of known signatures that no sender's name goes with.
const SCHEMES: [(&str, &str); 5] = [
    ("generic-hmac-sha512-prefixed", "{ algorithm: hmac-sha512, signature: { from: \"header:X-Hub-Signature\", format: \"sha512={sig}\" }"),
    ("generic-sha1-large-github-push", "{ algorithm: hmac-sha1, signature: { from: \"header:X-Hub-Signature\" }"),
    ("hmac-sha256-primitive-empty", "{ algorithm: hmac-sha256, signature: { from: \"header:X-Signature\" }"),
    ("hmac-sha256-primitive-sample", "{ algorithm: hmac-sha256, signature: { from: \"header:X-Signature\" }"),
    ("hmac-sha256-primitive-utf8", "{ algorithm: hmac-sha256, signature: { from: \"header:X-Signature\" }"),
];

/// The known signatures: most are published by the senders themselves, each with its source; the body is the exact one,
/// `now` the clock to be judged by.
fn known() -> Vec<Known> {
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
            // The topic takes the place of a secret.
            text(&serde_json::from_slice::<Value>(&body).ok()?["TopicArn"])
        });
        Known {
            sender: sender.to_owned(),
            // Of several secrets the newer one.
            secret: secret.unwrap(),
            method: text(&v["method"]).unwrap_or("POST".into()),
            url: text(&v["url"]),
            headers: v["headers"].as_object().unwrap().iter().map(|(n, v)| (n.clone(), v.as_str().unwrap().to_owned())).collect(),
            body,
            at: v["now"].as_i64(),
            good: v["expect"] == "accept",
            id: id.to_owned(),
            key: text(&v["extra"]["cert_pem"]),
            signed: text(&v["extra"]["expected_signed_string"]),
        }
    };
    all.iter().map(read).collect()
}

impl Known {
    /// What `doorbell verify` says.
    fn judged(&self, world: &World) -> String {
        std::fs::write(world.path("body"), &self.body).unwrap();
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
            world.write("key.pem", key);
            arguments.extend(["--key".into(), "key.pem".into()]);
        }
        if let Some((_, scheme)) = SCHEMES.iter().find(|(id, _)| self.sender == "/known" && *id == self.id) {
            let custom = format!("custom: {scheme}, secret: \"{{{{ secret.KNOWN }}}}\" }}");
            world.write(
                "rules/rules.yaml",
                &format!(
                    "webhooks:\n  /known: {{ verify: {{ {custom} }} }}\nrules:\n  A: {{ when: {{ webhook: /known }}, then: [ log: x ] }}\n"
                ),
            );
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let out = world.command(&arguments).env("KNOWN", &self.secret).output().unwrap();
        String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap()
    }
}

#[test]
fn every_known_signature_is_judged_as_it_should_be() {
    let all = known();
    let world = World::new();
    for one in &all {
        let said = one.judged(&world);
        match &one.signed {
            // Its certificate is not at hand; what it signed is known.
            Some(signed) => assert!(said.contains(signed), "{}: {said}", one.id),
            None => assert_eq!(said == "accepted\n", one.good, "{} ({}): {said}", one.id, one.sender),
        }
    }
    assert!(all.len() >= 80, "only {} known signatures", all.len());
}

#[test]
fn nothing_near_a_known_signature_is_accepted() {
    let all = known();
    let world = World::new();
    for good in all.iter().filter(|k| k.good && k.signed.is_none()) {
        let bad = |what: &str, change: &dyn Fn(&mut Known)| {
            let mut near = good.clone();
            change(&mut near);
            let said = near.judged(&world);
            assert!(said != "accepted\n", "{} ({}) with {what}", good.id, good.sender);
            let signatures = good.headers.iter().filter(|(n, _)| n.to_ascii_lowercase().contains("sig"));
            assert!(!signatures.filter(|(_, v)| v.len() > 30).any(|(_, v)| said.contains(v)), "{said}");
        };
        let sends_secret = matches!(good.sender.as_str(), "gitlab" | "telegram");
        // Mailgun signs nothing of the body but a time and a token.
        if !sends_secret && good.sender != "mailgun" {
            // A space outside of what is signed changes nothing for those who sign parts of the body.
            bad("another body", &|k| k.body.push(b'x'));
        }
        if !good.headers.iter().all(|(n, _)| n == "Content-Type") {
            bad("no headers", &|k| if k.key.is_some() { k.body.clear() } else { k.headers.clear() });
            if good.key.is_none() {
                bad("every header cut", &|k| k.headers.iter_mut().for_each(|(_, v)| v.truncate(10.min(v.len() - 1))));
            }
        }
        bad("another secret", &|k| {
            let middle = k.secret.len() / 2;
            let at = (middle..k.secret.len())
                .find(|n| k.secret.is_char_boundary(*n) && k.secret.as_bytes()[*n].is_ascii_alphanumeric())
                .unwrap_or(0);
            let other = if k.secret.as_bytes()[at] == b'a' { "b" } else { "a" };
            k.secret.replace_range(at..at + 1, other);
        });
        if good.at.is_some() && good.sender != "notion" {
            bad("a time that is long ago", &|k| k.at = k.at.map(|a| a + 100_000));
            bad("a time that is to come", &|k| k.at = k.at.map(|a| a - 100_000));
        }
        if good.url.is_some() {
            bad("another address", &|k| k.url = k.url.as_ref().map(|u| format!("{u}x")));
        }
    }
}

#[test]
fn an_unknown_sender_is_described_in_the_rule_file() {
    let signature = "t=1700000000;sig=YtGRdz0Oi05SA8BQ2Gn6xUG2s8i1Mft1jRgX8BISFQI=";
    let world = World::with(
        "webhooks:\n  /acme:\n    verify:\n      custom:\n        secret: [\"{{ secret.NEW }}\", \"{{ secret.OLD }}\"]\n        algorithm: hmac-sha512\n        signature: { from: \"header:X-Acme\", format: \"t={ts};sig={sig}\", encoding: base64 }\n        signed: \"{method}\\\\n{path_and_query}\\\\n{ts}\\\\n{sha256_hex(body)}\"\n        timestamp: { from: signature, tolerance: 0 }\n        require: { \"header:X-Acme-Version\": \"2\" }\nrules:\n  Acme:\n    when: { webhook: /acme }\n    then: [{ log: x }]\n",
    )
    .env("NEW", "new-secret")
    .env("OLD", "old-secret");
    let doorbell = world.serve();
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
    until("the reason is told", || doorbell.logged("the header X-Acme-Version is not 2"));
}

fn doorbell_hash(body: &[u8]) -> String {
    doorbell::run::hash(body)
}

#[test]
fn senders_are_listed_and_each_can_be_copied_as_custom() {
    let world = World::new();
    let listed = world.said(&["senders"]);
    for sender in listed.lines().take_while(|l| l.starts_with("  ")).filter_map(|l| l.split_whitespace().next()) {
        let said = world.said(&["senders", sender]);
        let own = said.contains("in its own words");
        let Some((_, custom)) = said.split_once(if own { "in its own words:\n\n" } else { "webhooks:\n  /" }) else { panic!("{said}") };
        let custom = if own { custom.to_owned() } else { custom.split_once('\n').unwrap().1.to_owned() };
        let custom = custom.split("\n\n").next().unwrap();
        let world = World::with(&format!(
            "webhooks:\n  /a:\n    public_url: https://hooks.example.com\n{custom}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then: [{{ log: x }}]\n"
        ));
        let secret = match () {
            () if said.contains("key: hex") || sender == "adyen" => "00".repeat(32),
            () if said.contains("ed25519") => "A".repeat(43),
            () if said.contains("ecdsa") => format!("B{}", "A".repeat(86)),
            () => "A".repeat(124),
        };
        let mut check = world.command(&["check"]);
        for name in said.split("secret.").skip(1).filter_map(|rest| rest.split([' ', '}']).next()) {
            check.env(name, &secret);
        }
        let out = check.output().unwrap();
        assert!(out.status.success(), "{sender}: {}\n{custom}", String::from_utf8_lossy(&out.stdout));
    }
    assert_eq!(
        world.said(&["senders", "stripes"]),
        "doorbell: no sender is called `stripes`; did you mean stripe? `doorbell senders` lists them\n"
    );
}

#[test]
fn a_sender_that_signs_the_address_wants_to_know_it() {
    let world = World::with("webhooks:\n  /a: { verify: { square: \"{{ secret.SQUARE }}\" } }\nrules:\n  A:\n    when: { webhook: /a }\n    then: [{ log: x }]\n").env("SQUARE", "x");
    let said = world.said(&["check"]);
    assert!(said.contains("error: Square signs the address, so Doorbell must know its own"), "{said}");
    assert!(said.contains("write `public_url: https://hooks.example.com` beside `verify:`"), "{said}");
}

#[test]
fn the_server_judges_as_the_command_does() {
    let all = known();
    for one in all.iter().filter(|k| k.sender == "github" || k.sender == "shopify") {
        let world = World::with(&format!("webhooks:\n  /hook: {{ verify: {{ {}: \"{{{{ secret.HOOK }}}}\" }} }}\nrules:\n  All:\n    when: {{ webhook: /hook }}\n    then: [{{ log: hi }}]\n", one.sender)).env("HOOK", &one.secret);
        let doorbell = world.serve();
        let mut head = format!("POST /hook HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n", one.body.len());
        one.headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        let got = read_answer(&doorbell.raw(&[head.as_bytes(), b"\r\n", &one.body].concat()));
        assert_eq!(got.status != 401, one.good, "{}", one.id);
    }
}

/// HMAC-SHA256 in hexadecimal.
pub fn sign(secret: &[u8], text: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
    ring::hmac::sign(&key, text.as_bytes()).as_ref().iter().map(|b| format!("{b:02x}")).collect()
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

/// A key of RSA for tests, and its public half as a JSON Web Key.
fn rsa() -> (ring::signature::RsaKeyPair, Value) {
    let pem = std::fs::read(home().join("tests/keys/rsa.key.pem")).unwrap();
    let der = <rustls::pki_types::PrivatePkcs8KeyDer as rustls::pki_types::pem::PemObject>::from_pem_slice(&pem).unwrap();
    let pair = ring::signature::RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
    let parts: ring::rsa::PublicKeyComponents<Vec<u8>> = pair.public().into();
    let key = serde_json::json!({ "kty": "RSA", "kid": "k1", "use": "sig", "n": url64(&parts.n), "e": url64(&parts.e) });
    (pair, key)
}

fn url64(bytes: &[u8]) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes)
}

fn rsa_sign(pair: &ring::signature::RsaKeyPair, how: &'static dyn ring::signature::RsaEncoding, text: &[u8]) -> Vec<u8> {
    let mut out = vec![0; pair.public().modulus_len()];
    pair.sign(how, &ring::rand::SystemRandom::new(), text, &mut out).unwrap();
    out
}

#[test]
fn public_keys_come_as_pem_as_certificates_and_as_json() {
    let (pair, jwk) = rsa();
    let file = |name: &str| std::fs::read_to_string(home().join("tests/keys").join(name)).unwrap();
    let (public, cert) = (file("rsa.pub.pem"), file("rsa.cert.pem"));
    let pkcs1: &'static dyn ring::signature::RsaEncoding = &ring::signature::RSA_PKCS1_SHA256;
    for (algorithm, how, key, secret) in [
        ("rsa-sha256", pkcs1, "pem", public.clone()),
        ("rsa-sha256", pkcs1, "pem", public.replace('\n', "\\n")),
        ("rsa-sha256", pkcs1, "pem", cert),
        ("rsa-sha256", pkcs1, "jwks", jwk.to_string()),
        ("rsa-sha512", &ring::signature::RSA_PKCS1_SHA512, "pem", public.clone()),
        ("rsa-pss-sha256", &ring::signature::RSA_PSS_SHA256, "pem", public.clone()),
        ("rsa-pss-sha512", &ring::signature::RSA_PSS_SHA512, "pem", public),
        (
            "rsa-pss-sha512",
            &ring::signature::RSA_PSS_SHA512,
            "jwks",
            serde_json::json!({ "keys": [{"kty": "oct", "k": "AA"}, jwk] }).to_string(),
        ),
    ] {
        let world = World::with(&format!(
            "webhooks:\n  /acme:\n    verify:\n      custom:\n        secret: \"{{{{ secret.KEY }}}}\"\n        key: {key}\n        algorithm: {algorithm}\n        signature: {{ from: \"header:X-Sig\", encoding: base64 }}\nrules:\n  A: {{ when: {{ webhook: /acme }}, then: [ log: x ] }}\n"
        ))
        .env("KEY", &secret);
        world.write("body", "{}");
        let sig = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, rsa_sign(&pair, how, b"{}"));
        let header = format!("X-Sig: {sig}");
        let verify = |body: &str| world.said(&["verify", "/acme", "--rules", "rules", "--body", body, "--header", &header]);
        assert_eq!(verify("body"), "accepted\n", "{algorithm} {key}");
        world.write("other", "{ }");
        let said = verify("other");
        assert_eq!(said, "denied: the signature belongs to another secret or another body\nwhat has to be signed, 3 bytes:\n{ }\n");
    }
}

#[test]
fn a_token_is_only_good_with_its_algorithm_its_claims_and_in_its_time() {
    let (pair, jwk) = rsa();
    let other = serde_json::json!({ "kty": "RSA", "kid": "k2", "n": jwk["n"], "e": jwk["e"] });
    let keys = Target::new(&[&json(200, &serde_json::json!({ "keys": [other, jwk] }).to_string())]);
    let world = World::with(&format!(
        "webhooks:\n  /acme:\n    public_url: https://hooks.example.com\n    verify:\n      custom:\n        secret: {}\n        key: jwks-url\n        algorithm: jwt-rs256\n        signature: {{ from: \"header:Authorization\", format: \"Bearer {{sig}}\" }}\n        claims: {{ iss: [acme, other], aud: \"{{url}}\", body: \"{{sha256_hex(body)}}\" }}\nrules:\n  A: {{ when: {{ webhook: /acme }}, then: [ log: x ] }}\n",
        keys.url("/keys.json")
    ));
    let doorbell = world.serve();
    let now = jiff::Timestamp::now().as_second();
    let claims = || serde_json::json!({ "iss": "acme", "aud": ["x", "https://hooks.example.com/acme"], "exp": now + 600, "body": doorbell_hash(b"{}") });
    let call = |head: Value, claims: Value| {
        let signed = format!("{}.{}", url64(head.to_string().as_bytes()), url64(claims.to_string().as_bytes()));
        let sig = match head["alg"].as_str() {
            Some("HS256") => {
                // Whoever takes a public key for a shared secret can be fooled with it.
                let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, jwk["n"].as_str().unwrap().as_bytes());
                ring::hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
            }
            Some("none") => Vec::new(),
            _ => rsa_sign(&pair, &ring::signature::RSA_PKCS1_SHA256, signed.as_bytes()),
        };
        let header = format!("Bearer {signed}.{}", url64(&sig));
        doorbell.send("POST", "/acme", &[("authorization", &header)], b"{}").status
    };
    let head = || serde_json::json!({ "alg": "RS256", "kid": "k1" });
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        claims
    };
    assert_eq!(call(head(), claims()), 200, "{}", doorbell.log.lock().unwrap());
    assert_eq!(call(serde_json::json!({ "alg": "RS256" }), with("iss", "other".into())), 200);
    for (head, claims, reason) in [
        (serde_json::json!({ "alg": "HS256", "kid": "k1" }), claims(), "the token is not signed with RS256"),
        (serde_json::json!({ "alg": "none" }), claims(), "the token is not signed with RS256"),
        (serde_json::json!({ "alg": "RS256", "kid": "k9" }), claims(), "the token's signature belongs to another key"),
        (serde_json::json!({ "alg": "RS256", "crit": ["b64"] }), claims(), "the token asks for more than is known here"),
        (head(), with("iss", "evil".into()), "the token's `iss` is not acme or other"),
        (head(), with("aud", "https://elsewhere.example.com/acme".into()), "the token's `aud` is not https://hooks.example.com/acme"),
        (head(), with("body", "x".into()), "the token's `body` is not"),
        (head(), with("exp", (now - 61).into()), "the token has expired"),
        (head(), with("exp", "tomorrow".into()), "the token's `exp` is no time"),
        (head(), with("nbf", (now + 3_600).into()), "the token is not valid yet"),
    ] {
        assert_eq!(call(head, claims), 401, "{reason}");
        until(reason, || doorbell.logged(reason));
    }
    assert_eq!(keys.calls().len(), 1, "the keys are fetched once, and not for every bad token");
}

#[test]
fn a_key_that_cannot_be_had_asks_the_sender_to_come_back() {
    let keys = Target::new(&[&json(500, "{}")]);
    let world = World::with(&format!(
        "webhooks:\n  /acme:\n    verify:\n      custom: {{ secret: \"{}\", key: url, algorithm: rsa-sha256, signature: {{ from: \"header:X-Sig\" }} }}\nrules:\n  A: {{ when: {{ webhook: /acme }}, then: [ log: x ] }}\n",
        keys.url("/key.pem")
    ));
    let doorbell = world.serve();
    let got = doorbell.send("POST", "/acme", &[("x-sig", "00")], b"{}");
    assert_eq!((got.status, got.header("retry-after")), (503, "10"));
    until("the reason is told", || doorbell.logged("cannot be had: it answered 500"));
    let _ = doorbell.send("POST", "/acme", &[("x-sig", "00")], b"{}");
    assert_eq!(keys.calls().len(), 1, "who failed a moment ago is not asked again at once");
}

#[test]
fn messages_of_sns_are_checked_with_the_certificate_at_an_address_of_amazon() {
    let (pair, _) = rsa();
    let topic = "arn:aws:sns:eu-west-1:123456789012:orders";
    let world = World::new();
    let said = |change: &dyn Fn(&mut Value), topics: &str| {
        let mut message = serde_json::json!({
            "Type": "Notification", "MessageId": "m-1", "TopicArn": topic, "Message": "Hello", "Subject": null, "SignatureVersion": "2",
            "Timestamp": "2026-11-24T10:00:00.000Z", "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem",
        });
        let signed =
            format!("Message\nHello\nMessageId\nm-1\nTimestamp\n2026-11-24T10:00:00.000Z\nTopicArn\n{topic}\nType\nNotification\n");
        let sig = rsa_sign(&pair, &ring::signature::RSA_PKCS1_SHA256, signed.as_bytes());
        message["Signature"] = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, sig).into();
        change(&mut message);
        world.write("body", &message.to_string());
        let key = home().join("tests/keys/rsa.cert.pem");
        let arguments =
            ["verify", "aws_sns", "--body", "body", "--secret-env", "TOPIC", "--at", "1795514400", "--key", key.to_str().unwrap()];
        let out = world.command(&arguments).env("TOPIC", topics).output().unwrap();
        String::from_utf8(out.stdout).unwrap().lines().next().unwrap().to_owned()
    };
    assert_eq!(said(&|_| {}, topic), "accepted");
    assert_eq!(said(&|m| m["Message"] = "Hullo".into(), topic), "denied: the signature belongs to another message");
    assert_eq!(said(&|m| m["SignatureVersion"] = "1".into(), topic), "denied: the signature belongs to another message");
    assert_eq!(
        said(&|_| {}, "arn:aws:sns:eu-west-1:123456789012:other"),
        "denied: the message is of another topic than the rule file says"
    );
    assert_eq!(said(&|m| drop(m.as_object_mut().unwrap().remove("Signature")), topic), "denied: `Signature` is missing in the body");
    for address in [
        "https://sns.eu-west-1.amazonaws.com.evil.example/x.pem",
        "https://evil.example/sns.eu-west-1.amazonaws.com/x.pem",
        "http://sns.eu-west-1.amazonaws.com/x.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/x.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/x.pem",
        "https://sns.a.b.amazonaws.com/x.pem",
        "https://s3.eu-west-1.amazonaws.com/x.pem",
        "https://sns.eu-west-1.amazonaws.com/x.crt",
    ] {
        assert_eq!(said(&|m| m["SigningCertURL"] = address.into(), topic), "denied: the certificate does not stand at an address of SNS");
    }
}
