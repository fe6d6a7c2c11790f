//! `doorbell check --with order.json`, and what `check` learns from the last events.

use crate::harness::{Setup, until};

const RULES: &str = r#"webhooks:
  /orders: { verify: none }
  /other: { verify: none }
rules:
  Big orders:
    when: { webhook: /orders }
    if:
      body.totl: { over: 100 }
      any:
        - body.status: Paid
        - body.count: { over: 5 }
      none:
        - body.test: true
    then:
      - append: orders.log
        text: "{{ body.id }} {{ body.custmer.name }}"
      - add_row: items.csv
        for_each: body.lines
        columns: { SKU: "{{ item.sku }}", Nick: "{{ default body.nick '' }}" }
  Other:
    when: { webhook: /other }
    if: { body.never: 1 }
    then: [ log: x ]
"#;
const ORDER: &str = r#"{"id": 7, "total": 200, "status": "paid", "count": "many", "customer": {"name": "Ada"}, "lines": []}"#;

#[test]
fn a_sample_shows_what_will_never_fit() {
    let setup = Setup::with(RULES);
    setup.write("order.json", ORDER);
    let said = setup.printed(&["check", "--with", "order.json", "--path", "/orders"]);
    let expected = r#"warning: this was not true in order.json: there is no body.totl in this request; there is `total`
  --> rules/rules.yaml:8:7
   |
 8 |       body.totl: { over: 100 }
   |       ^^^^^^^^^

warning: this was not true in order.json: it was paid, which differs in upper and lower case: write it like that, or add `ignore_case: true`
   --> rules/rules.yaml:10:11
    |
 10 |         - body.status: Paid
    |           ^^^^^^^^^^^

warning: this was not true in order.json: it was many, which is not a number
   --> rules/rules.yaml:11:11
    |
 11 |         - body.count: { over: 5 }
    |           ^^^^^^^^^^

warning: there was no body.custmer.name in order.json: there is `customer`
   --> rules/rules.yaml:16:33
    |
 16 |         text: "{{ body.id }} {{ body.custmer.name }}"
    |                                 ^^^^^^^^^^^^^^^^^

warning: there was no body.nick in order.json
   --> rules/rules.yaml:19:61
    |
 19 |         columns: { SKU: "{{ item.sku }}", Nick: "{{ default body.nick '' }}" }
    |                                                             ^^^^^^^^^ if it is optional, use it with `default`

2 rules in 1 file: valid, with 5 warnings
"#;
    assert_eq!(said, expected);
    // Where it is not clear which rules are meant, people are asked.
    let said = setup.printed(&["check", "--with", "order.json"]);
    assert!(said.contains("name the address that order.json is sent to with --path; addresses: /orders, /other"), "{said}");
    let said = setup.printed(&["check", "--with", "order.json", "--path", "/orders/7"]);
    assert!(said.contains("no rule uses /orders/7; addresses: /orders, /other"), "{said}");
}

