//! Signatures next to others: of another version, made with another secret, or by another rule of the sender. They are judged as
//! the sender's own library does it.

use super::*;

#[test]
fn a_valid_signature_is_found_among_others_and_others_alone_are_not_enough() {
    let mut checked = 0;
    for sender in all() {
        let signer = Signer::new(&sender);
        let draft = signer.draft(b"{\"type\":\"order\"}");
        let good = signer.encoded(&draft.message, &signer.sign(&draft.message));
        let bad = signer.encoded(&draft.message, &signer.sign(b"something else"));
        let time = draft.time.as_deref();
        let (around, alone) = match (&sender.scheme.format, &sender.scheme.list) {
            (Format::Pairs { between: b, signature, .. }, _) => {
                let one = signer.formatted(time, &good);
                (
                    vec![
                        format!("v0={bad}{b}{one}"),
                        format!("{one}{b}v0={bad}{b}v2={bad}{b}{signature}={bad}"),
                        format!("{one}{b} {signature}=not a signature"),
                        one.replace(&format!("{signature}={good}"), &format!("{signature}={bad}{b}v0={bad}{b}{signature}={good}")),
                    ],
                    signer.formatted(time, &bad) + &format!("{b}v0={good}"),
                )
            }
            (_, Some(list)) => {
                let (one, wrong) = (signer.formatted(time, &good), signer.formatted(time, &bad));
                let other = format!("v2,{good}");
                (
                    vec![
                        format!("{other}{list}{one}"),
                        format!("{wrong}{list}{other}{list}{one}"),
                        format!("{one}{list}{wrong}{list}v1a,not a signature"),
                    ],
                    format!("{other}{list}{wrong}"),
                )
            }
            _ => continue,
        };
        let accepts = |text: &str| {
            let mut request = draft.request.clone();
            sender.scheme.from[0].put(&mut request, text);
            signer.guard.check(&request, &Default::default()).is_ok()
        };
        for text in &around {
            assert!(accepts(text), "{}: {text}", sender.name);
        }
        assert!(!accepts(&alone), "{}: {alone}", sender.name);
        checked += 1;
    }
    assert!(checked >= 15, "{checked}");
}

#[test]
fn while_a_secret_is_replaced_persona_sends_one_set_of_pairs_for_each() {
    let sender = all().into_iter().find(|sender| sender.name == "persona").unwrap();
    let signer = Signer::new(&sender);
    let draft = signer.draft(b"{}");
    let (good, bad) = (hex(&signer.sign(&draft.message)), hex(&signer.sign(b"else")));
    let accepts = |text: String| {
        let mut request = draft.request.clone();
        sender.scheme.from[0].put(&mut request, &text);
        signer.guard.check(&request, &Default::default()).is_ok()
    };
    for [first, second] in [[&good, &bad], [&bad, &good]] {
        assert!(accepts(format!("t={NOW},v1={first} t={NOW},v1={second}")));
        assert!(!accepts(format!("t={NOW},v1={first} t={},v1={second}", NOW + 1)), "it is open which time is signed");
    }
}

#[test]
fn a_webhook_rule_of_twilio_signs_with_its_shared_key() {
    let both = guard("twilio: { secret: \"{{ secret.S }}\", shared_key: other-key }", "token");
    let token_only = guard("twilio: \"{{ secret.S }}\"", "token");
    let (sha1, sha256) = (hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, hmac::HMAC_SHA256);
    let why = |guard: &Guard, how, key: &str, settings: &str| {
        let mut request = blank(b"A=1&B=2");
        let tag = hmac::sign(&hmac::Key::new(how, key.as_bytes()), b"https://hooks.example.com/hookA1B2");
        request.headers.push(("x-twilio-signature".into(), STANDARD.encode(tag)));
        if !settings.is_empty() {
            request.headers.push(("x-twilio-webhooks-signature-settings".into(), settings.into()));
        }
        guard.check(&request, &Default::default()).err().unwrap_or_default()
    };
    let different = "the signature was made with a different secret, or for a different address or form";
    let rule = "key=WK0123,algorithm=HMAC_SHA256";
    assert_eq!(why(&both, sha256, "other-key", rule), "");
    assert_eq!(why(&both, sha1, "token", ""), "");
    assert_eq!(why(&both, sha1, "other-key", "key=WK0123,algorithm=HMAC_SHA1"), "");
    assert_eq!(why(&both, sha256, "token", rule), different, "the token is for requests without a rule");
    assert_eq!(why(&both, sha1, "token", rule), different);
    assert_eq!(why(&both, sha256, "other-key", ""), different);
    let unsupported = "the header X-Twilio-Webhooks-Signature-Settings names an algorithm that Doorbell does not support";
    assert_eq!(why(&both, sha256, "other-key", "key=WK0123,algorithm=MD5"), unsupported);
    let missing = "the header X-Twilio-Webhooks-Signature-Settings says that a webhook rule signs with its shared key; write `shared_key:` next to `secret:`";
    assert_eq!(why(&token_only, sha256, "token", rule), missing);
}
