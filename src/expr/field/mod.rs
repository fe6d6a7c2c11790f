//! A reference to a value that a rule sees (`body.items[0].sku`, `header.X-Id`, `$.items[?@.qty > 5]`), compiled once.
//!
//! The same syntax is used on the left side of `if:`, and in `set:`, `for_each:` and `{{ }}`. Names, indexes and `[*]` are
//! evaluated here, without allocation; the rest of RFC 9535 is in `search`. The values of names outside the body come from
//! the current [`Values`], and every step is charged to their budget. Only this folder uses `jsonpath-rust`.

pub mod part;
mod path;
pub mod refusal;
mod search;
pub mod spelling;
#[cfg(test)]
mod suite;

use std::borrow::Cow;

use jsonpath_rust::parser::model::JpQuery;
use serde_json::Value;

use crate::model::budget::{Budget, Spent};
use crate::text::nearest::nearest;
use part::{PathPart, index, named};
use path::Steps;
use refusal::{NoField, no};
use search::MOST_FOUND;

/// The words that a field can begin with, as shown to people.
pub const ROOTS: [&str; 16] = [
    "body",
    "raw",
    "header",
    "query",
    "path",
    "method",
    "address",
    "ip",
    "sender",
    "event",
    "now",
    "item",
    "item_number",
    "input",
    "secret",
    "env",
];
/// The variables that `{{#each}}` provides for the current element.
pub const LOOP_WORDS: [&str; 4] = ["@index", "@key", "@first", "@last"];
const LONGEST: usize = 4_096;
/// How many names of an object are compared with a missing one, and their maximum length.
const MOST_COMPARED: usize = 200;
const LONGEST_COMPARED: usize = 64;

/// What a field begins with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Root {
    Body,
    /// The body as text, not parsed.
    Raw,
    /// One header, or all of them.
    Header(Option<String>),
    Query,
    Path,
    Method,
    Address,
    Ip,
    /// Who sent the request: the name of what verified it.
    Sender,
    EventId,
    Now,
    Item,
    ItemNumber,
    /// What the calling rule gave.
    Input,
    /// The element or value of the innermost block of a template.
    This,
    /// `@index`, `@key`, `@first`, `@last` of the innermost `{{#each}}`.
    Loop(String),
    /// Identifies one step of one event: the seed of `uuid`.
    Seed,
    Secret(String),
    Env(String),
    /// A name from `set:` or `save_as:`.
    Named(String),
}

impl Root {
    /// Whether only an event has it, and not the call of a rule.
    pub fn is_of_request(&self) -> bool {
        use Root::{Address, Body, Header, Ip, Method, Path, Query, Raw, Sender};
        matches!(self, Body | Raw | Header(_) | Query | Path | Method | Address | Ip | Sender)
    }
}

/// The values of the names that a field can begin with.
pub trait Values {
    /// The budget that all lookups and created values are charged to.
    fn budget(&self) -> &Budget;
    /// The value of a root; `None` if it is missing. The error is a message for people (a `set:` that cannot be
    /// evaluated).
    fn root(&self, root: &Root) -> Result<Option<Cow<'_, Value>>, String>;
    /// The placeholder for a field that is missing because its step was not done: only a dry run has such values.
    fn stand_in(&self, _: &Field) -> Option<Value> {
        None
    }
    /// The number of a step whose answer is not known, if a placeholder for it was used since this was last asked.
    fn take_unknown(&self) -> Option<String> {
        None
    }
}

/// What a field found.
#[derive(Debug, PartialEq)]
pub enum Found<'a> {
    Missing,
    One(Cow<'a, Value>),
    /// From a path that can give several values; in order, possibly empty.
    Many(Vec<Cow<'a, Value>>),
}

impl Found<'_> {
    /// The single value, or a list of all of them; `None` if it is missing. Copies are charged.
    pub fn into_value(self, budget: &Budget) -> Result<Option<Value>, Spent> {
        Ok(match self {
            Found::Missing => None,
            Found::One(v) => Some(own(v, budget)?),
            Found::Many(all) => Some(Value::Array(all.into_iter().map(|v| own(v, budget)).collect::<Result<_, _>>()?)),
        })
    }
}

fn own(value: Cow<Value>, budget: &Budget) -> Result<Value, Spent> {
    if let Cow::Borrowed(value) = &value {
        budget.copy(value)?;
    }
    Ok(value.into_owned())
}

