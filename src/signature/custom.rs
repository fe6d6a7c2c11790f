//! Senders that are data: what an entry of `providers.yaml` can say, and how a signature is checked by it.
//!
//! Signatures are checked on the raw bytes, in constant time, by `ring`. An entry that needs more than these words
//! (a timestamp, several signatures, a handshake) gets the words added here, never a special case for one sender.

use std::sync::LazyLock;

use ring::hmac;
use serde::Deserialize;

use super::contract::Verify;
use super::password::read_secret;
use crate::known::Known;
use crate::request::Request;
use crate::yaml::fields::Item;

/// One sender, as `providers.yaml` describes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sender {
    pub name: String,
    algorithm: Algorithm,
    signature: Signature,
    signed: Signed,
    /// The field that holds the sender's own id of a delivery.
    pub delivery_id: Option<String>,
    /// In bytes.
    pub max_body: Option<usize>,
    #[cfg_attr(not(test), allow(dead_code, reason = "the known signature is for the test below"))]
    example: Example,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum Algorithm {
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    header: String,
    prefix: String,
    encoding: Encoding,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    Hex,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Signed {
    Body,
}

/// A signature that is known to be good.
#[derive(Debug, Deserialize)]
#[cfg_attr(not(test), allow(dead_code, reason = "the known signature is for the test below"))]
struct Example {
    secret: String,
    body: String,
    signature: String,
}

/// All senders that are data.
pub(super) fn senders() -> &'static [Sender] {
    static SENDERS: LazyLock<Vec<Sender>> = LazyLock::new(|| crate::yaml::shipped(include_str!("providers.yaml")));
    &SENDERS
}

impl Sender {
    pub(super) fn read(&self, item: &Item, known: &Known) -> Option<Box<dyn Verify>> {
        let secret = read_secret(item, known)?;
        Some(Box::new(self.with(secret.reveal())))
    }

    fn with(&self, secret: &str) -> Signing {
        let Algorithm::HmacSha256 = self.algorithm;
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        Signing { key, signature: self.signature.clone(), signed: self.signed }
    }
}

/// A sender's scheme with its secret.
struct Signing {
    key: hmac::Key,
    signature: Signature,
    signed: Signed,
}

impl Verify for Signing {
    fn check(&self, request: &Request) -> Result<(), String> {
        let Signature { header, prefix, encoding } = &self.signature;
        let sent = request.only_header(header)?;
        let sent = sent.trim().strip_prefix(prefix.as_str()).ok_or_else(|| format!("the header {header} does not begin with {prefix}"))?;
        let Encoding::Hex = encoding;
        let sent = unhex(sent).ok_or_else(|| format!("the header {header} holds no hexadecimal number"))?;
        let Signed::Body = self.signed;
        hmac::verify(&self.key, &request.body, &sent).map_err(|_| "the signature belongs to another secret or another body".to_owned())
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
    text.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: &str, headers: &[(&str, &str)]) -> Request {
        Request {
            method: "POST".into(),
            path: "/".into(),
            query: String::new(),
            headers: headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            ip: String::new(),
            body: body.as_bytes().to_vec().into(),
            received: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn every_sender_accepts_its_known_signature_and_nothing_near_it() {
        for sender in senders() {
            let Example { secret, body, signature } = &sender.example;
            let header = sender.signature.header.as_str();
            let verify = sender.with(secret);
            assert_eq!(verify.check(&request(body, &[(header, signature)])), Ok(()), "{}", sender.name);
            let flipped = signature.replace('7', "8");
            for (what, body, headers) in [
                ("another body", "x", vec![(header, signature.as_str())]),
                ("another signature", body.as_str(), vec![(header, flipped.as_str())]),
                ("no header", body.as_str(), vec![]),
                ("an empty header", body.as_str(), vec![(header, "")]),
                ("two headers", body.as_str(), vec![(header, signature.as_str()), (header, flipped.as_str())]),
                ("a short one", body.as_str(), vec![(header, &signature[..signature.len() - 2])]),
            ] {
                assert!(verify.check(&request(body, &headers)).is_err(), "{} with {what}", sender.name);
            }
            assert!(sender.with("other").check(&request(body, &[(header, signature)])).is_err());
        }
    }
}
