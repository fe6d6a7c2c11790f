//! Any request to the guard of any sender: only a verified request is admitted, and no message reveals the secret. The first byte
//! chooses the sender; then come a line with the path and query, lines with headers, an empty line, and the body.
#![no_main]

use std::sync::LazyLock;

use doorbell::model::event::EventId;
use doorbell::model::request::Request;
use doorbell::verify::guard::{Guard, Keys, NotAdmitted};
use doorbell::verify::verifier::Published;
use doorbell::verify::{guard_for, known_senders};
use libfuzzer_sys::fuzz_target;

/// A guard for every sender that takes one secret.
static GUARDS: LazyLock<Vec<(&str, Guard)>> = LazyLock::new(|| {
    let secret = "whsec_c2VjcmV0IG9mIHRoaXMgZnV6eiB0YXJnZXQ=";
    let topic = "arn:aws:sns:eu-west-1:123456789012:orders";
    let secret = |name: &str| if name == "aws_sns" { topic } else { secret };
    let read = |name: &'static str| guard_for(name, secret(name), Some("https://hooks.example.com")).ok().map(|g| (name, g));
    known_senders().into_iter().filter_map(|(name, _)| read(name)).collect()
});

fuzz_target!(|bytes: &[u8]| {
    let Some((chosen, rest)) = bytes.split_first() else { return };
    let (name, guard) = &GUARDS[usize::from(*chosen) % GUARDS.len()];
    let cut = rest.windows(2).position(|w| w == b"\n\n").unwrap_or(rest.len());
    let (head, body) = (String::from_utf8_lossy(&rest[..cut]), rest.get(cut + 2..).unwrap_or(b""));
    let mut lines = head.lines();
    let target = lines.next().unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: Vec<(String, String)> =
        lines.filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned())).collect();
    let request = Request {
        path: path.into(),
        target: path.into(),
        query: query.into(),
        headers,
        body: body.to_vec().into(),
        received: jiff::Timestamp::from_second(1_700_000_000).unwrap(),
        ..Request::nobody()
    };
    guard.keys_at(&request);
    guard.expected(&request);
    guard.proofs(&request, &Keys::new());
    let checked = guard.check(&request, &Keys::new());
    match guard.admit(request, &Keys::new(), EventId(uuid::Uuid::nil()), 1 << 20, None) {
        Ok(_) => assert!(checked.is_ok(), "{name} admitted a request that is not verified"),
        Err(NotAdmitted::Denied(why)) => assert!(!why.is_empty() && !why.contains("c2VjcmV0"), "{why}"),
        Err(NotAdmitted::Malformed(_) | NotAdmitted::TooLarge | NotAdmitted::Greeted(_)) => {}
    }
    // The same bytes as a key that a sender publishes.
    let _ = Published::read(body);
});
