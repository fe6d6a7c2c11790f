//! Metrics: what Prometheus reads is true, is what the docs say, and has no names that a sender chose; the alerts and the
//! dashboard in the docs use it as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpStream;
use std::process::Command;

use doorbell::operations::metrics::{ALL, Kind};

use crate::console_client::Visitor;
use crate::harness::{Doorbell, Response, Setup, Target, json, project_folder, until};

/// A running Doorbell with a listener for metrics.
struct Measured {
    doorbell: Doorbell,
    /// The address of that listener.
    at: String,
}

impl Measured {
    fn new(setup: &Setup) -> Self {
        Self::with(setup, &[])
    }

    fn with(setup: &Setup, arguments: &[&str]) -> Self {
        let doorbell = setup.serve_with(&[&["--metrics", "127.0.0.1:0"], arguments].concat());
        until("the log says where the metrics are", || doorbell.logged("metrics are at http://"));
        let log = doorbell.log.lock().unwrap().clone();
        let at = log.split("metrics are at http://").nth(1).unwrap().split("/metrics").next().unwrap().to_owned();
        Self { doorbell, at }
    }

    fn text(&self) -> String {
        let got = ask(&self.at, "GET", "/metrics");
        assert_eq!((got.status, got.header("content-type")), (200, "text/plain; version=0.0.4; charset=utf-8"));
        got.body
    }

    /// The value of one series.
    fn value(&self, series: &str) -> f64 {
        value(&self.text(), series)
    }
}

fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series).and_then(|rest| rest.strip_prefix(' ')));
    line.unwrap_or_else(|| panic!("{series} is missing in\n{text}")).parse().unwrap()
}

/// Somebody who has not logged in anywhere sends a request.
fn ask(address: &str, method: &str, path: &str) -> Response {
    Visitor { address: address.to_owned(), cookie: String::new() }.send(method, path, &[], "")
}

#[test]
fn the_listener_answers_only_to_names_that_no_web_page_can_have() {
    let setup = Setup::with("webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then: [ { log: x } ]\n");
    let measured = Measured::with(&setup, &["--metrics-host", "Doorbell.example.com", "--console", "off"]);
    let visitor = Visitor { address: measured.at.clone(), cookie: String::new() };
    let status = |host: &str| visitor.send("GET", "/metrics", &[("host", host)], "").status;
    for own in [&measured.at, "[::1]:9464", "10.0.0.7", "localhost:80", "doorbell:9464", "doorbell.shop.svc", "doorbell.example.com:9464"] {
        assert_eq!(status(own), 200, "{own}");
    }
    for other in ["evil.example.com", "127.0.0.1.evil.example", "doorbell.example.com.evil.example", "evil.example:80", "a.localhost.evil"]
    {
        assert_eq!(status(other), 421, "{other}");
    }
}

/// Every name of a metric in a text.
fn names_in(text: &str) -> BTreeSet<String> {
    regex::Regex::new(r"\bdoorbell_[a-z_]+").unwrap().find_iter(text).map(|name| name.as_str().to_owned()).collect()
}

