//! What a body becomes, whatever its sender calls it: JSON, lines of JSON, forms, XML, files; and what is sent to other apps.

use crate::harness::{Setup, Target, json, until};

/// Sends a body; returns what the rule wrote.
fn written_for(kind: &str, body: &[u8], text: &str) -> String {
    let setup = Setup::with(&format!(
        "webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n      - append: a.log\n        text: \"{text}\"\n"
    ));
    let doorbell = setup.serve();
    let got = doorbell.send("POST", "/a", &[("content-type", kind)], body);
    assert_eq!(got.status, 200, "{got:?}");
    until("it is written", || !setup.output("a.log").is_empty());
    setup.output("a.log")
}

#[test]
fn a_contact_form_with_a_file_is_read() {
    let body = b"--b\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\nada@example.com\r\n--b\r\nContent-Disposition: form-data; name=\"cv\"; filename=\"cv.pdf\"\r\nContent-Type: application/pdf\r\n\r\n\x00\x01\xff\r\n--b--\r\n";
    let text = "{{ body.email }} {{ body.cv.name }} {{ body.cv.size }} {{ body.cv.type }} {{ body.cv.base64 }}";
    assert_eq!(written_for("multipart/form-data; boundary=b", body, text), "ada@example.com cv.pdf 3 application/pdf AAH/\n");
}

#[test]
fn xml_is_read_with_attributes_and_repeated_elements() {
    let body = br#"<order id="7"><line>Mug</line><line>Desk</line></order>"#;
    assert_eq!(written_for("text/xml", body, "{{ body.order._id }} {{ join body.order.line '+' }}"), "7 Mug+Desk\n");
}

#[test]
fn invalid_forms_and_xml_are_rejected_with_400_and_the_reason() {
    let setup = Setup::with("webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then:\n      - log: hello\n");
    let doorbell = setup.serve();
    let got = doorbell.send("POST", "/a", &[("content-type", "application/xml")], b"<a><b></a>");
    assert_eq!(got.status, 400);
    assert!(got.body.contains("The body is declared as XML, but it cannot be read:"), "{got:?}");
    let got = doorbell.send("POST", "/a", &[("content-type", "multipart/form-data")], b"x");
    assert_eq!(got.status, 400);
    assert!(got.body.contains("The body is declared as a form, but it cannot be read:"), "{got:?}");
}

