//! The time that matching adds to each event: on one thread, with 1 to 10,000 rules that each want one value of a field.
//!
//!     cargo bench --bench matching
//!
//! It is measured with the body already parsed and with parsing, and compared with the `quamina` crate, which matches the same
//! values in the same events.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use doorbell::expr::names::Resolver;
use doorbell::model::event::{Event, EventId};
use doorbell::model::request::Request;
use doorbell::rule::load::load;
use doorbell::rule::ruleset::Ruleset;
use doorbell::verify::guard::{Guard, Keys};
use doorbell::yaml::source::Source;

/// The number of events, and how often all of them are matched; the best time counts.
const EVENTS: usize = 20_000;
const ROUNDS: usize = 6;

fn main() {
    let bodies = bodies();
    println!("{:>8} {:>9} {:>14} {:>18} {:>11} {:>13}", "rules", "load ms", "matching ns", "with reading ns", "quamina ns", "of its speed");
    for count in [1, 10, 100, 1_000, 10_000] {
        let clock = Instant::now();
        let ruleset = ruleset(count);
        let took = clock.elapsed();
        let events: Vec<Event> = bodies.iter().map(|body| event(&ruleset, body)).collect();
        let (matching, found) = best(|| events.iter().map(|event| ruleset.answering(black_box(event)).len()).sum());
        let (reading, found_too) = best(|| bodies.iter().map(|body| ruleset.answering(&event(&ruleset, body)).len()).sum());
        let mut peer = quamina::Quamina::new();
        for n in 0..count {
            peer.add_pattern(n, &format!(r#"{{"metadata":{{"campaign":["camp-{n:05}"]}}}}"#)).expect("a pattern");
        }
        let (theirs, found_there) = best(|| bodies.iter().map(|body| peer.matches_for_event(body).expect("JSON").len()).sum());
        assert!(found == found_too && found == found_there, "{found} {found_too} {found_there}");
        let ratio = theirs / reading;
        println!("{count:>8} {:>9.1} {matching:>14.0} {reading:>18.0} {theirs:>11.0} {ratio:>13.2}", took.as_secs_f64() * 1000.0);
    }
}

/// The best time of several rounds, in nanoseconds per event, and the result.
fn best(mut round: impl FnMut() -> usize) -> (f64, usize) {
    let (mut best, mut found) = (f64::MAX, 0);
    for _ in 0..ROUNDS {
        let clock = Instant::now();
        found = black_box(round());
        best = best.min(clock.elapsed().as_secs_f64());
    }
    (best * 1e9 / EVENTS as f64, found)
}

/// Orders of 1.5 KB, each with one of 20,000 campaigns.
fn bodies() -> Vec<Bytes> {
    let mut dice: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut campaign = || {
        dice ^= dice >> 12;
        dice ^= dice << 25;
        dice ^= dice >> 27;
        (dice.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % 20_000
    };
    let order = include_str!("order.json");
    let body = |n: usize, campaign: u64| {
        order.replace("ord_00000000", &format!("ord_{n:08}")).replace("spring-26", &format!("camp-{campaign:05}")).into()
    };
    (0..EVENTS).map(|n| body(n, campaign())).collect()
}

fn ruleset(count: usize) -> Ruleset {
    let mut text = "webhooks:\n  /a: { verify: none }\nrules:\n".to_owned();
    for n in 0..count {
        text += &format!(
            "  Rule {n}:\n    when: {{ webhook: /a }}\n    if: {{ body.metadata.campaign: \"camp-{n:05}\" }}\n    then: [ log: hi ]\n"
        );
    }
    let source = Source::new("bench.yaml", text.into_bytes()).expect("a rule file");
    load(vec![source], Resolver::new(&|_| None, &|_| None, &|_| None), false).ruleset.expect("valid rules")
}

/// The event of a body, parsed only as far as the rules need.
fn event(ruleset: &Ruleset, body: &Bytes) -> Event {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    let request = Request { path: "/a".into(), headers, body: body.clone(), ..Request::nobody() };
    let wanted = ruleset.address("/a").map(|a| &a.wanted);
    Guard::open().admit(request, &Keys::new(), EventId(uuid::Uuid::nil()), 1 << 20, wanted).expect("JSON")
}
