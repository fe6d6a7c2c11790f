//! What every kind of action has in common: it is read at load, rendered for an event, and performed in the world.
//!
//! *Read* and *render* are pure; only *perform* touches the [`World`]. `check` stops after the first, `try` after the
//! second, so both use the production code.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::attempt_context::AttemptContext;
use super::connections::Role;
use super::memory::DryMemory;
use super::world::World;
use crate::body::number_text;
use crate::expr::field::Field;
use crate::expr::names::Names;
use crate::expr::scope::Scope;
use crate::expr::template::Unrendered;
use crate::model::outcome::{Outcome, Success};
use crate::text::word::{Shape, Word};
use crate::yaml::fields::Fields;
use crate::yaml::locate::Path;

/// A kind of action: its verbs, and how a step with one of them is read.
pub trait Kind: Sync {
    /// The keys in the rule file.
    fn verbs(&self) -> &'static [&'static str];
    /// One line for the docs.
    fn does(&self) -> &'static str;
    /// What stands directly after its verbs, for messages: `the file name`.
    fn value(&self) -> &'static str;
    /// What a sentence says before that: `add a row to`.
    fn phrase(&self, verb: &str) -> &'static str;
    /// What a JSON Schema says about a step with this verb: what follows it, and which keys belong together.
    fn step_schema(&self, _: &str) -> Value {
        json!({})
    }
    /// The keys that can stand next to its verbs, for editors and docs; `read` accepts the same ones.
    fn keys(&self) -> &'static [Word];
    /// The keys that a test can expect of its effects; [`Effect::view`] gives the same ones.
    fn expected(&self) -> &'static [Word] {
        &[]
    }
    /// Whether it calls another app, so that one try can take as long as its `timeout`.
    fn calls(&self) -> bool {
        false
    }
    /// Whether its verbs take a value of any type, also a map.
    fn takes_any(&self) -> bool {
        false
    }
    /// Whether a test that does not mention its effects ignores them.
    fn is_quiet(&self) -> bool {
        false
    }
    /// A step as a user would write it; a test compiles and renders it.
    fn example(&self) -> &'static str;
    /// Reads one step; problems are added to `fields`.
    fn read(&self, verb: &'static str, fields: &mut Fields, known: &Names) -> Option<Box<dyn Action>>;
}

/// A compiled step, without its modifiers.
pub trait Action: Send + Sync {
    /// What it would do for one event. Pure.
    fn render(&self, scope: &Scope) -> Result<Box<dyn Effect>, Unrendered>;
    /// Every field that it may need for rendering.
    fn fields(&self) -> Vec<&Field>;
    /// Whether nothing comes after it in the run.
    fn ends_run(&self) -> bool {
        false
    }
    /// Whether it responds to the caller.
    fn answers(&self) -> bool {
        false
    }
    /// Whether doing it once more adds to what it did, also if nothing has changed.
    fn adds_up(&self) -> bool {
        false
    }
    /// The name under which it saves its result, unless the step names another.
    fn saves(&self) -> Option<&'static str> {
        None
    }
    /// Whether the history keeps what it sends and what comes back, whole.
    fn keeps_bodies(&self) -> bool {
        false
    }
    /// The parts of what `save_as` saves, such as `status`, if these are always the same.
    fn saved_parts(&self) -> &'static [&'static str] {
        &[]
    }
    /// The connections that it uses, if any.
    fn uses(&self) -> Option<ConnectionUse<'_>> {
        None
    }
    /// The rule that it runs.
    fn rule(&self) -> Option<CalledRule<'_>> {
        None
    }
    /// The file that it changes, if that is always the same one.
    fn file(&self) -> Option<FileUse<'_>> {
        None
    }
    /// How long the run waits after it; as long as there is if that is not known before.
    fn waits(&self) -> Option<Duration> {
        None
    }
}

/// How an action uses connections, and what has to be checked when all of these are known.
#[derive(Debug, Clone)]
pub struct ConnectionUse<'a> {
    pub verb: &'a str,
    /// Each name, and where it is written.
    pub names: Vec<(&'a str, &'a Path)>,
    /// What its connections are for; one of each at most.
    pub takes: &'static [Role],
    /// Where the step says itself how to log in, and in what words.
    pub own_login: Option<(&'static str, &'a Path)>,
    /// Where it sends files, which cannot be signed.
    pub sends_files: Option<&'a Path>,
}

