//! Twilio: the address and the form's fields, or the address alone with the hash of the body in it. Twilio signs the address
//! with or without its port; both are tried, as in its own libraries. Where a webhook rule applies, its shared key signs in place
//! of the account's token, and a header names the algorithm.
//! Source: twilio-python and twilio-go, their request validators.

use ring::hmac;

use super::contract::{NAME_OUTSIDE, Scheme, SenderFacts};
use super::formula::{Formula, Given};
use super::guard::Guard;
use super::key::unbase64;
use super::location::Location;
use super::secret::read_secret;
use super::verifier::{Published, Signed as SignedTexts, Verify};
use crate::expr::names::Names;
use crate::model::request::Request;
use crate::secret::Secret;
use crate::yaml::Node;
use crate::yaml::fields::Item;

pub struct Twilio;

const SIGNATURE: &str = "X-Twilio-Signature";
/// The header that is there if a webhook rule applies: `key=…,algorithm=HMAC_SHA256`.
const SETTINGS: &str = "X-Twilio-Webhooks-Signature-Settings";

impl Scheme for Twilio {
    fn name(&self) -> &'static str {
        "twilio"
    }
    fn facts(&self) -> Option<SenderFacts> {
        Some(SenderFacts {
            title: "Twilio".into(),
            delivery_id: vec!["header.I-Twilio-Idempotency-Token".into()],
            remembered: None,
            write: "{ twilio: \"{{ secret.TWILIO_AUTH_TOKEN }}\" }".into(),
            paste: "paste the address into the settings of the phone number or service that sends the webhook".into(),
            within: "15 seconds".into(),
            note:
                "needs public_url; the secret is the account's auth token, and if a webhook rule of the account signs with HMAC-SHA256, its shared key belongs next to it: { twilio: { secret: …, shared_key: … } }; the delivery id is not confirmed by the sender's documentation"
                    .into(),
        })
    }
    fn read(&self, item: &Item, known: &Names, public_url: Option<&str>) -> Option<Guard> {
        let Some(public_url) = public_url else {
            item.problem("Twilio signs the address, so Doorbell must know its public address")
                .at_key()
                .label("write `public_url: https://hooks.example.com` next to `verify:`")
                .add();
            return None;
        };
        let (tokens, shared_keys) = match item.node {
            Node::Map(_) => {
                let mut fields = item.fields("`twilio:`")?;
                let tokens = fields.must("secret").and_then(|i| secrets(&i, known));
                let shared_keys = fields.may("shared_key").map(|i| secrets(&i, known));
                fields.done(&[("token", "did you mean `secret`?"), ("auth_token", "did you mean `secret`?"), ("name", NAME_OUTSIDE)]);
                (tokens?, shared_keys.map_or(Some(Vec::new()), |keys| keys)?)
            }
            _ => (secrets(item, known)?, Vec::new()),
        };
        Some(Guard::of(Signed { tokens, shared_keys, bases: with_and_without_port(public_url) }))
    }
}

fn secrets(item: &Item, known: &Names) -> Option<Vec<Secret>> {
    item.one_or_more("write \"{{ secret.TWILIO_AUTH_TOKEN }}\"")?.iter().map(|item| read_secret(item, known)).collect()
}

struct Signed {
    /// The auth tokens of the account.
    tokens: Vec<Secret>,
    /// The keys of webhook rules, which sign in place of the token.
    shared_keys: Vec<Secret>,
    /// The public address as it was written, and the same with and without its port.
    bases: Vec<String>,
}

impl Signed {
    fn bytes(&self, request: &Request, base: &str) -> Option<Vec<u8>> {
        let is_hashed = request.query.split('&').any(|p| p.starts_with("bodySHA256="));
        let formula = Formula::read(if is_hashed { "{url}" } else { "{url}{form_sorted}" }).ok()?;
        formula.bytes(request, Given { public_url: Some(base), ..Given::default() }).ok()
    }

    /// The keys that may have signed a request, and how.
    fn keys(&self, request: &Request) -> Result<(&[Secret], hmac::Algorithm), String> {
        if !request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(SETTINGS)) {
            return Ok((&self.tokens, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY));
        }
        let settings = request.only_header(SETTINGS)?;
        let algorithm = settings.split(',').find_map(|part| part.trim().strip_prefix("algorithm="));
        let algorithm = match algorithm {
            Some("HMAC_SHA256") => hmac::HMAC_SHA256,
            Some("HMAC_SHA1") | None => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Some(_) => return Err(format!("the header {SETTINGS} names an algorithm that Doorbell does not support")),
        };
        match self.shared_keys.is_empty() {
            false => Ok((&self.shared_keys, algorithm)),
            true => Err(format!(
                "the header {SETTINGS} says that a webhook rule signs with its shared key; write `shared_key:` next to `secret:`"
            )),
        }
    }
}

impl Verify for Signed {
    fn check(&self, request: &Request, _: Option<&Published>) -> Result<SignedTexts, String> {
        let sent = unbase64(request.only_header(SIGNATURE)?).ok_or(format!("the signature in the header {SIGNATURE} cannot be decoded"))?;
        if let Some(hash) = Location::read("query:bodySHA256").map_or(Ok(None), |p| p.find(request))?
            && hash.to_ascii_lowercase() != crate::model::hash::hash(&request.body)
        {
            return Err("the body does not match `bodySHA256` in the address".into());
        }
        let (keys, algorithm) = self.keys(request)?;
        let keys: Vec<hmac::Key> = keys.iter().map(|secret| hmac::Key::new(algorithm, secret.reveal().as_bytes())).collect();
        let is_good =
            |base: &String| self.bytes(request, base).is_some_and(|bytes| keys.iter().any(|key| hmac::verify(key, &bytes, &sent).is_ok()));
        match self.bases.iter().any(is_good) {
            // With or without the port, it is the same request.
            true => Ok(self.expected(request).into_iter().collect()),
            false => Err("the signature was made with a different secret, or for a different address or form".into()),
        }
    }
    fn signs(&self) -> bool {
        true
    }
    fn expected(&self, request: &Request) -> Option<Vec<u8>> {
        self.bytes(request, self.bases.first()?)
    }
}

/// A base address as it was written, and the same with the other spelling of its port: without any port, or with the usual one.
fn with_and_without_port(base: &str) -> Vec<String> {
    let base = base.trim_end_matches('/');
    let host = base.find("://").map_or(0, |n| n + 3);
    // The last colon after the brackets of an IPv6 address, and after a user's name and password.
    let after = base.rfind([']', '@']).unwrap_or(host);
    match base.get(after..).and_then(|rest| rest.rfind(':')) {
        Some(colon) => vec![base.to_owned(), base.get(..after + colon).unwrap_or(base).to_owned()],
        None => vec![base.to_owned(), format!("{base}{}", if base.starts_with("https://") { ":443" } else { ":80" })],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_tried_with_and_without_its_port() {
        for (base, other) in [
            ("https://a.example.com", "https://a.example.com:443"),
            ("https://a.example.com/", "https://a.example.com:443"),
            ("http://a.example.com", "http://a.example.com:80"),
            ("https://a.example.com:443", "https://a.example.com"),
            ("https://a.example.com:8443", "https://a.example.com"),
            ("https://[2001:db8::1]", "https://[2001:db8::1]:443"),
            ("http://[2001:db8::1]:8080", "http://[2001:db8::1]"),
            ("https://me:word@a.example.com", "https://me:word@a.example.com:443"),
        ] {
            assert_eq!(with_and_without_port(base), [base.trim_end_matches('/'), other]);
        }
    }
}
