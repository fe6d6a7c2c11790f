//! The elements of a `for_each` that were begun and are not finished: they wait for another try, or have failed for good.
//! The others go on in the meantime. Which element a run takes next is decided in [`super::transition`].
//!
//! Each element is a row of the store, so that a long list costs no more than the elements that need it. A failure belongs to
//! the replay in which it happened: in the next one, the element is one that waits.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::place::Place;
use crate::model::saved::SavedAt;
use crate::model::second_error;

/// What the names of the rows begin with; no name of a rule does.
const MARK: char = '@';

/// How many failed elements a message names.
const MOST_NAMED: usize = 3;

/// An element that is not finished.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Element {
    /// The step it is at.
    pub step: u32,
    /// Attempts so far at this step.
    pub tried: u32,
    #[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub due: Timestamp,
    /// How often the run had been replayed by then.
    pub replays: u32,
    /// After a crash, the effect of the step was found to be done already.
    #[serde(default)]
    pub settled: bool,
    /// What its `on_error:` steps see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// Why an element has failed for good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub why: String,
    pub status: Option<u16>,
    pub tries: u32,
    /// The step's display name.
    pub title: String,
}

/// What is known about a `for_each` as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Head {
    /// The first element that was not begun; exact while one that was begun earlier is tried again.
    next: u32,
    /// The number of elements, once all are begun.
    of: u32,
    /// Whether a `stop:` has ended it: no other element is begun.
    stopped: bool,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Loop {
    head: Head,
    elements: BTreeMap<u32, Element>,
}

/// The unfinished elements of a run, for each step with `for_each`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Unfinished(BTreeMap<u32, Loop>);

/// The unfinished elements of one `for_each`, for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The elements that have failed, from 1.
    pub failed: Vec<u32>,
    /// How many wait for another try.
    pub waiting: usize,
    /// How many there are in all; 0 while not all are begun.
    pub of: u32,
}

impl Unfinished {
    pub fn get(&self, each: u32, element: u32) -> Option<&Element> {
        self.0.get(&each)?.elements.get(&element)
    }

    /// The element that is set aside at this place.
    pub fn at(&self, place: Place) -> Option<&Element> {
        self.0.values().find_map(|one| one.elements.get(&place.element).filter(|e| e.step == place.step))
    }

    /// Sets an element aside. Returns what has to be stored.
    pub fn set(&mut self, each: u32, element: u32, state: Element) -> SavedAt {
        self.0.entry(each).or_default().elements.insert(element, state);
        row(each, Some(element))
    }

    /// An element is finished. Returns what has to be deleted.
    pub fn remove(&mut self, each: u32, element: u32) -> Option<SavedAt> {
        self.0.get_mut(&each)?.elements.remove(&element).map(|_| row(each, Some(element)))
    }

    /// The loop has ended well. Returns what has to be deleted.
    pub fn clear(&mut self, each: u32) -> Vec<SavedAt> {
        let Some(gone) = self.0.remove(&each) else { return Vec::new() };
        gone.elements.into_keys().map(|element| row(each, Some(element))).chain([row(each, None)]).collect()
    }

    /// The first element that was not begun, seen from this one.
    pub fn next(&self, each: u32, current: u32) -> u32 {
        match self.0.get(&each) {
            Some(one) if one.elements.contains_key(&current) => one.head.next,
            _ => current + 1,
        }
    }

    pub fn is_stopped(&self, each: u32) -> bool {
        self.0.get(&each).is_some_and(|one| one.head.stopped)
    }

    /// No other element is begun. Returns what has to be stored.
    pub fn stop(&mut self, each: u32) -> SavedAt {
        self.0.entry(each).or_default().head.stopped = true;
        row(each, None)
    }

    /// Remembers where to go on among those that were not begun. Returns what has to be stored.
    pub fn begun(&mut self, each: u32, next: u32, of: u32) -> SavedAt {
        let head = &mut self.0.entry(each).or_default().head;
        (head.next, head.of) = (next, of);
        row(each, None)
    }

    /// The element that waits and is due first.
    pub fn first_due(&self, each: u32, replays: u32) -> Option<(u32, &Element)> {
        let waiting = self.0.get(&each)?.elements.iter().filter(|(_, e)| !e.has_failed(replays));
        waiting.min_by_key(|(_, e)| e.due_in(replays)).map(|(n, e)| (*n, e))
    }

