//! `verify:`: how a sender proves its identity. Lists the schemes that are code ([`contract`] says what each provides)
//! and reads the key; the senders that are data are in `senders.yaml`.

mod adyen;
mod check;
pub mod contract;
mod custom;
mod formula;
pub mod guard;
pub mod handshake;
mod key;
mod location;
mod microsoft;
pub mod outgoing;
mod password;
mod paypal;
mod pubsub;
pub mod secret;
#[cfg(test)]
mod sender_tests;
mod senders;
mod sns;
mod token;
mod twilio;
pub mod verifier;

use contract::{Scheme, SenderFacts};
use guard::Guard;

use crate::expr::names::{Names, Resolver};
use crate::text::nearest::nearest;
use crate::yaml::Node;
use crate::yaml::fields::Item;
use crate::yaml::reader::{Effort, Reader};
use crate::yaml::source::Source;

pub use location::OR;

/// Every scheme that is code, in the order of the docs.
pub const SCHEMES: &[&dyn Scheme] = &[
    &password::Bearer,
    &password::Basic,
    &password::Token,
    &adyen::Adyen,
    &sns::Sns,
    &pubsub::PubSub,
    &microsoft::Graph,
    &paypal::PayPal,
    &twilio::Twilio,
];

/// The words for a scheme defined in a rule file, and for a handshake next to any scheme.
const CUSTOM: &str = "custom";
const HANDSHAKE: &str = "handshake";
/// The word for what rules call the sender that a scheme accepts.
pub const NAME: &str = "name";
/// The longest such name, in characters.
const LONGEST_NAME: usize = 100;

/// The value of `verify:`, and the defaults that come with the sender.
#[derive(Default)]
pub struct Read {
    pub guard: Guard,
    /// Where the sender's own id of a delivery is; fields separated by [`OR`] are alternatives.
    pub delivery_id: Vec<String>,
    /// How long that is remembered, in hours, if the sender needs longer than usual.
    pub remembered: Option<u64>,
    pub max_body: Option<usize>,
}

/// Reads `verify:`: a scheme, a list of them (one match is enough), or `none`.
pub fn read(item: &Item, known: &Names, public_url: Option<&str>) -> Option<Read> {
    let mut read = Read::default();
    if let Node::Text(word) = item.node {
        if word == "none" {
            return Some(Read { guard: Guard::open(), ..read });
        }
        let is_known = all_names().any(|n| n == word);
        let message = if is_known { format!("`{word}` needs a value to compare with") } else { format!("`{word}` is not a scheme") };
        let draft = item.problem(message);
        match all_names().any(|n| n == word) {
            true => {
                let example = format!("write it with its secret, such as {{ {word}: \"{{{{ secret.NAME }}}}\" }}");
                draft.label(if is_map(word) { "write it with its settings, as docs/rules.md shows".to_owned() } else { example }).add();
            }
            false if ["off", "no", "false", "null", "open", "nothing"].contains(&word.to_lowercase().as_str()) || word == "None" => {
                draft.propose("write none, if anyone may call this address", "none").label("write a scheme with its secret").add();
            }
            false => draft.label("write `none`, or a scheme with its secret").note(known_schemes()).add(),
        }
        return None;
    }
    if let Node::Bool(_) | Node::Null = item.node {
        let draft =
            item.problem("`verify:` needs the scheme that proves who calls").label("write for example { github: \"{{ secret.NAME }}\" }");
        draft.note("`verify: none` leaves the address open on purpose").add();
        return None;
    }
    let mut good = true;
    for one in item.one_or_more("write a scheme with its secret, or `none` to leave the address open on purpose")? {
        if let Node::Text(word) = one.node
            && word == "none"
        {
            one.problem("`none` in a list would let everyone in").label("remove it, or write `verify: none` alone").add();
            return None;
        }
        let entries = one.entries("`verify:`")?;
        if entries.is_empty() && *one.node != Node::Map(Vec::new()) {
            // Its keys have no values, which was reported.
            return None;
        }
        if entries.is_empty() {
            one.problem("`verify:` has no value").label("write `none` to leave the address open on purpose").add();
            good = false;
        }
        let mut handshake = None;
        let called = entries.iter().find(|(name, _)| name == NAME).map(|(_, value)| read_name(value));
        good &= called.as_ref().is_none_or(Option::is_some);
        let ways: Vec<&(String, Item)> = entries.iter().filter(|(name, _)| name != HANDSHAKE && name != NAME).collect();
        if let [(first, _), (second, value), ..] = ways.as_slice() {
            value
                .problem(format!("`{first}` and `{second}` are two ways to verify a sender"))
                .at_key()
                .label("write each with a dash, as an item of a list; one match is enough")
                .add();
            good = false;
        }
        if let ([], [(_, value), ..]) = (ways.as_slice(), entries.as_slice())
            && called.is_some()
        {
            value.problem("a name alone proves nothing").at_key().label("write `token:` or another scheme next to it").add();
            good = false;
        }
        if let Some((_, value)) = entries.iter().find(|(name, _)| name == HANDSHAKE) {
            handshake = handshake::Handshake::read(value, known).filter(|h| h.is_safe(value));
            good &= handshake.is_some();
            if ways.is_empty() && called.is_none() {
                value
                    .problem("a handshake alone proves nothing")
                    .at_key()
                    .label("write `custom:` or another scheme next to it, or `verify: none`")
                    .add();
                good = false;
            }
        }
        for (name, value) in ways {
            let called = called.as_ref().and_then(Option::as_deref).unwrap_or(name);
            good &= add(&mut read, name, called, value, handshake.take(), known, public_url);
        }
    }
    good.then_some(read)
}

