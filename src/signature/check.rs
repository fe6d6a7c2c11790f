//! Checks a request by a scheme: finds the signatures and the time, works out what was signed, compares.
//!
//! Everything is done on the raw bytes, by `ring`, in constant time. The reasons are for the operator; they never hold the
//! signature that was expected.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::{digest, hmac, signature};
use subtle::ConstantTimeEq;

use super::contract::Verify;
use super::hello::Hello;
use super::signed::{Place, Signed};
use crate::request::Request;
use crate::run::Answer;
use crate::secret::Secret;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Algorithm {
    HmacSha1,
    HmacSha256,
    HmacSha384,
    HmacSha512,
    /// The digest itself, of a text with the secret in it.
    Sha1,
    Sha256,
    Ed25519,
    EcdsaP256,
    /// The secret itself is sent.
    Equals,
}

impl Algorithm {
    pub(super) const WORDS: [(&str, Self); 9] = [
        ("hmac-sha1", Self::HmacSha1),
        ("hmac-sha256", Self::HmacSha256),
        ("hmac-sha384", Self::HmacSha384),
        ("hmac-sha512", Self::HmacSha512),
        ("sha1", Self::Sha1),
        ("sha256", Self::Sha256),
        ("ed25519", Self::Ed25519),
        ("ecdsa-p256-sha256", Self::EcdsaP256),
        ("equals", Self::Equals),
    ];
}

/// How a secret is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum KeyForm {
    Text,
    Hex,
    Base64,
    /// Base64 behind `whsec_` or `whpk_`, as Standard Webhooks write it.
    Whsec,
    /// The key is the Base64 of the secret.
    ToBase64,
}

impl KeyForm {
    pub(super) const WORDS: [(&str, Self); 5] =
        [("utf8", Self::Text), ("hex", Self::Hex), ("base64", Self::Base64), ("whsec", Self::Whsec), ("to-base64", Self::ToBase64)];

    fn bytes(self, secret: &str) -> Option<Vec<u8>> {
        match self {
            KeyForm::Text => Some(secret.as_bytes().to_vec()),
            KeyForm::Hex => unhex(secret),
            KeyForm::Base64 => unbase64(secret),
            KeyForm::Whsec => unbase64(secret.strip_prefix("whsec_").or_else(|| secret.strip_prefix("whpk_")).unwrap_or(secret)),
            KeyForm::ToBase64 => Some(STANDARD.encode(secret).into_bytes()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Encoding {
    Hex,
    Base64,
    /// As it is.
    Text,
}

impl Encoding {
    pub(super) const WORDS: [(&str, Self); 4] =
        [("hex", Self::Hex), ("base64", Self::Base64), ("base64url", Self::Base64), ("text", Self::Text)];

    fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Encoding::Hex => unhex(text),
            Encoding::Base64 => unbase64(text),
            Encoding::Text => Some(text.as_bytes().to_vec()),
        }
    }
}

/// How signature and time stand in a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Format {
    /// `sha256={sig}`.
    Whole { before: String, after: String },
    /// `t={ts},v1={sig}`: in any order, the signature's name perhaps several times.
    Pairs { between: char, time: Option<String>, signature: String },
}

impl Format {
    pub(super) fn read(text: &str) -> Option<Self> {
        let (before, after) = text.split_once("{sig}")?;
        let between = if text.contains(';') { ';' } else { ',' };
        let named =
            |variable: &str| text.split(between).find_map(|p| p.trim().strip_suffix(variable)?.strip_suffix('=').map(str::to_owned));
        match (text.contains(between) || text.contains("{ts}"), named("{sig}")) {
            (true, Some(signature)) => Some(Format::Pairs { between, time: named("{ts}"), signature }),
            _ if text.contains("{ts}") => None,
            _ => Some(Format::Whole { before: before.to_owned(), after: after.to_owned() }),
        }
    }

