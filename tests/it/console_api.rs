//! The console's API: everything in docs/openapi.json is there, answers as it says, and nothing else.

use serde_json::Value;

use crate::console_client::Visitor;
use crate::harness::{ClosedPort, Setup, project_folder, until};

/// The differences between a value and its schema, with their places. A field that the schema does not have is one.
fn differences(value: &Value, schema: &Value, whole: &Value, at: &str, out: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        let named = whole.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("{name} is missing"));
        return differences(value, named, whole, at, out);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let fits = |one: &&Value| {
            let mut found = Vec::new();
            differences(value, one, whole, at, &mut found);
            found.is_empty()
        };
        if !any.iter().any(|one| fits(&one)) {
            out.push(format!("{at}: {value} is none of {schema}"));
        }
        return;
    }
    let is_right = match schema["type"].as_str() {
        None => true,
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        Some(other) => panic!("{at}: no type is called {other}"),
    };
    if !is_right {
        return out.push(format!("{at}: {value} is not {}", schema["type"]));
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        out.push(format!("{at}: {value} is none of {words:?}"));
    }
    if let (Value::Object(map), Some(known)) = (value, schema["properties"].as_object()) {
        for (name, value) in map {
            match known.get(name) {
                Some(schema) => differences(value, schema, whole, &format!("{at}.{name}"), out),
                None => out.push(format!("{at}.{name} is not described")),
            }
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !map.contains_key(name) {
                out.push(format!("{at}.{name} is missing"));
            }
        }
    }
    for (n, one) in value.as_array().into_iter().flatten().enumerate() {
        differences(one, &schema["items"], whole, &format!("{at}[{n}]"), out);
    }
}

fn ask(visitor: &Visitor, key: &str, method: &str, path: &str, body: &str) -> (u16, Value) {
    let headers = [("authorization", key), ("cookie", ""), ("content-type", "application/json")];
    let got = visitor.send(method, path, &headers, body);
    (got.status, serde_json::from_str(&got.body).unwrap_or_else(|e| panic!("{path}: {e}: {}", got.body)))
}

#[test]
fn everything_answers_as_it_is_described() {
    let closed = ClosedPort::new();
    let rules = format!(
        "webhooks:\n  /orders: {{ verify: none }}\nrules:\n  Fails:\n    when: {{ webhook: /orders }}\n    if: {{ body.id: {{ over: 0 }} }}\n    then:\n      - post: http://{0}/x\n        tries: 1\n  Waits:\n    when: [{{ webhook: /orders }}, {{ at: \"00:00\", days: 29 }}]\n    then:\n      - post: http://{0}/x\n        first_wait: 1 hour\n",
        closed.address()
    );
    let setup = Setup::with(&rules);
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let key = format!("Bearer {}", setup.printed(&["console", "--api-key"]).trim());
    let id = serving.deliver("/orders", r#"{"id": 7}"#);
    serving.post("/nowhere", "{}");
    until("one has failed and one waits", || {
        let runs = |path: &str| ask(&visitor, &key, "GET", path, "").1["runs"].as_array().unwrap().len();
        runs("/api/v1/failed") == 1 && runs("/api/v1/waiting") == 1
    });
    let text = std::fs::read_to_string(project_folder().join("docs/openapi.json")).unwrap();
    let whole: Value = serde_json::from_str(&text).unwrap();
    let (mut asked, mut different) = (0, Vec::new());
    // Changes come last: they end what the others list.
    for method in ["get", "post"] {
        for (path, described) in whole["paths"].as_object().unwrap() {
            let Some(operation) = described.get(method) else { continue };
            let body = if method == "post" { r#"{"rule": "Waits"}"# } else { "" };
            let (status, got) = ask(&visitor, &key, &method.to_uppercase(), &path.replace("{id}", &id), body);
            assert_eq!(status, 200, "{path}: {got}");
            let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
            differences(&got, schema, &whole, path, &mut different);
            asked += 1;
        }
    }
    assert_eq!(different, Vec::<String>::new());
    assert_eq!(asked, 16);
    // Lists that are empty unless something is asked for.
    for (path, list) in [("/api/v1/words?address=/orders", "Words"), ("/api/v1/events?text=ID", "Events")] {
        let (_, got) = ask(&visitor, &key, "GET", path, "");
        let first = got.pointer("/seen/0/fields/0/name").or(got.pointer("/events/0/excerpt/found"));
        assert!(first.is_some_and(Value::is_string), "{path}: {got}");
        differences(&got, &whole["components"]["schemas"][list], &whole, path, &mut different);
    }
    assert_eq!(different, Vec::<String>::new());
    let (status, wrong) = ask(&visitor, &key, "GET", "/api/v1/events/00000000-0000-0000-0000-000000000000", "");
    assert_eq!(status, 404);
    differences(&wrong, &whole["components"]["schemas"]["Error"], &whole, "error", &mut different);
    assert_eq!(different, Vec::<String>::new());
}

#[test]
fn a_long_list_goes_on_where_it_stopped() {
    let setup = Setup::with(
        "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    if: { body: 1 }\n    then:\n      - log: x\n",
    );
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let key = format!("Bearer {}", setup.printed(&["console", "--api-key"]).trim());
    let mut sent: Vec<String> = (0..205).map(|_| serving.deliver("/a", "{}")).collect();
    sent.reverse();
    let (mut seen, mut from) = (Vec::new(), String::new());
    loop {
        let (_, list) = ask(&visitor, &key, "GET", &format!("/api/v1/events?from={from}"), "");
        seen.extend(list["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()));
        match list["next"].as_str() {
            Some(next) => from = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, sent);
}