#[test]
fn the_last_events_of_each_address_show_what_was_never_there() {
    let setup = Setup::with(RULES);
    assert_eq!(setup.printed(&["check"]), "2 rules in 1 file: valid\n");
    let doorbell = setup.serve();
    doorbell.deliver("/orders", ORDER);
    doorbell.deliver("/orders", &ORDER.replace("many", "7"));
    doorbell.deliver("/orders", &ORDER.replace("paid", "open"));
    until("they are stored", || setup.printed(&["events"]).contains("3 events in total"));
    let said = setup.printed(&["check"]);
    let expected = "note: rules/rules.yaml:8:7: this was not true in any of the last 3 events: the last time, there is no body.totl in this request; there is `total`\n";
    assert!(said.contains(expected), "{said}");
    assert!(
        said.contains("note: rules/rules.yaml:10:11: this was not true in any of the last 3 events: the last time, it was open\n"),
        "{said}"
    );
    assert!(said.contains("there was no body.custmer.name in any of the last 3 events: there is `customer`\n"), "{said}");
    // This was true once, and nothing has called the other address.
    assert!(!said.contains("rules.yaml:11:") && !said.contains("body.never"), "{said}");
    assert!(said.ends_with("2 rules in 1 file: valid, with 4 notes\n"), "{said}");
    // Only the last 50 count.
    for _ in 0..50 {
        doorbell.deliver("/orders", r#"{"totl": 500, "status": "Paid", "custmer": {"name": "Ada"}, "nick": "a", "lines": []}"#);
    }
    until("they are stored", || setup.printed(&["events"]).contains("53 events in total"));
    let said = setup.printed(&["check"]);
    assert!(
        said.contains("11:11: this was not true in any of the last 50 events") && said.contains("no body.id in any of the last 50"),
        "{said}"
    );
}

#[test]
fn a_value_of_another_kind_than_its_place_takes_is_shown() {
    let setup = Setup::with(
        r#"webhooks:
  /orders: { verify: none }
rules:
  Orders:
    when: { webhook: /orders }
    then:
      - add_row: orders.xlsx
        columns: { Customer: "{{ body.customer }}", Total: "{{ body.total }}" }
      - append: orders.log
        text: "{{ body.customer }} has ordered"
      - add_row: tags.csv
        columns: { Tags: "{{ body.tags }}", Name: "{{ body.customer.name }}" }
      - add_row: lines.xlsx
        for_each: body.lines
        columns: { SKU: "{{ item.sku }}", Price: "{{ item.price }}" }
      - post: https://example.com/x
        json: { customer: "{{ body.customer }}", sum: "{{ add body.customer.name 1 }}" }
        save_as: made
      - log: "{{ add made.body.n 1 }}"
      - log: "{{ date body.customer.name '%Y' }}"
        if: { body.total: never }
"#,
    );
    let order = r#"{"customer": {"name": "Ada"}, "total": "19.90", "tags": ["a"], "lines": [{"sku": "A", "price": "1.50"}, {"sku": {}, "price": 2}]}"#;
    setup.write("order.json", order);
    let said = setup.printed(&["check", "--with", "order.json"]);
    let expected = r#"warning: this would fail with order.json: the column Customer would contain an object; choose a part of it, such as {{ body.customer.name }}
  --> rules/rules.yaml:8:30
   |
 8 |         columns: { Customer: "{{ body.customer }}", Total: "{{ body.total }}" }
   |                              ^^^^^^^^^^^^^^^^^^^^^

warning: this would fail with order.json: {{ body.customer }} is an object; write {{ join … }} or {{ json … }} to turn it into text
   --> rules/rules.yaml:10:15
    |
 10 |         text: "{{ body.customer }} has ordered"
    |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

warning: this would fail with order.json: the column Tags would contain a list; {{ join … }} turns it into text
   --> rules/rules.yaml:12:26
    |
 12 |         columns: { Tags: "{{ body.tags }}", Name: "{{ body.customer.name }}" }
    |                          ^^^^^^^^^^^^^^^^^

warning: this would fail with order.json: add: `Ada` is not a number, in {{ add body.customer.name 1 }}
   --> rules/rules.yaml:17:55
    |
 17 |         json: { customer: "{{ body.customer }}", sum: "{{ add body.customer.name 1 }}" }
    |                                                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

warning: this was not true in order.json: it was "19.90"
   --> rules/rules.yaml:21:15
    |
 21 |         if: { body.total: never }
    |               ^^^^^^^^^^

note: rules/rules.yaml:15:43: Price came as text, so 1.50 is written as text and not as a number

1 rule in 1 file: valid, with 5 warnings and 1 note
"#;
    assert_eq!(said, expected);
    // Events that came show the same, but among many, some may be odd.
    let doorbell = setup.serve();
    doorbell.deliver("/orders", order);
    doorbell.deliver("/orders", &order.replace(r#"["a"]"#, r#""a""#));
    until("they are stored", || setup.printed(&["events"]).contains("2 events in total"));
    let said = setup.printed(&["check"]);
    assert!(
        said.contains("rules.yaml:8:30: this would fail with each of the last 2 events that reach it: the column Customer would"),
        "{said}"
    );
    assert!(!said.contains("Tags"), "{said}");
}
