//! The values that a template or condition can use in one run: the event, the rule's `set:` names, the results saved by
//! earlier steps, the current element, secrets.
//!
//! Values are borrowed from the event and evaluated only on demand; a `set:` name is evaluated once, when it is first used,
//! so that a name for which another kind of event has no value does no harm.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};

use serde_json::{Map, Value};

use crate::expr::field::part::PathPart;
use crate::expr::field::{Field, Root, Values};
use crate::expr::template::data::Data;
use crate::expr::word_table::WordTable;
use crate::model::budget::{Allowance, Budget};
use crate::model::called::{Given, given_to};
use crate::model::event::Event;
use crate::model::place::Place;
use crate::model::saved::{NOW, saved_at};
use crate::secret::Vault;

/// One line of `set:`.
#[derive(Debug, Clone)]
pub struct SetName {
    pub name: String,
    pub value: SetValue,
}

#[derive(Debug, Clone)]
pub enum SetValue {
    Field(Field),
    Data(Data),
    Words(WordTable),
}

impl SetValue {
    /// Every field that it uses.
    pub fn fields(&self) -> Vec<&Field> {
        match self {
            SetValue::Field(field) => vec![field],
            SetValue::Data(data) => data.fields(),
            SetValue::Words(table) => table.fields(),
        }
    }
}

/// A line of `set:`, and the step that it belongs to, if it is not the rule's own.
type Named<'a> = (&'a SetName, Option<u32>);

/// A value of `set:`, and which unknown answer it depends on.
type WorkedOut = (Result<Option<Value>, String>, Option<usize>);

/// In a dry run: a value that is not known, because a step was not performed.
pub struct NotDone {
    pub what: NotKnown,
    /// The number of the step, as shown to people.
    pub step: String,
}

/// Which value that is.
pub enum NotKnown {
    /// What is saved under this name.
    Saved(String),
    /// What another rule gives under this name.
    Given(String),
}

/// The names of one run.
pub struct Scope<'a> {
    event: &'a Event,
    vault: &'a Vault,
    /// The values of the address's placeholders.
    path: Value,
    set: Vec<Named<'a>>,
    worked_out: Vec<OnceCell<WorkedOut>>,
    saved: &'a Map<String, Value>,
    /// What it was given, if another rule called this one.
    given: Option<Given<'a>>,
    item: Option<(&'a Value, usize)>,
    /// The step whose `for_each` provides `item`.
    each: Option<u32>,
    /// The step whose `set:` is being computed.
    seed: Cell<Option<u32>>,
    /// The step and its element, for values that have to differ between them.
    place: Place,
    not_done: &'a [NotDone],
    /// The element is that of a list which is part of this unknown answer.
    unknown_item: Option<usize>,
    /// The unknown answer for which a placeholder was used last.
    unknown: Cell<Option<usize>>,
    budget: Budget,
}

impl<'a> Scope<'a> {
    pub fn new(event: &'a Event, vault: &'a Vault, path: Value, set: &'a [SetName], saved: &'a Map<String, Value>) -> Self {
        Self {
            event,
            vault,
            path,
            set: set.iter().map(|line| (line, None)).collect(),
            worked_out: set.iter().map(|_| OnceCell::new()).collect(),
            seed: Cell::new(None),
            saved,
            given: given_to(saved),
            item: None,
            each: None,
            place: Place::default(),
            not_done: &[],
            unknown_item: None,
            unknown: Cell::new(None),
            budget: Budget::default(),
        }
    }

    /// The same names plus the element of the `for_each` of the step `each`; `number` counts from 1.
    pub fn with_item(&self, item: &'a Value, number: usize, each: Option<u32>) -> Self {
        Self {
            item: Some((item, number)),
            each,
            place: self.place,
            not_done: self.not_done,
            budget: Budget::new(self.budget.allowance()),
            set: self.set.clone(),
            worked_out: self.set.iter().map(|_| OnceCell::new()).collect(),
            ..Self::new(self.event, self.vault, self.path.clone(), &[], self.saved)
        }
    }

    /// The same names at a step and element.
    pub fn at(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// The same names and those of a step's `set:`.
    pub fn and_set(mut self, set: &'a [SetName], step: u32) -> Self {
        self.set.extend(set.iter().map(|line| (line, Some(step))));
        self.worked_out.extend(set.iter().map(|_| OnceCell::new()));
        self
    }

    /// The same names with a limited budget.
    pub fn within(mut self, allowance: Allowance) -> Self {
        self.budget = Budget::new(allowance);
        self
    }

    /// For a dry run: the unknown values of these names are shown as `‹name.body.id›`.
    pub fn not_done(mut self, steps: &'a [NotDone]) -> Self {
        self.not_done = steps;
        self
    }

    /// For a dry run: the element is that of a list which is not known.
    pub fn of_unknown(mut self, step: Option<&str>) -> Self {
        self.unknown_item = step.and_then(|step| self.not_done.iter().position(|one| one.step == step));
        self
    }

    pub fn vault(&self) -> &'a Vault {
        self.vault
    }

