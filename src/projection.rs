//! The parts of a JSON body that rules ask for, so that the rest is checked but not built.
//!
//! Building a whole body costs more than matching and rendering together, and most rules look at a few fields. A
//! projection is worked out at load from every field that the rules of an address name; where one asks for the whole
//! body, or for what only a search can tell (`..`, filters), everything below that place is built. What is left out is
//! still known to be good JSON: an event that was taken can always be read again as a whole.

use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::field::{Field, Part, Root};

/// What is wanted of a value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Projection {
    /// Everything.
    all: bool,
    /// These members of an object.
    names: HashMap<String, Projection>,
    /// This of every item of a list.
    items: Option<Box<Projection>>,
}

/// How deep `serde_json` follows a whole body; deeper ones are refused, also where nobody looks.
const MAX_DEPTH: usize = crate::body::MAX_DEPTH - 1;

impl Projection {
    /// What these fields need of the body.
    pub fn of<'f>(fields: impl IntoIterator<Item = &'f Field>) -> Self {
        let mut all = Self::default();
        for field in fields.into_iter().filter(|f| f.root == Root::Body) {
            // A search goes on below its parts, in all that is there.
            all.want(field.parts());
        }
        all
    }

    fn want(&mut self, parts: &[Part]) {
        if self.all {
            return;
        }
        match parts {
            [] => *self = Self { all: true, ..Self::default() },
            [Part::Name(name), rest @ ..] => self.names.entry(name.clone()).or_default().want(rest),
            [Part::Index(_) | Part::Each, rest @ ..] => self.items.get_or_insert_default().want(rest),
        }
        // An object may stand where a list is meant, and counts as its only item: then both would have to be built.
        if self.items.is_some() && !self.names.is_empty() {
            *self = Self { all: true, ..Self::default() };
        }
    }

    /// Reads what is wanted, if this body can be read in parts; otherwise the whole has to be read, which also words the
    /// error of one that cannot be read at all.
    pub fn read(&self, raw: &[u8]) -> Option<Value> {
        let text = std::str::from_utf8(raw).ok()?;
        // What is passed over is looked at less closely than what is read: half a surrogate pair and too deep a nesting
        // would be found only when the whole is read.
        if self.all || text.contains("\\u") || is_deep(raw) {
            return None;
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let value = self.deserialize(&mut json).ok()?;
        json.end().ok()?;
        Some(value)
    }
}

fn is_deep(raw: &[u8]) -> bool {
    if raw.iter().filter(|b| matches!(b, b'[' | b'{')).count() < MAX_DEPTH {
        return false;
    }
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0usize, 0, false, false);
    for byte in raw {
        match (quoted, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => quoted = !quoted,
            (false, b'[' | b'{') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest >= MAX_DEPTH
}

impl<'de> DeserializeSeed<'de> for &Projection {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        if self.all {
            return serde::Deserialize::deserialize(json);
        }
        json.deserialize_any(self)
    }
}

/// Single values where more was expected count as null: whoever asks for something below them finds nothing either way.
impl<'de> Visitor<'de> for &Projection {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_str<E>(self, _: &str) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut out = Vec::new();
        match &self.items {
            Some(items) => {
                while let Some(item) = list.next_element_seed(items.as_ref())? {
                    out.push(item);
                }
            }
            None => while list.next_element::<IgnoredAny>()?.is_some() {},
        }
        Ok(Value::Array(out))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        // One object in the place of a list is its only item.
        let wanted = if self.names.is_empty() { self.items.as_deref().unwrap_or(self) } else { self };
        if wanted.all {
            let mut out = Map::new();
            while let Some((name, value)) = map.next_entry::<String, Value>()? {
                out.insert(name, value);
            }
            return Ok(Value::Object(out));
        }
        let mut out = Map::with_capacity(wanted.names.len());
        while let Some(name) = map.next_key::<std::borrow::Cow<str>>()? {
            match wanted.names.get(name.as_ref()) {
                Some(part) => {
                    let value = map.next_value_seed(part)?;
                    out.insert(name.into_owned(), value);
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Value::Object(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Names;
    use proptest::prelude::*;
    use std::borrow::Cow;

    struct Body(Value);
    impl Names for Body {
        fn root(&self, _: &Root) -> Result<Option<Cow<'_, Value>>, String> {
            Ok(Some(Cow::Borrowed(&self.0)))
        }
    }

    fn find(field: &Field, body: &Value) -> Option<Value> {
        field.find(&Body(body.clone())).unwrap().into_value()
    }

    const FIELDS: [&str; 9] =
        ["body.a", "body.b.c", "body.b.a[0]", "body.c[*].a", "body.c[*].b.c", "$.a[?@.b]", "$.b..c", "body[0].a", "$.c[*].a"];

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..100u32).prop_map(Value::from),
            "[a-c\"\\\\é]{0,3}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let list = prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from);
            let map = prop::collection::vec(("[a-c]", inner), 0..4).prop_map(|m| Value::Object(m.into_iter().collect()));
            prop_oneof![list, map]
        })
    }

    proptest! {
        #[test]
        fn a_field_finds_the_same_in_the_parts_as_in_the_whole(body in json(), first in 0..FIELDS.len(), second in 0..FIELDS.len()) {
            let fields: Vec<Field> = [first, second].iter().map(|n| Field::read(FIELDS[*n]).unwrap()).collect();
            let projection = Projection::of(&fields);
            let text = body.to_string();
            if let Some(parts) = projection.read(text.as_bytes()) {
                for field in &fields {
                    prop_assert_eq!(find(field, &parts), find(field, &body), "{} in {} as {}", field.text(), text, parts);
                }
            }
        }
    }

    #[test]
    fn what_nobody_asks_for_is_left_out_and_still_checked() {
        let fields = [Field::read("body.a.b").unwrap()];
        let projection = Projection::of(&fields);
        let read = |text: &str| projection.read(text.as_bytes()).map(|v| v.to_string());
        assert_eq!(read(r#"{"x": [1, {"y": 2}], "a": {"b": 1.10, "c": 3}}"#), Some(r#"{"a":{"b":1.10}}"#.into()));
        assert_eq!(read(r#"{"a": {"b": 1}, "a": {"b": 2}}"#), Some(r#"{"a":{"b":2}}"#.into()));
        for bad in [
            r#"{"x": [1, }"#,
            r#"{"a": {"b": 1}} x"#,
            r#"{"x": tru}"#,
            r#"{"x": "\ud800"}"#,
            &format!("{{\"x\": {}{}}}", "[".repeat(200), "]".repeat(200)),
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
