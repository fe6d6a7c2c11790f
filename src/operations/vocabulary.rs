//! The words of the rule language, as values for editors: what can be written in a rule file, and one line about each word.
//! They are those that make the schema, the docs and the messages.

use serde::Serialize;
use serde_json::Value;

use crate::action::verbs;
use crate::expr::field::{LOOP_WORDS, ROOTS};
use crate::expr::template::list::HELPERS;
use crate::rule::schema;
use crate::verify;

/// Everything that can be written in every rule file.
#[derive(Debug, Serialize)]
pub struct Vocabulary {
    /// The JSON Schema of a rule file.
    pub schema: Value,
    /// The keys after which a field is written without braces.
    pub field_keys: Vec<&'static str>,
    /// The words that a field begins with, and those that only exist inside `{{#each}}`.
    pub roots: Vec<&'static str>,
    pub loop_words: Vec<&'static str>,
    pub verbs: Vec<VerbWord>,
    pub helpers: Vec<HelperWord>,
    pub senders: Vec<SenderWord>,
}

/// A verb of a step, and the keys that can stand next to it.
#[derive(Debug, Serialize)]
pub struct VerbWord {
    pub name: &'static str,
    pub keys: Vec<&'static str>,
}

/// A helper of templates.
#[derive(Debug, Serialize)]
pub struct HelperWord {
    pub name: &'static str,
    pub usage: &'static str,
    pub does: &'static str,
    pub example: &'static str,
    pub result: &'static str,
}

/// A sender that is known by name.
#[derive(Debug, Serialize)]
pub struct SenderWord {
    pub name: &'static str,
    pub title: String,
    /// What to write after `verify:`, on one line.
    pub write: String,
    /// What to paste where at the sender.
    pub paste: String,
    pub note: String,
}

pub fn vocabulary() -> Vocabulary {
    let verbs = verbs().map(|(name, kind)| VerbWord { name, keys: kind.keys().iter().map(|word| word.name).collect() });
    let helpers = HELPERS.iter().map(|helper| {
        let (example, result) = helper.example;
        HelperWord { name: helper.name, usage: helper.usage, does: helper.does, example, result }
    });
    let senders = verify::known_senders().into_iter().map(|(name, facts)| {
        let verify::contract::SenderFacts { title, write, paste, note, .. } = facts;
        SenderWord { name, title, write, paste, note }
    });
    Vocabulary {
        schema: schema::json_schema(),
        field_keys: schema::field_keys(),
        roots: ROOTS.to_vec(),
        loop_words: LOOP_WORDS.to_vec(),
        verbs: verbs.collect(),
        helpers: helpers.collect(),
        senders: senders.collect(),
    }
}
