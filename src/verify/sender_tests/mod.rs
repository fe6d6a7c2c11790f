//! Tests of all schemes with requests as every sender would send them, with valid signatures.

mod handshakes;
mod replay;
mod versions;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::{digest, hmac, signature};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::check::{Encoding, Format, Unit};
use super::formula::Given;
use super::guard::Guard;
use super::key::{Algorithm, Key, KeyForm};
use super::senders::{self, Sender, described};
use crate::expr::names::{Names, Resolver};
use crate::model::request::Request;
use crate::yaml::reader::{Effort, Reader};
use crate::yaml::source::Source;

/// When every request arrives, and at which address.
pub(super) const NOW: i64 = 1_795_514_400;
pub(super) const URL: &str = "https://hooks.example.com";
/// The text of shared secrets, and the values used with them.
const SHARED: &[u8] = b"fedcba9876543210fedcba9876543210";
pub(super) const VERIFY_TOKEN: &str = "a word of our own";
const RSA_PUBLIC: &str = include_str!("../../../tests/keys/rsa.pub.pem");
pub(super) const RSA_CERTIFICATE: &str = include_str!("../../../tests/keys/rsa.cert.pem");

/// Schemes that `custom:` can describe and that no known sender uses.
const OTHERS: &str = r#"
- name: es256
  title: A token with a curve
  algorithm: jwt-es256
  key: base64
  signature: { from: "header:Authorization", format: "Bearer {sig}" }
- name: rs256
  title: A token with RSA
  algorithm: jwt-rs256
  key: pem
  signature: { from: ["header:X-Token", "query:token", "form:token"] }
- name: hs256
  title: A token with a shared secret
  algorithm: jwt-hs256
  signature: { from: "header:X-Token" }
- name: curve_list
  title: Several signatures with a curve
  algorithm: ecdsa-p256-sha256
  key: base64
  signature: { from: ["header:X-A", "header:X-B", "query:sig"], format: "v1,{sig}", list: " ", encoding: base64 }
  signed: "{ts}.{method}.{body}"
  timestamp: { from: "header:X-Time", unit: s }
- name: rsa
  title: RSA
  algorithm: rsa-sha256
  key: pem
  signature: { from: "header:X-Sig", format: "a=1,sig={sig}", encoding: base64 }
- name: rsa_pss
  title: RSA with padding that is random
  algorithm: rsa-pss-sha256
  key: pem
  signature: { from: "header:X-Sig", encoding: hex }
- name: digest
  title: A digest
  algorithm: sha512
  signature: { from: "query:sig", encoding: hex }
  signed: "{method}\n{body}\n{sha256_hex(secret+body)}{secret}"
- name: nested
  title: Base64 of hexadecimal
  algorithm: hmac-sha384
  key: to-base64
  signature: { from: "form:sig", encoding: base64-of-hex }
  signed: "{form:a}|{path}"
- name: address
  title: The address
  algorithm: hmac-sha256
  signature: { from: "header:X-Sig", format: "t={ts};s={sig}", encoding: base64url }
  signed: "{ts}{path_and_query}{form_sorted}"
  timestamp: { from: signature, unit: ms }
"#;

/// Every sender defined as data, and every other kind of scheme that `custom:` can describe.
pub(super) fn all() -> Vec<Sender> {
    described(include_str!("../senders.yaml")).into_iter().chain(described(OTHERS)).collect()
}

/// The guard for this `verify:` text, with this value for every secret.
pub(super) fn guard(verify: &str, secret: &str) -> Guard {
    let source = Source::stored("verify", verify.to_owned());
    let node = source.read().unwrap();
    let effort = Effort::default();
    let reader = Reader::new(&source, &effort);
    let given = |_: &str| Some(secret.to_owned());
    let lookup = Resolver::new(&given, &|_| None, &|_| None);
    let read = super::read(&reader.top(&node), &Names::new(&lookup), Some(URL));
    let problems: Vec<String> = reader.problems().into_iter().map(|p| p.message).collect();
    read.unwrap_or_else(|| panic!("{verify}: {problems:?}")).guard
}

/// A request without anything to verify.
pub(super) fn blank(body: &[u8]) -> Request {
    Request {
        path: "/hook".into(),
        target: "/hook".into(),
        body: body.to_vec().into(),
        received: Timestamp::from_second(NOW).unwrap(),
        ..Request::nobody()
    }
}

/// A sender with its secret, and the guard that knows it.
pub(super) struct Signer<'a> {
    pub sender: &'a Sender,
    pub secret: String,
    pub guard: Guard,
}

/// A request that lacks only its signature.
pub(super) struct Draft {
    pub request: Request,
    pub time: Option<String>,
    /// What is to be signed.
    pub message: Vec<u8>,
}

