//! Names of form fields with brackets: `items[0][sku]=MUG` is `body.items[0].sku`. The spelling of the sender remains
//! usable, too: `body['items[0][sku]']`.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

/// The maximum number of brackets of a name; a name that has more stays as it is.
pub(super) const MAX_BRACKETS: usize = 16;

/// A name in its parts: `a`, `b` and `0` for `a[b][0]`.
#[derive(Debug, PartialEq)]
pub struct FormName<'n> {
    pub parts: Vec<&'n str>,
    /// Whether it ends with `[]`: one of several values.
    pub is_list: bool,
}

impl<'n> FormName<'n> {
    /// `None` for a name without brackets, or whose brackets mean nothing.
    pub fn read(name: &'n str) -> Option<Self> {
        let (first, rest) = name.split_once('[')?;
        let inside = rest.strip_suffix(']')?;
        let mut parts = vec![first];
        parts.extend(inside.split("]["));
        let is_list = parts.pop_if(|last| last.is_empty()).is_some();
        let is_good = |part: &&str| !part.is_empty() && !part.contains(['[', ']']);
        (parts.iter().all(is_good) && parts.len() <= MAX_BRACKETS).then_some(Self { parts, is_list })
    }

    /// What the name refers to in a form.
    pub fn find<'v>(&self, form: &'v Value) -> Option<&'v Value> {
        let found = self.parts.iter().try_fold(form, |at, part| match at {
            Value::Object(map) => map.get(*part),
            Value::Array(list) => list.get(position(part)?),
            _ => None,
        })?;
        // A single value of `a[]` is itself by its flat name, as it is for every other name.
        match found {
            Value::Array(list) if self.is_list && list.len() == 1 => list.first(),
            found => Some(found),
        }
    }
}

/// The position in a list that a part names.
fn position(part: &str) -> Option<usize> {
    let is_plain = part == "0" || !part.starts_with(['0', '+']);
    if is_plain { part.parse().ok() } else { None }
}

/// The fields of a form while they are gathered.
#[derive(Default)]
pub(super) struct FormTree {
    nodes: Vec<(String, Node)>,
    places: HashMap<String, usize>,
}

enum Node {
    Values { all: Vec<Value>, is_list: bool },
    Tree(FormTree),
}

impl FormTree {
    /// Gathers fields: a name that occurs more than once has a list of values.
    pub fn of(fields: Vec<(String, Value)>) -> Map<String, Value> {
        let plain: HashSet<String> = fields.iter().map(|(name, _)| name).filter(|n| !n.contains('[')).cloned().collect();
        let mut tree = Self::default();
        for (name, value) in fields {
            // If `a` is a field itself, `a[b]` cannot be something in it.
            let split = FormName::read(&name).filter(|n| !plain.contains(n.parts[0]));
            let left = match split {
                Some(split) => tree.put(&split.parts, split.is_list, value).err(),
                None => Some(value),
            };
            if let Some(value) = left {
                // A name that contradicts another one stays as the sender wrote it.
                let _ = tree.put(&[&name], false, value);
            }
        }
        tree.nodes.into_iter().map(|(name, node)| (name, node.value())).collect()
    }

    /// Adds a value; hands it back if it contradicts another one.
    fn put(&mut self, parts: &[&str], is_list: bool, value: Value) -> Result<(), Value> {
        let Some((first, rest)) = parts.split_first() else { return Err(value) };
        let Some(at) = self.places.get(*first).copied() else {
            let node = match rest {
                [] => Node::Values { all: vec![value], is_list },
                rest => {
                    let mut tree = Self::default();
                    tree.put(rest, is_list, value)?;
                    Node::Tree(tree)
                }
            };
            self.places.insert((*first).to_owned(), self.nodes.len());
            self.nodes.push(((*first).to_owned(), node));
            return Ok(());
        };
        match (&mut self.nodes[at].1, rest) {
            (Node::Values { all, is_list: was_list }, []) => {
                all.push(value);
                *was_list |= is_list;
                Ok(())
            }
            (Node::Tree(tree), [_, ..]) => tree.put(rest, is_list, value),
            _ => Err(value),
        }
    }

