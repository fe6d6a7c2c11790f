//! Senders that sign with a private key; the public key is in the rule file or at an address of the sender.

use serde_json::Value;

use crate::harness::{Setup, Target, json, project_folder, until};
use crate::senders::doorbell_hash;

/// An RSA key for tests, and its public part as a JSON Web Key.
fn rsa() -> (ring::signature::RsaKeyPair, Value) {
    let pem = std::fs::read(project_folder().join("tests/keys/rsa.key.pem")).unwrap();
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
fn public_keys_can_be_pem_certificates_or_json_web_keys() {
    let (pair, jwk) = rsa();
    let file = |name: &str| std::fs::read_to_string(project_folder().join("tests/keys").join(name)).unwrap();
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
        let setup = Setup::with(&format!(
            "webhooks:\n  /acme:\n    verify:\n      custom:\n        secret: \"{{{{ secret.KEY }}}}\"\n        key: {key}\n        algorithm: {algorithm}\n        signature: {{ from: \"header:X-Sig\", encoding: base64 }}\nrules:\n  A: {{ when: {{ webhook: /acme }}, then: [ log: x ] }}\n"
        ))
        .env("KEY", &secret);
        setup.write("body", "{}");
        let sig = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, rsa_sign(&pair, how, b"{}"));
        let header = format!("X-Sig: {sig}");
        let verify = |body: &str| setup.printed(&["verify", "/acme", "--rules", "rules", "--body", body, "--header", &header]);
        assert_eq!(verify("body"), "accepted\n", "{algorithm} {key}");
        setup.write("other", "{ }");
        let said = verify("other");
        assert_eq!(
            said,
            "denied: the signature was made with a different secret or for a different body\nthe content that has to be signed, 3 bytes:\n{ }\n"
        );
    }
}

