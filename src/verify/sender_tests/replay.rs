//! A signed request is recognized as a repetition however its signature is encoded and whatever unsigned content comes with it.

use ring::{hmac, signature};

use super::*;
use crate::verify::guard::Keys;
use crate::verify::verifier::Published;

/// The same signature mirrored on the curve: also valid for the same text (the curve's order minus the number).
fn mirrored(halves: &[u8]) -> Vec<u8> {
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84,
        0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let mut out = halves.to_vec();
    let mut borrowed = 0;
    for n in (0..32).rev() {
        let left = i16::from(ORDER[n]) - i16::from(halves[32 + n]) - borrowed;
        borrowed = i16::from(left < 0);
        out[32 + n] = left.rem_euclid(256) as u8;
    }
    out
}

/// Other encodings of a text that may be Base64 or hexadecimal; some of them are never accepted.
fn reencoded(text: &str) -> Vec<String> {
    let bare = text.trim_end_matches('=');
    let last = |to: char| bare.chars().take(bare.len() - 1).chain([to]).collect();
    let mut all: Vec<String> = ["", "=", "==", "===", "\n", " "].iter().map(|end| format!("{bare}{end}")).collect();
    all.extend([text.to_lowercase(), text.to_uppercase(), text.replace('+', "-").replace('/', "_"), format!(" {text} ")]);
    all.extend("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars().map(last));
    all
}

impl Signer<'_> {
    /// Every encoding of a signature.
    fn encodings(&self, message: &[u8]) -> Vec<String> {
        let one = self.sign(message);
        let scheme = &self.sender.scheme;
        let mut signatures = vec![one.clone()];
        if matches!(scheme.algorithm, Algorithm::EcdsaP256 | Algorithm::JwtEs256) {
            signatures.extend([mirrored(&one), self.sign(message)]);
        }
        let mut all = Vec::new();
        for usual in signatures.iter().map(|s| self.encoded(message, s)) {
            let (before, encoded) = match scheme.algorithm.token_word() {
                Some(_) => usual.rsplit_once('.').map(|(signed, sig)| (format!("{signed}."), sig.to_owned())).unwrap(),
                None => (String::new(), usual.clone()),
            };
            all.extend(reencoded(&encoded).into_iter().map(|s| format!("{before}{s}")));
            // The parts of a token in other encodings, which are different texts to the signature.
            all.extend([usual.replace('.', "=."), usual.replace('.', ".."), format!("{usual}.")]);
            if scheme.encoding == Encoding::Base64OfHex {
                all.push(STANDARD.encode(hex(&one).to_uppercase()));
            }
        }
        all
    }

    /// Every way to send an encoded signature.
    fn sent(&self, draft: &Draft, encoded: &str) -> Vec<Request> {
        let scheme = &self.sender.scheme;
        let formatted = self.formatted(draft.time.as_deref(), encoded);
        let mut texts = vec![formatted.clone()];
        if let Some(list) = &scheme.list {
            texts.extend([format!("v0,x{list}{formatted}"), format!("{formatted}{list}{formatted}"), format!("{formatted}{list}junk")]);
        }
        if let Format::Pairs { between, signature, .. } = &scheme.format {
            let turned: Vec<&str> = formatted.split(*between).rev().collect();
            texts.push(turned.join(&between.to_string()));
            texts.push(format!("{signature}=00{between} {formatted}{between}x=y"));
        }
        let mut all = Vec::new();
        for text in &texts {
            for place in &scheme.from {
                let mut request = draft.request.clone();
                place.put(&mut request, text);
                all.push(request.clone());
                // A header that is repeated, in upper case, surrounded by spaces.
                let mut more = request.clone();
                more.headers.extend(request.headers.clone());
                all.push(more);
                let mut more = request.clone();
                more.headers.iter_mut().for_each(|(name, value)| (*name, *value) = (name.to_uppercase(), format!("  {value} ")));
                all.push(more);
            }
        }
        all
    }
}

/// The same request with additional content, some of which may be signed.
fn with_additions(request: &Request) -> Vec<Request> {
    let mut all = vec![request.clone(); 6];
    all[0].query = format!("{}&more=1", request.query);
    all[1].headers.push(("x-more".into(), "1".into()));
    all[2].body = [&request.body[..], b" \n"].concat().into();
    all[3].body = [b" ", &request.body[..]].concat().into();
    all[4].method = "PUT".into();
    // Repeated fields, in another order.
    all[5].body = [&request.body[..], b"&", &request.body[..]].concat().into();
    all
}

