//! The answer to a handshake never contains anything that makes another request acceptable, whatever the token is.

use super::*;
use crate::model::event::EventId;
use crate::verify::guard::{Keys, NotAdmitted};
use crate::verify::handshake::Greeted;

/// Bodies that an attacker would like to have signed.
fn bodies() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [
        "{\"tweet\":\"pay the attacker\"}",
        "a=1&b=2",
        "123",
        "-1",
        "true",
        "null",
        "\"x\"",
        "[]",
        "",
        " ",
        "abc",
        "-_-",
        "e30",
        "{}",
        "\u{e9}\u{1f600}",
        "v0:1795514400:{}",
        "1795514400.{}",
        "1795514400",
        "line\nbreak",
        "a%20b",
        "<b>",
        "\0",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    all.extend([64, 128, 129, 1_024, 5_000].map(|length| vec![b'A'; length]));
    all.push([b"{\"a\":\"", &vec![b'A'; 5_000][..], b"\"}"].concat());
    all
}

/// The answer to a request, if it is a handshake.
fn handshake_answer(guard: &Guard, request: Request) -> Option<Greeted> {
    match guard.admit(request, &Keys::new(), EventId(uuid::Uuid::nil()), 1 << 20, None) {
        Err(NotAdmitted::Greeted(handshake_answer)) => Some(*handshake_answer),
        _ => None,
    }
}

/// The answers to every handshake of a sender with this token, signed if the sender signs them.
fn answers(signer: &Signer, guard: &Guard, token: &str) -> Vec<Greeted> {
    let one = |handshake: &crate::verify::handshake::Handshake| {
        let mut request = blank(b"{}");
        handshake.make(&mut request, token);
        if handshake.is_signed() {
            let draft = signer.draft_of(request);
            request = signer.request(&draft, &signer.encoded(&draft.message, &signer.sign(&draft.message)));
        }
        handshake_answer(guard, request)
    };
    guard.greetings().iter().filter_map(one).collect()
}

/// Everything in an answer that may be a signature, as bytes.
fn signatures(handshake_answer: &Greeted) -> Vec<Vec<u8>> {
    let body = String::from_utf8_lossy(&handshake_answer.answer.body).into_owned();
    let texts: Vec<&str> = handshake_answer.answer.headers.iter().map(|(_, value)| value.as_str()).chain([body.as_str()]).collect();
    let mut all: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    for word in texts.iter().flat_map(|t| t.split(|c: char| !(c.is_ascii_alphanumeric() || "+/=_-".contains(c)))) {
        for word in [word, word.trim_start_matches("sha256="), word.trim_start_matches("v0=")] {
            all.push(word.as_bytes().to_vec());
            all.extend(crate::verify::key::unhex(word).into_iter().chain(crate::verify::key::unbase64(word)));
        }
    }
    all.retain(|signature| !signature.is_empty());
    all
}

#[test]
fn no_handshake_answer_makes_another_request_acceptable() {
    let all = all();
    let mut tried = 0;
    for responder in all.iter().filter(|s| s.handshake.is_some()) {
        for victim in &all {
            let (responder, victim) = (Signer::new(responder), Signer::new(victim));
            // Both at one address: the same sender, or another one with the same secret.
            let is_same = responder.sender.name == victim.sender.name;
            let signs = responder.guard.greetings().iter().any(|g| g.signs());
            if !is_same && (!signs || responder.secret != victim.secret || victim.sender.scheme.algorithm == Algorithm::Equals) {
                continue;
            }
            let mut guard = Guard::default();
            guard.join(Signer::new(responder.sender).guard);
            if !is_same {
                guard.join(Signer::new(victim.sender).guard);
            }
            for body in bodies() {
                let draft = victim.draft(&body);
                let Ok(token) = String::from_utf8(draft.message.clone()) else { continue };
                for answer in answers(&responder, &guard, &token) {
                    for signature in signatures(&answer) {
                        let request = victim.request(&draft, &encoded_anyhow(&victim, &draft.message, &signature));
                        tried += 1;
                        assert!(
                            guard.check(&request, &Keys::new()).is_err(),
                            "the answer of {} makes {:?} acceptable as {}",
                            responder.sender.name,
                            String::from_utf8_lossy(&request.body),
                            victim.sender.name
                        );
                    }
                }
            }
        }
    }
    assert!(tried > 1_000, "only {tried} signatures were tried");
}

