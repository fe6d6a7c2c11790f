//! `custom:` and every sender that is data: what a scheme can say, read from a rule file and from `providers.yaml` by the
//! same code. How a request is checked by it is in [`super::check`].

use std::sync::LazyLock;
use std::time::Duration;

use super::check::{Algorithm, Encoding, Format, KeyForm, Scheme, Signing, Time, Unit};
use super::contract::Verify;
use super::hello::Hello;
use super::password::read_secret;
use super::signed::{Place, Signed};
use crate::known::{Known, Lookup};
use crate::secret::Secret;
use crate::yaml::Source;
use crate::yaml::fields::{Fields, Item, Reader};

const PROVIDERS: &str = include_str!("providers.yaml");
/// How far a signature's time may be away, in seconds, where nothing else is said; in both directions.
const TOLERANCE: u64 = 300;

/// One sender, as `providers.yaml` describes it.
pub(super) struct Sender {
    pub name: String,
    /// As people know it.
    pub title: String,
    scheme: Scheme,
    /// The field that holds the sender's own id of a delivery.
    pub delivery_id: Option<String>,
    /// In bytes.
    pub max_body: Option<usize>,
    /// What is not vouched for, and other things to know.
    pub note: String,
}

/// All senders that are data.
pub(super) fn senders() -> &'static [Sender] {
    static SENDERS: LazyLock<Vec<Sender>> = LazyLock::new(shipped);
    &SENDERS
}

fn shipped() -> Vec<Sender> {
    let source = Source { name: "providers.yaml".into(), text: PROVIDERS.into() };
    let Ok(node) = source.read() else { return Vec::new() };
    let reader = Reader::new(&source);
    let lookup = Lookup::new(&|_| None, &|_| None, &|_| None);
    let known = Known::new(&lookup);
    let items = reader.top(&node).items("a list of senders").unwrap_or_default();
    items.iter().filter_map(|i| sender(i, &known)).collect()
}

fn sender(item: &Item, known: &Known) -> Option<Sender> {
    let mut fields = item.fields("a sender")?;
    let text = |i: Option<Item>| i.and_then(|i| i.text());
    let name = text(fields.must("name"))?;
    let title = text(fields.must("title"))?;
    let delivery_id = text(fields.may("delivery_id"));
    let max_body = fields.may("max_body").and_then(|i| i.whole(1, 100 << 20)).map(|n| n as usize);
    let note = text(fields.may("note")).unwrap_or_default();
    let scheme = read_scheme(&mut fields, item, known);
    fields.done(&[], &[]);
    Some(Sender { name, title, scheme: scheme?, delivery_id, max_body, note })
}

impl Sender {
    pub(super) fn read(&self, item: &Item, known: &Known, public_url: Option<&str>) -> Option<Box<dyn Verify>> {
        let secrets = read_secrets(item, known)?;
        needs_url(&self.scheme, &self.title, item, public_url)?;
        signing(&self.scheme, secrets, item, public_url)
    }

    /// The scheme with a secret that stands in no rule file. The error is a sentence.
    pub(super) fn with(&self, secret: &str, public_url: Option<&str>) -> Result<Box<dyn Verify>, String> {
        if self.scheme.signed.needs_url() && public_url.is_none() {
            return Err(format!("{} signs the address; say which was called with --url", self.title));
        }
        let keys = vec![super::check::Key::new(&self.scheme, secret)?];
        Ok(Box::new(Signing { scheme: self.scheme.clone(), keys, public_url: public_url.map(str::to_owned) }))
    }
}

/// A sender's scheme as `providers.yaml` words it.
pub(super) fn words(name: &str) -> String {
    let entry = PROVIDERS.split("- name: ").find(|e| e.lines().next() == Some(name)).unwrap_or_default();
    let own = |l: &&str| ["title:", "delivery_id:", "max_body:", "note:"].iter().all(|k| !l.trim_start().starts_with(k));
    entry.lines().skip(1).filter(own).map(|l| format!("{l}\n")).collect()
}

/// Reads `custom:`.
pub(super) fn read(item: &Item, known: &Known, public_url: Option<&str>) -> Option<Box<dyn Verify>> {
    let mut fields = item.fields("`custom:`")?;
    let secret = fields.must("secret");
    let scheme = read_scheme(&mut fields, item, known);
    fields.done(
        &[
            ("header", "write `signature: { from: header:Name }`"),
            ("hash", "did you mean `algorithm`?"),
            ("tolerance", "it stands under `timestamp:`"),
        ],
        &[],
    );
    let (scheme, secret) = (scheme?, secret?);
    needs_url(&scheme, "this scheme", item, public_url)?;
    signing(&scheme, read_secrets(&secret, known)?, &secret, public_url)
}

/// One secret, or several while one is being changed for another.
fn read_secrets(item: &Item, known: &Known) -> Option<Vec<Secret>> {
    let all: Vec<_> = item.one_or_many().iter().map(|i| read_secret(i, known)).collect();
    all.into_iter().collect::<Option<Vec<_>>>().filter(|all| !all.is_empty())
}