#[test]
fn a_token_is_valid_only_with_its_algorithm_its_claims_and_in_time() {
    let (pair, jwk) = rsa();
    let other = serde_json::json!({ "kty": "RSA", "kid": "k2", "n": jwk["n"], "e": jwk["e"] });
    let keys = Target::new(&[&json(200, &serde_json::json!({ "keys": [other, jwk] }).to_string())]);
    let setup = Setup::with(&format!(
        "webhooks:\n  /acme:\n    public_url: https://hooks.example.com\n    verify:\n      custom:\n        secret: {}\n        key: jwks-url\n        algorithm: jwt-rs256\n        signature: {{ from: \"header:Authorization\", format: \"Bearer {{sig}}\" }}\n        claims: {{ iss: [acme, other], aud: \"{{url}}\", body: \"{{sha256_hex(body)}}\" }}\nrules:\n  A: {{ when: {{ webhook: /acme }}, then: [ log: x ] }}\n",
        keys.url("/keys.json")
    ));
    let doorbell = setup.serve();
    let now = jiff::Timestamp::now().as_second();
    let claims = || serde_json::json!({ "iss": "acme", "aud": ["x", "https://hooks.example.com/acme"], "exp": now + 600, "body": doorbell_hash(b"{}") });
    let call = |head: Value, claims: Value| {
        let signed = format!("{}.{}", url64(head.to_string().as_bytes()), url64(claims.to_string().as_bytes()));
        let sig = match head["alg"].as_str() {
            Some("HS256") => {
                // An attacker uses the public key as if it were a shared secret.
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
        (serde_json::json!({ "alg": "RS256", "kid": "k9" }), claims(), "the token was signed with a different key"),
        (serde_json::json!({ "alg": "RS256", "crit": ["b64"] }), claims(), "the token requires extensions that Doorbell does not support"),
        (head(), with("iss", "evil".into()), "the token's `iss` is not acme or other"),
        (head(), with("aud", "https://elsewhere.example.com/acme".into()), "the token's `aud` is not https://hooks.example.com/acme"),
        (head(), with("body", "x".into()), "the token's `body` is not"),
        (head(), with("exp", (now - 61).into()), "the token has expired"),
        (head(), with("exp", "tomorrow".into()), "the token's `exp` is not a time"),
        (head(), with("nbf", (now + 120).into()), "the token is not valid yet"),
    ] {
        assert_eq!(call(head, claims), 401, "{reason}");
        until(reason, || doorbell.logged(reason));
    }
    assert_eq!(keys.calls().len(), 1, "the keys are fetched once, and not for every bad token");
}

#[test]
fn if_a_key_cannot_be_fetched_the_sender_is_asked_to_retry() {
    let keys = Target::new(&[&json(500, "{}")]);
    let setup = Setup::with(&format!(
        "webhooks:\n  /acme:\n    verify:\n      custom: {{ secret: \"{}\", key: url, algorithm: rsa-sha256, signature: {{ from: \"header:X-Sig\" }} }}\nrules:\n  A: {{ when: {{ webhook: /acme }}, then: [ log: x ] }}\n",
        keys.url("/key.pem")
    ));
    let doorbell = setup.serve();
    let got = doorbell.send("POST", "/acme", &[("x-sig", "00")], b"{}");
    assert_eq!((got.status, got.header("retry-after")), (503, "10"));
    until("the reason is logged", || doorbell.logged("could not be fetched: it answered 500"));
    let _ = doorbell.send("POST", "/acme", &[("x-sig", "00")], b"{}");
    assert_eq!(keys.calls().len(), 1, "a server that has just failed is not asked again at once");
}

const CERTIFICATE: &str = "SimpleNotificationService-0123456789abcdef0123456789abcdef.pem";

#[test]
fn sns_messages_are_verified_only_with_a_certificate_from_an_sns_address() {
    let (pair, _) = rsa();
    let topic = "arn:aws:sns:eu-west-1:123456789012:orders";
    let setup = Setup::new();
    let said = |change: &dyn Fn(&mut Value), topics: &str| {
        let mut message = serde_json::json!({
            "Type": "Notification", "MessageId": "m-1", "TopicArn": topic, "Message": "Hello", "Subject": null, "SignatureVersion": "2",
            "Timestamp": "2026-11-24T10:00:00.000Z", "SigningCertURL": format!("https://sns.eu-west-1.amazonaws.com/{}", CERTIFICATE),
        });
        let signed =
            format!("Message\nHello\nMessageId\nm-1\nTimestamp\n2026-11-24T10:00:00.000Z\nTopicArn\n{topic}\nType\nNotification\n");
        let sig = rsa_sign(&pair, &ring::signature::RSA_PKCS1_SHA256, signed.as_bytes());
        message["Signature"] = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, sig).into();
        change(&mut message);
        setup.write("body", &message.to_string());
        let key = project_folder().join("tests/keys/rsa.cert.pem");
        let arguments =
            ["verify", "aws_sns", "--body", "body", "--secret-env", "TOPIC", "--at", "1795514400", "--key", key.to_str().unwrap()];
        let out = setup.command(&arguments).env("TOPIC", topics).output().unwrap();
        String::from_utf8(out.stdout).unwrap().lines().next().unwrap().to_owned()
    };
    assert_eq!(said(&|_| {}, topic), "accepted");
    assert_eq!(said(&|m| m["Message"] = "Hullo".into(), topic), "denied: the signature is for a different message");
    assert_eq!(said(&|m| m["SignatureVersion"] = "1".into(), topic), "denied: the signature is for a different message");
    assert_eq!(
        said(&|_| {}, "arn:aws:sns:eu-west-1:123456789012:other"),
        "denied: the message is from a different topic than the one in the rule file"
    );
    assert_eq!(said(&|m| drop(m.as_object_mut().unwrap().remove("Signature")), topic), "denied: `Signature` is missing in the body");
    // Checks that need no certificate come first, so that it is not fetched for nothing.
    let elsewhere = "https://evil.example/x.pem";
    for (field, value, why) in [
        ("TopicArn", "arn:aws:sns:eu-west-1:123456789012:other", "the message is from a different topic than the one in the rule file"),
        ("Type", "Other", "this kind of message is unknown"),
        ("SignatureVersion", "3", "this version of SNS signatures is unknown"),
        ("Signature", "?", "the signature in the body cannot be decoded"),
    ] {
        let change = |m: &mut Value| (m["SigningCertURL"], m[field]) = (elsewhere.into(), value.into());
        assert_eq!(said(&change, topic), format!("denied: {why}"));
    }
    let old = |m: &mut Value| (m["SigningCertURL"], m["Timestamp"]) = (elsewhere.into(), "2026-11-24T08:00:00Z".into());
    assert!(said(&old, topic).starts_with("denied: the time of the signature is 7200 seconds off"));
    for address in [
        "https://sns.eu-west-1.amazonaws.com.evil.example/NAME",
        "https://evil.example/sns.eu-west-1.amazonaws.com/NAME",
        "https://evil.example/NAME#sns.eu-west-1.amazonaws.com",
        "http://sns.eu-west-1.amazonaws.com/NAME",
        "https://sns.eu-west-1.amazonaws.com@evil.example/NAME",
        "https://a@sns.eu-west-1.amazonaws.com/NAME",
        "https://sns.eu-west-1.amazonaws.com:8443/NAME",
        "https://sns.eu-west-1.amazonaws.com:443/NAME",
        "https://SNS.eu-west-1.amazonaws.com/NAME",
        "https://sns.eu-west-1.amazonaws.com./NAME",
        "https://sns.eu-west-1.amazonaws.com\\.evil.example/NAME",
        "https://sns.a.b.amazonaws.com/NAME",
        "https://s3.eu-west-1.amazonaws.com/NAME",
        // Hosts whose content others choose, and hosts in another partition of AWS than the topic.
        "https://sns.s3.amazonaws.com/NAME",
        "https://sns.s3-eu-west-1.amazonaws.com/NAME",
        "https://sns.s3-website-eu-west-1.amazonaws.com/NAME",
        "https://sns.execute-api.amazonaws.com/NAME",
        "https://sns.eu-west-1.amazonaws.com.cn/NAME",
        // Other files, and other spellings of this file.
        "https://sns.eu-west-1.amazonaws.com/x.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1/2.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-%2e.pem",
        "https://sns.eu-west-1.amazonaws.com/x/../NAME",
        "https://sns.eu-west-1.amazonaws.com//NAME",
        "https://sns.eu-west-1.amazonaws.com/NAME?x",
        "https://sns.eu-west-1.amazonaws.com/NAME#x",
        "https://sns.eu-west-1.amazonaws.com/?x=/NAME",
        "https://sns.eu-west-1.amazonaws.com/NAME ",
    ] {
        let address = address.replace("NAME", CERTIFICATE);
        let said = said(&|m| m["SigningCertURL"] = address.as_str().into(), topic);
        assert_eq!(said, "denied: the certificate is not at an SNS address", "{address}");
    }
}
