//! `if:` and `set:`: how values are compared, and how a condition that does not hold is explained.

use crate::harness::Setup;

/// What `try` shows for a rule with these lines and a body.
fn try_rule(parts: &str, body: &str) -> String {
    let indented: String = parts.lines().map(|l| format!("    {l}\n")).collect();
    let setup = Setup::with(&format!(
        "webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n{indented}    then:\n      - log: it ran\n"
    ));
    setup.write("body.json", body);
    setup.printed(&["try", "body.json", "--path", "/a"])
}

fn holds(line: &str, body: &str) -> bool {
    let said = try_rule(&format!("if:\n  {line}"), body);
    match (said.contains("✓ A  would run"), said.contains("✗ A  would not run")) {
        (true, false) => true,
        (false, true) => false,
        _ => panic!("{line}\n{said}"),
    }
}

#[test]
fn values_are_compared_as_documented() {
    let bodies = ["5", "5.0", "\"5\"", "\"05\"", "7", "\"007\"", "true", "\"true\"", "null"];
    for (test, expected) in [
        ("5", "yyynnnnnn-n"),
        ("007", "nnnnnynnn-n"),
        ("true", "nnnnnnyyn-n"),
        ("{ over: 4 }", "yyyyyynnn-n"),
        ("{ not: 5 }", "nnnyyyyyy-n"),
        ("{ exists: true }", "yyyyyyyyy-n"),
        ("{ empty: true }", "nnnnnnnny-y"),
    ] {
        let mut found: String =
            bodies.iter().map(|b| if holds(&format!("body.x: {test}"), &format!(r#"{{"x": {b}}}"#)) { 'y' } else { 'n' }).collect();
        found.push('-');
        found.push(if holds(&format!("body.x: {test}"), "{}") { 'y' } else { 'n' });
        assert_eq!(found, expected, "{test}");
    }
}

#[test]
fn every_test_does_what_its_name_says() {
    let body = r#"{"n": 10, "big": 9007199254740993, "t": "Hello World", "when": "2026-03-14T09:26:53Z", "stamp": 1773480413, "ip": "10.1.2.3", "tags": ["a", "urgent"],
        "none": [], "items": [{"sku": "A1", "qty": 7}, {"sku": "B2", "qty": 1}], "same": "Hello World", "your-name": "x", "First name": "Ada", "o": {}}"#;
    for (line, expected) in [
        ("body.n: { at_least: 10, at_most: 10 }", true),
        ("body.n: { under: 10 }", false),
        ("body.n: { between: [5, 10] }", true),
        ("body.big: 9007199254740993", true),
        ("body.big: 9007199254740992", false),
        ("body.big: { over: 9007199254740992 }", true),
        ("body.t: [x, Hello World]", true),
        ("body.t: { contains: World }", true),
        ("body.t: { contains: world }", false),
        ("body.t: { contains: world, ignore_case: true }", true),
        ("body.t: { starts_with: Hello, ends_with: World }", true),
        ("body.t: { like: 'Hel*ld' }", true),
        ("body.t: { like: Hello }", false),
        ("body.t: { matches: '^H.*d$' }", true),
        ("body.t: { matches: '^h', ignore_case: true }", true),
        ("body.t: '{{ body.same }}'", true),
        ("body.t: '{{ body.n }}'", false),
        ("body.t: '{{ body.missing }}'", false),
        ("body.ip: { in_network: 10.0.0.0/8 }", true),
        ("body.ip: { in_network: [192.168.0.0/16, '::/0'] }", false),
        ("body.when: { after: 2026-01-01, before: '2026-03-14T09:26:54Z' }", true),
        ("body.stamp: { after: 2026-01-01 }", true),
        ("body.tags: urgent", true),
        ("body.tags: { not: urgent }", false),
        ("body.tags: { not: other }", true),
        ("body.tags: { count: 2 }", true),
        ("body.tags: { count: { over: 2 } }", false),
        ("body.none: { empty: true, count: 0 }", true),
        ("body.none: { not: x }", true),
        ("body.o: { empty: true }", true),
        ("body.items[*].sku: B2", true),
        ("body.items[*].sku: { not: [A1, C3] }", false),
        ("body.missing[*].sku: { not: A1 }", false),
        ("body.items[0].qty: 7", true),
        ("'$.items[?@.sku == ''A1'' && @.qty > 5]': { exists: true }", true),
        ("'$.items[?@.sku == ''B2'' && @.qty > 5]': { exists: true }", false),
        ("'$..qty': { count: 2 }", true),
        ("body.your-name: x", true),
        ("body['First name']: Ada", true),
        ("header.content-type: { contains: json }", true),
        ("method: POST", true),
        ("any: [ { body.n: 1 }, { body.t: { contains: W } } ]", true),
        ("all: [ { body.n: 10 }, { body.t: x } ]", false),
        ("none: [ { body.n: 1 }, { body.missing: 1 } ]", true),
        ("body.missing: { not: 1 }", false),
        ("body.missing: { exists: false }", true),
        ("body.t: { not: { starts_with: Bye } }", true),
    ] {
        assert_eq!(holds(line, body), expected, "{line}");
    }
}

#[test]
fn set_gives_names_to_values() {
    let parts = "set:\n  one: body.items[0].sku\n  skus: $.items[*].sku\n  many: $.items[?@.qty > 5]\n  full: \"{{ body.a }} {{ body.b }}\"\n  city: Berlin\n  unused: \"{{ body.never }}\"\n  n: 5\nif:\n  one: A1\n  skus: B2\n  many: { count: 1 }\n  full: x y\n  city: Berlin\n  n: { over: 4 }\n";
    let said = try_rule(parts, r#"{"items": [{"sku": "A1", "qty": 7}, {"sku": "B2", "qty": 1}], "a": "x", "b": "y"}"#);
    assert!(said.starts_with("✓ A  would run\n"), "{said}");
}

#[test]
fn a_condition_that_does_not_hold_is_explained_in_plain_english() {
    let parts = "if:\n  body.type: order\n  body.total: { over: 1000 }\n  body.custmer.vip: true\n  body.when: { before: 2026-01-01 }\n  any:\n    - body.a: 1\n    - body.b: { starts_with: x }\n";
    let said =
        try_rule(parts, r#"{"type": "order", "total": 150, "customer": {"vip": true}, "custmer": {}, "when": "soon", "a": 2, "b": "y"}"#);
    let expected = "✗ A  would not run
    body.type is order                yes
    body.total over 1000              NO, it was 150
    body.custmer.vip is true          NO, there is no body.custmer.vip in this request
    body.when before \"2026-01-01\"     NO, it was soon, which is not a date
    any of these                      NO, none of them was true
      body.a is 1                     NO, it was 2
      body.b starts with x            NO, it was y

No rule would run: the sender would get 200, and the event would be saved.
Nothing was sent or written.
";
    let plain = |t: &str| t.replace(['"'], "").split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(plain(&said), plain(expected), "{said}");
}

#[test]
fn before_and_after_read_the_same_dates_as_templates_and_guess_nothing() {
    let body = r#"{"day": "2026-03-14", "compact": 20260314, "mail": "Sat, 14 Mar 2026 09:26:53 +0000", "space": "2026-03-14 10:26:53 +0100",
        "utc": "2026-03-14 09:26:53 UTC", "stamp": "1773480413", "milli": 1773480413000, "german": "14.03.2026", "short": 177348041}"#;
    for field in ["mail", "space", "utc", "stamp", "milli"] {
        for (test, expected) in [
            ("{ after: 2026-03-14T09:26:52Z, before: 2026-03-14T09:26:54Z }", true),
            ("{ after: 2026-03-14T09:26:53Z }", false),
            ("{ after: 2026-03-14, before: 20260315 }", true),
            ("{ after: 'Sat, 14 Mar 2026 10:26:52 +0100' }", true),
        ] {
            assert_eq!(holds(&format!("body.{field}: {test}"), body), expected, "{field} {test}");
        }
    }
    for field in ["day", "compact"] {
        assert!(holds(&format!("body.{field}: {{ after: 2026-03-13, before: 2026-03-15 }}"), body), "{field}");
        assert!(!holds(&format!("body.{field}: {{ after: 2026-03-14 }}"), body), "{field}");
    }
    for field in ["german", "short"] {
        assert!(!holds(&format!("body.{field}: {{ after: 1999-01-01 }}"), body), "{field}");
    }
    let said = try_rule("if:\n  body.german: { after: 2026-01-01 }", body);
    assert!(said.contains("NO, it was 14.03.2026, which is not a date in a form that is read; `parse_date` reads others"), "{said}");
    let german = "set: { day: \"{{ parse_date body.german '%d.%m.%Y' }}\" }\nif: { day: { after: 2026-03-13, before: 2026-03-15 } }";
    assert!(try_rule(german, body).contains("✓ A  would run"));
}

#[test]
fn a_table_of_words_gives_a_word_for_each_value() {
    let word = |table: &str, body: &str| {
        let setup = Setup::with(&format!(
            "webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    set: {{ label: {table} }}\n    then:\n      - log: \"{{{{ label }}}}\"\n"
        ));
        setup.write("body.json", body);
        setup.printed(&["try", "body.json", "--path", "/a"])
    };
    let table = r#"{ of: body.status, map: { paid: Bezahlt, 7: seven, true: "yes", "": none, own: "{{ upper body.name }}" }, else: "?" }"#;
    for (body, expected) in [
        (r#"{"status": "paid"}"#, "Bezahlt"),
        (r#"{"status": 7.0}"#, "seven"),
        (r#"{"status": "7"}"#, "seven"),
        (r#"{"status": true}"#, "yes"),
        (r#"{"status": ""}"#, "none"),
        (r#"{"status": "own", "name": "ada"}"#, "ADA"),
        (r#"{"status": "PAID"}"#, "?"),
        (r#"{"status": ["paid"]}"#, "?"),
        ("{}", "?"),
    ] {
        let said = word(table, body);
        assert!(said.contains(&format!("log  {expected}\n")), "{body}: {said}");
    }
    let strict = r#"{ of: "{{ lower body.status }}", map: { paid: Bezahlt } }"#;
    assert!(word(strict, r#"{"status": "PAID"}"#).contains("log  Bezahlt\n"));
    let said = word(strict, r#"{"status": "open"}"#);
    assert!(said.contains("`label` cannot be computed: the table has no entry for `open` and no `else:`"), "{said}");
    let said = word("{ of: body.stauts, map: { paid: Bezahlt } }", r#"{"status": "open"}"#);
    assert!(said.contains("there is no body.stauts in this request; there is `status`"), "{said}");
}
