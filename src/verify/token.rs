//! Signed JSON Web Tokens (RFC 7519): `head.claims.signature`. The algorithm is set by the scheme, never chosen by the token.
//! The current time is an argument.

use jiff::Timestamp;
use serde_json::Value;

use super::key::{Algorithm, Key, unbase64};

/// How far clocks may differ, in seconds.
const LEEWAY: i64 = 60;
/// The longest token that is read, in bytes.
const LONGEST: usize = 16 << 10;

/// A token within its period of validity. Its claims are not trusted before [`Token::prove`] has verified its signature.
#[derive(Debug)]
pub(super) struct Token {
    /// The head and the claims exactly as they were signed.
    signed: String,
    signature: Vec<u8>,
    algorithm: Algorithm,
    /// The token's name for its key.
    key: Option<String>,
    claims: Value,
}

impl Token {
    /// Parses a token and checks its times, for which no key is needed. The error is for the operator.
    pub(super) fn read(text: &str, algorithm: Algorithm, now: Timestamp) -> Result<Self, String> {
        let wanted = algorithm.token_word().unwrap_or_default();
        let unread = "the token cannot be read";
        let (signed, signature) = text.rsplit_once('.').filter(|_| text.len() <= LONGEST).ok_or(unread)?;
        let (head, claims) = signed.split_once('.').ok_or(unread)?;
        let part = |text: &str| unbase64(text).and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let (head, signature) = (part(head).ok_or(unread)?, unbase64(signature).ok_or(unread)?);
        if head["alg"] != wanted {
            return Err(format!("the token is not signed with {wanted}"));
        }
        // Extensions that must be understood, but that Doorbell does not support (RFC 7515, 4.1.11).
        if !head["crit"].is_null() {
            return Err("the token requires extensions that Doorbell does not support".into());
        }
        let claims = part(claims).filter(Value::is_object).ok_or(unread)?;
        let now = now.as_second();
        let moment = |name: &str| match &claims[name] {
            Value::Null => Ok(None),
            value => value.as_f64().map(|n| Some(n as i64)).ok_or(format!("the token's `{name}` is not a time")),
        };
        if moment("exp")?.is_some_and(|exp| exp.saturating_add(LEEWAY) <= now) {
            return Err("the token has expired; check this machine's clock".into());
        }
        if moment("nbf")?.is_some_and(|nbf| nbf.saturating_sub(LEEWAY) > now) {
            return Err("the token is not valid yet; check this machine's clock".into());
        }
        if moment("iat")?.is_some_and(|iat| iat.saturating_sub(LEEWAY) > now) {
            return Err("the token was issued in the future; check this machine's clock".into());
        }
        let key = head["kid"].as_str().map(str::to_owned);
        Ok(Self { signed: signed.to_owned(), signature, algorithm, key, claims })
    }

    /// Verifies the signature with any of the keys, and returns what was signed: the head and the claims, independent of
    /// how the signature is encoded.
    pub(super) fn prove(self, keys: &[&Key]) -> Result<Vec<u8>, String> {
        let is_good = |key: &&Key| key.is_good(self.algorithm, self.signed.as_bytes(), &self.signature, self.key.as_deref());
        match keys.iter().any(is_good) {
            true => Ok(self.signed.into_bytes()),
            false => Err("the token was signed with a different key".into()),
        }
    }

    /// Whether a claim, or one of its values, equals one of these values.
    pub(super) fn claims(&self, name: &str, any_of: &[String]) -> bool {
        let is = |value: &Value| super::location::spelled(value).is_some_and(|text| any_of.contains(&text));
        match &self.claims[name] {
            Value::Array(all) => all.iter().any(is),
            one => is(one),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        !self.claims[name].is_null()
    }
}
