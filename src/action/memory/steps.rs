//! The steps that use the memory: how they are read, and what they change.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use super::DryMemory;
use crate::action::attempt_context::AttemptContext;
use crate::action::contract::{Action, Effect, EffectView, Kind, Performing};
use crate::action::world::World;
use crate::expr::field::{Field, Root};
use crate::expr::names::Names;
use crate::expr::scope::Scope;
use crate::expr::spell::spell;
use crate::expr::template::data::Data;
use crate::expr::template::{Destination, Template, Unrendered};
use crate::model::outcome::{Outcome, Success};
use crate::model::remembered::MemoryChange;
use crate::text::printable::short;
use crate::text::word::{Shape, Word};
use crate::yaml::duration;
use crate::yaml::fields::{Fields, Item};

/// The longest key, in characters, and the largest value, in bytes of JSON.
const LONGEST_KEY: usize = 500;
const LARGEST_VALUE: usize = 100_000;
/// The most characters of a value in the history.
const MOST_SHOWN: usize = 60;

const REMEMBER: &str = "remember";
const RECALL: &str = "recall";
const FORGET: &str = "forget";

pub struct Remember;
pub struct Recall;
pub struct Forget;

impl Kind for Remember {
    fn verbs(&self) -> &'static [&'static str] {
        &[REMEMBER]
    }
    fn does(&self) -> &'static str {
        "remembers a value for later runs of any rule, exactly once"
    }
    fn value(&self) -> &'static str {
        "the key, under which rules find it again"
    }
    fn phrase(&self, _: &str) -> &'static str {
        "remember"
    }
    fn keys(&self) -> &'static [Word] {
        &[
            Word { name: "value", shape: Shape::Any, does: "what to remember" },
            Word { name: "add", shape: Shape::Any, does: "a number to add to what is remembered, which begins at 0" },
            Word { name: "keep", shape: Shape::Duration, does: "how long to remember it; for ever by default" },
        ]
    }
    fn expected(&self) -> &'static [Word] {
        &[
            Word { name: "value", shape: Shape::Any, does: "what is remembered" },
            Word { name: "add", shape: Shape::Any, does: "the number that is added" },
        ]
    }
    fn step_schema(&self, _: &str) -> Value {
        json!({ "oneOf": [{ "required": ["value"] }, { "required": ["add"] }] })
    }
    fn example(&self) -> &'static str {
        "remember: stock {{ body.id }}\nadd: \"{{ body.total }}\"\nkeep: 30 days\n"
    }
    fn read(&self, verb: &'static str, fields: &mut Fields, known: &Names) -> Option<Box<dyn Action>> {
        let key = read_key(&fields.must(verb)?, known);
        let (value, add) = (fields.may("value"), fields.may("add"));
        let keep = match fields.may("keep") {
            Some(keep) => Some(keep.duration()?),
            None => None,
        };
        if let (Some(_), Some(add)) = (&value, &add) {
            add.problem("a value is remembered or added, not both").at_key().label("remove `value:` or `add:`").add();
            return None;
        }
        let what = match (value, add) {
            (Some(value), _) => What::Value(read_value(&value, known)?),
            (_, Some(add)) => What::Add(read_number(&add, known)?),
            _ => {
                fields.lacks("value", "what to remember is missing", "write `value: …`, or `add: 1` to count");
                return None;
            }
        };
        Some(Box::new(Remembering { key: key?, what, keep }))
    }
}

impl Kind for Recall {
    fn verbs(&self) -> &'static [&'static str] {
        &[RECALL]
    }
    fn does(&self) -> &'static str {
        "finds what was remembered, as name.value of its `save_as`; missing if there is nothing"
    }
    fn value(&self) -> &'static str {
        "the key"
    }
    fn phrase(&self, _: &str) -> &'static str {
        "recall"
    }
    fn keys(&self) -> &'static [Word] {
        &[]
    }
    fn is_quiet(&self) -> bool {
        true
    }
    fn example(&self) -> &'static str {
        "recall: stock {{ body.id }}\nsave_as: stock\n"
    }
    fn read(&self, verb: &'static str, fields: &mut Fields, known: &Names) -> Option<Box<dyn Action>> {
        let key = read_key(&fields.must(verb)?, known)?;
        if !fields.has("save_as") {
            fields.lacks("save_as", "what is recalled needs a name", "write `save_as: NAME`, and use it as NAME.value");
            return None;
        }
        Some(Box::new(Asking { verb: RECALL, key }))
    }
}

impl Kind for Forget {
    fn verbs(&self) -> &'static [&'static str] {
        &[FORGET]
    }
    fn does(&self) -> &'static str {
        "forgets what was remembered"
    }
    fn value(&self) -> &'static str {
        "the key"
    }
    fn phrase(&self, _: &str) -> &'static str {
        "forget"
    }
    fn keys(&self) -> &'static [Word] {
        &[]
    }
    fn example(&self) -> &'static str {
        "forget: stock {{ body.id }}\n"
    }
    fn read(&self, verb: &'static str, fields: &mut Fields, known: &Names) -> Option<Box<dyn Action>> {
        Some(Box::new(Asking { verb: FORGET, key: read_key(&fields.must(verb)?, known)? }))
    }
}

