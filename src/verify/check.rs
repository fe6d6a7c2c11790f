//! Verifies a request by a scheme: finds the signatures and the time, builds the signed text, and compares them.
//!
//! Everything works on the raw bytes. The reasons for a denial are for the operator; they never contain the expected
//! signature.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;

use super::formula::{Formula, Given, hex};
use super::key::{Algorithm, Key, KeyForm, unbase64, unhex};
use super::location::Location;
use super::token::Token;
use super::verifier::{KeyAt, Published, Signed, Verify};
use crate::model::request::Request;
use crate::secret::{STRUCK, Secret};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Encoding {
    Hex,
    Base64,
    /// The same, and written in the alphabet for addresses.
    Base64Url,
    Base64OfHex,
    /// Not encoded.
    Text,
}

impl Encoding {
    pub(super) const WORDS: [(&str, Self); 5] = [
        ("hex", Self::Hex),
        ("base64", Self::Base64),
        ("base64url", Self::Base64Url),
        ("base64-of-hex", Self::Base64OfHex),
        ("text", Self::Text),
    ];

    fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Encoding::Hex => unhex(text),
            Encoding::Base64 | Encoding::Base64Url => unbase64(text),
            Encoding::Base64OfHex => unhex(std::str::from_utf8(&STANDARD.decode(text).ok()?).ok()?),
            Encoding::Text => Some(text.as_bytes().to_vec()),
        }
    }

    pub(super) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Encoding::Hex => hex(bytes),
            Encoding::Base64 => STANDARD.encode(bytes),
            Encoding::Base64Url => URL_SAFE_NO_PAD.encode(bytes),
            Encoding::Base64OfHex => STANDARD.encode(hex(bytes)),
            Encoding::Text => String::from_utf8_lossy(bytes).into_owned(),
        }
    }
}

/// How the signature and the time are written in some text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Format {
    /// `sha256={sig}`.
    Whole { before: String, after: String },
    /// `t={ts},v1={sig}`: in any order; the signature's name may occur several times.
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

    /// Writes signatures, and the time if it belongs there.
    pub(super) fn write(&self, signatures: &[String], list: Option<&str>, at: Option<&str>) -> String {
        match self {
            Format::Whole { before, after } => {
                signatures.iter().map(|sig| format!("{before}{sig}{after}")).collect::<Vec<_>>().join(list.unwrap_or_default())
            }
            Format::Pairs { between, time, signature } => {
                let time = time.iter().zip(at).map(|(name, at)| format!("{name}={at}"));
                let all = time.chain(signatures.iter().map(|sig| format!("{signature}={sig}")));
                all.collect::<Vec<_>>().join(&between.to_string())
            }
        }
    }

    /// The signatures in some text, and the time.
    fn find(&self, text: &str, list: Option<&str>) -> (Vec<String>, Option<String>) {
        match self {
            Format::Whole { before, after } => {
                let one = |part: &str| part.trim().strip_prefix(before.as_str())?.strip_suffix(after.as_str()).map(str::to_owned);
                let parts: Vec<&str> = list.map_or_else(|| vec![text], |between| text.split(between).collect());
                (parts.into_iter().filter_map(one).filter(|s| !s.is_empty()).collect(), None)
            }
            Format::Pairs { between, time, signature } => {
                let sets: Vec<&str> = list.map_or_else(|| vec![text], |between| text.split(between).collect());
                let pairs: Vec<(&str, &str)> =
                    sets.iter().flat_map(|set| set.split(*between)).filter_map(|p| p.trim().split_once('=')).collect();
                let all = |name: &str| {
                    pairs.iter().filter(|(n, v)| *n == name && !v.is_empty()).map(|(_, v)| (*v).to_owned()).collect::<Vec<_>>()
                };
                // If different times could occur, an attacker could choose which one counts.
                let mut times = time.as_ref().map(|t| all(t)).unwrap_or_default();
                times.dedup();
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

    pub(super) fn write(self, at: Timestamp) -> String {
        match self {
            Unit::Seconds => at.as_second().to_string(),
            Unit::Milliseconds => at.as_millisecond().to_string(),
            Unit::Rfc3339 => at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            Unit::HttpDate => at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(),
        }
    }

    fn read(self, text: &str) -> Option<Timestamp> {
        match self {
            Unit::Seconds => Timestamp::from_second(text.parse().ok()?).ok(),
            Unit::Milliseconds => Timestamp::from_millisecond(text.parse().ok()?).ok(),
            Unit::Rfc3339 => text.parse().ok(),
            Unit::HttpDate => jiff::fmt::rfc2822::parse(text).ok().map(|z| z.timestamp()),
        }
    }
}

/// Whether a sent time is close enough to when the request arrived; the error says why not.
pub(super) fn is_near(sent: &str, unit: Unit, tolerance: Duration, received: Timestamp) -> Result<(), String> {
    let at = unit.read(sent).ok_or("the time of the signature cannot be read")?;
    let away = received.duration_since(at).unsigned_abs();
    if away > tolerance {
        let (away, most) = (away.as_secs(), tolerance.as_secs());
        return Err(format!("the time of the signature is {away} seconds off, and {most} are allowed; check this machine's clock"));
    }
    Ok(())
}

/// Where the time of a signature is, and how far off it may be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Time {
    /// `None`: next to the signature.
    pub from: Option<Location>,
    pub unit: Unit,
    /// 0: not checked.
    pub tolerance: Duration,
    /// Whether it may be missing: only if it is part of what is signed, so that nobody can remove it.
    pub optional: bool,
}

/// A scheme without its secret.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SignatureScheme {
    pub algorithm: Algorithm,
    pub key: KeyForm,
    /// Any of these may contain a signature.
    pub from: Vec<Location>,
    pub format: Format,
    /// What separates several signatures.
    pub list: Option<String>,
    pub encoding: Encoding,
    pub signed: Formula,
    pub time: Option<Time>,
    /// Where the sender's own id of a delivery is; several are joined.
    pub id: Vec<Location>,
    pub require: Vec<(Location, String)>,
    /// What a token must claim: any of the texts.
    pub claims: Vec<(String, Vec<Formula>)>,
}

