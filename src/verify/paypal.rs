//! PayPal: a checksum of the body, the webhook's id and a time, signed with a certificate that PayPal publishes.
//! Source: PayPal-Python-SDK, `notifications.py`.

use std::time::Duration;

use super::check::{Unit, is_near};
use super::contract::{Scheme, SenderFacts};
use super::guard::Guard;
use super::key::{Algorithm, unbase64};
use super::secret::read_text;
use super::verifier::{KeyAt, Published, Signed, Verify};
use crate::expr::names::Names;
use crate::model::request::Request;
use crate::yaml::fields::Item;

pub struct PayPal;

/// How long ago a message may have been sent: as long as PayPal retries. Repeated deliveries are recognised by their id.
const TOLERANCE: Duration = Duration::from_secs(3 * 86_400);

impl Scheme for PayPal {
    fn name(&self) -> &'static str {
        "paypal"
    }
    fn facts(&self) -> Option<SenderFacts> {
        Some(SenderFacts {
            title: "PayPal".into(),
            delivery_id: vec!["body.id".into()],
            remembered: Some(96),
            write: "{ paypal: \"{{ secret.PAYPAL_WEBHOOK_ID }}\" }".into(),
            paste: "Apps & Credentials, your app, Webhooks: paste the address and copy the webhook's id".into(),
            within: "".into(),
            note: "the webhook's id, as PayPal's dashboard shows it, is used instead of a secret; a checksum of the body is signed, not the body itself".into(),
        })
    }
    fn read(&self, item: &Item, known: &Names, _: Option<&str>) -> Option<Guard> {
        let mut vouchers = Vec::new();
        for item in item.one_or_more("write \"{{ secret.PAYPAL_WEBHOOK_ID }}\"")? {
            vouchers.push(Webhook(read_text(&item, known)?.reveal().to_owned()));
        }
        Some(Guard::any_of(vouchers))
    }
}

struct Webhook(String);

impl Webhook {
    fn text(&self, request: &Request) -> Result<String, String> {
        let id = request.only_header("PayPal-Transmission-Id")?;
        let time = request.only_header("PayPal-Transmission-Time")?;
        Ok(format!("{id}|{time}|{}|{}", self.0, crc32fast::hash(&request.body)))
    }
}

/// Where PayPal publishes its certificates.
const HOSTS: [&str; 4] = ["api.paypal.com", "api.sandbox.paypal.com", "api-m.paypal.com", "api-m.sandbox.paypal.com"];

/// Whether this is exactly the address of a PayPal certificate.
fn is_certificate(address: &str) -> bool {
    let name = HOSTS.iter().find_map(|host| address.strip_prefix("https://")?.strip_prefix(host)?.strip_prefix("/v1/notifications/certs/"));
    name.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
}

impl Webhook {
    /// The address of the certificate and the signature, after every check that does not need the certificate.
    fn read(&self, request: &Request) -> Result<(String, Vec<u8>), String> {
        if !request.only_header("PayPal-Auth-Algo")?.eq_ignore_ascii_case("SHA256withRSA") {
            return Err("the header PayPal-Auth-Algo is not SHA256withRSA".into());
        }
        let sent = unbase64(request.only_header("PayPal-Transmission-Sig")?)
            .ok_or("the signature in the header PayPal-Transmission-Sig cannot be decoded")?;
        request.only_header("PayPal-Transmission-Id")?;
        is_near(request.only_header("PayPal-Transmission-Time")?, Unit::Rfc3339, TOLERANCE, request.received)?;
        let address = request.only_header("PayPal-Cert-Url")?;
        match is_certificate(address) {
            true => Ok((address.to_owned(), sent)),
            false => Err("the certificate is not at a PayPal address".into()),
        }
    }
}

impl Verify for Webhook {
    fn key_at(&self, request: &Request) -> Result<Option<KeyAt>, String> {
        self.read(request).map(|(address, _)| Some(KeyAt::Named(address)))
    }

    fn check(&self, request: &Request, published: Option<&Published>) -> Result<Signed, String> {
        let (_, sent) = self.read(request)?;
        let published = published.ok_or("PayPal's certificate could not be fetched")?;
        let signed = self.text(request)?.into_bytes();
        match published.0.is_good(Algorithm::RsaSha256, &signed, &sent, None) {
            true => Ok(vec![signed]),
            false => Err("the signature is for a different webhook or a different body".into()),
        }
    }
    fn signs(&self) -> bool {
        true
    }
    fn expected(&self, request: &Request) -> Option<Vec<u8>> {
        self.text(request).ok().map(String::into_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_text_is_the_same_as_in_paypals_own_library() {
        let request = Request {
            headers: [
                ("paypal-transmission-id", "dfb3be50-fd74-11e4-8bf3-77339302725b"),
                ("paypal-transmission-time", "2015-05-18T15:45:13Z"),
            ]
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .to_vec(),
            body: bytes::Bytes::from_static(b"123456789"),
            ..Request::nobody()
        };
        let text = Webhook("4JH86294D6297924G".into()).text(&request);
        // The checksum of these digits is the check value of CRC-32.
        assert_eq!(text.as_deref(), Ok("dfb3be50-fd74-11e4-8bf3-77339302725b|2015-05-18T15:45:13Z|4JH86294D6297924G|3421780262"));
    }

    #[test]
    fn certificates_must_be_at_paypal_addresses() {
        let good = "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-a5cafa77";
        assert!(is_certificate(good) && HOSTS.iter().all(|host| is_certificate(&good.replace("api.paypal.com", host))));
        for (from, to) in [
            ("api.paypal.com", "www.paypal.com"),
            ("api.paypal.com", "paypal.com"),
            ("api.paypal.com", "evilpaypal.com"),
            ("api.paypal.com", "api.paypal.com.evil.example"),
            ("api.paypal.com", "api.paypal.com@evil.example"),
            ("api.paypal.com", "api.paypal.com:8443"),
            ("https", "http"),
            ("certs/", "certs/../"),
            ("certs/", "certs/%2e%2e/"),
            ("/v1", "/v2"),
            ("a5cafa77", "a5cafa77?x"),
            ("a5cafa77", "a5cafa77#x"),
            ("CERT-360caa42-fca2a594-a5cafa77", ""),
        ] {
            assert!(!is_certificate(&good.replace(from, to)), "{to}");
        }
    }
}
