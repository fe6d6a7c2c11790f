//! Twilio: the address and the form's fields, or the address alone with the hash of the body in it. Twilio signs the address
//! with or without the default port; both are tried, as in its own libraries.
//! Source: twilio-python and twilio-go, their request validators.

use ring::hmac;

use super::contract::{Scheme, SenderFacts};
use super::formula::{Formula, Given};
use super::guard::Guard;
use super::key::unbase64;
use super::location::Location;
use super::secret::read_secret;
use super::verifier::{Published, Signed as SignedTexts, Verify};
use crate::expr::names::Names;
use crate::model::request::Request;
use crate::secret::Secret;
use crate::yaml::fields::Item;

pub struct Twilio;

const SIGNATURE: &str = "X-Twilio-Signature";

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
                "needs public_url; the secret is the account's auth token; the delivery id is not confirmed by the sender's documentation"
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
        let mut vouchers = Vec::new();
        for item in item.one_or_more("write \"{{ secret.TWILIO_AUTH_TOKEN }}\"")? {
            let secret = read_secret(&item, known)?;
            vouchers.push(Signed { secret, bases: with_and_without_port(public_url) });
        }
        Some(Guard::any_of(vouchers))
    }
}

struct Signed {
    secret: Secret,
    /// The public address as it was written, and the same with and without its port.
    bases: Vec<String>,
}

impl Signed {
    fn bytes(&self, request: &Request, base: &str) -> Option<Vec<u8>> {
        let is_hashed = request.query.split('&').any(|p| p.starts_with("bodySHA256="));
        let formula = Formula::read(if is_hashed { "{url}" } else { "{url}{form_sorted}" }).ok()?;
        formula.bytes(request, Given { public_url: Some(base), ..Given::default() }).ok()
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
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.secret.reveal().as_bytes());
        let is_good = |base: &String| self.bytes(request, base).is_some_and(|bytes| hmac::verify(&key, &bytes, &sent).is_ok());
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

fn with_and_without_port(base: &str) -> Vec<String> {
    let base = base.trim_end_matches('/');
    let port = if base.starts_with("https://") { ":443" } else { ":80" };
    match base.strip_suffix(port) {
        Some(bare) => vec![base.to_owned(), bare.to_owned()],
        None if base.rsplit('/').next().is_some_and(|host| host.contains(':')) => vec![base.to_owned()],
        None => vec![base.to_owned(), format!("{base}{port}")],
    }
}
