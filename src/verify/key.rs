//! The keys that signatures are verified with: shared secrets, public keys as bytes, with their wrapping (RFC 5280), as
//! certificates and as JSON Web Keys (RFC 7517). All cryptography is from `ring` and `webpki`, in constant time.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use ring::{digest, hmac, signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer, alg_id,
};
use serde_json::Value;
use subtle::ConstantTimeEq;

use super::secret::equal;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Algorithm {
    HmacSha1,
    HmacSha256,
    HmacSha384,
    HmacSha512,
    /// The plain digest of text that contains the secret.
    Sha1,
    Sha256,
    Sha512,
    Ed25519,
    EcdsaP256,
    RsaSha1,
    RsaSha256,
    RsaSha512,
    RsaPssSha256,
    RsaPssSha512,
    JwtHs256,
    JwtRs256,
    JwtEs256,
    /// The secret itself is sent.
    Equals,
}

impl Algorithm {
    pub(super) const WORDS: [(&str, Self); 18] = [
        ("hmac-sha1", Self::HmacSha1),
        ("hmac-sha256", Self::HmacSha256),
        ("hmac-sha384", Self::HmacSha384),
        ("hmac-sha512", Self::HmacSha512),
        ("sha1", Self::Sha1),
        ("sha256", Self::Sha256),
        ("sha512", Self::Sha512),
        ("ed25519", Self::Ed25519),
        ("ecdsa-p256-sha256", Self::EcdsaP256),
        ("rsa-sha1", Self::RsaSha1),
        ("rsa-sha256", Self::RsaSha256),
        ("rsa-sha512", Self::RsaSha512),
        ("rsa-pss-sha256", Self::RsaPssSha256),
        ("rsa-pss-sha512", Self::RsaPssSha512),
        ("jwt-hs256", Self::JwtHs256),
        ("jwt-rs256", Self::JwtRs256),
        ("jwt-es256", Self::JwtEs256),
        ("equals", Self::Equals),
    ];

    /// Its name in the header of a JSON Web Token, if it is for tokens.
    pub(super) fn token_word(self) -> Option<&'static str> {
        match self {
            Algorithm::JwtHs256 => Some("HS256"),
            Algorithm::JwtRs256 => Some("RS256"),
            Algorithm::JwtEs256 => Some("ES256"),
            _ => None,
        }
    }

    /// Whether anyone can compute it; if so, the secret has to be part of what is signed.
    pub(super) fn is_digest(self) -> bool {
        matches!(self, Algorithm::Sha1 | Algorithm::Sha256 | Algorithm::Sha512)
    }

    /// Whether the key is public.
    pub(super) fn is_public(self) -> bool {
        self.wrapped().is_some()
    }

    /// Whether the secret that verifies a signature also makes one.
    pub(super) fn is_shared(self) -> bool {
        use Algorithm::{HmacSha1, HmacSha256, HmacSha384, HmacSha512};
        self.is_digest() || matches!(self, HmacSha1 | HmacSha256 | HmacSha384 | HmacSha512)
    }

    /// How to verify it with a wrapped public key.
    fn wrapped(self) -> Option<&'static dyn SignatureVerificationAlgorithm> {
        Some(match self {
            Algorithm::Ed25519 => webpki::ring::ED25519,
            Algorithm::EcdsaP256 => webpki::ring::ECDSA_P256_SHA256,
            Algorithm::JwtEs256 => &ES256,
            Algorithm::RsaSha1 => &RSA_SHA1,
            Algorithm::RsaSha256 | Algorithm::JwtRs256 => webpki::ring::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::RsaSha512 => webpki::ring::RSA_PKCS1_2048_8192_SHA512,
            Algorithm::RsaPssSha256 => webpki::ring::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
            Algorithm::RsaPssSha512 => webpki::ring::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
            _ => return None,
        })
    }

    /// How to verify it with the parameters of an RSA key.
    fn rsa(self) -> Option<&'static signature::RsaParameters> {
        Some(match self {
            Algorithm::RsaSha1 => &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            Algorithm::RsaSha256 | Algorithm::JwtRs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::RsaSha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Algorithm::RsaPssSha256 => &signature::RSA_PSS_2048_8192_SHA256,
            Algorithm::RsaPssSha512 => &signature::RSA_PSS_2048_8192_SHA512,
            _ => return None,
        })
    }
}

/// What `webpki` lacks: SHA-1, which AWS still signs with, and the signatures of JSON Web Tokens, which have no wrapping.
#[derive(Debug)]
struct Bare {
    algorithm: &'static dyn signature::VerificationAlgorithm,
    key: AlgorithmIdentifier,
}

static RSA_SHA1: Bare = Bare { algorithm: &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, key: alg_id::RSA_ENCRYPTION };
static ES256: Bare = Bare { algorithm: &signature::ECDSA_P256_SHA256_FIXED, key: alg_id::ECDSA_P256 };

impl SignatureVerificationAlgorithm for Bare {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        signature::UnparsedPublicKey::new(self.algorithm, key).verify(message, signature).map_err(|_| InvalidSignature)
    }
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.key
    }
    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.key
    }
}