fn read_key(item: &Item, known: &Names) -> Option<Template> {
    let key = Template::read(item, Destination::Plain, known)?;
    let fields: Vec<&Field> = key.fields().collect();
    no_secret(item, &fields)?;
    Some(key)
}

fn read_value(item: &Item, known: &Names) -> Option<Data> {
    let value = Data::read(item, Destination::Plain, known)?;
    no_secret(item, &value.fields())?;
    Some(value)
}

fn read_number(item: &Item, known: &Names) -> Option<Data> {
    if let Data::Fixed(fixed) = read_value(item, known)? {
        if number(&fixed).is_none() {
            item.problem("only a number can be added").label("write for example `add: 1`, or `add: \"{{ body.quantity }}\"`").add();
            return None;
        }
        return Some(Data::Fixed(fixed));
    }
    Data::read(item, Destination::Plain, known)
}

fn no_secret(item: &Item, fields: &[&Field]) -> Option<()> {
    if !fields.iter().any(|field| matches!(field.root, Root::Secret(_))) {
        return Some(());
    }
    let draft = item.problem("secrets are not remembered: they would be stored, and shown in the history");
    draft.label("write the secret where it is needed").add();
    None
}

/// A value as a number.
fn number(value: &Value) -> Option<Decimal> {
    let text = spell(value)?;
    Decimal::from_str_exact(text.trim()).or_else(|_| Decimal::from_scientific(text.trim())).ok()
}

enum What {
    Value(Data),
    Add(Data),
}

struct Remembering {
    key: Template,
    what: What,
    keep: Option<Duration>,
}

/// The key for one event.
fn key_of(key: &Template, scope: &Scope) -> Result<String, Unrendered> {
    let text = key.text(scope)?;
    let wrong = if text.trim().is_empty() {
        Some("the key is empty".to_owned())
    } else if text.chars().count() > LONGEST_KEY {
        Some(format!("the key has more than {LONGEST_KEY} characters"))
    } else if scope.vault().strike(&text) != text {
        Some("the key contains a secret, and secrets are not remembered".to_owned())
    } else {
        None
    };
    match wrong {
        Some(message) => Err(Unrendered { message, path: key.path().clone() }),
        None => Ok(text),
    }
}

impl Action for Remembering {
    fn adds_up(&self) -> bool {
        matches!(self.what, What::Add(_))
    }
    fn fields(&self) -> Vec<&Field> {
        let (What::Value(data) | What::Add(data)) = &self.what;
        self.key.fields().chain(data.fields()).collect()
    }
    fn render(&self, scope: &Scope) -> Result<Box<dyn Effect>, Unrendered> {
        let key = key_of(&self.key, scope)?;
        let wrong = |message: String| Unrendered { message, path: self.key.path().clone() };
        let change = match &self.what {
            What::Value(data) => {
                let value = data.value(scope)?;
                if scope.vault().strike_value(value.clone()) != value {
                    return Err(wrong("the value contains a secret, and secrets are not remembered".to_owned()));
                }
                if value.to_string().len() > LARGEST_VALUE {
                    return Err(wrong(format!("the value is larger than {} KB", LARGEST_VALUE / 1_000)));
                }
                Change::Set(value)
            }
            What::Add(data) => {
                let value = data.value(scope)?;
                match number(&value) {
                    Some(number) => Change::Add(number),
                    None => return Err(wrong(format!("`{}` is not a number that can be added", short(&value.to_string(), MOST_SHOWN)))),
                }
            }
        };
        Ok(Box::new(Changing { verb: REMEMBER, key, change, keep: self.keep }))
    }
}

/// `recall` and `forget`.
struct Asking {
    verb: &'static str,
    key: Template,
}

impl Action for Asking {
    fn fields(&self) -> Vec<&Field> {
        self.key.fields().collect()
    }
    fn render(&self, scope: &Scope) -> Result<Box<dyn Effect>, Unrendered> {
        let change = if self.verb == FORGET { Change::Forget } else { Change::Nothing };
        Ok(Box::new(Changing { verb: self.verb, key: key_of(&self.key, scope)?, change, keep: None }))
    }
}

/// What becomes of a value.
#[derive(Debug, Clone)]
enum Change {
    Set(Value),
    Add(Decimal),
    Forget,
    /// It is only found.
    Nothing,
}

impl Change {
    /// The value after the change; the error is a message.
    fn of(&self, key: &str, before: Option<&Value>) -> Result<Option<Value>, String> {
        match self {
            Change::Set(value) => Ok(Some(value.clone())),
            Change::Forget => Ok(None),
            Change::Nothing => Ok(before.cloned()),
            Change::Add(more) => {
                let Some(known) = before.map_or(Some(Decimal::ZERO), number) else {
                    let known = before.map(Value::to_string).unwrap_or_default();
                    return Err(format!("`{key}` is {}, which is not a number, so nothing can be added to it", short(&known, MOST_SHOWN)));
                };
                let sum = known.checked_add(*more).ok_or_else(|| "the numbers are too large to be added".to_owned())?;
                serde_json::from_str(&sum.to_string()).map(Some).map_err(|e| e.to_string())
            }
        }
    }
}

