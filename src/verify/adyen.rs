//! Adyen's standard notifications: every item in the body has its own signature over eight of its fields.
//! Source: adyen-python-api-library, `util.py`.

use std::sync::LazyLock;

use ring::hmac;
use serde_json::Value;

use super::contract::{Scheme, SenderFacts};
use super::guard::Guard;
use super::key::{Algorithm, Key, KeyForm, unbase64};
use super::location::spelled;
use super::secret::read_secret;
use super::verifier::{MOST_UNPROVEN, Published, Signed, Verify};
use crate::expr::names::{Names, is_stand_in};
use crate::expr::projection::Projection;
use crate::model::request::Request;
use crate::yaml::fields::Item;

pub struct Adyen;

/// The signed fields, in this order.
const FIELDS: [&str; 8] = [
    "/pspReference",
    "/originalReference",
    "/merchantAccountCode",
    "/merchantReference",
    "/amount/value",
    "/amount/currency",
    "/eventCode",
    "/success",
];

impl Scheme for Adyen {
    fn name(&self) -> &'static str {
        "adyen"
    }
    fn facts(&self) -> Option<SenderFacts> {
        Some(SenderFacts {
            title: "Adyen".into(),
            delivery_id: vec![
                "body.notificationItems[0].NotificationRequestItem.pspReference".into(),
                "body.notificationItems[0].NotificationRequestItem.eventCode".into(),
                "body.notificationItems[0].NotificationRequestItem.success".into(),
            ],
            remembered: Some(192),
            write: "{ adyen: \"{{ secret.ADYEN_HMAC_KEY }}\" }".into(),
            paste: "Developers, Webhooks, Standard webhook: paste the address, generate an HMAC key and copy it".into(),
            within: "10 seconds".into(),
            note: "only eight fields of each item are signed, not the rest of the body; older accounts expect the answer [accepted]: write answer: { text: \"[accepted]\" }".into(),
        })
    }
    fn read(&self, item: &Item, known: &Names, _: Option<&str>) -> Option<Guard> {
        let mut vouchers = Vec::new();
        for item in item.one_or_more("write \"{{ secret.ADYEN_HMAC_KEY }}\"")? {
            let secret = read_secret(&item, known)?;
            match Key::read(Algorithm::HmacSha256, KeyForm::Hex, secret.reveal()) {
                Ok(key) => vouchers.push(Items(key)),
                Err(_) if is_stand_in(secret.reveal()) => vouchers.push(Items(Key::Bytes(Vec::new()))),
                Err(why) => {
                    item.problem(why).label("copy it again from Adyen").add();
                    return None;
                }
            }
        }
        Some(Guard::any_of(vouchers))
    }
}

struct Items(Key);

/// Where an item may be, and its signature in it.
const ITEMS: [&str; 3] = ["", "/notificationItems/*", "/notificationItems/*/NotificationRequestItem"];
const SIGNATURE: &str = "/additionalData/hmacSignature";

/// The signed parts of a body, and the signatures: nothing else is built before they are checked.
fn read(request: &Request) -> Option<Value> {
    static WANTED: LazyLock<Projection> = LazyLock::new(|| {
        let all = ITEMS.iter().flat_map(|item| FIELDS.iter().chain([&SIGNATURE]).map(move |field| format!("{item}{field}")));
        Projection::at(all.collect::<Vec<_>>().iter().map(String::as_str))
    });
    WANTED.read_at_most(&request.body, MOST_UNPROVEN)
}

/// The items of a body: in their wrapping, or a single one.
fn items(body: &Value) -> Vec<&Value> {
    match body["notificationItems"].as_array() {
        Some(all) => all.iter().map(|i| i.get("NotificationRequestItem").unwrap_or(i)).collect(),
        None if body.is_object() => vec![body],
        None => Vec::new(),
    }
}

fn signed(item: &Value) -> String {
    let field = |pointer: &&str| item.pointer(pointer).and_then(spelled).unwrap_or_default();
    FIELDS.iter().map(field).collect::<Vec<_>>().join(":")
}

impl Verify for Items {
    fn check(&self, request: &Request, _: Option<&Published>) -> Result<Signed, String> {
        let body = read(request).ok_or("the body is not JSON, or it contains far more than a notification")?;
        let items = items(&body);
        if items.is_empty() {
            return Err("the body contains no notification items".into());
        }
        if self.0.bytes().is_empty() {
            return Err("the secret is missing".into());
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.bytes());
        for (n, item) in items.iter().enumerate() {
            let sent = item.pointer(SIGNATURE).and_then(Value::as_str);
            let sent = sent.and_then(unbase64).ok_or(format!("item {} of the body has no signature", n + 1))?;
            if hmac::verify(&key, signed(item).as_bytes(), &sent).is_err() {
                return Err(format!("the signature of item {} was made with a different secret or for a different item", n + 1));
            }
        }
        // Each item is signed separately, so each could be sent again separately.
        Ok(items.iter().map(|i| signed(i).into_bytes()).collect())
    }
    fn signs(&self) -> bool {
        true
    }
    fn expected(&self, request: &Request) -> Option<Vec<u8>> {
        let body = read(request)?;
        Some(items(&body).iter().map(|i| signed(i)).collect::<Vec<_>>().join("\n").into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_signed_values_are_built_and_only_a_limited_number_of_them() {
        let read = |body: String| read(&Request { body: body.into(), ..Request::nobody() }).map(|v| v.to_string());
        let item =
            r#"{"NotificationRequestItem": {"pspReference": "7", "reason": [1, 2], "additionalData": {"hmacSignature": "x", "y": 1}}}"#;
        let read_of_it =
            r#"{"notificationItems":[{"NotificationRequestItem":{"pspReference":"7","additionalData":{"hmacSignature":"x"}}}]}"#;
        assert_eq!(read(format!(r#"{{"live": "true", "notificationItems": [{item}]}}"#)).as_deref(), Some(read_of_it));
        let many = |n: usize| format!(r#"{{"notificationItems": [{}0]}}"#, "0,".repeat(n - 1));
        // The body and the list themselves are two of the values.
        assert!(read(many(MOST_UNPROVEN - 2)).is_some());
        assert_eq!(read(many(MOST_UNPROVEN - 1)), None);
        assert_eq!(read(format!(r#"{{"success": [{}0]}}"#, "0,".repeat(MOST_UNPROVEN))), None);
    }
}