/// Asserts that every accepted request has only proofs of the original; returns how many were accepted.
fn recognized(name: &str, guard: &Guard, keys: &Keys, original: &Request, others: &[Request]) -> usize {
    let proofs = guard.proofs(original, keys);
    let mut accepted = 0;
    for other in others.iter().filter(|other| guard.check(other, keys).is_ok()) {
        accepted += 1;
        let found = guard.proofs(other, keys);
        assert_eq!(found.is_empty(), proofs.is_empty(), "{name}");
        assert!(found.iter().all(|p| proofs.contains(p)), "{name}: {other:?} is not recognized as {original:?}");
    }
    accepted
}

#[test]
fn every_accepted_encoding_of_a_signature_is_the_same_request() {
    for sender in all() {
        let signer = Signer::new(&sender);
        let (draft, original) = signer.signed(b"{\"type\":\"order\",\"n\":1}");
        let keys = Keys::new();
        let mut others: Vec<Request> = Vec::new();
        for encoded in signer.encodings(&draft.message) {
            others.extend(signer.sent(&draft, &encoded));
        }
        others.extend(with_additions(&original));
        let accepted = recognized(&sender.name, &signer.guard, &keys, &original, &others);
        assert!(accepted >= 4, "{}: only {accepted} of {} are accepted", sender.name, others.len());
        let signs = sender.scheme.algorithm != Algorithm::Equals;
        assert_eq!(signer.guard.proofs(&original, &keys).len(), usize::from(signs), "{}", sender.name);
        // What is not verified proves nothing.
        assert!(signer.guard.proofs(&draft.request, &keys).is_empty(), "{}", sender.name);
        // Different text is a different request, if the body is signed.
        let (other_draft, other) = signer.signed(b"{\"type\":\"order\",\"n\":2}");
        let same = signer.guard.proofs(&other, &keys) == signer.guard.proofs(&original, &keys);
        assert_eq!(same, !signs || other_draft.message == draft.message, "{}", sender.name);
    }
}

#[test]
fn no_proof_contains_the_secret() {
    for sender in all().iter().filter(|s| s.scheme.signed.has_secret()) {
        let signer = Signer::new(sender);
        let (draft, request) = signer.signed(b"{}");
        let with_secret = crate::model::hash::hash(&draft.message);
        assert!(!signer.guard.proofs(&request, &Keys::new()).contains(&with_secret), "{} has the signature as a proof", sender.name);
    }
}

fn json_request(body: &Value) -> Request {
    blank(body.to_string().as_bytes())
}

#[test]
fn adyen_items_are_recognized_one_by_one() {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SHARED);
    let item = |reference: &str| {
        let signed = format!("{reference}::Shop:order:100:EUR:AUTHORISATION:true");
        json!({ "NotificationRequestItem": {
            "pspReference": reference, "merchantAccountCode": "Shop", "merchantReference": "order", "eventCode": "AUTHORISATION",
            "amount": { "value": 100, "currency": "EUR" }, "success": "true",
            "additionalData": { "hmacSignature": STANDARD.encode(hmac::sign(&key, signed.as_bytes())) },
        } })
    };
    let guard = guard("adyen: \"{{ secret.S }}\"", &hex(SHARED));
    let of = |items: &[Value]| json_request(&json!({ "live": "false", "notificationItems": items }));
    let (a, b) = (item("A"), item("B"));
    let original = of(&[a.clone(), b.clone()]);
    let mut unpadded = a.clone();
    let bare = a["NotificationRequestItem"]["additionalData"]["hmacSignature"].as_str().unwrap().trim_end_matches('=').to_owned();
    unpadded["NotificationRequestItem"]["additionalData"]["hmacSignature"] = bare.into();
    let others = [
        of(&[b.clone(), a.clone()]),
        of(std::slice::from_ref(&a)),
        of(std::slice::from_ref(&b)),
        of(&[a.clone(), a.clone()]),
        of(&[unpadded]),
        json_request(&a["NotificationRequestItem"]),
        blank(serde_json::to_string_pretty(&serde_json::from_slice::<Value>(&original.body).unwrap()).unwrap().as_bytes()),
    ];
    assert_eq!(recognized("adyen", &guard, &Keys::new(), &original, &others), others.len());
    assert_eq!(guard.proofs(&original, &Keys::new()).len(), 2);
    assert_ne!(guard.proofs(&of(&[item("C")]), &Keys::new()), guard.proofs(&of(&[a]), &Keys::new()));
}