    /// The signatures in a text, and the time.
    fn find(&self, text: &str, list: Option<&str>) -> (Vec<String>, Option<String>) {
        match self {
            Format::Whole { before, after } => {
                let one = |part: &str| part.trim().strip_prefix(before.as_str())?.strip_suffix(after.as_str()).map(str::to_owned);
                let parts: Vec<&str> = list.map_or_else(|| vec![text], |between| text.split(between).collect());
                (parts.into_iter().filter_map(one).filter(|s| !s.is_empty()).collect(), None)
            }
            Format::Pairs { between, time, signature } => {
                let pairs: Vec<(&str, &str)> = text.split(*between).filter_map(|p| p.trim().split_once('=')).collect();
                let all = |name: &str| {
                    pairs.iter().filter(|(n, v)| *n == name && !v.is_empty()).map(|(_, v)| (*v).to_owned()).collect::<Vec<_>>()
                };
                // A time that came twice would let somebody choose.
                let times = time.as_ref().map(|t| all(t)).unwrap_or_default();
                (all(signature), if times.len() == 1 { times.into_iter().next() } else { None })
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
    Rfc3339,
    HttpDate,
}

impl Unit {
    pub(super) const WORDS: [(&str, Self); 4] =
        [("s", Self::Seconds), ("ms", Self::Milliseconds), ("rfc3339", Self::Rfc3339), ("http-date", Self::HttpDate)];

    fn read(self, text: &str) -> Option<Timestamp> {
        match self {
            Unit::Seconds => Timestamp::from_second(text.parse().ok()?).ok(),
            Unit::Milliseconds => Timestamp::from_millisecond(text.parse().ok()?).ok(),
            Unit::Rfc3339 => text.parse().ok(),
            Unit::HttpDate => jiff::fmt::rfc2822::parse(text).ok().map(|z| z.timestamp()),
        }
    }
}

/// Where the time of a signature stands, and how far it may be away.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Time {
    /// Nothing: beside the signature.
    pub from: Option<Place>,
    pub unit: Unit,
    /// 0: it is not looked at.
    pub tolerance: Duration,
    /// Whether it may be missing: only where it stands in what is signed, so that nobody can take it out.
    pub optional: bool,
}

/// A scheme without its secret.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scheme {
    pub algorithm: Algorithm,
    pub key: KeyForm,
    /// Any of these may hold a signature.
    pub from: Vec<Place>,
    pub format: Format,
    /// What stands between several signatures.
    pub list: Option<String>,
    pub encoding: Encoding,
    pub signed: Signed,
    pub time: Option<Time>,
    pub require: Vec<(Place, String)>,
    pub hello: Option<Hello>,
}

/// A secret, ready to be used.
pub(super) struct Key {
    secret: Secret,
    bytes: Vec<u8>,
}

impl Key {
    /// The error is a sentence for whoever wrote the rule; it does not hold the secret.
    pub(super) fn new(scheme: &Scheme, secret: &str) -> Result<Self, String> {
        let form = KeyForm::WORDS.iter().find(|(_, k)| *k == scheme.key).map_or("", |(w, _)| *w);
        let bytes = scheme.key.bytes(secret).ok_or_else(|| format!("this secret is not written as {form}"))?;
        let bytes = match scheme.algorithm {
            // The 65 bytes of the point stand at the end of the key's wrapping (RFC 5480).
            Algorithm::EcdsaP256 => {
                bytes.len().checked_sub(65).map(|n| bytes[n..].to_vec()).ok_or("this is no public key of ECDSA P-256")?
            }
            Algorithm::Ed25519 if bytes.len() < 32 => return Err("this is no public key of Ed25519".into()),
            Algorithm::Ed25519 => bytes[bytes.len() - 32..].to_vec(),
            _ => bytes,
        };
        if bytes.is_empty() {
            return Err("an empty secret would let everybody in".into());
        }
        Ok(Self { secret: Secret::new(secret.to_owned()), bytes })
    }
}

/// A scheme with its secrets; any of them suffices.
pub(super) struct Signing {
    pub scheme: Scheme,
    pub keys: Vec<Key>,
    pub public_url: Option<String>,
}

impl Verify for Signing {
    fn check(&self, request: &Request) -> Result<(), String> {
        let scheme = &self.scheme;
        for (place, wanted) in &scheme.require {
            if place.find(request)?.as_deref() != Some(wanted) {
                return Err(format!("{} is not {wanted}", place.words()));
            }
        }
        let (mut signatures, mut beside, mut there) = (Vec::new(), None, false);
        for place in &scheme.from {
            let Some(text) = place.find(request)? else { continue };
            there = true;
            let (found, time) = scheme.format.find(&text, scheme.list.as_deref());
            signatures.extend(found);
            beside = beside.or(time);
        }
        let where_ = scheme.from.first().map(Place::words).unwrap_or_default();
        if !there {
            return Err(format!("{where_} is missing"));
        }
        if signatures.is_empty() {
            return Err(format!("{where_} holds no signature of the right form"));
        }
        let time = self.time(request, beside)?;
        // One that cannot be read may stand beside a good one.
        let signatures: Vec<Vec<u8>> = signatures.iter().filter_map(|s| scheme.encoding.decode(s)).collect();
        if signatures.is_empty() {
            return Err(format!("the signature in {where_} cannot be decoded"));
        }
        for key in &self.keys {
            let signed = scheme.signed.bytes(request, time.as_deref(), key.secret.reveal(), self.public_url.as_deref())?;
            if signatures.iter().any(|s| is_good(scheme.algorithm, key, &signed, s)) {
                return Ok(());
            }
        }
        Err("the signature belongs to another secret or another body".into())
    }

