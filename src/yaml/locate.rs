//! Finds the position of a value or key in the text, by walking to it again and failing there on purpose.
//!
//! `serde_yaml` does not store positions, but its errors contain one. So the place is found by deserializing along a path
//! of indexes and raising an error exactly there. This is correct in block and flow style, after aliases and after
//! multi-byte characters, without a second YAML parser. It costs one parse, so it is done only for what is shown.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// One step down into a YAML value. Entries are counted, not named, so that a duplicate key can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathStep {
    /// The key of the entry with this index.
    Key(usize),
    /// The value of the entry with this index.
    Value(usize),
    /// The list item with this index.
    Item(usize),
}

/// The steps from the top of a file to a place in it.
pub type Path = Vec<PathStep>;

const HERE: &str = "doorbell: here";

#[cfg(test)]
thread_local! {
    /// How many places this thread has walked to, for tests: each costs a parse, so a file without problems should need none.
    pub static WALKS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

pub(super) fn locate(text: &str, path: &[PathStep]) -> Option<(usize, usize)> {
    #[cfg(test)]
    WALKS.set(WALKS.get() + 1);
    let error = Walk(path).deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    let found = error.location()?;
    error.to_string().contains(HERE).then(|| (found.line(), found.column()))
}

struct Walk<'p>(&'p [PathStep]);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        match self.0.first() {
            None => d.deserialize_any(Stop),
            Some(PathStep::Item(_)) => d.deserialize_seq(self),
            Some(_) => d.deserialize_map(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the way to a place")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if let [PathStep::Item(n), rest @ ..] = self.0 {
            for _ in 0..*n {
                if seq.next_element::<IgnoredAny>()?.is_none() {
                    return Err(A::Error::custom("no such item"));
                }
            }
            seq.next_element_seed(Walk(rest))?;
        }
        Err(A::Error::custom("no such item"))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (n, key, rest) = match self.0 {
            [PathStep::Key(n), rest @ ..] => (*n, true, rest),
            [PathStep::Value(n), rest @ ..] => (*n, false, rest),
            _ => return Err(A::Error::custom("no such entry")),
        };
        // `serde_yaml` panics when asked for entries past the end of a map, so every step is checked.
        for _ in 0..n {
            if map.next_entry::<IgnoredAny, IgnoredAny>()?.is_none() {
                return Err(A::Error::custom("no such entry"));
            }
        }
        if key {
            map.next_key_seed(Walk(rest))?;
        } else if map.next_key::<IgnoredAny>()?.is_some() {
            map.next_value_seed(Walk(rest))?;
        }
        Err(A::Error::custom("no such entry"))
    }
}

/// Rejects any value, with an error to which `serde_yaml` adds the position.
struct Stop;

impl<'de> Visitor<'de> for Stop {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(HERE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_found_in_block_and_flow() {
        let text = "a: 1\né: { x: [ä, bc] }\nb:\n  - c: true\n    d:\n      e: f\n";
        assert_eq!(locate(text, &[PathStep::Value(1), PathStep::Value(0), PathStep::Item(1)]), Some((2, 13)));
        assert_eq!(locate(text, &[PathStep::Key(2)]), Some((3, 1)));
        assert_eq!(locate(text, &[PathStep::Value(2), PathStep::Item(0), PathStep::Key(1)]), Some((5, 5)));
        assert_eq!(locate(text, &[PathStep::Value(2), PathStep::Item(0), PathStep::Value(1), PathStep::Value(0)]), Some((6, 10)));
        assert_eq!(locate("a: 1\na: 2\n", &[PathStep::Key(1)]), Some((2, 1)));
        assert_eq!(locate("a: 1\n", &[PathStep::Value(3)]), None);
    }
}
