//! `custom:`: reads a scheme that a rule file describes, and the guard that it makes with a secret. How such a scheme
//! verifies a request is in [`super::check`].

use std::time::Duration;

use super::check::{Encoding, Format, SignatureScheme, Signing, Time, Unit};
use super::contract::NAME_OUTSIDE;
use super::formula::Formula;
use super::guard::Guard;
use super::handshake::{Handshake, Means};
use super::key::{Algorithm, Key, KeyForm};
use super::location::{FORMS, Location};
use super::secret::{read_secret, read_text};
use super::verifier::{Published, Signed, Verify};
use crate::expr::names::{Names, is_stand_in};
use crate::model::request::Request;
use crate::secret::Secret;
use crate::yaml::fields::{Fields, Item};

/// How far a signature's time may be off by default, in seconds, in both directions.
const TOLERANCE: u64 = 300;

/// Nobody is accepted before the secret exists.
pub(super) struct NoSecretYet;

impl Verify for NoSecretYet {
    fn check(&self, _: &Request, _: Option<&Published>) -> Result<Signed, String> {
        Err("the sender has not sent its secret yet".into())
    }
}

/// Reads `custom:`, and the `handshake:` next to it.
pub(super) fn read(item: &Item, beside: Option<Handshake>, known: &Names, public_url: Option<&str>) -> Option<(Guard, Vec<String>)> {
    let mut fields = item.fields("`custom:`")?;
    let secret = fields.must("secret");
    let scheme = read_scheme(&mut fields, item);
    let handshake = fields.may("handshake").map(|i| Handshake::read(&i, known).filter(|h| h.is_safe(&i)));
    fields.done(&[
        ("header", "write `signature: { from: header:Name }`"),
        ("hash", "algorithm"),
        ("tolerance", "write it under `timestamp:`"),
        ("name", NAME_OUTSIDE),
    ]);
    let (scheme, secret) = (scheme?, secret?);
    let handshake = handshake.map_or(Some(beside), |h| h.map(Some))?;
    let id = scheme.id.iter().map(Location::field).collect();
    let guarding = Guarding { scheme: &scheme, handshake: handshake.as_ref(), who: "this scheme", public_url };
    Some((guarding.read(&secret, None, known)?, id))
}

/// A scheme from which a guard is made.
pub(super) struct Guarding<'a> {
    pub scheme: &'a SignatureScheme,
    pub handshake: Option<&'a Handshake>,
    /// The sender's name for people.
    pub who: &'a str,
    pub public_url: Option<&'a str>,
}

impl Guarding<'_> {
    /// One secret, or several while one is being replaced by another.
    pub(super) fn read(&self, item: &Item, verify_token: Option<Secret>, known: &Names) -> Option<Guard> {
        let needs_url = self.scheme.needs_url() || self.handshake.is_some_and(Handshake::needs_url);
        if needs_url && self.public_url.is_none() {
            item.problem(format!("{} signs the address, so Doorbell must know its public address", self.who))
                .at_key()
                .label("write `public_url: https://hooks.example.com` next to `verify:`")
                .add();
            return None;
        }
        let mut signing = Signing::new(self.scheme.clone(), self.public_url);
        if self.scheme.key == KeyForm::Url {
            signing.key_at = Some(read_key_address(item)?);
        } else {
            for item in item.one_or_more("write \"{{ secret.NAME }}\"")? {
                let secret = match self.scheme.algorithm.is_public() || self.scheme.key == KeyForm::Jwks {
                    true => read_text(&item, known)?,
                    false => read_secret(&item, known)?,
                };
                match Key::read(self.scheme.algorithm, self.scheme.key, secret.reveal()) {
                    Ok(key) => signing.keys.push((secret, key)),
                    // A placeholder does not have the form of a secret.
                    Err(_) if is_stand_in(secret.reveal()) => return Some(Guard::of(NoSecretYet)),
                    Err(why) => {
                        item.problem(why).label("copy it again from the sender").add();
                        return None;
                    }
                }
            }
        }
        let greetings = self.handshake.map(|h| {
            let mut handshake = h.clone();
            let first = signing.keys.first();
            handshake.means = Means {
                key: first.map(|(_, key)| key.bytes().to_vec()).unwrap_or_default(),
                secret: first.map(|(secret, _)| secret.clone()),
                verify_token,
                public_url: self.public_url.map(str::to_owned),
                waits_for: None,
            };
            handshake
        });
        // An existing secret is never replaced by one that somebody hands over.
        Some(Guard::of(signing).greeting(greetings.filter(|h| h.hands_over.is_none())))
    }
}

