//! Senders that are defined as data: `senders.yaml` has their schemes in the words of [`custom:`](super::custom), and is
//! read by the same code.

use std::sync::LazyLock;

use super::check::SignatureScheme;
use super::contract::{NAME_OUTSIDE, PASTE, SenderFacts};
use super::custom::{Guarding, NoSecretYet, read_scheme};
use super::guard::Guard;
use super::handshake::{Handshake, Means};
use super::secret::read_secret;
use crate::expr::field::{Field, Root};
use crate::expr::names::{Names, Resolver};
use crate::yaml::Node;
use crate::yaml::fields::Item;
use crate::yaml::reader::{Effort, Reader};
use crate::yaml::source::Source;

const SENDERS_YAML: &str = include_str!("senders.yaml");

/// One sender, as defined in `senders.yaml`.
pub(super) struct Sender {
    pub name: String,
    /// Its name for people.
    pub title: String,
    pub(super) scheme: SignatureScheme,
    pub(super) handshake: Option<Handshake>,
    /// The fields that contain the sender's own id of a delivery; alternatives are separated by [`OR`](super::OR).
    pub delivery_id: Vec<String>,
    /// How long it is remembered, in hours, if longer than usual.
    pub remembered: Option<u64>,
    /// In bytes.
    pub max_body: Option<usize>,
    /// What to paste where on the sender's website, and how long the sender waits for an answer.
    paste: String,
    within: String,
    /// What is not verified, and other things to know.
    note: String,
}

/// All senders defined as data.
pub(super) fn all() -> &'static [Sender] {
    static SENDERS: LazyLock<Vec<Sender>> = LazyLock::new(|| described(SENDERS_YAML));
    &SENDERS
}

/// The senders in text that has the format of `senders.yaml`.
pub(super) fn described(text: &str) -> Vec<Sender> {
    let source = Source::stored("senders.yaml", text.into());
    let Ok(node) = source.read() else { return Vec::new() };
    let effort = Effort::default();
    let reader = Reader::new(&source, &effort);
    let lookup = Resolver::new(&|_| None, &|_| None, &|_| None);
    let known = Names::new(&lookup);
    let items = reader.top(&node).items("a list of senders").unwrap_or_default();
    items.iter().filter_map(|i| sender(i, &known)).collect()
}

fn sender(item: &Item, known: &Names) -> Option<Sender> {
    let mut fields = item.fields("a sender")?;
    let text = |i: Option<Item>| i.and_then(|i| i.text());
    let name = text(fields.must("name"))?;
    let title = text(fields.must("title"))?;
    let delivery_id = fields.may("delivery_id").map_or(Vec::new(), |i| i.one_or_many().iter().filter_map(|i| i.text()).collect());
    let remembered = fields.may("remembered").and_then(|i| i.whole(1, 720));
    let max_body = fields.may("max_body").and_then(|i| i.whole(1, 100 << 20)).map(|n| n as usize);
    let paste = text(fields.may("paste")).unwrap_or_else(|| PASTE.replace("NAME", &name));
    let within = text(fields.may("within")).unwrap_or_default();
    let note = text(fields.may("note")).unwrap_or_default();
    let scheme = read_scheme(&mut fields, item);
    let handshake = fields.may("handshake").map(|i| Handshake::read(&i, known));
    fields.done(&[]);
    Some(Sender {
        name,
        title,
        scheme: scheme?,
        handshake: handshake.map_or(Some(None), |h| h.map(Some))?,
        delivery_id,
        remembered,
        max_body,
        paste,
        within,
        note,
    })
}