/// A compiled field.
#[derive(Debug, Clone)]
pub struct Field {
    text: String,
    pub root: Root,
    parts: Vec<PathPart>,
    /// What names and indexes cannot express, starting at the place that `parts` lead to.
    tail: Option<JpQuery>,
    /// The parts of the body that the filters of `tail` look at, from its root (`$`).
    elsewhere: Vec<Vec<PathPart>>,
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Field {
    /// The field as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What was written after the first word: `.a[0]` in `body.a[0]`.
    pub fn rest(&self) -> &str {
        after_first_word(&self.text)
    }

    /// The steps down to the value, or to where a search begins.
    pub fn parts(&self) -> &[PathPart] {
        &self.parts
    }

    /// Every place in the body that it needs to see, as steps down from the root.
    pub fn needs_of_body(&self) -> impl Iterator<Item = &[PathPart]> {
        let own = (self.root == Root::Body).then_some(self.parts.as_slice());
        own.into_iter().chain(self.elsewhere.iter().map(Vec::as_slice))
    }

    /// Whether it can only give one value: names and numbers only.
    pub fn is_single(&self) -> bool {
        self.tail.is_none() && !self.parts.contains(&PathPart::Each)
    }

    /// Parses a field. The caller checks whether a [`Root::Named`] exists.
    pub fn read(text: &str) -> Result<Self, NoField> {
        let text = text.trim();
        if text.len() > LONGEST {
            return Err(no("this field is too long", format!("a field has at most {LONGEST} characters")));
        }
        if let Some(rest) = text.strip_prefix('$') {
            if rest.starts_with(|c: char| c.is_alphabetic() || c == '{') {
                return Err(no(format!("`{text}` is not a Doorbell field"), "fields begin with `body.`, `header.`, `query.`, …"));
            }
            return Ok(Self::of(text, Root::Body, path::rfc(text)?));
        }
        let rest = after_first_word(text);
        let word = text.strip_suffix(rest).unwrap_or(text);
        if LOOP_WORDS.contains(&text) {
            return Ok(Self::of(text, Root::Loop(text.to_owned()), Steps::default()));
        }
        if word.is_empty() || !word.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-') {
            return Err(no(format!("`{text}` is not a valid field name"), "fields begin with `body.`, `header.`, `query.`, …"));
        }
        let mut steps = path::ours(text, rest)?;
        let mut first_name = |what: &str| match steps.parts.first() {
            Some(PathPart::Name(name)) => {
                let name = name.clone();
                steps.parts.remove(0);
                Ok(name)
            }
            _ => Err(no(format!("`{word}` needs a name after it"), format!("write `{word}.{what}`"))),
        };
        let root = match word {
            "body" => Root::Body,
            "raw" => Root::Raw,
            "header" if rest.is_empty() => Root::Header(None),
            "header" => Root::Header(Some(first_name("Name")?)),
            "query" => Root::Query,
            "path" => Root::Path,
            "method" => Root::Method,
            "address" => Root::Address,
            "ip" => Root::Ip,
            "sender" => Root::Sender,
            "now" => Root::Now,
            "item" => Root::Item,
            "item_number" => Root::ItemNumber,
            "this" => Root::This,
            "event" => match first_name("id")?.as_str() {
                "id" => Root::EventId,
                other => {
                    return Err(no(format!("an event has no `{other}`"), "write `event.id`; the time is `now`, and the content is `body`"));
                }
            },
            "secret" => Root::Secret(first_name("NAME")?),
            "env" => Root::Env(first_name("NAME")?),
            "input" => Root::Input,
            other => Root::Named(other.to_owned()),
        };
        if matches!(root, Root::Secret(_) | Root::Env(_)) && !(steps.parts.is_empty() && steps.tail.is_none()) {
            return Err(no(format!("`{word}` takes one name"), format!("write `{word}.NAME`")));
        }
        // Header names are case-insensitive; those of a saved response are stored in lower case.
        if let (Root::Named(_), [PathPart::Name(header), PathPart::Name(name), ..]) = (&root, steps.parts.as_mut_slice())
            && header == "header"
        {
            name.make_ascii_lowercase();
        }
        Ok(Self::of(text, root, steps))
    }

    fn of(text: &str, root: Root, steps: Steps) -> Self {
        let Steps { parts, tail, elsewhere } = steps;
        Self { text: text.to_owned(), root, parts, tail, elsewhere }
    }

    /// The seed of `uuid`.
    pub fn seed() -> Self {
        Self::of("uuid", Root::Seed, Steps::default())
    }