fn signing(scheme: &Scheme, secrets: Vec<Secret>, item: &Item, public_url: Option<&str>) -> Option<Box<dyn Verify>> {
    let mut keys = Vec::new();
    for secret in &secrets {
        match super::check::Key::new(scheme, secret.reveal()) {
            Ok(key) => keys.push(key),
            Err(why) => {
                item.problem(why).label("copy it again from where the sender shows it").add();
                return None;
            }
        }
    }
    Some(Box::new(Signing { scheme: scheme.clone(), keys, public_url: public_url.map(str::to_owned) }))
}

fn needs_url(scheme: &Scheme, who: &str, item: &Item, public_url: Option<&str>) -> Option<()> {
    if scheme.signed.needs_url() && public_url.is_none() {
        item.problem(format!("{who} signs the address, so Doorbell must know its own"))
            .at_key()
            .label("write `public_url: https://hooks.example.com` beside `verify:`")
            .add();
        return None;
    }
    Some(())
}

/// One of a list of words.
fn word<T: Copy>(item: &Item, words: &[(&str, T)]) -> Option<T> {
    let text = item.text()?;
    let found = words.iter().find(|(w, _)| *w == text).map(|(_, t)| *t);
    if found.is_none() {
        let all: Vec<&str> = words.iter().map(|(w, _)| *w).collect();
        let near =
            crate::problem::nearest(&text, all.iter().copied()).map_or("this is not known".to_owned(), |n| format!("did you mean `{n}`?"));
        item.problem(format!("`{text}` is not known here")).label(near).note(format!("known: {}", all.join(", "))).add();
    }
    found
}

fn place(item: &Item) -> Option<Place> {
    let text = item.text()?;
    let place = Place::read(&text);
    if place.is_none() {
        item.problem(format!("`{text}` is no place in a request")).label("write header:Name, query:name, form:name or json:/pointer").add();
    }
    place
}

fn read_scheme(fields: &mut Fields, item: &Item, _: &Known) -> Option<Scheme> {
    let algorithm = fields.must("algorithm").and_then(|i| word(&i, &Algorithm::WORDS));
    let key = fields.may("key").map_or(Some(KeyForm::Text), |i| word(&i, &KeyForm::WORDS));
    let signature = fields.must("signature");
    let signed = match fields.may("signed") {
        None => Signed::read("{body}").ok(),
        Some(item) => {
            let text = item.text()?;
            Signed::read(&text)
                .map_err(|unknown| {
                    item.problem(format!("`{unknown}` is not known here"))
                        .label("write for example \"{ts}.{body}\"")
                        .note("known: {body} {ts} {method} {url} {path_and_query} {form_sorted} {sha256_hex(body)} {secret} {header:Name} {query:name} {form:name} {json:/pointer}")
                        .add();
                })
                .ok()
        }
    };
    let time = match fields.may("timestamp") {
        None => Some(None),
        Some(item) => read_time(&item).map(Some),
    };
    let mut require = Some(Vec::new());
    if let Some(item) = fields.may("require") {
        for (at, value) in item.entries("`require:`")? {
            match (Place::read(&at), value.text()) {
                (Some(place), Some(text)) => require.as_mut()?.push((place, text)),
                _ => {
                    value.problem(format!("`{at}` is no place in a request")).at_key().label("write header:Name: \"value\"").add();
                    require = None;
                    break;
                }
            }
        }
    }
    let hello = fields.may("hello").map(|i| Hello::read(&i));
    let mut inner = signature?.fields("`signature:`")?;
    let from = inner.must("from").and_then(|i| i.one_or_many().iter().map(place).collect::<Option<Vec<_>>>());
    let format = match inner.may("format") {
        None => Some(Format::Whole { before: String::new(), after: String::new() }),
        Some(item) => {
            let text = item.text()?;
            let format = Format::read(&text);
            if format.is_none() {
                item.problem(format!("`{text}` does not say where the signature is"))
                    .label("write for example \"sha256={sig}\" or \"t={ts},v1={sig}\"")
                    .add();
            }
            format
        }
    };
    let list = inner.may("list").map(|i| i.text());
    let encoding = inner.may("encoding").map_or(Some(Encoding::Hex), |i| word(&i, &Encoding::WORDS));
    inner.done(&[("header", "write `from: header:Name`"), ("prefix", "write `format: \"prefix={sig}\"`")], &[]);
    let (signed, time) = (signed?, time?);
    if signed.has_time() && time.is_none() {
        item.problem("`{ts}` is signed, but nothing says where it stands").label("write `timestamp: { from: header:Name }`").add();
        return None;
    }
    Some(Scheme {
        algorithm: algorithm?,
        key: key?,
        from: from?,
        format: format?,
        list: list.map_or(Some(None), |l| l.map(Some))?,
        encoding: encoding?,
        signed,
        time,
        require: require?,
        hello: hello.map_or(Some(None), |h| h.map(Some))?,
    })
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
    fields.done(&[("header", "write `from: header:Name`")], &[]);
    Some(Time { from: from?, unit: unit?, tolerance: Duration::from_secs(tolerance?), optional: optional? })
}
