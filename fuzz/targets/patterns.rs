//! Any text as an address, as a field and as a pattern of `like` and `matches`: a problem at load, or a result. Each is
//! on a line of its own.
#![no_main]

use doorbell::expr::names::Resolver;
use doorbell::model::event::Event;
use doorbell::route::{Route, decode, normal};
use doorbell::rule::load::load;
use doorbell::yaml::source::Source;
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|text: &str| {
    let mut lines = text.splitn(4, '\n');
    let mut next = || lines.next().unwrap_or("");
    let (address, field, pattern, path) = (next(), next(), next(), next());
    if let Ok(route) = Route::read(address) {
        route.fit(&decode(path));
        // Looking the address up by hash must agree with comparing it part by part.
        let called = decode(address);
        if let Some(literal) = route.literal() {
            assert!(route.fit(&called).is_some() && normal(&called) == literal, "{literal}");
        }
    }
    let (address, field, pattern) = (json!(address), json!(field), json!(pattern));
    let file = format!(
        "rules:\n  One:\n    when: {{ webhook: {address} }}\n    if: {{ {field}: {{ like: {pattern} }} }}\n    then: [ log: hi ]\n  Two:\n    when: {{ webhook: /a }}\n    if: {{ any: [ {{ {field}: {{ matches: {pattern} }} }}, {{ {field}: {pattern} }}, {{ {field}: {{ not: {{ in_network: {pattern} }} }} }} ] }}\n    then: [ log: hi ]\n"
    );
    for only in ["One", "Two", ""] {
        let file = if only.is_empty() { file.clone() } else { file.replacen("in_network", "contains", 1) };
        let Ok(source) = Source::new("fuzz.yaml", file.into_bytes()) else { return };
        let loaded = load(vec![source], Resolver::new(&|_| None, &|_| None, &|_| None), false);
        for problem in &loaded.problems {
            assert!(!problem.draw().is_empty());
        }
        let Some(ruleset) = loaded.ruleset else { continue };
        let body = json!({"a": text, "list": [1, 2, {"b": "10.0.0.1"}], "deep": {"er": [[]]}});
        for address in ["/a", path] {
            let event = Event { method: "POST".into(), address: decode(address), body: body.clone(), ..Event::nobody() };
            let verdicts = ruleset.verdicts(&event, true).iter().filter(|v| v.runs()).count();
            // The index may only narrow down the candidates, and never decide.
            assert_eq!(ruleset.answering(&event).len(), verdicts);
        }
    }
});