/// A rule that an action runs.
#[derive(Debug, Clone, Copy)]
pub struct CalledRule<'a> {
    pub name: &'a str,
    /// Where the name is written.
    pub path: &'a Path,
}

/// What an action does with a file.
#[derive(Debug, Clone, Copy)]
pub struct FileUse<'a> {
    pub name: &'a str,
    /// Whether the file is replaced as a whole.
    pub replaces: bool,
}

/// Something concrete that has not been performed yet; its `Display` form is what `try` shows.
pub trait Effect: Display + Send {
    fn perform<'a>(self: Box<Self>, world: &'a World, context: AttemptContext) -> Performing<'a>;
    /// Approximately how many bytes it occupies while it waits for its turn.
    fn bytes(&self) -> usize;
    /// What it would do, in the form that the tests of a rule compare.
    fn view(&self) -> EffectView;
    /// What it needs to know from outside, which a dry run has to be given.
    fn asks(&self) -> Option<Asks> {
        None
    }
    /// For an effect that uses the memory, in a dry run: the outcome, or nothing if that depends on what is not known.
    fn in_memory(&self, _: &mut DryMemory) -> Option<Option<Outcome>> {
        None
    }
    /// The outcome if this was the answer.
    fn answered(&self, _: MockResponse) -> Outcome {
        self.assumed()
    }
    /// The outcome in a dry run, if what it asks for is not known.
    fn assumed(&self) -> Outcome {
        Outcome::Done(Success::default())
    }
}

/// An effect in the form that the tests of a rule compare.
#[derive(Debug, Clone, PartialEq)]
pub struct EffectView {
    pub verb: String,
    /// What follows the verb: an address, a file, a status, some text.
    pub what: String,
    /// `json`, `form`, `text`, `headers`, `columns`, …
    pub fields: Map<String, Value>,
}

impl EffectView {
    pub fn new(verb: impl Into<String>, what: impl Into<String>) -> Self {
        Self { verb: verb.into(), what: what.into(), fields: Map::new() }
    }
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.fields.insert(name.to_owned(), value);
        self
    }
}

/// What an effect asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// The response of an app.
    Response,
    /// The rows of a sheet; they are a JSON list in the body.
    Rows,
}

/// A response that was given instead of asking.
#[derive(Debug, Clone)]
pub struct MockResponse {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// The keys of [`body_view`], and what a test can expect of each.
pub const BODY_VIEW: [Word; 6] = [
    Word { name: "json", shape: Shape::Any, does: "the whole JSON body" },
    HAS_JSON,
    Word { name: "form", shape: Shape::Map, does: "the whole form" },
    Word { name: "text", shape: Shape::Text, does: "the text" },
    Word { name: "xml", shape: Shape::Text, does: "the XML" },
    Word { name: "headers", shape: Shape::Map, does: "headers that must be among those sent" },
];
/// Compares a part of what a view gives as `json`.
pub const HAS_JSON: Word = Word { name: "json_has", shape: Shape::Any, does: "a part of the JSON body" };

/// A body and its headers, in the form that the tests of a rule compare.
pub fn body_view(seen: EffectView, headers: &[(String, String)], body: &[u8]) -> EffectView {
    let kind = headers.iter().find(|(n, _)| n.eq_ignore_ascii_case("content-type")).map(|(_, v)| v.as_str());
    let all: Map<String, Value> = headers.iter().map(|(n, v)| (n.to_ascii_lowercase(), Value::from(v.as_str()))).collect();
    let seen = seen.with("headers", Value::Object(all));
    if body.is_empty() {
        return seen;
    }
    let text = String::from_utf8_lossy(body).into_owned();
    match kind {
        kind if crate::body::is_json(kind) => seen.with("json", number_text::parse(&text).unwrap_or(Value::Null)),
        Some("application/x-www-form-urlencoded") => seen.with("form", crate::model::event::pairs(body)),
        Some(kind) if kind.contains("xml") => seen.with("xml", text.into()),
        _ => seen.with("text", text.into()),
    }
}

/// An effect in progress.
pub type Performing<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;
