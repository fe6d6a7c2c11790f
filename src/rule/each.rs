//! `for_each` and `for_each_entry`: what a step is repeated for, and its elements for one event. In which order they are
//! tried is up to [`crate::model::transition`].

use serde_json::{Value, json};

use crate::expr::field::{Field, Found, Values};
use crate::expr::names::Names;
use crate::expr::scope::Scope;
use crate::yaml::Node;
use crate::yaml::fields::{Fields, Item};

/// The maximum number of elements.
pub const MOST_ELEMENTS: usize = 10_000;

pub const LIST: &str = "for_each";
pub const ENTRIES: &str = "for_each_entry";
const STOP: &str = "stop_at_first";

/// What a step is repeated for.
pub struct ForEach {
    pub field: Field,
    /// The entries of an object, instead of the elements of a list.
    entries: bool,
}

/// What was read: whether the step has one of the words at all, what it says, and `stop_at_first`.
pub struct ReadEach {
    pub is_there: bool,
    pub for_each: Option<ForEach>,
    pub stop_at_first: bool,
}

/// Whether a step is repeated.
pub fn is_repeated(fields: &Fields) -> bool {
    fields.has(LIST) || fields.has(ENTRIES)
}

/// Reads the words of a step that repeat it; `inside` if it is already repeated by the step around it.
pub fn read(fields: &mut Fields, known: &Names, inside: bool) -> ReadEach {
    if fields.has(LIST) && fields.has(ENTRIES) {
        fields
            .key(ENTRIES)
            .problem("a step can have only one of `for_each:` and `for_each_entry:`")
            .label("`for_each` is for a list, `for_each_entry` for an object; remove one of them")
            .add();
    }
    let mut read = ReadEach { is_there: false, for_each: None, stop_at_first: false };
    for (word, entries) in [(LIST, false), (ENTRIES, true)] {
        let Some(item) = fields.may(word) else { continue };
        if inside {
            item.problem(format!("this step is already inside a `{LIST}`"))
                .at_key()
                .label("use only one `for_each`; build one list under `set:`")
                .add();
        }
        read.is_there = true;
        let field = if inside { None } else { read_field(&item, word, known) };
        read.for_each = read.for_each.or(field.map(|field| ForEach { field, entries }));
    }
    if let Some(stop) = fields.may(STOP) {
        if !read.is_there {
            stop.problem("`stop_at_first:` has no effect, because this step has no `for_each:`").at_key().label("remove this line").add();
        }
        read.stop_at_first = stop.flag().unwrap_or_default();
    }
    read
}

fn read_field(item: &Item, word: &str, known: &Names) -> Option<Field> {
    known.in_each.set(false);
    if let Node::List(_) | Node::Number(_) | Node::Map(_) = item.node {
        let draft =
            item.problem(format!("`{word}:` takes a list from the webhook")).label("write the field of the list, such as body.items");
        draft.note("a fixed list can be written under `set:`, and its name here").add();
        return None;
    }
    let text = item.text()?;
    let other = match text.split_whitespace().collect::<Vec<_>>().as_slice() {
        [name, "in" | "of", list] | [list, "as", name] => Some(((*name).to_owned(), (*list).to_owned())),
        _ => None,
    };
    if let Some((name, list)) = other {
        let says = if name == "item" { format!("write {list}") } else { format!("write {list}, and `item` instead of `{name}`") };
        item.problem(format!("`{word}:` takes only the list; its element is always called `item`"))
            .propose(says, &list)
            .label("write only the list, and `item` for its element")
            .add();
        return None;
    }
    if text.contains("{{") {
        let bare = text.replace("${{", "").replace("{{", "").replace("}}", "");
        item.problem("a list is written without braces here").label("write the field alone").write(bare.trim()).add();
        return None;
    }
    known.field(&text, item, None)
}

impl ForEach {
    fn word(&self) -> &'static str {
        if self.entries { ENTRIES } else { LIST }
    }

    /// The elements in order; the error is a message.
    pub fn elements(&self, scope: &Scope) -> Result<Vec<Value>, String> {
        let found = match self.field.find(scope)? {
            Found::Missing => return Err(format!("{}, needed for `{}`", self.field.why_missing(scope), self.word())),
            found => found.into_value(scope.budget())?.unwrap_or_default(),
        };
        let elements = match (found, self.entries) {
            (Value::Null, _) => Vec::new(),
            (Value::Array(items), false) => items,
            (one, false) => vec![one],
            (Value::Object(map), true) => map.into_iter().map(|(name, value)| json!({ "name": name, "value": value })).collect(),
            // Some languages write an object without entries like this.
            (Value::Array(items), true) if items.is_empty() => items,
            (Value::Array(_), true) => {
                return Err(format!("{} is a list, and `{ENTRIES}` goes through an object; write `{LIST}: {0}`", self.field.text()));
            }
            (_, true) => return Err(format!("{} is not an object, and `{ENTRIES}` goes through one", self.field.text())),
        };
        match elements.len() {
            ..=MOST_ELEMENTS => Ok(elements),
            many => Err(format!("{} has {many} elements; {MOST_ELEMENTS} is the limit", self.field.text())),
        }
    }
}