    fn greets_by(&self) -> Option<&str> {
        self.scheme.hello.as_ref()?.unsigned()
    }

    fn hello(&self, request: &Request) -> Option<Answer> {
        self.scheme.hello.as_ref()?.answer(request, &self.keys.first()?.bytes)
    }
}

impl Signing {
    /// The time as it was sent, once it is near enough.
    fn time(&self, request: &Request, beside: Option<String>) -> Result<Option<String>, String> {
        let Some(time) = &self.scheme.time else { return Ok(None) };
        let sent = match &time.from {
            None => beside.ok_or("the time of the signature is missing")?,
            Some(place) => match place.find(request)? {
                Some(sent) => sent,
                None if time.optional => return Ok(None),
                None => return Err(format!("{} is missing", place.words())),
            },
        };
        if time.tolerance.is_zero() {
            return Ok(Some(sent));
        }
        let at = time.unit.read(&sent).ok_or("the time of the signature cannot be read")?;
        let away = request.received.duration_since(at).unsigned_abs();
        if away > time.tolerance {
            let (away, most) = (away.as_secs(), time.tolerance.as_secs());
            return Err(format!("the signature's time is {away} seconds away, {most} are allowed; is this machine's clock right?"));
        }
        Ok(Some(sent))
    }
}

fn is_good(algorithm: Algorithm, key: &Key, signed: &[u8], sent: &[u8]) -> bool {
    let with = |algorithm| hmac::verify(&hmac::Key::new(algorithm, &key.bytes), signed, sent).is_ok();
    let public = |algorithm: &'static dyn signature::VerificationAlgorithm| {
        signature::UnparsedPublicKey::new(algorithm, &key.bytes).verify(signed, sent).is_ok()
    };
    match algorithm {
        Algorithm::HmacSha1 => with(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        Algorithm::HmacSha256 => with(hmac::HMAC_SHA256),
        Algorithm::HmacSha384 => with(hmac::HMAC_SHA384),
        Algorithm::HmacSha512 => with(hmac::HMAC_SHA512),
        Algorithm::Sha1 => digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, signed).as_ref().ct_eq(sent).into(),
        Algorithm::Sha256 => digest::digest(&digest::SHA256, signed).as_ref().ct_eq(sent).into(),
        Algorithm::Ed25519 => public(&signature::ED25519),
        Algorithm::EcdsaP256 => public(&signature::ECDSA_P256_SHA256_ASN1),
        Algorithm::Equals => super::password::equal(&key.bytes, sent),
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
    let bytes = text.as_bytes();
    bytes.len().is_multiple_of(2).then(|| bytes.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect())?
}

/// Base64 of either alphabet, with or without its padding.
fn unbase64(text: &str) -> Option<Vec<u8>> {
    let bare = text.trim_end_matches('=');
    STANDARD_NO_PAD.decode(bare).or_else(|_| URL_SAFE_NO_PAD.decode(bare)).ok()
}
