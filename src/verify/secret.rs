//! The secrets that a rule file gives to a scheme: read, and compared in constant time. The schemes decide what they are
//! used for.

use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use crate::expr::field::Root;
use crate::expr::names::Names;
use crate::expr::scope::Scope;
use crate::expr::template::{self, Template};
use crate::model::event::Event;
use crate::secret::Secret;
use crate::yaml::fields::Item;

/// Reads a secret: text that consists only of characters and secrets, evaluated at load. An empty one never verifies
/// anything, so it is a problem.
pub fn read_secret(item: &Item, known: &Names) -> Option<Secret> {
    let (secret, is_written) = read(item, known)?;
    if is_written {
        item.warning("a secret is written in the rule file, where anyone who can read the file sees it")
            .label("write \"{{ secret.NAME }}\" and set NAME")
            .add();
    }
    Some(secret)
}

/// Reads a value that may be public in the rule file, such as a public key or an address.
pub fn read_text(item: &Item, known: &Names) -> Option<Secret> {
    read(item, known).map(|(text, _)| text)
}

/// The text, and whether it is written in the rule file itself.
fn read(item: &Item, known: &Names) -> Option<(Secret, bool)> {
    let errors = item.errors();
    let template = Template::read(item, template::Destination::Plain, known)?;
    if item.errors() > errors {
        return None;
    }
    if template.fields().any(|f| !matches!(f.root, Root::Secret(_) | Root::Env(_))) {
        item.problem("the secret cannot come from the request").label("write \"{{ secret.NAME }}\"").add();
        return None;
    }
    let (vault, saved) = (known.lookup.vault(), Map::new());
    let nobody = Event::nobody();
    match template.text(&Scope::new(&nobody, &vault, Value::Null, &[], &saved)) {
        Ok(text) if !text.is_empty() => Some((Secret::new(text), template.fixed().is_some())),
        // A missing secret of a disabled rule was already reported.
        Err(_) => None,
        Ok(_) => {
            item.problem("an empty secret would let everyone in").label("write \"{{ secret.NAME }}\" and set NAME").add();
            None
        }
    }
}

/// Whether both are equal; the time this takes reveals nothing about them.
pub(super) fn equal(a: &[u8], b: &[u8]) -> bool {
    // Digests have the same length, so that not even the length of the secret can be timed.
    let digest = |t: &[u8]| ring::digest::digest(&ring::digest::SHA256, t);
    digest(a).as_ref().ct_eq(digest(b).as_ref()).into()
}