/// How a key is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum KeyForm {
    Text,
    Hex,
    Base64,
    /// Base64 after `whsec_` or `whpk_`, as in Standard Webhooks.
    Whsec,
    /// The key is the Base64 of the secret.
    ToBase64,
    /// A public key or a certificate between `-----BEGIN …` and `-----END …`.
    Pem,
    /// JSON Web Keys.
    Jwks,
    /// The address where JSON Web Keys, or a PEM key, are published.
    Url,
}

impl KeyForm {
    pub(super) const WORDS: [(&str, Self); 10] = [
        ("utf8", Self::Text),
        ("hex", Self::Hex),
        ("base64", Self::Base64),
        ("base64url", Self::Base64),
        ("whsec", Self::Whsec),
        ("to-base64", Self::ToBase64),
        ("pem", Self::Pem),
        ("jwks", Self::Jwks),
        ("url", Self::Url),
        ("jwks-url", Self::Url),
    ];
}

/// A key, or several of which the signature names one.
#[derive(Debug, Clone)]
pub(super) enum Key {
    /// A shared secret, or a public key without wrapping.
    Bytes(Vec<u8>),
    /// A public key that states its type, in DER.
    Wrapped(Vec<u8>),
    Certificate(Vec<u8>),
    Set(Vec<(Option<String>, SetKey)>),
}

/// One of a set of JSON Web Keys.
#[derive(Debug, Clone)]
pub(super) enum SetKey {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// A point on a curve.
    Point(Vec<u8>),
    Shared(Vec<u8>),
}

impl Key {
    /// Reads a key. The error is a message for the author of the rule; it does not contain the key.
    pub(super) fn read(algorithm: Algorithm, form: KeyForm, secret: &str) -> Result<Self, String> {
        let word = KeyForm::WORDS.iter().find(|(_, k)| *k == form).map_or("", |(w, _)| *w);
        let unread = || format!("this secret is not encoded as {word}");
        let bytes = match form {
            KeyForm::Pem => {
                return pem(secret.replace("\\n", "\n").as_bytes())
                    .ok_or("this is neither a public key nor a certificate in PEM format".into());
            }
            KeyForm::Jwks => return set(secret.as_bytes()).ok_or_else(unread),
            KeyForm::Url => return Err("the key at an address is read later".into()),
            KeyForm::Text => secret.as_bytes().to_vec(),
            KeyForm::Hex => unhex(secret).ok_or_else(unread)?,
            KeyForm::Base64 => unbase64(secret).ok_or_else(unread)?,
            KeyForm::Whsec => {
                let bare = secret.strip_prefix("whsec_").or_else(|| secret.strip_prefix("whpk_")).unwrap_or(secret);
                unbase64(bare).ok_or_else(unread)?
            }
            KeyForm::ToBase64 => STANDARD.encode(secret).into_bytes(),
        };
        if bytes.is_empty() {
            return Err("an empty secret would let everyone in".into());
        }
        match (algorithm.is_public(), bytes.first()) {
            (false, _) => Ok(Key::Bytes(bytes)),
            // A sequence: the key in its wrapping. A bare key is 32 bytes of Ed25519 or a point that begins with 4.
            (true, Some(0x30)) if bytes.len() > 40 => Ok(Key::Wrapped(bytes)),
            _ if algorithm == Algorithm::Ed25519 && bytes.len() == 32 => Ok(Key::Bytes(bytes)),
            (_, Some(4)) if matches!(algorithm, Algorithm::EcdsaP256 | Algorithm::JwtEs256) && bytes.len() == 65 => Ok(Key::Bytes(bytes)),
            _ => Err("this is not a public key for that algorithm".into()),
        }
    }

    /// Reads what was published at an address: JSON Web Keys, or a public key or a certificate as PEM.
    pub(super) fn published(text: &[u8]) -> Result<Self, String> {
        set(text).or_else(|| pem(text)).ok_or("the address of the key does not return a key".into())
    }