    /// A list if its names are exactly the numbers from 0; otherwise an object, so that no number changes.
    fn value(self) -> Value {
        let count = self.nodes.len();
        let is_list = self.nodes.iter().all(|(name, _)| position(name).is_some_and(|n| n < count));
        if !is_list {
            return Value::Object(self.nodes.into_iter().map(|(name, node)| (name, node.value())).collect());
        }
        let mut nodes: Vec<(usize, Node)> =
            self.nodes.into_iter().map(|(name, node)| (position(&name).unwrap_or_default(), node)).collect();
        nodes.sort_by_key(|(n, _)| *n);
        Value::Array(nodes.into_iter().map(|(_, node)| node.value()).collect())
    }
}

impl Node {
    fn value(self) -> Value {
        match self {
            Node::Tree(tree) => tree.value(),
            Node::Values { mut all, is_list: false } if all.len() == 1 => all.pop().unwrap_or_default(),
            Node::Values { all, .. } => Value::Array(all),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn form(text: &str) -> Value {
        let pairs = text.split('&').map(|pair| pair.split_once('=').unwrap());
        Value::Object(FormTree::of(pairs.map(|(name, value)| (name.to_owned(), value.into())).collect()))
    }

    #[test]
    fn names_with_brackets_become_objects_and_lists() {
        for (text, expected) in [
            ("a=1&b=2&a=3", json!({"a": ["1", "3"], "b": "2"})),
            ("a[b][0]=x&a[b][1]=y", json!({"a": {"b": ["x", "y"]}})),
            ("a[b]=1&c=2&a[d]=3", json!({"a": {"b": "1", "d": "3"}, "c": "2"})),
            ("items[1][sku]=B&items[0][sku]=A&items[0][qty]=2", json!({"items": [{"sku": "A", "qty": "2"}, {"sku": "B"}]})),
            ("tags[]=x", json!({"tags": ["x"]})),
            ("tags[]=x&tags[]=y", json!({"tags": ["x", "y"]})),
            ("a[b]=1&a[b]=2", json!({"a": {"b": ["1", "2"]}})),
            // Numbers with gaps are names, so that none of them changes.
            ("a[2]=x&a[5]=y", json!({"a": {"2": "x", "5": "y"}})),
            ("a[01]=x", json!({"a": {"01": "x"}})),
            ("a[0]=x&a[b]=y", json!({"a": {"0": "x", "b": "y"}})),
        ] {
            assert_eq!(form(text), expected, "{text}");
        }
    }

    #[test]
    fn names_whose_brackets_mean_nothing_or_contradict_each_other_stay_as_they_are() {
        let deep = format!("a{}=1", "[b]".repeat(MAX_BRACKETS));
        for (text, expected) in [
            ("a[b=1", json!({"a[b": "1"})),
            ("a]=1&[b]=2&a[b]c=3", json!({"a]": "1", "[b]": "2", "a[b]c": "3"})),
            ("a[][b]=1&a[[b]]=2", json!({"a[][b]": "1", "a[[b]]": "2"})),
            ("a=1&a[b]=2", json!({"a": "1", "a[b]": "2"})),
            ("a[b]=2&a=1", json!({"a[b]": "2", "a": "1"})),
            ("a[b]=1&a[b][c]=2", json!({"a": {"b": "1"}, "a[b][c]": "2"})),
            ("a[b][c]=2&a[b]=1", json!({"a": {"b": {"c": "2"}}, "a[b]": "1"})),
            (&deep, json!({deep.trim_end_matches("=1"): "1"})),
        ] {
            assert_eq!(form(text), expected, "{text}");
        }
        assert!(FormName::read(&format!("a{}", "[b]".repeat(MAX_BRACKETS - 1))).is_some());
    }

    #[test]
    fn a_value_is_found_by_the_name_that_the_sender_used() {
        let found = |name: &str, form: &Value| FormName::read(name).and_then(|n| n.find(form).cloned());
        let all = form("a[b][0]=x&tags[]=y&n[5]=z&two[]=1&two[]=2");
        for (name, expected) in [
            ("a[b][0]", Some(json!("x"))),
            ("a[b][]", Some(json!("x"))),
            ("a[b]", Some(json!(["x"]))),
            ("tags[]", Some(json!("y"))),
            ("two[]", Some(json!(["1", "2"]))),
            ("n[5]", Some(json!("z"))),
            ("a[b][1]", None),
            ("a[c]", None),
            ("tags[00]", None),
        ] {
            assert_eq!(found(name, &all), expected, "{name}");
        }
    }
}