const RULES: &str = "webhooks:
  /orders: { verify: none }
  /closed: { verify: { bearer: \"{{ secret.KEY }}\" } }
rules:
  Big orders:
    when: { webhook: /orders }
    if: { body.total: { over: 100 } }
    then:
      - post: TARGET/big
  All orders:
    when: { webhook: /orders }
    once_per: body.id
    then: [ { append: all.txt, text: \"{{ body.id }}\" } ]
  Closed:
    when: { webhook: /closed }
    then: [ { log: closed } ]
";

fn setup(target: &Target) -> Setup {
    Setup::with(&RULES.replace("TARGET", &target.url(""))).env("KEY", "a-long-enough-secret")
}

#[test]
fn everything_that_happens_is_counted() {
    let target = Target::new(&[&json(200, "{}"), &json(404, "{}")]);
    let setup = setup(&target);
    let measured = Measured::new(&setup);
    let doorbell = &measured.doorbell;
    for (id, total) in [(1, 50), (2, 150), (3, 250), (3, 20)] {
        doorbell.deliver("/orders", &format!(r#"{{"id": {id}, "total": {total}}}"#));
    }
    assert_eq!(doorbell.post("/closed", "{}").status, 401);
    assert_eq!(doorbell.post("/nowhere", "{}").status, 404);
    assert_eq!(doorbell.send("PUT", "/orders", &[], b"{}").status, 405);
    assert_eq!(doorbell.post("/orders", "{").status, 400);
    assert!(doorbell.raw(b"no HTTP\r\n\r\n").starts_with("HTTP/1.1 400"));
    until("the runs have ended", || {
        let text = measured.text();
        value(&text, "doorbell_runs_total{rule=\"Big orders\",outcome=\"failed\"}") == 1.0
            && value(&text, "doorbell_runs_total{rule=\"All orders\",outcome=\"done\"}") == 3.0
            && value(&text, "doorbell_waiting_runs") == 0.0
    });
    let server = target.url("");
    for (series, expected) in [
        ("doorbell_ready", 1.0),
        ("doorbell_rules", 3.0),
        ("doorbell_last_edit_problems", 0.0),
        ("doorbell_requests_total{address=\"/orders\",result=\"accepted\"}", 4.0),
        ("doorbell_requests_total{address=\"/orders\",result=\"wrong_method\"}", 1.0),
        ("doorbell_requests_total{address=\"/orders\",result=\"malformed\"}", 1.0),
        ("doorbell_requests_total{address=\"/closed\",result=\"denied\"}", 1.0),
        ("doorbell_requests_total{address=\"other\",result=\"no_address\"}", 1.0),
        ("doorbell_unreadable_requests_total", 1.0),
        ("doorbell_events_total{address=\"/orders\"}", 4.0),
        ("doorbell_accept_duration_seconds_count", 4.0),
        ("doorbell_accept_duration_seconds_bucket{le=\"+Inf\"}", 4.0),
        ("doorbell_bodies_in_memory_bytes", 0.0),
        ("doorbell_runs_total{rule=\"Big orders\",outcome=\"done\"}", 1.0),
        ("doorbell_runs_total{rule=\"All orders\",outcome=\"not_run_again\"}", 1.0),
        ("doorbell_runs_total{rule=\"Closed\",outcome=\"done\"}", 0.0),
        ("doorbell_attempts_total{rule=\"Big orders\",outcome=\"done\"}", 1.0),
        ("doorbell_attempts_total{rule=\"Big orders\",outcome=\"failed\"}", 1.0),
        ("doorbell_retries_total{rule=\"Big orders\"}", 0.0),
        ("doorbell_failed_runs", 1.0),
        (&format!("doorbell_calls_total{{host=\"{server}\",result=\"2xx\"}}"), 1.0),
        (&format!("doorbell_calls_total{{host=\"{server}\",result=\"4xx\"}}"), 1.0),
        (&format!("doorbell_call_duration_seconds_count{{host=\"{server}\"}}"), 2.0),
        (&format!("doorbell_paused_servers{{host=\"{server}\"}}"), 0.0),
        ("doorbell_store_failures_total", 0.0),
    ] {
        // Some are counted a moment after the answer.
        until(&format!("{series} is {expected}"), || measured.value(series) == expected);
    }
    let text = measured.text();
    assert!(value(&text, "doorbell_store_commit_duration_seconds_count") > 4.0);
    assert!(value(&text, "doorbell_store_operations_total") > 4.0 && value(&text, "doorbell_store_size_bytes") > 0.0);
}

#[test]
fn tries_again_and_servers_that_do_not_answer_are_counted() {
    let target = Target::new(&["", "", "", "", ""]);
    let setup = Setup::with(&format!(
        "webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then: [ {{ post: {} }} ]\n",
        target.url("/x")
    ));
    let measured = Measured::new(&setup);
    let server = target.url("");
    measured.doorbell.deliver("/a", "{}");
    until("it is tried again", || measured.value("doorbell_retries_total{rule=\"A\"}") >= 1.0);
    (0..6).for_each(|_| drop(measured.doorbell.deliver("/a", "{}")));
    until("calls are paused", || measured.value(&format!("doorbell_paused_servers{{host=\"{server}\"}}")) == 1.0);
    let text = measured.text();
    assert!(value(&text, &format!("doorbell_calls_total{{host=\"{server}\",result=\"no_answer\"}}")) >= 5.0, "{text}");
    assert!(value(&text, "doorbell_attempts_total{rule=\"A\",outcome=\"retry\"}") >= 5.0, "{text}");
    assert!(value(&text, "doorbell_waiting_runs") >= 1.0, "{text}");
}

/// Whoever can call an address must not be able to make the list of series longer.
#[test]
fn no_name_in_the_metrics_is_chosen_by_a_sender() {
    let target = Target::new(&[&json(200, "{}")]);
    let port = target.address.rsplit(':').next().unwrap();
    let setup = Setup::with(&format!(
        "webhooks:\n  '/shops/{{shop}}': {{ verify: none }}\nrules:\n  Shop:\n    when: {{ webhook: '/shops/{{shop}}' }}\n    then:\n      \
         - post: \"http://{{{{ body.host }}}}:{port}/x\"\n        hosts: [\"http://127.0.0.1:{port}\"]\n      \
         - post: \"{{{{ secret.URL }}}}/y\"\n"
    ))
    .env("URL", &target.url(""));
    let measured = Measured::new(&setup);
    measured.doorbell.deliver("/shops/sender-chose-this", r#"{"host": "127.0.0.1"}"#);
    measured.doorbell.deliver("/shops/and-this", r#"{"host": "elsewhere.example"}"#);
    measured.doorbell.post("/sender-chose-that", "{}");
    until("the runs have ended", || {
        let text = measured.text();
        value(&text, "doorbell_runs_total{rule=\"Shop\",outcome=\"done\"}") == 1.0
            && value(&text, "doorbell_runs_total{rule=\"Shop\",outcome=\"failed\"}") == 1.0
    });
    let text = measured.text();
    assert_eq!(value(&text, "doorbell_events_total{address=\"/shops/{shop}\"}"), 2.0);
    assert_eq!(value(&text, &format!("doorbell_calls_total{{host=\"http://127.0.0.1:{port}\",result=\"2xx\"}}")), 1.0);
    // The server in a secret, and the one that was refused.
    assert_eq!(value(&text, "doorbell_calls_total{host=\"other\",result=\"2xx\"}"), 1.0);
    assert_eq!(value(&text, "doorbell_calls_total{host=\"other\",result=\"refused\"}"), 1.0);
    assert!(!text.contains("chose") && !text.contains("and-this") && !text.contains("elsewhere"), "{text}");
}

#[test]
fn a_reload_keeps_the_numbers_of_what_stays_and_is_counted_itself() {
    let rule = |name: &str| format!("  {name}:\n    when: {{ webhook: /a }}\n    then: [ {{ log: hi }} ]\n");
    let head = "webhooks:\n  /a: { verify: none }\nrules:\n";
    let setup = Setup::with(&format!("{head}{}{}", rule("Stays"), rule("Goes")));
    let measured = Measured::new(&setup);
    measured.doorbell.deliver("/a", "{}");
    let ran = |rule: &str| format!("doorbell_runs_total{{rule=\"{rule}\",outcome=\"done\"}}");
    until("both ran", || measured.value(&ran("Stays")) == 1.0 && measured.value(&ran("Goes")) == 1.0);
    setup.write("rules/rules.yaml", &format!("{head}{}{}", rule("Stays"), rule("other")));
    until("the rules are reloaded", || measured.value("doorbell_reloads_total{result=\"success\"}") == 1.0);
    measured.doorbell.deliver("/a", "{}");
    // A rule may be called what all others are called together; there is one series of each name.
    until("they ran", || measured.value(&ran("Stays")) == 2.0 && measured.value(&ran("other")) == 1.0);
    let text = measured.text();
    assert!(!text.contains("Goes") && text.matches(&ran("other")).count() == 1, "{text}");
    setup.write("rules/rules.yaml", "rules: nonsense\n");
    until("the edit is refused", || measured.value("doorbell_last_edit_problems") == 1.0);
    assert_eq!(measured.value("doorbell_reloads_total{result=\"failure\"}"), 1.0);
    assert_eq!(measured.value("doorbell_rules"), 2.0);
}

#[test]
fn the_listener_for_metrics_shows_nothing_else_and_is_off_by_default() {
    let setup = Setup::with("webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then: [ { log: hi } ]\n");
    let measured = Measured::new(&setup);
    let others = [("GET", "/", 404), ("GET", "/metrics/x", 404), ("GET", "/health", 404), ("POST", "/a", 405), ("POST", "/metrics", 405)];
    for (method, path, status) in others {
        assert_eq!(ask(&measured.at, method, path).status, status, "{method} {path}");
    }
    let head = ask(&measured.at, "HEAD", "/metrics");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    // Senders cannot read it.
    assert_eq!(measured.doorbell.send("GET", "/metrics", &[], b"").status, 404);
    let taken =
        setup.run(&["serve", "--data", "other-data", "--output", "other-output", "--listen", "127.0.0.1:0", "--metrics", &measured.at]);
    let said = String::from_utf8(taken.stderr).unwrap();
    let expected = format!(
        "doorbell: cannot listen on {} for metrics; if another program uses this address, choose another one with --metrics:",
        measured.at
    );
    assert!(taken.status.code() == Some(2) && said.contains(&expected), "{said}");
    measured.doorbell.stop();
    assert!(TcpStream::connect(&measured.at).is_err(), "it ends with Doorbell");
    assert!(!setup.serve().logged("metrics are at"));
}

#[test]
fn the_console_shows_metrics_to_those_who_log_in_and_to_programs_with_the_key() {
    let setup = Setup::with("webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then: [ { log: hi } ]\n");
    let _doorbell = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let key = format!("Bearer {}", setup.printed(&["console", "--api-key"]).trim());
    let with_key = |key: &str, path: &str| visitor.send("GET", path, &[("authorization", key), ("cookie", "")], "");
    let is_shown = |got: &Response| got.status == 200 && got.body.contains("doorbell_ready 1");
    assert!(is_shown(&with_key(&key, "/metrics")) && is_shown(&visitor.get("/metrics")));
    assert_eq!(with_key("Bearer wrong", "/metrics").status, 401);
    let nobody = ask(&visitor.address, "GET", "/metrics");
    assert_eq!((nobody.status, nobody.header("location")), (303, "/login?to=%2Fmetrics"));
    // The key opens no page.
    assert_eq!(with_key(&key, "/events").status, 303);
}

#[test]
fn the_docs_list_every_metric_as_it_is() {
    let setup = setup(&Target::new(&[&json(200, "{}")]));
    let measured = Measured::new(&setup);
    measured.doorbell.deliver("/orders", r#"{"id": 1, "total": 150}"#);
    until("it has called", || measured.text().contains("host=\"http://127.0.0.1"));
    let text = measured.text();
    let mut table = String::new();
    for metric in ALL {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        assert!(text.contains(&format!("# HELP {} {}\n# TYPE {0} {kind}\n", metric.name, metric.means)), "{}\n{text}", metric.name);
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        table += &format!("| `{}` | {kind} | {} | {} |\n", metric.name, labels.join(", "), metric.means);
    }
    // What is there, and with which labels.
    let names = regex::Regex::new(r#"([a-z]+)=""#).unwrap();
    let mut seen: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, labels) = line.rsplit_once(' ').unwrap().0.split_once('{').unwrap_or((line.split(' ').next().unwrap(), ""));
        let name = ALL
            .iter()
            .map(|m| m.name)
            .find(|known| *known == name || ["_bucket", "_sum", "_count"].iter().any(|suffix| name.strip_suffix(suffix) == Some(known)));
        let labels = names.captures_iter(labels).map(|label| label.get(1).unwrap().as_str()).filter(|label| *label != "le");
        seen.entry(name.unwrap_or_else(|| panic!("{line} is not listed"))).or_default().extend(labels);
    }
    for metric in ALL {
        assert_eq!(seen.get(metric.name), Some(&metric.labels.iter().copied().collect()), "{}", metric.name);
    }
    let docs = project_folder().join("docs/operating.md");
    let page = std::fs::read_to_string(&docs).unwrap();
    let head = "| metric | type | labels | meaning |\n|---|---|---|---|\n";
    let (before, rest) = page.split_once(head).unwrap();
    let after = &rest[rest.find("\n\n").unwrap() + 1..];
    if std::env::var_os("DOORBELL_BLESS").is_some() {
        std::fs::write(&docs, format!("{before}{head}{table}{after}")).unwrap();
    }
    assert_eq!(
        rest.strip_suffix(after),
        Some(table.as_str()),
        "the table differs from the metrics; to update it, run again with DOORBELL_BLESS=1"
    );
}

#[test]
fn the_dashboard_and_the_alerts_use_only_metrics_that_exist() {
    let known: BTreeSet<String> = ALL
        .iter()
        .flat_map(|metric| match metric.kind {
            Kind::Histogram => ["_bucket", "_sum", "_count"].map(|suffix| format!("{}{suffix}", metric.name)).to_vec(),
            _ => vec![metric.name.to_owned()],
        })
        .collect();
    let read = |name: &str| std::fs::read_to_string(project_folder().join("docs").join(name)).unwrap();
    let (dashboard, alerts) = (read("grafana-dashboard.json"), read("prometheus-alerts.yaml"));
    for text in [&dashboard, &alerts] {
        let unknown: Vec<String> = names_in(text).difference(&known).cloned().collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
    assert_eq!(alerts.matches("- alert: ").count(), 6);
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert!(panels.len() >= 15 && ids.len() == panels.len());
    // None of them covers another one.
    let mut cells = BTreeSet::new();
    for panel in panels {
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{}", panel["title"]);
        for cell in (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "{} covers another panel", panel["title"]);
        }
    }
}

#[test]
#[cfg_attr(not(has_promtool), ignore = "needs promtool: apt-get install prometheus")]
fn promtool_accepts_the_metrics_the_alerts_and_the_queries_of_the_dashboard() {
    let setup = setup(&Target::new(&[&json(200, "{}")]));
    let promtool = |arguments: &[&str], input: &str| {
        setup.write("input", input);
        let input = std::fs::File::open(setup.path("input")).unwrap();
        let out = Command::new("promtool").args(arguments).current_dir(setup.dir.path()).stdin(input).output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "promtool {arguments:?}: {said}");
        said
    };
    let measured = Measured::new(&setup);
    measured.doorbell.deliver("/orders", r#"{"id": 1, "total": 150}"#);
    until("it has called", || measured.text().contains("host=\"http://127.0.0.1"));
    assert_eq!(promtool(&["check", "metrics"], &measured.text()), "", "it has nothing to complain about");
    let alerts = std::fs::read_to_string(project_folder().join("docs/prometheus-alerts.yaml")).unwrap();
    setup.write("prometheus-alerts-under-test.yaml", &alerts);
    assert!(promtool(&["check", "rules", "prometheus-alerts-under-test.yaml"], "").contains("6 rules found"));
    let cases = std::fs::read_to_string(project_folder().join("tests/prometheus-alerts.yaml")).unwrap();
    setup.write("cases.yaml", &cases);
    promtool(&["test", "rules", "cases.yaml"], "");
    // The queries of the dashboard, as rules, because promtool reads no dashboards.
    let dashboard = std::fs::read_to_string(project_folder().join("docs/grafana-dashboard.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let targets = dashboard["panels"].as_array().unwrap().iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let notes = dashboard["annotations"]["list"].as_array().unwrap().iter();
    let queries: Vec<String> = targets.chain(notes).map(|one| one["expr"].to_string()).collect();
    let rules: String = queries.iter().enumerate().map(|(n, expr)| format!("      - {{ record: \"q{n}\", expr: {expr} }}\n")).collect();
    setup.write("queries.yaml", &format!("groups:\n  - name: queries\n    rules:\n{rules}"));
    let said = promtool(&["check", "rules", "queries.yaml"], "");
    assert!(said.contains(&format!("{} rules found", queries.len())), "{said}");
}
