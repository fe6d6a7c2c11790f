//! Bodies that are forms with files or XML: received from senders, and sent to other apps.

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