fn pkcs8(name: &str) -> PrivatePkcs8KeyDer<'static> {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys").join(name);
    PrivatePkcs8KeyDer::from_pem_file(file).unwrap()
}

fn ed25519() -> signature::Ed25519KeyPair {
    signature::Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn curve() -> signature::EcdsaKeyPair {
    let how = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
    signature::EcdsaKeyPair::from_pkcs8(how, pkcs8("ec.key.pem").secret_pkcs8_der(), &SystemRandom::new()).unwrap()
}

pub(super) fn rsa_sign(how: &'static dyn signature::RsaEncoding, message: &[u8]) -> Vec<u8> {
    let pair = signature::RsaKeyPair::from_pkcs8(pkcs8("rsa.key.pem").secret_pkcs8_der()).unwrap();
    let mut out = vec![0; pair.public().modulus_len()];
    pair.sign(how, &SystemRandom::new(), message, &mut out).unwrap();
    out
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

impl<'a> Signer<'a> {
    pub(super) fn new(sender: &'a Sender) -> Self {
        let scheme = &sender.scheme;
        let public = |point: &[u8]| match scheme.key {
            KeyForm::Hex => hex(point),
            _ => STANDARD.encode(point),
        };
        let secret = match (scheme.algorithm, scheme.key) {
            (Algorithm::Ed25519, _) => public(signature::KeyPair::public_key(&ed25519()).as_ref()),
            (Algorithm::EcdsaP256 | Algorithm::JwtEs256, _) => public(signature::KeyPair::public_key(&curve()).as_ref()),
            (_, KeyForm::Pem) => RSA_PUBLIC.to_owned(),
            (_, KeyForm::Hex) => hex(SHARED),
            (_, KeyForm::Base64) => STANDARD.encode(SHARED),
            (_, KeyForm::Whsec) => format!("whsec_{}", STANDARD.encode(SHARED)),
            _ => String::from_utf8(SHARED.to_vec()).unwrap(),
        };
        let token = sender.handshake.as_ref().is_some_and(|h| h.wants_token());
        let verify_token = if token { format!(", verify_token: \"{VERIFY_TOKEN}\"") } else { String::new() };
        let source = Source::stored("x", format!("secret: \"{{{{ secret.S }}}}\"{verify_token}").replace(", ", "\n"));
        let node = source.read().unwrap();
        let effort = Effort::default();
        let reader = Reader::new(&source, &effort);
        let given = |_: &str| Some(secret.clone());
        let lookup = Resolver::new(&given, &|_| None, &|_| None);
        let guard = sender.read(&reader.top(&node), &Names::new(&lookup), Some(URL));
        Self { sender, guard: guard.unwrap_or_else(|| panic!("{}", sender.name)), secret }
    }

    fn given<'g>(&'g self, time: Option<&'g str>, id: Option<&'g str>) -> Given<'g> {
        Given { time, id, secret: &self.secret, public_url: Some(URL), ..Given::default() }
    }

    /// A request from this sender, with everything its scheme requires.
    pub(super) fn draft(&self, body: &[u8]) -> Draft {
        self.draft_of(blank(body))
    }

    /// The same, starting from a request that already has content.
    pub(super) fn draft_of(&self, mut request: Request) -> Draft {
        let scheme = &self.sender.scheme;
        request.headers.push(("content-type".into(), "application/json".into()));
        for (place, text) in &scheme.require {
            place.put(&mut request, text);
        }
        let now = request.received;
        let time = scheme.time.as_ref().map(|time| match time.unit {
            Unit::Seconds => now.as_second().to_string(),
            Unit::Milliseconds => now.as_millisecond().to_string(),
            Unit::Rfc3339 => now.to_string(),
            Unit::HttpDate => jiff::fmt::rfc2822::to_string(&now.to_zoned(jiff::tz::TimeZone::UTC)).unwrap(),
        });
        if let Some((place, time)) = scheme.time.as_ref().and_then(|t| t.from.as_ref()).zip(time.as_ref()) {
            place.put(&mut request, time);
        }
        for (n, place) in scheme.id.iter().chain(scheme.signed.places()).enumerate() {
            if place.find(&request).unwrap().is_none() {
                place.put(&mut request, &format!("value-{n}"));
            }
        }
        let id: String = scheme.id.iter().filter_map(|p| p.find(&request).unwrap()).collect();
        let message = match scheme.algorithm.token_word() {
            None => scheme.signed.bytes(&request, self.given(time.as_deref(), Some(&id))).unwrap(),
            Some(word) => {
                let mut claims = json!({ "iat": NOW, "exp": NOW + 60, "jti": hex(&request.body) });
                for (name, any_of) in &scheme.claims {
                    claims[name] = any_of[0].text(&request, self.given(None, None)).unwrap().into();
                }
                let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
                format!("{}.{}", part(json!({ "alg": word, "typ": "JWT" })), part(claims)).into_bytes()
            }
        };
        Draft { request, time, message }
    }

    /// The signature of some text, as bytes; an elliptic-curve signature in the form used in tokens.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let scheme = &self.sender.scheme;
        let key = || Key::read(scheme.algorithm, scheme.key, &self.secret).unwrap().bytes().to_vec();
        let tag = |how| hmac::sign(&hmac::Key::new(how, &key()), message).as_ref().to_vec();
        let digest = |how| digest::digest(how, message).as_ref().to_vec();
        match scheme.algorithm {
            Algorithm::HmacSha1 => tag(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            Algorithm::HmacSha256 | Algorithm::JwtHs256 => tag(hmac::HMAC_SHA256),
            Algorithm::HmacSha384 => tag(hmac::HMAC_SHA384),
            Algorithm::HmacSha512 => tag(hmac::HMAC_SHA512),
            Algorithm::Sha1 => digest(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            Algorithm::Sha256 => digest(&digest::SHA256),
            Algorithm::Sha512 => digest(&digest::SHA512),
            Algorithm::Ed25519 => ed25519().sign(message).as_ref().to_vec(),
            Algorithm::EcdsaP256 | Algorithm::JwtEs256 => curve().sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Algorithm::RsaPssSha256 => rsa_sign(&signature::RSA_PSS_SHA256, message),
            Algorithm::RsaSha256 | Algorithm::JwtRs256 => rsa_sign(&signature::RSA_PKCS1_SHA256, message),
            Algorithm::Equals => self.secret.as_bytes().to_vec(),
            other => panic!("no sender here signs with {other:?}"),
        }
    }

    /// A signature in its usual encoding.
    pub(super) fn encoded(&self, message: &[u8], signature: &[u8]) -> String {
        let scheme = &self.sender.scheme;
        if scheme.algorithm.token_word().is_some() {
            return format!("{}.{}", String::from_utf8_lossy(message), URL_SAFE_NO_PAD.encode(signature));
        }
        let signature = match scheme.algorithm {
            Algorithm::EcdsaP256 => wrapped(signature),
            _ => signature.to_vec(),
        };
        match scheme.encoding {
            Encoding::Hex => hex(&signature),
            Encoding::Base64 | Encoding::Base64Url => STANDARD.encode(signature),
            Encoding::Base64OfHex => STANDARD.encode(hex(&signature)),
            Encoding::Text => String::from_utf8_lossy(&signature).into_owned(),
        }
    }

    /// A signature in the format in which it is sent.
    pub(super) fn formatted(&self, time: Option<&str>, encoded: &str) -> String {
        match &self.sender.scheme.format {
            Format::Whole { before, after } => format!("{before}{encoded}{after}"),
            Format::Pairs { between, time: Some(name), signature } => {
                format!("{name}={}{between}{signature}={encoded}", time.unwrap_or_default())
            }
            Format::Pairs { signature, .. } => format!("{signature}={encoded}"),
        }
    }

    /// The draft with its signature.
    pub(super) fn request(&self, draft: &Draft, encoded: &str) -> Request {
        let mut request = draft.request.clone();
        self.sender.scheme.from[0].put(&mut request, &self.formatted(draft.time.as_deref(), encoded));
        request
    }

    /// A request signed by this sender.
    pub(super) fn signed(&self, body: &[u8]) -> (Draft, Request) {
        let draft = self.draft(body);
        let request = self.request(&draft, &self.encoded(&draft.message, &self.sign(&draft.message)));
        (draft, request)
    }
}

/// The two halves of an elliptic-curve signature in the wrapping used outside of tokens (RFC 3279).
pub(super) fn wrapped(halves: &[u8]) -> Vec<u8> {
    let number = |half: &[u8]| {
        let bare: Vec<u8> = half.iter().copied().skip_while(|b| *b == 0).collect();
        let sign: &[u8] = if bare[0] & 0x80 != 0 { &[0] } else { &[] };
        [&[2, (sign.len() + bare.len()) as u8][..], sign, &bare].concat()
    };
    let both = [number(&halves[..32]), number(&halves[32..])].concat();
    [&[0x30, both.len() as u8][..], &both].concat()
}

#[test]
fn every_sender_is_accepted_with_its_own_signature() {
    assert_eq!(all().len(), senders::all().len() + 9);
    for sender in all() {
        let signer = Signer::new(&sender);
        let (draft, request) = signer.signed(b"{\"type\":\"order\",\"n\":1}");
        assert_eq!(signer.guard.check(&request, &Default::default()), Ok(()), "{}: {request:?}", sender.name);
        assert!(signer.guard.check(&draft.request, &Default::default()).is_err(), "{}", sender.name);
    }
}