    /// The key's bytes, if it is a shared secret.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Key::Bytes(bytes) => bytes,
            _ => &[],
        }
    }

    /// The signature of some text, if it can be made with a shared secret.
    pub(super) fn sign(&self, algorithm: Algorithm, text: &[u8]) -> Option<Vec<u8>> {
        let Key::Bytes(key) = self else { return None };
        let tag = |algorithm| hmac::sign(&hmac::Key::new(algorithm, key), text).as_ref().to_vec();
        let digest = |algorithm| digest::digest(algorithm, text).as_ref().to_vec();
        Some(match algorithm {
            Algorithm::HmacSha1 => tag(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            Algorithm::HmacSha256 => tag(hmac::HMAC_SHA256),
            Algorithm::HmacSha384 => tag(hmac::HMAC_SHA384),
            Algorithm::HmacSha512 => tag(hmac::HMAC_SHA512),
            Algorithm::Sha1 => digest(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            Algorithm::Sha256 => digest(&digest::SHA256),
            Algorithm::Sha512 => digest(&digest::SHA512),
            _ => return None,
        })
    }

    /// Whether this signature is valid. `named` is the key's name in the signature.
    pub(super) fn is_good(&self, algorithm: Algorithm, signed: &[u8], sent: &[u8], named: Option<&str>) -> bool {
        match self {
            Key::Bytes(key) => bare(algorithm, key, signed, sent),
            Key::Wrapped(der) => {
                let der = SubjectPublicKeyInfoDer::from(der.as_slice());
                let (Some(algorithm), Ok(key)) = (algorithm.wrapped(), webpki::RawPublicKeyEntity::try_from(&der)) else { return false };
                key.verify_signature(algorithm, signed, sent).is_ok()
            }
            Key::Certificate(der) => {
                let der = CertificateDer::from(der.as_slice());
                let (Some(algorithm), Ok(cert)) = (algorithm.wrapped(), webpki::EndEntityCert::try_from(&der)) else { return false };
                cert.verify_signature(algorithm, signed, sent).is_ok()
            }
            Key::Set(keys) => {
                let fits = |name: &Option<String>| named.is_none() || name.is_none() || name.as_deref() == named;
                keys.iter().filter(|(name, _)| fits(name)).any(|(_, key)| match key {
                    // A public key is never used as a shared secret.
                    SetKey::Point(key) => algorithm.is_public() && bare(algorithm, key, signed, sent),
                    SetKey::Shared(key) => !algorithm.is_public() && bare(algorithm, key, signed, sent),
                    SetKey::Rsa { n, e } => {
                        algorithm.rsa().is_some_and(|a| signature::RsaPublicKeyComponents { n, e }.verify(a, signed, sent).is_ok())
                    }
                })
            }
        }
    }
}

fn bare(algorithm: Algorithm, key: &[u8], signed: &[u8], sent: &[u8]) -> bool {
    let with = |algorithm| hmac::verify(&hmac::Key::new(algorithm, key), signed, sent).is_ok();
    let public = |algorithm: &'static dyn signature::VerificationAlgorithm| {
        signature::UnparsedPublicKey::new(algorithm, key).verify(signed, sent).is_ok()
    };
    let digest = |algorithm| digest::digest(algorithm, signed).as_ref().ct_eq(sent).into();
    match algorithm {
        Algorithm::HmacSha1 => with(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        Algorithm::HmacSha256 | Algorithm::JwtHs256 => with(hmac::HMAC_SHA256),
        Algorithm::HmacSha384 => with(hmac::HMAC_SHA384),
        Algorithm::HmacSha512 => with(hmac::HMAC_SHA512),
        Algorithm::Sha1 => digest(&digest::SHA1_FOR_LEGACY_USE_ONLY),
        Algorithm::Sha256 => digest(&digest::SHA256),
        Algorithm::Sha512 => digest(&digest::SHA512),
        Algorithm::Ed25519 => public(&signature::ED25519),
        Algorithm::EcdsaP256 => public(&signature::ECDSA_P256_SHA256_ASN1),
        Algorithm::JwtEs256 => public(&signature::ECDSA_P256_SHA256_FIXED),
        Algorithm::Equals => equal(key, sent),
        // RSA keys are never without wrapping.
        _ => false,
    }
}

fn pem(text: &[u8]) -> Option<Key> {
    let key = SubjectPublicKeyInfoDer::from_pem_slice(text).ok().map(|der| Key::Wrapped(der.as_ref().to_vec()));
    key.or_else(|| CertificateDer::from_pem_slice(text).ok().map(|der| Key::Certificate(der.as_ref().to_vec())))
}

/// `{"keys": [...]}`, or one key. Keys of other kinds, and encryption keys, are skipped.
fn set(text: &[u8]) -> Option<Key> {
    let read: Value = serde_json::from_slice(text).ok()?;
    let all = match read.get("keys") {
        Some(keys) => keys.as_array()?.clone(),
        None => vec![read],
    };
    let part = |key: &Value, name: &str| key[name].as_str().and_then(unbase64);
    let one = |key: &Value| {
        if key["use"].as_str().is_some_and(|u| u != "sig") {
            return None;
        }
        let read = match key["kty"].as_str()? {
            "RSA" => SetKey::Rsa { n: part(key, "n")?, e: part(key, "e")? },
            "EC" if key["crv"] == "P-256" => SetKey::Point([vec![4], part(key, "x")?, part(key, "y")?].concat()),
            "OKP" if key["crv"] == "Ed25519" => SetKey::Point(part(key, "x")?),
            "oct" => SetKey::Shared(part(key, "k").filter(|k| !k.is_empty())?),
            _ => return None,
        };
        Some((key["kid"].as_str().map(str::to_owned), read))
    };
    let keys: Vec<_> = all.iter().filter_map(one).collect();
    (!keys.is_empty()).then_some(Key::Set(keys))
}

pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
    let bytes = text.as_bytes();
    bytes.len().is_multiple_of(2).then(|| bytes.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect())?
}

/// Base64 of either alphabet, with or without its padding.
pub(super) fn unbase64(text: &str) -> Option<Vec<u8>> {
    let bare = text.trim_end_matches('=');
    STANDARD_NO_PAD.decode(bare).or_else(|_| URL_SAFE_NO_PAD.decode(bare)).ok()
}
