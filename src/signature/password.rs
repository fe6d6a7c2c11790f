//! The schemes that send a secret as it is: `bearer`, `basic` and `token`. Compared in constant time.

use base64::Engine as _;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use super::contract::{Guard, Published, Scheme, Signed, Verify};
use super::place::Place;
use crate::event::Event;
use crate::known::Known;
use crate::request::Request;
use crate::scope::Scope;
use crate::secret::Secret;
use crate::template::{self, Template};
use crate::yaml::fields::Item;

pub struct Bearer;
pub struct Basic;
pub struct Token;

/// Reads a secret: a text that is made only of letters and secrets, worked out at once. An empty one never verifies
/// anything, so it is a problem.
pub(super) fn read_secret(item: &Item, known: &Known) -> Option<Secret> {
    let (secret, is_written) = read(item, known)?;
    if is_written {
        item.warning("a secret stands in the rule file, where everybody who can read it sees it")
            .label("write \"{{ secret.NAME }}\" and set NAME")
            .add();
    }
    Some(secret)
}

/// Reads what may stand in the rule file for everybody to see, such as a public key or an address.
pub(super) fn read_text(item: &Item, known: &Known) -> Option<Secret> {
    read(item, known).map(|(text, _)| text)
}

/// The text, and whether it stands in the rule file as it is.
fn read(item: &Item, known: &Known) -> Option<(Secret, bool)> {
    let errors = item.errors();
    let template = Template::read(item, template::Place::Plain, known)?;
    if item.errors() > errors {
        return None;
    }
    if template.fields().any(|f| !matches!(f.root, crate::field::Root::Secret(_) | crate::field::Root::Env(_))) {
        item.problem("what is compared with cannot come from the request").label("write \"{{ secret.NAME }}\"").add();
        return None;
    }
    let (vault, saved) = (known.lookup.vault(), Map::new());
    let nobody = Event::nobody();
    match template.text(&Scope::new(&nobody, &vault, Value::Null, &[], &saved)) {
        Ok(text) if !text.is_empty() => Some((Secret::new(text), template.fixed().is_some())),
        // A missing secret of a rule that is switched off was mentioned already.
        Err(_) => None,
        Ok(_) => {
            item.problem("an empty secret would let everybody in").label("write \"{{ secret.NAME }}\" and set NAME").add();
            None
        }
    }
}

pub(super) fn equal(a: &[u8], b: &[u8]) -> bool {
    // Digests of one length, so that not even the length of the secret can be timed.
    let digest = |t: &[u8]| ring::digest::digest(&ring::digest::SHA256, t);
    digest(a).as_ref().ct_eq(digest(b).as_ref()).into()
}

struct Expected {
    header: String,
    /// What stands before the secret, such as `Bearer`; in any case.
    scheme: Option<&'static str>,
    value: Secret,
}

impl Verify for Expected {
    fn check(&self, request: &Request, _: Option<&Published>) -> Result<Signed, String> {
        let header = request.only_header(&self.header)?;
        let sent = match self.scheme {
            None => header,
            Some(scheme) => {
                let (word, rest) = header.split_once(' ').unwrap_or((header, ""));
                if !word.eq_ignore_ascii_case(scheme) {
                    return Err(format!("the header {} does not begin with {scheme}", self.header));
                }
                rest.trim_start()
            }
        };
        match !sent.is_empty() && equal(sent.as_bytes(), self.value.reveal().as_bytes()) {
            true => Ok(Signed::new()),
            false => Err(format!("the header {} holds another secret", self.header)),
        }
    }

    fn strike(&self, request: &mut Request) {
        if let Some(place) = Place::read(&format!("header:{}", self.header)) {
            place.strike(request);
        }
    }
}

impl Scheme for Bearer {
    fn name(&self) -> &'static str {
        "bearer"
    }
    fn read(&self, item: &Item, known: &Known, _: Option<&str>) -> Option<Guard> {
        let value = read_secret(item, known)?;
        Some(Guard::of(Expected { header: "authorization".into(), scheme: Some("Bearer"), value }))
    }
}

impl Scheme for Basic {
    fn name(&self) -> &'static str {
        "basic"
    }
    fn read(&self, item: &Item, known: &Known, _: Option<&str>) -> Option<Guard> {
        let mut fields = item.fields("`basic:`")?;
        let user = fields.must("user").and_then(|i| i.text());
        let password = fields.must("password").and_then(|i| read_secret(&i, known));
        fields.done(&[("username", "did you mean `user`?"), ("pass", "did you mean `password`?")], &[]);
        let both = format!("{}:{}", user?, password?.reveal());
        let value = Secret::new(base64::engine::general_purpose::STANDARD.encode(both));
        Some(Guard::of(Expected { header: "authorization".into(), scheme: Some("Basic"), value }))
    }
}

impl Scheme for Token {
    fn name(&self) -> &'static str {
        "token"
    }
    fn read(&self, item: &Item, known: &Known, _: Option<&str>) -> Option<Guard> {
        let mut fields = item.fields("`token:`")?;
        let header = fields.must("header").and_then(|i| i.text());
        let value = fields.must("value").and_then(|i| read_secret(&i, known));
        fields.done(&[("name", "did you mean `header`?"), ("secret", "did you mean `value`?"), ("token", "did you mean `value`?")], &[]);
        Some(Guard::of(Expected { header: header?.to_ascii_lowercase(), scheme: None, value: value? }))
    }
}