/// These bytes, encoded like a signature of the victim.
fn encoded_anyhow(victim: &Signer, message: &[u8], signature: &[u8]) -> String {
    match victim.sender.scheme.algorithm {
        Algorithm::EcdsaP256 if signature.len() != 64 => STANDARD.encode(signature),
        _ => victim.encoded(message, signature),
    }
}

#[test]
fn the_handshakes_of_every_sender_are_answered_without_revealing_a_secret() {
    for sender in all().iter().filter(|s| s.handshake.as_ref().is_some_and(|h| h.hands_over.is_none())) {
        let signer = Signer::new(sender);
        for token in ["qgg8vlvZRS6UYooatFL8Aw", "M2RkODJkZmMtYjlkYi00NmQ4LTk0MGUtM2JjYzkwM2Q4MjQ0", "a"] {
            for handshake in signer.guard.greetings().iter().filter(|h| h.is_signed()) {
                let mut request = blank(b"{}");
                handshake.make(&mut request, token);
                assert!(handshake_answer(&signer.guard, request).is_none(), "{}: an unsigned handshake is answered", sender.name);
            }
            let answers = answers(&signer, &signer.guard, token);
            assert!(!answers.is_empty(), "{} gets no answer", sender.name);
            for answer in answers {
                assert_eq!((answer.answer.status, &answer.visit, &answer.keep), (200, &None, &None), "{}", sender.name);
                for secret in [signer.secret.as_bytes(), SHARED, VERIFY_TOKEN.as_bytes()] {
                    let is_secret = |found: &Vec<u8>| found.windows(secret.len()).any(|w| w == secret);
                    assert!(!signatures(&answer).iter().any(is_secret), "{} gets a secret", sender.name);
                }
            }
        }
    }
}

#[test]
fn only_short_tokens_are_signed_and_none_of_them_is_accepted_as_an_event() {
    let all = all();
    let x = Signer::new(all.iter().find(|s| s.name == "x").unwrap());
    for (token, is_answered) in [
        ("challenge", true),
        ("M2RkODJkZmMtYjlkYi00NmQ4LTk0MGUtM2JjYzkwM2Q4MjQ0", true),
        (&"A".repeat(128), true),
        (&"A".repeat(129), false),
        ("{}", false),
        ("a.b", false),
        ("a b", false),
        ("a+b", false),
        ("a=", false),
        ("\u{e9}", false),
        ("", false),
    ] {
        assert_eq!(!answers(&x, &x.guard, token).is_empty(), is_answered, "{token}");
        // What is signed in a handshake is not accepted as an event, even if X itself has signed it.
        let (_, request) = x.signed(token.as_bytes());
        assert_eq!(x.guard.check(&request, &Keys::new()).is_err(), is_answered, "{token}");
    }
}

#[test]
fn a_token_that_is_sent_back_is_not_accepted_as_the_secret() {
    let graph = guard("microsoft_graph: \"{{ secret.S }}\"", "s3cret");
    for token in ["s3cre", "{\"value\":[{\"clientState\":\"x\"}]}", "\u{e9}"] {
        for handshake in graph.greetings() {
            let mut request = blank(b"");
            handshake.make(&mut request, token);
            let answer = handshake_answer(&graph, request).unwrap().answer;
            assert_eq!(answer.body, token.as_bytes());
            let state = String::from_utf8_lossy(&answer.body).into_owned();
            let body = json!({ "value": [{ "clientState": state }] }).to_string();
            assert!(graph.check(&blank(body.as_bytes()), &Keys::new()).is_err());
        }
    }
    // An SNS message is treated as a handshake only if its signature is valid.
    let sns = guard("aws_sns: arn:aws:sns:eu-west-1:123456789012:orders", "");
    let mut request = blank(b"{}");
    sns.greetings()[0].make(&mut request, "token");
    assert!(sns.greetings().iter().all(|g| g.is_signed()) && handshake_answer(&sns, request).is_none());
}