    /// Looks up the value.
    pub fn find<'a>(&self, names: &'a dyn Values) -> Result<Found<'a>, String> {
        let found = self.find_there(names)?;
        Ok(match found {
            Found::Missing => names.stand_in(self).map_or(Found::Missing, |v| Found::One(Cow::Owned(v))),
            found => found,
        })
    }

    fn find_there<'a>(&self, names: &'a dyn Values) -> Result<Found<'a>, String> {
        let Some(start) = names.root(&self.root)? else { return Ok(Found::Missing) };
        let budget = names.budget();
        // In a filter, `$` is the body, wherever the filter looks.
        let body = if self.elsewhere.is_empty() { None } else { names.root(&Root::Body)? };
        Ok(match (start, body) {
            (Cow::Borrowed(value), None) => self.walk(value, 0, &Value::Null, budget)?,
            (Cow::Borrowed(value), Some(Cow::Borrowed(body))) => self.walk(value, 0, body, budget)?,
            (value, body) => {
                if let Cow::Owned(value) = &value {
                    budget.copy(value)?;
                }
                let body = body.unwrap_or(Cow::Owned(Value::Null));
                match self.walk(&value, 0, &body, budget)? {
                    Found::Missing => Found::Missing,
                    Found::One(v) => Found::One(Cow::Owned(own(v, budget)?)),
                    Found::Many(all) => Found::Many(all.into_iter().map(|v| own(v, budget).map(Cow::Owned)).collect::<Result<_, _>>()?),
                }
            }
        })
    }

    /// The value, charged as a copy.
    pub fn value(&self, names: &dyn Values) -> Result<Option<Value>, String> {
        Ok(self.find(names)?.into_value(names.budget())?)
    }

    fn walk<'a>(&self, start: &'a Value, from: usize, body: &'a Value, budget: &Budget) -> Result<Found<'a>, Spent> {
        budget.steps(1 + self.parts.len() - from)?;
        let mut at = start;
        for (n, part) in self.parts.iter().enumerate().skip(from) {
            let next = match part {
                PathPart::Name(name) => named(at, name),
                PathPart::Index(i) => index(at, *i),
                PathPart::Each => {
                    let each: &[Value] = match at {
                        Value::Array(list) => list,
                        one => std::slice::from_ref(one),
                    };
                    let mut all = Vec::new();
                    for value in each {
                        match self.walk(value, n + 1, body, budget)? {
                            Found::Missing => {}
                            Found::One(v) => all.push(v),
                            Found::Many(v) => all.extend(v),
                        }
                        if all.len() >= MOST_FOUND {
                            break;
                        }
                    }
                    all.truncate(MOST_FOUND);
                    budget.made(all.len() * size_of::<Cow<Value>>())?;
                    return Ok(Found::Many(all));
                }
            };
            match next {
                Some(value) => at = value,
                None => return Ok(Found::Missing),
            }
        }
        Ok(match &self.tail {
            None => Found::One(Cow::Borrowed(at)),
            Some(query) => {
                let found = search::search(query, at, body, budget)?;
                Found::Many(found.into_iter().map(Cow::Borrowed).collect())
            }
        })
    }

    /// Explains what is missing: the first name along the path that does not exist, and the most similar one that does.
    pub fn why_missing(&self, names: &dyn Values) -> String {
        if self.root == Root::Sender {
            return "it is not known who sent it".to_owned();
        }
        let Ok(Some(start)) = names.root(&self.root) else {
            return match self.root {
                Root::Input => format!("there is no {}, because no other rule called this one", self.text),
                _ if self.root.is_of_request() && matches!(names.root(&Root::Input), Ok(Some(_))) => {
                    format!("there is no {}, because another rule called this one; what that gave is `input`", self.text)
                }
                _ => format!("there is no {} in this request", self.text),
            };
        };
        let place = if self.root == Root::Input { "what the calling rule gave" } else { "this request" };
        let mut at: &Value = &start;
        let mut so_far = self.text.split(['.', '[']).next().unwrap_or("").to_owned();
        for part in &self.parts {
            let next = match part {
                PathPart::Name(name) => named(at, name),
                PathPart::Index(i) => index(at, *i),
                PathPart::Each => break,
            };
            match (next, part) {
                (Some(value), PathPart::Name(name)) => {
                    so_far += &format!(".{name}");
                    at = value;
                }
                (Some(value), PathPart::Index(i)) => {
                    so_far += &format!("[{i}]");
                    at = value;
                }
                (Some(value), PathPart::Each) => at = value,
                (None, PathPart::Name(_)) if at.is_array() => {
                    let rest = self.text.strip_prefix(&so_far).unwrap_or("");
                    let fix = if rest.is_empty() { String::new() } else { format!("; write {so_far}[*]{rest}, or [0] for the first one") };
                    return format!("there is no {} in {place}: {so_far} is a list{fix}", self.text);
                }
                (None, PathPart::Name(name)) => {
                    let near = at.as_object().and_then(|o| {
                        let short = o.keys().take(MOST_COMPARED).map(String::as_str).filter(|k| k.len() <= LONGEST_COMPARED);
                        nearest(name, short)
                    });
                    return match near {
                        Some(near) => format!("there is no {} in {place}; there is `{near}`", self.text),
                        None => format!("there is no {} in {place}", self.text),
                    };
                }
                (None, _) => break,
            }
        }
        format!("there is no {} in {place}", self.text)
    }
}