    /// The elements that have failed.
    pub fn failed(&self, each: u32, replays: u32) -> Vec<(u32, &Element, &Failure)> {
        let elements = self.0.get(&each).into_iter().flat_map(|one| &one.elements);
        elements.filter(|(_, e)| e.has_failed(replays)).filter_map(|(n, e)| Some((*n, e, e.failure.as_ref()?))).collect()
    }

    /// `2 of 7 elements failed: element 3: it answered 422; …`, for the `for_each` of this step.
    pub fn why_failed_of(&self, each: u32, replays: u32) -> Option<String> {
        let (failed, of) = (self.failed(each, replays), self.0.get(&each)?.head.of);
        let named = failed.iter().take(MOST_NAMED).map(|(n, _, failure)| format!("element {}: {}", n + 1, failure.why));
        let named: Vec<String> = named.collect();
        let more = failed.len().saturating_sub(MOST_NAMED);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        let word = if of == 1 { "element" } else { "elements" };
        (!failed.is_empty()).then(|| format!("{} of {of} {word} failed: {}{more}", failed.len(), named.join("; ")))
    }

    /// The same for the loop in which the element at this place has failed.
    pub fn why_failed_at(&self, place: Place, replays: u32) -> Option<String> {
        let is_failed = |e: &Element| e.step == place.step && e.has_failed(replays);
        let (each, _) = self.0.iter().find(|(_, one)| one.elements.get(&place.element).is_some_and(is_failed))?;
        self.why_failed_of(*each, replays)
    }

    /// The loop in which the element at this place is set aside.
    pub fn summary_at(&self, place: Place, replays: u32) -> Option<Summary> {
        let is_here = |one: &Loop| one.elements.get(&place.element).is_some_and(|e| e.step == place.step);
        let (each, one) = self.0.iter().find(|(_, one)| is_here(one))?;
        let failed: Vec<u32> = self.failed(*each, replays).iter().map(|(n, ..)| n + 1).collect();
        Some(Summary { waiting: one.elements.len() - failed.len(), failed, of: one.head.of })
    }

    /// Whether this is the name of one of its rows.
    pub fn is_row(name: &str) -> bool {
        name.starts_with(MARK)
    }

    /// The value of a row; `None` if there must not be one any more.
    pub fn row(&self, at: &SavedAt) -> serde_json::Result<Option<Value>> {
        let Some(one) = each_of(&at.name).and_then(|each| self.0.get(&each)) else { return Ok(None) };
        match at.element {
            None => serde_json::to_value(one.head).map(Some),
            Some(n) => u32::try_from(n).ok().and_then(|n| one.elements.get(&n)).map(serde_json::to_value).transpose(),
        }
    }

    /// Adds a row that was read from the store.
    pub fn read_row(&mut self, at: &SavedAt, value: Value) -> serde_json::Result<()> {
        let Some(each) = each_of(&at.name) else { return Ok(()) };
        let one = self.0.entry(each).or_default();
        match at.element.map(u32::try_from) {
            None => one.head = serde_json::from_value(value)?,
            Some(Ok(n)) => drop(one.elements.insert(n, serde_json::from_value(value)?)),
            Some(Err(_)) => {}
        }
        Ok(())
    }
}

impl Failure {
    /// What `on_error:` steps see, if it happened while this error was handled.
    pub fn as_error(&self, handled: Option<&Value>) -> Value {
        second_error::value(&self.why, self.status, self.tries, &self.title, handled)
    }
}

impl Element {
    /// Whether it has failed in this replay; in a later one it waits.
    fn has_failed(&self, replays: u32) -> bool {
        self.failure.is_some() && self.replays == replays
    }

    /// When it is due in this replay.
    pub fn due_in(&self, replays: u32) -> Timestamp {
        if self.replays == replays { self.due } else { Timestamp::UNIX_EPOCH }
    }

    /// The element with the mark that its effect is done, if it waits at this step.
    pub fn settled_at(self, step: u32) -> Option<Self> {
        (self.step == step && self.failure.is_none()).then_some(Self { settled: true, ..self })
    }
}

/// The numbers of elements: `2, 5, 9, …`.
pub fn listed(elements: &[u32]) -> String {
    const MOST: usize = 10;
    let more = (elements.len() > MOST).then(|| "…".to_owned());
    elements.iter().take(MOST).map(u32::to_string).chain(more).collect::<Vec<_>>().join(", ")
}

fn row(each: u32, element: Option<u32>) -> SavedAt {
    SavedAt { name: format!("{MARK}{each}"), element: element.map(|n| n as usize) }
}

fn each_of(name: &str) -> Option<u32> {
    name.strip_prefix(MARK)?.parse().ok()
}