/// A change of the memory that is about to be made.
struct Changing {
    verb: &'static str,
    key: String,
    change: Change,
    keep: Option<Duration>,
}

impl Changing {
    /// The result for `save_as`, and one line for the history.
    fn result(&self, before: Option<Value>, value: Option<Value>) -> (Value, String) {
        let shown = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), |value| short(&value.to_string(), MOST_SHOWN));
        let said = match self.change {
            Change::Nothing => format!("{} is remembered", shown(&value)),
            Change::Forget => format!("{} is forgotten", shown(&before)),
            _ => format!("{} is remembered, before it was {}", shown(&value), shown(&before)),
        };
        let mut output = Map::new();
        if !matches!(self.change, Change::Nothing) {
            output.extend(before.map(|before| ("before".to_owned(), before)));
        }
        output.extend(value.map(|value| ("value".to_owned(), value)));
        (Value::Object(output), said)
    }

    async fn change(self: Box<Self>, world: &World, at: Timestamp) -> Outcome {
        let is_change = !matches!(self.change, Change::Nothing);
        let receipt = if is_change { Some(world.memory.turn(&self.key).await) } else { None };
        let stored = match world.memory.find(&self.key, at).await {
            Ok(stored) => stored,
            Err(why) => return Outcome::retry(format!("what is remembered cannot be read: {why}")),
        };
        let before = stored.as_deref().and_then(|json| serde_json::from_str(json).ok());
        let value = match self.change.of(&self.key, before.as_ref()) {
            Ok(value) => value,
            Err(why) => return Outcome::failed(why),
        };
        let until = self.keep.and_then(|keep| at.checked_add(keep).ok());
        let memory = is_change.then(|| {
            Box::new(MemoryChange { key: self.key.clone(), before: stored, value: value.as_ref().map(Value::to_string), until, at })
        });
        let (output, said) = self.result(before, value);
        Outcome::Done(Success { said, output: Some(output), memory, receipt, ..Success::default() })
    }
}

impl fmt::Display for Changing {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}  {}", self.verb, self.key)?;
        match &self.change {
            Change::Set(value) => write!(f, "\nvalue: {value}")?,
            Change::Add(number) => write!(f, "\nadd: {number}")?,
            Change::Forget | Change::Nothing => {}
        }
        self.keep.map_or(Ok(()), |keep| write!(f, "\nkeep: {}", duration::spell_largest(keep)))
    }
}

impl Effect for Changing {
    fn bytes(&self) -> usize {
        self.key.len() + if let Change::Set(value) = &self.change { value.to_string().len() } else { 0 }
    }
    fn perform<'a>(self: Box<Self>, world: &'a World, context: AttemptContext) -> Performing<'a> {
        Box::pin(async move { self.change(world, context.at).await })
    }
    fn in_memory(&self, memory: &mut DryMemory) -> Option<Option<Outcome>> {
        let before = memory.values.get(&self.key).cloned();
        if before.is_none() && !memory.is_whole {
            if let Change::Set(value) = &self.change {
                memory.values.insert(self.key.clone(), value.clone());
            }
            return Some(None);
        }
        Some(Some(match self.change.of(&self.key, before.as_ref()) {
            Ok(value) => {
                match &value {
                    Some(value) => drop(memory.values.insert(self.key.clone(), value.clone())),
                    None => drop(memory.values.remove(&self.key)),
                }
                let (output, said) = self.result(before, value);
                Outcome::Done(Success { said, output: Some(output), ..Success::default() })
            }
            Err(why) => Outcome::failed(why),
        }))
    }
    fn view(&self) -> EffectView {
        let view = EffectView::new(self.verb, &self.key);
        match &self.change {
            Change::Set(value) => view.with("value", value.clone()),
            Change::Add(number) => view.with("add", serde_json::from_str(&number.to_string()).unwrap_or(Value::Null)),
            Change::Forget | Change::Nothing => view,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_begins_at_0_is_exact_and_needs_a_number() {
        let add = |text: &str, before: Option<Value>| Change::Add(number(&Value::from(text)).unwrap()).of("stock", before.as_ref());
        assert_eq!(add("1", None), Ok(Some(json!(1))));
        assert_eq!(add("-2.5", Some(json!(1))).map(|sum| sum.unwrap().to_string()), Ok("-1.5".to_owned()));
        assert_eq!(add("0.1", serde_json::from_str("0.2").ok()).map(|sum| sum.unwrap().to_string()), Ok("0.3".to_owned()));
        assert_eq!(add("1", Some(json!("7"))), Ok(Some(json!(8))), "text that is a number");
        let said = "`stock` is [1], which is not a number, so nothing can be added to it";
        assert_eq!(add("1", Some(json!([1]))), Err(said.to_owned()));
        assert!(add("79228162514264337593543950335", Some(json!(1))).is_err());
    }
}
