//! The schemes that send the secret itself: `bearer`, `basic` and `token`. Compared in constant time.

use base64::Engine as _;

use super::contract::{NAME_OUTSIDE, Scheme};
use super::guard::Guard;
use super::location::Location;
use super::secret::{equal, read_secret};
use super::verifier::{Published, Signed, Verify};
use crate::expr::names::Names;
use crate::model::request::Request;
use crate::secret::Secret;
use crate::yaml::Node;
use crate::yaml::fields::Item;

pub struct Bearer;
pub struct Basic;
pub struct Token;

struct Expected {
    header: String,
    /// The word before the secret, such as `Bearer`; in any case.
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
            false => Err(format!("the header {} contains a different secret", self.header)),
        }
    }

    fn secret_at(&self) -> Vec<Location> {
        vec![Location::header(&self.header)]
    }
}

impl Scheme for Bearer {
    fn name(&self) -> &'static str {
        "bearer"
    }
    fn read(&self, item: &Item, known: &Names, _: Option<&str>) -> Option<Guard> {
        if let Node::Text(text) = item.node
            && text.starts_with("Bearer ")
            && let Some(raw) = item.raw()
        {
            let draft = item.problem("`bearer:` expects the word `Bearer` itself, so it is not a part of the secret");
            draft.label("write only what follows it").write(&raw.replacen("Bearer ", "", 1)).add();
            return None;
        }
        let value = read_secret(item, known)?;
        Some(Guard::of(Expected { header: "authorization".into(), scheme: Some("Bearer"), value }))
    }
}

impl Scheme for Basic {
    fn name(&self) -> &'static str {
        "basic"
    }
    fn is_map(&self) -> bool {
        true
    }
    fn read(&self, item: &Item, known: &Names, _: Option<&str>) -> Option<Guard> {
        let mut fields = item.fields("`basic:`")?;
        let user = fields.must("user").and_then(|i| i.text());
        let password = fields.must("password").and_then(|i| read_secret(&i, known));
        fields.done(&[("username", "user"), ("pass", "password"), ("name", NAME_OUTSIDE)]);
        let both = format!("{}:{}", user?, password?.reveal());
        let value = Secret::new(base64::engine::general_purpose::STANDARD.encode(both));
        Some(Guard::of(Expected { header: "authorization".into(), scheme: Some("Basic"), value }))
    }
}

impl Scheme for Token {
    fn name(&self) -> &'static str {
        "token"
    }
    fn is_map(&self) -> bool {
        true
    }
    fn read(&self, item: &Item, known: &Names, _: Option<&str>) -> Option<Guard> {
        if let (Node::Text(text), Some(raw)) = (item.node, item.raw()) {
            let draft = item.problem("`token:` takes the header that contains the token, and its value");
            let draft = draft.label("write { header: X-Token, value: \"{{ secret.NAME }}\" }");
            match text.contains("{{") {
                true => draft
                    .propose(
                        format!("write the header that the sender uses, such as {{ header: X-Token, value: {raw} }}"),
                        &format!("{{ header: X-Token, value: {raw} }}"),
                    )
                    .add(),
                false => draft.add(),
            }
            return None;
        }
        let mut fields = item.fields("`token:`")?;
        let header = fields.must("header").and_then(|i| i.text());
        let value = fields.must("value").and_then(|i| read_secret(&i, known));
        let name = if header.is_some() { NAME_OUTSIDE } else { "header" };
        fields.done(&[("name", name), ("secret", "value"), ("token", "value")]);
        Some(Guard::of(Expected { header: header?.to_ascii_lowercase(), scheme: None, value: value? }))
    }
}
