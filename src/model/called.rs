//! Rules that call each other: what a step asks for, what a called run was given, and what its caller gets. All of that is in the
//! values that runs save, under names that no rule can use.
//!
//! A run that waits for a called one stays at its step, or sets the element aside, until [`NEVER`]; the transaction that ends the
//! called run saves the [`CallEnd`] with the caller and makes that due. What a run does then is decided in
//! [`super::transition`].

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::place::Place;
use super::saved::SavedAt;
use crate::text::printable::short;

/// How many rules can be running inside each other, below the one that an event started.
pub const MOST_NESTED: u32 = 8;
/// The most characters of a result in the history.
const MOST_SHOWN: usize = 60;
/// The largest values that are given to a called rule and returned, in bytes of JSON.
pub const LARGEST: usize = 1_000_000;
/// When a run is due that waits for another one.
pub const NEVER: Timestamp = Timestamp::constant(253_370_764_800, 0);

/// The name under which a called run keeps what it was given.
const GIVEN: &str = "given@call";
/// The name under which it keeps what a `return` step returns.
const RETURNS: &str = "returns@call";
/// What the names begin with under which a caller keeps, for each place, which rule it waits for, and how that ended.
pub const WAITS: &str = "waits@";
pub const ENDED: &str = "ended@";

/// What a `run_rule` step asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleCall {
    pub rule: String,
    /// What `with:` gives.
    pub input: Value,
    /// Whether the caller waits for the end.
    pub is_awaited: bool,
    /// In a dry run: the names in the input whose values are not known, each with the step on whose answer it depends.
    pub unknown: Vec<(String, String)>,
}

/// What a called run knows about its call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Given<'s> {
    pub input: &'s Value,
    pub is_awaited: bool,
    /// How many calls led to it.
    pub depth: u32,
    /// Different for every call.
    pub id: &'s str,
    /// What `now` is for the caller, if it has waited.
    pub now: Option<&'s Value>,
}

/// How a called run ended, for its caller.
#[derive(Debug, Clone, PartialEq)]
pub struct CallEnd {
    /// The rule that was called.
    pub rule: String,
    pub how: How,
}

#[derive(Debug, Clone, PartialEq)]
pub enum How {
    /// Well, with what its `return` gave.
    Returned(Option<Value>),
    /// It did not run, and why.
    DidNotRun(String),
    /// It failed for good, and why.
    Failed(String),
}

/// What is saved with a called run before it begins.
pub fn given(input: Value, is_awaited: bool, depth: u32, id: String, now: Option<&Value>) -> (String, Value) {
    let mut given = json!({ "input": input, "awaited": is_awaited, "depth": depth, "id": id });
    if let Some(now) = now {
        given["now"] = now.clone();
    }
    (GIVEN.to_owned(), given)
}

/// What a run was given, if it was called.
pub fn given_to(saved: &Map<String, Value>) -> Option<Given<'_>> {
    let given = saved.get(GIVEN)?;
    Some(Given {
        input: given.get("input")?,
        is_awaited: given.get("awaited")?.as_bool()?,
        depth: given.get("depth")?.as_u64().and_then(|n| u32::try_from(n).ok())?,
        id: given.get("id")?.as_str()?,
        now: given.get("now"),
    })
}

/// Saves what a `return` gives; the first one of a run counts. Returns what has to be stored.
pub fn save_returned(saved: &mut Map<String, Value>, value: Value) -> Option<SavedAt> {
    if saved.contains_key(RETURNS) {
        return None;
    }
    saved.insert(RETURNS.to_owned(), value);
    Some(SavedAt { name: RETURNS.to_owned(), element: None })
}

/// What a `return` gave.
pub fn returned(saved: &Map<String, Value>) -> Option<&Value> {
    saved.get(RETURNS)
}

fn name_at(mark: &str, Place { step, element }: Place) -> String {
    format!("{mark}{step}.{element}")
}

/// The name under which a caller keeps how a call ended that it made at a place.
pub fn ended_name(place: Place) -> String {
    name_at(ENDED, place)
}

/// The place in such a name, or in one under which it keeps that it waits.
pub fn place_in(mark: &str, name: &str) -> Option<Place> {
    let (step, element) = name.strip_prefix(mark)?.split_once('.')?;
    Some(Place { step: step.parse().ok()?, element: element.parse().ok()? })
}

/// Notes which rule the run waits for at a place. Returns what has to be stored.
pub fn wait_for(saved: &mut Map<String, Value>, place: Place, rule: &str) -> SavedAt {
    let name = name_at(WAITS, place);
    saved.insert(name.clone(), rule.into());
    SavedAt { name, element: None }
}

/// Whether the run waits for any rule.
pub fn is_waiting(saved: &Map<String, Value>) -> bool {
    saved.keys().any(|name| name.starts_with(WAITS))
}