impl SignatureScheme {
    /// Whether it can only be checked if Doorbell knows its own address.
    pub(super) fn needs_url(&self) -> bool {
        self.signed.needs_url() || self.claims.iter().flat_map(|(_, any_of)| any_of).any(Formula::needs_url)
    }
}

/// A scheme with its secrets; one match is enough.
pub(super) struct Signing {
    pub scheme: SignatureScheme,
    pub keys: Vec<(Secret, Key)>,
    /// Where the sender publishes its key.
    pub key_at: Option<String>,
    pub public_url: Option<String>,
    /// A placeholder for the secret if there is only a public key.
    no_secret: Secret,
}

/// What a request contains, after every check that needs no key has passed.
enum Brought {
    Token(Token),
    Signatures { decoded: Vec<Vec<u8>>, time: Option<String>, id: Option<String> },
}

impl Verify for Signing {
    fn key_at(&self, request: &Request) -> Result<Option<KeyAt>, String> {
        match &self.key_at {
            None => Ok(None),
            Some(address) => self.brought(request).map(|_| Some(KeyAt::Fixed(address.clone()))),
        }
    }

    fn check(&self, request: &Request, published: Option<&Published>) -> Result<Signed, String> {
        let scheme = &self.scheme;
        let brought = self.brought(request)?;
        let published = match (&self.key_at, published) {
            (Some(_), None) => return Err("the key of the sender could not be fetched".into()),
            (_, published) => published.map(|p| (&self.no_secret, &p.0)),
        };
        let keys = || self.keys.iter().map(|(secret, key)| (secret, key)).chain(published);
        let (decoded, time, id) = match brought {
            Brought::Token(token) => return Ok(vec![token.prove(&keys().map(|(_, key)| key).collect::<Vec<_>>())?]),
            Brought::Signatures { decoded, time, id } => (decoded, time, id),
        };
        for (secret, key) in keys() {
            let text = |secret| scheme.signed.bytes(request, self.given(time.as_deref(), id.as_deref(), secret));
            let signed = text(secret.reveal())?;
            if decoded.iter().any(|s| key.is_good(scheme.algorithm, &signed, s, None)) {
                return match (self.signs(), scheme.signed.has_secret()) {
                    (false, _) => Ok(Signed::new()),
                    (true, false) => Ok(vec![signed]),
                    (true, true) => Ok(vec![text(STRUCK)?]),
                };
            }
        }
        Err("the signature was made with a different secret or for a different body".into())
    }

    fn secret_at(&self) -> Vec<Location> {
        let is_sent = self.scheme.algorithm == Algorithm::Equals || self.scheme.algorithm.token_word().is_some();
        if is_sent { self.scheme.from.clone() } else { Vec::new() }
    }

    fn signs(&self) -> bool {
        self.scheme.algorithm != Algorithm::Equals
    }