#[test]
fn xml_and_forms_are_sent_with_special_characters_escaped() {
    let target = Target::new(&[&json(200, "{}")]);
    let setup = Setup::with(
        &"webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then:\n      - post: TARGET/xml\n        xml: \"<order note=\\\"{{ body.note }}\\\">{{ body.name }}</order>\"\n      - post: TARGET/form\n        form: { name: \"{{ body.name }}\", tags: \"{{ body.tags }}\", gone: \"{{ body.gone }}\" }\n      - respond: 200\n        xml: \"<ok>{{ body.name }}</ok>\"\n"
            .replace("TARGET", &target.url("")),
    );
    let doorbell = setup.serve();
    let got = doorbell.post("/a", r#"{"name": "A & B <c>", "note": "say \"hi\"", "tags": ["x", "y"], "gone": null}"#);
    assert_eq!((got.status, got.header("content-type"), got.body.as_str()), (200, "application/xml", "<ok>A &amp; B &lt;c&gt;</ok>"));
    let calls = target.calls();
    assert_eq!(calls[0].body, "<order note=\"say &quot;hi&quot;\">A &amp; B &lt;c&gt;</order>");
    assert_eq!(calls[0].header("content-type"), "application/xml");
    assert_eq!(calls[1].body, "name=A+%26+B+%3Cc%3E&tags=x&tags=y");
}

/// What a rule sees in a body, as JSON.
fn seen(headers: &[(&str, &str)], body: &[u8], field: &str) -> String {
    let rules = "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then:\n      - append: a.log\n        json: { seen: \"{{ FIELD }}\" }\n";
    let setup = Setup::with(&rules.replace("FIELD", field));
    let doorbell = setup.serve();
    let got = doorbell.send("POST", "/a", headers, body);
    assert_eq!(got.status, 200, "{got:?}");
    until("it is written", || !setup.output("a.log").is_empty());
    let line = setup.output("a.log");
    line.trim().strip_prefix("{\"seen\":").and_then(|l| l.strip_suffix('}')).unwrap_or(&line).to_owned()
}

#[test]
fn an_event_is_accepted_whatever_its_sender_did_to_the_text() {
    let json = ("content-type", "application/json");
    let cut = br#"{"id":7,"text":"thanks \ud83d"}"#;
    assert_eq!(seen(&[json], cut, "body"), "{\"id\":7,\"text\":\"thanks \u{fffd}\"}");
    // Only some of the fields are used, so only these are read, unless something has to be repaired.
    assert_eq!(seen(&[json], cut, "body.text"), "\"thanks \u{fffd}\"");
    assert_eq!(seen(&[json], cut, "body.id"), "7");
    assert_eq!(seen(&[json], b"{\"id\":7,\"text\":\"\xe9\"}", "body.id"), "7");
    assert_eq!(seen(&[json, ("content-encoding", "UTF-8")], b"{\"id\":7}", "body.id"), "7");
}

#[test]
fn json_is_read_under_any_name_and_lines_of_it_are_a_list() {
    for kind in ["text/plain", "application/octet-stream", "application/x-amz-json-1.1"] {
        assert_eq!(seen(&[("content-type", kind)], b"{\"id\":7}", "body.id"), "7", "{kind}");
        assert_eq!(seen(&[("content-type", kind)], b"12345", "body"), "\"12345\"", "{kind}");
    }
    assert_eq!(seen(&[], b"{\"id\":7}", "body.id"), "7");
    let lines = b"{\"id\":1}\n{\"id\":2}\n";
    for kind in ["application/x-ndjson", "application/json", "text/plain"] {
        assert_eq!(seen(&[("content-type", kind)], lines, "body[*].id"), "[1,2]", "{kind}");
    }
}

#[test]
fn a_file_is_kept_as_it_is_and_the_text_of_any_body_is_raw() {
    let pdf = [("content-type", "application/pdf"), ("content-disposition", "attachment; filename=\"a.pdf\"")];
    let expected = r#"{"name":"a.pdf","size":8,"type":"application/pdf","base64":"JVBERgD//gA="}"#;
    assert_eq!(seen(&pdf, b"%PDF\0\xff\xfe\0", "body"), expected);
    let text = b" {\"b\":1.0,\r\n \"a\":\"\\u00e9\"}\n";
    assert_eq!(seen(&[], text, "raw"), "\" {\\\"b\\\":1.0,\\r\\n \\\"a\\\":\\\"\\\\u00e9\\\"}\\n\"");
}

#[test]
fn a_form_with_files_is_read_with_any_line_breaks_and_names() {
    let body = |name: &str| {
        let part = format!("--b\nContent-Disposition: form-data; name=\"cv\"; {name}\nContent-Type: application/pdf\n\n");
        [part.as_bytes(), b"%PDF\xff\n--b--\n"].concat()
    };
    let kind = [("content-type", "multipart/form-data; boundary=b")];
    let name = "filename*=utf-8''r%C3%A9sum%C3%A9.pdf";
    for body in [body(name), body(name).iter().flat_map(|b| if *b == b'\n' { vec![b'\r', b'\n'] } else { vec![*b] }).collect()] {
        assert_eq!(seen(&kind, &body, "body.cv"), r#"{"name":"résumé.pdf","size":5,"type":"application/pdf","base64":"JVBERv8="}"#);
    }
}

#[test]
fn fields_of_a_form_are_nested_and_keep_their_flat_names() {
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let body = b"type=subscribe&data%5Bmerges%5D%5BEMAIL%5D=a%40b&items[0][sku]=MUG&items[1][sku]=DESK&charset=windows-1252&n=Jos%E9";
    for (field, expected) in [
        ("body.data.merges.EMAIL", "\"a@b\""),
        ("body.items[*].sku", "[\"MUG\",\"DESK\"]"),
        ("body['items[1][sku]']", "\"DESK\""),
        ("body['data[merges][EMAIL]']", "\"a@b\""),
        ("body.n", "\"José\""),
    ] {
        assert_eq!(seen(&form, body, field), expected, "{field}");
    }
}

#[test]
fn json_inside_the_text_of_a_known_envelope_is_opened() {
    let json = [("content-type", "application/json")];
    let sns = br#"{"Type":"Notification","MessageId":"1","TopicArn":"arn:x","Message":"{\"AlarmName\":\"disk full\"}"}"#;
    let pushed = br#"{"message":{"data":"eyJpZCI6N30=","messageId":"1"},"subscription":"s"}"#;
    for kind in [json, [("content-type", "text/plain; charset=UTF-8")]] {
        assert_eq!(seen(&kind, sns, "body.Message.AlarmName"), "\"disk full\"", "{kind:?}");
    }
    assert_eq!(seen(&json, pushed, "body.message.data.id"), "7");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(seen(&form, b"mandrill_events=%5B%7B%22event%22%3A%22send%22%7D%5D", "body.mandrill_events[0].event"), "\"send\"");
}

#[test]
fn a_signature_is_checked_on_the_exact_bytes_of_a_body_that_is_repaired() {
    let setup = Setup::with(
        "webhooks:\n  /a: { verify: { github: \"{{ secret.GITHUB }}\" } }\nrules:\n  A:\n    when: { webhook: /a }\n    then:\n      - append: a.log\n        text: \"{{ body.text }}\"\n",
    )
    .env("GITHUB", "key-for-tests");
    let doorbell = setup.serve();
    let sent = b"{\"text\":\"\\ud83d \xff\"}";
    let repaired = "{\"text\":\"\u{fffd} \u{fffd}\"}".as_bytes();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"key-for-tests");
    let signature = |bytes: &[u8]| ring::hmac::sign(&key, bytes).as_ref().iter().map(|b| format!("{b:02x}")).collect::<String>();
    for (signed, status) in [(&sent[..], 200), (repaired, 401)] {
        let signature = format!("sha256={}", signature(signed));
        let headers = [("content-type", "application/json"), ("content-encoding", "utf-8"), ("x-hub-signature-256", signature.as_str())];
        assert_eq!(doorbell.send("POST", "/a", &headers, sent).status, status);
    }
    until("it is written", || setup.output("a.log") == "\u{fffd} \u{fffd}\n");
}

#[test]
fn a_number_with_an_exponent_is_passed_on_as_it_came() {
    let rules = "webhooks: { /a: { verify: none } }\nrules:\n  A:\n    when: { webhook: /a }\n    if: { body.n: 100000 }\n    then:\n      - append: a.log\n        text: \"{{ body.n }} {{ add body.n 1 }}\"\n      - append: b.log\n        json: \"{{ body }}\"\n";
    let setup = Setup::with(rules);
    let doorbell = setup.serve();
    doorbell.deliver("/a", r#"{"n": 1E5, "all": [1.0e-2, 2E+3]}"#);
    until("it is written", || setup.output("b.log") == "{\"n\":1E5,\"all\":[1.0e-2,2E+3]}\n");
    assert_eq!(setup.output("a.log"), "1E5 100001\n");
}
