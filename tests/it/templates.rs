//! Templates: blocks such as `{{#each}}`, dates, text that contains JSON, and HTML.

use crate::harness::Setup;

/// The text that a template renders for a body.
fn rendered(text: &str, body: &str) -> String {
    let indented: String = text.lines().map(|l| format!("          {l}\n")).collect();
    let setup = Setup::with(&format!(
        "webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n      - post: https://a.example.com/x\n        text: |\n{indented}"
    ));
    setup.write("body.json", body);
    let said = setup.printed(&["try", "body.json", "--path", "/a"]);
    let (_, shown) = said.split_once("text/plain; charset=utf-8\n").unwrap_or(("", &said));
    let shown = shown.split("\n\nNothing was sent").next().unwrap();
    shown.lines().map(|l| l.strip_prefix("       ").unwrap_or(l).to_owned() + "\n").collect()
}

const ORDER: &str = r#"{"id": 7, "vip": false, "total": "150", "note": "", "none": [],
    "lines": [{"sku": "A", "tags": ["x", "y"]}, {"sku": "B", "tags": []}], "customer": {"name": "Ada", "city": "Rome"}}"#;

#[test]
fn blocks_work_as_in_handlebars_and_hide_no_names() {
    for (text, expected) in [
        ("{{#each body.lines}}{{@index}}{{this.sku}}{{#unless @last}}, {{/unless}}{{/each}}", "0A, 1B\n"),
        ("{{#each body.lines}}{{#if @first}}first {{/if}}{{body.id}} {{/each}}", "first 7 7 \n"),
        (
            "{{#each body.lines as |line n|}}{{#each line.tags as |tag|}}{{n}}{{line.sku}}{{tag}} {{else}}none{{/each}}{{/each}}",
            "0Ax 0Ay none\n",
        ),
        ("{{#each body.customer}}{{@key}}={{this}};{{/each}}", "name=Ada;city=Rome;\n"),
        ("{{#each body.none}}x{{else}}empty{{/each}}", "empty\n"),
        ("{{#each body.gone}}x{{else}}missing{{/each}}", "missing\n"),
        ("{{#if body.vip}}vip{{else if (gt body.total 100)}}big{{else}}small{{/if}}", "big\n"),
        ("{{#if (and body.id (not body.note))}}yes{{/if}}{{#if body.gone}}no{{/if}}", "yes\n"),
        ("{{#with body.customer}}{{this.name}} of {{this.city}}, order {{body.id}}{{/with}}", "Ada of Rome, order 7\n"),
        ("{{#with body.gone as |c|}}{{c.name}}{{else}}nobody{{/with}}", "nobody\n"),
        ("Order\n{{#each body.lines}}\n- {{this.sku}}\n{{/each}}\n{{#if body.vip}}\nvip\n{{/if}}\nend", "Order\n- A\n- B\nend\n"),
    ] {
        assert_eq!(rendered(text, ORDER), expected, "{text}");
    }
}

#[test]
fn a_missing_list_is_reported_and_repetitions_are_limited() {
    let said = rendered("{{#each body.lins}}x{{/each}}", ORDER);
    assert!(said.contains("there is no body.lins in this request; there is `lines`, needed for {{#each body.lins}}"), "{said}");
    let list = format!("[{}1]", "1,".repeat(400));
    let said = rendered("{{#each body}}{{#each body}}{{/each}}{{/each}}", &list);
    assert!(said.contains("the blocks of this text were repeated more than 100000 times"), "{said}");
}

#[test]
fn a_day_stays_the_same_day_and_a_time_is_in_the_zone_that_was_meant() {
    let body = r#"{"day": "2026-03-14", "start": "2026-07-01T09:00:00", "mail": "Sat, 14 Mar 2026 23:26:53 +0000", "stamp": 1773480413,
        "german": "14.03.2026", "at": "2026-03-14 10:26:53 +0100"}"#;
    for (text, expected) in [
        ("{{ date body.day '%d.%m.%Y' 'America/New_York' }}", "14.03.2026\n"),
        ("{{ date body.day '%d.%m.%Y' 'Europe/Berlin' }}", "14.03.2026\n"),
        ("{{ date body.start '%H:%M' 'Europe/Berlin' }}", "11:00\n"),
        ("{{ date (parse_date body.start '%Y-%m-%dT%H:%M:%S' 'Europe/Berlin') '%d.%m.%Y %H:%M' 'Europe/Berlin' }}", "01.07.2026 09:00\n"),
        ("{{ date body.mail '%d.%m.%Y' 'Europe/Berlin' }}", "15.03.2026\n"),
        ("{{ date body.stamp '%H:%M:%S' }} {{ date body.at '%H:%M' }}", "09:26:53 09:26\n"),
        ("{{ add_months (parse_date body.german '%d.%m.%Y') 1 }}", "2026-04-14\n"),
        ("{{#if (eq (weekday body.day) 'saturday')}}closed{{/if}}", "closed\n"),
    ] {
        assert_eq!(rendered(text, body), expected, "{text}");
    }
    let said = rendered("{{ date body.german '%d' }}", body);
    let expected = "date: `14.03.2026` is not a date in a form that can be read; these can: 2026-03-14, 20260314, 2026-03-14T09:26:53Z, ";
    assert!(said.contains(expected) && said.contains("others with `parse_date`"), "{said}");
}

