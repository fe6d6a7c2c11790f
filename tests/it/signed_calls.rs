//! `using:` of calls that are signed (`signs:`, `aws:`): another Doorbell accepts what one has signed, and what AWS checks is right.

use ring::{digest, hmac};

use crate::harness::{ReceivedCall, Setup, Target, json, until};

const SIGNED: &str = "webhooks:\n  /a: { verify: none }\nconnections:\n  partner: { signs: { standard_webhooks: \"{{ secret.PARTNER }}\" } }\nrules:\n  A:\n    when: { webhook: /a }\n    then:\n      - post: http://API/in?x=ü\n        json: { text: \"{{ body.text }}\" }\n        using: partner\n";

#[test]
fn another_doorbell_accepts_what_is_signed_and_nothing_that_was_changed() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let receiver = Setup::with(
        "webhooks:\n  /in: { verify: { standard_webhooks: \"{{ secret.OURS }}\" } }\nrules:\n  A:\n    when: { webhook: /in }\n    then:\n      - append: got.txt\n        text: \"{{ body.text }} {{ header.webhook-id }}\"\n",
    )
    .env("OURS", secret);
    let receiving = receiver.serve();
    let sender = Setup::with(&SIGNED.replace("API", &receiving.address)).env("PARTNER", secret);
    let doorbell = sender.serve();
    let event = doorbell.deliver("/a", "{\"text\":\"Grüße\"}");
    let shown = sender.explained(&event);
    assert!(shown.contains("✓ A"), "{shown}");
    until("it has arrived", || receiver.output("got.txt").starts_with("Grüße "));
    drop(doorbell);
    // The id is the idempotency key, and the time that of the try.
    let target = Target::new(&[&json(503, ""), &json(200, "{}")]);
    sender.write("rules/rules.yaml", &SIGNED.replace("API", &target.address).replace("using", "first_wait: 1 second\n        using"));
    let doorbell = sender.serve();
    assert!(sender.explained(&doorbell.deliver("/a", "{\"text\":\"b\"}")).contains("✓ A"));
    let calls = target.calls();
    for call in &calls {
        assert_eq!(call.header("webhook-id"), call.header("idempotency-key"));
        assert!(call.header("webhook-signature").starts_with("v1,"));
    }
    assert_eq!(calls[0].header("webhook-id"), calls[1].header("webhook-id"));
    assert_ne!(calls[0].header("webhook-timestamp"), calls[1].header("webhook-timestamp"));
    let send = |call: &ReceivedCall, body: &str| {
        let headers: Vec<(&str, &str)> =
            call.headers.iter().filter(|(n, _)| n.starts_with("webhook-")).map(|(n, v)| (&**n, &**v)).collect();
        receiving.send("POST", "/in", &headers, body.as_bytes()).status
    };
    assert_eq!(send(&calls[1], &calls[1].body.replace('b', "c")), 401);
    assert_eq!(send(&calls[1], &calls[1].body), 200);
}

