//! What rules add to an event: matching alone, one thread, 1 to 10,000 rules that want one value of a field.
//!
//!     cargo bench --bench matching

use std::hint::black_box;
use std::time::Instant;

use doorbell::event::Event;
use doorbell::known::Lookup;
use doorbell::rule::load::load;
use doorbell::yaml::Source;

const BODY: &str = r#"{"id": "ord_1", "plan": "pro", "amount": 249.9, "customer": {"vip": true}, "metadata": {"campaign": "spring-26"}}"#;

fn main() {
    println!("{:>8} {:>14} {:>12}", "rules", "load ms", "ns an event");
    for count in [1, 10, 100, 1_000, 10_000] {
        let mut text = "webhooks:\n  /a: { verify: none }\nrules:\n".to_owned();
        for n in 0..count {
            let value = if n == 0 { "spring-26".to_owned() } else { format!("other-{n}") };
            text += &format!(
                "  Rule {n}:\n    when: {{ webhook: /a }}\n    if: {{ body.metadata.campaign: {value} }}\n    then: [ log: hi ]\n"
            );
        }
        let clock = Instant::now();
        let source = Source::new("bench.yaml", text.into_bytes()).expect("a rule file");
        let loaded = load(vec![source], Lookup::new(&|_| None, &|_| None, &|_| None), false);
        let took = clock.elapsed();
        let ruleset = loaded.ruleset.expect("good rules");
        let event =
            Event { address: "/a".into(), method: "POST".into(), body: serde_json::from_str(BODY).expect("JSON"), ..Event::nobody() };
        assert_eq!(ruleset.answering(&event).len(), 1);
        let rounds = 200_000;
        let clock = Instant::now();
        for _ in 0..rounds {
            black_box(ruleset.answering(black_box(&event)));
        }
        println!("{count:>8} {:>14.1} {:>12.0}", took.as_secs_f64() * 1000.0, clock.elapsed().as_nanos() as f64 / f64::from(rounds));
    }
}