/// What `check` says about a rule with these steps.
fn checked(steps: &str) -> String {
    let indented: String = steps.lines().map(|l| format!("      {l}\n")).collect();
    Setup::with(&format!("webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n{indented}"))
        .printed(&["check"])
}

#[test]
fn what_the_checker_advises_passes_its_own_checks() {
    for wrong in [
        "{{ formatDate(now; 'YYYY') }}",
        "{{formatDate(body.x, 'DD.MM.YYYY HH:mm')}}",
        "{{ body.x | date: 'MMM D, YYYY' }}",
        "{{ date now 'DD.MM.YYYY' }}",
        "{{ date '%d.%m.%Y' body.x }}",
        "{{ join ', ' body.x }}",
        "{{ default 'friend' body.x }}",
        "{{ body.x + 1 }}",
        "{{ upper(body.x) }}",
    ] {
        let said = checked(&format!("- log: \"{wrong}\""));
        let found = said.split_once(" write ").or_else(|| said.split_once(" did you mean "));
        let (_, advice) = found.unwrap_or_else(|| panic!("{said}"));
        let advice = advice.lines().next().unwrap().trim_end_matches('?');
        let mended = match advice.strip_prefix('\'') {
            Some(format) => wrong.replace("DD.MM.YYYY", format.trim_end_matches('\'')),
            None => advice.to_owned(),
        };
        let again = checked(&format!("- log: \"{mended}\""));
        assert_eq!(again, "1 rule in 1 file: valid\n", "{wrong} became {mended}: {again}");
    }
}

#[test]
fn json_inside_text_can_be_used_by_name() {
    let setup = Setup::with(
        "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    set: { alarm: \"{{ parse_json body.Message }}\" }\n    if: { alarm.State: ALARM }\n    then:\n      - log: \"{{ alarm.Name }} is {{ alarm.Numbers[1] }}\"\n",
    );
    setup.write("body.json", r#"{"Message": "{\"State\": \"ALARM\", \"Name\": \"disk\", \"Numbers\": [1, 97.50]}"}"#);
    let said = setup.printed(&["try", "body.json", "--path", "/a"]);
    assert!(said.contains("log  disk is 97.50\n"), "{said}");
    setup.write("body.json", r#"{"Message": "{State: ALARM}"}"#);
    let said = setup.printed(&["try", "body.json", "--path", "/a"]);
    assert!(said.contains("parse_json: this text cannot be read as JSON: "), "{said}");
}

#[test]
fn values_are_escaped_where_the_answer_is_html() {
    let respond = |kind: &str, text: &str| {
        Setup::with(&format!(
            "webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n      - respond: 200\n        headers: {{ content-type: {kind} }}\n        text: \"{text}\"\n"
        ))
    };
    let body = r#"{"name": "<img src=x onerror='f()'> & \"co\"", "link": "javascript:f()", "shop": "https://example.com/?a=1&b=2"}"#;
    let safe = "&lt;img src=x onerror=&#39;f()&#39;&gt; &amp; &quot;co&quot;";
    let plain = "<img src=x onerror='f()'> & \"co\"";
    for (kind, text, expected) in [
        ("text/html; charset=utf-8", "<p title='{{ body.name }}'>{{ body.name }}</p>", format!("<p title='{safe}'>{safe}</p>")),
        ("TEXT/HTML", "{{#if body.name}}<b>{{ upper body.name }}</b>{{/if}}", format!("<b>{}</b>", safe_upper(plain))),
        ("text/html", "{{{ body.name }}}", plain.to_owned()),
        ("text/html", "<a href='{{ body.shop }}'>x</a>", "<a href='https://example.com/?a=1&amp;b=2'>x</a>".to_owned()),
        ("text/plain", "{{ body.name }}", plain.to_owned()),
        ("application/atom+xml", "<a>{{ body.name }}</a>", format!("<a>{}</a>", safe.replace("&#39;", "&apos;"))),
    ] {
        let setup = respond(kind, text);
        let got = setup.serve().post("/a", body);
        assert_eq!((got.status, got.body.as_str()), (200, expected.as_str()), "{kind} {text}");
    }
    let setup = respond("text/html", "<a href='{{ body.link }}'>x</a>");
    setup.write("body.json", body);
    let said = setup.printed(&["try", "body.json", "--path", "/a"]);
    assert!(said.contains("{{ body.link }} is a link that begins with `javascript:`, which a browser could run"), "{said}");
}

fn safe_upper(text: &str) -> String {
    let pairs = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;"), ("'", "&#39;")];
    pairs.iter().fold(text.to_uppercase(), |text, (from, to)| text.replace(from, to))
}