#[test]
fn a_twilio_request_is_recognized() {
    let guard = guard("twilio: \"{{ secret.S }}\"", "token");
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"token");
    let signed = |url: &str| STANDARD.encode(hmac::sign(&key, format!("{url}A1B2").as_bytes()));
    let with = |signature: &str, body: &str| {
        let mut request = blank(body.as_bytes());
        request.headers.push(("x-twilio-signature".into(), signature.into()));
        request
    };
    let usual = signed("https://hooks.example.com/hook");
    let mut others: Vec<Request> = reencoded(&usual).iter().map(|s| with(s, "A=1&B=2")).collect();
    others.push(with(&signed("https://hooks.example.com:443/hook"), "A=1&B=2"));
    others.extend(["B=2&A=1", "A=1&B=2&A=1", "%41=1&B=%32"].map(|body| with(&usual, body)));
    assert!(recognized("twilio", &guard, &Keys::new(), &with(&usual, "A=1&B=2"), &others) > 6);
}

#[test]
fn sns_and_paypal_messages_are_recognized() {
    let certificate = Published::read(RSA_CERTIFICATE.as_bytes()).unwrap();
    let address = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem";
    let topic = "arn:aws:sns:eu-west-1:123456789012:orders";
    let time = Timestamp::from_second(NOW).unwrap().to_string();
    let text = format!("Message\nHello\nMessageId\nm-1\nTimestamp\n{time}\nTopicArn\n{topic}\nType\nNotification\n");
    let usual = STANDARD.encode(rsa_sign(&signature::RSA_PKCS1_SHA256, text.as_bytes()));
    let message = |signature: &str| {
        json!({
            "Type": "Notification", "MessageId": "m-1", "TopicArn": topic, "Message": "Hello", "SignatureVersion": "2",
            "Timestamp": time, "SigningCertURL": address, "Signature": signature,
        })
    };
    let sns = guard("aws_sns: arn:aws:sns:eu-west-1:123456789012:orders", "");
    let keys = Keys::from([(address.to_owned(), certificate.clone())]);
    let original = json_request(&message(&usual));
    let mut others: Vec<Request> = reencoded(&usual).iter().map(|s| json_request(&message(s))).collect();
    others.push(blank(serde_json::to_string_pretty(&message(&usual)).unwrap().as_bytes()));
    let mut more = message(&usual);
    more["UnsubscribeURL"] = "https://elsewhere.example".into();
    more["Subject"] = Value::Null;
    others.push(json_request(&more));
    assert!(recognized("aws_sns", &sns, &keys, &original, &others) > 4);

    let paypal = guard("paypal: \"{{ secret.S }}\"", "4JH86294D6297924G");
    let address = "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-a5cafa77";
    let keys = Keys::from([(address.to_owned(), certificate)]);
    let text = format!("t-1|{time}|4JH86294D6297924G|{}", crc32fast::hash(b"{}"));
    let usual = STANDARD.encode(rsa_sign(&signature::RSA_PKCS1_SHA256, text.as_bytes()));
    let with = |signature: &str, algorithm: &str| {
        let mut request = blank(b"{}");
        for (name, value) in [("id", "t-1"), ("time", &time), ("sig", signature)] {
            request.headers.push((format!("paypal-transmission-{name}"), value.to_owned()));
        }
        request.headers.extend([("paypal-cert-url".into(), address.into()), ("paypal-auth-algo".into(), algorithm.into())]);
        request
    };
    let mut others: Vec<Request> = reencoded(&usual).iter().map(|s| with(s, "SHA256withRSA")).collect();
    others.push(with(&usual, "sha256WITHrsa"));
    assert!(recognized("paypal", &paypal, &keys, &with(&usual, "SHA256withRSA"), &others) > 4);
}

#[test]
fn a_sender_that_only_sends_a_secret_proves_no_single_request() {
    let bearer = guard("bearer: \"{{ secret.S }}\"", "s3cret");
    let mut request = blank(b"{}");
    request.headers.push(("authorization".into(), "Bearer s3cret".into()));
    assert_eq!(bearer.check(&request, &Keys::new()), Ok(()));
    assert!(bearer.proofs(&request, &Keys::new()).is_empty() && Guard::open().proofs(&request, &Keys::new()).is_empty());
    let graph = guard("microsoft_graph: \"{{ secret.S }}\"", "s3cret");
    let changes = json_request(&json!({ "value": [{ "clientState": "s3cret" }] }));
    assert_eq!(graph.check(&changes, &Keys::new()), Ok(()));
    assert!(graph.proofs(&changes, &Keys::new()).is_empty());
}
