//! How a sender proves itself. The list of schemes that are code; senders that are data are in `providers.yaml`.

mod check;
pub mod contract;
mod custom;
mod hello;
mod password;
mod signed;

use contract::{Guard, Scheme};

use crate::known::Known;
use crate::problem::nearest;
use crate::yaml::Node;
use crate::yaml::fields::Item;

/// Every scheme that is code, in the order of the docs.
pub const SCHEMES: &[&dyn Scheme] = &[&password::Bearer, &password::Basic, &password::Token];

/// A scheme that a rule file describes itself.
const CUSTOM: &str = "custom";

/// Senders whose scheme data cannot say; they come later.
const LATER: [&str; 9] = ["twilio", "aws_sns", "paypal", "google_pubsub", "microsoft_graph", "netlify", "monday", "adyen", "hubspot_v1"];

/// What `verify:` says, and what a sender brings with it.
pub struct Read {
    pub guard: Guard,
    /// Where the sender's own id of a delivery stands.
    pub delivery_id: Option<String>,
    pub max_body: Option<usize>,
}

/// Reads `verify:`: a scheme, a list of them (any one suffices), or `none`.
pub fn read(item: &Item, known: &Known, public_url: Option<&str>) -> Option<Read> {
    let mut read = Read { guard: Guard::open(), delivery_id: None, max_body: None };
    if let Node::Text(word) = item.node {
        if word == "none" {
            return Some(read);
        }
        let told = item.problem(format!("`{word}` needs what to compare with"));
        match all_names().any(|n| n == word) {
            true => told.label(format!("write verify: {{ {word}: \"{{{{ secret.NAME }}}}\" }}")).add(),
            false => told.label("write `none`, or a scheme with its secret").note(known_schemes()).add(),
        }
        return None;
    }
    let mut good = true;
    for one in item.one_or_many() {
        let entries = one.entries("`verify:`")?;
        if entries.is_empty() {
            one.problem("nothing is said here").label("write `none` to leave the address open on purpose").add();
            good = false;
        }
        for (name, value) in entries {
            good &= add(&mut read, &name, &value, known, public_url);
        }
    }
    good.then_some(read)
}

fn add(read: &mut Read, name: &str, value: &Item, known: &Known, public_url: Option<&str>) -> bool {
    if name == CUSTOM {
        let verify = custom::read(value, known, public_url);
        let good = verify.is_some();
        read.guard.0.extend(verify);
        return good;
    }
    if let Some(scheme) = SCHEMES.iter().find(|s| s.name() == name) {
        let verify = scheme.read(value, known);
        let good = verify.is_some();
        read.guard.0.extend(verify);
        return good;
    }
    if let Some(sender) = custom::senders().iter().find(|s| s.name == name) {
        let verify = sender.read(value, known, public_url);
        let good = verify.is_some();
        read.guard.0.extend(verify);
        read.delivery_id = read.delivery_id.take().or_else(|| sender.delivery_id.clone());
        read.max_body = read.max_body.max(sender.max_body);
        return good;
    }
    if LATER.contains(&name) {
        value.problem(format!("`{name}` is not available yet")).at_key().label("use `token`, `bearer` or `basic` if the sender can").add();
        return false;
    }
    let told = value.problem(format!("no way to verify is called `{name}`")).at_key();
    let told = match nearest(name, all_names()) {
        Some(near) => told.label(format!("did you mean `{near}`?")),
        None => told.label("this is not known"),
    };
    told.note(known_schemes()).add();
    false
}

/// Every scheme and sender that is known by name.
pub fn names() -> Vec<String> {
    all_names().map(str::to_owned).collect()
}

/// A sender that is data, as people are told of it.
pub struct Told {
    pub name: &'static str,
    pub title: &'static str,
    /// The field that holds its own id of a delivery.
    pub delivery_id: Option<&'static str>,
    /// What is not vouched for, and other things to know.
    pub note: &'static str,
    /// Its scheme, as it could stand under `custom:`.
    pub words: String,
}

/// Every sender that is data, in the order of their names.
pub fn senders() -> Vec<Told> {
    custom::senders()
        .iter()
        .map(|s| Told {
            name: s.name.as_str(),
            title: s.title.as_str(),
            delivery_id: s.delivery_id.as_deref(),
            note: s.note.as_str(),
            words: custom::words(&s.name),
        })
        .collect()
}

/// What checks a sender's requests with this secret. The error is a sentence.
pub fn verifier(name: &str, secret: &str, public_url: Option<&str>) -> Result<Box<dyn contract::Verify>, String> {
    let Some(sender) = custom::senders().iter().find(|s| s.name == name) else {
        let near =
            nearest(name, custom::senders().iter().map(|s| s.name.as_str())).map_or_else(String::new, |n| format!("; did you mean {n}?"));
        return Err(format!("no sender is called `{name}`{near} `doorbell senders` lists them"));
    };
    sender.with(secret, public_url)
}

fn all_names() -> impl Iterator<Item = &'static str> {
    custom::senders().iter().map(|s| s.name.as_str()).chain(SCHEMES.iter().map(|s| s.name())).chain([CUSTOM])
}

fn known_schemes() -> String {
    format!("known: {}, none", all_names().collect::<Vec<_>>().join(", "))
}
