//! One webhook never overloads the program or delays others: the work and memory of a rule are limited, and a run that needs
//! more fails with a message in plain English.

use std::time::{Duration, Instant};

use crate::harness::{Doorbell, Setup, until};

/// A value inside so many objects.
fn deep(levels: usize) -> String {
    format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels))
}

fn list(item: &str, times: usize) -> String {
    format!("[{}]", vec![item; times].join(","))
}

/// Other callers are still answered at once.
fn others_are_served(doorbell: &Doorbell) {
    let since = Instant::now();
    assert_eq!(doorbell.post("/other", "{}").status, 200);
    assert!(since.elapsed() < Duration::from_secs(5), "another caller waited for {:?}", since.elapsed());
}

#[test]
fn a_template_that_makes_too_much_text_fails_only_its_own_run() {
    let long = |c: char| c.to_string().repeat(300_000);
    let body = format!(
        r#"{{"x": "{}", "y": "{}", "commas": "{}", "quotes": "{}", "list": {}, "deep": {}}}"#,
        long('x'),
        long('y'),
        ",".repeat(150_000),
        "\\\"".repeat(15_000),
        list("1", 20_000),
        list(&deep(100), 100)
    );
    let too_long = "text longer than 10 MB cannot be processed";
    let steps = "takes more than 10 million steps";
    let bytes = "produces more than 256 MB of text and values";
    let cases = [
        ("replace", "{{ replace body.x 'x' body.y }}", too_long),
        ("join", "{{ join body.list body.y }}", too_long),
        ("split", "{{ count (split body.commas ',') }}", "has more than 100000 parts"),
        ("json", "{{ json (json (json (json (json (json (json (json (json (json body.quotes))))))))) }}", "longer than 10 MB as JSON"),
        (
            "base64",
            "{{ base64 (base64 (base64 (base64 (base64 (base64 (base64 (base64 (base64 (base64 (base64 (base64 (base64 (base64 (base64 body.x)))))))))))))) }}",
            too_long,
        ),
        ("eq", "{{#if (eq body.list body.list)}}yes{{/if}}", steps),
        ("each", "{{#each body.list}}{{ count (split (replace body.x 'x' 'xx') 'q') }}{{/each}}", bytes),
        ("output", "{{#each body.list}}{{ body.x }}{{/each}}", "the text became longer than 10 MB"),
        ("descendants", "{{ count $.deep..*..*..*..* }}", steps),
        ("filter", "{{ count $.list[?count($.list[*]) > 5] }}", steps),
    ];
    let rules: String = cases
        .iter()
        .map(|(name, text, _)| {
            format!("  {name}:\n    when: {{ webhook: /{name} }}\n    then:\n      - append: a.log\n        text: \"{text}\"\n")
        })
        .collect();
    let setup = Setup::with(&format!("rules:\n{rules}  Other: {{ when: {{ webhook: /other }}, then: [ {{ log: x }} ] }}\n"));
    let doorbell = setup.serve();
    for (name, _, said) in cases {
        assert_eq!(doorbell.post(&format!("/{name}"), &body).status, 200, "{name}");
        others_are_served(&doorbell);
        until(&format!("{name} has failed, with its place and its reason"), || {
            let all = setup.printed(&["failed"]);
            all.split(&format!("  {name}, step 1")).nth(1).is_some_and(|rest| rest.contains("rules/rules.yaml:") && rest.contains(said))
        });
    }
    assert_eq!(setup.output("a.log"), "");
}

#[test]
fn a_condition_that_takes_too_much_work_starts_a_run_that_fails_with_the_reason() {
    let rules = "rules:\n  Search:\n    when: { webhook: /a }\n    if: { \"$..*..*..*..*\": { exists: true } }\n    then:\n      - append: a.log\n        text: no\n  Respond:\n    when: { webhook: /b }\n    if: { \"body.none[*]\": { is: \"{{ body.list }}\" } }\n    then:\n      - respond: 201\n    on_error:\n      - append: error.log\n        text: \"{{ error.message }}\"\n  Other: { when: { webhook: /other }, then: [ { log: x } ] }\n";
    let setup = Setup::with(rules);
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", &list(&deep(100), 100));
    others_are_served(&doorbell);
    let said = "Doorbell could not evaluate whether the rule runs for this request";
    until("it has failed", || setup.printed(&["failed"]).contains(said));
    let told = setup.printed(&["explain", &event]);
    assert!(told.contains("✗ Search  failed before its first step") && told.contains(said), "{told}");
    // It fails again when it is replayed, and `try` shows the same.
    setup.printed(&["replay", &event]);
    until("it has failed again", || setup.printed(&["explain", &event]).contains("replayed 1 time"));
    assert_eq!(setup.output("a.log"), "");
    setup.write("body.json", &list(&deep(100), 100));
    let told = setup.printed(&["try", "body.json", "--path", "/a"]);
    assert!(told.contains("Search  would fail immediately") && told.contains("more than 10 million steps"), "{told}");
    // A caller who waits gets an answer, and `on_error:` gets the message.
    let got = doorbell.post("/b", &format!(r#"{{"list": {}, "none": {}}}"#, list("\"a\"", 9_000), list("\"b\"", 9_000)));
    assert_eq!((got.status, got.body.contains("ended without an answer")), (500, true), "{got:?}");
    until("its `on_error:` was done", || setup.output("error.log").contains(said));
}