/// Reads what rules call a sender.
fn read_name(item: &Item) -> Option<String> {
    let name = item.text()?;
    let draft = match name.as_str() {
        text if text.contains("{{") => item.problem("the name of a sender is fixed").label("write a word, such as berlin"),
        text if text.trim().is_empty() || text.contains(char::is_control) => {
            item.problem("this is not a name").label("write a word, such as berlin")
        }
        text if text.chars().count() > LONGEST_NAME => {
            item.problem(format!("the name of a sender has at most {LONGEST_NAME} characters")).label("choose a shorter name")
        }
        _ => return Some(name),
    };
    draft.add();
    None
}

/// Reads one scheme and adds it; returns whether it is valid. The handshake next to it uses its secret.
fn add(
    read: &mut Read,
    name: &str,
    called: &str,
    value: &Item,
    handshake: Option<handshake::Handshake>,
    known: &Names,
    public_url: Option<&str>,
) -> bool {
    if name == CUSTOM {
        let Some((guard, id)) = custom::read(value, handshake, known, public_url) else { return false };
        read.guard.join(guard.called(called));
        read.delivery_id.extend(id);
        return true;
    }
    read.guard = std::mem::take(&mut read.guard).greeting(handshake);
    if let Some(scheme) = SCHEMES.iter().find(|s| s.name() == name) {
        let Some(guard) = scheme.read(value, known, public_url) else { return false };
        read.guard.join(guard.called(called));
        if let Some(facts) = scheme.facts() {
            read.brings(facts.delivery_id, facts.remembered, None);
        }
        return true;
    }
    if let Some(sender) = senders::all().iter().find(|s| s.name == name) {
        let Some(guard) = sender.read(value, known, public_url) else { return false };
        read.guard.join(guard.called(called));
        read.brings(sender.delivery_id.clone(), sender.remembered, sender.max_body);
        return true;
    }
    let draft = value.problem(format!("there is no scheme called `{name}`")).at_key();
    let draft = match nearest(name, all_names()) {
        Some(near) => draft.meant(near).label("choose one of the schemes below"),
        None if name == "none" => draft.label("write `verify: none`, without braces"),
        None if ["hmac", "signature", "hmac_sha256", "sha256"].contains(&name) => {
            draft.label("write the sender's name, or describe its signature under `custom:`, as docs/rules.md shows")
        }
        None => draft.label("choose one of the schemes below"),
    };
    draft.note(known_schemes()).add();
    false
}

impl Read {
    fn brings(&mut self, delivery_id: Vec<String>, remembered: Option<u64>, max_body: Option<usize>) {
        if self.delivery_id.is_empty() {
            self.delivery_id = delivery_id;
        }
        self.remembered = self.remembered.max(remembered);
        self.max_body = self.max_body.max(max_body);
    }
}

/// Every word that can be used under `verify:`.
pub fn names() -> Vec<String> {
    all_names().chain([HANDSHAKE, NAME]).map(str::to_owned).collect()
}

/// Whether the value of a word under `verify:` is always a map.
pub fn is_map(name: &str) -> bool {
    matches!(name, CUSTOM | HANDSHAKE) || SCHEMES.iter().any(|scheme| scheme.name() == name && scheme.is_map())
}

/// Every sender that is known by name, with its description, in the order of their names.
pub fn known_senders() -> Vec<(&'static str, SenderFacts)> {
    let coded = SCHEMES.iter().filter_map(|s| Some((s.name(), s.facts()?)));
    let mut all: Vec<_> = senders::all().iter().map(|s| (s.name.as_str(), s.facts())).chain(coded).collect();
    all.sort_by_key(|(name, _)| *name);
    all
}

/// A sender's scheme as it could be written under `custom:`, if it is defined as data.
pub fn as_custom(name: &str) -> Option<(String, Option<String>)> {
    senders::all().iter().any(|s| s.name == name).then(|| (senders::scheme_text(name), senders::handshake_text(name)))
}

/// The guard for a sender's requests with this secret. The error is a message for people.
pub fn guard_for(name: &str, secret: &str, public_url: Option<&str>) -> Result<Guard, String> {
    let known = || all_names().filter(|n| *n != CUSTOM);
    if !known().any(|n| n == name) {
        let near = nearest(name, known()).map_or_else(String::new, |n| format!("; did you mean {n}?"));
        return Err(format!("there is no sender called `{name}`{near} (`doorbell senders` lists them)"));
    }
    let source = Source::stored("verify", format!("{name}: \"{{{{ secret.GIVEN }}}}\"\n"));
    let node = source.read().map_err(|p| p.message.clone())?;
    let effort = Effort::default();
    let reader = Reader::new(&source, &effort);
    let given = |_: &str| Some(secret.to_owned());
    let lookup = Resolver::new(&given, &|_| None, &|_| None);
    let read = read(&reader.top(&node), &Names::new(&lookup), public_url);
    read.map(|r| r.guard).ok_or_else(|| reader.problems().into_iter().map(|p| p.message).collect::<Vec<_>>().join("; "))
}

fn all_names() -> impl Iterator<Item = &'static str> {
    senders::all().iter().map(|s| s.name.as_str()).chain(SCHEMES.iter().map(|s| s.name())).chain([CUSTOM])
}

fn known_schemes() -> String {
    format!("valid schemes: {}, none", all_names().collect::<Vec<_>>().join(", "))
}