    pub fn event(&self) -> &'a Event {
        self.event
    }

    /// Whether a value is a date: the result of a helper that gives one, or a name of `set:` for it.
    pub fn gives_date(&self, data: &Data) -> bool {
        let of_name = |name: &str| match self.set.iter().find(|(line, _)| line.name == name).map(|(line, _)| &line.value) {
            Some(SetValue::Data(data)) => data.gives_date(),
            _ => false,
        };
        let named = data.lone_field().filter(|field| field.rest().is_empty());
        data.gives_date() || named.is_some_and(|field| matches!(&field.root, Root::Named(name) if of_name(name)))
    }

    /// The first of the values that are not known for which this holds.
    fn not_known(&self, is_it: impl Fn(&NotKnown) -> bool) -> Option<usize> {
        self.not_done.iter().position(|one| is_it(&one.what))
    }

    /// What an earlier step saved under this name.
    fn saved(&self, name: &str) -> Option<&Value> {
        saved_at(self.saved, name, self.each.map(|each| (each, self.place.element)))
    }

    fn named(&self, name: &str) -> Result<Option<Cow<'_, Value>>, String> {
        if self.saved.contains_key(name) {
            return Ok(self.saved(name).map(Cow::Borrowed));
        }
        let Some(n) = self.set.iter().position(|(s, _)| s.name == name) else { return Ok(None) };
        let value = self.worked_out[n].get_or_init(|| {
            let (line, step) = self.set[n];
            // The steps inside a `do:` see the same value.
            let seed = self.seed.replace(step.or(self.seed.get()));
            let before = self.unknown.take();
            let value = match &line.value {
                SetValue::Field(field) => field.value(self),
                SetValue::Words(table) => table.value(self).map_err(|why| format!("`{name}` cannot be computed: {why}")),
                SetValue::Data(data) => data.value(self).map(Some).map_err(|e| format!("`{name}` cannot be computed: {}", e.message)),
            };
            self.seed.set(seed);
            (value, self.unknown.replace(before))
        });
        let (value, unknown) = value;
        self.unknown.set(unknown.or(self.unknown.get()));
        match value {
            Ok(value) => Ok(value.as_ref().map(Cow::Borrowed)),
            Err(why) => Err(why.clone()),
        }
    }
}

impl Values for Scope<'_> {
    fn budget(&self) -> &Budget {
        &self.budget
    }

    fn stand_in(&self, field: &Field) -> Option<Value> {
        let unknown = match &field.root {
            // In a loop, a step may not have been reached for this element.
            Root::Named(name) => {
                self.not_known(|what| matches!(what, NotKnown::Saved(one) if one == name)).filter(|_| self.saved(name).is_some())
            }
            Root::Input => match field.parts().first() {
                Some(PathPart::Name(name)) => self.not_known(|what| matches!(what, NotKnown::Given(one) if one == name)),
                _ => self.not_known(|what| matches!(what, NotKnown::Given(_))),
            },
            Root::Item => self.unknown_item,
            _ => None,
        };
        let unknown = unknown?;
        self.unknown.set(Some(unknown));
        Some(Value::String(format!("‹{}›", field.text())))
    }

    fn take_unknown(&self) -> Option<String> {
        let unknown = self.unknown.take()?;
        self.not_done.get(unknown).map(|one| one.step.clone())
    }

    fn root(&self, root: &Root) -> Result<Option<Cow<'_, Value>>, String> {
        let text = |t: &str| Some(Cow::Owned(Value::from(t)));
        Ok(match root {
            Root::Input => self.given.map(|given| Cow::Borrowed(given.input)),
            root if self.given.is_some() && root.is_of_request() => None,
            Root::Body => Some(Cow::Borrowed(&self.event.body)),
            Root::Raw => {
                self.budget.made(self.event.raw.len())?;
                text(&crate::body::text(self.event.content_type(), &self.event.raw))
            }
            Root::Header(Some(name)) => self.event.header(name, self.vault).map(Cow::Owned),
            Root::Header(None) => Some(Cow::Owned(self.event.headers_object(self.vault))),
            Root::Query => Some(Cow::Owned(self.event.query_object(self.vault))),
            Root::Path => Some(Cow::Borrowed(&self.path)),
            Root::Method => text(&self.event.method),
            Root::Address => text(&self.event.address),
            Root::Ip => text(&self.event.ip),
            Root::Sender => self.event.sender.as_deref().and_then(text),
            Root::EventId => text(&self.event.id.to_string()),
            // RFC 3339 in UTC, with seconds.
            // After a wait, its end.
            Root::Now if self.saved(NOW).is_some_and(Value::is_string) => self.saved(NOW).map(Cow::Borrowed),
            Root::Now if let Some(now) = self.given.and_then(|given| given.now) => Some(Cow::Borrowed(now)),
            Root::Now => text(&jiff::fmt::strtime::format("%Y-%m-%dT%H:%M:%SZ", self.event.received).unwrap_or_default()),
            Root::Item => self.item.map(|(item, _)| Cow::Borrowed(item)),
            Root::ItemNumber => self.item.map(|(_, n)| Cow::Owned(Value::from(n))),
            // Only blocks of templates have these; they do not exist elsewhere.
            Root::This | Root::Loop(_) => None,
            Root::Seed => {
                let step = self.seed.get().unwrap_or(self.place.step);
                let call = self.given.map_or_else(String::new, |given| format!("{}-", given.id));
                text(&format!("{}-{call}{step}-{}", self.event.id, self.place.element))
            }
            Root::Secret(name) => self.vault.secret(name).and_then(|s| text(s.reveal())),
            Root::Env(name) => self.vault.env(name).and_then(text),
            Root::Named(name) => return self.named(name),
        })
    }
}