    fn expected(&self, request: &Request) -> Option<Vec<u8>> {
        // A token alone is enough to be accepted, so it is never shown.
        if self.scheme.algorithm.token_word().is_some() {
            return None;
        }
        let (_, beside) = self.sent(request).ok()?;
        let time = self.time(request, beside).ok()?;
        let id = self.id(request).ok()?;
        let given = self.given(time.as_deref(), id.as_deref(), STRUCK);
        self.scheme.signed.bytes(request, given).ok().filter(|_| self.signs())
    }
}

impl Signing {
    pub(super) fn new(scheme: SignatureScheme, public_url: Option<&str>) -> Self {
        Self { scheme, keys: Vec::new(), key_at: None, public_url: public_url.map(str::to_owned), no_secret: Secret::new("") }
    }

    fn given<'a>(&'a self, time: Option<&'a str>, id: Option<&'a str>, secret: &'a str) -> Given<'a> {
        Given { time, id, secret, public_url: self.public_url.as_deref(), ..Given::default() }
    }

    fn where_(&self) -> String {
        self.scheme.from.first().map(Location::description).unwrap_or_default()
    }

    /// The signatures as sent, not decoded, and the time next to them.
    fn sent(&self, request: &Request) -> Result<(Vec<String>, Option<String>), String> {
        let (mut signatures, mut beside, mut there) = (Vec::new(), None, false);
        for place in &self.scheme.from {
            let Some(text) = place.find(request)? else { continue };
            there = true;
            let (found, time) = self.scheme.format.find(&text, self.scheme.list.as_deref());
            signatures.extend(found);
            beside = beside.or(time);
        }
        match (there, signatures.is_empty()) {
            (false, _) => Err(format!("{} is missing", self.where_())),
            (_, true) => Err(format!("{} contains no signature in the expected form", self.where_())),
            _ => Ok((signatures, beside)),
        }
    }

    /// The delivery's id, if it is part of what is signed.
    fn id(&self, request: &Request) -> Result<Option<String>, String> {
        if !self.scheme.signed.has_id() {
            return Ok(None);
        }
        let mut joined = String::new();
        for place in &self.scheme.id {
            joined += &place.find(request)?.ok_or_else(|| format!("{} is missing", place.description()))?;
        }
        Ok(Some(joined))
    }

    /// The time as it was sent, after checking that it is close enough.
    fn time(&self, request: &Request, beside: Option<String>) -> Result<Option<String>, String> {
        let Some(time) = &self.scheme.time else { return Ok(None) };
        let sent = match &time.from {
            None => beside.ok_or("the time of the signature is missing")?,
            Some(place) => match place.find(request)? {
                Some(sent) => sent,
                None if time.optional => return Ok(None),
                None => return Err(format!("{} is missing", place.description())),
            },
        };
        if !time.tolerance.is_zero() {
            is_near(&sent, time.unit, time.tolerance, request.received)?;
        }
        Ok(Some(sent))
    }

    fn brought(&self, request: &Request) -> Result<Brought, String> {
        let scheme = &self.scheme;
        for (place, wanted) in &scheme.require {
            if place.find(request)?.as_deref() != Some(wanted) {
                return Err(format!("{} is not {wanted}", place.description()));
            }
        }
        let (signatures, beside) = self.sent(request)?;
        let time = self.time(request, beside)?;
        let id = self.id(request)?;
        if scheme.algorithm.token_word().is_some() {
            return self.token(request, &signatures).map(Brought::Token);
        }
        // A sender may send a signature that cannot be read next to a valid one.
        let decoded: Vec<Vec<u8>> = signatures.iter().filter_map(|s| scheme.encoding.decode(s)).collect();
        match decoded.is_empty() {
            true => Err(format!("the signature in {} cannot be decoded", self.where_())),
            false => Ok(Brought::Signatures { decoded, time, id }),
        }
    }

    fn token(&self, request: &Request, tokens: &[String]) -> Result<Token, String> {
        let [token] = tokens else { return Err("several tokens were sent".into()) };
        let token = Token::read(token, self.scheme.algorithm, request.received)?;
        for (name, any_of) in &self.scheme.claims {
            let wanted: Vec<String> = any_of.iter().map(|f| f.text(request, self.given(None, None, ""))).collect::<Result<_, _>>()?;
            if !token.claims(name, &wanted) {
                return Err(format!("the token's `{name}` is not {}", wanted.join(" or ")));
            }
        }
        Ok(token)
    }
}