/// The address where a key is published: https, unless it is on this machine.
fn read_key_address(item: &Item) -> Option<String> {
    let text = item.text()?;
    let here = ["http://127.0.0.1:", "http://localhost:"].iter().any(|p| text.starts_with(p));
    if !(text.starts_with("https://") || here) || text.contains([' ', '{']) {
        item.problem("the address of a key begins with https://").label("write for example https://acme.example.com/keys.json").add();
        return None;
    }
    Some(text)
}

/// One of a list of words.
fn word<T: Copy>(item: &Item, words: &[(&str, T)]) -> Option<T> {
    let text = item.text()?;
    let found = words.iter().find(|(w, _)| *w == text).map(|(_, t)| *t);
    if found.is_none() {
        let all: Vec<&str> = words.iter().map(|(w, _)| *w).collect();
        let draft = item.problem(format!("`{text}` is not a valid value")).label("choose one of the values below");
        let draft = match crate::text::nearest::nearest(&text, all.iter().copied()) {
            Some(near) => draft.meant(near),
            None => draft,
        };
        draft.note(format!("valid values: {}", all.join(", "))).add();
    }
    found
}

fn place(item: &Item) -> Option<Location> {
    let text = item.text()?;
    let place = Location::read(&text);
    if place.is_none() {
        item.problem(format!("`{text}` does not name a part of the request")).label(FORMS).add();
    }
    place
}

/// One place, or several.
fn places(item: &Item) -> Option<Vec<Location>> {
    item.one_or_more("write for example header:X-Signature")?.iter().map(place).collect()
}