#[test]
fn one_connection_logs_in_and_another_one_signs() {
    let api = Target::new(&[&json(200, "{\"said\":\"yes\"}")]);
    let tokens = Target::new(&[&json(200, "{\"access_token\":\"t0ken\"}")]);
    let setup = Setup::new().env("PARTNER", "shared-s3cr3t").env("CRM_SECRET", "client-s3cr3t");
    // Each in a file of its own, in any order.
    setup.write(
        "rules/a.yaml",
        &format!(
            "webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then: [{{ post: \"http://{}/things\", json: {{ n: \"{{{{ body.n }}}}\" }}, using: [seal, crm] }}]\n",
            api.address
        ),
    );
    let account = "client_id: shop, client_secret: \"{{ secret.CRM_SECRET }}\"";
    setup.write("rules/b.yaml", &format!("connections:\n  crm: {{ oauth2: {{ token_url: {}, {account} }} }}\n", tokens.url("/token")));
    setup.write(
        "rules/c.yaml",
        "connections:\n  seal:\n    signs:\n      custom:\n        secret: \"{{ secret.PARTNER }}\"\n        algorithm: hmac-sha256\n        signature: { from: \"header:X-Seal\", format: \"t={ts},v1={sig}\" }\n        signed: \"{ts}.{header:Authorization}.{body}\"\n        timestamp: { from: signature }\n",
    );
    let doorbell = setup.serve();
    assert!(setup.explained(&doorbell.deliver("/a", "{\"n\":1}")).contains("✓ A"));
    let call = api.calls().remove(0);
    assert_eq!(call.header("authorization"), "Bearer t0ken");
    let (time, signature) = call.header("x-seal").strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"shared-s3cr3t"), format!("{time}.Bearer t0ken.{{\"n\":1}}").as_bytes());
    assert_eq!(signature, hex(tag.as_ref()));
    let shown = setup.printed(&["connections", "--online", "--allow-network", "127.0.0.0/8"]);
    assert!(shown.contains("seal  signatures: a custom scheme\n  used by: A\n  is not tried, because it only signs calls\n"), "{shown}");
    let list: serde_json::Value = serde_json::from_str(&setup.printed(&["connections", "--json"])).unwrap();
    assert_eq!((&list[1]["name"], &list[1]["kind"], &list[1]["server"]), (&"seal".into(), &"signatures".into(), &"a custom scheme".into()));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The signature of a call as AWS makes it, from what arrived.
fn aws_signature(call: &ReceivedCall, secret: &str) -> String {
    let sha256 = |text: &str| hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    let authorization = call.header("authorization");
    let part = |name: &str| authorization.split(['=', ' ', ',']).skip_while(|part| *part != name).nth(1).unwrap();
    let scope = part("Credential").split_once('/').unwrap().1;
    let names = part("SignedHeaders");
    let headers: String = names.split(';').map(|name| format!("{name}:{}\n", call.header(name))).collect();
    let target = call.line.split(' ').nth(1).unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let method = call.line.split(' ').next().unwrap();
    let request = format!("{method}\n{path}\n{query}\n{headers}\n{names}\n{}", sha256(&call.body));
    let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", call.header("x-amz-date"), sha256(&request));
    let tag = |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec();
    let key = scope.split('/').fold(format!("AWS4{secret}").into_bytes(), |key, part| tag(&key, part));
    hex(&tag(&key, &text))
}

#[test]
fn a_call_to_aws_is_signed_with_its_query_its_body_and_its_session() {
    let api = Target::new(&[&json(200, "{}")]);
    let setup = Setup::with(&format!(
        "webhooks:\n  /a: {{ verify: none }}\nconnections:\n  queue:\n    aws:\n      region: eu-central-1\n      service: sqs\n      access_key_id: AKIDEXAMPLE\n      secret_access_key: \"{{{{ secret.AWS }}}}\"\n      session_token: \"{{{{ secret.SESSION }}}}\"\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n      - post: http://{}/1234/orders\n        query: {{ b: x y, a: \"{{{{ body.n }}}}\" }}\n        form: {{ Action: SendMessage, MessageBody: \"{{{{ body.n }}}} +ü\" }}\n        using: queue\n",
        api.address
    ))
    .env("AWS", "wJalrXUtnFEMI/K7MDENG")
    .env("SESSION", "s3ssion-token");
    let doorbell = setup.serve();
    let shown = setup.explained(&doorbell.deliver("/a", "{\"n\":\"1*\"}"));
    assert!(shown.contains("✓ A"), "{shown}");
    let call = api.calls().remove(0);
    assert_eq!(call.line, "POST /1234/orders?a=1%2A&b=x%20y HTTP/1.1");
    assert_eq!(call.header("x-amz-security-token"), "s3ssion-token");
    let authorization = call.header("authorization");
    assert!(
        authorization.contains("SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token, "),
        "{authorization}"
    );
    assert!(authorization.ends_with(&format!("Signature={}", aws_signature(&call, "wJalrXUtnFEMI/K7MDENG"))), "{authorization}");
    let shown = setup.printed(&["connections"]);
    assert_eq!(shown, "queue  AWS: sqs in eu-central-1\n  used by: A\n\n");
}