impl Sender {
    /// Reads the value in a rule file: a secret, a list of secrets, or a map with more settings.
    pub(super) fn read(&self, item: &Item, known: &Names, public_url: Option<&str>) -> Option<Guard> {
        let wants_token = self.handshake.as_ref().is_some_and(Handshake::wants_token);
        let Node::Map(_) = item.node else {
            if let Some(name) = self.waits_for(item, known) {
                return Some(self.waiting(&name, item));
            }
            return Guarding { scheme: &self.scheme, handshake: self.handshake.as_ref(), who: &self.title, public_url }
                .read(item, None, known);
        };
        let mut fields = item.fields("a sender")?;
        let secret = fields.must("secret");
        let token = if wants_token { fields.may("verify_token").map(|i| read_secret(&i, known)) } else { None };
        fields.done(&[("token", "secret"), ("key", "secret"), ("name", NAME_OUTSIDE)]);
        let guarding = Guarding { scheme: &self.scheme, handshake: self.handshake.as_ref(), who: &self.title, public_url };
        guarding.read(&secret?, token.map_or(Some(None), |t| t.map(Some))?, known)
    }

    /// The name of the secret that this sender will hand over, if it does not exist yet.
    fn waits_for(&self, item: &Item, known: &Names) -> Option<String> {
        self.handshake.as_ref()?.hands_over.as_ref()?;
        let Node::Text(text) = item.node else { return None };
        let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
        match Field::read(inner).ok()?.root {
            Root::Secret(name) if !known.lookup.is_set(&name) => Some(name),
            _ => None,
        }
    }

    /// Until the sender has handed over its secret, handing it over is all that it can do.
    fn waiting(&self, name: &str, item: &Item) -> Guard {
        item.warning(format!("the secret {name} is not set, so this address waits until {} sends it", self.title))
            .label(format!("create the webhook at {}; Doorbell saves the first secret that it receives", self.title))
            .add();
        let mut greetings: Vec<Handshake> = self.handshake.iter().cloned().collect();
        for greeting in &mut greetings {
            greeting.means = Means { waits_for: Some((name.to_owned(), self.title.clone())), ..Means::default() };
        }
        Guard::of(NoSecretYet).greeting(greetings)
    }

    pub(super) fn facts(&self) -> SenderFacts {
        SenderFacts {
            title: self.title.clone(),
            delivery_id: self.delivery_id.clone(),
            remembered: self.remembered,
            write: write(&self.name, self.handshake.as_ref()),
            paste: self.paste.clone(),
            within: self.within.clone(),
            note: self.note.clone(),
        }
    }
}

/// What to write after `verify:` for a sender.
fn write(name: &str, handshake: Option<&Handshake>) -> String {
    let secret = name.to_uppercase();
    match handshake.is_some_and(Handshake::wants_token) {
        true => {
            format!("{{ {name}: {{ secret: \"{{{{ secret.{secret}_SECRET }}}}\", verify_token: \"{{{{ secret.{secret}_TOKEN }}}}\" }} }}")
        }
        false => format!("{{ {name}: \"{{{{ secret.{secret}_SECRET }}}}\" }}"),
    }
}

/// A sender's scheme as written in `senders.yaml`.
pub(super) fn scheme_text(name: &str) -> String {
    let entry = SENDERS_YAML.split("- name: ").find(|e| e.lines().next() == Some(name)).unwrap_or_default();
    let own = |l: &&str| {
        ["title:", "delivery_id:", "remembered:", "max_body:", "paste:", "within:", "note:", "handshake:"]
            .iter()
            .all(|k| !l.trim_start().starts_with(k))
    };
    entry.lines().skip(1).filter(own).map(|l| format!("{l}\n")).collect()
}

/// A sender's handshake as written in `senders.yaml`, if a rule file may contain it.
pub(super) fn handshake_text(name: &str) -> Option<String> {
    let handshake = all().iter().find(|s| s.name == name)?.handshake.as_ref()?;
    // Only a sender known by name may be answered like this.
    if handshake.hands_over.is_some() || handshake.signs() && !handshake.is_signed() {
        return None;
    }
    let entry = SENDERS_YAML.split("- name: ").find(|e| e.lines().next() == Some(name))?;
    let line = entry.lines().find(|l| l.trim_start().starts_with("handshake:"))?.trim();
    let token = format!("{{{{ secret.{}_TOKEN }}}}", name.to_uppercase());
    Some(line.replace("{verify_token}", &token))
}
