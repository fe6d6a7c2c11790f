//! Any text as a template, in every place where a template is allowed: a problem at load, or text or an error for an event.
#![no_main]

use doorbell::expr::names::Resolver;
use doorbell::model::event::Event;
use doorbell::rule::load::load;
use doorbell::yaml::source::Source;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, json};

fuzz_target!(|text: &str| {
    // Text in JSON syntax is also valid YAML.
    let text = json!(text).to_string();
    let file = format!(
        "webhooks: {{ /a: {{ verify: none }} }}\nrules:\n  Line:\n    when: {{ webhook: /a }}\n    set: {{ named: {text} }}\n    then: [ {{ append: a.txt, text: {text} }} ]\n  File:\n    when: {{ webhook: /a }}\n    then: [ {{ append: {text}, json: {{ a: {text}, b: \"{{{{ now }}}}\" }} }} ]\n  Call:\n    when: {{ webhook: /a }}\n    then: [ {{ post: \"https://example.com/x\", query: {{ q: {text} }}, headers: {{ X-A: {text} }}, form: {{ f: {text} }} }} ]\n  Url:\n    when: {{ webhook: /a }}\n    then: [ {{ get: {text}, hosts: [example.com] }} ]\n  Answer:\n    when: {{ webhook: /a }}\n    then: [ {{ respond: 200, xml: {text} }} ]\n"
    );
    let Ok(source) = Source::new("fuzz.yaml", file.into_bytes()) else { return };
    let loaded = load(vec![source], Resolver::new(&|_| Some("s3cret".into()), &|_| Some("e".into()), &|_| None), false);
    for problem in &loaded.problems {
        assert!(!problem.draw().is_empty());
    }
    let Some(ruleset) = loaded.ruleset else { return };
    let body = json!({"a": "x\r\n=1", "n": 1.10, "list": [1, "b", null, {"c": [true]}], "null": null, "deep": {"er": {"still": "é😀"}}, "zip": "007"});
    let event = Event { method: "POST".into(), address: "/a".into(), query: "q=1&q=2".into(), body, ..Event::nobody() };
    let saved = Map::new();
    for rule in &ruleset.rules {
        let scope = rule.scope(&event, &ruleset.vault, &saved);
        for action in rule.steps.iter().filter_map(|step| step.action.as_ref()) {
            match action.render(&scope) {
                Ok(effect) => assert!(!effect.to_string().is_empty()),
                Err(unrendered) => assert!(!unrendered.message.is_empty()),
            }
        }
    }
});