pub(super) fn read_scheme(fields: &mut Fields, item: &Item) -> Option<SignatureScheme> {
    let algorithm_item = fields.must("algorithm");
    let algorithm = algorithm_item.as_ref().and_then(|i| word(i, &Algorithm::WORDS));
    let key_item = fields.may("key");
    let key = key_item.as_ref().map_or(Some(KeyForm::Text), |i| word(i, &KeyForm::WORDS));
    let signature = fields.must("signature");
    let signed_item = fields.may("signed");
    let signed = match &signed_item {
        None => Formula::read("{body}").ok(),
        Some(item) => formula(item, "write for example \"{ts}.{body}\""),
    };
    let id = fields.may("id").map_or(Some(Vec::new()), |i| places(&i));
    let claims_item = fields.may("claims");
    let claims = claims_item.as_ref().map_or(Some(Vec::new()), read_claims);
    let time = match fields.may("timestamp") {
        None => Some(None),
        Some(item) => read_time(&item).map(Some),
    };
    let mut require = Some(Vec::new());
    if let Some(item) = fields.may("require") {
        for (at, value) in item.entries("`require:`")? {
            match (Location::read(&at), value.text()) {
                (Some(place), Some(text)) => require.as_mut()?.push((place, text)),
                _ => {
                    value
                        .problem(format!("`{at}` does not name a part of the request"))
                        .at_key()
                        .label("write header:Name: \"value\"")
                        .add();
                    require = None;
                    break;
                }
            }
        }
    }
    let mut inner = signature?.fields("`signature:`")?;
    let from = inner.must("from").and_then(|i| places(&i));
    let format = match inner.may("format") {
        None => Some(Format::Whole { before: String::new(), after: String::new() }),
        Some(item) => {
            let text = item.text()?;
            let format = Format::read(&text);
            if format.is_none() {
                item.problem(format!("`{text}` does not show where the signature is"))
                    .label("write for example \"sha256={sig}\" or \"t={ts},v1={sig}\"")
                    .add();
            }
            format
        }
    };
    let list = inner.may("list").map(|i| i.text());
    let encoding = inner.may("encoding").map_or(Some(Encoding::Hex), |i| word(&i, &Encoding::WORDS));
    inner.done(&[("header", "write `from: header:Name`"), ("prefix", "write `format: \"prefix={sig}\"`")]);
    let (signed, time, id, claims) = (signed?, time?, id?, claims?);
    if signed.has_time() && time.is_none() {
        item.problem("`{ts}` is signed, but nothing shows where to find it").label("write `timestamp: { from: header:Name }`").add();
        return None;
    }
    if signed.has_id() && id.is_empty() {
        item.problem("`{id}` is signed, but nothing shows where to find it").label("write `id: header:Name`").add();
        return None;
    }
    if let Some(item) = signed_item.as_ref().filter(|_| signed.signs()) {
        item.problem("`{hmac_hex(…)}` is only for handshakes")
            .label("remove it from `signed:`; `algorithm:` says how all of it is signed")
            .add();
        return None;
    }
    if algorithm?.is_digest() && !signed.is_secret() {
        signed_item
            .or(algorithm_item)?
            .problem("anyone can compute this digest, so it proves nothing")
            .label("write for example signed: \"{secret}{body}\", or algorithm: hmac-sha256")
            .add();
        return None;
    }
    let is_token = algorithm?.token_word().is_some();
    if let Some(item) = claims_item.filter(|_| !is_token) {
        item.problem("`claims:` can only be used with tokens")
            .at_key()
            .label("write `algorithm: jwt-hs256`, `jwt-rs256` or `jwt-es256`")
            .add();
        return None;
    }
    if let Some(item) = key_item.filter(|_| key == Some(KeyForm::Url) && !algorithm.is_some_and(Algorithm::is_public)) {
        item.problem("a key that anyone can fetch is not a secret")
            .label("write `algorithm: jwt-rs256` or another algorithm with public keys")
            .add();
        return None;
    }
    Some(SignatureScheme {
        algorithm: algorithm?,
        key: key?,
        from: from?,
        format: format?,
        list: list.map_or(Some(None), |l| l.map(Some))?,
        encoding: encoding?,
        signed,
        time,
        require: require?,
        id,
        claims,
    })
}

fn formula(item: &Item, example: &str) -> Option<Formula> {
    let text = item.text()?;
    let unknown =
        |unknown: String| item.problem(format!("`{unknown}` is not a known variable")).label(example).note(Formula::known()).add();
    Formula::read(&text).map_err(unknown).ok()
}

/// `aud: https://hooks.example.com`, or a list; one match is enough.
fn read_claims(item: &Item) -> Option<Vec<(String, Vec<Formula>)>> {
    let mut all = Vec::new();
    for (name, value) in item.entries("`claims:`")? {
        let example = "write for example \"{url}\"";
        let any_of = value.one_or_more(example)?.iter().map(|i| formula(i, example)).collect::<Option<Vec<_>>>()?;
        all.push((name, any_of));
    }
    Some(all)
}

fn read_time(item: &Item) -> Option<Time> {
    let mut fields = item.fields("`timestamp:`")?;
    let from = fields.must("from").and_then(|i| match i.text()?.as_str() {
        "signature" => Some(None),
        _ => place(&i).map(Some),
    });
    let unit = fields.may("unit").map_or(Some(Unit::Seconds), |i| word(&i, &Unit::WORDS));
    let optional = fields.may("optional").map_or(Some(false), |i| i.flag());
    let tolerance = fields.may("tolerance").map_or(Some(TOLERANCE), |i| i.whole(0, 86_400));
    fields.done(&[("header", "write `from: header:Name`")]);
    Some(Time { from: from?, unit: unit?, tolerance: Duration::from_secs(tolerance?), optional: optional? })
}
