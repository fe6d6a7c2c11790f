//! Any bytes as a rule file: every problem can be drawn, and valid rules can be evaluated and previewed for an event.
#![no_main]

use doorbell::action::contract::{Asks, MockResponse};
use doorbell::expr::names::Resolver;
use doorbell::model::event::Event;
use doorbell::operations::preview::{Followed, Replies, dry_steps_of};
use doorbell::problem::any_error;
use doorbell::rule::Rule;
use doorbell::rule::load::load;
use doorbell::rule::step::Step;
use doorbell::yaml::source::Source;
use libfuzzer_sys::fuzz_target;

struct NoReplies;

impl Replies for NoReplies {
    fn next(&mut self, _: &Rule, _: &Step, _: Asks) -> Option<MockResponse> {
        None
    }
}

fuzz_target!(|bytes: &[u8]| {
    let source = match Source::new("fuzz.yaml", bytes.to_vec()) {
        Ok(source) => source,
        Err(problem) => return assert!(!problem.draw().is_empty()),
    };
    let loaded = load(vec![source], Resolver::new(&|_| Some("s3cret".into()), &|_| Some("e".into()), &|_| None), false);
    assert_eq!(loaded.ruleset.is_none(), any_error(&loaded.problems));
    for problem in &loaded.problems {
        assert!(!problem.draw().is_empty() && problem.json().is_object());
    }
    let Some(ruleset) = loaded.ruleset else { return };
    let body =
        serde_json::json!({"id": 7, "email": "a@example.com", "items": [{"sku": "A", "qty": 2}], "total": 150.5, "action": "opened"});
    for address in &ruleset.addresses {
        let address = address.route.text().replace(['{', '}', '*'], "");
        let event = Event { method: "POST".into(), address, body: body.clone(), ..Event::nobody() };
        ruleset.verdicts(&event, true);
        for started in ruleset.answering(&event) {
            let followed = Followed { ruleset: &ruleset, rule: &started.rule, start: started.step, given: None };
            dry_steps_of(followed, &event, &mut NoReplies);
        }
    }
});
