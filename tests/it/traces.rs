//! Traces: what is done for an event belongs to the trace that its sender began, calls pass it on, and a collector is told.

use serde_json::Value;

use crate::harness::{Setup, Target, json, until};

const ID: &str = "0af7651916cd43dd8448eb211c80319c";
const SENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn setup(target: &Target) -> Setup {
    let call = format!("post: {}", target.url("/x"));
    Setup::with(&format!(
        "webhooks:\n  /a: {{ verify: none }}\nrules:\n  Rule A:\n    when: {{ webhook: /a }}\n    then: [ {{ log: \"{{{{ secret.KEY }}}}\" }}, {{ {call} }} ]\n"
    ))
    .env("KEY", "s3cret-value")
}

/// All spans that a collector was told of.
fn spans(collector: &Target) -> Vec<Value> {
    let mut all = Vec::new();
    for call in collector.calls() {
        assert_eq!((call.line.as_str(), call.header("content-type")), ("POST /v1/traces HTTP/1.1", "application/json"));
        let body: Value = serde_json::from_str(&call.body).unwrap();
        let of = &body["resourceSpans"][0];
        let service = serde_json::json!({ "key": "service.name", "value": { "stringValue": "doorbell" } });
        assert_eq!(of["resource"]["attributes"][0], service);
        all.extend(of["scopeSpans"][0]["spans"].as_array().unwrap().clone());
    }
    all
}

fn attribute<'s>(span: &'s Value, key: &str) -> &'s str {
    let all = span["attributes"].as_array().unwrap();
    let value = &all.iter().find(|one| one["key"] == format!("doorbell.{key}")).unwrap_or_else(|| panic!("{key}: {span}"))["value"];
    value["stringValue"].as_str().or(value["intValue"].as_str()).unwrap()
}

#[test]
fn a_collector_is_told_of_every_run_and_try_within_the_trace_of_the_sender() {
    let (target, collector) = (Target::new(&[&json(503, "{}"), &json(200, "{}")]), Target::new(&[&json(200, "{}")]));
    let setup = setup(&target);
    let doorbell = setup.serve_with(&["--traces", &collector.url("/v1/traces")]);
    let headers = [("traceparent", SENT), ("tracestate", "vendor=1")];
    let event = doorbell.send("POST", "/a", &headers, b"{}").header("doorbell-event").to_owned();
    until("everything is sent", || spans(&collector).len() == 4);
    let spans = spans(&collector);
    assert!(spans.iter().all(|span| span["traceId"] == ID), "{spans:?}");
    let run = spans.iter().find(|span| span["name"] == "rule Rule A").unwrap();
    assert_eq!((&run["parentSpanId"], attribute(run, "event"), attribute(run, "state")), (&"b7ad6b7169203331".into(), &*event, "done"));
    let tries: Vec<&Value> = spans.iter().filter(|span| span["name"] != "rule Rule A").collect();
    assert!(tries.iter().all(|span| span["parentSpanId"] == run["spanId"] && attribute(span, "rule") == "Rule A"), "{spans:?}");
    let said: Vec<_> =
        tries.iter().map(|span| (span["name"].as_str().unwrap(), attribute(span, "try"), attribute(span, "outcome"))).collect();
    assert_eq!(said, [("step 1", "1", "done"), ("step 2", "1", "retry"), ("step 2", "2", "done")]);
    assert_eq!((&tries[1]["status"]["code"], &tries[2]["status"]["code"]), (&2.into(), &1.into()));
    for span in &spans {
        let at = |name: &str| span[name].as_str().unwrap().parse::<u64>().unwrap();
        assert!(at("startTimeUnixNano") <= at("endTimeUnixNano") && at("startTimeUnixNano") > 1_700_000_000_000_000_000, "{span}");
    }
    // The other app was called by the span of that try.
    for (call, span) in target.calls().iter().zip([tries[1], tries[2]]) {
        assert_eq!(call.header("traceparent"), format!("00-{ID}-{}-01", span["spanId"].as_str().unwrap()));
        assert_eq!(call.header("tracestate"), "vendor=1");
    }
    assert!(!format!("{spans:?}").contains("s3cret"), "{spans:?}");
    assert!(format!("{spans:?}").contains("***"));
}

#[test]
fn an_event_without_a_trace_begins_one_of_its_own_and_one_that_is_not_recorded_stays_so() {
    let (target, collector) = (Target::new(&[&json(200, "{}")]), Target::new(&[&json(200, "{}")]));
    let setup = setup(&target);
    let doorbell = setup.serve_with(&["--traces", &collector.url("/v1/traces")]);
    let unrecorded = SENT.replace("-01", "-00");
    doorbell.send("POST", "/a", &[("traceparent", &unrecorded)], b"{}");
    until("it has called", || target.calls().len() == 1);
    let event = doorbell.deliver("/a", "{}");
    // What is left is sent when it stops.
    until("it has called", || target.calls().len() == 2);
    doorbell.stop();
    let (spans, id) = (spans(&collector), event.replace('-', ""));
    assert_eq!(spans.len(), 3, "{spans:?}");
    assert!(spans.iter().all(|span| span["traceId"] == id.as_str()), "{spans:?}");
    assert!(spans.iter().any(|span| span["name"] == "rule Rule A" && span.get("parentSpanId").is_none()), "{spans:?}");
    assert_eq!(target.calls()[0].header("traceparent"), unrecorded);
    assert!(target.calls()[1].header("traceparent").starts_with(&format!("00-{id}-")));
}

#[test]
fn without_a_collector_a_trace_is_only_passed_on() {
    let target = Target::new(&[&json(200, "{}")]);
    let setup = setup(&target);
    let doorbell = setup.serve();
    doorbell.send("POST", "/a", &[("traceparent", SENT), ("tracestate", "vendor=1")], b"{}");
    until("it has called", || target.calls().len() == 1);
    doorbell.send("POST", "/a", &[("traceparent", "nonsense"), ("tracestate", "vendor=1")], b"{}");
    until("it has called again", || target.calls().len() == 2);
    let calls = target.calls();
    assert_eq!((calls[0].header("traceparent"), calls[0].header("tracestate")), (SENT, "vendor=1"));
    assert_eq!((calls[1].header("traceparent"), calls[1].header("tracestate")), ("", ""));
}

#[test]
fn a_collector_that_does_not_work_delays_nothing_and_is_logged_once() {
    let (target, collector) = (Target::new(&[&json(200, "{}")]), Target::new(&[&json(500, "{}"), &json(500, "{}"), &json(200, "{}")]));
    let setup = setup(&target);
    let doorbell = setup.serve_with(&["--traces", &collector.url("/v1/traces")]);
    for n in 1..4 {
        doorbell.deliver("/a", "{}");
        until("it has called", || target.calls().len() == n);
        until("it tried to send", || collector.calls().len() == n);
    }
    until("it works again", || doorbell.logged("collector takes traces again"));
    let log = doorbell.log.lock().unwrap().clone();
    assert_eq!(log.matches("traces cannot be sent, so they are lost until the collector answers: it answered 500").count(), 1, "{log}");
    let wrong = setup.printed(&["serve", "--traces", "ftp://collector"]);
    assert!(wrong.contains("the address begins with https:// or http://"), "{wrong}");
}