fn after_first_word(text: &str) -> &str {
    text.find(['.', '[']).and_then(|n| text.get(n..)).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Body(Value, Budget);
    impl Values for Body {
        fn budget(&self) -> &Budget {
            &self.1
        }
        fn root(&self, root: &Root) -> Result<Option<Cow<'_, Value>>, String> {
            Ok(match root {
                Root::Body => Some(Cow::Borrowed(&self.0)),
                Root::Header(Some(name)) => (name == "X-Id").then(|| Cow::Owned(json!("7"))),
                _ => None,
            })
        }
    }

    fn find(field: &str, body: Value) -> Option<Value> {
        Field::read(field).unwrap_or_else(|e| panic!("{field}: {e:?}")).value(&Body(body, Budget::default())).unwrap()
    }

    #[test]
    fn fields_find_names_indexes_and_lists() {
        let body = json!({"a": {"b": [1, {"your-name": "x"}]}, "First name": "Ada", "items": [{"sku": "A"}, {"qty": 1}, {"sku": "B"}], "one": {"sku": "C"}, "a.b": 2});
        for (field, expected) in [
            ("body.a.b[0]", Some(json!(1))),
            ("body.a.b[-1].your-name", Some(json!("x"))),
            ("body['First name']", Some(json!("Ada"))),
            ("body['a.b']", Some(json!(2))),
            ("body.items[*].sku", Some(json!(["A", "B"]))),
            ("body.one[*].sku", Some(json!(["C"]))),
            ("body.nothing[*].sku", None),
            ("body.nothing.sku", None),
            ("$.items[?@.sku == 'A'].sku", Some(json!(["A"]))),
            ("body.items[?@.sku == 'A'].sku", Some(json!(["A"]))),
            ("$..sku", Some(json!(["A", "B", "C"]))),
            ("body..sku", Some(json!(["A", "B", "C"]))),
            ("$.items[?@.sku == 'Z']", Some(json!([]))),
            ("$.items[0:2].sku", Some(json!(["A"]))),
            ("$.items[?@.sku == $.one.sku || @.sku == $.items[0].sku].sku", Some(json!(["A"]))),
            ("$.items[?@.sku == $.one.sku || @.sku == 'A'].sku", Some(json!(["A"]))),
            ("$.items[?length(value($..b)) == 2].sku", Some(json!(["A", "B"]))),
            ("$.items[?count($.items[?@.sku == 'A']) == 1].sku", Some(json!(["A", "B"]))),
            ("body['a$b']", None),
            ("$.items[?@.sku != $.nothing].sku", Some(json!(["A", "B"]))),
            ("$.a.b[?@ == $.a.b[0]]", Some(json!([1]))),
            ("body.items[*][?@ == $.items[0].sku]", Some(json!(["A"]))),
            ("$.one[?@ == 'C' && $.items[?@.qty]]", Some(json!(["C"]))),
            ("header.X-Id", Some(json!("7"))),
            ("$", Some(body.clone())),
        ] {
            assert_eq!(find(field, body.clone()), expected, "{field}");
        }
    }

    #[test]
    fn an_invalid_field_is_rejected_with_how_to_fix_it() {
        for (field, said) in [
            ("$.a b", "`$.a b` has a space in a name"),
            ("$json.x", "`$json.x` is not a Doorbell field"),
            ("items.[0]", "a dot before `[` is syntax from another tool"),
            ("event.time", "an event has no `time`"),
            ("secret", "`secret` needs a name after it"),
            ("$[?length(@.a)]", "`length(@.a)` must be compared with something"),
            ("$[?in(@.a, $.b)]", "there is no function called `in`"),
            ("$[?value(1) == 1]", "`value(1)` must have a path in its brackets"),
            ("$[?@[?@.a > length(@.*)]]", "length() takes a path that gives one value"),
        ] {
            let said_now = Field::read(field).map(|f| f.text).unwrap_err();
            assert!(said_now.message.starts_with(said) || field.starts_with("$[?l"), "{field}: {said_now:?}");
        }
    }

    #[test]
    fn the_first_missing_name_is_reported_with_the_most_similar_one() {
        let field = Field::read("body.custmer.email").unwrap();
        let said = field.why_missing(&Body(json!({"customer": {"email": "x"}}), Budget::default()));
        assert_eq!(said, "there is no body.custmer.email in this request; there is `customer`");
    }
}