/// The rule that the run waits for at a place.
pub fn awaited_at(saved: &Map<String, Value>, place: Place) -> Option<&str> {
    saved.get(&name_at(WAITS, place))?.as_str()
}

/// How the call at a place ended, if the run waited for it and it has.
pub fn ended_at(saved: &Map<String, Value>, place: Place) -> Option<CallEnd> {
    CallEnd::read(saved.get(&ended_name(place))?)
}

/// The places whose calls have ended.
pub fn ended(saved: &Map<String, Value>) -> impl Iterator<Item = Place> {
    saved.keys().filter_map(|name| place_in(ENDED, name))
}

/// Forgets how the call at a place ended. Returns what has to be deleted.
pub fn forget_end(saved: &mut Map<String, Value>, place: Place) -> Option<SavedAt> {
    remove(saved, ended_name(place))
}

/// Forgets the call at a place, so that a replay does not go on in it. Returns what has to be deleted.
pub fn forget_wait(saved: &mut Map<String, Value>, place: Place) -> Option<SavedAt> {
    remove(saved, name_at(WAITS, place))
}

/// The same for all calls of the steps that `is_one` says. Returns what has to be deleted.
pub fn forget_waits(saved: &mut Map<String, Value>, is_one: impl Fn(u32) -> bool) -> Vec<SavedAt> {
    let places: Vec<Place> = saved.keys().filter_map(|name| place_in(WAITS, name)).filter(|place| is_one(place.step)).collect();
    places.into_iter().filter_map(|place| forget_wait(saved, place)).collect()
}

fn remove(saved: &mut Map<String, Value>, name: String) -> Option<SavedAt> {
    saved.remove(&name).map(|_| SavedAt { name, element: None })
}

/// A value as people and tests see it: text as it is, anything else as JSON, with names in the order of the alphabet.
pub fn shown(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let mut entries: Vec<(String, Value)> = map.iter().map(|(name, value)| (name.clone(), sorted(value))).collect();
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                Value::Object(entries.into_iter().collect())
            }
            Value::Array(list) => list.iter().map(sorted).collect(),
            other => other.clone(),
        }
    }
    match value {
        Value::String(text) => text.clone(),
        other => sorted(other).to_string(),
    }
}

/// The same, cut, for the history.
pub fn brief(value: &Value) -> String {
    short(&shown(value), MOST_SHOWN)
}

/// What a step saves about the rule that it called: `value` is missing if nothing was returned.
pub fn result(value: Option<Value>) -> Value {
    Value::Object(value.map(|value| ("value".to_owned(), value)).into_iter().collect())
}

impl CallEnd {
    /// The end of a run that somebody cancelled.
    pub fn cancelled(rule: &str) -> Self {
        Self { rule: rule.to_owned(), how: How::Failed("it was cancelled".to_owned()) }
    }

    /// As it is saved with the caller.
    pub fn value(&self) -> Value {
        let mut out = Map::new();
        out.insert("rule".to_owned(), self.rule.as_str().into());
        match &self.how {
            How::Returned(value) => out.extend(value.clone().map(|value| ("value".to_owned(), value))),
            How::DidNotRun(why) => drop(out.insert("did_not_run".to_owned(), why.as_str().into())),
            How::Failed(why) => drop(out.insert("failed".to_owned(), why.as_str().into())),
        }
        Value::Object(out)
    }

    fn read(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let how = match (text("failed"), text("did_not_run")) {
            (Some(why), _) => How::Failed(why),
            (_, Some(why)) => How::DidNotRun(why),
            _ => How::Returned(value.get("value").cloned()),
        };
        Some(Self { rule: text("rule")?, how })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_call_is_read_back() {
        let place = Place { step: 3, element: 12 };
        for how in [
            How::Returned(None),
            How::Returned(Some(Value::Null)),
            How::Returned(Some(json!({ "failed": "no", "value": [1] }))),
            How::DidNotRun("its `if` was not true".into()),
            How::Failed("it answered 500".into()),
        ] {
            let end = CallEnd { rule: "Ship".into(), how };
            let mut saved = Map::new();
            saved.insert(ended_name(place), end.value());
            assert_eq!(ended_at(&saved, place), Some(end));
            assert_eq!(ended(&saved).collect::<Vec<_>>(), [place]);
            assert_eq!(forget_end(&mut saved, place).map(|at| at.name).as_deref(), Some("ended@3.12"));
            assert!(saved.is_empty());
        }
    }

    #[test]
    fn the_first_return_counts() {
        let mut saved = Map::new();
        assert!(save_returned(&mut saved, Value::Null).is_some() && save_returned(&mut saved, 2.into()).is_none());
        assert_eq!(returned(&saved), Some(&Value::Null));
    }
}
