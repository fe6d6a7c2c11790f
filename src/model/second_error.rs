//! When an `on_error:` fails, too: both errors in one message, and where the rule's own `on_error:` goes on if a replay needs it
//! again. All of that is in the values that a run saves, under names that no rule can use.

use serde_json::{Map, Value, json};

use super::place::Place;
use crate::text::printable::short;

/// The name under which a run saves where the rule's `on_error:` has failed. Lists of answers have names that end with the same
/// character, and unfinished elements have names that begin with it.
pub const ON_ERROR: &str = "on_error@place";
/// In an error that was caused while another one was handled: the first one.
const FIRST: &str = "@";
/// The maximum length of the first error in the message of the second one, in characters.
const LONGEST_FIRST: usize = 120;

/// The first error, if this one was caused while it was handled.
pub fn handled_first(error: &Value) -> Option<&Value> {
    error.get(FIRST)
}

/// The same, or else this one.
fn first(handled: &Value) -> &Value {
    handled_first(handled).unwrap_or(handled)
}

/// The message of an error, or both if another one was handled.
pub fn both(handled: Option<&Value>, why: String) -> String {
    match handled.and_then(|handled| first(handled)["message"].as_str()) {
        Some(first) => format!("{}; its `on_error` failed, too: {why}", short(first, LONGEST_FIRST)),
        None => why,
    }
}

/// An error as `error` in steps under `on_error:`. It remembers the first one, so that a third message names that, and not both.
pub fn value(why: &str, status: Option<u16>, tries: u32, step: &str, handled: Option<&Value>) -> Value {
    let mut error = json!({ "message": why, "tries": tries, "step": step });
    if let Some(status) = status {
        error["status"] = status.into();
    }
    if let Some(handled) = handled {
        error[FIRST] = first(handled).clone();
    }
    error
}

/// A place as it is saved under [`ON_ERROR`].
pub fn saved(Place { step, element }: Place) -> Value {
    json!([step, element])
}

/// Where the rule's `on_error:` has failed.
pub fn failed_at(saved: &Map<String, Value>) -> Option<Place> {
    let place = saved.get(ON_ERROR)?;
    let number = |n: usize| place.get(n)?.as_u64().and_then(|n| u32::try_from(n).ok());
    Some(Place { step: number(0)?, element: number(1)? })
}
