//! Blocks in templates, such as `{{#each}}`: what they render, which names they see, and their limit.

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
